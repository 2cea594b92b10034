"""A Dask cluster as an executor: tasks go to the workers of one named scheduler, values and files come back over the wire.

Nothing is shared but the connection: no disk, no database, no key. Before anything is sent, every worker must run the same Python,
libraries and Greenlight as this process, or the last digits would depend on who answered. What crosses the wire are pickles: whoever
can speak to the scheduler can run code on its workers, so the cluster belongs behind TLS or in a network of its own.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
import re
import secrets
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from core.adapters.dask_security import check_security, is_about_trust
from core.adapters.dask_worker import Returned, carry_out, describe_here, find_difference, hold
from core.adapters.optional import need
from core.errors import BadInput, GreenlightError, Refused
from core.text import tell_error
from core.training.executor import CancelCheck, Outcome, Work, WorkerLost, check_cancelled

RETRIES = 3
CONNECT_SECONDS = 10.0
POLL_SECONDS = 0.02
LOOK_SECONDS = 5.0  # between two looks at whether there are workers at all
ALONE_SECONDS = 60.0  # without any worker, before the work is given up
TIMES_LOST = 3  # that the scheduler may forget what it was given before it is believed to be beyond help
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
        self._seen: set[str] = set()  # addresses of the workers that did at least one task
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

    @property
    def ran_on(self) -> str:
        """``cluster tcp://host:8786, 4 workers``: those that did at least one task; "" while none was done."""
        count = len(self._seen)
        return f"cluster {self.address}, {count} worker{'s' if count != 1 else ''}" if count else ""

    def list_workers(self) -> list[WorkerInfo]:
        """Every worker that the scheduler has now, and whether it fits."""
        with self._told("did not answer"):
            client = self._connect()
            threads = client.nthreads()
            told = client.run(describe_here, on_error="return")
        here = describe_here()
        return [WorkerInfo(name, threads.get(name, 0), find_difference(name, here, told[name])) for name in sorted(told)]

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
        left: dict[int, Any] = {}  # number of a task -> its future
        watch, lost = _Watch(self), 0
        try:
            with self._told("went away during the work"), self._client.as_current():
                while lost <= TIMES_LOST:
                    numbers = sorted(left) if lost else range(len(tasks))
                    left = dict(zip(numbers, self._send(work, [(n, tasks[n]) for n in numbers], shared), strict=True))
                    names = {future.key: number for number, future in left.items()}
                    ready = self._dask.as_completed(left.values())
                    while left:
                        check_cancelled(cancelled)
                        watch.look()
                        if not ready.has_ready():
                            time.sleep(POLL_SECONDS)
                            continue
                        future = next(ready)
                        outcome = self._take(future, folder)
                        if outcome is None:
                            break
                        del left[names[future.key]]
                        future.release()
                        yield outcome
                    if not left:
                        return
                    lost += 1
                    self._forget(list(left.values()), watch)
                raise self._given_up()
        finally:
            self._drop(list(left.values()))

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
        waiting: deque[tuple[int, Any, Any]] = deque()  # number, task and future
        source, watch, lost = enumerate(tasks), _Watch(self), 0
        try:
            with self._told("went away during the work"):
                while lost <= TIMES_LOST:
                    while len(waiting) < 2 * self.workers + 1 and (entry := next(source, None)) is not None:
                        waiting.append((*entry, *self._send(work, [entry], shared)))
                    if not waiting:
                        return
                    number, _, future = waiting[0]
                    while not future.done():
                        if check is not None:
                            check()
                        watch.look()
                        time.sleep(POLL_SECONDS / 4)
                    outcome = self._take(future, None)
                    if outcome is None:
                        lost += 1
                        self._forget([f for _, _, f in waiting], watch)
                        again = [(n, t) for n, t, _ in waiting]
                        waiting = deque((*entry, f) for entry, f in zip(again, self._send(work, again, shared), strict=True))
                        continue
                    waiting.popleft()
                    future.release()
                    if outcome.error is not None:
                        raise ClusterLost(f"Part {number + 1} could not be worked on by {self.address}: {outcome.error}")
                    yield outcome.value
                raise self._given_up()
        finally:
            self._drop([f for _, _, f in waiting])

    def _connect(self) -> Any:
        if self._client is None:
            check_security(self.address)
            # only the named scheduler is spoken to: workers are reached through it
            self._client = self._dask.Client(
                self.address, timeout=CONNECT_SECONDS, set_as_default=False, direct_to_workers=False, name="greenlight"
            )
        return self._client

    def _send(self, work: Work, entries: Sequence[tuple[int, Any]], shared: Any) -> list[Any]:
        """Futures of numbered tasks."""
        if self._published is None or self._published[0] is not shared:
            content = pickle.dumps(shared, protocol=5)
            digest = f"{hashlib.sha256(content).hexdigest()[:24]}-{secrets.token_hex(4)}"
            with warnings.catch_warnings(action="ignore"):  # that it is large; but the scheduler keeps it, so no worker's death loses it
                place = self._client.submit(hold, content, key=f"greenlight-shared-{digest}", retries=RETRIES, pure=False)
            self._published = (shared, digest, place)
        _, digest, place = self._published
        call = partial(carry_out, work=work, digest=digest, here=describe_here())
        token = secrets.token_hex(6)
        numbers, packed = [n for n, _ in entries], [pickle.dumps(task, protocol=5) for _, task in entries]
        with warnings.catch_warnings(action="ignore"):  # that parts of a file are large
            return list(
                self._client.map(
                    call, numbers, packed, [place] * len(entries), key=[f"greenlight-{token}-{n:06d}" for n in numbers],
                    retries=RETRIES, pure=False,
                )
            )  # fmt: skip

    def _take(self, future: Any, folder: Path | None) -> Outcome | None:
        """The outcome of a finished future; None if the cluster no longer has it."""
        returned = _receive(future, folder)
        if returned is None:
            return None
        self._seen.add(returned.worker)
        return returned.outcome

    def _forget(self, futures: list[Any], watch: _Watch) -> None:
        """The scheduler no longer knows what it was given: drop the rest of it, to send all of it again."""
        watch.check_scheduler()
        self._drop(futures)
        self._published = None

    def _given_up(self) -> ClusterLost:
        return ClusterLost(
            f"The Dask scheduler {self.address} forgot its work {TIMES_LOST + 1} times; see its log, then start the job again."
        )

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
            log.warning("the cluster %s %s: %s", self.address, what, tell_error(error))
            self.close()
            if is_about_trust(error):
                raise ClusterLost(
                    f"The Dask scheduler {self.address} and this machine do not know each other's certificates; "
                    "have both signed by the authority that Dask's settings name (docs/scaling.md)."
                ) from None
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


def _receive(future: Any, folder: Path | None) -> Returned | None:
    """What a finished future brought, its files written where the caller wants them; None if the cluster no longer has it."""
    from concurrent.futures import CancelledError

    from distributed.scheduler import KilledWorker

    if future.status in ("cancelled", "lost"):
        return None
    if future.status == "error":
        error = future.exception()
        if isinstance(error, KilledWorker):
            raise WorkerLost(
                "Worker processes of the cluster died again and again over the same task, most likely because memory ran out; "
                "give the workers more memory, or the task fewer rows, and start the job again."
            )
        if isinstance(error, GreenlightError):
            raise error
        raise ClusterLost(f"A worker of the cluster could not take its task: {tell_error(error)}")
    try:
        returned: Returned = future.result()
    except CancelledError:
        return None
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
    return returned
