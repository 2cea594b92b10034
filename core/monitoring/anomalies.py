"""Values that stand out of their series, by Z-score.

A point is held against the mean and the standard deviation (n - 1) of the whole series, itself included. So n points
cannot show more than (n - 1) / sqrt(n) standard deviations (Shiffler 1988): 2.85 at 10 points, 5.30 at 30. Fewer points than that are never judged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Outlier:
    """One value that stands out: its place in the series, and how many standard deviations it is above (or below) the mean."""

    place: int
    value: float
    z: float


@dataclass(frozen=True)
class Judged:
    """A series that was long enough to be judged.

    Attributes
    ----------
    points : int
        Values that were known.
    mean, std : float
    outliers : tuple of Outlier
        In the order of the series.
    """

    points: int
    mean: float
    std: float
    outliers: tuple[Outlier, ...]


def reach(points: int) -> float:
    """The largest Z-score that one of so many points can have: (n - 1) / sqrt(n)."""
    return (points - 1) / math.sqrt(points) if points else 0.0


def find_outliers(values: Sequence[float | None], *, limit: float = 3.0, least: int = 30) -> Judged | None:
    """Judge a series; None where it is too short for anything to stand out.

    Parameters
    ----------
    values : sequence of float or None
        Equal steps; None is unknown and left out.
    limit : float
        Standard deviations beyond which a value stands out.
    least : int
        Known points that are needed; more, if ``limit`` cannot be reached with so many.
    """
    known = [(place, float(v)) for place, v in enumerate(values) if v is not None and math.isfinite(v)]
    n = len(known)
    if n < least or reach(n) <= limit:
        return None
    mean = math.fsum(v for _, v in known) / n
    std = math.sqrt(math.fsum((v - mean) ** 2 for _, v in known) / (n - 1))
    # equal values differ by rounding alone
    if std <= 1e-12 * max(abs(mean), 1e-300):
        return Judged(n, mean, 0.0, ())
    outliers = tuple(Outlier(place, v, (v - mean) / std) for place, v in known if abs(v - mean) / std > limit)
    return Judged(n, mean, std, outliers)
