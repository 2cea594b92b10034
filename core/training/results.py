"""What a sweep found out, as values: written as JSON and one file of arrays, read back unchanged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import NotFound
from core.projects.definition import Definition
from core.training.intervals import Answers, Interval
from core.training.metrics import encode

RESULT_FILE = "result.json"
ANSWERS_FILE = "answers.npz"
# Raise it when a field changes its meaning, and teach load_sweep the older one.
FORMAT = 1


@dataclass(frozen=True)
class Importance:
    """How much the project's metric falls when one column is shuffled.

    Attributes
    ----------
    mean, std : float
        Over repeats (divisor n).
    repeats : int
        Shuffles; five in results that do not say.
    """

    column: str
    mean: float
    std: float
    repeats: int = 5

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the mean over shuffles (Student's t); the chance of the rows themselves is not in it."""
        return importance_interval(self.mean, self.std, self.repeats)


def importance_interval(mean: float, std: float, repeats: int = 5) -> tuple[float, float]:
    """The same for stored numbers; a single shuffle leaves no interval but the value itself."""
    if repeats < 2:
        return mean, mean
    half = _T975[min(repeats, len(_T975) + 1) - 2] * std / (repeats - 1) ** 0.5  # std has the divisor n
    return mean - half, mean + half


# The 97.5 % quantile of Student's t with 1, 2, ... 9 degrees of freedom.
_T975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


@dataclass(frozen=True)
class CandidateResult:
    """One candidate of a sweep.

    Attributes
    ----------
    name : str
        Unique in the sweep: the candidate's name, with _2, _3 for a second set of hyperparameters.
    cv : dict
        metric -> {"mean", "std" (over folds, divisor n), "folds": one value per fold, None where undefined}.
    out_of_fold, holdout : dict
        Metrics (``core.training.metrics``) pooled over all training rows, each answered by the model that had
        not seen it, and of the served pipeline on the hold-out.
    out_of_fold_intervals, holdout_intervals : dict of Interval
    fold_seconds : tuple of float
        Seconds of each fit in cross-validation; ``fit_seconds`` of the final fit on the training part.
    predict_ms_row, predict_ms_1000 : float or None
        Milliseconds to predict one row and 1,000 rows at once, columns included.
    artifact, sha256, size : str, str, int
        The pickled pipeline: file name inside the sweep's folder, its hash and bytes.
    answers, holdout_answers : Answers or None
        In the order of the sweep's ``train_rows`` and ``holdout_rows``.
    error : str or None
        One line why it could not be trained; then nothing else is set.
    """

    name: str
    candidate: str
    title: str
    params: dict[str, Any]
    seed: int
    baseline: bool = False
    simplicity: int = 0
    reading: str = ""
    needs: str = ""
    error: str | None = None
    cv: dict[str, dict[str, Any]] = field(default_factory=dict)
    out_of_fold: dict[str, Any] = field(default_factory=dict)
    out_of_fold_intervals: dict[str, Interval] = field(default_factory=dict)
    holdout: dict[str, Any] = field(default_factory=dict)
    holdout_intervals: dict[str, Interval] = field(default_factory=dict)
    fold_seconds: tuple[float, ...] = ()
    fit_seconds: float | None = None
    predict_ms_row: float | None = None
    predict_ms_1000: float | None = None
    importances: tuple[Importance, ...] = ()
    artifact: str = ""
    sha256: str = ""
    size: int = 0
    answers: Answers | None = None
    holdout_answers: Answers | None = None

    def cv_mean(self, metric: str) -> float | None:
        """Mean over folds of ``metric``; None when it failed or is undefined."""
        return self.cv.get(metric, {}).get("mean")


@dataclass(frozen=True)
class SweepResult:
    """Everything that one training found out.

    Attributes
    ----------
    rows, class_rows : int, dict
        All rows, and how many each class has.
    train_rows, holdout_rows : arrays of int
        Positions in the frame that was given.
    fold_of : array of int
        For each training row the fold in which it was answered.
    seconds : dict
        "cross_validation" (until the last fold was in) and "total".
    results : tuple of CandidateResult
        In the order asked for, baselines first.
    """

    project: str
    definition_sha256: str
    task: str
    metric: str
    seed: int
    folds: int
    holdout: float
    rows: int
    class_rows: dict[str, int]
    environment: dict[str, Any]
    seconds: dict[str, float]
    warnings: tuple[str, ...]
    results: tuple[CandidateResult, ...]
    train_rows: np.ndarray
    holdout_rows: np.ndarray
    fold_of: np.ndarray

    def result(self, name: str) -> CandidateResult:
        for one in self.results:
            if one.name == name:
                return one
        raise NotFound(f"This run has no candidate {name!r}; it has {', '.join(r.name for r in self.results)}.")


