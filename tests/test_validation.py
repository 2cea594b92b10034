"""What validation says about a table: levels, counts, rows, and never an exception for bad data."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from core.datasets.leakage import score_columns
from core.datasets.prepare import prepare
from core.datasets.read import read_table
from core.datasets.validation import Report, check_output, validate
from core.projects.definition import from_dict
from core.projects.samples import load_sample

HEART = "samples/heart_disease/data/heart_{}.csv"


def small(**changes):
    return from_dict(
        {
            "name": "s", "title": "S", "task": "binary", "target": "y", "positive": "yes", "classes": ["0", "1"],
            "columns": [
                {"name": "a", "low": 0, "high": 10, "integer": True},
                {"name": "c", "kind": "category", "allowed": ["red", "blue"]},
            ],
            "data_rules": {"min_rows": 20},
            **changes,
        }
    )  # fmt: skip


def rows(count=20, **changes):
    frame = pd.DataFrame(
        {
            "a": [str(i * 7 % 11) for i in range(count)],
            "c": ["red", "blue", "blue"] * (count // 3) + ["red"] * (count % 3),
            "y": ["yes", "no"] * (count // 2) + ["yes"] * (count % 2),
            "k": range(count),
        }
    ).astype({"k": str})
    for place, value in changes.items():
        column, row = place.split("_")
        frame.loc[int(row), column] = value
    return frame


def found(report, check):
    return [(f.level, f.column, f.count, f.rows) for f in report.findings if f.check == check]


def keyed(**changes):
    extra = {"name": "k", "kind": "category", "role": "key"}
    base = {
        "columns": [
            {"name": "a", "low": 0, "high": 10, "integer": True},
            {"name": "c", "kind": "category", "allowed": ["red", "blue"]},
            extra,
        ]
    }
    return small(**{**base, "key": "k", **changes})


def test_clean_data_is_ok():
    report = validate(rows(), keyed(), purpose="training")
    assert (report.verdict, report.ok, report.findings, report.row_count) == ("ok", True, (), 20)


@pytest.mark.parametrize(("purpose", "level"), [("training", "error"), ("scoring", "warning")])
def test_impossible_values_stop_training_and_warn_in_scoring(purpose, level):
    report = validate(rows(a_2="99", a_5="-1", a_7="x", c_3="green"), keyed(), purpose=purpose)
    assert found(report, "range") == [(level, "a", 2, (3, 6))]
    assert found(report, "type") == [(level, "a", 1, (8,))]
    assert found(report, "allowed") == [(level, "c", 1, (4,))]
    assert report.ok == (purpose == "scoring")


def test_a_fraction_where_whole_numbers_are_expected_warns():
    assert found(validate(rows(a_0="1.5"), keyed(), purpose="training"), "integer") == [("warning", "a", 1, (1,))]


def test_at_most_20_rows_are_listed():
    frame = rows(60)
    frame["a"] = "99"
    [(_, _, count, listed)] = found(validate(frame, keyed(), purpose="training"), "range")
    assert (count, listed) == (60, tuple(range(1, 21)))


def test_absent_and_output_columns_are_findings_not_exceptions():
    report = validate(rows().drop(columns=["a", "y"]), keyed(), purpose="training")
    assert [(f.level, f.check, f.column) for f in report.findings] == [("error", "schema", "a"), ("error", "schema", "y")]
    assert not validate(rows().assign(score="1"), keyed(), purpose="scoring").ok
    assert found(validate(rows().assign(note="1"), keyed(), purpose="training"), "schema") == [("info", "note", 0, ())]


def test_a_column_that_cannot_be_read_is_an_error_in_scoring_too():
    report = validate(rows().assign(a="fast"), keyed(), purpose="scoring")
    assert [(f.level, f.column, f.count) for f in report.errors] == [("error", "a", 20)]


@pytest.mark.parametrize(("missing", "level", "alert"), [(1, "info", False), (3, "warning", False), (6, "warning", True)])
def test_missing_values_inform_warn_and_alert(missing, level, alert):
    frame = rows(60)
    frame.loc[: missing - 1, "a"] = None
    [finding] = [f for f in validate(frame, keyed(columns=[
        {"name": "a", "max_missing": 0.04}, {"name": "c", "kind": "category"}, {"name": "k", "kind": "category", "role": "key"}
    ]), purpose="scoring").findings if f.check == "missing"]  # fmt: skip
    assert (finding.level, finding.count, "alert" in finding.text) == (level, missing, alert)


def test_exact_duplicates_warn_with_their_rows():
    frame = rows(k_4="0", a_4="0", c_4="red", y_4="yes")
    assert found(validate(frame, keyed(), purpose="training"), "duplicates") == [("warning", "", 1, (5,))]


def test_too_few_rows_and_a_lone_class_stop_training():
    report = validate(rows(10).assign(y="yes"), keyed(), purpose="training")
    assert [f.check for f in report.errors] == ["rows", "classes"]
    assert validate(rows(10), keyed(), purpose="scoring").ok


def test_a_class_without_rows_warns_and_a_tiny_one_stops():
    definition = keyed(task="multiclass", positive="", classes=["no", "yes", "maybe"])
    assert found(validate(rows(40), definition, purpose="training"), "classes") == [("warning", "y", 0, ())]
    tiny = validate(rows(40, y_0="maybe", y_1="maybe"), definition, purpose="training")
    assert found(tiny, "classes") == [("error", "y", 2, (1, 2))]
    assert found(tiny, "balance") == [("warning", "y", 2, ())]


def test_a_row_without_target_stops_training():
    assert found(validate(rows(y_3=None), keyed(), purpose="training"), "target") == [("error", "y", 1, (4,))]


def test_a_constant_column_warns():
    assert found(validate(rows().assign(a="1"), keyed(), purpose="training"), "constant") == [("warning", "a", 20, ())]


@pytest.mark.parametrize("kind", ["number", "category"])
def test_a_column_that_decides_the_label_is_leakage(kind):
    values = (
        np.arange(60) + np.where(np.arange(60) >= 40, 20, 0)
        if kind == "number"
        else np.where(np.arange(60) >= 40, "late", "soon")
    )
    frame = rows(60).assign(z=values.astype(str), y=np.where(np.arange(60) >= 40, "yes", "no"))
    definition = keyed(columns=[{"name": "a"}, {"name": "z", "kind": kind}])
    report = validate(frame, definition, purpose="training")
    assert [f.column for f in report.errors if f.check == "leakage"] == ["z"]
    assert score_columns(prepare(frame, definition, purpose="training"), definition)["z"] == 1.0


def test_a_number_that_is_the_target_in_other_units_is_leakage():
    chance = np.random.default_rng(0)
    y = chance.normal(size=400)
    frame = pd.DataFrame({"same": y * 3 + 1, "noise": chance.normal(size=400), "y": y})
    definition = from_dict(
        {
            "name": "r",
            "title": "R",
            "task": "regression",
            "target": "y",
            "metric": "r2",
            "columns": [{"name": "same"}, {"name": "noise"}],
        }
    )
    assert [f.column for f in validate(frame, definition, purpose="training").errors] == ["same"]


def test_drift_against_the_version_before_warns():
    comparison = [("a", 0.81, "drift"), ("c", 0.2, "ok"), ("k", 0.6, "warning")]
    report = validate(rows(), keyed(), purpose="training", comparison=comparison)
    assert found(report, "drift") == [("warning", "a", 0, ()), ("warning", "k", 0, ())]


def test_a_report_survives_json():
    report = validate(rows(a_2="99", c_1=None), keyed(), purpose="training")
    assert Report.from_dict(json.loads(json.dumps(report.to_dict()))) == report


def test_cleveland_may_be_trained_on():
    report = validate(read_table(HEART.format("cleveland")), load_sample("heart_disease"), purpose="training")
    assert report.ok
    assert {(f.column, f.count) for f in report.findings if f.check == "missing"} == {("ca", 4), ("thal", 2)}


def test_switzerland_has_no_cholesterol_at_all():
    for purpose, level in (("training", "error"), ("scoring", "warning")):
        report = validate(read_table(HEART.format("switzerland")), load_sample("heart_disease"), purpose=purpose)
        [finding] = [f for f in report.findings if f.check == "range"]
        assert (finding.level, finding.column, finding.count) == (level, "chol", 123)
        assert "chol 0 is outside 100..600" in finding.text


def test_hungary_is_still_scored():
    table, definition = read_table(HEART.format("hungary")), load_sample("heart_disease")
    report = validate(table, definition, purpose="scoring")
    assert report.ok
    assert [f.count for f in report.warnings if f.check == "missing" and f.column == "ca"] == [291]
    assert len(prepare(table, definition, purpose="scoring")) == 294


def test_the_models_output_is_checked():
    good = np.array([[0.2, 0.8], [0.9, 0.1]])
    assert check_output("binary", ["1", "0"], good, 2, classes=("0", "1")) == []
    assert [f.count for f in check_output("binary", ["1"], good, 2)] == [0]
    for bad, words in (([0.2, 0.7], "add up"), ([1.2, -0.2], "outside"), ([np.nan, 1], "not finite")):
        [finding] = check_output("binary", ["1", "0"], np.array([good[0], bad]), 2, classes=("0", "1"))
        assert (finding.count, finding.rows) == (1, (2,))
        assert words in finding.text
    assert [f.rows for f in check_output("multiclass", ["a", "z"], None, 2, classes=("a", "b"))] == [(2,)]
    texts = [f.text for f in check_output("ranking", [1.0, np.nan, np.inf, 9.0], None, 4, low=0, high=4)]
    assert texts == ["1 predictions are not a number.", "1 predictions are infinite.", "1 predictions lie outside 0..4."]


def test_importing_the_report_does_not_import_pandera_or_sklearn():
    code = "import sys, core.datasets.validation; print([m for m in ('pandera', 'sklearn', 'pandas') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
