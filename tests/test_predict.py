"""Predict and log: every row logged with all its features, ids that find it again, counts that agree, labels that return."""

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core import clock, deployment
from core.acts import Actor
from core.errors import BadInput, Cancelled, NotFound, Refused
from core.projects.projects import get_definition
from core.registry import versions
from core.retraining import triggers
from core.scoring import accuracy, labels, log
from core.scoring import job as scoring_job
from core.scoring.files import predict_file
from core.scoring.predict import predict_rows
from core.scoring.scorer import load_scorer, score, score_with
from core.times import utc_now
from core.training import runs

PROJECT = "heart_disease"
ANN = Actor("developer")
DATA = Path(__file__).resolve().parents[1] / "samples" / "heart_disease" / "data"
ROW = {
    "age": 63, "sex": "Male", "cp": "asymptomatic", "trestbps": 145, "chol": 233, "fbs": "True", "restecg": "normal", "thalch": 150,
    "exang": "False", "oldpeak": 2.3, "slope": "flat", "ca": 0, "thal": "normal",
}  # fmt: skip


def score_hungary(home, tmp_path, **kwargs):
    out = tmp_path / "out.csv"
    return predict_file(home, ANN, PROJECT, DATA / "heart_hungary.csv", out, source="test", **kwargs), out


def test_hungary_is_predicted_row_by_row_with_the_contracts_columns(trained_home, tmp_path):
    summary, out = score_hungary(trained_home, tmp_path)
    source, result = pd.read_csv(DATA / "heart_hungary.csv"), pd.read_csv(out)
    assert list(result.columns) == [*source.columns, "prediction_id", "prediction", "score", "confidence", "problems"]
    assert (summary.rows, len(result)) == (294, 294)
    assert summary.by_prediction == {str(k): int(v) for k, v in result["prediction"].value_counts().items()}
    assert result["age"].tolist() == source["age"].tolist()
    assert "ca is missing" in result["problems"][0]
    assert ((result["score"] >= 50) == (result["prediction"] == 1)).all()
    confident = np.where(result["prediction"] == 1, result["score"], 100 - result["score"]) / 100
    assert np.allclose(result["confidence"], confident)


def test_every_row_is_in_the_log_with_all_its_features(trained_home, tmp_path):
    _, out = score_hungary(trained_home, tmp_path)
    result, logged = pd.read_csv(out), log.read(trained_home, PROJECT)
    assert logged["prediction_id"].tolist() == result["prediction_id"].tolist()
    assert logged["out:prediction"].astype(int).tolist() == result["prediction"].tolist()
    for column in get_definition(trained_home, PROJECT).features:
        assert column.name in logged.columns
    assert logged["age"].tolist() == result["age"].tolist()
    one = log.get_prediction(trained_home, PROJECT, result["prediction_id"][7])
    assert (one["age"], one["out:prediction"], one["version"]) == (result["age"][7], str(result["prediction"][7]), "1.0.0")


@pytest.mark.parametrize("wrong", ["", "-1", "abc", "abc-1", "x" * 300, "{uid}-0", "{uid}-2", "{uid}-١", "{uid}-1 "])
def test_an_id_that_no_prediction_has_is_not_found(trained_home, wrong):
    uid = predict_rows(trained_home, ANN, PROJECT, [ROW], source="t").outputs["prediction_id"][0].split("-")[0]
    with pytest.raises(NotFound):
        log.get_prediction(trained_home, PROJECT, wrong.replace("{uid}", uid))
    with pytest.raises(NotFound):
        log.get_prediction(trained_home, "future_skills", f"{uid}-1")


def test_counts_of_today_and_by_class_come_from_the_same_rows(trained_home, tmp_path):
    now = utc_now()
    summary, _ = score_hungary(trained_home, tmp_path, now=now)
    predict_rows(trained_home, ANN, PROJECT, [ROW], source="form", now=now - timedelta(days=2))
    assert log.count_today(trained_home, PROJECT, now=now) == 294
    by_label = log.count_by_label(trained_home, PROJECT, now=now)
    assert sum(by_label.values()) == 295
    assert log.count_by_label(trained_home, PROJECT, now=now, days=1) == summary.by_prediction


