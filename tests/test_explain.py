"""What each value contributes to an answer: additive, named, the same again, by our own method and by SHAP."""

import time
from itertools import permutations
from math import factorial

import numpy as np
import pandas as pd
import pytest

from core.adapters import shap_values
from core.datasets.versions import data_path, get_dataset
from core.errors import BadInput, Refused
from core.monitoring import traffic
from core.projects.projects import get_definition
from core.registry import versions
from core.scoring import explain, log
from core.scoring.scorer import load_scorer, score
from core.training.results import Importance
from pages import charts_predict
from tests.api_client import HEART, check_problem, make_client, make_key

LONG = 400.0  # seconds; a busy machine takes long to import SHAP
PREDICT = HEART + "/predict"


@pytest.fixture
def rows(trained_home):
    return [dict(case.row) for case in get_definition(trained_home, "heart_disease").known_cases]


@pytest.fixture(scope="module", autouse=True)
def _end_the_helper():
    yield
    shap_values.stop_helper()


def shapley(game, row, background):
    """By the definition: every order of the columns, every background row."""
    changes = np.zeros(len(row))
    for begun in background:
        for order in permutations(range(len(row))):
            now = begun.copy()
            for column in order:
                before = game(now[None])[0]
                now[column] = row[column]
                changes[column] += game(now[None])[0] - before
    return changes / len(background) / factorial(len(row))


def test_two_columns_that_work_together_share_as_the_definition_says():
    def game(x):
        return 3.0 * x[:, 0] * x[:, 1] + x[:, 0]

    row, background = np.array([2, 5]), np.array([[0, 0], [1, 3], [4, 1]])
    base, changes = explain.sample_contributions(game, row, background, seed=0)
    assert base == pytest.approx((0 + 10 + 16) / 3)
    assert changes == pytest.approx(shapley(game, row, background), abs=1e-12)
    assert base + changes.sum() == pytest.approx(32.0, abs=1e-12)


def test_columns_that_only_add_up_get_their_own_part_whatever_the_order():
    weights = np.array([1.0, -2.0, 0.0, 5.0])
    background = np.array([[0, 1, 7, 2], [2, 3, 9, 0]])
    base, changes = explain.sample_contributions(lambda x: x @ weights, np.array([4, 4, 4, 4]), background, seed=3)
    assert base == pytest.approx(((-2 + 10) + (2 - 6)) / 2)
    assert changes == pytest.approx([3.0, -4.0, 0.0, 15.0], abs=1e-12)


def test_a_column_that_the_model_does_not_look_at_gets_exactly_nothing():
    _, changes = explain.sample_contributions(lambda x: (x[:, 0] > 2) * 1.0, np.array([3, 8]), np.array([[1, 1], [2, 9]]), seed=0)
    assert list(changes) == [1.0, 0.0]


def test_base_and_contributions_add_up_to_the_score_and_each_column_is_there_once(trained_home, rows):
    scorer = load_scorer(trained_home, "heart_disease")
    from core.datasets.prepare import prepare

    scores = score(scorer, prepare(rows, scorer.definition, purpose="scoring").features).score
    for found, wanted in zip(explain.explain(trained_home, scorer, rows), scores, strict=True):
        assert found.of == "score"
        assert found.answer == pytest.approx(wanted, abs=1e-6)
        assert found.base + sum(c.change for c in found.contributions) == pytest.approx(wanted, abs=1e-6)
        assert sorted(c.column for c in found.contributions) == sorted(c.name for c in scorer.definition.features)
        assert found.method == "sampled Shapley values (100 orders of the columns)"
        assert found.background == "50 rows of dataset 1, which version 1.0.0 was trained on"
    assert log.list_groups(trained_home, "heart_disease") == []


def test_the_same_row_gets_the_same_explanation(trained_home, rows):
    scorer = load_scorer(trained_home, "heart_disease")
    assert explain.explain(trained_home, scorer, rows[:1]) == explain.explain(trained_home, scorer, rows)[:1]


