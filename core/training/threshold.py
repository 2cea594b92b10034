"""The probability from which a binary model says yes: what each choice costs, and which is cheapest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import BadInput
from core.training.curves import POINTS, counts_by_threshold, thin
from core.training.metrics import classification_metrics

CLASSES = ("0", "1")


@dataclass(frozen=True)
class CostPoint:
    """The rule "positive when P >= threshold" on the given rows; precision is None when nothing is called positive."""

    threshold: float
    fp: int
    fn: int
    cost: float
    precision: float | None
    recall: float | None
    f1: float | None


def cost_curve(y_true: np.ndarray, proba: np.ndarray, cost_fn: float, cost_fp: float, points: int = POINTS) -> list[CostPoint]:
    """Return what every threshold would cost, lowest threshold first.

    Parameters
    ----------
    y_true : array of "0" and "1", shape (n,)
    proba : array, shape (n,)
        P(positive).
    cost_fn, cost_fp : float
        Cost of one missed positive and of one false alarm, in the same unit, not negative.
    points : int
        At most this many points; the cheapest, 0.5 and the two ends (all, nobody) are always among them.

    Returns
    -------
    list of CostPoint
        Thresholds are midway between neighbouring probabilities, so that rounding does not change an answer. "Nobody
        is positive" is among them unless a probability of 1 occurs: no threshold up to 1 says it then.
    """
    threshold, tp, fp = _counts(y_true, proba, cost_fn, cost_fp)
    fn = int(tp[-1]) - tp
    cost = cost_fn * fn + cost_fp * fp
    keep = {0, len(cost) - 1, _cheapest_place(threshold, cost), *thin(len(cost), points - 3).tolist()}
    curve = [_point(threshold[i], int(tp[i]), int(fp[i]), int(fn[i]), float(cost[i])) for i in sorted(keep)]
    half = cost_at(y_true, proba, 0.5, cost_fn, cost_fp)
    if all(point.threshold != 0.5 for point in curve):
        curve.append(half)
    return sorted(curve, key=lambda point: point.threshold)


def cheapest(y_true: np.ndarray, proba: np.ndarray, cost_fn: float, cost_fp: float) -> CostPoint:
    """Return the threshold of the lowest cost over all of them; among equal costs the one nearest to 0.5.

    Choose it on out-of-fold probabilities and report it on the hold-out: chosen and reported on the same rows it
    would look better than it is.
    """
    threshold, tp, fp = _counts(y_true, proba, cost_fn, cost_fp)
    fn = int(tp[-1]) - tp
    cost = cost_fn * fn + cost_fp * fp
    best = _cheapest_place(threshold, cost)
    half = cost_at(y_true, proba, 0.5, cost_fn, cost_fp)
    point = _point(threshold[best], int(tp[best]), int(fp[best]), int(fn[best]), float(cost[best]))
    return half if half.cost <= point.cost else point


def metrics_at(y_true: np.ndarray, proba: np.ndarray, threshold: float, *, curves: bool = True) -> dict[str, Any]:
    """Return the binary metrics of the rule "positive when P >= threshold" (see ``classification_metrics``).

    What does not depend on a threshold (AUC, log loss, Brier score, curves) stays as it is.
    """
    proba = np.asarray(proba, dtype=float)
    return classification_metrics(
        y_true, predict_at(proba, threshold), np.column_stack([1.0 - proba, proba]), CLASSES, "binary", curves=curves
    )


def cost_at(y_true: np.ndarray, proba: np.ndarray, threshold: float, cost_fn: float, cost_fp: float) -> CostPoint:
    """Return what one threshold costs: "positive when P >= threshold" on the given rows (see ``cost_curve``)."""
    positive, called = np.asarray(y_true, dtype=object) == "1", np.asarray(proba, dtype=float) >= threshold
    tp, fp, fn = int((positive & called).sum()), int((~positive & called).sum()), int((positive & ~called).sum())
    return _point(threshold, tp, fp, fn, cost_fn * fn + cost_fp * fp)


def predict_at(proba: np.ndarray, threshold: float) -> np.ndarray:
    """Return "1" where P(positive) >= threshold, else "0"."""
    if not 0.0 <= threshold <= 1.0:
        raise BadInput(f"A decision threshold lies between 0 and 1; {threshold:g} does not.")
    return np.where(np.asarray(proba, dtype=float) >= threshold, "1", "0").astype(object)


def _counts(y_true: np.ndarray, proba: np.ndarray, cost_fn: float, cost_fp: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thresholds from "nobody is positive" to "everybody is", with true and false positives at each."""
    if not (np.isfinite([cost_fn, cost_fp]).all() and min(cost_fn, cost_fp) >= 0 and max(cost_fn, cost_fp) > 0):
        raise BadInput(f"Costs are not negative and not both 0; {cost_fn:g} for a miss and {cost_fp:g} for a false alarm are.")
    if not len(proba):
        raise BadInput("There are no rows with probabilities to choose a threshold from.")
    level, tp, fp = counts_by_threshold(np.asarray(y_true, dtype=object) == "1", proba)
    between = np.r_[level[:-1] / 2 + level[1:] / 2, level[-1] / 2]
    if level[0] >= 1.0:
        return between, tp, fp
    return np.r_[(1.0 + level[0]) / 2, between], np.r_[0, tp], np.r_[0, fp]


def _cheapest_place(threshold: np.ndarray, cost: np.ndarray) -> int:
    return int(np.lexsort((np.abs(threshold - 0.5), cost))[0])


def _point(threshold: float, tp: int, fp: int, fn: int, cost: float) -> CostPoint:
    precision = tp / (tp + fp) if tp + fp else None
    recall = tp / (tp + fn) if tp + fn else None
    f1 = 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None
    return CostPoint(float(threshold), fp, fn, float(cost), precision, recall, f1)
