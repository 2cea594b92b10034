"""Bins of a reference, and profiles: the counts per bin that a drift check needs and nothing more.

Bins are made once per version, from the rows it was trained on. A profile counts any rows into those
bins; profiles with the same ``bins_id`` can be added, so hourly counts answer for every period.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from core.errors import BadInput
from core.numbers import say_number
from core.projects.definition import Definition

FORMAT = 1
QUANTILES = 10
# A column with thousands of values (names, codes) would make every hourly profile as large as the data.
MAX_CATEGORIES = 200
# In brackets, so that no value of the data reads the same.
OTHER = "(other)"
MISSING = "(missing)"


@dataclass(frozen=True)
class ColumnBins:
    """The bins of one column; the last one is always "missing".

    Attributes
    ----------
    name : str
    kind : "number" or "category"
    edges : tuple of float
        Numbers: upper bounds, inclusive; bin i holds ``edges[i-1] < x <= edges[i]``, one more bin lies above the last.
    values : tuple of str
        Categories: one bin each, then "other".
    reason : str
        Why this column cannot be measured, or "".
    """

    name: str
    kind: str
    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    reason: str = ""

    @property
    def size(self) -> int:
        """Number of bins, "missing" included."""
        return len(self.edges) + 2 if self.kind == "number" else len(self.values) + 2

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for each bin, as charts show it."""
        if self.kind == "category":
            return (*self.values, OTHER, MISSING)
        if not self.edges:
            return ("any value", MISSING)
        if len(self.edges) == 2 and self.edges[0] == np.nextafter(self.edges[1], -np.inf):
            only = say_number(self.edges[1])
            return (f"below {only}", only, f"above {only}", MISSING)
        shown = _distinct(self.edges)
        middle = (f"{low} to {high}" for low, high in pairwise(shown))
        return (f"up to {shown[0]}", *middle, f"above {shown[-1]}", MISSING)


@dataclass(frozen=True)
class Bins:
    """The bins of all features of a version, and of its predictions when they were given."""

    columns: tuple[ColumnBins, ...]
    prediction: ColumnBins | None = None

    @property
    def bins_id(self) -> str:
        """sha256 of the canonical JSON: the same reference always has the same id."""
        return hashlib.sha256(bins_to_json(self).encode()).hexdigest()


@dataclass(frozen=True)
class Profile:
    """Counts per bin.

    Attributes
    ----------
    bins_id : str
        The bins that were counted with.
    rows : int
    counts : dict
        Column -> counts, in the order of its bins. They sum to the rows in which the column was present.
    prediction : tuple of int
        Counts of the predictions; all zero when they were not given, empty when the bins have none.
    """

    bins_id: str
    rows: int
    counts: dict[str, tuple[int, ...]] = field(default_factory=dict)
    prediction: tuple[int, ...] = ()


def make_bins(features: pd.DataFrame, definition: Definition, predictions: Any = None) -> Bins:
    """Make the bins of a reference.

    Numbers get the ten quantile bins of the reference (ties merge bins), categories one bin per value
    of the reference, the most frequent 200 at most, in the order of their names.

    Parameters
    ----------
    features : DataFrame, shape (rows, features)
        The reference rows; columns beside the definition's features are left out.
    predictions : array-like, shape (rows,), optional
        What the version predicts for these rows: classes, or values of a regression or ranking.

    Returns
    -------
    Bins
        A column that cannot be measured (absent, or without a value) carries its reason; the others stand.
    """
    columns = tuple(
        _column_bins(c.name, "number" if c.kind == "number" else "category", _column(features, c.name))
        for c in definition.features
    )
    prediction = None
    if predictions is not None:
        values = pd.Series(np.asarray(predictions))
        if definition.is_classifier:
            prediction = ColumnBins("prediction", "category", values=definition.classes)
        else:
            prediction = _column_bins("prediction", "number", values)
    return Bins(columns, prediction)


def count(bins: Bins, features: pd.DataFrame, predictions: Any = None) -> Profile:
    """Count rows into bins.

    Parameters
    ----------
    features : DataFrame, shape (rows, any)
        Columns are found by name; one that is absent counts nothing and so becomes "unknown" in a comparison.
    predictions : array-like, shape (rows,), optional

    Raises
    ------
    BadInput
        The number of predictions is not the number of rows.
    """
    rows = len(features)
    if predictions is not None and len(predictions) != rows:
        raise BadInput(f"A drift profile needs one prediction per row; {len(predictions)} came with {rows} rows.")
    counts = {c.name: _count_column(c, _column(features, c.name)) for c in bins.columns}
    prediction: tuple[int, ...] = ()
    if bins.prediction is not None:
        prediction = _count_column(bins.prediction, None if predictions is None else pd.Series(np.asarray(predictions)))
    return Profile(bins.bins_id, rows, counts, prediction)


def empty(bins: Bins) -> Profile:
    """The profile of no rows, where a sum begins."""
    prediction = (0,) * bins.prediction.size if bins.prediction is not None else ()
    return Profile(bins.bins_id, 0, {c.name: (0,) * c.size for c in bins.columns}, prediction)


