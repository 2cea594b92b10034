"""What was asked and how it was answered: one record a request, counted by minute, hour and day.

Recording costs the request some microseconds: it goes into a buffer, and within a second the buffer is written
along with the prediction log. A process that is killed loses at most its last second of measurements, never a prediction.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial, wraps
from typing import Any, TypeVar

from sqlite_utils import Database

from core.acts import Actor
from core.errors import Cancelled, GreenlightError, NotFound, Refused
from core.home import Home
from core.projects.projects import find_project
from core.scoring import journal
from core.scoring.journal import NotLogged
from core.times import stamp, utc_now
from storage import traffic as store
from storage.connection import reading

log = logging.getLogger("greenlight.monitoring")

EVERY_SECONDS = 0.25  # and the journal waits as long again at most
UNTIMED = frozenset({"file"})  # a file takes as long as it is long: its time says nothing of how fast a request is answered
KEPT_FINE = timedelta(days=62)  # single requests and minutes: two windows of 30 days; hours and days are kept for ever
KEPT = 200_000  # buffered at most: a full disk must not fill the memory too

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Request:
    """One answered request.

    Attributes
    ----------
    project : str
        Empty where the request names none.
    route : str
        What was asked, without ids: "predict", "feedback", ...
    door : str
        "api", "page" or "cli".
    status : int
        As HTTP counts: 2xx answered, 4xx refused, 5xx failed. Pages and commands use the same numbers.
    rows : int
        Predictions that were answered.
    version : str
        Of the model; empty where none answered.
    total_ms : float
    stages : dict
        Stage (validation, preprocessing, inference, logging) -> milliseconds; a stage that was not measured is absent.
    """

    request_id: str
    at: datetime
    project: str
    route: str
    door: str
    status: int
    rows: int
    version: str
    caller: str
    total_ms: float
    stages: dict[str, float] = field(default_factory=dict)


def record(home: Home, request: Request) -> None:
    """Keep one request; returns at once, written within a second."""
    _recorder_of(home).add(request)


def find_last_request(home: Home, project: str) -> str:
    """When the newest request of a project that is kept came; "" without one."""
    rows = store.list_requests(reading(home.predictions_db), project, since="", until="9999", failed=False, limit=1)
    return rows[0]["at"] if rows else ""


def recorded(route: str) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Record each call of a function ``f(home, actor, project, ...)`` that answers predictions to a person.

    What it returns has ``request_id``, ``version`` and ``rows``, and may have ``stages``; what it raises becomes a status.
    """

    def wrap(function: Callable[..., Answer]) -> Callable[..., Answer]:
        @wraps(function)
        def call(home: Home, actor: Actor, project: str, *values: Any, **options: Any) -> Answer:
            at, began = options.get("now") or utc_now(), time.perf_counter()
            answer: Any = None
            status = 200
            try:
                answer = function(home, actor, project, *values, **options)
            except BaseException as error:
                status = status_of(error)
                raise
            finally:
                known = find_project(home, project) is not None  # a wrong name must not become a series of its own
                record(home, Request(
                    getattr(answer, "request_id", ""), at, project if known else "", route, actor.via, status,
                    getattr(answer, "rows", 0), getattr(answer, "version", ""), actor.name,
                    1000 * (time.perf_counter() - began), getattr(answer, "stages", {}),
                ))  # fmt: skip
            return answer

        return call

    return wrap


def status_of(error: BaseException) -> int:
    """What HTTP would say of an error, for doors that do not speak it."""
    known = {Refused: 403, NotFound: 404, Cancelled: 499, NotLogged: 503, GreenlightError: 422}
    return next((status for kind, status in known.items() if isinstance(error, kind)), 500)


def flush(home: Home) -> None:
    """Wait until everything that this process recorded is on disk."""
    _recorder_of(home).hand_over()
    journal.of(home).flush()


def list_requests(
    home: Home, project: str | None, *, since: datetime, until: datetime, failed: bool = False, limit: int = 100
) -> list[dict[str, Any]]:
    """Single requests of a period, the newest first; ``failed`` keeps what was refused or failed."""
    return store.list_requests(
        reading(home.predictions_db), project, since=stamp(since), until=stamp(until), failed=failed, limit=limit
    )


