"""From prepared rows to predictions, scores and confidences.

score: binary 100 x P(positive); multiclass 100 x sum(probability x level weight), empty where the classes have
no order; regression and ranking the model's value. confidence: probability of the predicted class.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from core.errors import NotFound, Refused
from core.home import Home
from core.projects.definition import Definition
from core.projects.projects import get_definition
from core.registry import artifacts
from storage import accounts as settings_store
from storage import versions as versions_store
from storage.connection import read_marker, reading

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sqlite_utils import Database

    from core.scoring.compiled import Fast
    from core.scoring.typed import Reader

THREADS = 2
ROWS_PER_THREAD = 2_000  # below this, starting a second thread costs more than it saves
_KEPT = 16  # scorers kept in memory
_KEPT_POINTERS = 256
GENERATION = "scorer_generation"  # raised to make every process load its models anew


@dataclass(frozen=True)
class Scorer:
    """One version, loaded and checked, ready to answer.

    Attributes
    ----------
    fast : Fast or None
        The pipeline made quick; only there after its answers were compared with the pipeline's own.
    serving : str
        What answers, and why if it is the pipeline itself: a sentence for a person.
    reader : Reader or None
        Reads rows of typed values; None until the scorer is warmed.
    """

    project: str
    version: str
    version_id: int
    definition: Definition
    pipeline: Any
    threshold: float
    sha256: str
    fast: Fast | None = None
    serving: str = "The pipeline itself answers; nothing quicker was built yet."
    reader: Reader | None = None


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


@dataclass(frozen=True)
class Pointer:
    """Which version is meant: the live one, or the one asked for by name."""

    version_id: int
    version: str
    sha256: str
    was_live: bool


_cache: OrderedDict[tuple[str, int, str], Scorer] = OrderedDict()
_lock = threading.Lock()
_loading = threading.Lock()
_generations: dict[str, int] = {}
_seen = threading.local()


def find_pointer(home: Home, project: str, version: str | None = None) -> Pointer | None:
    """What is live now (or the version named), read from the database again whenever anybody has written to it."""
    db = reading(home.db)
    known: dict[tuple[str, str, str | None], tuple[Any, Any, Pointer | None]] = _seen.__dict__.setdefault("pointers", {})
    marker = read_marker(db)
    found = known.get((str(home.root), project, version))
    if found is not None and found[0] is db and found[1] == marker:
        return found[2]
    _follow_generation(home, db)
    row = versions_store.find_pointer(db, project, version)
    pointer = None if row is None else Pointer(row["id"], row["version"], row["sha256"], bool(row["was_live"]))
    if marker is not None:  # inside an open transaction nothing is certain yet
        if len(known) >= _KEPT_POINTERS:
            known.clear()
        known[str(home.root), project, version] = (db, marker, pointer)
    return pointer


def load_scorer(home: Home, project: str, version: str | None = None) -> Scorer:
    """The scorer of a version, or of the live one.

    The live pointer is looked at each time, so that several processes agree; the loaded scorer is kept.

    Raises
    ------
    NotFound
        No such version, or nothing is live.
    Refused
        The files are not those that were registered, or no longer reproduce their golden answers.
    """
    pointer = find_pointer(home, project, version or None)
    if pointer is None:
        if version:
            raise NotFound(f"Project {project} has no version {version[:40]!r}.")
        raise NotFound(f"Project {project} has no live version yet; request a release, have it approved, and let DevOps deploy it.")
    key = (str(home.root), pointer.version_id, pointer.sha256)
    found = _find_kept(key)
    if found is not None:
        return found
    with _loading:  # the first requests after a start wait for one loading, instead of loading once each
        found = _find_kept(key)
        if found is not None:
            return found
        row = versions_store.find_version_by_id(reading(home.db), pointer.version_id)
        if row is None:
            raise NotFound(f"Version {pointer.version} of {project} is gone; try again.")
        return warm(home, open_scorer(home, row))


def ask_all_to_clear(db: Database) -> int:
    """Inside the caller's act: every process drops what it has loaded before its next answer; the new generation."""
    generation = _read_generation(db) + 1
    settings_store.set_setting(db, GENERATION, str(generation))
    return generation


def _read_generation(db: Database) -> int:
    return int(settings_store.find_setting(db, GENERATION) or 0)


def _follow_generation(home: Home, db: Database) -> None:
    """Drop what was loaded before somebody asked for it; looked at only when something was written to the database."""
    generation = _read_generation(db)
    with _lock:
        if _generations.setdefault(str(home.root), generation) == generation:
            return
        _generations[str(home.root)] = generation
        for key in [k for k in _cache if k[0] == str(home.root)]:
            del _cache[key]


