"""A list of independent tasks given to one small executor; results come back as they are ready.

What matters of an executor is ``run(work, tasks, shared, cancelled)``. ``work(shared, task)`` is a module-level
function; ``shared`` is what every task reads and is handed over once per worker, not once per task. The order of
``tasks`` is the order in which they are started, so give the long ones first. A third one beside the two here, for
several machines, is in core.adapters.dask_cluster.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from mmap import ACCESS_COPY, mmap
from multiprocessing import connection, forkserver
from pathlib import Path
from typing import Any, Protocol

from core.errors import Cancelled, GreenlightError
from core.text import tell_error

Work = Callable[[Any, Any], Any]
CancelCheck = Callable[[], bool]

THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Imported once, before workers are forked from the server: they share these pages.
PRELOAD = [
    "pandas", "threadpoolctl", "sklearn.compose", "sklearn.ensemble", "sklearn.impute", "sklearn.linear_model",
    "sklearn.dummy", "sklearn.pipeline", "sklearn.calibration", "sklearn.model_selection", "core.training.tasks",
]  # fmt: skip
POLL_SECONDS = 0.2
ATTEMPTS = 2


class WorkerLost(GreenlightError):
    """A worker process was killed twice over the same task."""


@dataclass(frozen=True)
class Outcome:
    """What became of one task: its value, or the one-line error that its work raised."""

    index: int
    value: Any = None
    error: str | None = None


class Executor(Protocol):
    """Runs independent tasks; see the module's text."""

    workers: int

    def prepare(self) -> None:
        """Begin what takes a while to begin; calling it is optional."""
        ...

    @property
    def ran_on(self) -> str:
        """Where tasks were done so far, in words: by what did them, not by what was asked for; "" while none was done."""
        ...

    def run(self, work: Work, tasks: Sequence[Any], shared: Any, cancelled: CancelCheck | None = None) -> Iterator[Outcome]:
        """Yield one outcome per task as they finish; raise Cancelled soon after ``cancelled()`` turns true.

        Where ``shared`` names an ``artifact_dir``, work may write files into it; they lie there when the outcome is yielded.
        """
        ...


class InlineExecutor:
    """Runs tasks one after the other in this process: for tests and tiny data."""

    workers = 1
    ran_on = ""

    def prepare(self) -> None:
        """Nothing to begin."""

    def run(self, work: Work, tasks: Sequence[Any], shared: Any, cancelled: CancelCheck | None = None) -> Iterator[Outcome]:
        from threadpoolctl import threadpool_limits

        for index, task in enumerate(tasks):
            check_cancelled(cancelled)
            with threadpool_limits(1):  # as in a worker: sums in another order would give other last digits
                outcome = attempt(work, shared, index, task)
            self.ran_on = say_workers(1)
            yield outcome


class LocalExecutor:
    """Runs tasks in worker processes of this machine.

    Workers are forked from a server that has imported the libraries once. Each is limited to one thread: two
    fits that both ask for every core take a hundred times as long. The shared value is pickled to one file, its
    arrays mapped into every worker, so they are in memory once. A worker that dies (out of memory, killed) is
    replaced and its task tried once more.

    Parameters
    ----------
    workers : int or None
        None: as many as cores, at most two.
    folder : path or None
        Where the file with the shared value lies while tasks run; None: the system's folder for such files.
    """

    def __init__(self, workers: int | None = None, folder: str | Path | None = None) -> None:
        self.workers = workers or min(os.cpu_count() or 1, 2)
        self.folder = folder
        self._most = 0  # workers of one run that did at least one task
        self._staying = False
        self._crew: _Crew | None = None  # one that waits for the next run of the same work

    @property
    def ran_on(self) -> str:
        return say_workers(self._most) if self._most else ""

    def prepare(self) -> None:
        """Start the server that workers are forked from: it imports the libraries while the caller splits the rows."""
        _start_server()

    @contextmanager
    def staying(self) -> Iterator[None]:
        """Inside, workers outlive a run and take up the next one, as long as it is the same work on the very same shared value."""
        self._staying = True
        try:
            yield
        finally:
            self._staying = False
            self._dismiss()

    def run(self, work: Work, tasks: Sequence[Any], shared: Any, cancelled: CancelCheck | None = None) -> Iterator[Outcome]:
        if self._crew is None or self._crew.work is not work or self._crew.shared is not shared:
            self._dismiss()
            self._crew = _Crew(work, shared, self.folder)
        crew, ended = self._crew, False
        try:
            crew.grow(min(self.workers, len(tasks)))
            busy: set[int] = set()
            for worker, outcome in _supervise(crew, tasks, cancelled):
                busy.add(worker.place)
                self._most = max(self._most, len(busy))
                yield outcome
            ended = True
        finally:
            if not (ended and self._staying):  # a worker that is in the middle of a task is of no use to the next run
                self._dismiss()

    def _dismiss(self) -> None:
        if self._crew is not None:
            crew, self._crew = self._crew, None
            crew.end()


