"""What a model's answers are worth, as plain numbers. Undefined is None with a reason, never 0.

Formulas follow Sokolova and Lapalme, "A systematic analysis of performance measures for classification
tasks" (2009), and for ranking Jarvelin and Kekalainen, "Cumulated gain-based evaluation of IR techniques" (2002).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.projects.definition import Definition
from core.training.curves import calibration_curve, precision_recall_curve, roc_curve

RELEVANT_GRADE = 3.0  # an item of this grade or above counts as relevant (MRR, retrieval)
CUTOFF = 10  # length of the list that a person looks at (NDCG@10, retrieval)

CLASSIFICATION = ("accuracy", "balanced_accuracy", "f1", "precision", "recall", "specificity", "auc", "log_loss", "brier")
REGRESSION = ("mse", "mae", "rmse", "r2")
RANKING = ("ndcg", "ndcg_at_10", "mrr", "retrieval_specificity", *REGRESSION)


def scalar_names(task: str) -> tuple[str, ...]:
    """Names of the metrics that are one number, in the order of a table."""
    if task == "ranking":
        return RANKING
    return REGRESSION if task == "regression" else CLASSIFICATION


def evaluate(
    definition: Definition, target: np.ndarray, prediction: np.ndarray, proba: np.ndarray | None = None,
    group: np.ndarray | None = None, curves: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Return the metrics of the project's task (see the function of each task below)."""
    if definition.is_classifier:
        return classification_metrics(target, prediction, proba, definition.classes, definition.task, curves=curves)
    if definition.task == "ranking":
        if group is None:
            raise ValueError("ranking metrics need the group of each row")
        return ranking_metrics(target, prediction, group)
    return regression_metrics(target, prediction)


# ---- classes ----


def confusion_matrix(y_true: np.ndarray, y_pred: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Return counts, shape (K, K): row = true class, column = predicted class, in the order of ``classes``."""
    size = len(classes)
    cells = encode(y_true, classes) * size + encode(y_pred, classes)
    return np.bincount(cells, minlength=size * size).reshape(size, size)


def encode(values: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Return each value's position in ``classes``, int64; raise ValueError for a value that is not a class."""
    values = np.asarray(values, dtype=object)
    codes = np.full(len(values), -1, dtype=np.int64)
    for position, name in enumerate(classes):
        codes[values == name] = position
    if (codes < 0).any():
        raise ValueError(f"{values[codes < 0][0]!r} is not among the classes {', '.join(classes)}")
    return codes


def scores_from_confusion(matrix: np.ndarray, task: str) -> dict[str, np.ndarray]:
    """Return the scores that counts alone decide, for one matrix or for many at once.

    Parameters
    ----------
    matrix : array, shape (..., K, K)
        Counts, row = true class. For a binary task index 1 is the positive class.
    task : "binary" or "multiclass"
        Binary: precision, recall, F1 and specificity of the positive class. Multiclass: their plain (macro) mean
        over the classes that have a value: F1 over classes that occur or are predicted, recall and balanced
        accuracy over classes with rows; precision is undefined as soon as a class with rows is never predicted.

    Returns
    -------
    dict of arrays, shape (...)
        NaN where undefined.
    """
    matrix = np.asarray(matrix, dtype=float)
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    rows, answers, total = matrix.sum(-1), matrix.sum(-2), matrix.sum((-2, -1))
    others = total[..., None] - rows
    precision, recall = _share(hits, answers), _share(hits, rows)
    f1, specificity = _share(2 * hits, rows + answers), _share(others - answers + hits, others)
    scores = {"accuracy": _share(hits.sum(-1), total)}
    if task == "binary":
        scores["balanced_accuracy"] = recall.mean(-1)
        for name, values in (("f1", f1), ("precision", precision), ("recall", recall), ("specificity", specificity)):
            scores[name] = values[..., 1]
        return scores
    scores["balanced_accuracy"] = _mean_defined(recall)
    scores["f1"] = _mean_defined(f1)
    silent = ((rows > 0) & (answers == 0)).any(-1)
    scores["precision"] = np.where(silent, np.nan, _mean_defined(precision))
    scores["recall"], scores["specificity"] = scores["balanced_accuracy"], _mean_defined(specificity)
    return scores


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0)


