"""One job in a process of its own: ``python -m core.jobs.worker ROOT MODELS JOB_ID``.

The process leads its own group, limits the threads of every numeric library to one (two libraries that
each take all cores slow each other down a hundredfold), beats every second, and ends its row with the truth.
"""

from __future__ import annotations

import importlib
import logging
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from core import logs
from core.errors import Cancelled, GreenlightError
from core.home import Home
from core.jobs import jobs
from core.times import stamp, utc_now
from storage import jobs as store
from storage.connection import reading, writing

HANDLERS = {
    "train": "core.training.job",
    "score": "core.scoring.job",
    "score_source": "core.scoring.source",
    "drift": "core.drift.job",
    "recount": "core.drift.recount",
    "retrain": "core.retraining.job",
}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1")

ROOT = Path(__file__).resolve().parents[2]

log = logging.getLogger("greenlight.worker")


@dataclass
class JobContext:
    """What a job's handler is given. Progress is written by the heartbeat, not by the handler."""

    home: Home
    job: jobs.Job
    _progress: dict[str, Any] = field(default_factory=lambda: {"done": 0.0, "total": 0.0, "note": "starting", "seconds_left": None})
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def progress(self, done: float, total: float, note: str, seconds_left: float | None = None) -> None:
        """Say how far the job is; cheap, call it as often as there is something to say."""
        self._progress = {"done": float(done), "total": float(total), "note": note, "seconds_left": seconds_left}

    def check_cancelled(self) -> None:
        """Raise Cancelled once somebody asked to stop."""
        if self._cancelled.is_set():
            kept = {
                "score": "Rows scored by then stay in the log; run again, it goes on from there.",
                "score_source": "Rows scored by then stay in the log; run again, it goes on from there.",
                "retrain": "The live version is as it was.",
            }
            raise Cancelled(kept.get(self.job.kind, "Nothing of it was kept."))


def _who_cancelled(home: Home, job_id: int) -> str:
    row = store.find_job(reading(home.db), job_id)
    return (row["cancel_by"] if row else None) or "the console"


def environment() -> dict[str, str]:
    """What a worker finds in its environment: ours, and one thread for each library."""
    return {**os.environ, **ONE_THREAD, "DO_NOT_TRACK": "1", "PYTHONUNBUFFERED": "1"}


def open_output(home: Home, job_id: int) -> BinaryIO:
    """The file that a worker's own output goes to: logs/job_<id>.log, written on where it exists."""
    home.logs.mkdir(parents=True, exist_ok=True)
    return (home.logs / f"job_{job_id}.log").open("ab")


def start_process(home: Home, job_id: int) -> subprocess.Popen[bytes]:
    """Start the worker of a job."""
    with open_output(home, job_id) as output:
        return subprocess.Popen(  # noqa: S603 - our own module, numbers and paths
            [sys.executable, "-m", "core.jobs.worker", str(home.root), str(home.models), str(job_id)],
            cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )


def run(home: Home, job_id: int) -> int:
    """Run one job to its end in this process; returns the exit code."""
    row = store.find_job(reading(home.db), job_id)
    if row is None:
        return 2
    with logs.bound(correlation_id=row["correlation_id"], user=row["created_by"], project=row["project"]):
        return _run(home, job_id)


def _run(home: Home, job_id: int) -> int:
    with writing(home.db) as db:
        row = store.find_job(db, job_id)
        if row is None or row["state"] in store.FINISHED:
            return 2
        store.mark_running(db, job_id, pid=os.getpid(), at=stamp(utc_now()))
    context = JobContext(home, jobs.get_job(home, job_id))
    teller = logging.getLogger(f"{logs.ROOT}.{jobs.TOLD_BY.get(context.job.kind, 'app')}")
    teller.info("job %s (%s) began", job_id, context.job.kind)
    began = time.monotonic()
    stopped = threading.Event()
    beating = threading.Thread(target=_beat, args=(context, stopped), name="heartbeat", daemon=True)
    beating.start()
    state, outcome, error = "failed", None, None
    try:
        handler = importlib.import_module(HANDLERS[context.job.kind])
        outcome = handler.run(context)
        state = "done"
    except Cancelled as stop:
        state, error = "cancelled", f"Cancelled by {_who_cancelled(home, job_id)}. {stop}"
    except GreenlightError as known:
        error = str(known)
    except Exception as unknown:  # the boundary of a job: the trace goes to the file, one sentence to the person
        log.exception("job %s failed", job_id)
        error = f"An unexpected error ended the job ({type(unknown).__name__}); its trace is in logs/job_{job_id}.log."
    finally:
        stopped.set()
        beating.join(timeout=30)
    last = context._progress
    with writing(home.db) as db:
        store.beat(db, job_id, at=stamp(utc_now()), done=last["done"], total=last["total"], note=last["note"], seconds_left=None)
        ended = store.finish(db, job_id, state=state, at=stamp(utc_now()), outcome=outcome, error=error)
        if ended and state == "failed":
            jobs.tell_failed(db, row, error or "", now=utc_now())
    seconds = round(time.monotonic() - began, 1)
    level = {"done": logging.INFO, "cancelled": logging.WARNING}.get(state, logging.ERROR)
    teller.log(
        level, "job %s (%s) %s after %s s%s", job_id, context.job.kind, state, seconds, f": {error}" if error else "",
        extra={"facts": {"job": job_id, "kind": context.job.kind, "state": state, "seconds": seconds}},
    )
    return 0 if state == "done" else 1


def _beat(context: JobContext, stopped: threading.Event) -> None:
    while not stopped.wait(jobs.BEAT_SECONDS):
        try:
            with writing(context.home.db) as db:
                state, cancel_by = store.beat(db, context.job.id, at=stamp(utc_now()), **context._progress)
        except Exception:
            log.exception("a heartbeat of job %s was not written", context.job.id)
            continue
        if cancel_by:
            context._cancelled.set()
        if state != "running":  # somebody declared this job dead: do not go on beside a rerun
            os._exit(3)


def wait_for(home: Home, job_id: int, process: subprocess.Popen[bytes], *, on_progress: Any = None, poll: float = 0.2) -> jobs.Job:
    """Wait for a worker that this process started, calling ``on_progress(job)`` as it goes; the command line's way."""
    while process.poll() is None:
        if on_progress is not None:
            on_progress(jobs.get_job(home, job_id))
        try:
            process.wait(timeout=poll)
        except subprocess.TimeoutExpired:
            continue
    job = jobs.get_job(home, job_id)
    if not job.finished:
        jobs.note_exit(home, job_id, process.returncode)
        job = jobs.get_job(home, job_id)
    return job


def main(arguments: list[str]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    from core.settings import Settings

    home = Home(Path(arguments[0]), Path(arguments[1]))
    logs.keep_logs(home, Settings.from_environment().log_level)
    return run(home, int(arguments[2]))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
