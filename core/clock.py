"""The clock: a table of contents of what is looked at each minute. Is a retraining due, by time or by new labelled rows?

APScheduler is only the clock; the tables of checks are the truth. The checks answer, they do not act.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core import acts, logs
from core.acts import Actor, Done, Tx
from core.approvals import note_expired
from core.home import Home
from core.monitoring import checks
from core.monitoring.health import LAST_TICK
from core.projects import proposals
from core.projects.limits import get_limits
from core.projects.projects import get_project, list_projects
from core.scoring.labels import count_labels_since
from core.times import parse, stamp, utc_now
from storage import accounts as settings_store
from storage import drift as store
from storage import versions as versions_store
from storage.connection import reading, writing

log = logging.getLogger("greenlight.clock")
retraining = logging.getLogger("greenlight.retraining")

EVERY = timedelta(hours=1)


@dataclass(frozen=True)
class Trigger:
    """One reason to retrain, with its measured value beside its threshold; ``fired`` None is unknown."""

    name: str
    value: float | None
    threshold: float
    unit: str
    fired: bool | None
    sentence: str


@dataclass(frozen=True)
class RetrainCheck:
    project: str
    at: str
    next_at: str
    due: bool
    sentence: str
    triggers: tuple[Trigger, ...]


def check_retraining(home: Home, project: str, *, now: datetime) -> RetrainCheck:
    """Measure every trigger for one project; reads only."""
    limits = get_limits(home, project).thresholds
    db = reading(home.db)
    versions = versions_store.list_versions(db, project)
    version = versions_store.find_live(db, project) or (versions[0] if versions else None)
    next_at = stamp(now + EVERY)
    if version is None:
        return RetrainCheck(project, stamp(now), next_at, False, "No version has been trained yet, so nothing can be due.", ())
    what = f"version {version['version']}"
    days = (now - parse(version["registered_at"])).total_seconds() / 86_400
    labels = count_labels_since(home, project, version["registered_at"])
    by_time = days >= limits.retrain_days
    by_labels = labels >= limits.retrain_new_labels
    triggers = (
        Trigger("time since training", round(days, 2), limits.retrain_days, "days", by_time,
                f"{what} is {days:.1f} days old; due from {limits.retrain_days} days."),
        Trigger("new labelled rows", labels, limits.retrain_new_labels, "rows", by_labels,
                f"{labels} labels arrived since {what}; due from {limits.retrain_new_labels}."),
    )
    fired = [t for t in triggers if t.fired]
    sentence = " ".join(t.sentence for t in fired) if fired else f"No retraining is due: {triggers[0].sentence} {triggers[1].sentence}"
    return RetrainCheck(project, stamp(now), next_at, bool(fired), sentence, triggers)


def tick(home: Home, *, now: datetime) -> list[RetrainCheck]:
    """Check every project whose last check is an hour old or older than its versions, and write the answers down."""
    note_expired(home, now=now)
    done = []
    for project in list_projects(home):
        last = store.find_last_clock_check(reading(home.db), project.name)
        if last is not None and parse(last["next_at"]) > now and not _has_changed(home, project.name, last["at"]):
            continue
        check = check_retraining(home, project.name, now=now)
        with writing(home.db) as db:
            newest = store.find_last_clock_check(db, project.name)
            if newest is not None and (last is None or newest["at"] != last["at"]):
                continue  # another process was first
            store.insert_clock_check(db, project=project.name, at=check.at, next_at=check.next_at, due=check.due, answer=_plain(check))
        with logs.bound(project=project.name):
            retraining.info("%s", check.sentence)
        done.append(check)
    return done


def note_check(home: Home, actor: Actor, project: str, *, key: str | None = None, now: datetime | None = None) -> dict[str, Any]:
    """Measure every trigger for one project now and write the answer down, as the clock does by itself.

    Returns
    -------
    dict
        project, at, next_at, due, sentence, triggers.
    """
    now = now or utc_now()
    get_project(home, project)
    check = check_retraining(home, project, now=now)
    answer = {"project": project, "at": check.at, "next_at": check.next_at, "due": check.due, **_plain(check)}

    def work(tx: Tx) -> Done:
        store.insert_clock_check(tx.db, project=project, at=check.at, next_at=check.next_at, due=check.due, answer=_plain(check))
        return Done(answer, after={"due": check.due}, subject="is a retraining due?")

    return acts.perform(home, actor, "check_retraining", work, project=project, reason=check.sentence, key=key, now=now)


def _has_changed(home: Home, project: str, since: str) -> bool:
    """Whether a version was registered or went live after an answer, which then speaks of something else."""
    db = reading(home.db)
    registered = [v["registered_at"] for v in versions_store.list_versions(db, project)[:1]]
    went_live = [d["live_from"] for d in versions_store.list_deployments(db, project)[:1]]
    return any(moment > since for moment in registered + went_live)


def find_last_check(home: Home, project: str) -> RetrainCheck | None:
    """The last written answer, or None before the first."""
    row = store.find_last_clock_check(reading(home.db), project)
    if row is None:
        return None
    answer = row["answer"]
    return RetrainCheck(
        project, row["at"], row["next_at"], bool(row["due"]), answer["sentence"], tuple(Trigger(**t) for t in answer["triggers"])
    )


def _plain(check: RetrainCheck) -> dict[str, Any]:
    return {"sentence": check.sentence, "triggers": [dict(t.__dict__) for t in check.triggers]}


def note_requests_expired(home: Home, *, now: datetime) -> None:
    """Requests that nobody answered in time: releases and changes of settings."""
    note_expired(home, now=now)
    proposals.note_expired(home, now=now)


def watch_all(home: Home, *, now: datetime) -> None:
    """The checks of every project that is not archived."""
    for project in list_projects(home):
        checks.watch(home, project.name, now=now)


def pack_log(home: Home, *, now: datetime) -> None:
    """Small groups of the prediction log that are old enough, into blocks."""
    from core.scoring.compact import compact

    compact(home, now=now)


def forget_files(home: Home, *, now: datetime) -> None:
    """Uploaded files and results of jobs that ended long ago."""
    from core.scoring.job import forget_old

    forget_old(home, now)


def enforce_retention(home: Home, *, now: datetime) -> None:
    """What is kept for a number of days only, and what an administrator ordered to go."""
    from core.retention import enforce

    enforce(home, now=now)


def note_tick(home: Home, *, now: datetime) -> None:
    """Write down that the clock still goes; its health is the age of this."""
    with writing(home.db) as db:
        settings_store.set_setting(db, LAST_TICK, stamp(now))


def run_schedules(home: Home, *, now: datetime) -> None:
    """Every schedule whose slot has come."""
    from core.schedule.slots import run_due

    run_due(home, now=now)


# What each turn of the clock does, in this order. Each stands alone: one that fails does not keep the next from its turn.
WATCHING: tuple[Callable[..., object], ...] = (note_tick, note_requests_expired, tick, watch_all, pack_log, forget_files, enforce_retention)

# What may take long (an export, a backup) has a lane of its own, so that the watching goes on meanwhile.
WORKING: tuple[Callable[..., object], ...] = (run_schedules,)
STEPS = WATCHING + WORKING


def turn(home: Home, *, now: datetime, steps: tuple[Callable[..., object], ...] | None = None) -> list[str]:
    """One turn of the clock (or of some of its steps); returns the names of the steps that failed (their traces are in the log)."""
    failed = []
    for step in STEPS if steps is None else steps:
        try:
            step(home, now=now)
        except Exception:  # the boundary of the clock: a bad step must not end the others, nor all later turns
            log.exception("%s, a step of the clock, failed", step.__name__)
            failed.append(step.__name__)
    return failed


class Clock:
    """APScheduler in process; started and stopped with the console."""

    def __init__(self, home: Home, *, every_seconds: float = 60.0) -> None:
        from apscheduler.schedulers.background import BackgroundScheduler

        self.home = home
        self._scheduler = BackgroundScheduler(timezone="UTC")
        for lane in (WATCHING, WORKING):
            # a run that is late still counts (the default drops it after one second), and two of a lane never overlap
            self._scheduler.add_job(
                self._tick, "interval", args=[lane], seconds=every_seconds, coalesce=True, max_instances=1,
                misfire_grace_time=6 * 3600, next_run_time=utc_now(),
            )  # fmt: skip

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        self._scheduler.shutdown(wait=True)

    def _tick(self, steps: tuple[Callable[..., object], ...]) -> None:
        turn(self.home, now=utc_now(), steps=steps)