def _mean_defined(values: np.ndarray) -> np.ndarray:
    defined = ~np.isnan(values)
    return _share(np.where(defined, values, 0.0).sum(-1), defined.sum(-1))


def area_under_roc(positive: np.ndarray, score: np.ndarray) -> float:
    """Return P(score of a positive > score of a negative) + half the ties (Mann and Whitney 1947); NaN with one class."""
    positive = np.asarray(positive, dtype=bool)
    _, block, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[block]
    hits, misses = int(positive.sum()), int((~positive).sum())
    if not hits or not misses:
        return float("nan")
    return float((ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * misses))


def classification_metrics(
    y_true: np.ndarray, y_pred: np.ndarray, proba: np.ndarray | None, classes: Sequence[str], task: str, *, curves: bool = True
) -> dict[str, Any]:
    """Return every metric of a classifier's answers.

    Parameters
    ----------
    y_true, y_pred : arrays of str, shape (n,)
    proba : array, shape (n, K), or None
        Probabilities in the order of ``classes``; without them what needs them is None.
    task : "binary" or "multiclass"
        ``f1``, ``precision``, ``recall`` and ``specificity`` are those of class 1, or macro means (see
        ``scores_from_confusion``); ``auc`` is the area under the ROC curve, or its mean one class against the rest.
    curves : bool
        Also return ROC and precision-recall curves (at most 200 points) and calibration (10 bins) per class.

    Returns
    -------
    dict
        The names of ``CLASSIFICATION``; rows; tp, fp, tn, fn (binary); per_class; confusion; curves;
        undefined: name -> why it has no value. ``log_loss`` is natural (probabilities clipped at 2.2e-16,
        as scikit-learn does), ``brier`` the mean squared error of P(positive), or summed over the classes (0..2) for multiclass.
    """
    matrix = confusion_matrix(y_true, y_pred, classes)
    undefined: dict[str, str] = {}
    out: dict[str, Any] = {"rows": int(matrix.sum()), "classes": list(classes)}
    for name, value in scores_from_confusion(matrix, task).items():
        out[name] = _plain(value)
        if out[name] is None:
            undefined[name] = _why_undefined(name, matrix, classes, task)
    rows, answers, hits = matrix.sum(1), matrix.sum(0), matrix.diagonal()
    if task == "binary":
        out.update(tn=int(matrix[0, 0]), fp=int(matrix[0, 1]), fn=int(matrix[1, 0]), tp=int(matrix[1, 1]))
    precision, recall, f1 = _share(hits, answers), _share(hits, rows), _share(2 * hits, rows + answers)
    out["per_class"] = {
        name: {"precision": _plain(precision[k]), "recall": _plain(recall[k]), "f1": _plain(f1[k]), "support": int(rows[k])}
        for k, name in enumerate(classes)
    }
    out["confusion"] = matrix.tolist()
    _add_probability_metrics(out, undefined, encode(y_true, classes), proba, task, curves)
    out["undefined"] = undefined
    return out


def _add_probability_metrics(
    out: dict[str, Any], undefined: dict[str, str], truth: np.ndarray, proba: np.ndarray | None, task: str, curves: bool
) -> None:
    if proba is None or not len(truth):
        for name in ("auc", "log_loss", "brier"):
            out[name] = None
            undefined[name] = "there are no rows" if proba is not None else "the model gives no probabilities"
        return
    proba = np.asarray(proba, dtype=float)
    watched = [1] if task == "binary" else range(proba.shape[1])
    areas = np.array([area_under_roc(truth == k, proba[:, k]) for k in watched])
    out["auc"] = _plain(_mean_defined(areas))
    if out["auc"] is None:
        undefined["auc"] = "only one class has rows"
    chosen = np.clip(proba[np.arange(len(truth)), truth], np.finfo(float).eps, 1.0)
    out["log_loss"] = float(-np.log(chosen).mean())
    squares = (proba - np.eye(proba.shape[1])[truth]) ** 2
    out["brier"] = float(squares[:, 1].mean() if task == "binary" else squares.sum(1).mean())
    if curves:
        out["curves"] = {
            out["classes"][k]: {
                "roc": roc_curve(truth == k, proba[:, k]),
                "precision_recall": precision_recall_curve(truth == k, proba[:, k]),
                "calibration": calibration_curve(truth == k, proba[:, k]),
            }
            for k in watched
        }


