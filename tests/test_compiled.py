"""The quick twin of each kind of pipeline gives the pipeline's answers, and what is not recognised is not built."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import KBinsDiscretizer

from core.projects.definition import Column, Definition
from core.scoring.columns import LARGEST, NotCompiled
from core.scoring.compiled import compile_pipeline
from core.scoring.scorer import score_with
from core.training.catalogue import get_candidate, list_candidates
from core.training.pipeline import build_pipeline

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")  # a network that is still learning answers as well

COLUMNS = (
    Column("age"), Column("fare"), Column("empty"), Column("colour", kind="category"), Column("town", kind="category"),
)  # fmt: skip
DEFINITIONS = {
    "binary": Definition("p", "P", "binary", "y", COLUMNS, positive="1", classes=("0", "1")),
    "multiclass": Definition("p", "P", "multiclass", "y", COLUMNS, classes=("LOW", "MEDIUM", "HIGH")),
    "regression": Definition("p", "P", "regression", "y", COLUMNS, metric="r2"),
}
SMALL = {
    "random_forest": {"n_estimators": 15}, "gradient_boosting": {"n_estimators": 8}, "hist_gradient_boosting": {"max_iter": 8},
    "lightgbm": {"n_estimators": 8}, "xgboost": {"n_estimators": 8}, "mlp": {"hidden_units": 4, "max_iter": 20},
    "keras": {"hidden_units": 4, "epochs": 3},
}  # fmt: skip
KINDS = [
    pytest.param(task, c.name, marks=pytest.mark.extra if c.needs else ())
    for task in DEFINITIONS
    for c in list_candidates(task)
    if c.name != "rules_engine"
]


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(7)
    table = pd.DataFrame({"age": rng.normal(40, 12, 160), "fare": rng.lognormal(2, 1, 160), "empty": np.full(160, np.nan)})
    table["colour"] = pd.Series(rng.choice(["red", "green", "blue"], 160), dtype=object)
    # more towns than one-hot columns: the rare ones share one
    table["town"] = pd.Series([f"town {min(n, 150) if n % 3 else 1}" for n in range(160)], dtype=object)
    table.loc[::9, "age"] = np.nan
    table.loc[::7, "colour"] = np.nan
    return table


def target(frame, task):
    value = frame["age"].fillna(30) / 10 + (frame["colour"] == "red") * 2 + np.sin(frame["fare"])
    if task == "binary":
        return (value > value.median()).astype(int).to_numpy()
    if task == "multiclass":
        return np.where(value > value.quantile(0.7), "HIGH", np.where(value > value.quantile(0.3), "MEDIUM", "LOW"))
    return value.to_numpy()


def fit(frame, task, name, definition=None):
    pipeline = build_pipeline(get_candidate(name), SMALL.get(name, {}), 42, definition or DEFINITIONS[task])
    return pipeline.fit(frame, target(frame, task))


def strange(frame):
    """Rows that training never saw: unknown categories, missing everywhere, extremes, what separates float32 from float64."""
    rows = frame.head(6).copy()
    rows.loc[0, ["colour", "town"]] = ["violet", "nowhere"]
    rows.loc[1] = [np.nan, np.nan, np.nan, np.nan, np.nan]
    rows.loc[2, ["age", "fare"]] = [1e29, -1e29]
    rows.loc[3, "age"] = np.nextafter(40.0, 50)
    rows.loc[4, "empty"] = 3.5
    rows.loc[5, "town"] = "missing"
    return pd.concat([frame, rows], ignore_index=True)


@pytest.mark.parametrize(("task", "name"), KINDS)
def test_every_kind_answers_few_and_many_rows_as_its_pipeline_does(frame, task, name):
    pipeline = fit(frame, task, name)
    fast = compile_pipeline(pipeline)
    rows = strange(frame)
    table = fast.columns.encode_frame(rows)
    assert (table == pipeline[0].transform(rows)).all()
    wanted = pipeline.predict_proba(rows) if fast.classes else pipeline.predict(rows)
    # single precision is all that XGBoost has
    allowed = 1e-6 if name == "xgboost" else 1e-12
    for call in (fast.few, fast.many):
        answer = call(table)
        assert answer.shape == wanted.shape
        assert answer.dtype == np.float64
        assert np.max(np.abs(answer - wanted) / np.maximum(1, np.abs(wanted))) <= allowed


def test_a_forest_answers_one_row_with_the_very_bits_of_its_pipeline(frame):
    pipeline = fit(frame, "binary", "random_forest")
    fast = compile_pipeline(pipeline)
    table = fast.columns.encode_frame(frame)
    one_by_one = np.concatenate([fast.predict(table[n : n + 1]) for n in range(len(table))])
    assert (one_by_one[:, 1] == pipeline.predict_proba(frame)[:, 1]).all()
    assert (fast.predict(table)[:, 1] == one_by_one[:, 1]).all()


def test_rows_split_over_threads_keep_their_bits_and_their_order(frame):
    fast = compile_pipeline(fit(frame, "multiclass", "random_forest"))
    table = np.tile(fast.columns.encode_frame(frame), (30, 1))
    assert (fast.predict(table, threads=2) == fast.predict(table, threads=1)).all()


def test_extra_trees_are_known_too(frame):
    pipeline = fit(frame, "binary", "random_forest")
    trees = ExtraTreesClassifier(10, random_state=1).fit(pipeline[0].transform(frame), target(frame, "binary"))
    fast = compile_pipeline(Pipeline([("columns", pipeline[0]), ("estimator", trees)]))
    table = fast.columns.encode_frame(frame)
    assert np.allclose(fast.few(table), trees.predict_proba(table), rtol=0, atol=1e-15)


def test_a_column_without_any_value_is_filled_as_in_training(frame):
    fast = compile_pipeline(fit(frame, "binary", "random_forest"))
    assert fast.columns.fill[list(fast.columns.numbers).index("empty")] == 0.0


def test_rare_categories_share_their_column_and_unknown_ones_have_none(frame):
    towns = [f"t{n}" for n in range(140) for _ in range(1 + (n < 20))]
    table = pd.DataFrame({"age": np.arange(len(towns), dtype=float), "town": pd.Series(towns, dtype=object)})
    definition = Definition("p", "P", "binary", "y", (Column("age"), Column("town", kind="category")), positive="1", classes=("0", "1"))
    pipeline = build_pipeline(get_candidate("logistic_regression"), {}, 42, definition).fit(table, np.arange(len(towns)) % 2)
    columns = compile_pipeline(pipeline).columns
    assert columns.width == 1 + 100
    shared = [town for town in set(towns) if columns.place(0, town) == columns.place(0, "t139")]
    assert len(shared) == 140 - 99
    assert columns.place(0, "nowhere") == -1
    assert columns.place(0, None) == -1  # nothing was missing in training
    assert (columns.encode_frame(table) == pipeline[0].transform(table)).all()


def test_a_missing_category_that_training_saw_has_its_own_column(frame):
    columns = compile_pipeline(fit(frame, "binary", "random_forest")).columns
    place = columns.place(list(columns.categories).index("colour"), None)
    assert place >= 0
    assert place == columns.place(list(columns.categories).index("colour"), "missing")


@pytest.mark.parametrize("name", ["random_forest", "logistic_regression", "hist_gradient_boosting", "mlp"])
@pytest.mark.parametrize("extreme", [1e308, -1e308, 3.5e38, 1e31])
def test_a_number_beyond_single_precision_is_answered_by_both_and_alike(frame, name, extreme):
    pipeline = fit(frame, "binary", name)
    fast = compile_pipeline(pipeline)
    row = frame.head(1).assign(age=extreme)
    wanted = score_with(pipeline, row, DEFINITIONS["binary"], 0.5)
    assert np.allclose(fast.few(fast.columns.encode_frame(row)), wanted.probabilities, rtol=0, atol=1e-9)
    largest = frame.head(1).assign(age=np.sign(extreme) * LARGEST)
    assert (score_with(pipeline, largest, DEFINITIONS["binary"], 0.5).probabilities == wanted.probabilities).all()


def test_what_is_not_recognised_is_not_built(frame):
    known = fit(frame, "binary", "logistic_regression")
    with pytest.raises(NotCompiled, match="columns and an estimator"):
        compile_pipeline(known[1])
    binned = ColumnTransformer([("numbers", KBinsDiscretizer(3, encode="ordinal"), ["fare"])])
    other = Pipeline([("columns", binned), ("estimator", LogisticRegression())]).fit(frame, target(frame, "binary"))
    with pytest.raises(NotCompiled, match="KBinsDiscretizer"):
        compile_pipeline(other)
    with pytest.raises(NotCompiled, match="prepared by Pipeline"):
        compile_pipeline(Pipeline([("columns", make_pipeline(known[0])), ("estimator", known[1])]))


def test_the_rules_engine_keeps_its_frame():
    names = ("trend_score", "internal_usage", "training_requests")
    definition = Definition("p", "P", "multiclass", "y", tuple(Column(n) for n in names), classes=("LOW", "MEDIUM", "HIGH"))
    table = pd.DataFrame({name: [0.1, 0.9] for name in names})
    pipeline = build_pipeline(get_candidate("rules_engine"), {}, 42, definition).fit(table, ["LOW", "HIGH"])
    with pytest.raises(NotCompiled, match="prepared by"):
        compile_pipeline(pipeline)