def find_requests(home: Home, request_id: str) -> list[dict[str, Any]]:
    """What was recorded under one request id."""
    return store.find_requests(reading(home.predictions_db), request_id)


@dataclass(frozen=True)
class Count:
    """Requests of one minute that were answered alike; ``parts`` are their durations (see histogram.measure)."""

    project: str
    minute: str
    version: str
    route: str
    door: str
    status: int
    requests: int
    rows: int
    parts: tuple[bytes, bytes]


def write_requests(db: Database, requests: list[Request], counts: list[Count]) -> None:
    """Put single requests and counts into the caller's transaction."""
    from core.monitoring import histogram

    store.insert_requests(db, map(_to_row, requests))
    if requests:  # twice as many go as come, so that what is too old never piles up and no sweep takes long
        store.forget_requests(db, before=stamp(requests[-1].at - KEPT_FINE), most=2 * len(requests) + 10)
    for count in counts:
        for level, letters in store.LEVELS.items():
            key = (level, count.project, count.minute[:letters], count.version, count.route, count.door, count.status)
            store.add_traffic(db, key, count.requests, count.rows, count.parts, histogram.merge)


def count(requests: list[Request]) -> list[Count]:
    """Requests as counts of one minute each."""
    import numpy as np

    from core.monitoring import histogram

    groups: dict[tuple[str, str, str, str, str, int], list[Request]] = {}
    for r in requests:
        groups.setdefault((r.project, stamp(r.at)[:16], r.version, r.route, r.door, r.status), []).append(r)
    counts = []
    for key, members in groups.items():
        durations = [
            [np.nan if r.route in UNTIMED else r.total_ms, *(r.stages.get(name, np.nan) for name in histogram.MEASURES[1:])]
            for r in members
        ]
        parts = histogram.measure(np.array(durations, dtype=float))
        counts.append(Count(*key, len(members), sum(r.rows for r in members), parts))
    return counts


def _to_row(r: Request) -> tuple[Any, ...]:
    stages = [r.stages.get(name) for name in ("validation", "preprocessing", "inference", "logging")]
    return (
        r.request_id, stamp(r.at), r.project, r.route, r.door, r.status, r.rows, r.version, r.caller, r.total_ms, *stages,
    )  # fmt: skip


class _Recorder:
    """The buffer of one process and the thread that empties it."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._waiting: deque[Request] = deque(maxlen=KEPT)
        self._wake = threading.Event()
        threading.Thread(target=self._run, name="traffic", daemon=True).start()

    def add(self, request: Request) -> None:
        self._waiting.append(request)
        if not self._wake.is_set():
            self._wake.set()

    def hand_over(self) -> None:
        """Give what is buffered to the journal, which writes it along with its next transaction."""
        taken = []
        while self._waiting:
            try:
                taken.append(self._waiting.popleft())
            except IndexError:  # another thread took the last one
                break
        if taken:
            journal.of(self._home).note(partial(write_requests, requests=taken, counts=count(taken)))

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._wake.wait()
            pause.wait(EVERY_SECONDS)
            self._wake.clear()
            try:
                self.hand_over()
            except Exception:  # the boundary of the thread: what could not be counted must not end all counting
                log.exception("some requests were not counted")


def _recorder_of(home: Home) -> _Recorder:
    root = str(home.root)
    found = _recorders.get(root)
    if found is None:
        with _making:
            found = _recorders.get(root)
            if found is None:
                found = _recorders[root] = _Recorder(home)
    return found


def _hand_over_all() -> None:
    for recorder in list(_recorders.values()):
        recorder.hand_over()


def _forget_after_fork() -> None:
    global _making
    _recorders.clear()  # the thread did not come along, and the buffer is the parent's
    _making = threading.Lock()


_recorders: dict[str, _Recorder] = {}
_making = threading.Lock()
os.register_at_fork(after_in_child=_forget_after_fork)
atexit.register(_hand_over_all)  # after the journal registered its own end, so that it runs before that