def _why_undefined(name: str, matrix: np.ndarray, classes: Sequence[str], task: str) -> str:
    rows, answers = matrix.sum(1), matrix.sum(0)
    if not matrix.sum():
        return "there are no rows"
    if name == "precision":
        silent = [c for k, c in enumerate(classes) if not answers[k] and (rows[k] or task == "binary")]
        return f"class {(silent or classes)[-1]} was never predicted"
    if task == "binary":
        empty = [c for k, c in enumerate(classes) if not rows[k]]
        return f"class {(empty or classes)[0]} has no rows"
    return "fewer than two classes have rows"


def _plain(value: Any) -> float | None:
    value = float(value)
    return value if np.isfinite(value) else None


# ---- numbers ----


def regression_metrics(y_true: np.ndarray, y_pred: np.ndarray) -> dict[str, Any]:
    """Return mse, mae, rmse (unit of the target, mse in its square) and r2 = 1 - SSE / SST.

    ``r2`` is None when the target does not vary; a prediction that is not finite makes every value None.
    """
    truth, answer = np.asarray(y_true, dtype=float), np.asarray(y_pred, dtype=float)
    out: dict[str, Any] = {"rows": len(truth), "undefined": {}}
    if not len(truth) or not np.isfinite(answer).all():
        reason = "there are no rows" if not len(truth) else f"{int((~np.isfinite(answer)).sum())} predictions are not finite"
        return {**out, **dict.fromkeys(REGRESSION), "undefined": dict.fromkeys(REGRESSION, reason)}
    error = answer - truth
    out["mse"], out["mae"] = float((error**2).mean()), float(np.abs(error).mean())
    out["rmse"] = float(np.sqrt(out["mse"]))
    spread = float(((truth - truth.mean()) ** 2).mean())
    out["r2"] = 1.0 - out["mse"] / spread if spread > 0 else None
    if out["r2"] is None:
        out["undefined"]["r2"] = "the target does not vary"
    return out


# ---- ranking ----


