"""Columns whose values say that their source is broken: empty, stuck at one value, or impossible; since when, in how many rows.

Read from the newest logged rows (their values) and the hourly profiles (since when); a column that was like that in training is
not broken now.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from core.home import Home
from core.projects.definition import Column, Definition
from core.scoring import log, profiles
from core.text import one_line
from core.times import parse, stamp
from storage import predictions as log_store
from storage import versions as versions_store
from storage import watching as watching_store
from storage.connection import reading

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from core.drift.bins import Profile
    from core.scoring.profiles import Counter

LEAST = 30  # rows
NEWEST = 200  # rows that are looked at: what broke today must not hide behind what was well before
WEEK = timedelta(days=7)
EMPTY = 0.5  # share of missing values, and so much more than in training...
EMPTY_MORE = 0.4
STUCK = 0.98  # share of one value among those that are there, where training had at most
STUCK_BEFORE = 0.90
IMPOSSIBLE = 0.10  # share of values outside the column's plausible range


@dataclass(frozen=True)
class BrokenColumn:
    """One column that cannot be right.

    Attributes
    ----------
    what : "empty", "stuck" or "impossible"
        The strongest that holds; a column stuck at an impossible value is "stuck", and ``impossible`` says the rest.
    value : str
        What it is stuck at, as text; "" otherwise.
    share : float
        Of the rows looked at, 0..1.
    usual : float
        The same share in training, 0..1.
    since : str
        First hour from which on it was so without a break (UTC, ``2026-11-21T14``); "" if that is not known.
    used : bool
        False if the model does not use the column (its importance is 0).
    """

    name: str
    what: str
    share: float
    usual: float
    rows: int
    since: str
    value: str = ""
    impossible: bool = False
    used: bool = True

    @property
    def sentence(self) -> str:
        since = f" since {self.since[:10]} {self.since[11:13]}:00 UTC" if self.since else ""
        name = one_line(self.name)[:60]
        if self.what == "empty":
            return f"{name} is missing in {self.share:.0%} of {self.rows:,} rows{since}, in {self.usual:.0%} in training"
        if self.what == "stuck":
            extra = ", which is impossible" if self.impossible else ""
            return f"{name} is always {one_line(self.value)[:40]}{extra} ({self.share:.0%} of {self.rows:,} rows{since})"
        return f"{name} is outside its plausible range in {self.share:.0%} of {self.rows:,} rows{since}"


def find_broken(home: Home, project: str, definition: Definition, live: dict[str, Any], *, now: datetime) -> tuple[BrokenColumn, ...]:
    """Columns of the live version's newest rows that cannot be right, those that the model uses first.

    Parameters
    ----------
    live : dict
        The row of the live version.
    """
    from core.drift.bins import profile_from_json
    from core.drift.checks import find_importances

    frame = read_newest(home, project, live["version"], now)
    if len(frame) < LEAST:
        return ()
    found = versions_store.find_profile(reading(home.db), live["id"])
    reference = profile_from_json(found[1]) if found else None
    counter = profiles.counter_of(home, live["id"], live["sha256"])
    hours = _hours(home, project, live["version"], counter, now)
    importances = find_importances(live)
    broken = []
    for column in definition.features:
        if column.name in frame:
            one = _judge(column, frame[column.name], reference, counter, hours)
            if one is not None:
                used = importances is None or importances.get(column.name) != 0.0
                broken.append(BrokenColumn(**{**one.__dict__, "used": used}))
    return tuple(sorted(broken, key=lambda b: (not b.used, -b.share, b.name)))


def read_newest(home: Home, project: str, version: str, now: datetime) -> pd.DataFrame:
    """The newest rows of the last week: only the hours that hold so many are read."""
    import pandas as pd

    hours = watching_store.list_answer_hours(reading(home.predictions_db), project, since=stamp(now - WEEK), version=version)
    rows, first = 0, ""
    for hour in reversed(hours):
        if rows >= NEWEST and hour["hour"] != first:
            break
        rows, first = rows + hour["rows"], hour["hour"]
    if rows < LEAST:
        return pd.DataFrame()
    known = log.iterate(home, project, since=parse(first + ":00:00.000Z"), until=now + timedelta(minutes=1), version=version)
    frames = [_take_newest(frame) for frame in known]
    return _take_newest(pd.concat(frames, ignore_index=True)) if frames else pd.DataFrame()


def _take_newest(frame: pd.DataFrame) -> pd.DataFrame:
    """The newest rows. Of those that came at one moment, evenly spaced ones: a file is often sorted, and its end is not newer."""
    import numpy as np

    if len(frame) <= NEWEST:
        return frame
    at = frame["at"].astype(str).to_numpy(dtype=object)
    last = sorted(at)[-NEWEST]
    newer, together = np.flatnonzero(at > last), np.flatnonzero(at == last)
    spread = np.linspace(0, len(together) - 1, NEWEST - len(newer)).round().astype(int)
    return frame.iloc[np.sort(np.concatenate([newer, together[spread]]))]


def _judge(
    column: Column, values: pd.Series, reference: Profile | None, counter: Counter | None, hours: Sequence[tuple[str, np.ndarray]]
) -> BrokenColumn | None:
    import pandas as pd

    rows = len(values)
    usual = _usual(reference, column.name)
    missing = float(values.isna().mean())
    usual_missing = usual[-1] if usual else 0.0
    if missing >= EMPTY and missing - usual_missing >= EMPTY_MORE:
        since = _since(counter, hours, column.name, lambda c: c[-1] >= EMPTY * max(c.sum(), 1))
        return BrokenColumn(column.name, "empty", missing, usual_missing, rows, since)
    there = values.dropna()
    if len(there) < LEAST:
        return None
    numbers = pd.to_numeric(there, errors="coerce") if column.kind == "number" else None
    outside = 0.0
    if numbers is not None and (column.low is not None or column.high is not None):
        low = float("-inf") if column.low is None else column.low
        high = float("inf") if column.high is None else column.high
        outside = float(((numbers < low) | (numbers > high)).sum()) / rows
    counts = there.value_counts()
    value, share = counts.index[0], float(counts.iloc[0]) / len(there)
    usual_most = max(usual[:-1], default=0.0) / max(1 - usual_missing, 1e-9) if usual else 0.0
    if share >= STUCK and usual_most < STUCK_BEFORE and (usual or outside >= STUCK * len(there) / rows):
        place = _place(counter, column.name, value)
        stuck = None if place is None else _since(counter, hours, column.name, lambda c: c[place] >= STUCK * max(c[:-1].sum(), 1))
        shown = f"{value:g}" if isinstance(value, float) else str(value)
        return BrokenColumn(column.name, "stuck", share * len(there) / rows, usual_most, rows, stuck or "", shown, outside >= IMPOSSIBLE)
    if outside >= IMPOSSIBLE:
        # bins do not know the plausible range, so since when is told only by the rows that were read
        return BrokenColumn(column.name, "impossible", outside, 0.0, rows, "")
    return None


def _usual(reference: Profile | None, name: str) -> list[float]:
    """Shares of the bins in training, the last one missing; empty if unknown."""
    counts = reference.counts.get(name, ()) if reference else ()
    total = sum(counts)
    return [c / total for c in counts] if total else []


def _hours(home: Home, project: str, version: str, counter: Counter | None, now: datetime) -> list[tuple[str, np.ndarray]]:
    """Hour and flat counts of four weeks, oldest first."""
    import numpy as np

    if counter is None:
        return []
    found = log_store.list_hour_profiles(
        reading(home.predictions_db), project, counter.bins_id, since=stamp(now - 4 * WEEK)[:13], until=stamp(now)[:13], version=version
    )
    return sorted((h["hour"], np.frombuffer(h["counts"], dtype=np.int64)) for h in found)


def _slice(counter: Counter, name: str) -> tuple[int, int] | None:
    offset = 0
    for column in counter.bins.columns:
        if column.name == name:
            return offset, column.size
        offset += column.size
    return None


def _place(counter: Counter | None, name: str, value: Any) -> int | None:
    """Which bin of its column a value (not a missing one) is counted in."""
    bins = next((b for b in counter.bins.columns if b.name == name), None) if counter else None
    if bins is None:
        return None
    if bins.kind == "number":
        return bisect_left(bins.edges, float(value))
    return bins.values.index(str(value)) if str(value) in bins.values else len(bins.values)


def _since(counter: Counter | None, hours: Sequence[tuple[str, np.ndarray]], name: str, holds: Any) -> str:
    """The first hour of the last unbroken run of hours (with rows) for which it holds."""
    where = _slice(counter, name) if counter else None
    if where is None:
        return ""
    since = ""
    for hour, counts in reversed(hours):
        mine = counts[where[0] : where[0] + where[1]]
        if not mine.sum():
            continue
        if not holds(mine):
            break
        since = hour
    return since
