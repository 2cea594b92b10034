"""Metrics of labelled predictions with their 95 % intervals, fast enough for every step of a chart.

Shares: Wilson (1927). F1 of one class is a function of the share TP / (TP + FP + FN), so Wilson's interval of that
share gives its interval too, at 0 and 1 as well; the macro F1 is drawn (multinomial bootstrap of the cells). AUC: DeLong,
DeLong and Clarke-Pearson (1988), on the logit scale. Errors of numbers: their asymptotic variance. Differences of two
independent estimates: from the two intervals (Zou and Donner 2008, "MOVER").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.scoring.accuracy import wilson
from core.training.metrics import ndcg_by_group, scores_from_confusion

Z = 1.959963984540054
RESAMPLES = 1000
SEED = 42  # the same rows always give the same interval
LOWER_IS_BETTER = frozenset({"mae", "rmse"})


@dataclass(frozen=True)
class Metric:
    """One number with what is needed to judge it.

    Attributes
    ----------
    value : float or None
        None is unknown, for ``reason``.
    low, high : float or None
        95 % interval; None where there is none.
    baseline : float or None
        What the same rows give without a model: always the most frequent answer, the mean, or a random order.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    baseline: float | None = None
    reason: str = ""


def measure_classes(matrix: np.ndarray, task: str) -> dict[str, Metric]:
    """Accuracy and F1 (binary: of class 1; else the macro mean) of a confusion matrix, shape (K, K), row = true class."""
    rows = int(matrix.sum())
    if not rows:
        none = Metric(None, reason="no label has come back")
        return {"accuracy": none, "f1": none}
    right = int(np.trace(matrix))
    always = np.zeros_like(matrix)
    always[:, matrix.sum(1).argmax()] = matrix.sum(1)
    plain, floor = scores_from_confusion(matrix, task), scores_from_confusion(always, task)
    found = {"accuracy": Metric(right / rows, *wilson(right, rows), float(floor["accuracy"]))}
    value = _known(plain["f1"])
    if value is None:
        found["f1"] = Metric(None, baseline=_known(floor["f1"]), reason="class 1 neither occurred nor was answered")
        return found
    low, high = _f1_interval(matrix, task)
    found["f1"] = Metric(value, low, high, _known(floor["f1"]))
    return found


def measure_auc(truth: np.ndarray, proba: np.ndarray, watched: Sequence[int]) -> Metric:
    """Area under the ROC curve, the mean over the ``watched`` classes against the rest.

    Parameters
    ----------
    truth : int array, shape (n,)
        Position of the true class.
    proba : array, shape (n, K)
    """
    rows = len(truth)
    areas, influences = [], []
    for k in watched:
        measured = _area(truth == k, proba[:, k])
        if measured is not None:
            areas.append(measured[0])
            influences.append(measured[1])
    if not areas:
        return Metric(None, baseline=0.5, reason="only one class has labels" if rows else "no label has come back")
    area = float(np.mean(areas))
    spread = float(np.sqrt((np.mean(influences, axis=0) ** 2).sum())) / rows
    if not 0 < area < 1 or not 0 < spread < math.inf:
        return Metric(area, baseline=0.5)  # ranked without any error, or a single row of a class: no telling how far chance reaches
    centre, reach = math.log(area / (1 - area)), Z * spread / (area * (1 - area))
    return Metric(area, _expit(centre - reach), _expit(centre + reach), 0.5)


def measure_numbers(truth: np.ndarray, predicted: np.ndarray) -> dict[str, Metric]:
    """MAE, RMSE and R2 of numbers; the baseline always answers the mean of the same rows."""
    rows = len(truth)
    if not rows:
        none = Metric(None, reason="no label has come back")
        return {"mae": none, "rmse": none, "r2": none}
    error, centred = predicted - truth, truth - truth.mean()
    absolute, squares, spread = np.abs(error), error**2, float((centred**2).mean())
    mae, mse = float(absolute.mean()), float(squares.mean())
    low, high = _around(mae, absolute - mae)
    found = {"mae": Metric(mae, _at_least_0(low), high, float(np.abs(centred).mean()))}
    low, high = _around(mse, squares - mse)
    found["rmse"] = Metric(
        math.sqrt(mse), None if low is None else math.sqrt(max(0.0, low)), None if high is None else math.sqrt(high), math.sqrt(spread)
    )
    if spread > 0:
        r2 = 1.0 - mse / spread
        low, high = _around(r2, mse / spread**2 * (centred**2 - spread) - (squares - mse) / spread)
        found["r2"] = Metric(r2, low, high, 0.0)
    else:
        found["r2"] = Metric(None, reason="the labels do not vary")
    return found


