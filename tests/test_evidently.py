"""The report by Evidently: on real hospitals, and with columns that would spoil it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.drift import evidently_adapter as A
from core.errors import BadInput
from core.projects.definition import Column, Definition

DATA = Path(__file__).parent.parent / "samples" / "heart_disease" / "data"
NUMBERS = ("age", "trestbps", "chol", "thalch", "oldpeak", "ca")
CATEGORIES = ("sex", "cp", "fbs", "restecg", "exang", "slope", "thal")
HEART = Definition(
    name="heart", title="Heart", task="binary", target="num", positive=">0", classes=("0", "1"),
    columns=(*(Column(n) for n in NUMBERS), *(Column(n, kind="category") for n in CATEGORIES)),
)


def hospital(name):
    table = pd.read_csv(DATA / f"heart_{name}.csv")
    return table.drop(columns="num"), np.where(table["num"] > 0, "1", "0")


@pytest.fixture(scope="module")
def hungary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    reference, reference_target = hospital("cleveland")
    current, target = hospital("hungary")
    labels = target.astype(object)
    labels[100:] = None  # labels come late: only the first 100 rows have one
    predictions = target.copy()
    predictions[:10] = "1"  # ten wrong ones: the first hundred patients are healthy
    predictions[100:] = "0"
    verdict = A.full_report(
        reference, current.assign(slope=np.nan), definition=HEART, html_path=folder / "drift.html",
        reference_target=reference_target, current_target=labels,
        reference_predictions=reference_target, current_predictions=predictions,
    )
    return folder, verdict


def test_each_column_gets_score_method_and_threshold(hungary):
    columns = {c.name: c for c in hungary[1].columns}
    assert list(columns) == [*NUMBERS, *CATEGORIES]
    assert (columns["age"].status, columns["age"].method, columns["age"].threshold) == ("drift", "K-S p_value", 0.05)
    assert columns["age"].score < 1e-10
    assert columns["sex"].status == "ok"


def test_an_all_missing_column_is_unknown_and_the_rest_stands(hungary):
    columns = {c.name: c for c in hungary[1].columns}
    assert (columns["slope"].status, columns["slope"].score) == ("unknown", None)
    assert columns["slope"].reason == "The current period holds no value of slope."
    measured = [c for c in columns.values() if c.status != "unknown"]
    assert len(measured) == 12
    assert hungary[1].drifted_share == sum(c.status == "drift" for c in measured) / 12


def test_target_and_prediction_drift_stand_beside_the_features(hungary):
    assert (hungary[1].prediction.name, hungary[1].prediction.status) == ("prediction", "drift")
    assert (hungary[1].target.name, hungary[1].target.status) == ("num", "drift")


def test_quality_is_measured_on_the_labelled_rows_only(hungary):
    assert hungary[1].quality["accuracy"] == pytest.approx(0.90)
    assert hungary[1].reference_quality["accuracy"] == 1.0
    assert hungary[1].quality_reason == ""


def test_the_reports_are_whole_pages(hungary):
    folder, verdict = hungary
    assert (verdict.html, verdict.quality_html) == ("drift.html", "drift_quality.html")
    assert sorted(p.name for p in folder.iterdir()) == ["drift.html", "drift_quality.html"]
    assert "thalch" in (folder / "drift.html").read_text(encoding="utf-8")


def test_a_verdict_survives_json(hungary):
    assert A.verdict_from_json(A.verdict_to_json(hungary[1])) == hungary[1]


def test_a_large_period_is_sampled_by_seed_and_says_so(tmp_path):
    reference, _ = hospital("cleveland")
    runs = [
        A.full_report(reference, reference, definition=HEART, html_path=tmp_path / "a.html", sample=100, seed=seed)
        for seed in (1, 1, 2)
    ]
    assert (runs[0].sampled, runs[0].reference_rows, runs[0].current_rows) == (True, 100, 100)
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_constant_absent_and_empty_columns_leave_the_others_standing(tmp_path):
    definition = Definition("tiny", "Tiny", "regression", "y", (*map(Column, ("a", "same", "gone", "empty")),), metric="r2")
    reference = pd.DataFrame({"a": np.arange(50.0), "same": 5.0, "gone": 1.0, "empty": np.nan})
    current = pd.DataFrame({"a": np.arange(50.0) + 40, "same": 6.0, "empty": np.nan})
    verdict = A.full_report(
        reference, current, definition=definition, html_path=tmp_path / "r.html",
        reference_predictions=np.arange(50.0), current_predictions=np.arange(50.0),
    )
    assert [c.status for c in verdict.columns if c.name != "same"] == ["drift", "unknown", "unknown"]
    assert verdict.columns[2].reason == "The current period has no gone."
    assert verdict.prediction.status == "ok"
    assert verdict.target is None
    assert verdict.quality == {}


def test_a_column_that_breaks_evidently_is_found_and_left_out(tmp_path, monkeypatch):
    whole = A._run_drift

    def break_on_age(reference, current, names, *rest):
        if "age" in names:
            raise ValueError("odd values\nsecond line")
        return whole(reference, current, names, *rest)

    monkeypatch.setattr(A, "_run_drift", break_on_age)
    reference, _ = hospital("cleveland")
    verdict = A.full_report(reference, reference, definition=HEART, html_path=tmp_path / "r.html")
    columns = {c.name: c for c in verdict.columns}
    assert columns["age"].reason == "Evidently cannot measure age: odd values second line"
    assert [c.status for c in verdict.columns if c.name != "age"] == ["ok"] * 12
    assert (tmp_path / "r.html").exists()


def test_markup_in_names_and_values_stays_text(tmp_path):
    attack = "</script><script>alert(1)</script>"
    columns = (Column(attack), Column("c", kind="category"))
    definition = Definition("tiny", "Tiny", "multiclass", "<b>y", columns, classes=("L", attack))
    table = pd.DataFrame({attack: np.arange(60.0), "c": ["a", attack] * 30})
    labels = ["L", attack, "H"] * 20
    verdict = A.full_report(
        table, table, definition=definition, html_path=tmp_path / "r.html",
        reference_target=labels, current_target=labels, reference_predictions=labels, current_predictions=labels,
    )
    assert verdict.columns[0].name == attack
    assert verdict.quality["accuracy"] == 1.0
    for page in tmp_path.iterdir():
        assert "<script>alert" not in page.read_text(encoding="utf-8")
    assert len(list(tmp_path.iterdir())) == 2


def test_labels_of_one_class_give_a_reason_instead_of_a_quality(tmp_path):
    reference, _ = hospital("cleveland")
    ones = ["1"] * len(reference)
    verdict = A.full_report(
        reference, reference, definition=HEART, html_path=tmp_path / "r.html", current_target=ones, current_predictions=ones
    )
    assert verdict.quality_reason == "Evidently needs both classes to measure the quality; only 1 occurs."
    assert verdict.target.reason == "The reference has no num."


def test_under_thirty_rows_the_report_is_refused(tmp_path):
    reference, _ = hospital("cleveland")
    with pytest.raises(BadInput, match="at least 30 rows; the current period has 29"):
        A.full_report(reference, reference.head(29), definition=HEART, html_path=tmp_path / "r.html")


def test_importing_the_adapter_does_not_import_evidently():
    code = "import sys, core.drift.evidently_adapter; sys.exit('evidently' in sys.modules)"
    root = Path(__file__).parent.parent
    assert subprocess.run([sys.executable, "-c", code], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}).returncode == 0
