"""Durations counted in log-scaled bins, so that percentiles of any period are sums of small tables.

A bin is 2 % wide (ratio 1.02) and is read at its geometric middle: a percentile is within 1 % of the exact one
(nearest rank). Counts, sums and squares are exact, so means and standard deviations are too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

MEASURES = ("total", "validation", "preprocessing", "inference", "logging")
RATIO = 1.02
LEAST_MS = 0.001  # one microsecond; 1,024 bins reach to 640 seconds, what is beyond falls into the last
BINS = 1024
_WIDTH = len(MEASURES) * BINS
_MIDDLES = LEAST_MS * RATIO ** (np.arange(BINS) + 0.5)
_UPPER = LEAST_MS * RATIO ** (np.arange(BINS) + 1.0)


@dataclass(frozen=True)
class Latency:
    """How long something took: milliseconds over ``n`` measurements.

    Mean, standard deviation (of the population) and the most are exact; percentiles are within 1 %.
    """

    n: int
    mean: float
    std: float
    p50: float
    p95: float
    p99: float
    most: float


@dataclass(frozen=True)
class Tally:
    """Durations of many requests, of several periods at once.

    Attributes
    ----------
    sums : ndarray (periods, measures, 4)
        Number, sum, sum of squares (ms, ms^2) and the most.
    counts : ndarray (periods, measures, BINS)
    """

    sums: np.ndarray
    counts: np.ndarray

    def latency(self, measure: str, period: int = 0) -> Latency | None:
        """One measure of one period; None if nothing was measured."""
        place = MEASURES.index(measure)
        n, total, squares, most = self.totals(measure, period)
        if n == 0:
            return None
        mean = total / n
        p50, p95, p99 = find_percentiles(self.counts[period, place], (0.50, 0.95, 0.99), most)
        return Latency(n, mean, math.sqrt(max(squares / n - mean * mean, 0.0)), p50, p95, p99, most)

    def totals(self, measure: str, period: int = 0) -> tuple[int, float, float, float]:
        """Number, sum, sum of squares and the most of one measure in one period."""
        n, total, squares, most = self.sums[period, MEASURES.index(measure)].tolist()
        return int(n), total, squares, most


def find_percentiles(counts: np.ndarray, shares: tuple[float, ...], most: float) -> list[float]:
    """Nearest-rank percentiles of one histogram: the value of rank ceil(share n), at the middle of its bin, never above ``most``."""
    cumulated = np.cumsum(counts)
    ranks = [max(math.ceil(share * cumulated[-1] - 1e-9), 1) for share in shares]
    return [min(float(_MIDDLES[np.searchsorted(cumulated, rank)]), float(most)) for rank in ranks]


def count_below(counts: np.ndarray, limits_ms: tuple[float, ...]) -> list[int]:
    """How many durations were at most each limit; a bin counts where its middle lies."""
    cumulated = np.concatenate([[0], np.cumsum(counts)])
    return [int(cumulated[np.searchsorted(_MIDDLES, limit, side="right")]) for limit in limits_ms]


def measure(durations: np.ndarray) -> tuple[bytes, bytes]:
    """Sums and histogram of some requests, as they are stored.

    Parameters
    ----------
    durations : ndarray (requests, measures)
        Milliseconds; NaN where a stage was not measured.
    """
    known = np.isfinite(durations)
    values = np.where(known, durations, 0.0)
    sums = np.stack([known.sum(axis=0), values.sum(axis=0), (values * values).sum(axis=0), values.max(axis=0, initial=0.0)], axis=1)
    bins = np.floor(np.log(np.maximum(values, LEAST_MS) / LEAST_MS) / math.log(RATIO)).astype(np.int64)
    keys = np.clip(bins, 0, BINS - 1) + np.arange(len(MEASURES)) * BINS
    return _pack(sums, np.bincount(keys[known], minlength=_WIDTH))


def merge(parts: list[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    """Several stored measurements as one."""
    whole = read(parts, [0] * len(parts), 1)
    return _pack(whole.sums[0], whole.counts[0].reshape(-1))


def read(parts: list[tuple[bytes, bytes]], periods: list[int], n_periods: int) -> Tally:
    """Stored measurements, each added to its period (0 .. n_periods - 1)."""
    sums = np.zeros((n_periods, len(MEASURES), 4))
    if not parts:
        return Tally(sums, np.zeros((n_periods, len(MEASURES), BINS), dtype=np.int64))
    place = np.asarray(periods)
    each = np.frombuffer(b"".join(s for s, _ in parts), dtype="<f8").reshape(-1, len(MEASURES), 4)
    np.add.at(sums[:, :, :3], place, each[:, :, :3])
    np.maximum.at(sums[:, :, 3], place, each[:, :, 3])
    pairs = np.frombuffer(b"".join(h for _, h in parts), dtype="<u4").reshape(-1, 2)
    lengths = [len(h) // 8 for _, h in parts]
    keys = pairs[:, 0] + np.repeat(place * _WIDTH, lengths)
    counts = np.bincount(keys, weights=pairs[:, 1], minlength=n_periods * _WIDTH)
    return Tally(sums, counts.astype(np.int64).reshape(n_periods, len(MEASURES), BINS))


def _pack(sums: np.ndarray, counts: np.ndarray) -> tuple[bytes, bytes]:
    filled = np.flatnonzero(counts)
    pairs = np.stack([filled, counts[filled]], axis=1)
    return sums.astype("<f8").tobytes(), pairs.astype("<u4").tobytes()


# Values of any sign and size, as clients post them: bins of 2 % on both sides of zero.

_LEAST_VALUE = 1e-12  # what is nearer to zero counts as zero


def measure_values(values: np.ndarray) -> bytes:
    """Histogram of finite values, as it is stored."""
    sizes = np.abs(values)
    far = sizes >= _LEAST_VALUE
    bins = np.floor(np.log(np.where(far, sizes, 1.0) / _LEAST_VALUE) / math.log(RATIO)).astype(np.int64) + 1
    return _pack_values(*np.unique(np.where(far, np.sign(values) * bins, 0).astype(np.int64), return_counts=True))


def merge_values(parts: list[bytes]) -> bytes:
    """Several histograms of values as one."""
    pairs = np.frombuffer(b"".join(parts), dtype="<i8").reshape(-1, 2)
    keys, place = np.unique(pairs[:, 0], return_inverse=True)
    return _pack_values(keys, np.bincount(place, weights=pairs[:, 1], minlength=len(keys)))


def find_value_percentiles(parts: list[bytes], shares: tuple[float, ...], least: float, most: float) -> list[float]:
    """Nearest-rank percentiles of posted values, within 1 % of each value's size and never outside what was posted."""
    pairs = np.frombuffer(merge_values(parts), dtype="<i8").reshape(-1, 2)
    cumulated = np.cumsum(pairs[:, 1])
    found = []
    for share in shares:
        rank = max(math.ceil(share * cumulated[-1] - 1e-9), 1)
        key = int(pairs[np.searchsorted(cumulated, rank), 0])
        size = _LEAST_VALUE * RATIO ** (abs(key) - 0.5) if key else 0.0
        found.append(min(max(math.copysign(size, key), least), most))
    return found


def _pack_values(keys: np.ndarray, counts: np.ndarray) -> bytes:
    return np.stack([keys, counts], axis=1).astype("<i8").tobytes()
