"""Slots: each is claimed once in the database, run, and ended with the truth.

Of the slots that have come since the clock last looked, the newest runs; those before it are written down as missed. So after a
pause of the machine every missed slot can be seen and exactly one run catches up. A clock that goes back finds the slots that
ran, and does not run them again. A slot whose owner died is failed; nobody runs it a second time unasked, for it may have had
half its effect.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from core import acts, logs
from core.acts import Actor, Done, Tx
from core.errors import GreenlightError, NotFound, Refused
from core.home import Home
from core.notify import events
from core.schedule import rules
from core.schedule.runners import RUNNERS
from core.schedule.schedules import Schedule, Slot, get_schedule, make_schedule, permission_of
from core.times import parse, stamp, utc_now
from storage import schedules as store
from storage.connection import close_all, reading, writing

log = logging.getLogger("greenlight.schedule")

BEAT_SECONDS = 5.0
DEAD_AFTER = timedelta(seconds=60)  # without a heartbeat, where the owner itself cannot be looked at
ON_TIME = timedelta(minutes=10)  # a turn of the clock may be held up by the one before
MOST_KEPT = 20_000  # slots of one schedule; by number, so that a wrong clock makes nothing old
MOST_MISSED = 1000  # rows of missed slots per turn; what is older is told in the oldest of them

_here: set[str] = set()  # owners of the slots that run in this process


def run_due(home: Home, *, now: datetime) -> list[Slot]:
    """Claim and run each slot that has come; returns those that ran here, as they ended."""
    note_dead(home, now=now)
    _put_clock_right(home, now)
    ran, began = [], time.monotonic()
    for row in store.list_due(reading(home.db), stamp(now)):
        schedule = make_schedule(row)
        # the one before may have taken long; a heartbeat that began then would look dead to another machine
        at = now + timedelta(seconds=time.monotonic() - began)
        try:
            slot = _claim(home, schedule, at)
        except Exception:  # the boundary of a schedule: one whose rule cannot be read any more must not keep the others from their turn
            log.exception("the next slot of schedule %s (%s of %s) cannot be told; set it again", schedule.id, schedule.kind, schedule.project)
            continue
        if slot is not None:
            ran.append(_run(home, schedule, slot, at))
    return ran


def run_now(
    home: Home, actor: Actor, schedule_id: int, *, wait: bool = True, key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Run a schedule once at a person's word, besides its rule; a paused one too.

    Parameters
    ----------
    wait : bool
        False: it runs in a thread of this process, and its row tells how it went.

    Returns
    -------
    dict
        id (of the schedule), slot_at, and state and sentence where it was waited for.
    """
    now = now or utc_now()
    schedule = get_schedule(home, schedule_id)
    slot_at = stamp(now)
    fresh: list[str] = []

    def work(tx: Tx) -> Done:
        row = store.find_schedule(tx.db, schedule_id)
        if row is None or row["removed_at"] is not None:
            raise NotFound(f"Schedule {schedule_id} was removed; set it again.")
        if store.list_running(tx.db, schedule_id):
            raise Refused(f"The {schedule.title.lower()} is running already; wait for it to end.")
        if not store.insert_slot(tx.db, _slot_values(schedule, slot_at, "person", owner, tx.at, tx.correlation_id)):
            raise Refused(f"The {schedule.title.lower()} ran at this very moment already.")
        fresh.append(tx.correlation_id)
        return Done({"id": schedule_id, "slot_at": slot_at}, after={"slot_at": slot_at}, subject=schedule.subject)

    owner = _new_owner()
    try:
        result = acts.perform(
            home, actor, "run_schedule", work, permission=permission_of(schedule.kind), project=schedule.project,
            subject=schedule.subject, key=key, now=now,
        )  # fmt: skip
    finally:
        if not fresh:
            _here.discard(owner)
    if not fresh:  # the same request again: it was run then
        return result
    slot = get_slot(home, schedule_id, slot_at)
    if not wait:
        threading.Thread(target=_run_apart, args=[home, schedule, slot, now], name=f"schedule-{schedule_id}", daemon=True).start()
        return result
    ended = _run(home, schedule, slot, now, actor=actor.name)
    return {**result, "state": ended.state, "sentence": ended.sentence}


def get_slot(home: Home, schedule_id: int, slot_at: str) -> Slot:
    row = store.find_slot(reading(home.db), schedule_id, slot_at)
    if row is None:
        raise NotFound(f"Schedule {schedule_id} has no slot at {slot_at[:30]}.")
    return Slot(**row)