def test_an_unknown_category_and_a_missing_value_are_predicted_and_listed(trained_home):
    answer = predict_rows(trained_home, ANN, PROJECT, [{**ROW, "thal": "purple", "chol": None}], source="form")
    problems = answer.outputs["problems"][0]
    assert "chol is missing" in problems
    assert "purple" in problems
    assert answer.outputs["prediction"][0] in ("0", "1")
    assert answer.probabilities[0].sum() == pytest.approx(1)


@pytest.mark.parametrize("who", ["scientist", "director", "devops", "developer", "admin"])
def test_everybody_signed_in_may_predict(trained_home, who):
    assert len(predict_rows(trained_home, Actor(who), PROJECT, [ROW], source="t").outputs) == 1


def test_a_version_without_the_green_light_answers_nobody(trained_home):
    row = next(c for c in runs.list_candidates(trained_home, 1) if c.name == "random_forest")
    made = versions.register(trained_home, Actor("scientist"), row.id, threshold=0.4)
    with pytest.raises(Refused, match=f"Version {made['version']} of {PROJECT} was never live"):
        predict_rows(trained_home, ANN, PROJECT, [ROW], source="t", version=made["version"])
    assert log.read(trained_home, PROJECT).empty
    assert predict_rows(trained_home, ANN, PROJECT, [ROW], source="t", version="1.0.0").version == "1.0.0"


@pytest.mark.parametrize("who", ["nobody", "agent"])
def test_strangers_may_not_predict_and_nothing_is_logged(trained_home, who):
    with pytest.raises(Refused):
        predict_rows(trained_home, Actor(who), PROJECT, [ROW], source="t")
    assert log.read(trained_home, PROJECT).empty


def test_nothing_live_says_what_to_do(demo_home, tmp_path):
    with pytest.raises(NotFound, match="no live version"):
        score_hungary(demo_home, tmp_path)


def test_a_broken_line_far_down_refuses_the_file_before_anything_is_logged(trained_home, tmp_path):
    lines = (DATA / "heart_hungary.csv").read_text().splitlines()
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join([lines[0], *lines[1:] * 100, "1,2,3"]))
    with pytest.raises(BadInput, match=r"29402|29,402"):
        predict_file(trained_home, ANN, PROJECT, bad, tmp_path / "out.csv", source="t")
    assert log.read(trained_home, PROJECT).empty
    assert not (tmp_path / "out.csv").exists()


def test_a_csv_that_already_has_an_output_column_is_refused_by_name(trained_home, tmp_path):
    frame = pd.read_csv(DATA / "heart_hungary.csv").assign(score=1)
    frame.to_csv(tmp_path / "in.csv", index=False)
    with pytest.raises(BadInput, match="score"):
        predict_file(trained_home, ANN, PROJECT, tmp_path / "in.csv", tmp_path / "out.csv", source="t")


