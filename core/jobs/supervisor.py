"""Takes queued jobs, starts their workers, and notices those that die."""

from __future__ import annotations

import logging
import subprocess
import threading

from core.home import Home
from core.jobs import capacity, jobs, worker
from core.times import stamp, utc_now
from storage import jobs as store
from storage.connection import reading, writing

log = logging.getLogger("greenlight.supervisor")

AT_ONCE = capacity.LEAST  # jobs at the same time; each training job itself uses every core


class Supervisor:
    """A thread of the console. Several processes may each have one: a job is claimed in a write transaction."""

    def __init__(self, home: Home, *, at_once: int | None = None, poll: float = 0.3) -> None:
        self.home = home
        self.at_once = at_once
        self.poll = poll
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        jobs.note_dead(self.home)
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the workers too: a console that was closed leaves nothing running behind."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
        for job_id, process in self._processes.items():
            jobs.stop_worker(process.pid)
            process.wait(timeout=10)
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
        """Reap what ended, stop what was cancelled long ago, start what waits."""
        for job_id, process in list(self._processes.items()):
            code = process.poll()
            if code is not None:
                del self._processes[job_id]
                jobs.note_exit(self.home, job_id, code)  # changes nothing if the worker ended its row itself
        at_once = capacity.read_limit(self.home) if self.at_once is None else self.at_once
        if len(self._processes) >= at_once or not store.list_jobs(reading(self.home.db), states=("queued",), limit=1):
            return
        with writing(self.home.db) as db:
            row = store.claim_next(db, at=stamp(utc_now()))
        if row is not None:
            self._processes[row["id"]] = worker.start_process(self.home, row["id"])
