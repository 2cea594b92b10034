"""Rates, errors and percentiles of any period, summed from the counts by minute, hour and day; single requests are never read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from core.home import Home
from core.monitoring import histogram
from core.monitoring.histogram import MEASURES, Latency
from core.times import stamp
from storage import traffic as store
from storage.connection import reading

STAGES = MEASURES[1:]
_SPANS = {"day": timedelta(days=1), "hour": timedelta(hours=1), "minute": timedelta(minutes=1)}


@dataclass(frozen=True)
class Window:
    """How one period was answered; None is unknown (nothing was asked).

    Attributes
    ----------
    since, until : datetime
        Whole minutes, ``until`` excluded; the running minute is part of the window that ends now.
    requests, rows : int
        Requests, and the predictions in their answers.
    errors : int
        Requests that failed (status 500 and above): ours. ``error_rate`` is their share, 0..1.
    refused : int
        Requests that we refused (status 4xx): the caller's, counted apart.
    per_second : float
        Requests a second, over the part of the window that has passed.
    mean, std, p50, p95, p99, most : float or None
        Milliseconds in total; percentiles are within 1 %.
    stages : dict
        Stage -> Latency, for the stages that were measured.
    before : Window or None
        The window of the same length before this one.
    """

    project: str | None
    since: datetime
    until: datetime
    minutes: int
    requests: int
    rows: int
    errors: int
    refused: int
    per_second: float
    error_rate: float | None
    refused_rate: float | None
    latency: Latency | None
    stages: dict[str, Latency]
    before: Window | None = None

    @property
    def mean(self) -> float | None:
        return self.latency.mean if self.latency else None

    @property
    def std(self) -> float | None:
        return self.latency.std if self.latency else None

    @property
    def p50(self) -> float | None:
        return self.latency.p50 if self.latency else None

    @property
    def p95(self) -> float | None:
        return self.latency.p95 if self.latency else None

    @property
    def p99(self) -> float | None:
        return self.latency.p99 if self.latency else None

    @property
    def most(self) -> float | None:
        return self.latency.most if self.latency else None


@dataclass(frozen=True)
class Point:
    """One step of a series; percentiles and means are None where nothing was asked."""

    at: datetime
    requests: int
    rows: int
    errors: int
    refused: int
    per_second: float
    latency: Latency | None
    stages: dict[str, float]  # stage -> mean milliseconds


def window(home: Home, project: str | None, minutes: int, *, now: datetime) -> Window:
    """The last ``minutes`` up to ``now`` and, in ``before``, as many before them.

    Parameters
    ----------
    project : str or None
        None: all projects, and the requests that name none.
    """
    until = floor_to(now, "minute") + _SPANS["minute"]
    since = until - timedelta(minutes=minutes)
    earlier = between(home, project, since - timedelta(minutes=minutes), since, now=now)
    return replace(between(home, project, since, until, now=now), before=earlier)


def between(home: Home, project: str | None, since: datetime, until: datetime, *, now: datetime) -> Window:
    """One period of whole minutes (cut to them), with no window before it."""
    since, until = floor_to(since, "minute"), floor_to(until, "minute")
    rows: list[Any] = []
    for level, first, last in cover(since, until):
        letters = store.LEVELS[level]
        rows += store.list_traffic(reading(home.predictions_db), project, level, stamp(first)[:letters], stamp(last)[:letters])
    tally = histogram.read([(r["sums"], r["histogram"]) for r in rows], [0] * len(rows), 1)
    requests, answered, errors, refused = _add_up(rows)
    stages = {name: found for name in STAGES if (found := tally.latency(name)) is not None}
    seconds = max((min(until, now) - since).total_seconds(), 1.0)
    return Window(
        project, since, until, round((until - since) / _SPANS["minute"]), requests, answered, errors, refused,
        per_second=requests / seconds, error_rate=errors / requests if requests else None,
        refused_rate=refused / requests if requests else None, latency=tally.latency("total"), stages=stages,
    )


def series(
    home: Home, project: str | None, since: datetime, until: datetime, step: timedelta, *, version: str | None = None
) -> list[Point]:
    """Equal steps from ``since`` (cut to the level that the step is counted in) to ``until``; a quiet step has 0 requests.

    Parameters
    ----------
    step : timedelta
        Whole minutes; a multiple of an hour or a day is read from the counts of hours or days.
    version : str, optional
        Only what this version answered; "" is what none did.
    """
    level = level_of(step)
    since, letters = floor_to(since, level), store.LEVELS[level]
    steps = max(-(-(until - since) // step), 0)
    end = since + steps * step
    rows = store.list_traffic(reading(home.predictions_db), project, level, stamp(since)[:letters], stamp(end)[:letters])
    rows = [r for r in rows if version is None or r["version"] == version]
    places = [find_place(r["bucket"], since, step) for r in rows]
    tally = histogram.read([(r["sums"], r["histogram"]) for r in rows], places, steps)
    members: list[list[Any]] = [[] for _ in range(steps)]
    for place, row in zip(places, rows, strict=True):
        members[place].append(row)
    points = []
    for n, mine in enumerate(members):
        requests, answered, errors, refused = _add_up(mine)
        seconds = max((min(since + (n + 1) * step, until) - (since + n * step)).total_seconds(), 1.0)
        means = {name: total / asked for name in STAGES for asked, total, *_ in [tally.totals(name, n)] if asked}
        points.append(
            Point(since + n * step, requests, answered, errors, refused, requests / seconds, tally.latency("total", n), means)
        )
    return points


def cover(since: datetime, until: datetime) -> list[tuple[str, datetime, datetime]]:
    """The fewest counts that make up a period of whole minutes: (level, first bucket, end) of minutes, hours, days and back."""
    pieces: list[tuple[str, datetime, datetime]] = []
    at = since
    for level, next_level in (("minute", "hour"), ("hour", "day"), ("day", ""), ("hour", ""), ("minute", "")):
        last = floor_to(until, level)
        if next_level:  # only up to where the longer buckets begin
            start = floor_to(at, next_level)
            last = min(last, start if start == at else start + _SPANS[next_level])
        if last > at:
            pieces.append((level, at, last))
            at = last
    return pieces


def level_of(step: timedelta) -> str:
    """The longest counts that a step can be read from: "day", "hour" or "minute"."""
    return next(name for name, span in _SPANS.items() if not step % span)


def floor_to(moment: datetime, level: str) -> datetime:
    """The beginning of the minute, hour or day (UTC) that a moment lies in."""
    moment = moment.astimezone(UTC).replace(second=0, microsecond=0)
    if level == "minute":
        return moment
    return moment.replace(minute=0) if level == "hour" else moment.replace(hour=0, minute=0)


def find_place(bucket: str, since: datetime, step: timedelta) -> int:
    """Which step after ``since`` a bucket ("2026-11-21", "2026-11-21T14", "2026-11-21T14:52") belongs to."""
    text = bucket if len(bucket) > 13 else bucket + ("T00:00" if len(bucket) == 10 else ":00")
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - since) // step


def _add_up(rows: list[Any]) -> tuple[int, int, int, int]:
    requests = sum(r["requests"] for r in rows)
    errors = sum(r["requests"] for r in rows if r["status"] >= 500)
    refused = sum(r["requests"] for r in rows if 400 <= r["status"] < 500)
    return requests, sum(r["rows"] for r in rows), errors, refused
