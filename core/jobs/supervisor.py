"""Takes queued jobs, starts their workers, and notices those that die."""

from __future__ import annotations

import logging
import math
import os
import signal
import subprocess
import threading
import time

from core.home import Home
from core.jobs import capacity, jobs, worker
from core.jobs.spare import Spare
from core.times import stamp, utc_now
from storage import jobs as store
from storage.connection import read_marker, reading, writing

log = logging.getLogger("greenlight.supervisor")

AT_ONCE = capacity.LEAST  # jobs at the same time; each training job itself uses every core
GRACE_SECONDS = 10.0  # what a worker is given to end in
REST_SECONDS = 3.0  # after a job until the next spare worker is started: the page that shows what came of it is drawn first


class Supervisor:
    """A thread of the console. Several processes may each have one: a job is claimed in a write transaction.

    Parameters
    ----------
    spare : bool
        Whether one worker is kept that has its libraries loaded already; it is started once :meth:`keep_spare` was called.
    """

    def __init__(self, home: Home, *, at_once: int | None = None, poll: float = 0.1, spare: bool = False) -> None:
        self.home = home
        self.at_once = at_once
        self.poll = poll
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._looked_at: tuple[int, int] | None = None  # the database when nothing waited in it
        self._spare = Spare(home) if spare else None
        self._spare_wanted = threading.Event()
        self._last_end = -math.inf  # of a job, on the monotonic clock
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        jobs.note_dead(self.home)
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._thread.start()

    def keep_spare(self) -> None:
        """From now on there is time to start a spare worker whenever no job runs."""
        self._spare_wanted.set()

    def stop(self) -> None:
        """Stop the workers too: a console that was closed leaves nothing running behind."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
        if self._spare is not None:
            self._spare.end()
        for job_id, process in self._processes.items():
            jobs.stop_worker(process.pid)
            try:
                process.wait(timeout=GRACE_SECONDS)
            except subprocess.TimeoutExpired:  # it hangs; the others must be stopped too
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(timeout=GRACE_SECONDS)
            with writing(self.home.db) as db:
                store.finish(
                    db, job_id, state="interrupted", at=stamp(utc_now()),
                    error="The console was stopped while this job ran; it can be run again.",
                )

    def _run(self) -> None:
        since_check = 0.0
        while not self._stop.wait(self.poll):
            try:
                self.turn()
                since_check += self.poll
                if since_check >= 5:
                    since_check = 0.0
                    jobs.note_dead(self.home)
            except Exception:  # the boundary of the thread: one bad turn must not end all later ones
                log.exception("a turn of the supervisor failed")

    def turn(self) -> None:
        """Reap what ended, start what waits."""
        for job_id, process in list(self._processes.items()):
            code = process.poll()
            if code is not None:
                del self._processes[job_id]
                self._last_end = time.monotonic()
                jobs.note_exit(self.home, job_id, code)  # changes nothing if the worker ended its row itself
        db = reading(self.home.db)
        marker = read_marker(db)
        if marker != self._looked_at:  # nothing can wait that did not wait before, unless somebody has written
            self._looked_at = None if self._start_next() else marker
        rested = self._spare_wanted.is_set() and time.monotonic() - self._last_end >= REST_SECONDS
        if self._spare is not None and rested and self._spare.is_missing():
            busy = store.list_jobs(db, states=("running",), limit=1)  # a training takes every core
            if not busy:
                self._spare.start()

    def _start_next(self) -> bool:
        """Start the oldest job that waits; False where none does."""
        if not store.list_jobs(reading(self.home.db), states=("queued",), limit=1):
            return False
        at_once = capacity.read_limit(self.home) if self.at_once is None else self.at_once
        if len(self._processes) >= at_once:
            return True  # it is looked at again once one has ended
        with writing(self.home.db) as db:
            row = store.claim_next(db, at=stamp(utc_now()))
        if row is None:
            return False  # what waits is run by the command line itself
        ready = self._spare.take(row["id"]) if self._spare is not None else None
        self._processes[row["id"]] = ready or worker.start_process(self.home, row["id"])
        return True
