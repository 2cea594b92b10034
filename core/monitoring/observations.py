"""Metrics that clients post (embedding_latency_ms, num_recipes, ...): kept one by one, and counted by minute, hour and day."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlite_utils import Database

from core import acts
from core.errors import BadInput, Refused
from core.home import Home
from core.monitoring import histogram
from core.monitoring.stats import cover, find_place, floor_to, level_of
from core.monitoring.traffic import KEPT_FINE
from core.projects.projects import get_project
from core.times import stamp, utc_now
from storage import accounts as accounts_store
from storage import traffic as store
from storage.connection import reading, writing

NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
AT_ONCE = 1_000
NAMES = 200  # per project: each name is a series for ever, here and in what scrapes us
LARGEST = 1e100  # squares of it can still be added up
OLDEST, AHEAD = timedelta(days=30), timedelta(minutes=5)
SHARES = (0.50, 0.95, 0.99)


@dataclass(frozen=True)
class Summary:
    """One posted metric over one period; percentiles are within 1 % of the value."""

    name: str
    n: int
    mean: float
    std: float
    p50: float
    p95: float
    p99: float
    least: float
    most: float
    last: float
    last_at: str


@dataclass(frozen=True)
class Point:
    """One step of a series; None where nothing was posted."""

    at: datetime
    n: int
    mean: float | None
    least: float | None
    most: float | None


@dataclass(frozen=True)
class Series:
    name: str
    points: tuple[Point, ...]


def post(
    home: Home, caller: str, project: str, values: Iterable[tuple[str, float, datetime | None]], *, now: datetime | None = None
) -> int:
    """Keep some posted values, all or none; returns how many.

    Parameters
    ----------
    values : iterable of (name, value, at)
        ``at`` None means now.

    Raises
    ------
    BadInput
        A name, value or time that cannot be; too many at once, or too many names.
    NotFound
        No such project.
    Refused
        The account may not post, or the project is archived.
    """
    now = now or utc_now()
    account = accounts_store.find_account(reading(home.db), caller)
    if account is None or not account["active"]:
        raise Refused(f"There is no active account {caller!r}; ask an administrator to add it.")
    acts.check_role(account["role"], "post_observations")
    if get_project(home, project).archived:
        raise Refused(f"Project {project} is archived; restore it before posting to it.")
    checked = _check(list(values), now)
    groups: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for name, value, at in checked:
        groups.setdefault((name, at[:16]), []).append((at, value))
    with writing(home.predictions_db) as db:
        _check_names(project, {name for _, name in store.list_observation_names(db, project)}, {name for name, _, _ in checked})
        for name in sorted({name for name, _ in groups}):
            store.add_observation_name(db, project, name, stamp(now))
        store.insert_observations(db, [(project, name, value, at, caller) for name, value, at in checked])
        for (name, minute), members in groups.items():
            _count(db, project, name, minute, members)
        store.forget_observations(db, project, before=stamp(now - KEPT_FINE), most=2 * len(checked) + 10)
    return len(checked)


def summarise(home: Home, project: str, *, since: datetime, until: datetime) -> list[Summary]:
    """Every metric that was posted in a period of whole minutes, in alphabetical order."""
    found: dict[str, list] = {}
    for level, first, last in cover(floor_to(since, "minute"), floor_to(until, "minute")):
        letters = store.LEVELS[level]
        for row in store.list_observation_counts(reading(home.predictions_db), project, level, stamp(first)[:letters], stamp(last)[:letters]):
            found.setdefault(row["name"], []).append(row)
    return [_add_up(name, rows) for name, rows in sorted(found.items())]


def window(home: Home, project: str, minutes: int, *, now: datetime) -> list[Summary]:
    """Every metric posted in the last ``minutes``, the running minute included (as in stats.window)."""
    until = floor_to(now, "minute") + timedelta(minutes=1)
    return summarise(home, project, since=until - timedelta(minutes=minutes), until=until)


def list_series(home: Home, project: str, *, since: datetime, until: datetime, step: timedelta) -> list[Series]:
    """What was posted, in equal steps (see stats.series); a metric without a value in the period is left out."""
    level = level_of(step)
    since, letters = floor_to(since, level), store.LEVELS[level]
    steps = max(-(-(until - since) // step), 0)
    rows = store.list_observation_counts(
        reading(home.predictions_db), project, level, stamp(since)[:letters], stamp(since + steps * step)[:letters]
    )
    found: dict[str, list[list]] = {}
    for row in rows:
        found.setdefault(row["name"], [[] for _ in range(steps)])[find_place(row["bucket"], since, step)].append(row)
    return [
        Series(name, tuple(_make_point(since + n * step, members) for n, members in enumerate(steps_of)))
        for name, steps_of in sorted(found.items())
    ]


def _check(values: list[tuple[str, float, datetime | None]], now: datetime) -> list[tuple[str, float, str]]:
    if not 1 <= len(values) <= AT_ONCE:
        raise BadInput(f"Post 1 to {AT_ONCE} observations at once; these are {len(values)}.")
    checked = []
    for number, (name, value, at) in enumerate(values, start=1):
        if not isinstance(name, str) or NAME.fullmatch(name) is None:
            shown = str(name)[:60]
            raise BadInput(f"Observation {number}: the name {shown!r} must be a lower-case word of at most 60 letters, digits and _.")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadInput(f"Observation {number} ({name}): the value must be a number.")
        if not abs(value) <= LARGEST:  # so that NaN fails as well
            raise BadInput(f"Observation {number} ({name}): the value must be a finite number of at most {LARGEST:.0e} in size.")
        moment = at or now
        if moment.tzinfo is None:
            raise BadInput(f"Observation {number} ({name}): the time {moment.isoformat()} names no zone; add Z or an offset.")
        if not now - OLDEST <= moment <= now + AHEAD:
            raise BadInput(
                f"Observation {number} ({name}): the time {moment.isoformat()} is more than {OLDEST.days} days old, or ahead of "
                "this machine's clock; check the sender's clock."
            )
        checked.append((name, float(value), stamp(moment)))
    return checked


def _check_names(project: str, known: set[str], posted: set[str]) -> None:
    fresh = sorted(posted - known)
    if fresh and len(known | posted) > NAMES:
        raise BadInput(f"Project {project} has {len(known)} metrics and may have {NAMES}; post {fresh[0]} under a name that exists already.")


def _count(db: Database, project: str, name: str, minute: str, members: list[tuple[str, float]]) -> None:
    import numpy as np

    values = np.array([v for _, v in members])
    last_at, last = sorted(members, key=lambda m: m[0])[-1]  # of equal times, what was posted last
    counted = {
        "project": project, "name": name, "n": len(values), "total": float(values.sum()), "total_sq": float((values * values).sum()),
        "least": float(values.min()), "most": float(values.max()), "last": last, "last_at": last_at,
        "histogram": histogram.measure_values(values),
    }  # fmt: skip
    for level, letters in store.LEVELS.items():
        store.add_observation_count(db, {**counted, "level": level, "bucket": minute[:letters]}, histogram.merge_values)


def _add_up(name: str, rows: list) -> Summary:
    n = sum(r["n"] for r in rows)
    mean = sum(r["total"] for r in rows) / n
    spread = math.sqrt(max(sum(r["total_sq"] for r in rows) / n - mean * mean, 0.0))
    least, most = min(r["least"] for r in rows), max(r["most"] for r in rows)
    p50, p95, p99 = histogram.find_value_percentiles([r["histogram"] for r in rows], SHARES, least, most)
    newest = max(rows, key=lambda r: r["last_at"])
    return Summary(name, n, mean, spread, p50, p95, p99, least, most, newest["last"], newest["last_at"])


def _make_point(at: datetime, rows: list) -> Point:
    if not rows:
        return Point(at, 0, None, None, None)
    n = sum(r["n"] for r in rows)
    return Point(at, n, sum(r["total"] for r in rows) / n, min(r["least"] for r in rows), max(r["most"] for r in rows))
