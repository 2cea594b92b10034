"""The jobs table as people see it: start, watch, cancel, run again."""

from __future__ import annotations

import logging
import os
import signal
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlite_utils import Database

from core import acts, logs
from core.acts import Actor, Done, Tx
from core.errors import NotFound, Refused
from core.home import Home
from core.notify import events
from core.times import parse, stamp, utc_now
from storage import jobs as store
from storage.connection import reading, writing

BEAT_SECONDS = 1.0
DEAD_AFTER = timedelta(seconds=30)  # a worker beats every second; this long without one means that it is gone

# Which row of the role table governs each kind of job.
PERMISSIONS = {
    "train": "train", "score": "predict", "score_source": "predict", "drift": "analyse_drift", "recount": "analyse_drift",
    "retrain": "train",
}  # fmt: skip
# which logger tells of a job's begin and end; else app
TOLD_BY = {"train": "model_training", "drift": "monitoring", "recount": "monitoring", "retrain": "retraining"}


@dataclass(frozen=True)
class Job:
    """One job as it stands.

    Attributes
    ----------
    done, total : float
        Progress in the job's own units; total 0 means not yet known.
    seconds_left : float or None
        The job's own estimate; None is unknown.
    """

    id: int
    project: str
    kind: str
    params: dict[str, Any]
    state: str
    created_by: str
    created_at: str
    started_at: str | None
    heartbeat_at: str | None
    finished_at: str | None
    pid: int | None
    done: float
    total: float
    note: str
    seconds_left: float | None
    outcome: dict[str, Any] | None
    error: str | None
    cancel_by: str | None
    rerun_of: int | None
    owner: str
    correlation_id: str

    @property
    def finished(self) -> bool:
        return self.state in store.FINISHED

    @property
    def share(self) -> float | None:
        """Progress 0..1, or None while the total is unknown."""
        return min(1.0, self.done / self.total) if self.total > 0 else None


def enqueue(tx: Tx, *, project: str, kind: str, params: dict[str, Any], owner: str = "supervisor", rerun_of: int | None = None) -> int:
    """Put a job on the list inside the caller's act. ``owner`` "cli" means that the command line runs it itself."""
    return store.insert_job(
        tx.db, project=project, kind=kind, params=params, by=tx.actor.name, at=tx.at, owner=owner,
        correlation_id=tx.correlation_id, rerun_of=rerun_of,
    )


def get_job(home: Home, job_id: int, *, now: datetime | None = None) -> Job:
    row = store.find_job(reading(home.db), job_id)
    if row is None:
        raise NotFound(f"There is no job {job_id}.")
    return _job(row, now or utc_now())


def list_jobs(
    home: Home, *, project: str | None = None, kind: str | None = None, states: tuple[str, ...] = (), limit: int = 50,
    now: datetime | None = None,
) -> list[Job]:
    """Newest first. A job whose worker is silent is shown as interrupted even before the supervisor has noted it."""
    now = now or utc_now()
    return [_job(r, now) for r in store.list_jobs(reading(home.db), project=project, kind=kind, states=states, limit=limit)]


def cancel(home: Home, actor: Actor, job_id: int, *, key: str | None = None, now: datetime | None = None) -> dict[str, Any]:
    """Ask a job to stop: who started it, or anybody who may start that kind."""
    job = get_job(home, job_id, now=now)

    def work(tx: Tx) -> Done:
        row = store.find_job(tx.db, job_id)
        if row is None or row["state"] in store.FINISHED:
            raise Refused(f"Job {job_id} has ended already ({row['state'] if row else 'unknown'}); there is nothing to stop.")
        store.request_cancel(tx.db, job_id, actor.name)
        if row["state"] == "queued":
            store.finish(tx.db, job_id, state="cancelled", at=tx.at, error=f"Cancelled by {actor.name} before it began.")
        return Done({"id": job_id}, {"state": row["state"]}, {"cancel_by": actor.name}, f"job {job_id}")

    return acts.perform(
        home, actor, "cancel_job", work, permission=PERMISSIONS[job.kind], project=job.project, key=key,
        correlation_id=job.correlation_id, now=now,
    )


