"""From prepared rows to predictions, scores and confidences.

score: binary 100 x P(positive); multiclass 100 x sum(probability x level weight), empty where the classes have
no order; regression and ranking the model's value. confidence: probability of the predicted class.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from core.errors import NotFound, Refused
from core.home import Home
from core.projects.definition import Definition
from core.projects.projects import get_definition
from core.registry import artifacts
from storage import versions as versions_store
from storage.connection import reading

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

THREADS = 2
ROWS_PER_THREAD = 2_000  # below this, starting a second thread costs more than it saves
_KEPT = 8  # scorers kept in memory


@dataclass(frozen=True)
class Scorer:
    """One version, loaded and checked, ready to answer."""

    project: str
    version: str
    version_id: int
    definition: Definition
    pipeline: Any
    threshold: float
    sha256: str


@dataclass(frozen=True)
class Scored:
    """Answers for n rows.

    Attributes
    ----------
    prediction : ndarray (n,), object or float64
        Class as text, or the model's value.
    score : ndarray (n,), float64
        NaN where the task defines none.
    confidence : ndarray (n,), float64
        NaN for regression and ranking.
    probabilities : ndarray (n, k) or None
        In the order of ``definition.classes``.
    """

    prediction: np.ndarray
    score: np.ndarray
    confidence: np.ndarray
    probabilities: np.ndarray | None


_cache: OrderedDict[tuple[str, int, str], Scorer] = OrderedDict()
_lock = threading.Lock()


def load_scorer(home: Home, project: str, version: str | None = None) -> Scorer:
    """The scorer of a version, or of the live one.

    The live pointer is read each time, so that several processes agree; the unpickled pipeline is kept.

    Raises
    ------
    NotFound
        No such version, or nothing is live.
    Refused
        The files are not those that were registered, or no longer reproduce their golden answers.
    """
    db = reading(home.db)
    row = versions_store.find_version(db, project, version) if version else versions_store.find_live(db, project)
    if row is None:
        if version:
            raise NotFound(f"Project {project} has no version {version[:40]!r}.")
        raise NotFound(f"Project {project} has no live version yet; request a release, have it approved, and let DevOps deploy it.")
    key = (str(home.root), row["id"], row["sha256"])
    with _lock:
        if key in _cache:
            _cache.move_to_end(key)
            return _cache[key]
    scorer = open_scorer(home, row)
    from core.registry.golden import check_golden

    check_golden(home, scorer)
    with _lock:
        _cache[key] = scorer
        while len(_cache) > _KEPT:
            _cache.popitem(last=False)
    return scorer


def open_scorer(home: Home, row: dict[str, Any]) -> Scorer:
    """Check and unpickle a version's pipeline (no golden check, no cache)."""
    folder = home.models / row["project"] / row["version"]
    manifest = artifacts.read_manifest(folder)
    if "model.pkl" not in manifest:
        raise Refused(f"The manifest of {row['project']}/{row['version']} names no model.pkl; restore the folder from a backup.")
    pipeline = artifacts.load_pickle(home, folder / "model.pkl", row["sha256"], manifest["model.pkl"]["hmac"])
    definition = get_definition(home, row["project"], row["definition_sha"])
    threshold = 0.5 if row["threshold"] is None else float(row["threshold"])
    return Scorer(row["project"], row["version"], row["id"], definition, pipeline, threshold, row["sha256"])


def clear_cache() -> int:
    """Drop every loaded scorer; returns how many there were."""
    with _lock:
        count = len(_cache)
        _cache.clear()
    return count


def score(scorer: Scorer, features: pd.DataFrame, *, threads: int = THREADS) -> Scored:
    """Predict prepared features. Rows are split over threads, never trees: sums keep their order, answers their bits."""
    return score_with(scorer.pipeline, features, scorer.definition, scorer.threshold, threads=threads)


def score_with(pipeline: Any, features: pd.DataFrame, definition: Definition, threshold: float, *, threads: int = 1) -> Scored:
    """The same for any fitted pipeline (a candidate that has no version yet).

    Raises
    ------
    Refused
        The model's own output has the wrong shape, or holds NaN, infinity or impossible probabilities.
    """
    import numpy as np

    rows = len(features)
    call = pipeline.predict_proba if definition.is_classifier else pipeline.predict
    if rows == 0:
        raw = np.empty((0, len(definition.classes))) if definition.is_classifier else np.empty(0)
    elif threads > 1 and rows >= 2 * ROWS_PER_THREAD:
        bounds = np.linspace(0, rows, threads + 1).astype(int)
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(lambda b: call(features.iloc[b[0] : b[1]]), pairwise(bounds)))
        raw = np.concatenate(parts)
    else:
        raw = call(features)
    if not definition.is_classifier:
        values = np.asarray(raw, dtype=float).reshape(-1)
        _check(definition, values, None, rows)
        return Scored(values, values, np.full(rows, np.nan), None)
    probabilities = _in_order(np.asarray(raw, dtype=float), [str(c) for c in pipeline.classes_], definition.classes)
    if definition.task == "binary":
        chosen = (probabilities[:, 1] >= threshold).astype(int)
        scores = 100.0 * probabilities[:, 1]
    else:
        chosen = probabilities.argmax(axis=1)
        weights = [definition.level_weights.get(c, np.nan) for c in definition.classes]
        scores = 100.0 * (probabilities @ np.asarray(weights, dtype=float))
    prediction = np.asarray(definition.classes, dtype=object)[chosen]
    _check(definition, prediction, probabilities, rows)
    return Scored(prediction, scores, probabilities[np.arange(rows), chosen], probabilities)


def _in_order(probabilities: np.ndarray, seen: list[str], wanted: tuple[str, ...]) -> np.ndarray:
    """Columns in the definition's order; a class that training never saw has probability 0."""
    import numpy as np

    if tuple(seen) == wanted:
        return probabilities
    ordered = np.zeros((len(probabilities), len(wanted)))
    for place, name in enumerate(wanted):
        if name in seen:
            ordered[:, place] = probabilities[:, seen.index(name)]
    return ordered


def _check(definition: Definition, values: np.ndarray, probabilities: np.ndarray | None, rows: int) -> None:
    from core.datasets.validation import check_output

    found = check_output(definition.task, values, probabilities, rows, classes=definition.classes)
    findings = [f for f in found if f.level == "error"]
    if findings:
        raise Refused(f"The model's output was refused: {findings[0].text} {findings[0].cure}".strip())