def test_a_missing_value_and_an_unknown_category_are_explained_too(trained_home, rows):
    scorer = load_scorer(trained_home, "heart_disease")
    (found,) = explain.explain(trained_home, scorer, [{**rows[0], "chol": None, "thal": "purple"}])
    shown = {c.column: c.value for c in found.contributions}
    assert (shown["chol"], shown["thal"]) == ("missing", "purple")


def test_the_base_is_the_mean_score_of_the_background(trained_home, rows):
    scorer = load_scorer(trained_home, "heart_disease")
    background = explain.get_background(trained_home, scorer)
    (found,) = explain.explain(trained_home, scorer, rows[:1])
    assert len(background.features) == 50
    assert found.base == pytest.approx(score(scorer, background.features).score.mean(), abs=1e-9)


def test_without_the_dataset_the_rows_kept_with_the_version_are_compared_with(trained_home, rows):
    scorer = load_scorer(trained_home, "heart_disease")
    explain._backgrounds.clear()
    data_path(trained_home, get_dataset(trained_home, versions.get_version(trained_home, "heart_disease", "1.0.0").dataset_id)).unlink()
    (found,) = explain.explain(trained_home, scorer, rows[:1])
    assert found.background == "the 25 rows that are kept with the version, because its dataset cannot be read any more"
    explain._backgrounds.clear()


def test_classes_without_an_order_are_explained_by_the_probability_of_the_one_predicted(monkeypatch):
    """A definition with three plain classes; the model is a table."""
    from core.projects.definition import Column, Definition
    from core.scoring.scorer import Scorer

    definition = Definition("p", "P", "multiclass", "y", (Column("x", "number"),), classes=("a", "b", "c"))

    class Table:
        classes_ = ("a", "b", "c")

        def predict_proba(self, features):
            return np.array([[0.2, 0.7, 0.1] if x > 1 else [0.5, 0.25, 0.25] for x in features["x"]])

    scorer = Scorer("p", "1.0.0", 1, definition, Table(), 0.5, "0")
    coded = explain.code(pd.DataFrame({"x": [2.0, 0.0]}), pd.DataFrame({"x": [0.0, 2.0]}))
    games = explain.make_games(scorer, coded)
    assert [of for of, _ in games] == ["probability of b", "probability of a"]
    base, changes = explain.sample_contributions(games[0][1], coded.rows[0], coded.background, seed=0)
    assert (base, changes.tolist()) == (pytest.approx(0.475), pytest.approx([0.225]))


def test_the_sentences_name_what_raised_and_what_lowered():
    parts = (("experience", "12", 20.0), ("city", "missing", -6.25), ("age", "40", 0.01))
    found = explain.Explanation("score", 40.0, 53.76, "m", "b", tuple(explain.Contribution(*p) for p in parts))
    assert explain.describe(found) == [
        "The score is 53.8; on average it is 40.0.",
        "What raised it most: experience = 12 (+20.0).",
        "What lowered it most: city is missing (−6.2).",
    ]


def test_a_probability_is_told_in_percentage_points_and_nothing_is_told_as_nothing():
    found = explain.Explanation("probability of b", 0.5, 0.75, "m", "b", (explain.Contribution("x", "1", 0.25),))
    assert explain.describe(found) == [
        "The probability of b is 75.0%; on average it is 50.0%.", "What raised it most: x = 1 (+25.0).", "Nothing lowered it.",
    ]  # fmt: skip


def test_large_numbers_are_told_without_an_exponent_and_with_the_same_decimals():
    parts = (("surface", "120", 62440.3), ("district", "missing", -12060.4), ("rooms", "4", -8.1e-13))
    found = explain.Explanation("price", 142800.2, 193180.1, "m", "b", tuple(explain.Contribution(*p) for p in parts))
    assert explain.describe(found) == [
        "price is 193,180; on average it is 142,800.", "What raised it most: surface = 120 (+62,440).",
        "What lowered it most: district is missing (−12,060).",
    ]  # fmt: skip
    figure = charts_predict.contribution_steps(found)
    assert [t.replace("\u202f", ",") for t in figure.data[0].text] == ["142,800", "+62,440", "−12,060", "+0", "193,180"]
    assert figure.layout.xaxis.title.text == "price"  # a column is called as it is