def rerun(home: Home, actor: Actor, job_id: int, *, key: str | None = None, now: datetime | None = None) -> dict[str, Any]:
    """Run an ended job again with the same parameters."""
    job = get_job(home, job_id, now=now)

    def work(tx: Tx) -> Done:
        if not job.finished:
            raise Refused(f"Job {job_id} is still {job.state}; wait for it or cancel it first.")
        fresh = enqueue(tx, project=job.project, kind=job.kind, params=job.params, rerun_of=job_id)
        return Done({"id": fresh}, after={"job": fresh, "rerun_of": job_id}, subject=f"job {fresh}")

    return acts.perform(home, actor, "rerun_job", work, permission=PERMISSIONS[job.kind], project=job.project, key=key, now=now)


def note_dead(home: Home, *, now: datetime | None = None) -> list[int]:
    """Mark every running job without a heartbeat as interrupted; returns their ids."""
    now = now or utc_now()
    silent = [r["id"] for r in store.list_jobs(reading(home.db), states=("running",)) if _is_silent(r, now)]
    ended = []
    for job_id in silent:
        with writing(home.db) as db:
            row = store.find_job(db, job_id)
            if row and row["state"] == "running" and _is_silent(row, now):
                store.finish(db, job_id, state="interrupted", at=stamp(now), error=_silent(row["kind"]))
                tell_failed(db, row, _silent(row["kind"]), now=now)
                ended.append(job_id)
                _tell_interrupted(row, "its worker stopped answering")
    return ended


def tell_failed(db: Database, row: dict[str, Any], error: str, *, now: datetime) -> None:
    """Queue the message that a job failed; a file that somebody had scored is told on the page where they wait for it."""
    if row["kind"] in ("score", "score_source"):
        return
    events.tell(
        db, "job_failed", project=row["project"], subject=f"job {row['id']}: {row['kind']}",
        facts={"Error": error, "Started by": row["created_by"]}, correlation_id=row["correlation_id"], now=now, to=(row["created_by"],),
        link=f"/training?job={row['id']}" if row["kind"] == "train" else "/logs",
    )


def _tell_interrupted(row: dict[str, Any], why: str) -> None:
    with logs.bound(correlation_id=row["correlation_id"], user=row["created_by"], project=row["project"]):
        logging.getLogger(f"{logs.ROOT}.{TOLD_BY.get(row['kind'], 'app')}").error("job %s (%s) interrupted: %s", row["id"], row["kind"], why)


def _silent(kind: str) -> str:
    return f"The worker stopped answering (it was killed, or the machine went down); {_left(kind)}"


def _left(kind: str) -> str:
    """What an interrupted job left behind."""
    if kind in ("score", "score_source"):
        return "rows scored by then stay in the log. Run again, it goes on from there."
    if kind == "retrain":
        return "the steps that were done are kept, and it goes on from there by itself. The live version is as it was."
    if kind == "train":
        return "no model was kept. It can be run again."  # what a search had tried is
    return "nothing of it was kept. It can be run again."


def note_exit(home: Home, job_id: int, code: int, *, now: datetime | None = None) -> None:
    """Mark a job whose worker process has ended without saying how."""
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    with writing(home.db) as db:
        row = store.find_job(db, job_id)
        ended = store.finish(
            db, job_id, state="interrupted", at=stamp(now or utc_now()),
            error=f"The worker process ended unexpectedly ({how}); {_left(row['kind'] if row else '')}",
        )
        if ended and row is not None:
            tell_failed(db, row, f"The worker process ended unexpectedly ({how}).", now=now or utc_now())
    if ended and row is not None:
        _tell_interrupted(row, f"its worker ended with {how}")


def stop_worker(pid: int) -> None:
    """End a worker and what it started (it leads a process group of its own)."""
    try:
        os.killpg(pid, signal.SIGTERM)
    except (ProcessLookupError, PermissionError):
        return


def _is_silent(row: dict[str, Any], now: datetime) -> bool:
    beat = row["heartbeat_at"]
    return beat is None or now - parse(beat) > DEAD_AFTER


def _job(row: dict[str, Any], now: datetime) -> Job:
    if row["state"] == "running" and _is_silent(row, now):
        row = {**row, "state": "interrupted", "error": _silent(row["kind"])}
    return Job(**row)