def find_loaded(home: Home, project: str, version: str | None = None) -> Scorer | None:
    """The scorer, if it is in memory already: whoever must not wait for a loading asks here first."""
    pointer = find_pointer(home, project, version or None)
    return None if pointer is None else _find_kept((str(home.root), pointer.version_id, pointer.sha256))


def warm(home: Home, scorer: Scorer) -> Scorer:
    """Check an opened scorer's golden answers, make it quick where that gives the same answers, and keep it for the next request."""
    from core.registry.golden import check_golden
    from core.scoring import parity
    from core.scoring.typed import Reader

    check_golden(home, scorer)
    fast, serving = parity.make_fast(home, scorer)
    scorer = replace(scorer, fast=fast, serving=serving, reader=Reader(scorer.definition))
    with _lock:
        _cache[str(home.root), scorer.version_id, scorer.sha256] = scorer
        while len(_cache) > _KEPT:
            _cache.popitem(last=False)
    return scorer


def _find_kept(key: tuple[str, int, str]) -> Scorer | None:
    with _lock:
        found = _cache.get(key)
        if found is not None:
            _cache.move_to_end(key)
        return found


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
    if scorer.fast is None:
        return score_with(scorer.pipeline, features, scorer.definition, scorer.threshold, threads=threads)
    return score_table(scorer, scorer.fast.columns.encode_frame(features), threads=threads)


def score_table(scorer: Scorer, table: np.ndarray, *, threads: int = 1) -> Scored:
    """The same for the estimator's table, as ``scorer.fast.columns`` encodes it."""
    assert scorer.fast is not None
    raw = scorer.fast.predict(table, threads=threads)
    return make_scored(raw, scorer.fast.classes, scorer.definition, scorer.threshold, len(table))


def score_with(pipeline: Any, features: pd.DataFrame, definition: Definition, threshold: float, *, threads: int = 1) -> Scored:
    """The same for any fitted pipeline (a candidate that has no version yet).

    Raises
    ------
    Refused
        The model's own output has the wrong shape, or holds NaN, infinity or impossible probabilities.
    """
    import numpy as np

    rows = len(features)
    features = _within_reach(features)
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
    seen = tuple(str(c) for c in pipeline.classes_) if definition.is_classifier and rows else definition.classes
    return make_scored(np.asarray(raw, dtype=float), seen, definition, threshold, rows)


def make_scored(raw: np.ndarray, seen: tuple[str, ...], definition: Definition, threshold: float, rows: int) -> Scored:
    """Predictions, scores and confidences from a model's raw answers; ``seen`` are its classes, in its own order.

    Raises
    ------
    Refused
        The raw answers have the wrong shape, or hold NaN, infinity or impossible probabilities.
    """
    import numpy as np

    if not definition.is_classifier:
        values = raw.reshape(-1)
        if values.shape != (rows,) or not np.isfinite(values).all():
            _check(definition, values, None, rows)
        return Scored(values, values, np.full(rows, np.nan), None)
    probabilities = _in_order(raw, seen, definition.classes)
    if definition.task == "binary":
        chosen = (probabilities[:, 1] >= threshold).astype(int)
        scores = 100.0 * probabilities[:, 1]
    else:
        chosen = probabilities.argmax(axis=1)
        weights = [definition.level_weights.get(c, np.nan) for c in definition.classes]
        scores = 100.0 * (probabilities @ np.asarray(weights, dtype=float))
    prediction = np.asarray(definition.classes, dtype=object)[chosen]
    # looked at in one go; only what looks wrong is looked at closely, for the sentence
    right = probabilities.shape == (rows, len(definition.classes)) and bool(
        ((probabilities >= 0) & (probabilities <= 1)).all() and (np.abs(probabilities.sum(axis=1) - 1) <= 1e-6).all()
    )
    if not right:
        _check(definition, prediction, probabilities, rows)
    return Scored(prediction, scores, probabilities[np.arange(rows), chosen], probabilities)


def _within_reach(features: pd.DataFrame) -> pd.DataFrame:
    """Numbers beyond what forests can hold become the largest that they can; the log keeps what was sent."""
    import numpy as np

    from core.scoring.columns import LARGEST

    if not hasattr(features, "dtypes"):
        return features  # a table that was encoded already
    beyond = [str(n) for n, kind in features.dtypes.items() if kind.kind == "f" and (np.abs(features[n].to_numpy()) > LARGEST).any()]
    return features.assign(**{n: features[n].clip(-LARGEST, LARGEST) for n in beyond}) if beyond else features


def _in_order(probabilities: np.ndarray, seen: tuple[str, ...], wanted: tuple[str, ...]) -> np.ndarray:
    """Columns in the definition's order; a class that training never saw has probability 0."""
    import numpy as np

    if seen == wanted:
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