def test_two_values_that_read_alike_once_they_are_cut_keep_a_bar_each():
    parts = tuple(explain.Contribution("a column of a very long name indeed " + end, "1", 1.0) for end in ("one", "two"))
    figure = charts_predict.contribution_steps(explain.Explanation("score", 0.0, 2.0, "m", "b", parts))
    assert list(figure.data[0].y) == [0, 1, 2, 3]
    assert figure.layout.yaxis.ticktext[1] == "a column of a very<br>long name indeed one…" == figure.layout.yaxis.ticktext[2].replace("two", "one")


def test_an_explanation_survives_being_written_down():
    found = explain.Explanation("score", 1.0, 2.0, "m", "b", (explain.Contribution("x", "1", 1.0),))
    assert explain.Explanation.from_dict(found.to_dict()) == found


# ---- the API ----


def test_the_api_explains_on_request_and_only_then(trained_home, rows):
    client = make_client(trained_home, make_key(trained_home, "predict"))
    plain = client.post(PREDICT, json={"rows": rows[:2]}).json()["predictions"]
    asked = client.post(PREDICT, json={"rows": rows[:2], "explain": True}).json()["predictions"]
    assert "explanation" not in plain[0]
    for without, with_why in zip(plain, asked, strict=True):
        why = with_why["explanation"]
        assert with_why["score"] == without["score"]
        assert why["base"] + sum(c["change"] for c in why["contributions"]) == pytest.approx(with_why["score"], abs=1e-6)
        assert why["method"].startswith(("SHAP ", explain.SAMPLING))
    assert len(log.read(trained_home, "heart_disease")) == 4


def test_the_api_does_not_explain_when_told_not_to(trained_home, rows):
    client = make_client(trained_home, make_key(trained_home, "predict"))
    assert "explanation" not in client.post(PREDICT, json={"rows": rows[:1], "explain": False}).json()["predictions"][0]


def test_more_than_twenty_rows_are_not_explained_and_nothing_is_logged(trained_home, rows):
    client = make_client(trained_home, make_key(trained_home, "predict"))
    problem = check_problem(client.post(PREDICT, json={"rows": rows[:1] * 21, "explain": True}), 422)
    assert problem["detail"] == "At most 20 rows are explained at once; these are 21. Send fewer, or leave out explain."
    assert log.list_groups(trained_home, "heart_disease") == []


def test_many_columns_are_mixed_a_part_at_a_time_with_the_same_result(monkeypatch):
    rng = np.random.default_rng(0)
    row, background = rng.integers(0, 9, 6), rng.integers(0, 9, (5, 6))
    sizes = []

    def game(x):
        sizes.append(len(x))
        return x[:, 0] * x[:, 1] - 2.0 * x[:, 5]

    base, whole = explain.sample_contributions(game, row, background, seed=0)
    monkeypatch.setattr(explain, "AT_ONCE_CELLS", 2 * 7 * 6)
    again, parts = explain.sample_contributions(game, row, background, seed=0)
    assert (again, parts.tolist()) == (base, whole.tolist())
    assert len(sizes) == 1 + 5
    assert max(sizes[1:]) <= 2 * 7


@pytest.mark.parametrize(
    ("rows", "width", "words"),
    [(1, 632, ""), (1, 633, "633 columns cannot be explained; 632 are the most"), (20, 141, ""), (20, 142, "At most 19 rows of 142 columns")],
)
def test_what_would_take_minutes_is_refused(rows, width, words):
    if words:
        with pytest.raises(BadInput, match=words):
            explain.check_width(rows, width)
    else:
        explain.check_width(rows, width)


@pytest.mark.parametrize("wrong", ["yes", 1, None])
def test_explain_is_true_or_false(trained_home, rows, wrong):
    client = make_client(trained_home, make_key(trained_home, "predict"))
    check_problem(client.post(PREDICT, json={"rows": rows[:1], "explain": wrong}), 422)


def test_explain_stands_in_the_description_of_the_route(trained_home):
    client = make_client(trained_home, make_key(trained_home, "predict"))
    text = client.get("/api/openapi.json").text
    assert "Also say what each value contributes" in text