def ndcg_by_group(grade: np.ndarray, score: np.ndarray, group: np.ndarray, k: int | None = None) -> np.ndarray:
    """Return the normalised discounted cumulative gain of each group, in the order of the sorted groups.

    DCG = sum grade / log2(rank + 1) over the first ``k`` ranks (all when None), divided by the DCG of the best
    order. Items of equal score share the mean of their discounts, so a constant score gets what chance would get
    (McSherry and Najork 2008; the same as scikit-learn's ``ndcg_score``). A group without a positive grade: NaN.
    """
    grade = np.asarray(grade, dtype=float)
    codes = np.unique(group, return_inverse=True)[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return _dcg(grade, np.asarray(score, dtype=float), codes, k) / _best_dcg(grade, codes, k)


def _dcg(grade: np.ndarray, score: np.ndarray, codes: np.ndarray, k: int | None) -> np.ndarray:
    order = np.lexsort((-score, codes))
    group, value = codes[order], score[order]
    discount = _discounts(group, k)
    new_block = np.r_[True, (group[1:] != group[:-1]) | (value[1:] != value[:-1])]
    block = np.cumsum(new_block) - 1
    shared = (np.bincount(block, weights=discount) / np.bincount(block))[block]
    return np.bincount(group, weights=grade[order] * shared, minlength=codes.max() + 1)


def _best_dcg(grade: np.ndarray, codes: np.ndarray, k: int | None) -> np.ndarray:
    order = np.lexsort((-grade, codes))
    best = np.bincount(codes[order], weights=grade[order] * _discounts(codes[order], k), minlength=codes.max() + 1)
    return np.where(best > 0, best, np.nan)


def _discounts(group: np.ndarray, k: int | None) -> np.ndarray:
    starts = np.r_[0, np.flatnonzero(group[1:] != group[:-1]) + 1]
    sizes = np.diff(np.r_[starts, len(group)])
    rank = np.arange(len(group)) - np.repeat(starts, sizes)
    discount = 1.0 / np.log2(rank + 2.0)
    return discount if k is None else np.where(rank < k, discount, 0.0)


def reciprocal_rank_by_group(relevant: np.ndarray, score: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return 1 / rank of the first relevant item of each sorted group; NaN for a group without one.

    Among items of equal score every order is equally likely, and the expectation is returned.
    """
    relevant = np.asarray(relevant, dtype=bool)
    score = np.asarray(score, dtype=float)
    codes = np.unique(group, return_inverse=True)[1]
    out = np.full(codes.max() + 1, np.nan)
    order = np.lexsort((-score, codes))
    for rows in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        if not relevant[rows].any():
            continue
        top = score[rows][relevant[rows]].max()
        ahead, tied = int((score[rows] > top).sum()), score[rows] == top
        out[codes[rows[0]]] = _expected_reciprocal(ahead, int(tied.sum()), int((tied & relevant[rows]).sum()))
    return out


def _expected_reciprocal(ahead: int, tied: int, relevant: int) -> float:
    """Mean of 1 / (ahead + place of the first relevant item) over all orders of ``tied`` items."""
    total, none_before = 0.0, 1.0
    for place in range(1, tied - relevant + 2):
        left = tied - place + 1
        total += none_before * relevant / left / (ahead + place)
        none_before *= (left - relevant) / left
    return total


def ranking_metrics(
    y_true: np.ndarray, scores: np.ndarray, group: np.ndarray, *, relevant: float = RELEVANT_GRADE, cutoff: int = CUTOFF
) -> dict[str, Any]:
    """Return ranking, retrieval and regression metrics of graded items.

    ``ndcg`` (all ranks), ``ndcg_at_10`` and ``mrr`` are means over groups; a group without a positive grade (for
    MRR: without an item of grade >= ``relevant``) has no value and is left out, its number is in ``groups``.
    Retrieval counts an item as retrieved when it is among the first ``cutoff`` of its group (equal scores: in the
    order of the rows): tp, fp, tn, fn, retrieval_specificity = tn / (tn + fp). Then mse, mae, rmse, r2 of the grades.
    """
    out = regression_metrics(y_true, scores)
    truth, score = np.asarray(y_true, dtype=float), np.asarray(scores, dtype=float)
    if not len(truth) or not np.isfinite(score).all():
        reason = next(iter(out["undefined"].values()))
        return {**out, **dict.fromkeys(RANKING), "undefined": dict.fromkeys(RANKING, reason)}
    codes = np.unique(group, return_inverse=True)[1]
    good = truth >= relevant
    per_group = {
        "ndcg": ndcg_by_group(truth, score, codes),
        "ndcg_at_10": ndcg_by_group(truth, score, codes, 10),
        "mrr": reciprocal_rank_by_group(good, score, codes),
    }
    for name, values in per_group.items():
        out[name] = _plain(_mean_defined(values))
        if out[name] is None:
            out["undefined"][name] = f"no group has an item of grade {relevant:g}" if name == "mrr" else "all grades are 0"
    order = np.lexsort((-score, codes))
    found = np.zeros(len(truth), dtype=bool)
    found[order] = _discounts(codes[order], cutoff) > 0
    out.update(
        tp=int((found & good).sum()), fp=int((found & ~good).sum()), fn=int((~found & good).sum()), tn=int((~found & ~good).sum())
    )
    out["retrieval_specificity"] = out["tn"] / (out["tn"] + out["fp"]) if (~good).any() else None
    if out["retrieval_specificity"] is None:
        out["undefined"]["retrieval_specificity"] = f"every item has grade {relevant:g} or above"
    out["groups"] = {
        "all": int(codes.max() + 1),
        "with_grades": int((~np.isnan(per_group["ndcg"])).sum()),
        "with_relevant": int((~np.isnan(per_group["mrr"])).sum()),
    }
    out["relevant_grade"], out["cutoff"] = float(relevant), int(cutoff)
    return out
