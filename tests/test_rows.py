"""Rows of typed values: read as prepare reads them, answered as the pipeline answers, refused with row and column."""

import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import approvals, deployment
from core.acts import Actor
from core.datasets.prepare import UNREADABLE, prepare, problem_texts
from core.errors import BadInput, BadValue, NotFound, Refused
from core.projects.definition import Column, Definition
from core.registry import versions
from core.scoring import journal, log, rows
from core.scoring import scorer as scorers
from core.scoring.rows import encode_rows, make_frame, score_rows
from core.scoring.scorer import find_pointer, load_scorer, score_with
from core.scoring.typed import Reader
from core.training import runs
from storage.connection import close_all

PROJECT = "heart_disease"
ROW = {
    "age": 63, "sex": "Male", "cp": "asymptomatic", "trestbps": 145, "chol": 233, "fbs": "True", "restecg": "normal", "thalch": 150,
    "exang": "False", "oldpeak": 2.3, "slope": "flat", "ca": 0, "thal": "normal",
}  # fmt: skip
DEFINITION = Definition(
    "p", "P", "binary", "y",
    (
        Column("age", low=0, high=120, integer=True, aliases=("years",)), Column("fare", low=0), Column("any"),
        Column("flag", kind="category", allowed=("False", "True")), Column("code", kind="category", allowed=("1", "2", "A b")),
        Column("free", kind="category"), Column("person", kind="text", role="key"),
    ),
    positive="1", classes=("0", "1"), key="person",
)  # fmt: skip


def ask(home, given, **options):
    return score_rows(home, PROJECT, given, caller="developer", source="test", **options)


def read_slowly(given):
    """What prepare makes of the rows, in the shape of the quick reader; the first unreadable (row, column) instead, if any."""
    prepared = prepare(given, DEFINITION, purpose="scoring", refuse_unreadable=False)
    order = [c.name for c in DEFINITION.features]
    wrong = [(row, order.index(p.column)) for p in prepared.problems if p.code == UNREADABLE for row in p.rows.tolist()]
    if wrong:
        return min(wrong)
    features = [{k: None if v != v else v for k, v in row.items()} for row in prepared.features.to_dict("records")]
    return features, problem_texts(prepared), None if prepared.key is None else prepared.key.tolist()


def read_quickly(given):
    try:
        read = Reader(DEFINITION).read(given)
    except BadValue as error:
        return error.row - 1, [c.name for c in DEFINITION.features].index(error.column)
    return read.features, ["; ".join(p) for p in read.problems], read.keys


number = st.one_of(
    st.none(), st.integers(-5, 130), st.floats(allow_nan=True, allow_infinity=True), st.booleans(), st.just(10**400),
    st.sampled_from(["12", "1,5", " 7 ", "", "NA", "x", "1e400", "-0.0"]),
)  # fmt: skip
category = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 10**18), st.floats(), st.text(max_size=5),
    st.sampled_from(["1", "1.0", "A b", " A b ", "false", "TRUE", "NA", "?", "0"]),
)  # fmt: skip
row = st.fixed_dictionaries(
    {"age": number, "fare": number, "any": number, "flag": category, "code": category, "free": category},
    optional={"person": category, "note": st.text(max_size=3)},
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(row, min_size=1, max_size=4))
def test_typed_rows_are_read_as_prepare_reads_them(given_rows):
    assert read_quickly(given_rows) == read_slowly(given_rows)


def test_a_reader_says_the_same_when_it_has_seen_the_value_before():
    reader = Reader(DEFINITION)
    strange = {"age": 150, "fare": None, "any": 1, "flag": "maybe", "code": 1, "free": "x"}
    first, again = reader.read([strange]), reader.read([strange])
    assert first == again
    assert first.problems == [["age 150 is outside 0..120", "fare is missing", "flag: 'maybe' is not a known category"]]
    assert first.features == [{"age": 150.0, "fare": None, "any": 1.0, "flag": "maybe", "code": "1", "free": "x"}]
    assert first.keys is None


def test_names_may_be_aliases_in_any_order_beside_others():
    read = Reader(DEFINITION).read(
        [
            {"free": "x", "Years": 5, "fare": 1, "any": 2, "flag": True, "code": "2", "person": 77, "note": "?"},
            {"fare": 1, "any": 2, "flag": True, "code": "2", "person": " 8.0 ", "note": "?", "free": "x", "Years": 6},
        ]
    )
    assert [f["age"] for f in read.features] == [5.0, 6.0]
    assert read.keys == ["77", "8"]


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("age", "abc", "'abc' is not a number"), ("chol", True, "'True' is not a number"), ("oldpeak", float("inf"), "'inf' is not"),
        ("age", 10**400, "…' is not a number"), ("ca", [1], "a list is not a number"), ("cp", {"a": 1}, "an object is not a category"),
    ],
)  # fmt: skip
def test_a_wrong_type_is_refused_with_row_column_and_cure(trained_home, column, value, shown):
    with pytest.raises(BadValue) as refusal:
        ask(trained_home, [ROW, {**ROW, column: value}])
    assert (refusal.value.row, refusal.value.column) == (2, column)
    assert shown in str(refusal.value)
    assert str(refusal.value).startswith(f"Row 2, column '{column}': ")
    assert refusal.value.cure.startswith("Send ")


