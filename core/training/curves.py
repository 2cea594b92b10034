"""Curves of a class against the rest, thinned to what a chart can show."""

from __future__ import annotations

import numpy as np

POINTS = 200
BINS = 10


def counts_by_threshold(positive: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (threshold, tp, fp) for the rule "positive when score >= threshold", highest threshold first."""
    positive = np.asarray(positive, dtype=bool)
    order = np.argsort(-np.asarray(score, dtype=float), kind="stable")
    ordered, hit = np.asarray(score, dtype=float)[order], positive[order]
    last_of_block = np.r_[np.flatnonzero(np.diff(ordered)), len(ordered) - 1] if len(ordered) else np.zeros(0, dtype=int)
    return ordered[last_of_block], np.cumsum(hit)[last_of_block], np.cumsum(~hit)[last_of_block]


def thin(length: int, points: int = POINTS) -> np.ndarray:
    """Return at most ``points`` evenly spaced positions of a curve, its first and last always among them."""
    return np.unique(np.linspace(0, length - 1, min(points, length)).round().astype(int)) if length else np.zeros(0, dtype=int)


def roc_curve(positive: np.ndarray, score: np.ndarray) -> dict[str, list[float]] | None:
    """Return fpr, tpr and threshold from (0, 0) to (1, 1), at most 200 points; None when only one class has rows.

    The threshold of (0, 0) lies above every score; it is written as the highest score.
    """
    threshold, tp, fp = counts_by_threshold(positive, score)
    if not len(tp) or not tp[-1] or not fp[-1]:
        return None
    keep = thin(len(tp), POINTS - 1)
    return {
        "fpr": [0.0, *(fp[keep] / fp[-1]).tolist()],
        "tpr": [0.0, *(tp[keep] / tp[-1]).tolist()],
        "threshold": [float(threshold[0]), *threshold[keep].tolist()],
    }


def precision_recall_curve(positive: np.ndarray, score: np.ndarray) -> dict[str, list[float]] | None:
    """Return recall, precision and threshold, rising in recall, at most 200 points; None without a positive row."""
    threshold, tp, fp = counts_by_threshold(positive, score)
    if not len(tp) or not tp[-1]:
        return None
    keep = thin(len(tp))
    return {
        "recall": (tp[keep] / tp[-1]).tolist(),
        "precision": (tp[keep] / (tp[keep] + fp[keep])).tolist(),
        "threshold": threshold[keep].tolist(),
    }


def calibration_curve(positive: np.ndarray, score: np.ndarray) -> dict[str, list[float]]:
    """Return mean probability, observed share and rows of each non-empty tenth of 0..1."""
    positive, score = np.asarray(positive, dtype=float), np.asarray(score, dtype=float)
    tenth = np.clip((score * BINS).astype(int), 0, BINS - 1)
    rows = np.bincount(tenth, minlength=BINS)
    full = rows > 0
    return {
        "predicted": (np.bincount(tenth, weights=score, minlength=BINS)[full] / rows[full]).tolist(),
        "observed": (np.bincount(tenth, weights=positive, minlength=BINS)[full] / rows[full]).tolist(),
        "rows": rows[full].tolist(),
    }
