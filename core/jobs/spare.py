"""One worker that has its libraries loaded before a job asks for it: ``python -m core.jobs.spare ROOT MODELS MODULE,...``.

Half of a short job was the start of its process. The spare one waits for a job's number on its standard input, then becomes
that job's worker, like any other. It opens nothing of the installation before, and ends when its input does: a console that
was killed leaves nothing behind. It is used once. Where anything about it is odd, a worker is started the ordinary way.
"""

from __future__ import annotations

import importlib
import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from core.home import Home
from core.jobs import worker

# What trainings and files to be scored load. Evidently, expectation suites and further estimators stay out: they cost memory
# always and are wanted rarely.
AHEAD = (
    "core.acts", "core.scoring.job", "core.scoring.chunks", "core.scoring.parity", "core.scoring.compiled", "core.datasets.read",
    "core.datasets.write", "core.registry.golden", "pyarrow.csv", "pyarrow.parquet", "treelite.sklearn", "treelite.gtil", "sklearn.compose",
    "sklearn.ensemble", "sklearn.impute", "sklearn.linear_model", "sklearn.calibration", "sklearn.dummy", "sklearn.model_selection",
    "core.training.job", "core.training.sweep", "core.training.tasks", "core.training.selection", "core.training.search",
    "core.training.executors", "core.datasets.validation", "core.drift.bins", "core.scoring.typed", "pandera.pandas",
)  # fmt: skip
READY, TAKEN = b"ready\n", b"taken\n"
ANSWER_SECONDS = 3.0  # it says at once that it took a job; silent for so long it is stuck
TRIES = 3  # spare workers of no use, one after the other, before no more are started

log = logging.getLogger("greenlight.supervisor")


class Spare:
    """The console's end: at most one process that waits. Belongs to one thread.

    Parameters
    ----------
    ahead : sequence of str
        Modules that it loads before it waits.
    """

    def __init__(self, home: Home, ahead: Sequence[str] = AHEAD) -> None:
        self.home = home
        self.ahead = ahead
        self._process: subprocess.Popen[bytes] | None = None
        self._standing: tuple[object, ...] = ()
        self._said = b""
        self._lost = 0

    @property
    def pid(self) -> int | None:
        """The process that waits, or is on its way to it."""
        return None if self._process is None else self._process.pid

    def is_ready(self) -> bool:
        """Whether it has loaded everything and waits."""
        return self._process is not None and self._process.poll() is None and READY in self._hear(0)

    def is_missing(self) -> bool:
        """Whether one should be started: there is none, or it ended by itself; after a few of no use no further one is tried."""
        if self._process is not None and (code := self._process.poll()) is not None:
            self.end()
            self._count_lost(f"ended by itself (code {code})")
        return self._process is None and self._lost < TRIES

    def start(self) -> None:
        """Start one; it is ready a second or two later."""
        environment = worker.environment()
        self._standing, self._said = _look_around(environment), b""
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module and paths
                [sys.executable, "-m", "core.jobs.spare", str(self.home.root), str(self.home.models), ",".join(self.ahead)],
                cwd=worker.ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, bufsize=0,
            )  # fmt: skip
        except OSError as error:
            self._count_lost(f"could not be started ({error})")

    def take(self, job_id: int) -> subprocess.Popen[bytes] | None:
        """Hand a job to the process that waits: it is that job's worker from now on. None where there is none to be trusted."""
        process = self._process
        if process is None or process.stdin is None or not self.is_ready():
            return None  # one that is still loading stays for the next job
        fault = self._hand_over(process.stdin, job_id)
        if fault:
            self.end()
            self._count_lost(fault)
            return None
        self._let_go(process)
        self._lost = 0
        return process

    def _hand_over(self, pipe: IO[bytes], job_id: int) -> str:
        """Tell it the job's number; what is wrong with it, "" where it took the job."""
        if self._standing != _look_around(worker.environment()):
            return "is older than the present code, libraries or environment"
        try:
            pipe.write(b"%d\n" % job_id)
        except OSError:
            return "ended by itself"
        return "" if TAKEN in self._hear(ANSWER_SECONDS) else f"did not take job {job_id}"

    def end(self) -> None:
        """End the process that waits, if there is one."""
        process = self._process
        if process is not None:
            process.kill()  # it holds nothing that would have to be put away
            process.wait()
            self._let_go(process)

    def _count_lost(self, how: str) -> None:
        self._lost += 1
        log.warning("the spare worker %s%s", how, "; no further one is started" if self._lost == TRIES else "")

    def _let_go(self, process: subprocess.Popen[bytes]) -> None:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None

    def _hear(self, seconds: float) -> bytes:
        """All that it has said; waits up to ``seconds`` until it says that it took a job."""
        assert self._process is not None
        assert self._process.stdout is not None
        pipe, end = self._process.stdout.fileno(), time.monotonic() + seconds
        waiting = select.poll()
        waiting.register(pipe, select.POLLIN)
        while waiting.poll(max(0.0, 1000 * (end - time.monotonic()))):
            part = os.read(pipe, 4096)
            self._said += part
            if not part or TAKEN in self._said:
                break
        return self._said


def _look_around(environment: dict[str, str]) -> tuple[object, ...]:
    """What a process that loads its code now would be made of: the environment, when something was last installed, our own files."""
    root = str(worker.ROOT)
    return (
        sorted(environment.items()),
        [(place, _changed(place)) for place in sys.path if os.path.realpath(place) != root],
        sorted((str(path), _changed(path)) for part in ("core", "storage") for path in (worker.ROOT / part).rglob("*.py")),
    )


def _changed(path: str | Path) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def main(arguments: list[str]) -> int:
    """The process's end: load, wait for a number, be the worker of that job."""
    said = os.dup(1)  # what a library prints while it is loaded is no answer
    os.dup2(2, 1)
    root, models, ahead = arguments
    for name in filter(None, ahead.split(",")):
        try:
            importlib.import_module(name)
        except Exception as error:  # the boundary of the wait: the job that needs it will say so itself
            print(f"spare worker: {name} could not be loaded ({error})", file=sys.stderr)
    try:
        os.write(said, READY)
        line = sys.stdin.buffer.readline()
    except OSError:
        line = b""
    if not line.endswith(b"\n"):
        return 0  # the console is gone
    home = Home(Path(root), Path(models))
    importlib.invalidate_caches()
    with worker.open_output(home, int(line)) as output, open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.write(said, TAKEN)
    os.close(said)
    return worker.main([root, models, str(int(line))])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
