"""Each slot runs once: over downtime, clock steps, several processes and deaths in the middle."""

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core import accounts, audit, clock
from core.acts import Actor
from core.errors import Refused
from core.monitoring import alerts
from core.monitoring.health import LAST_TICK
from core.notify import outbox
from core.schedule import rules, runners, schedules, slots
from core.times import parse, stamp
from storage import schedules as store
from storage.accounts import find_setting
from storage.connection import close_all, reading, writing

ROOT = Path(__file__).resolve().parents[1]
DEVOPS = Actor("devops")
HEART = "heart_disease"
NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)
HOURLY = {"cron": "0 * * * *"}


@pytest.fixture
def ran(monkeypatch):
    """Times at which the drift check ran; the runner is replaced, everything around it is real."""
    seen = []

    def note(home, schedule, now):
        seen.append(stamp(now)[:16])
        return {"sentence": "Looked."}

    monkeypatch.setitem(runners.RUNNERS, "drift_check", note)
    return seen


def schedule(home, rule=HOURLY, kind="drift_check", now=NOON):
    return schedules.set_schedule(home, DEVOPS, HEART, kind, rule, now=now)["id"]


def states(home, schedule_id=1):
    """Slot to the minute -> state, oldest first."""
    return {s.slot_at[5:16]: s.state for s in reversed(schedules.list_slots(home, schedule_id, limit=5000))}


def test_a_slot_runs_when_its_time_has_come_and_not_again(demo_home, ran):
    schedule(demo_home)
    for minutes in (0, 59, 60, 61, 61, 119, 120):
        slots.run_due(demo_home, now=NOON + timedelta(minutes=minutes))
    assert ran == ["2026-03-28T13:00", "2026-03-28T14:00"]
    assert states(demo_home) == {"03-28T13:00": "done", "03-28T14:00": "done"}
    assert {s.trigger for s in schedules.list_slots(demo_home, 1)} == {"schedule"}


def test_after_downtime_each_missed_slot_is_a_row_and_one_run_catches_up(demo_home, ran):
    schedule(demo_home)
    (caught,) = slots.run_due(demo_home, now=NOON + timedelta(hours=5, minutes=20))
    assert (caught.slot_at[11:16], caught.state, caught.trigger, caught.outcome["missed_before"]) == ("17:00", "done", "catch_up", 4)
    assert list(states(demo_home).values()) == ["missed"] * 4 + ["done"]
    assert len(ran) == 1
    assert slots.run_due(demo_home, now=NOON + timedelta(hours=5, minutes=21)) == []


def test_one_late_slot_is_its_own_catch_up(demo_home, ran):
    schedule(demo_home)
    (caught,) = slots.run_due(demo_home, now=NOON + timedelta(hours=1, minutes=45))
    assert (caught.slot_at[11:16], caught.trigger, "missed_before" in caught.outcome) == ("13:00", "catch_up", False)


def test_a_very_long_downtime_keeps_the_newest_missed_slots_and_counts_the_rest(demo_home, ran, monkeypatch):
    monkeypatch.setattr(slots, "MOST_MISSED", 10)
    schedule(demo_home)
    (caught,) = slots.run_due(demo_home, now=NOON + timedelta(hours=100))
    assert caught.outcome["missed_before"] == 99
    oldest = schedules.list_slots(demo_home, 1, limit=100)[-1]
    assert len(states(demo_home)) == 11
    assert "So were 89 slots before it" in oldest.sentence


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_in_the_nights_of_the_time_change_every_slot_runs_once(demo_home, ran, day, hours):
    begin = datetime.fromisoformat(f"{day}T00:00+00:00") - timedelta(hours=3)
    schedule(demo_home, {"every_days": 1, "at": "02:30", "timezone": "Europe/Paris"}, now=begin)
    schedules.set_schedule(demo_home, DEVOPS, HEART, "quality_check", {"cron": "*/30 * * * *", "timezone": "Europe/Paris"}, now=begin)
    for minute in range(0, 26 * 60, 10):
        slots.run_due(demo_home, now=begin + timedelta(minutes=minute))
    assert len(ran) == 1
    half_hours = schedules.list_slots(demo_home, 2, limit=100)
    assert len({s.slot_at for s in half_hours}) == len(half_hours)
    wall = Counter(parse(s.slot_at).astimezone(rules.find_zone("Europe/Paris")).strftime("%m-%d %H:%M") for s in half_hours)
    assert max(wall.values()) == 1


