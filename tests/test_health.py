"""Health: each part says ok, warning, failed or unknown with its reason, and never well without having looked."""

import os
import shutil
from datetime import timedelta

import pytest

from core import usage
from core.monitoring import health
from core.scoring import journal
from core.times import stamp, utc_now
from storage import accounts as settings_store
from storage import alerts as alerts_store
from storage import jobs as jobs_store
from storage import versions as versions_store
from storage.connection import close_all, reading, writing

HEART = "heart_disease"
GB = 1_000_000_000


def part(home, name, project="", now=None):
    return next(h for h in health.check_health(home, now=now or utc_now()) if (h.name, h.project) == (name, project))


def tick(home, moment):
    with writing(home.db) as db:
        settings_store.set_setting(db, health.LAST_TICK, stamp(moment))


def replayed(home, ok=True, sentence="", at=None, sha=None):
    live = versions_store.find_live(reading(home.db), HEART)
    answer = {"ok": ok, "sentence": sentence, "sha256": sha or live["sha256"]}
    moment = at or utc_now()
    with writing(home.db) as db:
        alerts_store.insert_watch(db, project=HEART, kind="model", at=stamp(moment), next_at=stamp(moment), answer=answer)


def test_a_fresh_installation_is_well_where_it_was_looked_at_and_unknown_elsewhere(demo_home):
    found = {(h.name, h.project): h.state for h in health.check_health(demo_home, now=utc_now())}
    assert found[("database", "")] == found[("write-ahead log", "")] == found[("workers", "")] == "ok"
    assert found[("scheduler", "")] == found[("model", HEART)] == found[("drift check", HEART)] == "unknown"


def test_health_is_told_in_less_than_50_milliseconds(trained_home):
    health.check_health(trained_home, now=utc_now())
    start = utc_now()
    for _ in range(5):
        health.check_health(trained_home, now=start)
    assert (utc_now() - start).total_seconds() / 5 < 0.05


def test_a_damaged_database_is_failed_and_what_depends_on_it_unknown(demo_home):
    close_all()
    for end in ("-wal", "-shm"):
        demo_home.db.with_name(demo_home.db.name + end).unlink(missing_ok=True)
    demo_home.db.write_bytes(b"no database at all" * 100)
    found = health.check_health(demo_home, now=utc_now())
    assert (found[0].name, found[0].state) == ("database", "failed")
    assert found[0].reason.startswith("greenlight.db: file is not a database")
    assert {h.state for h in found if h.name in ("scheduler", "workers", "models")} == {"unknown"}
    assert health.worst(found) == "failed"


def test_a_database_that_is_gone_is_failed(demo_home):
    close_all()
    shutil.move(demo_home.predictions_db, demo_home.root / "elsewhere")
    assert part(demo_home, "database").state == "failed"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_database_that_cannot_be_written_is_failed(demo_home):
    close_all()
    demo_home.db.chmod(0o400)
    assert part(demo_home, "database").state == "failed"


def test_a_writer_that_holds_the_lock_is_a_warning_not_a_failure(demo_home):
    with writing(demo_home.predictions_db):
        found = part(demo_home, "database")
    assert (found.state, found.reason) == ("warning", "predictions.db: readable, but a writer held it for longer than 200 ms.")


@pytest.mark.parametrize(
    ("total", "free", "state"),
    [
        (100 * GB, 50 * GB, "ok"),
        (100 * GB, 10 * GB, "ok"),
        (100 * GB, 9.9 * GB, "warning"),
        (5 * GB, 0.99 * GB, "warning"),
        (5 * GB, 0.1 * GB, "warning"),
        (100 * GB, 0.099 * GB, "failed"),
    ],
)
def test_room_on_the_disk_has_its_three_bands(demo_home, monkeypatch, total, free, state):
    monkeypatch.setattr(usage, "measure_disk", lambda home: usage.Disk(int(total), int(free)))
    assert part(demo_home, "disk space").state == state


