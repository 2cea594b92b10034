"""Counts per bin of what was predicted, by hour: a drift check of any period is a sum of them.

They are written in the transaction of the rows that they count, so they always agree with the log. A few rows are counted with plain
Python (bisect and dictionaries, made once per version), many rows with Arrow and numpy.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from core.errors import NotFound
from core.home import Home
from core.times import parse, stamp
from storage import predictions as store
from storage import versions as versions_store
from storage.connection import reading, writing

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from sqlite_utils import Database

    from core.drift.bins import Bins, ColumnBins, Profile


@dataclass(frozen=True)
class Counts:
    """Rows counted into bins.

    Attributes
    ----------
    bins_id : str
    counts : ndarray of int64, shape (bins,)
        Flattened: the bins of each column in the order of ``Bins.columns``, then those of the prediction.
    """

    bins_id: str
    counts: np.ndarray


@dataclass(frozen=True)
class Counter:
    """The bins of one version, made ready for counting."""

    bins: Bins
    bins_id: str
    size: int
    places: tuple[tuple[str, Callable[[Sequence[Any]], list[int]]], ...]  # column of the payload -> places of values in the flat counts

    def count_rows(self, columns: Sequence[Sequence[Any]]) -> Counts:
        """Count a few rows.

        Parameters
        ----------
        columns : sequence of sequences
            The values of each column, in the order of ``places``.
        """
        import numpy as np

        at: list[int] = []
        for (_, find), values in zip(self.places, columns, strict=True):
            at += find(values)
        return Counts(self.bins_id, np.bincount(at, minlength=self.size))

    def count_table(self, table: pa.Table) -> Counts:
        """Count the rows of a payload, the columns found by name; one that is absent counts nothing."""
        import numpy as np

        parts = [_count_array(column, table, column.name) for column in self.bins.columns]
        if self.bins.prediction is not None:
            parts.append(_count_array(self.bins.prediction, table, "out:prediction"))
        return Counts(self.bins_id, np.concatenate(parts))


_counters: dict[tuple[str, int, str], Counter | None] = {}
_lock = threading.Lock()
_KEPT = 64


def bins_of(home: Home, project: str, version: str) -> Bins | None:
    """The bins that were made when the version was registered; None if there is no such version or it has none."""
    row = versions_store.find_version(reading(home.db), project, version)
    counter = counter_of(home, row["id"], row["sha256"]) if row else None
    return counter.bins if counter else None


def counter_of(home: Home, version_id: int, sha256: str) -> Counter | None:
    """The bins of a version ready for counting (kept: they never change); None if the version has none."""
    key = (str(home.root), version_id, sha256)
    try:
        return _counters[key]
    except KeyError:
        pass
    from core.drift.bins import bins_from_json

    found = versions_store.find_profile(reading(home.db), version_id)
    counter = make_counter(bins_from_json(found[0])) if found else None
    with _lock:
        if len(_counters) >= _KEPT:
            _counters.clear()
        _counters[key] = counter
    return counter


def make_counter(bins: Bins) -> Counter:
    places = []
    offset = 0
    for column, name in _named(bins):
        places.append((name, _number_places(column, offset) if column.kind == "number" else _category_places(column, offset)))
        offset += column.size
    return Counter(bins, bins.bins_id, offset, tuple(places))


def sum_hours(
    home: Home, project: str, *, since: datetime | None = None, until: datetime | None = None, version: str | None = None
) -> tuple[Bins, Profile] | None:
    """The profile of all predictions of a period, from the hourly counts.

    Whole hours are summed: one that the period only touches counts as a whole (:func:`covered_hours` says which).

    Parameters
    ----------
    version : str, optional
        None: the live version, with every other version that was counted with the same bins.

    Returns
    -------
    tuple of Bins and Profile, or None
        None where nothing was counted, or the version has no bins.
    """
    import numpy as np

    db = reading(home.db)
    row = versions_store.find_version(db, project, version) if version else versions_store.find_live(db, project)
    counter = counter_of(home, row["id"], row["sha256"]) if row else None
    if counter is None:
        return None
    first, last = _hours(since, until)
    rows, total = 0, np.zeros(counter.size, dtype=np.int64)
    for hour in store.list_hour_profiles(
        reading(home.predictions_db), project, counter.bins_id, since=first, until=last, version=version
    ):
        rows += hour["rows"]
        total += np.frombuffer(hour["counts"], dtype=np.int64)
    return (counter.bins, to_profile(counter.bins, rows, total)) if rows else None


def count_log(
    home: Home, project: str, version: str, counter: Counter, *, since: str = "", until: str = "9999"
) -> dict[str, tuple[int, np.ndarray]]:
    """Hour -> rows and flat counts, counted from the logged rows of a version themselves."""
    from core.scoring.batches import iterate_batches

    names = [name for name, _ in counter.places]
    found: dict[str, tuple[int, Any]] = {}
    for batch in iterate_batches(home, project, since=since, until=until, version=version, columns=names, coded=True):
        for hour, part in batch.split_by_hour():
            table = part.kept_table()
            rows, total = found.get(hour, (0, 0))
            found[hour] = (rows + table.num_rows, total + counter.count_table(table).counts)
    return found


def rebuild(home: Home, project: str, version: str) -> int:
    """Count the hourly profiles of a version anew from the log and replace them in one transaction.

    Hours whose rows were purged, wholly or in part, keep what was counted when they arrived. Counting is done before the
    transaction; hours that changed meanwhile are counted again inside it, which is one hour as a rule.

    Returns
    -------
    int
        Hours rebuilt.

    Raises
    ------
    NotFound
        There is no such version, or it has no bins.
    """
    counter = _get_counter(home, project, version)
    before = store.list_hours(reading(home.predictions_db), project, version)
    counted = count_log(home, project, version, counter)
    with writing(home.predictions_db) as db:
        now = store.list_hours(db, project, version)
        whole = _whole_hours(db, project, version, now)
        for hour in whole:
            if before.get(hour) != now[hour]:
                counted |= count_log(home, project, version, counter, since=hour, until=f"{hour}~")
            rows, counts = counted[hour]
            store.replace_hour_profile(
                db, project=project, version=version, hour=hour, bins_id=counter.bins_id, rows=rows, counts=counts
            )
    return len(whole)


def compare(home: Home, project: str, version: str) -> list[str]:
    """Hours in which the profile differs from a count of the log; none proves them equal. Purged hours are left out.

    Raises
    ------
    NotFound
        There is no such version, or it has no bins.
    """
    import numpy as np

    counter = _get_counter(home, project, version)
    db = reading(home.predictions_db)
    with store.unchanging(db):
        kept = {
            h["hour"]: (h["rows"], np.frombuffer(h["counts"], dtype=np.int64))
            for h in store.list_hour_profiles(db, project, counter.bins_id, version=version)
        }
        counted = count_log(home, project, version, counter)
        whole = _whole_hours(db, project, version, store.list_hours(db, project, version))
    nothing = (0, np.zeros(counter.size, dtype=np.int64))
    pairs = ((hour, kept.get(hour, nothing), counted.get(hour, nothing)) for hour in whole)
    return [hour for hour, a, b in pairs if a[0] != b[0] or not np.array_equal(a[1], b[1])]


def _whole_hours(db: Database, project: str, version: str, now: dict[str, tuple[int, int, int]]) -> list[str]:
    """Hours of which every group ever logged is still there."""
    ever = store.list_counted_hours(db, project, version)
    return sorted(hour for hour, (_, rows, _) in now.items() if rows == ever.get(hour))


def _get_counter(home: Home, project: str, version: str) -> Counter:
    row = versions_store.find_version(reading(home.db), project, version)
    counter = counter_of(home, row["id"], row["sha256"]) if row else None
    if counter is None:
        raise NotFound(f"Project {project} has no version {version[:40]!r} with a reference profile.")
    return counter


def covered_hours(since: datetime | None, until: datetime | None) -> str:
    """A sentence for a period that begins or ends inside an hour; "" where whole hours were asked for."""
    cut = [m for m in (since, until) if m is not None and stamp(m)[14:] != "00:00.000Z"]
    if not cut:
        return ""
    first, last = _hours(since, until)
    begin = f"from {_shown(first)}" if since else "from the beginning"
    end = f"to {_shown(stamp(parse(last + ':00:00.000Z') + timedelta(hours=1))[:13])}" if until else "to now"
    return f"Counted in whole hours (UTC): {begin} {end}."


def to_profile(bins: Bins, rows: int, counts: np.ndarray) -> Profile:
    """Flat counts as a profile."""
    from core.drift.bins import Profile

    values = counts.tolist()
    split: dict[str, tuple[int, ...]] = {}
    offset = 0
    for column in bins.columns:
        split[column.name] = tuple(values[offset : offset + column.size])
        offset += column.size
    return Profile(bins.bins_id, rows, split, tuple(values[offset:]))


def _named(bins: Bins) -> list[tuple[ColumnBins, str]]:
    """Columns of the bins with the column of the payload that each counts."""
    named = [(column, column.name) for column in bins.columns]
    return named if bins.prediction is None else [*named, (bins.prediction, "out:prediction")]


def _number_places(column: ColumnBins, offset: int) -> Callable[[Sequence[Any]], list[int]]:
    edges, missing = column.edges, offset + column.size - 1

    def find(values: Sequence[Any]) -> list[int]:
        return [missing if v is None or not math.isfinite(v) else offset + bisect_left(edges, v) for v in values]

    return find


def _category_places(column: ColumnBins, offset: int) -> Callable[[Sequence[Any]], list[int]]:
    place = _category_place(column, offset)
    known: dict[Any, int] = {value: offset + at for at, value in enumerate(column.values)}

    def find(values: Sequence[Any]) -> list[int]:
        return [known[v] if type(v) is str and v in known else place(v) for v in values]

    return find


def _category_place(column: ColumnBins, offset: int) -> Callable[[Any], int]:
    known: dict[Any, int] = {value: offset + place for place, value in enumerate(column.values)}
    other, missing = offset + len(column.values), offset + column.size - 1

    def place(value: Any) -> int:
        if value is None or value != value:  # NaN differs from itself
            return missing
        return known.get(value if isinstance(value, str) else _text(value), other)

    return place


def _text(value: Any) -> str:
    from core.drift.bins import category_text

    return category_text(value)


def _count_array(column: ColumnBins, table: pa.Table, name: str) -> np.ndarray:
    """Counts of one column of a payload, shape (column.size,)."""
    import numpy as np
    import pyarrow as pa

    if name not in table.column_names:
        return np.zeros(column.size, dtype=np.int64)
    values = table.column(name)
    number = pa.types.is_floating(values.type) or pa.types.is_integer(values.type)
    if column.kind == "number":
        if not number:  # text where numbers were expected: the slow way reads it as the bins were made
            import pandas as pd

            values = pa.chunked_array([pa.array(pd.to_numeric(values.to_pandas(), errors="coerce").to_numpy(float), pa.float64())])
        total = np.zeros(column.size, dtype=np.int64)
        edges = np.asarray(column.edges)
        for chunk in values.chunks:
            # to_numpy turns a missing value into NaN
            numbers = chunk.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
            known = numbers[np.isfinite(numbers)]
            total[:-1] += np.bincount(np.searchsorted(edges, known, side="left"), minlength=column.size - 1)
            total[-1] += len(numbers) - len(known)
        return total
    total = np.zeros(column.size, dtype=np.int64)
    place = _category_place(column, 0)
    for chunk in values.chunks:
        coded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        places = np.array([place(v) for v in coded.dictionary.to_pylist()], dtype=np.intp)
        codes = coded.indices.drop_null().to_numpy(zero_copy_only=False)
        frequency = np.bincount(codes, minlength=len(places)) if len(codes) else np.zeros(len(places), dtype=np.int64)
        np.add.at(total, places, frequency)
        total[-1] += coded.indices.null_count
    return total


def _hours(since: datetime | None, until: datetime | None) -> tuple[str, str]:
    """First and last hour that a period touches, both inclusive; ``until`` itself is not part of it."""
    last = stamp(until - timedelta(milliseconds=1))[:13] if until else "9999"
    return (stamp(since)[:13] if since else ""), last


def _shown(hour: str) -> str:
    return f"{hour[:10]} {hour[11:13]}:00"
