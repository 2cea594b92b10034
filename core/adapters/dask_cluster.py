"""A Dask cluster as an executor: tasks go to the workers of one named scheduler, values and files come back over the wire.

Nothing is shared but the connection: no disk, no database, no key. Before anything is sent, every worker must run the same Python,
libraries and Greenlight as this process, or the last digits would depend on who answered. What crosses the wire are pickles: whoever
can speak to the scheduler can run code on its workers, so the cluster belongs behind TLS or in a network of its own.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import pickle
import platform
import re
import secrets
import tempfile
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, is_dataclass, replace
from functools import lru_cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any

from core.adapters.optional import need
from core.errors import BadInput, GreenlightError, Refused
from core.training.executor import PRELOAD, CancelCheck, Outcome, Work, WorkerLost, attempt, check_cancelled, one_line

RETRIES = 3
CONNECT_SECONDS = 10.0
POLL_SECONDS = 0.02
LOOK_SECONDS = 5.0  # between two looks at whether there are workers at all
ALONE_SECONDS = 60.0  # without any worker, before the work is given up
TIMES_LOST = 3  # that the shared value may vanish with the workers that held it
KEPT = 2  # shared values that a worker keeps unpacked
LIBRARIES = (
    "scikit-learn", "numpy", "pandas", "scipy", "pyarrow", "treelite", "threadpoolctl", "joblib",
    "xgboost-cpu", "xgboost", "lightgbm", "keras", "jax",
)  # fmt: skip

log = logging.getLogger("greenlight.model_training")


class ClusterLost(GreenlightError):
    """The scheduler, or all of its workers, went away."""


@dataclass(frozen=True)
class WorkerInfo:
    """One worker of the cluster.

    Attributes
    ----------
    differs : str
        Why it may not work for this installation, as a sentence; "" where it may.
    """

    address: str
    threads: int
    differs: str


class DaskExecutor:
    """Runs tasks on the cluster of one scheduler; see core.training.executor for what an executor promises.

    Parameters
    ----------
    address : str
        ``tcp://host:port`` or ``tls://host:port``. Certificates come from Dask's own configuration.

    Attributes
    ----------
    workers : int
        Threads of all workers together, which is how many tasks run at once; 0 until connected.

    Raises
    ------
    BadInput
        The address is none.
    Refused
        Dask is not installed.
    """

    def __init__(self, address: str) -> None:
        if not re.fullmatch(r"(tcp|tls)://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5}", address):
            raise BadInput(f"GREENLIGHT_DASK is {address[:80]!r}; write tcp://host:8786, or tls://host:8786 with Dask's certificates.")
        self._dask = need("distributed")
        self.address = address
        self.workers = 0
        self._client: Any = None
        self._published: tuple[Any, str, Any] | None = None  # the shared value, its digest, where it lies on the cluster

    def prepare(self) -> None:
        """Connect and compare every worker with this process.

        Raises
        ------
        ClusterLost
            The scheduler does not answer, or has no worker.
        Refused
            A worker differs.
        """
        if self._client is not None:
            return
        found = self.list_workers()
        if not found:
            self.close()
            raise ClusterLost(
                f"The Dask scheduler {self.address} has no worker; start at least one with: dask worker {self.address} --nthreads 1."
            )
        for worker in found:
            if worker.differs:
                self.close()
                raise Refused(worker.differs)
        self.workers = sum(w.threads for w in found)
        log.info("work goes to %s: %s workers, %s at once", self.address, len(found), self.workers)

    def list_workers(self) -> list[WorkerInfo]:
        """Every worker that the scheduler has now, and whether it fits."""
        with self._told("did not answer"):
            client = self._connect()
            threads = client.nthreads()
            told = client.run(describe_here, on_error="return")
        here = describe_here()
        return [WorkerInfo(name, threads.get(name, 0), _difference(name, here, told[name])) for name in sorted(told)]

    def close(self) -> None:
        """Leave the cluster; it drops what this connection had asked for."""
        if self._client is not None:
            client, self._client, self._published = self._client, None, None
            client.close(timeout=2)

    def run(self, work: Work, tasks: Sequence[Any], shared: Any, cancelled: CancelCheck | None = None) -> Iterator[Outcome]:
        """Yield one outcome per task as they finish.

        A task whose worker dies is done again by another. What is being done when the work is cancelled ends on its
        worker, for a thread cannot be stopped, and is dropped there; what waits is dropped at once.

        Raises
        ------
        Cancelled
            ``cancelled()`` turned true.
        ClusterLost
            The scheduler went away, or there was no worker for a minute.
        Refused
            A worker that came later differs from this process.
        core.training.executor.WorkerLost
            Workers died again and again over the same task.
        """
        self.prepare()
        folder = getattr(shared, "artifact_dir", None)
        pending: dict[Any, tuple[int, str]] = {}
        lost, watch = 0, _Watch(self)
        try:
            with self._told("went away during the work"), self._client.as_current():
                ready = self._dask.as_completed()

                def send(numbers: Sequence[int]) -> None:
                    futures, batch = self._send(work, [(n, tasks[n]) for n in numbers], shared)
                    pending.update({f: (n, batch) for f, n in zip(futures, numbers, strict=True)})
                    ready.update(futures)

                send(range(len(tasks)))
                while pending:
                    check_cancelled(cancelled)
                    watch.look()
                    gone = []
                    for future in ready.next_batch(block=False):
                        number, batch = pending.pop(future)
                        if future.status in ("cancelled", "lost"):
                            gone.append((number, batch))
                            continue
                        outcome = _receive(future, folder)
                        future.release()
                        yield outcome
                    if gone:  # the workers that held the shared value are gone, and their tasks with it
                        watch.check_scheduler()
                        if self._published is not None and any(batch == self._published[1] for _, batch in gone):
                            lost += 1
                            if lost > TIMES_LOST:
                                raise ClusterLost(f"The workers of {self.address} were lost {lost} times; see their logs, then start the job again.")
                            self._published = None
                        send(sorted(number for number, _ in gone))
                    elif not ready.has_ready():
                        time.sleep(POLL_SECONDS)
        finally:
            self._drop(list(pending))

    def run_in_order(
        self, work: Work, tasks: Iterable[Any], shared: Any, check: Callable[[], None] | None = None
    ) -> Iterator[Any]:
        """Yield the values of ``work(shared, task)`` in the order of ``tasks``, with no more in flight than keeps the cluster busy.

        Parameters
        ----------
        tasks : iterable
            Taken as they are needed, so that only a few are in memory.
        check : callable, optional
            Called while waiting; what it raises ends the work.

        Raises
        ------
        ClusterLost, Refused, WorkerLost
            As :meth:`run` does; ClusterLost also where the work itself raised.
        """
        self.prepare()
        waiting: deque[tuple[Any, int, Any]] = deque()
        source, watch, lost = enumerate(tasks), _Watch(self), 0
        try:
            with self._told("went away during the work"):
                while True:
                    while len(waiting) < 2 * self.workers + 1 and (entry := next(source, None)) is not None:
                        ((future,), _) = self._send(work, [entry], shared)
                        waiting.append((future, *entry))
                    if not waiting:
                        return
                    future, number, _ = waiting[0]
                    while not future.done():
                        if check is not None:
                            check()
                        watch.look()
                        time.sleep(POLL_SECONDS / 4)
                    if future.status in ("cancelled", "lost"):
                        watch.check_scheduler()
                        lost += 1
                        if lost > TIMES_LOST:
                            raise ClusterLost(f"The workers of {self.address} were lost {lost} times; see their logs, then start the job again.")
                        again = [(n, t) for _, n, t in waiting]
                        self._drop([f for f, _, _ in waiting])
                        self._published = None
                        futures, _ = self._send(work, again, shared)
                        waiting = deque((f, n, t) for f, (n, t) in zip(futures, again, strict=True))
                        continue
                    waiting.popleft()
                    outcome = _receive(future, None)
                    future.release()
                    if outcome.error is not None:
                        raise ClusterLost(f"Part {number + 1} could not be worked on by {self.address}: {outcome.error}")
                    yield outcome.value
        finally:
            self._drop([f for f, _, _ in waiting])

    def _connect(self) -> Any:
        if self._client is None:
            # only the named scheduler is spoken to: workers are reached through it
            self._client = self._dask.Client(
                self.address, timeout=CONNECT_SECONDS, set_as_default=False, direct_to_workers=False, name="greenlight"
            )
        return self._client

    def _send(self, work: Work, entries: Sequence[tuple[int, Any]], shared: Any) -> tuple[list[Any], str]:
        """Futures of tasks, and the digest of the shared value that they were sent with."""
        if self._published is None or self._published[0] is not shared:
            content = pickle.dumps(shared, protocol=5)
            digest = f"{hashlib.sha256(content).hexdigest()}-{secrets.token_hex(4)}"
            self._published = (shared, digest, self._client.scatter(content, broadcast=True, hash=False))
        _, digest, place = self._published
        call = partial(carry_out, work=work, digest=digest, here=describe_here())
        token = secrets.token_hex(6)
        # places, not keywords: a task's own values must not be taken for futures of the cluster
        futures = self._client.map(
            call, [number for number, _ in entries], [pickle.dumps(task, protocol=5) for _, task in entries], [place] * len(entries),
            key=[f"greenlight-{token}-{number:06d}" for number, _ in entries], retries=RETRIES, pure=False,
        )  # fmt: skip
        return futures, digest

    def _drop(self, futures: list[Any]) -> None:
        from concurrent.futures import CancelledError

        if futures and self._client is not None and self._client.status == "running":
            with suppress(OSError, CancelledError):  # with the scheduler the work is gone as well
                self._client.cancel(futures, force=True)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """What a lost connection raises, as one sentence."""
        from concurrent.futures import CancelledError

        try:
            yield
        except (OSError, TimeoutError, CancelledError) as error:
            log.warning("the cluster %s %s: %s", self.address, what, one_line(error))
            self.close()
            raise self.lost(what) from None

    def lost(self, what: str) -> ClusterLost:
        return ClusterLost(
            f"The Dask scheduler {self.address} {what}; start it and run the job again, or empty GREENLIGHT_DASK to work on this machine."
        )


class _Watch:
    """Sees, while others wait, that the scheduler and at least one worker are still there."""

    def __init__(self, executor: DaskExecutor) -> None:
        self.executor = executor
        self.looked = self.seen = time.monotonic()

    def look(self) -> None:
        self.check_scheduler()
        now = time.monotonic()
        if now - self.looked < LOOK_SECONDS:
            return
        self.looked = now
        threads = sum(self.executor._client.nthreads().values())
        if threads:
            self.seen, self.executor.workers = now, threads
        elif now - self.seen > ALONE_SECONDS:
            raise ClusterLost(f"The Dask scheduler {self.executor.address} had no worker for a minute; start workers and run the job again.")

    def check_scheduler(self) -> None:
        if self.executor._client.status != "running":
            raise self.executor.lost("went away during the work")


@dataclass(frozen=True)
class Returned:
    """What a worker sends back: the outcome, and the files that the work wrote, by name."""

    outcome: Outcome
    files: dict[str, bytes]


def _receive(future: Any, folder: Path | None) -> Outcome:
    """The outcome of a finished future, its files written where the caller wants them."""
    from distributed.scheduler import KilledWorker

    if future.status == "error":
        error = future.exception()
        if isinstance(error, KilledWorker):
            raise WorkerLost(
                "Worker processes of the cluster died again and again over the same task, most likely because memory ran out; "
                "give the workers more memory, or the task fewer rows, and start the job again."
            )
        if isinstance(error, GreenlightError):
            raise error
        raise ClusterLost(f"A worker of the cluster could not take its task: {one_line(error)}")
    returned: Returned = future.result()
    for name, content in returned.files.items():
        if folder is None or Path(name).name != name:
            raise ClusterLost(f"A worker of the cluster sent a file that nobody asked for ({name[:80]!r}).")
        fresh = folder / f".{name}.{secrets.token_hex(4)}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            fresh.write_bytes(content)
            fresh.replace(folder / name)
        except OSError as error:
            raise ClusterLost(f"{name} came back from the cluster and could not be written here: {error.strerror}.") from None
    return returned.outcome


# ---- what runs on a worker ----

_unpacked: OrderedDict[str, Any] = OrderedDict()
_lock = threading.Lock()


def carry_out(number: int, task: bytes, content: bytes, *, work: Work, digest: str, here: dict[str, str]) -> Returned:
    """Do one task on a worker: what the work raises is its outcome, what goes wrong around it is tried again by the cluster."""
    differs = _difference("that the task went to", here, describe_here())
    if differs:
        raise Refused(differs)
    _limit_threads()
    shared = _unpack(digest, content)
    if not (is_dataclass(shared) and hasattr(shared, "artifact_dir")):
        return Returned(attempt(work, shared, number, pickle.loads(task)), {})  # noqa: S301 - sent by the process that we work for
    with tempfile.TemporaryDirectory(prefix="greenlight-") as name:
        own = replace(shared, artifact_dir=Path(name))  # type: ignore[type-var]
        outcome = attempt(work, own, number, pickle.loads(task))  # noqa: S301
        return Returned(outcome, {file.name: file.read_bytes() for file in Path(name).iterdir() if file.is_file()})


def _unpack(digest: str, content: bytes) -> Any:
    """The shared value, unpacked once per worker process."""
    with _lock:
        if digest not in _unpacked:
            _unpacked[digest] = pickle.loads(content)  # noqa: S301
            while len(_unpacked) > KEPT:
                _unpacked.popitem(last=False)
        _unpacked.move_to_end(digest)
        return _unpacked[digest]


def _limit_threads() -> None:
    """One thread for this thread's work, and for good: a limit lifted by one task would be lifted for its neighbour as well."""
    from threadpoolctl import threadpool_limits

    for module in PRELOAD:  # a library that loads later would not be limited
        importlib.import_module(module)
    threadpool_limits(1)


@lru_cache(maxsize=1)
def describe_here() -> dict[str, str]:
    """What must be equal on both sides: Python, kind of processor, libraries, and a hash of Greenlight's own code."""
    found = {"Python": platform.python_version(), "processor": platform.machine(), "Greenlight": hash_code()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def hash_code(root: Path | None = None) -> str:
    """Twelve hexadecimal digits of the sha256 of every source file in core and storage, by path."""
    root = root or Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for path in sorted(p for folder in ("core", "storage") for p in (root / folder).rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _difference(worker: str, here: dict[str, str], there: Any) -> str:
    """Why a worker may not work for us, or ""; a library that only the worker has does not matter."""
    if not isinstance(there, dict):
        return (
            f"Worker {worker} cannot run Greenlight ({one_line(there)}); start it with Greenlight's folder on its PYTHONPATH and "
            "the same libraries installed."
        )
    for name, version in here.items():
        if there.get(name) == version:
            continue
        if name == "Greenlight":
            return f"Worker {worker} runs other code of Greenlight than this installation; bring both to one release and restart the worker."
        return (
            f"Worker {worker} has {name} {there.get(name, 'not installed')}, and this installation has {version}; "
            "results would differ, so bring both to the same and restart the worker."
        )
    return ""