def test_an_absent_column_and_no_rows_are_refused(trained_home):
    with pytest.raises(BadInput, match="'thal' is absent"):
        ask(trained_home, [{k: v for k, v in ROW.items() if k != "thal"}])
    with pytest.raises(BadInput, match="no rows"):
        ask(trained_home, [])
    with pytest.raises(BadInput, match="already has a column 'score'"):
        ask(trained_home, [{**ROW, "score": 1}])


def test_answers_have_the_contracts_names_and_nothing_is_on_disk_yet(trained_home):
    answer = ask(trained_home, [ROW, {**ROW, "thal": "purple", "chol": None}], request_id="r1")
    assert (answer.request_id, answer.project, answer.version) == ("r1", PROJECT, "1.0.0")
    assert set(answer.stages) == {"validation", "preprocessing", "inference"}
    first, second = answer.predictions
    assert list(first) == ["prediction_id", "prediction", "score", "confidence", "probabilities", "problems"]
    assert [p["prediction_id"] for p in answer.predictions] == [f"{answer.uid}-1", f"{answer.uid}-2"]
    assert first["prediction"] == ("1" if first["score"] >= 50 else "0")
    assert first["score"] == 100 * first["probabilities"]["1"]
    assert first["confidence"] == first["probabilities"][first["prediction"]]
    assert first["problems"] == []
    assert second["problems"] == ["chol is missing", "thal: 'purple' is not a known category"]
    assert log.read(trained_home, PROJECT).empty
    journal.of(trained_home).submit(answer.group).result()
    kept = log.read(trained_home, PROJECT)
    assert kept["prediction_id"].tolist() == [p["prediction_id"] for p in answer.predictions]
    assert kept["out:problems"].tolist() == ["", "chol is missing; thal: 'purple' is not a known category"]
    assert (kept["age"].tolist(), kept["thal"].tolist()) == ([63.0, 63.0], ["normal", "purple"])


def test_rows_are_encoded_as_frames_are(trained_home):
    scorer = load_scorer(trained_home, PROJECT)
    read = scorer.reader.read([ROW, {**ROW, "age": None, "thal": "odd"}, dict.fromkeys(ROW)])
    frame = make_frame(scorer, read.features)
    assert (encode_rows(scorer.fast.columns, read.features) == scorer.fast.columns.encode_frame(frame)).all()
    assert (encode_rows(scorer.fast.columns, read.features) == scorer.pipeline[0].transform(frame)).all()


def test_without_a_compiled_scorer_the_pipeline_answers_the_same(trained_home, monkeypatch):
    quick = ask(trained_home, [ROW, {**ROW, "ca": None}])
    slow_scorer = replace(load_scorer(trained_home, PROJECT), fast=None)
    monkeypatch.setattr(rows, "load_scorer", lambda *_: slow_scorer)
    slow = ask(trained_home, [ROW, {**ROW, "ca": None}])
    for one, other in zip(quick.predictions, slow.predictions, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-12)
        assert {k: one[k] for k in ("prediction", "problems")} == {k: other[k] for k in ("prediction", "problems")}


def test_impossible_output_of_a_model_is_refused(trained_home, monkeypatch):
    scorer = load_scorer(trained_home, PROJECT)
    broken = replace(scorer, fast=replace(scorer.fast, many=lambda table: np.array([[np.nan, 1.0]])))
    monkeypatch.setattr(rows, "load_scorer", lambda *_: broken)
    with pytest.raises(Refused, match="output was refused"):
        ask(trained_home, [ROW])


def test_threads_at_once_get_their_own_answers(trained_home):
    ages = list(range(20, 84))
    alone = [ask(trained_home, [{**ROW, "age": a}]).predictions[0]["score"] for a in ages]
    scorers.clear_cache()  # so that they also meet while it is loaded
    found, errors = {}, []

    def work(part):
        try:
            for age in ages[part::8]:
                found[age] = ask(trained_home, [{**ROW, "age": age}]).predictions[0]["score"]
        except Exception as error:
            errors.append(error)
        finally:
            close_all()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [found[a] for a in ages] == alone


@pytest.fixture
def approved(trained_home):
    """1.0.0 live, 1.1.0 approved."""
    run = runs.list_runs(trained_home, PROJECT)[0]
    forest = next(c for c in runs.list_candidates(trained_home, run.id) if c.name == "random_forest")
    versions.register(trained_home, Actor("scientist"), forest.id, version="1.1.0")
    request = approvals.request_release(trained_home, Actor("scientist"), PROJECT, "1.1.0", reason="try")["id"]
    approvals.approve(trained_home, Actor("director"), request, reason="ok", despite_gates=True)
    return trained_home