def test_a_clock_that_steps_back_runs_nothing_again(demo_home, ran):
    schedule(demo_home)
    slots.run_due(demo_home, now=NOON + timedelta(hours=3))
    before = list(ran)
    for hours in (1, 2, 2.5, 2.99, 3):
        slots.run_due(demo_home, now=NOON + timedelta(hours=hours))
    assert ran[len(before):] == ["2026-03-28T14:00"]  # called missed before, and now its time comes
    slots.run_due(demo_home, now=NOON + timedelta(hours=4))
    assert states(demo_home) == {"03-28T13:00": "missed", **{f"03-28T{h}:00": "done" for h in (14, 15, 16)}}
    assert ran == ["2026-03-28T15:00", "2026-03-28T14:00", "2026-03-28T16:00"]


def test_a_clock_that_was_a_year_ahead_for_one_turn_does_not_stop_the_schedule_for_a_year(demo_home, ran):
    schedule(demo_home)
    slots.run_due(demo_home, now=NOON + timedelta(hours=1))
    slots.run_due(demo_home, now=NOON + timedelta(days=365))
    assert schedules.count_slots(demo_home, 1) == {"done": 2, "missed": slots.MOST_MISSED}
    slots.run_due(demo_home, now=NOON + timedelta(hours=2))
    slots.run_due(demo_home, now=NOON + timedelta(hours=3))
    assert schedules.count_slots(demo_home, 1) == {"done": 3}
    assert ran[-1] == "2026-03-28T15:00"