def test_many_chunks_keep_their_order_and_progress_reaches_the_end(trained_home, tmp_path, monkeypatch):
    from core.scoring import files

    monkeypatch.setattr(files, "CHUNK_ROWS", 17)
    seen = []
    summary, out = score_hungary(trained_home, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (294, 294)
    assert len(seen) == 18
    assert pd.read_csv(out)["age"].tolist() == pd.read_csv(DATA / "heart_hungary.csv")["age"].tolist()
    assert len(log.list_groups(trained_home, PROJECT)) == 18
    assert summary.rows == 294


def test_cancelling_leaves_no_result_file(trained_home, tmp_path):
    def stop():
        raise Cancelled("Cancelled by test.")

    with pytest.raises(Cancelled):
        score_hungary(trained_home, tmp_path, check_cancelled=stop)
    assert not (tmp_path / "out.csv").exists()


def test_rows_split_over_threads_have_equal_bits(trained_home):
    scorer = load_scorer(trained_home, PROJECT)
    from core.datasets.prepare import prepare

    frame = pd.concat([pd.read_csv(DATA / "heart_hungary.csv").drop(columns="num")] * 20, ignore_index=True)
    features = prepare(frame, scorer.definition, purpose="scoring").features
    one, two = score(scorer, features, threads=1), score(scorer, features, threads=2)
    assert (one.probabilities == two.probabilities).all()
    assert (one.prediction == two.prediction).all()


class Fixed:
    """A pipeline that answers what it is told."""

    def __init__(self, classes, probabilities):
        self.classes_ = np.array(classes)
        self._probabilities = np.array(probabilities)

    def predict_proba(self, features):
        return self._probabilities[: len(features)]


def test_level_score_and_confidence_of_future_skills(demo_home):
    definition = get_definition(demo_home, "future_skills")
    assert definition.classes == ("LOW", "MEDIUM", "HIGH")
    # scikit-learn sorts its classes by name; the score must follow the definition's order
    pipeline = Fixed(["HIGH", "LOW", "MEDIUM"], [[0.71, 0.20, 0.09], [0.0, 0.0, 1.0], [0.1, 0.6, 0.3]])
    scored = score_with(pipeline, pd.DataFrame({"a": [1, 2, 3]}), definition, 0.5)
    assert scored.prediction.tolist() == ["HIGH", "MEDIUM", "LOW"]
    assert scored.score.tolist() == pytest.approx([75.5, 50.0, 25.0])
    assert scored.confidence.tolist() == pytest.approx([0.71, 1.0, 0.6])


def test_the_decision_threshold_decides(demo_home):
    definition = get_definition(demo_home, PROJECT)
    pipeline = Fixed(["0", "1"], [[0.7, 0.3], [0.69, 0.31]])
    scored = score_with(pipeline, pd.DataFrame({"a": [1, 2]}), definition, 0.31)
    assert scored.prediction.tolist() == ["0", "1"]
    assert scored.confidence.tolist() == pytest.approx([0.7, 0.31])
    assert scored.score.tolist() == pytest.approx([30, 31])


@pytest.mark.parametrize("bad", [[[np.nan, 1.0]], [[2.0, -1.0]], [[0.5, 0.1]], [[np.inf, 0.0]]])
def test_impossible_output_is_refused(demo_home, bad):
    with pytest.raises(Refused, match="output was refused"):
        score_with(Fixed(["0", "1"], bad), pd.DataFrame({"a": [1]}), get_definition(demo_home, PROJECT), 0.5)


def test_scoring_as_a_job_and_its_result(trained_home):
    from core.jobs import worker

    content = (DATA / "heart_hungary.csv").read_bytes()
    job_id = scoring_job.start_scoring(trained_home, ANN, PROJECT, content, file_name="../../h.csv", owner="cli")["id"]
    job = worker.wait_for(trained_home, job_id, worker.start_process(trained_home, job_id))
    assert job.state == "done", job.error
    assert job.outcome["rows"] == 294
    assert len(pd.read_csv(scoring_job.result_path(trained_home, job_id))) == 294


def test_predictions_are_exported_as_json_lines(trained_home, tmp_path):
    _, out = score_hungary(trained_home, tmp_path)
    assert log.export_jsonl(trained_home, PROJECT, tmp_path / "predictions_monitoring.jsonl") == 294
    line = json.loads((tmp_path / "predictions_monitoring.jsonl").read_text().splitlines()[0])
    first = pd.read_csv(out).iloc[0]
    assert (line["prediction_id"], line["version"], line["caller"]) == (first["prediction_id"], "1.0.0", "developer")
    assert line["features"]["age"] == 28
    assert line["features"]["ca"] is None
    assert set(line["probabilities"]) == {"0", "1"}


# Labels


def feed(home, frame, who="scientist", **kwargs):
    return labels.feed_labels(home, Actor(who), PROJECT, frame.to_csv(index=False).encode(), file_name="labels.csv", **kwargs)


def test_labels_come_back_and_give_the_real_accuracy_with_its_baseline(trained_home, tmp_path):
    now = utc_now()
    assert accuracy.live_quality(trained_home, PROJECT, now=now) is None
    _, out = score_hungary(trained_home, tmp_path, now=now)
    result = pd.read_csv(out)
    counts = feed(trained_home, result[["prediction_id", "num"]])
    assert counts == {"new": 294, "corrected": 0, "same": 0, "unknown": 0, "unreadable": 0, "empty": 0, "problems": []}
    quality = accuracy.live_quality(trained_home, PROJECT, now=now + timedelta(minutes=1))
    truth = (result["num"] > 0).astype(int)
    assert quality["rows"] == 294
    assert quality["accuracy"] == pytest.approx((truth == result["prediction"]).mean())
    assert quality["baseline_accuracy"] == pytest.approx(max(truth.mean(), 1 - truth.mean()))
    assert quality["low"] < quality["accuracy"] < quality["high"]
    days = accuracy.daily_accuracy(trained_home, PROJECT, now=now + timedelta(minutes=1))
    assert [d["rows"] for d in days] == [294]
    assert accuracy.live_quality(trained_home, PROJECT, now=now + timedelta(days=40)) is None


def test_a_corrected_label_supersedes_the_older(trained_home):
    ids = predict_rows(trained_home, ANN, PROJECT, [ROW, ROW], source="t").outputs["prediction_id"]
    first = pd.DataFrame({"prediction_id": ids, "label": [1, 0]})
    assert feed(trained_home, first)["new"] == 2
    assert feed(trained_home, first)["same"] == 2
    changed = pd.DataFrame({"prediction_id": [ids[0], "nope-1"], "label": [0, 1]})
    fed = feed(trained_home, changed)
    assert (fed["new"], fed["corrected"], fed["unknown"]) == (0, 1, 1)
    assert fed["problems"] == [{"row": 2, "value": "nope-1", "problem": "'nope-1' belongs to no logged prediction."}]
    assert labels.labels_by_prediction(trained_home, PROJECT) == {ids[0]: "0", ids[1]: "0"}


def test_labels_need_their_columns_and_a_role(trained_home):
    with pytest.raises(BadInput, match="prediction_id and label"):
        feed(trained_home, pd.DataFrame({"a": [1]}))
    with pytest.raises(Refused):
        feed(trained_home, pd.DataFrame({"prediction_id": ["x-1"], "label": [1]}), who="director")


def test_wilson_interval_of_a_known_case():
    # Wilson 95 % interval of 8 of 10, worked by hand
    assert accuracy.wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert accuracy.wilson(0, 5)[0] == 0.0


# The clock


def test_the_clock_says_whether_a_retraining_is_due_and_why(trained_home):
    now = utc_now()
    check = triggers.check(trained_home, PROJECT, now=now)
    assert (check.due, [t.fired for t in check.triggers]) == (False, [False, False, None, None])
    late = triggers.check(trained_home, PROJECT, now=now + timedelta(days=31))
    assert (late.due, [t.fired for t in late.triggers]) == (True, [True, False, None, None])
    untrained = triggers.check(trained_home, "future_skills", now=now)
    assert (untrained.due, untrained.triggers) == (False, ())


def test_enough_new_labels_make_a_retraining_due(trained_home, tmp_path):
    _, out = score_hungary(trained_home, tmp_path)
    feed(trained_home, pd.read_csv(out)[["prediction_id", "num"]].head(100))
    check = triggers.check(trained_home, PROJECT, now=utc_now())
    assert [(t.name, t.value, t.fired) for t in check.triggers][1] == ("new labelled rows", 100, True)


def test_a_tick_writes_each_project_once_an_hour(trained_home):
    now = utc_now()
    assert triggers.find_last_check(trained_home, PROJECT) is None
    assert len(clock.tick(trained_home, now=now)) == 3
    assert clock.tick(trained_home, now=now + timedelta(minutes=59)) == []
    assert len(clock.tick(trained_home, now=now + timedelta(minutes=61))) == 3
    last = triggers.find_last_check(trained_home, PROJECT)
    assert last.due is False
    assert len(last.triggers) == 4


def test_the_clock_runs_in_process_and_stops(trained_home):
    import time

    running = clock.Clock(trained_home, every_seconds=3600)
    running.start()
    end = time.monotonic() + 10
    while triggers.find_last_check(trained_home, PROJECT) is None and time.monotonic() < end:
        time.sleep(0.05)
    running.stop()
    assert triggers.find_last_check(trained_home, PROJECT) is not None


def test_undeploying_stops_the_answers(trained_home):
    deployment.undeploy(trained_home, Actor("devops"), PROJECT)
    with pytest.raises(NotFound):
        predict_rows(trained_home, ANN, PROJECT, [ROW], source="t")