@pytest.mark.parametrize("number_of_rows", [1, 12, 13, 200])
def test_every_batch_size_gets_the_forests_answers(approved, number_of_rows):
    deployment.deploy(approved, Actor("devops"), PROJECT, "1.1.0")
    scorer = load_scorer(approved, PROJECT)
    assert scorer.fast is not None
    rng = np.random.default_rng(3)
    many = [{**ROW, "age": int(rng.integers(20, 80)), "chol": float(rng.normal(240, 50)), "cp": str(rng.choice(["asymptomatic", "?", "odd"]))}
            for _ in range(number_of_rows)]  # fmt: skip
    answer = ask(approved, many)
    frame = prepare(many, scorer.definition, purpose="scoring").features
    wanted = score_with(scorer.pipeline, frame, scorer.definition, scorer.threshold)
    assert [p["prediction"] for p in answer.predictions] == wanted.prediction.tolist()
    assert np.allclose([p["probabilities"]["1"] for p in answer.predictions], wanted.probabilities[:, 1], rtol=0, atol=1e-12)


def test_the_live_pointer_is_seen_by_other_connections_at_once(approved):
    assert find_pointer(approved, PROJECT).version == "1.0.0"
    seen = []

    def switch():
        deployment.deploy(approved, Actor("devops"), PROJECT, "1.1.0")
        seen.append(find_pointer(approved, PROJECT).version)
        close_all()

    thread = threading.Thread(target=switch)
    thread.start()
    thread.join()
    assert seen == ["1.1.0"]
    assert find_pointer(approved, PROJECT).version == "1.1.0"
    deployment.rollback(approved, Actor("devops"), PROJECT)
    assert find_pointer(approved, PROJECT).version == "1.0.0"
    deployment.undeploy(approved, Actor("devops"), PROJECT)
    with pytest.raises(NotFound, match="no live version"):
        ask(approved, [ROW])


def test_a_version_that_was_never_live_answers_nobody(approved):
    with pytest.raises(Refused, match=r"Version 1\.1\.0 of heart_disease was never live"):
        ask(approved, [ROW], version="1.1.0")
    with pytest.raises(NotFound, match=r"no version '9\.9\.9'"):
        ask(approved, [ROW], version="9.9.9")
    deployment.deploy(approved, Actor("devops"), PROJECT, "1.1.0")
    assert ask(approved, [ROW], version="1.0.0").version == "1.0.0"
    assert ask(approved, [ROW]).version == "1.1.0"


def test_numbers_have_no_confidence_and_no_probabilities(trained_home, monkeypatch):
    definition = Definition("p", "P", "regression", "y", (Column("age"),), metric="r2")

    class Doubling:
        def predict(self, features):
            return 2 * features["age"].to_numpy()

    scorer = replace(
        load_scorer(trained_home, PROJECT), definition=definition, pipeline=Doubling(), fast=None, reader=Reader(definition),
        version_id=0, sha256="0" * 64,
    )  # fmt: skip
    monkeypatch.setattr(rows, "load_scorer", lambda *_: scorer)
    answer = ask(trained_home, [{"age": 4}])
    given_answer = {k: v for k, v in answer.predictions[0].items() if k != "prediction_id"}
    assert given_answer == {"prediction": 8.0, "score": 8.0, "confidence": None, "probabilities": {}, "problems": []}
    assert isinstance(answer.group.rows, int)
    assert pd.isna(scorer.reader.read([{"age": None}]).features[0]["age"])


def test_what_a_reader_remembers_is_bounded_and_forgotten_without_harm(monkeypatch):
    monkeypatch.setattr("core.scoring.typed.KEPT_CATEGORIES", 3)
    monkeypatch.setattr("core.scoring.typed.KEPT_HEADERS", 2)
    reader = Reader(DEFINITION)
    usual = {"age": 5, "fare": 1, "any": 2, "flag": True, "code": "2", "free": "x"}
    wanted = reader.read([usual])
    for number_seen in range(8):
        reader.read([{**usual, "free": f"value {number_seen}", f"extra {number_seen}": 1}])
        assert len(reader._headers) <= 2
        assert all(len(c.known) <= 3 for c in reader._columns)
    assert reader.read([usual]) == wanted


def test_while_versions_are_switched_each_answer_is_wholly_of_the_version_that_it_names(approved):
    deployment.deploy(approved, Actor("devops"), PROJECT, "1.1.0")
    wanted = {v: ask(approved, [ROW], version=v).predictions[0]["score"] for v in ("1.0.0", "1.1.0")}
    assert wanted["1.0.0"] != wanted["1.1.0"]
    found, errors, done = [], [], threading.Event()

    def work():
        try:
            while not done.is_set():
                answer = ask(approved, [ROW])
                found.append((answer.version, answer.predictions[0]["score"]))
        except Exception as error:
            errors.append(error)
        finally:
            close_all()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number_of_switch in range(6):
        to = ("1.0.0", "1.1.0")[number_of_switch % 2]
        deployment.rollback(approved, Actor("devops"), PROJECT, to=to)
        assert ask(approved, [ROW]).version == to
    done.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert set(found) <= set(wanted.items())
    assert {version for version, _ in found} == {"1.0.0", "1.1.0"}