def test_of_many_threads_one_runs_each_slot(demo_home, ran):
    schedule(demo_home)
    gate = threading.Barrier(6)

    def turn():
        gate.wait()
        for hours in range(1, 6):
            slots.run_due(demo_home, now=NOON + timedelta(hours=hours))
        close_all()

    threads = [threading.Thread(target=turn) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = [s for s in states(demo_home).values() if s == "done"]
    assert len(ran) == len(done)
    assert set(states(demo_home)) == {f"03-28T{h}:00" for h in range(13, 18)}


def test_a_runner_that_fails_is_failed_with_its_sentence_and_the_others_run(demo_home, ran, monkeypatch):
    def refuse(home, schedule, now):
        raise Refused("The source is closed; open it.")

    def break_down(home, schedule, now):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setitem(runners.RUNNERS, "export", refuse)
    monkeypatch.setitem(runners.RUNNERS, "report", break_down)
    for kind in ("export", "report", "drift_check"):
        schedule(demo_home, kind=kind)
    found = {schedules.get_schedule(demo_home, s.schedule_id).kind: s for s in slots.run_due(demo_home, now=NOON + timedelta(hours=1))}
    assert {kind: s.state for kind, s in found.items()} == {"export": "failed", "report": "failed", "drift_check": "done"}
    assert found["export"].sentence == "The source is closed; open it."
    assert "ZeroDivisionError" in found["report"].sentence
    assert "secret" not in found["report"].sentence
    events = {e["subject"]: e for e in audit.search(demo_home, action="schedule_slot", limit=5)[0]}
    failed = events["schedule 1: export"]
    assert (failed["outcome"], failed["error"], failed["trigger"]) == ("failed", "The source is closed; open it.", "schedule")
    assert failed["correlation_id"] == found["export"].correlation_id


def test_a_rule_that_cannot_be_read_any_more_keeps_no_other_from_its_turn(demo_home, ran, caplog):
    schedule(demo_home, kind="quality_check")
    schedule(demo_home)
    with writing(demo_home.db) as db:  # as when the machine's time zones are older than the rule
        store.update_schedule(db, 1, rule={"cron": "0 * * * *", "timezone": "Europe/Atlantis"})
    assert [s.schedule_id for s in slots.run_due(demo_home, now=NOON + timedelta(hours=1))] == [2]
    assert "schedule 1 (quality_check of heart_disease) cannot be told" in caplog.text


def test_who_set_a_schedule_that_fails_is_told_and_who_runs_it_by_hand_is_not(demo_home, monkeypatch):
    def refuse(home, schedule, now):
        raise Refused("The source is closed; open it.")

    monkeypatch.setitem(runners.RUNNERS, "export", refuse)
    schedule(demo_home, kind="export")
    assert slots.run_now(demo_home, DEVOPS, 1, now=NOON)["state"] == "failed"
    assert outbox.list_deliveries(demo_home) == []
    slots.run_due(demo_home, now=NOON + timedelta(hours=1))
    told = [d for d in outbox.list_deliveries(demo_home) if d.recipient == "devops"]
    assert [(d.event, d.message["facts"]["Error"]) for d in told] == [("job_failed", "The source is closed; open it.")]
    assert told[0].message["link"] == f"/settings?tab=schedules&kind=export&project={HEART}"


def test_a_slow_schedule_does_not_keep_the_clock_from_watching(demo_home, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()

    def wait(home, schedule, now):
        begun.set()
        go_on.wait(30)
        return {"sentence": "Looked."}

    monkeypatch.setitem(runners.RUNNERS, "drift_check", wait)
    schedule(demo_home, {"cron": "* * * * *"}, now=datetime.now(UTC) - timedelta(minutes=2))
    ticking = clock.Clock(demo_home, every_seconds=0.3)
    ticking.start()
    try:
        assert begun.wait(20)
        first = find_setting(reading(demo_home.db), LAST_TICK) or ""
        deadline = time.monotonic() + 20
        while (find_setting(reading(demo_home.db), LAST_TICK) or "") <= first and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (find_setting(reading(demo_home.db), LAST_TICK) or "") > first
        assert "running" in states(demo_home).values()
    finally:
        go_on.set()
        ticking.stop()


def test_of_very_many_slots_the_newest_are_kept(demo_home, ran, monkeypatch):
    monkeypatch.setattr(slots, "MOST_KEPT", 10)
    schedule(demo_home)
    for hours in range(1, 16):
        slots.run_due(demo_home, now=NOON + timedelta(hours=hours))
    assert list(states(demo_home)) == [stamp(NOON + timedelta(hours=h))[5:16] for h in range(6, 16)]


def test_one_of_a_schedule_at_a_time_the_next_slot_is_skipped_and_says_why(demo_home, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()

    def wait(home, schedule, now):
        begun.set()
        go_on.wait(20)
        return {"sentence": "Looked."}

    monkeypatch.setitem(runners.RUNNERS, "drift_check", wait)
    schedule(demo_home)
    slots.run_now(demo_home, DEVOPS, 1, wait=False, now=NOON + timedelta(minutes=30))
    assert begun.wait(10)
    with pytest.raises(Refused, match="is running already"):
        slots.run_now(demo_home, DEVOPS, 1, now=NOON + timedelta(minutes=31))
    assert slots.run_due(demo_home, now=NOON + timedelta(hours=1)) == []
    skipped = schedules.list_slots(demo_home, 1)[0]
    assert (skipped.state, skipped.sentence) == ("skipped", "The slot of 2026-03-28 12:30 UTC still ran.")
    go_on.set()
    deadline = time.monotonic() + 10
    while states(demo_home)["03-28T12:30"] == "running" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert states(demo_home) == {"03-28T12:30": "done", "03-28T13:00": "skipped"}


def test_run_now_twice_with_one_key_runs_once_and_is_the_persons(demo_home, ran):
    schedule(demo_home)
    first = slots.run_now(demo_home, DEVOPS, 1, key="k", now=NOON)
    again = slots.run_now(demo_home, DEVOPS, 1, key="k", now=NOON + timedelta(seconds=5))
    assert (len(ran), first["slot_at"], first["state"]) == (1, again["slot_at"], "done")
    event = audit.search(demo_home, action="schedule_slot", limit=1)[0][0]
    assert event["trigger"] == "person"


def test_a_schedule_whose_account_was_closed_fails_and_says_so(demo_home):
    schedules.set_schedule(demo_home, Actor("admin"), "", "backup", HOURLY, now=NOON)
    accounts.add_account(demo_home, Actor("admin"), "other", "admin")
    accounts.close_account(demo_home, Actor("other"), "admin")
    (slot,) = slots.run_due(demo_home, now=NOON + timedelta(hours=1))
    assert (slot.state, "no active account 'admin'" in slot.sentence) == ("failed", True)


WORKER = """
import os, sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from core.home import Home
from core.schedule import runners, slots
root, effects, began, speed, step, hold = Path(sys.argv[1]), sys.argv[2], *map(float, sys.argv[3:])
home = Home(root, root / "models")
def note(home, schedule, now):
    line = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(line, (slots.stamp(now) + "\\n").encode())
    os.close(line)
    time.sleep(hold)
    return {"sentence": "Looked."}
runners.RUNNERS["drift_check"] = note
print("up", flush=True)
start = datetime(2026, 3, 28, 12, tzinfo=UTC)
while True:
    slots.run_due(home, now=start + timedelta(hours=step + (time.time() - began) * speed))
    time.sleep(0.002)
"""


def start_worker(home, effects, *, began, speed, step=0.0, hold=0.0):
    words = [sys.executable, "-c", WORKER, str(home.root), str(effects), *(str(v) for v in (began, speed, step, hold))]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_slot_whose_process_was_killed_is_failed_at_once_and_not_run_again(demo_home, tmp_path, ran):
    schedule(demo_home)
    effects = tmp_path / "effects"
    process = start_worker(demo_home, effects, began=time.time(), speed=0.0, step=1.0, hold=60)
    deadline = time.monotonic() + 30
    while not effects.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    alive = slots.note_dead(demo_home, now=NOON + timedelta(days=3))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert alive == []  # however far this process's clock is ahead, the other one lives
    assert slots.run_due(demo_home, now=NOON + timedelta(hours=1, minutes=5)) == []
    (dead,) = schedules.list_slots(demo_home, 1)
    assert (dead.state, dead.slot_at[11:16]) == ("failed", "13:00")
    assert "ended before it did; it was not run again" in dead.sentence
    assert ran == []
    assert len(slots.run_due(demo_home, now=NOON + timedelta(hours=2))) == 1


def test_a_slot_of_another_machine_is_dead_when_its_heart_stopped(demo_home):
    schedule(demo_home)
    values = {
        "schedule_id": 1, "slot_at": stamp(NOON), "state": "running", "trigger": "schedule", "owner": "elsewhere:12:345:ab",
        "started_at": stamp(NOON), "heartbeat_at": stamp(NOON), "finished_at": None, "outcome": {}, "correlation_id": "c",
    }  # fmt: skip
    with writing(demo_home.db) as db:
        store.insert_slot(db, values)
    assert slots.note_dead(demo_home, now=NOON + timedelta(seconds=50)) == []
    assert [s.state for s in slots.note_dead(demo_home, now=NOON + timedelta(seconds=61))] == ["failed"]


def test_a_slot_that_waited_for_the_one_before_is_not_as_old_as_that(demo_home, ran, monkeypatch):
    def slow(home, schedule, now):
        time.sleep(0.2)
        return {"sentence": "Looked."}

    monkeypatch.setitem(runners.RUNNERS, "quality_check", slow)
    schedule(demo_home, kind="quality_check")
    schedule(demo_home)
    first, second = slots.run_due(demo_home, now=NOON + timedelta(hours=1))
    assert parse(second.started_at) - parse(first.started_at) >= timedelta(seconds=0.2)  # its first heartbeat is no older


def test_500_slots_over_kills_clock_steps_and_two_processes_each_once(demo_home, tmp_path, ran):
    schedule(demo_home)
    effects, began, speed = tmp_path / "effects", time.time() + 1, 90.0
    steps = iter([0.0, 2.5, -2.0, 0.0, 30.0, 0.0, -3.0, 0.0] * 10)
    processes = []
    while (time.time() - began) * speed < 500:
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait()
        processes = [start_worker(demo_home, effects, began=began, speed=speed, step=next(steps)) for _ in range(2)]
        for process in processes:
            assert process.stdout.readline() == "up\n"
        time.sleep(0.7)
    for process in processes:
        process.send_signal(signal.SIGKILL)
        process.wait()
    slots.run_due(demo_home, now=NOON + timedelta(hours=800))
    found = schedules.list_slots(demo_home, 1, limit=5000)
    assert [s.slot_at for s in reversed(found)] == [stamp(NOON + timedelta(hours=h)) for h in range(1, 801)]  # none left out, none twice
    count = Counter(s.state for s in found)
    lines = effects.read_text().count("\n")
    assert count["done"] > 40  # so many at least on a machine that has much else to do
    assert count["done"] - len(ran) <= lines <= count["done"] - len(ran) + count["failed"]  # one effect for each slot that ran
    assert count["running"] == 0
    assert audit.verify(demo_home).intact


def test_a_drift_check_and_a_quality_check_of_what_was_never_live_are_skipped_with_the_reason(demo_home):
    schedule(demo_home)
    schedule(demo_home, kind="quality_check")
    found = slots.run_due(demo_home, now=NOON + timedelta(hours=1))
    assert [(s.state, s.sentence) for s in found] == [
        ("skipped", "Nothing is live, so nothing can have drifted."),
        ("skipped", "Nothing is live, so there is no quality to measure."),
    ]


def test_a_drift_check_of_switzerland_opens_the_alert(trained_home):
    from core.scoring import files, journal

    source = trained_home.root / "samples" / HEART / "heart_switzerland.csv"
    files.predict_file(trained_home, DEVOPS, HEART, source, trained_home.root / "out.csv", source="test")
    journal.close_journals()
    now = datetime.now(UTC)
    schedule(trained_home, {"cron": "* * * * *"}, now=now)
    (slot,) = slots.run_due(trained_home, now=now + timedelta(minutes=1))
    assert slot.state == "done"
    assert slot.outcome["verdict"] == "critical"
    assert "Column ca has drifted" in slot.sentence
    assert "drift" in {a.kind for a in alerts.list_open(trained_home, HEART)}


def test_deleted_rows_of_missed_slots_are_never_those_that_ran(demo_home, ran):
    schedule(demo_home)
    slots.run_due(demo_home, now=NOON + timedelta(hours=5))
    with writing(demo_home.db) as db:
        assert store.delete_missed_after(db, 1, stamp(NOON)) == 4
    assert states(demo_home) == {"03-28T17:00": "done"}
    assert reading(demo_home.db).conn.execute("SELECT count(*) FROM slots").fetchone()[0] == 1


def test_a_due_retraining_is_started_once_in_the_schedules_story(trained_home):
    from core.retraining import retraining

    now = datetime.now(UTC) + timedelta(days=40)  # a version is due for retraining after 30 days
    schedule(trained_home, {"cron": "0 * * * *"}, kind="retrain_check", now=now)
    (first,) = slots.run_due(trained_home, now=now + timedelta(hours=1))
    assert (first.state, first.outcome["due"], first.outcome["retraining"]) == ("done", True, 1)
    started = retraining.get(trained_home, 1)
    assert (started.trigger, started.started_by, started.correlation_id) == ("schedule", "devops", first.correlation_id)
    (second,) = slots.run_due(trained_home, now=now + timedelta(hours=2))
    assert "Retraining 1 is under way already." in second.sentence
    assert len(retraining.list_retrainings(trained_home, HEART)) == 1


def test_nothing_due_is_said_and_nothing_is_started(trained_home):
    from core.retraining import retraining

    now = datetime.now(UTC)
    schedule(trained_home, kind="retrain_check", now=now)
    (slot,) = slots.run_due(trained_home, now=now + timedelta(hours=1))
    assert (slot.state, slot.outcome["due"]) == ("done", False)
    assert slot.sentence.startswith("No retraining is due")
    assert retraining.list_retrainings(trained_home, HEART) == []


def test_an_export_of_an_hr_database_is_a_new_dataset_and_the_next_one_finds_nothing_new(demo_home):
    from core.datasets import versions

    autumn = datetime(2026, 11, 1, tzinfo=UTC)  # the sample's judgements end in June
    schedules.set_schedule(demo_home, DEVOPS, "future_skills", "export", HOURLY, now=autumn)
    before = len(versions.list_datasets(demo_home, "future_skills"))
    (first,) = slots.run_due(demo_home, now=autumn + timedelta(hours=1))
    assert first.state == "done", first.sentence
    (second,) = slots.run_due(demo_home, now=autumn + timedelta(hours=2))
    assert "was there already: nothing has changed since" in second.sentence
    assert len(versions.list_datasets(demo_home, "future_skills")) == before + first.outcome["fresh"]
    assert list(demo_home.work.iterdir()) == []


def test_the_weekly_report_is_made_once_a_week_however_often_its_slot_comes(trained_home):
    from core.reports.reports import list_reports

    now = datetime.now(UTC).replace(hour=12, minute=30)
    schedule(trained_home, {"cron": "0 * * * *"}, kind="report", now=now)
    (first,) = slots.run_due(trained_home, now=now + timedelta(hours=1))
    (second,) = slots.run_due(trained_home, now=now + timedelta(hours=2))
    assert (first.state, second.state) == ("done", "done")
    assert first.outcome["report"] == second.outcome["report"]
    assert "made before" in second.sentence
    assert len(list_reports(trained_home)) == 1


def test_a_report_of_a_drift_check_that_was_never_made_is_skipped_with_the_reason(trained_home):
    schedules.set_schedule(trained_home, DEVOPS, HEART, "report", HOURLY, params={"kind": "drift"}, now=NOON)
    (slot,) = slots.run_due(trained_home, now=NOON + timedelta(hours=1))
    assert (slot.state, slot.sentence) == ("skipped", f"Project {HEART} has no drift check yet; run one first.")


def test_the_quality_check_of_a_live_version_says_what_it_found(trained_home):
    now = datetime.now(UTC)
    schedule(trained_home, kind="quality_check", now=now)
    (slot,) = slots.run_due(trained_home, now=now + timedelta(hours=1))
    assert slot.state in ("done", "skipped")
    assert slot.sentence
    assert slot.outcome.get("verdict") != "critical"