class _Crew:
    """The workers of one piece of work, and the file with the value that they share."""

    def __init__(self, work: Work, shared: Any, folder: str | Path | None) -> None:
        self.work, self.shared = work, shared
        self.workers: list[_Worker] = []
        descriptor, self.file = tempfile.mkstemp(prefix="greenlight-shared-", dir=folder)
        os.close(descriptor)
        try:
            write_shared(Path(self.file), shared)
        except BaseException:
            self.end()
            raise

    def grow(self, count: int) -> None:
        self.workers.extend(_Worker(self.work, self.file, place) for place in range(len(self.workers), count))

    def replace(self, worker: _Worker) -> None:
        worker.end()
        self.workers.remove(worker)
        self.workers.append(_Worker(self.work, self.file, worker.place))

    def end(self) -> None:
        for worker in self.workers:
            worker.end()
        Path(self.file).unlink(missing_ok=True)


class _Worker:
    """One process and the task it has in hand; ``place`` is its number in the crew, which who replaces it takes over."""

    def __init__(self, work: Work, shared_file: str, place: int) -> None:
        self.place = place
        self.pipe, other = multiprocessing.Pipe()
        self.process = _start(_serve, (other, work, shared_file))
        other.close()
        self.index: int | None = None

    def give(self, index: int, task: Any) -> bool:
        """Hand a task over; False when the process is already gone."""
        try:
            self.pipe.send((index, task))
        except (BrokenPipeError, ConnectionResetError):
            return False
        self.index = index
        return True

    def end(self) -> None:
        self.process.kill()  # a fit does not listen to anything gentler
        self.process.join()
        self.pipe.close()


def _start(target: Callable[..., None], args: tuple[Any, ...]) -> Any:
    with _one_thread_each():
        process = _context().Process(target=target, args=args, daemon=True)
        process.start()
    return process


