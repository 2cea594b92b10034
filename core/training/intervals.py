"""How far a metric could lie from the truth because the rows are a sample: 95 % percentile bootstrap intervals.

Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13. What is resampled are the answers to
rows that the model was not fitted on, so the interval covers the choice of those rows; it does not cover that
another training sample would have given another model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.projects.definition import Definition
from core.training.metrics import RELEVANT_GRADE, encode, ndcg_by_group, reciprocal_rank_by_group, scores_from_confusion

RESAMPLES = 1000
LEVEL = 0.95
# Above this many rows, neighbours in a random order are resampled together: the same variance for less work.
MAX_UNITS = 10_000
AUC_BINS = 256


@dataclass(frozen=True)
class Interval:
    """``low``..``high`` of a metric or of a difference; None when it is undefined in most resamples."""

    low: float | None
    high: float | None
    level: float = LEVEL
    resamples: int = RESAMPLES

    def covers(self, value: float) -> bool | None:
        """Whether ``value`` lies inside; None when the interval is unknown."""
        return None if self.low is None or self.high is None else self.low <= value <= self.high


@dataclass(frozen=True)
class Answers:
    """Answers to rows that the model was not fitted on.

    Attributes
    ----------
    target : array, shape (n,)
        Classes as str, or numbers.
    prediction : array, shape (n,)
    proba : array, shape (n, K), or None
        In the order of the definition's classes.
    group : array, shape (n,), or None
    """

    target: np.ndarray
    prediction: np.ndarray
    proba: np.ndarray | None = None
    group: np.ndarray | None = None


def metric_intervals(definition: Definition, answers: Answers, *, seed: int, resamples: int = RESAMPLES) -> dict[str, Interval]:
    """Return the interval of every metric that has one, pooled over all the rows of ``answers``.

    Classes: the metrics of a confusion matrix depend on its cells only, and the cells of resampled rows follow a
    multinomial distribution with the observed shares; so cells are drawn instead of rows, which is the same
    bootstrap at a cost that does not grow with the rows. The area under the ROC curve is drawn the same way from
    a histogram of at most 256 score bins per class. Numbers: sums over rows are resampled. Ranking: whole groups.
    """
    rng = np.random.default_rng(seed)
    if definition.is_classifier:
        drawn = _confusion_draws(definition, answers, rng, resamples)
        drawn.update(_recall_draws(definition, answers, rng, resamples))
        if answers.proba is not None:
            drawn["auc"] = _auc_draws(definition, answers, rng, resamples)
    else:
        parts = _parts(definition, answers)
        drawn = _scores_from_sums(resample_sums(parts, rng, resamples), definition.task)
    return {name: _interval(values, resamples) for name, values in drawn.items()}


def paired_difference(
    definition: Definition, first: Answers, second: Answers, *, seed: int, resamples: int = RESAMPLES
) -> Interval:
    """Return the interval of metric(first) - metric(second) on the same rows, in the project's metric.

    Both candidates are resampled together (for classes: cells of true class x first answer x second answer), so
    what the two get right or wrong on the same rows cancels, and the interval is narrower than two of them apart.

    Raises
    ------
    ValueError
        When the two do not answer the same rows.
    """
    if len(first.target) != len(second.target) or not np.array_equal(first.target, second.target):
        raise ValueError("the two candidates did not answer the same rows")
    rng = np.random.default_rng(seed)
    metric = definition.metric
    if definition.is_classifier:
        size = len(definition.classes)
        truth, one, two = (encode(v, definition.classes) for v in (first.target, first.prediction, second.prediction))
        cells, counts = np.unique((truth * size + one) * size + two, return_counts=True)
        draws = _multinomial(rng, counts, resamples)
        true_cell, one_cell, two_cell = cells // size**2, cells // size % size, cells % size
        scores = [
            scores_from_confusion(_matrices(draws, true_cell * size + answer, size), definition.task)[metric]
            for answer in (one_cell, two_cell)
        ]
        return _interval(scores[0] - scores[1], resamples)
    parts = np.concatenate([_parts(definition, first), _parts(definition, second)], axis=1)
    sums = resample_sums(parts, rng, resamples)
    width = parts.shape[1] // 2
    scores = [_scores_from_sums(half, definition.task)[metric] for half in (sums[:, :width], sums[:, width:])]
    return _interval(scores[0] - scores[1], resamples)


def resample_sums(parts: np.ndarray, rng: np.random.Generator, resamples: int) -> np.ndarray:
    """Return the column sums of ``resamples`` bootstrap samples of the rows of ``parts``.

    Parameters
    ----------
    parts : array, shape (n, c)

    Returns
    -------
    array, shape (resamples, c)
        Above 10,000 rows, random blocks of rows are resampled instead of single ones.
    """
    if len(parts) > MAX_UNITS:
        block = rng.permutation(np.arange(len(parts)) % MAX_UNITS)
        parts = np.stack([np.bincount(block, weights=column, minlength=MAX_UNITS) for column in parts.T], axis=1)
    units = len(parts)
    out = np.empty((resamples, parts.shape[1]))
    for start in range(0, resamples, 100):  # bounded memory: 100 x units weights at a time
        size = min(100, resamples - start)
        picks = rng.integers(units, size=(size, units)) + np.arange(size)[:, None] * units
        weights = np.bincount(picks.ravel(), minlength=size * units).reshape(size, units)
        out[start : start + size] = weights @ parts
    return out


def _interval(values: np.ndarray, resamples: int) -> Interval:
    defined = values[np.isfinite(values)]
    if len(defined) < resamples / 2:
        return Interval(None, None, LEVEL, resamples)
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high), LEVEL, resamples)


def _multinomial(rng: np.random.Generator, counts: np.ndarray, resamples: int) -> np.ndarray:
    total = int(counts.sum())
    return rng.multinomial(total, counts / total, size=resamples) if total else np.zeros((resamples, len(counts)), dtype=int)


def _matrices(draws: np.ndarray, cell: np.ndarray, size: int) -> np.ndarray:
    """Add the drawn columns into confusion matrices, shape (resamples, K, K)."""
    where = np.zeros((len(cell), size * size))
    where[np.arange(len(cell)), cell] = 1.0
    return (draws @ where).reshape(-1, size, size)


def _confusion_draws(definition: Definition, answers: Answers, rng: np.random.Generator, resamples: int) -> dict[str, Any]:
    size = len(definition.classes)
    truth, answer = encode(answers.target, definition.classes), encode(answers.prediction, definition.classes)
    cells, counts = np.unique(truth * size + answer, return_counts=True)
    return dict(scores_from_confusion(_matrices(_multinomial(rng, counts, resamples), cells, size), definition.task))


def _recall_draws(definition: Definition, answers: Answers, rng: np.random.Generator, resamples: int) -> dict[str, Any]:
    """Recall of each class under the name ``recall:<class>``: hits among its rows are binomial."""
    truth, answer = encode(answers.target, definition.classes), encode(answers.prediction, definition.classes)
    out = {}
    for k, name in enumerate(definition.classes):
        rows, hits = int((truth == k).sum()), int(((truth == k) & (answer == k)).sum())
        out[f"recall:{name}"] = rng.binomial(rows, hits / rows, resamples) / rows if rows else np.full(resamples, np.nan)
    return out


def _auc_draws(definition: Definition, answers: Answers, rng: np.random.Generator, resamples: int) -> np.ndarray:
    truth = encode(answers.target, definition.classes)
    assert answers.proba is not None
    watched: Sequence[int] = [1] if definition.task == "binary" else range(len(definition.classes))
    areas = np.stack([_area_draws(truth == k, answers.proba[:, k], rng, resamples) for k in watched])
    defined = np.isfinite(areas)
    total = np.where(defined, areas, 0.0).sum(0)
    return np.divide(total, defined.sum(0), out=np.full(resamples, np.nan), where=defined.any(0))


def _area_draws(positive: np.ndarray, score: np.ndarray, rng: np.random.Generator, resamples: int) -> np.ndarray:
    """AUC of resamples by trapezoids over score bins; equal to the exact one when few scores are distinct."""
    levels = np.unique(score)
    if len(levels) > AUC_BINS:
        levels = np.unique(np.quantile(score, np.linspace(0, 1, AUC_BINS + 1)[1:], method="higher"))
    place = np.searchsorted(levels, score)
    counts = np.concatenate([np.bincount(place[chosen], minlength=len(levels)) for chosen in (positive, ~positive)])
    draws = _multinomial(rng, counts, resamples).astype(float)
    hits, misses = draws[:, : len(levels)], draws[:, len(levels) :]
    below = np.cumsum(misses, axis=1) - misses / 2
    pairs = hits.sum(1) * misses.sum(1)
    return np.divide((hits * below).sum(1), pairs, out=np.full(resamples, np.nan), where=pairs > 0)


def _parts(definition: Definition, answers: Answers) -> np.ndarray:
    """Sums that decide every metric: n, error^2, |error|, y, y^2; for a group also ndcg, ndcg@10, mrr and whether defined."""
    truth, answer = np.asarray(answers.target, dtype=float), np.asarray(answers.prediction, dtype=float)
    # Centred, because a resample's spread is a difference of two sums and loses digits far from 0.
    centred, error = truth - truth.mean(), answer - truth
    rows = np.stack([np.ones(len(truth)), error**2, np.abs(error), centred, centred**2], axis=1)
    if definition.task != "ranking":
        return rows
    if answers.group is None:
        raise ValueError("ranking needs the group of each answer")
    codes = np.unique(answers.group, return_inverse=True)[1]
    per_group = np.stack([np.bincount(codes, weights=column) for column in rows.T], axis=1)
    for values in (
        ndcg_by_group(truth, answer, codes),
        ndcg_by_group(truth, answer, codes, 10),
        reciprocal_rank_by_group(truth >= RELEVANT_GRADE, answer, codes),
    ):
        defined = np.isfinite(values)
        per_group = np.column_stack([per_group, np.where(defined, values, 0.0), defined])
    return per_group


def _scores_from_sums(sums: np.ndarray, task: str) -> dict[str, np.ndarray]:
    n, squares, absolute, total, total_squares = sums[:, :5].T
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = total_squares / n - (total / n) ** 2
        out = {"mse": squares / n, "mae": absolute / n, "rmse": np.sqrt(squares / n)}
        out["r2"] = np.where(spread > 1e-300, 1.0 - squares / n / spread, np.nan)
        if task == "ranking":
            for place, name in enumerate(("ndcg", "ndcg_at_10", "mrr")):
                out[name] = sums[:, 5 + 2 * place] / sums[:, 6 + 2 * place]
    return out