def note_dead(home: Home, *, now: datetime) -> list[Slot]:
    """Mark running slots whose owner is gone as failed, and say so; returns them."""
    dead = []
    for row in store.list_running(reading(home.db)):
        if _lives(row, now):
            continue
        schedule = get_schedule(home, row["schedule_id"])
        outcome = {"sentence": "The process that ran it ended before it did; it was not run again. Look at what it left, then run it now."}
        if _finish(home, schedule, Slot(**row), "failed", outcome, now):
            dead.append(get_slot(home, row["schedule_id"], row["slot_at"]))
    return dead


def note_passed(db: Any, schedule: Schedule, *, now: datetime, correlation_id: str) -> int:
    """Write slots down as missed that had come and were not run when somebody changed the schedule; how many. In the caller's act."""
    if schedule.paused or not schedule.next_at or parse(schedule.next_at) > now:
        return 0
    missed, newest, older = _list_come(schedule, now)
    told = [(stamp(m), _say_missed(older if i == 0 else 0)) for i, m in enumerate([*missed, newest])]
    return store.insert_missed(db, schedule.id, told, at=stamp(now), correlation_id=correlation_id)


def _claim(home: Home, schedule: Schedule, now: datetime) -> Slot | None:
    """Take the newest slot that has come and write the ones before it down as missed; None if it is not ours to run."""
    missed, newest, older = _list_come(schedule, now)
    late = bool(missed) or now - newest > ON_TIME
    at, correlation_id, owner = stamp(now), secrets.token_hex(8), _new_owner()
    values = _slot_values(schedule, stamp(newest), "catch_up" if late else "schedule", owner, at, correlation_id)
    values["outcome"] = {"missed_before": len(missed) + older} if missed else {}
    ours = False
    try:
        with writing(home.db) as db:
            row = store.find_schedule(db, schedule.id)
            if row is None or (row["next_at"], row["rule"], row["paused"]) != (schedule.next_at, schedule.rule, 0):
                return None  # another process was first, or a person has just changed it
            store.update_schedule(db, schedule.id, next_at=stamp(rules.next_slot(schedule.rule, newest)))
            told = [(stamp(m), _say_missed(older if i == 0 else 0)) for i, m in enumerate(missed)]
            store.insert_missed(db, schedule.id, told, at=at, correlation_id=correlation_id)
            if still := store.list_running(db, schedule.id):
                sentence = f"The slot of {still[0]['slot_at'][:16].replace('T', ' ')} UTC still ran."
                values |= {"state": "skipped", "finished_at": at, "outcome": {**values["outcome"], "sentence": sentence}}
            ours = store.insert_slot(db, values) and not still
            store.forget_slots(db, schedule.id, keep=MOST_KEPT)
        return get_slot(home, schedule.id, stamp(newest)) if ours else None
    finally:
        if not ours:
            _here.discard(owner)


def _list_come(schedule: Schedule, now: datetime) -> tuple[list[datetime], datetime, int]:
    """The slots from ``next_at`` to now: those before the newest (the latest MOST_MISSED), the newest, how many older there were."""
    come: deque[datetime] = deque([parse(str(schedule.next_at))], maxlen=MOST_MISSED + 1)
    count = 1
    for moment in rules.slots_after(schedule.rule, come[0]):
        if moment > now:
            break
        come.append(moment)
        count += 1
    newest = come.pop()
    return list(come), newest, count - 1 - len(come)


def _put_clock_right(home: Home, now: datetime) -> None:
    """A clock that ran ahead has called slots missed whose time is still to come: they were not, and will come."""
    for row in store.list_ahead(reading(home.db), stamp(now)):
        try:
            _begin_again(home, row, now)
        except GreenlightError as error:
            log.warning("the clock was ahead; schedule %s cannot go on: %s", row["id"], error)
            continue
        log.warning("the clock was ahead; schedule %s goes on from %s", row["id"], stamp(now))


def _begin_again(home: Home, row: dict[str, Any], now: datetime) -> None:
    with writing(home.db) as db:
        store.delete_missed_after(db, row["id"], stamp(now))
        for moment in rules.slots_after(row["rule"], now):
            if not store.has_slot(db, row["id"], stamp(moment)):
                store.update_schedule(db, row["id"], next_at=stamp(moment))
                break


def _run_apart(home: Home, schedule: Schedule, slot: Slot, now: datetime) -> None:
    try:
        _run(home, schedule, slot, now)
    except Exception:  # the boundary of the thread; the row is ended by note_dead if _run could not
        log.exception("schedule %s could not be run", schedule.id)
    finally:
        close_all()


