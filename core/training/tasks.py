"""The two kinds of work in a sweep, each a plain function that runs in a worker process."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from core.projects.definition import Definition
from core.training.catalogue import get_candidate
from core.training.metrics import evaluate
from core.training.pipeline import build_pipeline
from core.training.results import Importance

IMPORTANCE_ROWS = 1000
IMPORTANCE_REPEATS = 5
TIMED_ROWS = 15


@dataclass(frozen=True)
class Material:
    """What every task of a sweep reads; ``folds`` are (train, test) positions in the whole frame."""

    features: pd.DataFrame
    target: np.ndarray
    group: np.ndarray | None
    definition: Definition
    seed: int
    folds: tuple[tuple[np.ndarray, np.ndarray], ...]
    train_rows: np.ndarray
    holdout_rows: np.ndarray
    artifact_dir: Path


@dataclass(frozen=True)
class Task:
    """One fit: a fold of the cross-validation, or the final one (``fold`` None)."""

    key: str
    candidate: str
    params: dict[str, Any]
    fold: int | None


@dataclass(frozen=True)
class Fitted:
    """The answers of one fit; the fields after ``fit_seconds`` are set by the final fit only."""

    prediction: np.ndarray
    proba: np.ndarray | None
    fit_seconds: float
    predict_ms_row: float | None = None
    predict_ms_1000: float | None = None
    importances: tuple[Importance, ...] = ()
    artifact: str = ""
    sha256: str = ""
    size: int = 0
    warning: str = ""


def work(material: Material, task: Task) -> Fitted:
    """Do one task (the function that an executor is given)."""
    train, test = (
        (material.train_rows, material.holdout_rows) if task.fold is None else material.folds[task.fold]
    )  # fmt: skip
    candidate = get_candidate(task.candidate)
    pipeline = build_pipeline(candidate, task.params, material.seed, material.definition)
    target = labels_to_fit(material.target[train], material.definition)
    begin = perf_counter()
    pipeline.fit(material.features.iloc[train], target)
    seconds = perf_counter() - begin
    prediction, proba = answer(pipeline, material.features.iloc[test], material.definition)
    if task.fold is not None:
        return Fitted(prediction, proba, seconds)
    row_ms, thousand_ms = time_predictions(pipeline, material.features, test, material.definition)
    # The baseline ignores every column: shuffling them would only write down zeros.
    shares = () if candidate.name == "dummy" else permutation_importances(pipeline, material, test)
    artifact, digest, size = write_artifact(pipeline, material.artifact_dir / f"{task.key}.pkl")
    warning = str(getattr(pipeline[-1], "warning", ""))
    return Fitted(prediction, proba, seconds, row_ms, thousand_ms, shares, artifact, digest, size, warning)


def labels_to_fit(target: np.ndarray, definition: Definition) -> np.ndarray:
    """Return the target as an estimator is given it: classes that look like whole numbers as such, others as text.

    scikit-learn takes "0" and "1" for numbers in some places only: its balanced forest then finds no such class.
    ``str`` of a fitted pipeline's ``classes_`` gives the definition's classes again.
    """
    if not definition.is_classifier:
        return np.asarray(target, dtype=float)
    if all(name.lstrip("-").isdecimal() and str(int(name)) == name for name in definition.classes):
        return target.astype(int)
    return target.astype(str)


def answer(pipeline: Any, features: pd.DataFrame, definition: Definition) -> tuple[np.ndarray, np.ndarray | None]:
    """Return predictions and, for classes, probabilities of shape (n, K) in the order of the definition.

    The prediction is the most probable class; of two equally probable ones the first in the estimator's own order,
    as its ``predict`` does, at half the cost of asking twice.
    """
    if not definition.is_classifier:
        return np.asarray(pipeline.predict(features), dtype=float).ravel(), None
    raw = np.asarray(pipeline.predict_proba(features), dtype=float)
    known = np.array([str(name) for name in pipeline.classes_], dtype=object)
    proba = np.zeros((len(raw), len(definition.classes)))
    for position, name in enumerate(known):
        proba[:, definition.classes.index(name)] = raw[:, position]
    return known[raw.argmax(axis=1)], proba


def time_predictions(pipeline: Any, features: pd.DataFrame, rows: np.ndarray, definition: Definition) -> tuple[float, float]:
    """Return milliseconds for one row (median of 15 calls) and for 1,000 rows in one call (the better of two)."""
    singles = [_milliseconds(pipeline, features.iloc[[row]], definition) for row in np.resize(rows, TIMED_ROWS)]
    thousand = features.iloc[np.resize(rows, 1000)]
    return float(np.median(singles)), min(_milliseconds(pipeline, thousand, definition) for _ in range(2))


def _milliseconds(pipeline: Any, features: pd.DataFrame, definition: Definition) -> float:
    begin = perf_counter()
    answer(pipeline, features, definition)
    return (perf_counter() - begin) * 1000.0


def permutation_importances(pipeline: Any, material: Material, rows: np.ndarray) -> tuple[Importance, ...]:
    """Return how much the project's metric falls on unseen rows when one column is shuffled, largest first.

    Breiman, "Random Forests" (2001), for any estimator and for the original columns. At most 1,000 of ``rows``
    (whole groups when ranking), five shuffles; empty when the metric is undefined on them.
    """
    d = material.definition
    rng = np.random.default_rng(material.seed)
    rows = _some_rows(rows, material.group, rng)
    features, target = material.features.iloc[rows], material.target[rows]
    group = None if material.group is None else material.group[rows]

    def score(prediction: np.ndarray) -> float | None:
        return evaluate(d, target, prediction, None, group, curves=False)[d.metric]

    whole = score(answer(pipeline, features, d)[0])
    if whole is None:
        return ()
    found = []
    for column in features.columns:
        # The shuffled copies are answered in one call: a forest's fixed cost per call is most of a small one's time.
        copies = pd.concat([features] * IMPORTANCE_REPEATS, ignore_index=True)
        values = features[column].to_numpy()
        copies[column] = np.concatenate([values[rng.permutation(len(rows))] for _ in range(IMPORTANCE_REPEATS)])
        answers = np.split(answer(pipeline, copies, d)[0], IMPORTANCE_REPEATS)
        falls = [whole - value for value in map(score, answers) if value is not None]
        if falls:
            found.append(Importance(str(column), float(np.mean(falls)), float(np.std(falls)), len(falls)))
    return tuple(sorted(found, key=lambda one: (-one.mean, one.column)))


def _some_rows(rows: np.ndarray, group: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    if len(rows) <= IMPORTANCE_ROWS:
        return rows
    if group is None:
        return np.sort(rng.choice(rows, IMPORTANCE_ROWS, replace=False))
    names, codes = np.unique(group[rows], return_inverse=True)
    order = rng.permutation(len(names))
    sizes = np.cumsum(np.bincount(codes)[order])
    chosen = order[: max(1, int(np.searchsorted(sizes, IMPORTANCE_ROWS, side="right")))]
    return rows[np.isin(codes, chosen)]


def write_artifact(pipeline: Any, path: Path) -> tuple[str, str, int]:
    """Pickle the pipeline to ``path`` (complete or not at all); return file name, sha256 and bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    digest, size = hashlib.sha256(), 0
    with fresh.open("wb") as file:
        pickle.dump(pipeline, file, protocol=5)
    with fresh.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    fresh.replace(path)
    return path.name, digest.hexdigest(), size
