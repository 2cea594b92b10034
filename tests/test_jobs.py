"""Jobs: their truth survives cancelling, killing and restarting."""

import os
import signal
import time
from datetime import timedelta

import pytest

from core import audit
from core.acts import Actor
from core.errors import NotFound, Refused
from core.jobs import jobs, worker
from core.jobs import supervisor as supervising
from core.jobs.supervisor import Supervisor
from core.times import stamp, utc_now
from core.training import runs
from storage import jobs as store
from storage.connection import writing

PROJECT = "heart_disease"
SCIENTIST = Actor("scientist")
SLOW = [("random_forest", {"n_estimators": 1500}), ("gradient_boosting", {"n_estimators": 1500})]


def start(home, candidates=None, owner="cli"):
    return runs.start_training(home, SCIENTIST, PROJECT, candidates=candidates or SLOW, owner=owner)["id"]


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


def test_a_running_job_tells_candidate_fold_and_share_and_can_be_cancelled(demo_home):
    job_id = start(demo_home)
    process = worker.start_process(demo_home, job_id)
    assert until(lambda: "fold" in jobs.get_job(demo_home, job_id).note), jobs.get_job(demo_home, job_id)
    job = jobs.get_job(demo_home, job_id)
    assert job.state == "running"
    assert 0 < job.share < 1
    assert any(name in job.note for name in ("random_forest", "gradient_boosting", "dummy"))
    jobs.cancel(demo_home, SCIENTIST, job_id)
    began = time.monotonic()
    job = worker.wait_for(demo_home, job_id, process)
    assert (job.state, job.error) == ("cancelled", "Cancelled by scientist. The training was stopped; nothing of it was kept.")
    assert time.monotonic() - began < 15
    assert runs.find_run_of_job(demo_home, job_id) is None
    assert not (demo_home.runs / f"job_{job_id}").exists()
    with pytest.raises(Refused, match="ended already"):
        jobs.cancel(demo_home, SCIENTIST, job_id)


def test_the_supervisor_runs_a_queued_job_and_notes_a_killed_one(demo_home):
    supervisor = Supervisor(demo_home, poll=0.1)
    supervisor.start()
    try:
        quick = start(demo_home, [("logistic_regression", {})], owner="supervisor")
        slow = start(demo_home, owner="supervisor")
        assert until(lambda: jobs.get_job(demo_home, slow).pid is not None)
        os.killpg(jobs.get_job(demo_home, slow).pid, signal.SIGKILL)
        assert until(lambda: jobs.get_job(demo_home, slow).state == "interrupted", 20)
        assert "SIGKILL" in jobs.get_job(demo_home, slow).error
        assert until(lambda: jobs.get_job(demo_home, quick).finished)
        assert jobs.get_job(demo_home, quick).state == "done", jobs.get_job(demo_home, quick).error
        assert runs.find_run_of_job(demo_home, quick).started_by == "scientist"
    finally:
        supervisor.stop()


@pytest.mark.parametrize("hangs", [False, True])
def test_stopping_the_console_stops_its_workers_and_says_so(demo_home, monkeypatch, hangs):
    supervisor = Supervisor(demo_home, poll=0.1)
    supervisor.start()
    slow = start(demo_home, owner="supervisor")
    assert until(lambda: jobs.get_job(demo_home, slow).pid is not None)
    pid = jobs.get_job(demo_home, slow).pid
    if hangs:
        monkeypatch.setattr(supervising, "GRACE_SECONDS", 0.3)
        os.killpg(pid, signal.SIGSTOP)
    supervisor.stop()
    job = jobs.get_job(demo_home, slow)
    assert job.state == "interrupted"
    assert "can be run again" in job.error

    def gone():
        try:
            os.killpg(pid, 0)
        except ProcessLookupError:
            return True
        return False

    assert until(gone, 5)


def test_a_silent_worker_is_shown_as_interrupted_and_then_noted(demo_home):
    job_id = start(demo_home)
    now = utc_now()
    with writing(demo_home.db) as db:
        store.mark_running(db, job_id, pid=999_999, at=stamp(now - timedelta(seconds=31)))
    assert jobs.get_job(demo_home, job_id, now=now).state == "interrupted"
    assert jobs.list_jobs(demo_home, now=now)[0].state == "interrupted"
    assert jobs.note_dead(demo_home, now=now) == [job_id]
    assert jobs.note_dead(demo_home, now=now) == []
    again = jobs.rerun(demo_home, SCIENTIST, job_id)["id"]
    fresh = jobs.get_job(demo_home, again)
    assert (fresh.rerun_of, fresh.params, fresh.state) == (job_id, jobs.get_job(demo_home, job_id).params, "queued")


def test_a_job_with_a_fresh_heartbeat_is_left_alone(demo_home):
    job_id = start(demo_home)
    with writing(demo_home.db) as db:
        store.mark_running(db, job_id, pid=999_999, at=stamp(utc_now()))
    assert jobs.note_dead(demo_home) == []
    with pytest.raises(Refused, match="still running"):
        jobs.rerun(demo_home, SCIENTIST, job_id)


def test_a_queued_job_is_cancelled_at_once_and_never_started(demo_home):
    job_id = start(demo_home)
    jobs.cancel(demo_home, SCIENTIST, job_id)
    assert jobs.get_job(demo_home, job_id).state == "cancelled"
    assert worker.run(demo_home, job_id) == 2


def test_only_who_may_train_may_cancel_or_rerun(demo_home):
    job_id = start(demo_home)
    for who in ("director", "developer", "admin"):
        with pytest.raises(Refused):
            jobs.cancel(demo_home, Actor(who), job_id)
    assert jobs.get_job(demo_home, job_id).state == "queued"
    jobs.cancel(demo_home, Actor("devops"), job_id)
    with pytest.raises(Refused):
        jobs.rerun(demo_home, Actor("director"), job_id)


def test_an_unexpected_error_is_one_sentence_and_a_trace_in_the_log(demo_home):
    job_id = start(demo_home, [("logistic_regression", {})])
    with writing(demo_home.db) as db:
        db.conn.execute("UPDATE jobs SET params = '{}' WHERE id = ?", (job_id,))
    job = worker.wait_for(demo_home, job_id, worker.start_process(demo_home, job_id))
    assert job.state == "failed"
    assert "Traceback" not in job.error
    assert "KeyError" in job.error
    assert "Traceback" in (demo_home.logs / f"job_{job_id}.log").read_text()


def test_a_training_leaves_its_acts_in_the_audit_under_one_correlation_id(trained_home):
    events, _ = audit.search(trained_home, project=PROJECT, limit=50)
    by_action = {e["action"]: e for e in events}
    assert by_action["start_training"]["correlation_id"] == by_action["train"]["correlation_id"]
    assert by_action["train"]["after"]["choice"] == "logistic_regression"


def test_a_job_that_does_not_exist_is_named(demo_home):
    with pytest.raises(NotFound, match="77"):
        jobs.get_job(demo_home, 77)