def measure_ranking(grade: np.ndarray, score: np.ndarray, query: np.ndarray) -> Metric:
    """Mean NDCG over the queries; the baseline is what a random order would get on average."""
    values = ndcg_by_group(grade, score, query)
    defined = np.isfinite(values)
    if not defined.any():
        return Metric(None, reason="no query has a label above 0")
    chance = ndcg_by_group(grade, np.zeros(len(grade)), query)
    value = float(values[defined].mean())
    # queries that all agree say nothing of how far others would lie: then there is no interval, not one without width
    low, high = _around(value, values[defined] - value) if np.ptp(values[defined]) > 0 else (None, None)
    return Metric(value, _at_least_0(low), None if high is None else min(1.0, high), float(chance[defined].mean()))


def subtract(now: Metric, before: Metric) -> Metric | None:
    """``now`` minus ``before`` with its interval; None where one of the values is unknown.

    Without both intervals the difference has none: whether it is chance stays unknown.
    """
    if now.value is None or before.value is None:
        return None
    difference = now.value - before.value
    if now.low is None or now.high is None or before.low is None or before.high is None:
        return Metric(difference)
    down = math.hypot(now.value - now.low, before.high - before.value)
    up = math.hypot(now.high - now.value, before.value - before.low)
    return Metric(difference, difference - down, difference + up)


def _f1_interval(matrix: np.ndarray, task: str) -> tuple[float | None, float | None]:
    hits = np.diagonal(matrix)
    judged = matrix.sum(0) + matrix.sum(1) - hits  # rows in which the class was meant or answered
    if task == "binary":
        return _f1_of_shares(int(hits[1]), int(judged[1]))
    total = int(matrix.sum())
    draws = np.random.default_rng(SEED).multinomial(total, matrix.ravel() / total, RESAMPLES).reshape(-1, *matrix.shape)
    low, high = np.quantile(scores_from_confusion(draws, task)["f1"], [0.025, 0.975])
    if low == high:  # every answer right, or every one wrong: nothing varies in a resample, yet another sample could
        bounds = np.array([_f1_of_shares(int(h), int(j)) for h, j in zip(hits, judged, strict=True) if j])
        return float(bounds[:, 0].mean()), float(bounds[:, 1].mean())
    return float(low), float(high)


def _f1_of_shares(hits: int, judged: int) -> tuple[float, float]:
    low, high = wilson(hits, judged)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def _area(positive: np.ndarray, score: np.ndarray) -> tuple[float, np.ndarray] | None:
    """AUC and how much each row moves it (mean 0); None with one class only."""
    hits, rows = int(positive.sum()), len(positive)
    misses = rows - hits
    if not hits or not misses:
        return None
    ranks = _midranks(score)
    above = np.empty(rows)
    above[positive] = (ranks[positive] - _midranks(score[positive])) / misses
    above[~positive] = 1.0 - (ranks[~positive] - _midranks(score[~positive])) / hits
    area = float(above[positive].mean())
    if hits == 1 or misses == 1:
        return area, np.full(rows, np.inf)
    # sqrt(m / (m - 1)): the variances of both sides are those of samples, as in DeLong's paper
    weights = [rows / m * math.sqrt(m / (m - 1)) for m in (hits, misses)]
    return area, (above - area) * np.where(positive, *weights)


def _midranks(values: np.ndarray) -> np.ndarray:
    _, block, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[block]


def _around(value: float, influence: np.ndarray) -> tuple[float | None, float | None]:
    """Normal interval from what each row adds; none with a single row."""
    rows = len(influence)
    if rows < 2:
        return None, None
    reach = Z * float(np.sqrt((influence**2).sum() / (rows - 1) / rows))
    return value - reach, value + reach


def _expit(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x > -700 else 0.0


def _known(value: np.ndarray) -> float | None:
    return float(value) if np.isfinite(value) else None


def _at_least_0(value: float | None) -> float | None:
    return None if value is None else max(0.0, value)