def _context() -> Any:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def _start_server() -> None:
    if _context().get_start_method() == "forkserver":
        with _one_thread_each():
            forkserver.ensure_running()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started inside find the limits in their environment, where the libraries look when they load."""
    before = {name: os.environ.get(name) for name in THREAD_LIMITS}
    os.environ.update(dict.fromkeys(THREAD_LIMITS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _supervise(crew: _Crew, tasks: Sequence[Any], cancelled: CancelCheck | None) -> Iterator[tuple[_Worker, Outcome]]:
    waiting = deque(range(len(tasks)))
    lost = [0] * len(tasks)
    left = len(tasks)

    def replace(worker: _Worker) -> None:
        if worker.index is not None:
            lost[worker.index] += 1
            if lost[worker.index] >= ATTEMPTS:
                raise WorkerLost(
                    "A worker process was killed twice over the same fit, most likely because memory ran out; "
                    "train fewer rows or smaller candidates, or free memory and train again."
                )
            waiting.appendleft(worker.index)
        crew.replace(worker)

    while left:
        check_cancelled(cancelled)
        for worker in list(crew.workers):
            if worker.index is None and waiting:
                index = waiting.popleft()
                if not worker.give(index, tasks[index]):
                    lost[index] += 1  # it died before it took the task: counted, or a worker that cannot start would loop
                    worker.index = None
                    waiting.appendleft(index)
                    if lost[index] > ATTEMPTS:
                        raise WorkerLost("Worker processes end as soon as they start; see the job's log for the reason.")
                    replace(worker)
        ready = connection.wait([w.pipe for w in crew.workers if w.index is not None], timeout=POLL_SECONDS)
        for worker in [w for w in crew.workers if w.pipe in ready]:
            try:
                outcome = worker.pipe.recv()
            except (EOFError, ConnectionResetError):
                replace(worker)
                continue
            worker.index = None
            left -= 1
            yield worker, outcome


def _serve(pipe: Any, work: Work, shared_file: str) -> None:
    """A worker's life: read the shared value, then answer tasks until the pipe closes."""
    from threadpoolctl import threadpool_limits

    threading.Thread(target=_end_with_parent, daemon=True).start()
    shared = read_shared(Path(shared_file))
    gc.freeze()  # what is there before any task stays: looking through it after each took 0.1 s of processor time
    with threadpool_limits(1):
        while True:
            try:
                index, task = pipe.recv()
            except EOFError:
                return
            outcome = attempt(work, shared, index, task)
            try:
                pipe.send(outcome)
            except (BrokenPipeError, ConnectionResetError):
                return  # the parent is gone or has cancelled
            del outcome, task
            gc.collect()


def _end_with_parent() -> None:
    """A fit may take minutes; nobody waits for it once the job's process is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def attempt(work: Work, shared: Any, index: int, task: Any) -> Outcome:
    """Do one task; the boundary of a task: one failing fit must not take the others with it."""
    try:
        return Outcome(index, value=work(shared, task))
    except Exception as error:
        return Outcome(index, error=tell_error(error))


def keep_workers(executor: Executor) -> AbstractContextManager[None]:
    """Inside, workers outlive a run where they would be started anew for each: those of this machine; a cluster's stay anyway."""
    return executor.staying() if isinstance(executor, LocalExecutor) else nullcontext()


def say_workers(count: int) -> str:
    """``2 workers of this machine``."""
    return f"{count} worker{'s' if count != 1 else ''} of this machine"


def check_cancelled(cancelled: CancelCheck | None) -> None:
    """Raise Cancelled where somebody asked to stop."""
    if cancelled is not None and cancelled():
        raise Cancelled("The training was stopped; nothing of it was kept.")


def write_shared(path: Path, value: Any) -> None:
    """Pickle ``value`` to ``path``, its arrays as they lie in memory after it (pickle protocol 5, out of band)."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    raw = [buffer.raw() for buffer in buffers]
    with path.open("wb") as file:
        index = pickle.dumps([len(head), *(len(r) for r in raw)])
        file.write(len(index).to_bytes(8, "little") + index + head)
        for part in raw:
            file.write(b"\0" * (-file.tell() % 64))  # arrays begin on a cache line
            file.write(part)


def read_shared(path: Path) -> Any:
    """Return the value of ``write_shared``; its arrays are private, writable views of the mapped file."""
    with path.open("rb") as file:
        view = memoryview(mmap(file.fileno(), 0, access=ACCESS_COPY))
    start = 8 + int.from_bytes(view[:8], "little")
    sizes = pickle.loads(view[8:start])  # noqa: S301  written by this process's parent a moment ago
    place = start + sizes[0]
    buffers = []
    for size in sizes[1:]:
        place += -place % 64
        buffers.append(view[place : place + size])
        place += size
    return pickle.loads(view[start : start + sizes[0]], buffers=buffers)  # noqa: S301