def test_the_api_explains_by_our_own_method_when_shap_does_not_answer(trained_home, rows, monkeypatch):
    def refuse(*args, **options):
        raise Refused("SHAP gave no answer")

    monkeypatch.setattr(shap_values, "is_possible", lambda: True)
    monkeypatch.setattr(shap_values, "explain_rows", refuse)
    client = make_client(trained_home, make_key(trained_home, "predict"))
    (found,) = client.post(PREDICT, json={"rows": rows[:1], "explain": True}).json()["predictions"]
    assert found["explanation"]["method"].startswith(explain.SAMPLING)


def test_the_time_of_an_explanation_is_no_latency_of_predictions(trained_home, rows, monkeypatch):
    seen = []
    monkeypatch.setattr(traffic, "record", lambda home, request: seen.append(request))
    monkeypatch.setattr(shap_values, "is_possible", lambda: False)
    slow = explain.explain

    def explain_slowly(*args):
        time.sleep(2.0)
        return slow(*args)

    monkeypatch.setattr(explain, "explain", explain_slowly)
    client = make_client(trained_home, make_key(trained_home, "predict"))
    client.post(PREDICT, json={"rows": rows[:1]})
    client.post(PREDICT, json={"rows": rows[:1], "explain": True})
    assert seen[1].total_ms < 1500


def test_a_class_or_a_value_with_markup_is_shown_as_text():
    found = explain.Explanation("score", 1.0, 3.0, "m", "b", (explain.Contribution("x", "<b>&", 2.0),))
    assert "x = &lt;b&gt;&amp;" in charts_predict.contribution_steps(found).layout.yaxis.ticktext


def test_the_chart_goes_from_the_average_to_the_answer_and_puts_small_steps_together():
    parts = tuple(explain.Contribution(f"c{i}", "1", 10.0 - i) for i in range(10))
    figure = charts_predict.contribution_steps(explain.Explanation("score", 5.0, 60.0, "m", "b", parts), most=8)
    bars = figure.data[0]
    assert list(figure.layout.yaxis.ticktext) == ["Average answer", *(f"c{i} = 1" for i in range(8)), "2 others", "This answer"]
    assert list(bars.x[:-1]) == [5.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 3.0]
    assert (bars.text[0], bars.text[-1]) == ("5.0", "60.0")


# ---- the page ----


def test_the_page_says_in_words_what_moved_the_score(trained_home, rows, open_page):
    test = open_page(trained_home, "predict")
    ages = next(n for n in test.number_input if n.label.startswith("age"))
    ages.set_value(70)
    next(b for b in test.button if b.label == "Score this case").click().run()
    said = "\n".join(m.value for m in test.markdown)
    assert "on average it is" in said
    assert "raised it" in said
    assert "lowered it" in said
    assert any("It is an estimate" in c.value and "Method: sampled Shapley values" in c.value for c in test.caption)
    assert not test.exception
    assert not test.error


# ---- SHAP ----


def test_without_shap_one_sentence_says_what_to_install(trained_home, rows, monkeypatch):
    monkeypatch.setattr(shap_values, "is_installed", lambda module: False)
    with pytest.raises(Refused) as caught:
        shap_values.explain_rows(trained_home, load_scorer(trained_home, "heart_disease"), rows[:1])
    assert str(caught.value) == (
        "SHAP is not installed, and contributions of each value to a prediction needs it: pip install shap -c requirements.txt."
    )


@pytest.mark.extra
def test_shap_agrees_with_our_own_and_adds_up(trained_home, rows):
    scorer = load_scorer(trained_home, "heart_disease")
    by_shap = shap_values.explain_rows(trained_home, scorer, rows, patience=LONG)
    for one, other in zip(by_shap, explain.explain(trained_home, scorer, rows), strict=True):
        assert one.method.startswith("SHAP ")
        assert one.base + sum(c.change for c in one.contributions) == pytest.approx(one.answer, abs=1e-9)
        assert one.answer == pytest.approx(other.answer, abs=1e-6)
        assert one.base == pytest.approx(other.base, abs=1e-3)
        theirs, ours = ({c.column: c.change for c in e.contributions} for e in (one, other))
        assert max(abs(theirs[name] - ours[name]) for name in ours) < 5.0  # points; ours is sampled


