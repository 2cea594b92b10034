"""Columns that give the answer away: how well does each one alone decide the label?"""

from __future__ import annotations

import numpy as np

from core.datasets.prepare import Prepared
from core.projects.definition import Definition

FOLDS = 3
MAX_ROWS = 20_000
MIN_ROWS = 30


def find_leaks(prepared: Prepared, definition: Definition, *, seed: int = 42) -> list[tuple[str, float]]:
    """Columns whose score reaches ``data_rules.leakage``, worst first."""
    scores = score_columns(prepared, definition, seed=seed)
    leaks = [(n, s) for n, s in scores.items() if s >= definition.data_rules.leakage]
    return sorted(leaks, key=lambda pair: -pair[1])


def score_columns(prepared: Prepared, definition: Definition, *, seed: int = 42) -> dict[str, float]:
    """How well each feature alone predicts the target, cross-validated.

    The better of two one-column models: a shallow decision tree (numbers), and the typical answer per
    value (categories, and numbers with at most 50 values). At most 20,000 rows, drawn with ``seed``.

    Returns
    -------
    dict, column -> balanced accuracy (classes) or R2 (numbers); empty under 30 labelled rows.
    """
    target = prepared.target
    if target is None:
        return {}
    if definition.is_classifier:
        labelled = np.flatnonzero(np.array([t is not None for t in target], dtype=bool))
    else:
        labelled = np.flatnonzero(~np.isnan(target))
    if len(labelled) < MIN_ROWS:
        return {}
    chance = np.random.default_rng(seed)
    rows = chance.permutation(labelled)[:MAX_ROWS]
    if definition.is_classifier:
        classes, y = np.unique(target[rows].astype(str), return_inverse=True)
        if len(classes) < 2:
            return {}
        folds = np.empty(len(rows), dtype=np.int64)
        for c in range(len(classes)):  # rows are shuffled already; dealing them out per class stratifies
            mine = np.flatnonzero(y == c)
            folds[mine] = np.arange(len(mine)) % FOLDS
    else:
        y = target[rows].astype(np.float64)
        if y.std() == 0:
            return {}
        folds = np.arange(len(rows)) % FOLDS
    found = {}
    for column in definition.features:
        values = prepared.features[column.name].to_numpy()[rows]
        guesses = []
        if column.kind == "number":
            numbers = values.astype(np.float64)
            if np.isnan(numbers).all():
                continue
            guesses.append(_guess_by_tree(numbers, y, folds, definition.is_classifier, seed))
            if len(np.unique(numbers)) <= 50:
                guesses.append(_guess_by_value(numbers, y, folds, definition.is_classifier))
        else:
            guesses.append(_guess_by_value(values, y, folds, definition.is_classifier))
        score = _balanced_accuracy if definition.is_classifier else _r2
        found[column.name] = max(score(y, g) for g in guesses)
    return found


def _guess_by_tree(numbers: np.ndarray, y: np.ndarray, folds: np.ndarray, classes: bool, seed: int) -> np.ndarray:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    guess = np.zeros(len(y), dtype=y.dtype)
    for fold in range(FOLDS):
        test = folds == fold
        if classes:
            tree = DecisionTreeClassifier(max_depth=3, class_weight="balanced", random_state=seed)
        else:
            tree = DecisionTreeRegressor(max_depth=8, min_samples_leaf=3, random_state=seed)
        guess[test] = tree.fit(numbers[~test, None], y[~test]).predict(numbers[test, None])
    return guess


def _guess_by_value(values: np.ndarray, y: np.ndarray, folds: np.ndarray, classes: bool) -> np.ndarray:
    """Per value: the class that is most over-represented, or the mean. Values not seen before get the typical answer."""
    import pandas as pd

    codes, uniques = pd.factorize(values, use_na_sentinel=False)
    size = len(uniques)
    guess = np.zeros(len(y), dtype=y.dtype)
    for fold in range(FOLDS):
        test = folds == fold
        seen, answers = codes[~test], y[~test]
        if classes:
            width = int(y.max()) + 1
            counts = np.bincount(seen * width + answers, minlength=size * width).reshape(size, width)
            best = (counts / np.maximum(1, counts.sum(axis=0))).argmax(axis=1)
        else:
            number = np.bincount(seen, minlength=size)
            best = np.where(number > 0, np.bincount(seen, answers, minlength=size) / np.maximum(1, number), answers.mean())
        guess[test] = best[codes[test]]
    return guess


def _balanced_accuracy(y: np.ndarray, guess: np.ndarray) -> float:
    return float(np.mean([np.mean(guess[y == c] == c) for c in np.unique(y)]))


def _r2(y: np.ndarray, guess: np.ndarray) -> float:
    return float(1 - ((y - guess) ** 2).sum() / ((y - y.mean()) ** 2).sum())