def add(a: Profile, b: Profile) -> Profile:
    """Add two profiles: the result is the profile of both sets of rows together.

    Raises
    ------
    BadInput
        They were counted with different bins.
    """
    if a.bins_id != b.bins_id:
        raise BadInput("Profiles counted with different bins cannot be added; choose a period in which one version was live.")
    return Profile(
        a.bins_id,
        a.rows + b.rows,
        {name: _plus(a.counts[name], b.counts[name]) for name in a.counts},
        _plus(a.prediction, b.prediction),
    )


def sum_profiles(bins: Bins, profiles: Iterable[Profile]) -> Profile:
    """Add any number of profiles; none gives the empty profile."""
    total = empty(bins)
    for profile in profiles:
        total = add(total, profile)
    return total


def bins_to_json(bins: Bins) -> str:
    """Canonical JSON: the same bins are always the same text."""
    return _canonical({"format": FORMAT, **asdict(bins)})


def bins_from_json(text: str) -> Bins:
    data = _read(text, "Drift bins")
    prediction = data["prediction"]
    return Bins(tuple(_bins_of(c) for c in data["columns"]), None if prediction is None else _bins_of(prediction))


def profile_to_json(profile: Profile) -> str:
    return _canonical({"format": FORMAT, **asdict(profile)})


def profile_from_json(text: str) -> Profile:
    data = _read(text, "A drift profile")
    counts = {name: tuple(values) for name, values in data["counts"].items()}
    return Profile(data["bins_id"], data["rows"], counts, tuple(data["prediction"]))


def _column(features: pd.DataFrame, name: str) -> pd.Series | None:
    return features[name] if name in features.columns else None


def _column_bins(name: str, kind: str, values: pd.Series | None) -> ColumnBins:
    if values is None:
        return ColumnBins(name, kind, reason=f"The reference has no column {name}.")
    nothing = ColumnBins(name, kind, reason=f"The reference holds no value of {name}, so there is nothing to compare with.")
    if kind == "category":
        codes, texts = _factorise(values)
        frequency: Counter[str] = Counter()
        for text, rows in zip(texts, np.bincount(codes[codes >= 0], minlength=len(texts)).tolist(), strict=True):
            frequency[text] += rows
        frequent = sorted(frequency, key=lambda text: (-frequency[text], text))[:MAX_CATEGORIES]
        return ColumnBins(name, kind, values=tuple(sorted(frequent))) if frequent else nothing
    known = _numbers(values)
    known = known[np.isfinite(known)]
    if len(known) == 0:
        return nothing
    edges = np.unique(np.quantile(known, np.arange(1, QUANTILES) / QUANTILES))
    if known.min() == known.max():
        # With a single upper bound, a constant that falls would stay in its bin unseen.
        edges = np.array([np.nextafter(known.min(), -np.inf), known.min()])
    return ColumnBins(name, kind, edges=tuple(float(e) for e in edges))


def _count_column(bins: ColumnBins, values: pd.Series | None) -> tuple[int, ...]:
    if values is None:
        return (0,) * bins.size
    if bins.kind == "number":
        numbers = _numbers(values)
        known = np.isfinite(numbers)
        at = np.searchsorted(np.asarray(bins.edges), numbers[known], side="left")
        missing = len(numbers) - int(known.sum())
    else:
        codes, texts = _factorise(values)
        place = {value: i for i, value in enumerate(bins.values)}
        places = np.array([place.get(text, len(bins.values)) for text in texts], dtype=np.intp)
        at = places[codes[codes >= 0]]
        missing = int((codes < 0).sum())
    return (*np.bincount(at, minlength=bins.size - 1).tolist(), missing)


def _numbers(values: pd.Series) -> np.ndarray:
    """float64; what cannot be read, and infinity, counts as missing."""
    if values.dtype != np.float64:
        values = pd.to_numeric(values, errors="coerce")
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _factorise(values: pd.Series) -> tuple[np.ndarray, list[str]]:
    """A code per row (-1 = missing) and the distinct texts, so that True and "True", 1 and "1" are one value.

    Each distinct value, not each row, is turned into text and looked up.
    """
    codes, found = pd.factorize(values)
    return codes, [category_text(value) for value in found]


def category_text(value: Any) -> str:
    """How a category is named: 1 and 1.0 are one value."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # a missing value elsewhere in the column turns 1 into 1.0
    return str(value)


def _plus(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))


def _distinct(edges: tuple[float, ...]) -> list[str]:
    """The edges in as few digits as still tell them apart."""
    for digits in (4, 6, 9):
        shown = [say_number(e, digits) for e in edges]
        if len(set(shown)) == len(shown):
            return shown
    return [repr(e) for e in edges]


def _canonical(data: dict[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _read(text: str, what: str) -> dict[str, Any]:
    data = json.loads(text)
    if data.pop("format", None) != FORMAT:
        raise BadInput(f"{what} in an unknown format cannot be read; this program reads format {FORMAT}.")
    return data


def _bins_of(data: dict[str, Any]) -> ColumnBins:
    return ColumnBins(data["name"], data["kind"], tuple(data["edges"]), tuple(data["values"]), data["reason"])
