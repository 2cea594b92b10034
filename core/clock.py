"""The clock: a table of contents of what is looked at each minute.

APScheduler is only the clock; the tables of checks are the truth. The checks answer, they do not act.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from core import logs
from core.approvals import note_expired
from core.home import Home
from core.mirror import process as mirror_process
from core.monitoring import checks
from core.monitoring.health import LAST_TICK
from core.projects import proposals
from core.projects.projects import list_projects
from core.retraining import retraining, triggers
from core.times import parse, stamp, utc_now
from storage import accounts as settings_store
from storage import drift as store
from storage import retrainings as retrainings_store
from storage import versions as versions_store
from storage.connection import reading, writing

log = logging.getLogger("greenlight.clock")
teller = logging.getLogger("greenlight.retraining")


def tick(home: Home, *, now: datetime) -> list[triggers.RetrainCheck]:
    """Check every project whose last check is an hour old or older than its versions, and write the answers down."""
    note_expired(home, now=now)
    done = []
    for project in list_projects(home):
        try:
            check = _check_due(home, project.name, now)
        except Exception:  # the boundary of a project: one that cannot be checked must not keep the others from it
            log.exception("whether a retraining of %s is due could not be found out", project.name)
            continue
        if check is not None:
            done.append(check)
    return done


def _check_due(home: Home, project: str, now: datetime) -> triggers.RetrainCheck | None:
    """Whether a retraining is due, if that is to be asked now and nobody else was first."""
    last = store.find_last_clock_check(reading(home.db), project)
    # an answer from a time that is still to come was written while the clock was ahead
    if last is not None and parse(last["at"]) <= now < parse(last["next_at"]) and not _has_changed(home, project, last["at"]):
        return None
    check = triggers.check(home, project, now=now)
    with writing(home.db) as db:
        newest = store.find_last_clock_check(db, project)
        if newest is not None and (last is None or newest["at"] != last["at"]):
            return None  # another process was first
        store.insert_clock_check(db, project=project, at=check.at, next_at=check.next_at, due=check.due, answer=triggers.plain(check))
    with logs.bound(project=project):
        teller.info("%s", check.sentence)
    return check


def _has_changed(home: Home, project: str, since: str) -> bool:
    """Whether a version was registered or went live, or a retraining ended, after an answer, which then speaks of something else."""
    db = reading(home.db)
    registered = [v["registered_at"] for v in versions_store.list_versions(db, project)[:1]]
    went_live = [d["live_from"] for d in versions_store.list_deployments(db, project)[:1]]
    last = retrainings_store.find_last_done(db, project)
    ended = [last["finished_at"]] if last is not None else []
    return any(moment > since for moment in registered + went_live + ended)


def note_requests_expired(home: Home, *, now: datetime) -> None:
    """Requests that nobody answered in time: releases and changes of settings."""
    note_expired(home, now=now)
    proposals.note_expired(home, now=now)


def watch_all(home: Home, *, now: datetime) -> None:
    """The checks of every project that is not archived."""
    for project in list_projects(home):
        try:
            checks.watch(home, project.name, now=now)
        except Exception:  # the boundary of a project
            log.exception("%s could not be watched", project.name)


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


def send_messages(home: Home, *, now: datetime) -> None:
    """Messages whose time has come, by the channels that the environment connects."""
    from core.notify.connections import read_connections
    from core.notify.outbox import send_due

    send_due(home, now=now, connections=read_connections())


def follow_retrainings(home: Home, *, now: datetime) -> None:
    """Retrainings whose job was interrupted go on, those whose job failed end."""
    retraining.follow_up(home, now=now)


def note_tick(home: Home, *, now: datetime) -> None:
    """Write down that the clock still goes; its health is the age of this."""
    with writing(home.db) as db:
        settings_store.set_setting(db, LAST_TICK, stamp(now))


def run_schedules(home: Home, *, now: datetime) -> None:
    """Every schedule whose slot has come."""
    from core.schedule.slots import run_due

    run_due(home, now=now)


def write_reports(home: Home, *, now: datetime) -> None:
    """The reports that are made by themselves: of deployments, closed incidents and ended retrainings."""
    from core.reports.make import write_due

    write_due(home, now=now)


def let_agent_act(home: Home, *, now: datetime) -> None:
    """New alerts are diagnosed, plans worked off, and incidents followed to their end."""
    from core import agent

    agent.turn(home, now=now)


def mirror_out(home: Home, *, now: datetime) -> None:
    """Start the mirror's own process where a tracking server is named and something waits for it."""
    from core.settings import Settings

    settings = Settings.from_environment()
    if settings.mlflow_tracking_uri.get_secret_value():  # without it nothing of the mirror is imported
        from core.mirror.mirror import start_due

        start_due(home, settings, now=now)


# What each turn of the clock does, in this order. Each stands alone: one that fails does not keep the next from its turn.
WATCHING: tuple[Callable[..., object], ...] = (
    note_tick, note_requests_expired, tick, watch_all, follow_retrainings, let_agent_act, pack_log, forget_files,
)  # fmt: skip
# What may take long (an export, a purge, a backup, reports) has a lane of its own, so that the watching goes on meanwhile.
WORKING: tuple[Callable[..., object], ...] = (run_schedules, enforce_retention, write_reports)
# A mail server that does not answer keeps neither of the others waiting.
SENDING: tuple[Callable[..., object], ...] = (send_messages,)
MIRRORING: tuple[Callable[..., object], ...] = (mirror_out,)
STEPS = WATCHING + WORKING + SENDING + MIRRORING


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
        for lane in (WATCHING, WORKING, SENDING, MIRRORING):
            # a run that is late still counts (the default drops it after one second), and two of a lane never overlap
            self._scheduler.add_job(
                self._tick, "interval", args=[lane], seconds=every_seconds, coalesce=True, max_instances=1,
                misfire_grace_time=6 * 3600, next_run_time=utc_now(),
            )  # fmt: skip

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        self._scheduler.shutdown(wait=True)
        mirror_process.stop(self.home)

    def _tick(self, steps: tuple[Callable[..., object], ...]) -> None:
        turn(self.home, now=utc_now(), steps=steps)