def test_a_large_write_ahead_log_is_a_warning(demo_home):
    close_all()
    with demo_home.predictions_db.with_name("predictions.db-wal").open("wb") as file:
        file.truncate(257 * 1024 * 1024)
    found = health._check_wal(demo_home)
    assert (found.state, found.reason[:44]) == ("warning", "The largest is 269 MB (predictions.db): some")


def test_the_journal_is_well_while_its_writer_goes_and_a_warning_when_it_has_ended(demo_home):
    assert part(demo_home, "journal").reason.startswith("Nothing was predicted in this process yet")
    writer = journal.of(demo_home)
    assert part(demo_home, "journal").reason == "0 groups of predictions wait for the disk."
    writer._closing = True  # the writer is on its way out, but still the one of this home
    assert part(demo_home, "journal").state == "warning"
    writer.close()


@pytest.mark.parametrize(("minutes", "state"), [(0, "ok"), (3, "ok"), (4, "warning"), (15, "warning"), (16, "failed")])
def test_a_clock_that_stopped_is_seen_by_the_age_of_its_last_tick(demo_home, minutes, state):
    now = utc_now().replace(microsecond=0)  # stored times have milliseconds
    tick(demo_home, now - timedelta(minutes=minutes))
    assert part(demo_home, "scheduler", now=now).state == state


def job(home, created, **values):
    with writing(home.db) as db:
        number = jobs_store.insert_job(
            db, project=HEART, kind="train", params={}, by="scientist", at=stamp(created), owner="supervisor", correlation_id="c",
            rerun_of=values.pop("rerun_of", None),
        )
        if values.get("running"):
            jobs_store.mark_running(db, number, pid=1, at=values["running"])
    return number


def test_a_job_that_waits_while_nothing_runs_is_failed(demo_home):
    now = utc_now()
    number = job(demo_home, now - timedelta(minutes=11))
    found = part(demo_home, "workers", now=now)
    assert (found.state, found.reason) == ("failed", f"Job {number} has waited 11 minutes and nothing runs.")
    job(demo_home, now - timedelta(minutes=20), running=stamp(now))
    assert part(demo_home, "workers", now=now).state == "warning"


def test_a_dead_worker_is_a_warning_until_its_job_is_run_again(demo_home):
    now = utc_now()
    number = job(demo_home, now - timedelta(minutes=5), running=stamp(now - timedelta(minutes=5)))
    found = part(demo_home, "workers", now=now)
    assert (found.state, found.reason) == ("warning", f"The worker of job {number} (train) died; the job can be run again.")
    job(demo_home, now, rerun_of=number)
    assert part(demo_home, "workers", now=now).state == "ok"


def test_a_live_model_is_well_only_after_its_golden_answers_were_replayed(trained_home):
    assert part(trained_home, "model", HEART).state == "unknown"
    replayed(trained_home, sha="of the version before")
    assert part(trained_home, "model", HEART).state == "unknown"
    replayed(trained_home, at=utc_now() - timedelta(days=1))
    assert part(trained_home, "model", HEART).state == "unknown"
    replayed(trained_home)
    assert part(trained_home, "model", HEART).state == "ok"
    replayed(trained_home, ok=False, sentence="It no longer gives its answers.")
    found = part(trained_home, "model", HEART)
    assert (found.state, found.reason) == ("failed", "It no longer gives its answers.")


def test_the_whole_is_as_ill_as_its_worst_part():
    def states(*given):
        return health.worst([health.Health("x", s, "") for s in given])

    assert states("ok", "ok") == "ok"
    assert states("ok", "unknown") == "unknown"
    assert states("unknown", "warning", "ok") == "warning"
    assert states("failed", "warning") == "failed"
    assert states() == "unknown"


def test_a_mirror_is_a_part_only_where_one_was_switched_on(demo_home, monkeypatch):
    assert "mirror" not in {h.name for h in health.check_health(demo_home, now=utc_now())}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://eva:s3cret@192.0.2.1:5000")
    found = part(demo_home, "mirror")
    assert found.state == "warning"  # MLflow is not installed here
    assert "MLflow is not installed" in found.reason
    assert "s3cret" not in found.reason