@pytest.mark.extra
@pytest.mark.parametrize(
    ("candidate", "params", "method"),
    [
        ("random_forest", {"n_estimators": 10}, "SHAP TreeExplainer"),
        ("gradient_boosting", {"n_estimators": 10}, "SHAP TreeExplainer"),
        ("hist_gradient_boosting", {}, "SHAP TreeExplainer"),
        ("logistic_regression", {}, "SHAP PermutationExplainer"),
    ],
)
def test_each_kind_of_model_gets_the_explainer_that_follows_it(trained_home, rows, monkeypatch, candidate, params, method):
    from dataclasses import replace

    from core.datasets.versions import load
    from core.scoring import scorer as scorers
    from core.training.catalogue import get_candidate
    from core.training.pipeline import build_pipeline
    from core.training.tasks import labels_to_fit

    scorer = load_scorer(trained_home, "heart_disease")
    prepared = load(trained_home, get_dataset(trained_home, 1), scorer.definition)
    target = labels_to_fit(prepared.target, scorer.definition)
    pipeline = build_pipeline(get_candidate(candidate), params, 0, scorer.definition).fit(prepared.features, target)
    other = replace(scorer, pipeline=pipeline, fast=None)
    monkeypatch.setattr(scorers, "load_scorer", lambda *args: other)
    (found,) = shap_values.compute(trained_home, "heart_disease", "1.0.0", rows[:1])
    assert found.method.startswith(method)
    (ours,) = explain.explain(trained_home, other, rows[:1])
    assert found.answer == pytest.approx(ours.answer, abs=1e-6)
    theirs = {c.column: c.change for c in found.contributions}
    both = np.array([(theirs[c.column], c.change) for c in ours.contributions])
    assert np.corrcoef(both.T)[0, 1] > 0.9
    assert np.abs(both[:, 0] - both[:, 1]).max() < 0.15 * np.abs(both).sum() / 2


@pytest.mark.extra
def test_a_killed_helper_is_started_again(trained_home, rows):
    scorer = load_scorer(trained_home, "heart_disease")
    first = shap_values.explain_rows(trained_home, scorer, rows[:1], patience=LONG)
    shap_values._helper._process.kill()
    assert shap_values.explain_rows(trained_home, scorer, rows[:1], patience=LONG) == first


@pytest.mark.extra
def test_what_the_helper_refuses_is_refused_here_in_its_words(trained_home, rows):
    with pytest.raises(BadInput, match="At most 20 rows are explained at once"):
        shap_values.explain_rows(trained_home, load_scorer(trained_home, "heart_disease"), rows[:1] * 21, patience=LONG)


@pytest.mark.extra
def test_who_has_no_patience_gets_a_sentence_and_the_next_one_an_answer(trained_home, rows):
    scorer = load_scorer(trained_home, "heart_disease")
    shap_values.stop_helper()
    with pytest.raises(Refused, match="SHAP gave no answer within 0 seconds; try again, or use the quick explanation"):
        shap_values.explain_rows(trained_home, scorer, rows[:1], patience=0.1)
    assert len(shap_values.explain_rows(trained_home, scorer, rows[:2], patience=LONG)) == 2


@pytest.mark.extra
def test_shap_is_not_imported_by_those_who_ask(trained_home, rows):
    import subprocess
    import sys

    code = "import sys, api.build, pages.predict_case, core.adapters.shap_values; print([m for m in ('shap', 'numba') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


# ---- global importances ----


def test_an_importance_has_the_interval_of_its_mean():
    one = Importance("x", 0.10, 0.02, 5)
    assert one.interval == pytest.approx((0.10 - 2.776 * 0.01, 0.10 + 2.776 * 0.01))
    assert Importance("x", 0.10, 0.0, 1).interval == (0.10, 0.10)


def test_a_version_keeps_the_interval_of_each_importance(trained_home):
    kept = versions.get_version(trained_home, "heart_disease", "1.0.0").summary["importances"]
    assert all(i["low"] <= i["mean"] <= i["high"] for i in kept.values())
    assert any(i["low"] < i["high"] for i in kept.values())