def _run(home: Home, schedule: Schedule, slot: Slot, now: datetime, *, actor: str = "") -> Slot:
    """Run a claimed slot to its end and write down what came of it."""
    began = time.monotonic()
    outcome: dict[str, Any] = {}
    state = "failed"
    with logs.bound(correlation_id=slot.correlation_id, user=actor or schedule.changed_by, project=schedule.project):
        try:
            with _beating(home, slot, now):
                outcome = dict(RUNNERS[schedule.kind](home, schedule, now))
            state = outcome.pop("state", "done")
        except GreenlightError as error:
            outcome = {"sentence": str(error)}
        except OSError as error:
            log.exception("schedule %s (%s) failed", schedule.id, schedule.kind)
            outcome = {"sentence": f"A file could not be read or written ({error.strerror or error}); look at the disk's room and rights."}
        except Exception as error:  # the boundary of a slot: one that fails must not keep the others from their turn
            log.exception("schedule %s (%s) failed", schedule.id, schedule.kind)
            outcome = {"sentence": f"An unexpected error ended it ({type(error).__name__}); the log holds its trace."}
        spent = time.monotonic() - began
        outcome = {**slot.outcome, **outcome, "seconds": round(spent, 2)}
        try:
            _finish(home, schedule, slot, state, outcome, now + timedelta(seconds=spent))
        finally:
            _here.discard(slot.owner)
    return get_slot(home, slot.schedule_id, slot.slot_at)


def _finish(home: Home, schedule: Schedule, slot: Slot, state: str, outcome: dict[str, Any], now: datetime) -> bool:
    with acts.unattended(home, now) as (db, note):
        ended = store.finish_slot(
            db, schedule.id, slot.slot_at, owner=slot.owner, state=state, at=stamp(now), outcome=outcome
        )
        if ended:
            note(
                actor=schedule.changed_by, via="schedule", action="schedule_slot", project=schedule.project, subject=schedule.subject,
                trigger="person" if slot.trigger == "person" else "schedule", reason=schedule.said,
                outcome="failed" if state == "failed" else "done", error=outcome["sentence"] if state == "failed" else "",
                after={"slot_at": slot.slot_at, "state": state, **outcome}, correlation_id=slot.correlation_id,
            )  # fmt: skip
        if ended and state == "failed" and slot.trigger != "person":  # who runs it by hand is told at once
            events.tell(
                db, "job_failed", project=schedule.project, subject=schedule.subject, facts={"Error": outcome["sentence"], "Rule": schedule.said},
                link=f"/settings?tab=schedules&kind={schedule.kind}", correlation_id=slot.correlation_id, now=now, to=(schedule.changed_by,),
            )  # fmt: skip
    return ended


@contextmanager
def _beating(home: Home, slot: Slot, now: datetime) -> Iterator[None]:
    """Renew the slot's heartbeat while it runs. The clock's own time goes on from ``now``, so that a step of it does no harm."""
    stop, began = threading.Event(), time.monotonic()

    def beat() -> None:
        try:
            while not stop.wait(BEAT_SECONDS):
                at = stamp(now + timedelta(seconds=time.monotonic() - began))
                try:
                    with writing(home.db) as db:
                        store.beat(db, slot.schedule_id, slot.slot_at, slot.owner, at)
                except Exception:  # the boundary of the thread: one beat that cannot be written must not end the rest
                    log.warning("the heartbeat of schedule %s could not be written", slot.schedule_id, exc_info=True)
        finally:
            close_all()

    thread = threading.Thread(target=beat, name="schedule-beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _slot_values(schedule: Schedule, slot_at: str, trigger: str, owner: str, at: str, correlation_id: str) -> dict[str, Any]:
    return {
        "schedule_id": schedule.id, "slot_at": slot_at, "state": "running", "trigger": trigger, "owner": owner, "started_at": at,
        "heartbeat_at": at, "finished_at": None, "outcome": {}, "correlation_id": correlation_id,
    }  # fmt: skip


def _say_missed(older: int) -> dict[str, Any]:
    sentence = "Nothing that runs schedules was up when it was due."
    return {"sentence": f"{sentence} So were {older:,} slots before it, which have no rows.", "older": older} if older else {"sentence": sentence}


def _new_owner() -> str:
    """One run of this process: machine, number of the process, when that began (numbers are given again), and a token."""
    owner = f"{socket.gethostname()}:{os.getpid()}:{_began(os.getpid())}:{secrets.token_hex(4)}"
    _here.add(owner)
    return owner


def _lives(row: dict[str, Any], now: datetime) -> bool:
    """Whether the owner still runs a slot: looked up where it can be, else by its heartbeat."""
    host, pid, began, _ = row["owner"].rsplit(":", 3)
    if host == socket.gethostname() and began:
        here = int(pid) == os.getpid() and _began(os.getpid()) == began
        return row["owner"] in _here if here else _began(int(pid)) == began
    return now - parse(row["heartbeat_at"] or row["started_at"]) <= DEAD_AFTER


def _began(pid: int) -> str:
    """When a process of this machine began (ticks since boot), or "" if there is none or it cannot be known."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
