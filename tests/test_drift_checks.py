"""Drift checks as acts: against the log, a file, another dataset; stored, judged, with Evidently's own verdict beside."""

from datetime import timedelta
from pathlib import Path

import pytest

from core import audit
from core.acts import Actor
from core.drift import checks
from core.errors import BadInput, NotFound, Refused
from core.jobs import jobs, worker
from core.scoring.files import predict_file
from core.scoring.labels import feed_labels
from core.times import utc_now

PROJECT = "heart_disease"
SCIENTIST = Actor("scientist")
DATA = Path(__file__).resolve().parents[1] / "samples" / "heart_disease" / "data"


def upload(name):
    return checks.Upload((DATA / name).read_bytes(), name)


def test_switzerland_shows_chol_as_broken(trained_home):
    made = checks.run_check(trained_home, SCIENTIST, PROJECT, current=upload("heart_switzerland.csv"), evidently=False)
    check = checks.get_check(trained_home, made["id"])
    chol = check.result.column("chol")
    assert (round(chol.score, 2), chol.status) == (0.98, "drift")
    assert check.overall == pytest.approx(0.77, abs=0.01)
    assert check.alert["level"] == "high"
    assert "chol" in check.alert["columns"]
    assert check.result.prediction is not None
    # the file has labels, so quality stands beside: and it is bad
    assert check.quality["rows"] == 123
    assert check.quality["now"]["accuracy"] < check.quality["now"]["baseline_accuracy"]


def test_the_training_data_against_itself_is_ok(trained_home):
    made = checks.run_check(trained_home, SCIENTIST, PROJECT, current=upload("heart_cleveland.csv"), evidently=False)
    assert (made["overall"], made["band"]) == (0.0, "ok")


def test_logged_predictions_of_a_period_are_checked_with_their_labels(trained_home, tmp_path):
    now = utc_now()
    predict_file(trained_home, SCIENTIST, PROJECT, DATA / "heart_hungary.csv", tmp_path / "out.csv", source="t", now=now)
    period = checks.Period(since=now - timedelta(hours=1), until=now + timedelta(hours=1))
    made = checks.run_check(trained_home, SCIENTIST, PROJECT, current=period, evidently=False)
    check = checks.get_check(trained_home, made["id"])
    assert check.overall == pytest.approx(0.69, abs=0.01)
    assert (check.current["kind"], check.current["rows"], check.quality) == ("log", 294, None)
    import pandas as pd

    answers = pd.read_csv(tmp_path / "out.csv")[["prediction_id", "num"]]
    feed_labels(trained_home, SCIENTIST, PROJECT, answers.to_csv(index=False).encode(), file_name="l.csv")
    again = checks.get_check(trained_home, checks.run_check(trained_home, SCIENTIST, PROJECT, current=period, evidently=False)["id"])
    assert again.quality["rows"] == 294
    assert checks.find_latest(trained_home, PROJECT).id == again.id
    assert [c["id"] for c in checks.list_checks(trained_home, PROJECT)] == [again.id, check.id]


def test_an_empty_period_says_what_to_do(trained_home):
    with pytest.raises(BadInput, match="No predictions were logged"):
        checks.run_check(trained_home, SCIENTIST, PROJECT, current=checks.Period())


def test_few_rows_are_unknown_not_healthy(trained_home, tmp_path):
    lines = (DATA / "heart_hungary.csv").read_text().splitlines()[:11]
    made = checks.run_check(
        trained_home, SCIENTIST, PROJECT, current=checks.Upload("\n".join(lines).encode(), "few.csv"), evidently=False
    )
    assert (made["overall"], made["band"]) == (None, "unknown")
    assert checks.get_check(trained_home, made["id"]).alert["level"] == "unknown"


def test_a_file_may_be_the_reference(trained_home):
    made = checks.run_check(
        trained_home, SCIENTIST, PROJECT, reference=upload("heart_hungary.csv"), current=upload("heart_hungary.csv"), evidently=False
    )
    assert made["overall"] == 0.0


def test_only_who_may_analyse_drift_runs_checks(trained_home):
    for who in ("director", "developer", "admin"):
        with pytest.raises(Refused):
            checks.run_check(trained_home, Actor(who), PROJECT, current=upload("heart_hungary.csv"))
    assert checks.find_latest(trained_home, PROJECT) is None
    assert audit.search(trained_home, action="check_drift", outcome="refused")[1] == 3


def test_a_check_that_does_not_exist_is_named(trained_home):
    with pytest.raises(NotFound, match="5"):
        checks.get_check(trained_home, 5)


def test_evidentlys_verdict_is_stored_beside_ours_by_a_worker(trained_home):
    made = checks.run_check(trained_home, SCIENTIST, PROJECT, current=upload("heart_switzerland.csv"), owner="cli")
    job = worker.wait_for(trained_home, made["job"], worker.start_process(trained_home, made["job"]))
    assert job.state == "done", job.error
    check = checks.get_check(trained_home, made["id"])
    verdicts = {c["name"]: c["status"] for c in check.evidently["columns"]}
    assert verdicts["chol"] == "drift"
    report = trained_home.reports / check.report
    assert report.stat().st_size > 100_000
    assert jobs.get_job(trained_home, made["job"]).outcome == {"check": made["id"]}
