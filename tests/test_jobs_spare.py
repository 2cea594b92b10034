"""A worker that waits for its job: used once, like any other, and gone with the console."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from core.acts import Actor
from core.jobs import jobs, spare, worker
from core.jobs import supervisor as supervising
from core.jobs.spare import Spare
from core.jobs.supervisor import Supervisor
from core.monitoring import health
from core.scoring.job import start_scoring
from core.times import stamp, utc_now
from storage import jobs as store
from storage.connection import writing
from tests.test_jobs import until

PROJECT = "heart_disease"
ONE_ROW = b"""age,sex,cp,trestbps,chol,fbs,restecg,thalch,exang,oldpeak,slope,ca,thal
63,Male,asymptomatic,145,233,True,normal,150,False,2.3,flat,0,normal
"""


def start(home):
    return start_scoring(home, Actor("developer"), PROJECT, ONE_ROW, file_name="in.csv")["id"]


@contextmanager
def waiting(home, ahead=()):
    """A spare worker that is ready. No fixture: pytest changes the environment between setup and call."""
    found = Spare(home, ahead)
    found.start()
    assert until(found.is_ready)
    try:
        yield found
    finally:
        found.end()


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def open_files(pid):
    return {os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")}


def test_a_spare_worker_becomes_the_worker_of_one_job_and_another_follows(trained_home, monkeypatch):
    monkeypatch.setattr(supervising, "REST_SECONDS", 0.5)
    supervisor = Supervisor(trained_home, poll=0.05, spare=True)
    supervisor._spare = kept = Spare(trained_home, ahead=("core.scoring.job", "no_such_module"))
    supervisor.start()
    try:
        time.sleep(0.3)
        assert kept.pid is None  # nobody said yet that there is time
        supervisor.keep_spare()
        assert until(kept.is_ready)  # a module that cannot be loaded is left to the job that needs it
        first = kept.pid
        assert os.getsid(first) == first
        assert not any(name.startswith(str(trained_home.root)) for name in open_files(first))
        assert "No job is running" in next(part.reason for part in health.check_health(trained_home, now=utc_now()) if part.name == "workers")
        job_id = start(trained_home)
        assert until(lambda: jobs.get_job(trained_home, job_id).finished)
        job = jobs.get_job(trained_home, job_id)
        assert (job.state, job.pid, job.outcome["rows"]) == ("done", first, 1), job.error
        assert (trained_home.logs / f"job_{job_id}.log").exists()
        assert until(lambda: kept.pid not in (None, first))
        last = kept.pid
    finally:
        supervisor.stop()
    assert gone(first)
    assert gone(last)


def test_a_console_that_is_killed_leaves_no_spare_worker_behind(trained_home):
    driver = (
        "import sys, time; from pathlib import Path; from core.home import Home; from core.jobs.supervisor import Supervisor\n"
        "s = Supervisor(Home(Path(sys.argv[1]), Path(sys.argv[2])), poll=0.05, spare=True); s.start(); s.keep_spare()\n"
        "while not s._spare.is_ready(): time.sleep(0.05)\n"
        "print(s._spare.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", driver, str(trained_home.root), str(trained_home.models)]
    with subprocess.Popen(command, cwd=worker.ROOT, stdout=subprocess.PIPE) as console:
        pid = int(console.stdout.readline())
        assert not gone(pid)
        console.send_signal(signal.SIGKILL)
    assert until(lambda: gone(pid), 10)


def test_a_job_whose_spare_worker_is_killed_is_noted_like_any_other(trained_home):
    supervisor = Supervisor(trained_home)
    with waiting(trained_home) as supervisor._spare:
        pid = supervisor._spare.pid
        job_id = start(trained_home)
        supervisor.turn()
        os.killpg(pid, signal.SIGKILL)
        assert until(lambda: supervisor.turn() or jobs.get_job(trained_home, job_id).finished)
    assert "SIGKILL" in jobs.get_job(trained_home, job_id).error


def test_a_spare_worker_that_died_takes_nothing_and_is_replaced_a_few_times_only(trained_home, caplog):
    with waiting(trained_home) as found:
        for number in range(spare.TRIES):
            if number:
                found.start()
            found._process.kill()
            found._process.wait()
            assert found.take(1) is None
            assert found.is_missing() == (number < spare.TRIES - 1)
    assert [record.getMessage() for record in caplog.records] == [
        "the spare worker ended by itself (code -9)",
        "the spare worker ended by itself (code -9)",
        "the spare worker ended by itself (code -9); no further one is started",
    ]


@pytest.mark.parametrize("change", ["environment", "libraries", "code"])
def test_a_spare_worker_from_before_a_change_is_not_used(trained_home, monkeypatch, change):
    with waiting(trained_home) as found:
        pid = found.pid
        if change == "environment":
            monkeypatch.setenv("GREENLIGHT_WORKERS", "1")
        else:
            changed = "site-packages" if change == "libraries" else "core/scoring/job.py"
            monkeypatch.setattr(spare, "_changed", lambda path, real=spare._changed: real(path) + str(path).endswith(changed))
        assert found.take(1) is None
        assert gone(pid)
        assert found.is_missing()  # another may be started


def test_a_spare_worker_that_does_not_answer_is_given_up_and_the_job_runs_all_the_same(trained_home, monkeypatch):
    monkeypatch.setattr(spare, "ANSWER_SECONDS", 0.2)
    supervisor = Supervisor(trained_home)
    with waiting(trained_home) as supervisor._spare:
        pid = supervisor._spare.pid
        os.kill(pid, signal.SIGSTOP)
        job_id = start(trained_home)
        supervisor.turn()
        assert gone(pid)
        assert until(lambda: supervisor.turn() or jobs.get_job(trained_home, job_id).finished)
    assert jobs.get_job(trained_home, job_id).state == "done"


def test_no_spare_worker_is_started_beside_a_job_of_anybody(trained_home):
    supervisor = Supervisor(trained_home, spare=True)
    supervisor._spare = kept = Spare(trained_home, ahead=())
    supervisor.keep_spare()
    job_id = start_scoring(trained_home, Actor("developer"), PROJECT, ONE_ROW, file_name="in.csv", owner="cli")["id"]
    with writing(trained_home.db) as db:
        store.mark_running(db, job_id, pid=os.getpid(), at=stamp(utc_now()))
    supervisor.turn()
    assert kept.pid is None
    with writing(trained_home.db) as db:
        store.finish(db, job_id, state="done", at=stamp(utc_now()))
    supervisor.turn()
    assert kept.pid is not None
    supervisor.stop()
    assert kept.pid is None


def test_one_that_is_still_loading_is_kept_for_the_next_job(trained_home):
    loading = Spare(trained_home)
    loading.start()
    pid = loading.pid
    assert loading.take(1) is None
    assert loading.pid == pid
    loading.end()
    assert gone(pid)