def to_dict(sweep: SweepResult) -> dict[str, Any]:
    """Return plain data for JSON: everything but the arrays."""
    out = {f.name: getattr(sweep, f.name) for f in fields(sweep) if f.name not in ("train_rows", "holdout_rows", "fold_of")}
    bare = (replace(r, answers=None, holdout_answers=None) for r in sweep.results)
    out["results"] = [{k: v for k, v in asdict(r).items() if k not in ("answers", "holdout_answers")} for r in bare]
    return {"format": FORMAT, **out, "warnings": list(sweep.warnings)}


def save_sweep(sweep: SweepResult, definition: Definition, folder: Path) -> None:
    """Write ``result.json`` and ``answers.npz`` into ``folder``, the JSON last: where it stands, all stands."""
    arrays = {"train_rows": sweep.train_rows, "holdout_rows": sweep.holdout_rows, "fold_of": sweep.fold_of}
    for part, name in (("answers", "train"), ("holdout_answers", "holdout")):
        kept = {r.name: getattr(r, part) for r in sweep.results if getattr(r, part) is not None}
        for position, answers in enumerate(kept.values()):
            if position == 0:
                arrays[f"{name}:target"] = _pack(answers.target, definition)
                if answers.group is not None:
                    arrays[f"{name}:group"] = np.unique(answers.group, return_inverse=True)[1]
        for key, answers in kept.items():
            arrays[f"{name}:{key}:prediction"] = _pack(answers.prediction, definition)
            if answers.proba is not None:
                # Two classes: the second probability is enough. Full precision, so that a threshold decides the same.
                arrays[f"{name}:{key}:proba"] = answers.proba[:, 1] if answers.proba.shape[1] == 2 else answers.proba
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / ANSWERS_FILE, **arrays)  # type: ignore[arg-type]
    fresh = folder / f".{RESULT_FILE}.new"
    fresh.write_text(json.dumps(to_dict(sweep), ensure_ascii=False, allow_nan=False), encoding="utf-8")
    fresh.replace(folder / RESULT_FILE)


def load_sweep(folder: Path, definition: Definition) -> SweepResult:
    """Read what ``save_sweep`` wrote with the same definition; groups come back as numbers.

    Raises
    ------
    NotFound
        When the folder holds no finished sweep.
    """
    if not (folder / RESULT_FILE).exists():
        raise NotFound(f"The run in {folder.name} has no results: it did not finish, or its files were deleted.")
    data = json.loads((folder / RESULT_FILE).read_text(encoding="utf-8"))
    data.pop("format")
    with np.load(folder / ANSWERS_FILE, allow_pickle=False) as arrays:
        data["results"] = tuple(_result(one, arrays, definition) for one in data["results"])
        rows = {name: arrays[name] for name in ("train_rows", "holdout_rows", "fold_of")}
    data["warnings"] = tuple(data["warnings"])
    return SweepResult(**data, **rows)


def _result(data: dict[str, Any], arrays: Any, definition: Definition) -> CandidateResult:
    for name in ("out_of_fold_intervals", "holdout_intervals"):
        data[name] = {metric: Interval(**values) for metric, values in data[name].items()}
    data["importances"] = tuple(Importance(**one) for one in data["importances"])
    data["fold_seconds"] = tuple(data["fold_seconds"])
    for part, name in _PARTS:
        data[part] = _answers(data["name"], name, arrays, definition)
    return CandidateResult(**data)


_PARTS = (("answers", "train"), ("holdout_answers", "holdout"))


def _answers(key: str, part: str, arrays: Any, definition: Definition) -> Answers | None:
    if f"{part}:{key}:prediction" not in arrays:
        return None
    proba = arrays.get(f"{part}:{key}:proba")
    if proba is not None and proba.ndim == 1:
        proba = np.column_stack([1.0 - proba, proba])
    group = arrays.get(f"{part}:group")
    target, prediction = (_unpack(arrays[name], definition) for name in (f"{part}:target", f"{part}:{key}:prediction"))
    return Answers(target, prediction, proba, group)


def _pack(values: np.ndarray, definition: Definition) -> np.ndarray:
    if not definition.is_classifier:
        return np.asarray(values, dtype=float)
    return encode(values, definition.classes).astype(np.int16)


def _unpack(values: np.ndarray, definition: Definition) -> np.ndarray:
    return _names(definition.classes)[values] if definition.is_classifier else values


def _names(classes: Sequence[str]) -> np.ndarray:
    return np.array(list(classes), dtype=object)
