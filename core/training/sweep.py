"""Train several candidates on the same folds, and keep what each of them answered to rows it had not seen."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from core.errors import BadInput
from core.projects.definition import Definition
from core.training.catalogue import Candidate, check_params, get_candidate
from core.training.executor import Executor
from core.training.intervals import Answers, metric_intervals
from core.training.metrics import evaluate, scalar_names
from core.training.results import CandidateResult, SweepResult, save_sweep
from core.training.tasks import Fitted, Material, Task, work

Progress = Callable[[int, int, str, int | None, float | None], None]
Planned = tuple[str, Candidate, dict[str, Any]]  # key in the sweep, candidate, all hyperparameters
LIBRARIES = ("scikit-learn", "numpy", "pandas", "scipy")


def run_sweep(
    features: pd.DataFrame, target: np.ndarray, group: np.ndarray | None, definition: Definition, *,
    candidates: Sequence[tuple[str, dict[str, Any]]], executor: Executor, artifact_dir: str | Path,
    folds: int = 5, holdout: float = 0.2, seed: int = 42,
    progress: Progress | None = None, check_cancelled: Callable[[], bool] | None = None,
    searched: Sequence[tuple[str, dict[str, Any]]] = (),
) -> SweepResult:  # fmt: skip
    """Cross-validate the candidates, fit each once more, and evaluate that fit on the hold-out.

    The rows are split once: a hold-out (a share of each class, or whole groups) and a training part, which
    is cross-validated (stratified folds; whole groups when ranking). The pipeline that is saved is fitted on the
    training part only, never on all rows: what is served is exactly what the hold-out numbers are about.
    The baseline is always among the results. A candidate that cannot be fitted carries its error; the others go on.

    Parameters
    ----------
    features : DataFrame
        float64 numbers (NaN missing) and object categories (NaN missing), the definition's feature columns.
    target : array, shape (n,)
        str classes as in ``definition.classes``, or float64.
    group : array, shape (n,), or None
        Ranking only.
    candidates : sequence of (name, hyperparameters)
    executor : Executor
    artifact_dir : path
        Receives ``<name>.pkl`` of each candidate, ``result.json`` and ``answers.npz``.
    progress : callable(done, total, candidate, fold or None for the final fit, seconds left or None)
    check_cancelled : callable() -> bool
        Asked several times a second; true stops the work.
    searched : sequence of (name, hyperparameters)
        What searches found: trained beside the others as ``<name>_searched``.

    Raises
    ------
    BadInput
        For unknown candidates or hyperparameters, columns that do not fit, classes or groups with too few rows.
    Cancelled
        When ``check_cancelled`` said so.
    core.training.executor.WorkerLost
        When worker processes were killed twice over the same fit.
    """
    begin = perf_counter()
    plan = _plan(candidates, definition) + _plan_searched(searched, definition)
    _check_material(features, target, group, definition, folds, holdout)
    executor.prepare()
    train, test = split_holdout(target, group, definition, holdout, seed)
    parts = split_folds(train, target, group, definition, folds, seed)
    features = features[[c.name for c in definition.features]]
    material = Material(features, target, group, definition, seed, parts, train, test, Path(artifact_dir))
    # Long fits first, so that no worker is left with one when the others have finished; the final fits last, because
    # cross-validation is what can fail and what a person waits to see.
    by_cost = sorted(plan, key=lambda entry: -entry[1].cost)
    tasks = [Task(key, c.name, params, fold) for key, c, params in by_cost for fold in range(folds)]
    tasks += [Task(key, c.name, params, None) for key, c, params in by_cost]
    found: dict[tuple[str, int | None], Fitted] = {}
    errors: dict[str, str] = {}
    clock = _Clock([get_candidate(t.candidate).cost for t in tasks], executor.workers)
    folds_left, cross_validation = len(plan) * folds, 0.0
    for done, outcome in enumerate(executor.run(work, tasks, material, check_cancelled), start=1):
        task = tasks[outcome.index]
        if outcome.error is None:
            found[task.key, task.fold] = outcome.value
        else:
            errors.setdefault(task.key, outcome.error)
        if task.fold is not None:
            folds_left -= 1
            cross_validation = perf_counter() - begin if not folds_left else 0.0
        if progress is not None:
            progress(done, len(tasks), task.key, task.fold, clock.left(outcome.index))
    results = tuple(_summarise(entry, found, errors, material) for entry in plan)
    sweep = SweepResult(
        project=definition.name, definition_sha256=definition.sha256, task=definition.task, metric=definition.metric,
        seed=seed, folds=folds, holdout=holdout, rows=len(features), class_rows=_class_rows(target, definition),
        environment=describe_environment([c for _, c, _ in plan], executor.workers),
        seconds={"cross_validation": round(cross_validation, 3), "total": round(perf_counter() - begin, 3)},
        warnings=(
            *(f"Class {name} has no rows: no model can learn it." for name, n in _class_rows(target, definition).items() if not n),
            *dict.fromkeys(fitted.warning for fitted in found.values() if fitted.warning),
        ),
        results=results, train_rows=train, holdout_rows=test, fold_of=_fold_of(train, parts),
    )  # fmt: skip
    save_sweep(sweep, definition, Path(artifact_dir))
    return sweep


# ---- before the work ----


def _plan(candidates: Sequence[tuple[str, dict[str, Any]]], definition: Definition) -> list[Planned]:
    """Return what is to be trained, the baselines first; refuse what cannot be built before any fit."""
    wanted = list(candidates)
    if not any(name == "dummy" for name, _ in wanted):
        wanted.insert(0, ("dummy", {}))
    plan: list[Planned] = []
    for name, params in wanted:
        candidate = get_candidate(name)
        if definition.task not in candidate.tasks or not candidate.available:
            candidate.build(definition.task, params)  # says why
        times = sum(c.key == candidate.key for _, c, _ in plan)
        key = candidate.key if not times else f"{candidate.key}_{times + 1}"
        plan.append((key, candidate, check_params(candidate, params, definition.task)))
    return sorted(plan, key=lambda entry: not entry[1].baseline)


def _plan_searched(searched: Sequence[tuple[str, dict[str, Any]]], definition: Definition) -> list[Planned]:
    known = [(get_candidate(name), params) for name, params in searched]
    return [
        (f"{c.key}_searched", replace(c, title=f"{c.title} (searched)"), check_params(c, params, definition.task)) for c, params in known
    ]


def _check_material(
    features: pd.DataFrame, target: np.ndarray, group: np.ndarray | None, d: Definition, folds: int, holdout: float
) -> None:
    if not 2 <= folds <= 20:
        raise BadInput(f"The number of folds lies between 2 and 20; {folds} does not.")
    if not 0.05 <= holdout <= 0.5:
        raise BadInput(f"The hold-out is a share of the rows between 0.05 and 0.5; {holdout:g} is not.")
    absent = [c.name for c in d.features if c.name not in features.columns]
    if absent:
        raise BadInput(f"The training rows lack the column {absent[0]!r} of project {d.name}; add it or set its role to ignored.")
    unlabelled = int(pd.isna(target).sum())
    if unlabelled:
        raise BadInput(f"{unlabelled} rows have no {d.target!r}; label them or leave them out of the training.")
    if d.task == "ranking":
        groups = 0 if group is None else len(np.unique(group))
        if groups - int(np.ceil(groups * holdout)) < folds:
            raise BadInput(
                f"{groups} groups in {d.group!r} are too few for {folds} folds and a hold-out of {holdout:.0%}; "
                "add queries or choose fewer folds."
            )
    elif len(target) * (1 - holdout) < max(folds * 2, 10):
        raise BadInput(f"{len(target)} rows are too few for {folds} folds and a hold-out of {holdout:.0%}; add rows.")
    if not d.is_classifier:
        return
    unknown = sorted({str(v) for v in pd.unique(target)} - set(d.classes))
    if unknown:
        known = ", ".join(d.classes)
        raise BadInput(f"The target holds {unknown[0]!r}, which is not a class of {d.name} ({known}); correct those rows.")
    counts = _class_rows(target, d)
    for name, rows in counts.items():
        if rows > 0 and rows - max(1, round(rows * holdout)) < folds:
            raise BadInput(
                f"Class {name} has {rows} rows, too few for {folds} folds and a hold-out of {holdout:.0%}; "
                "label more rows of it, choose fewer folds, or leave the class out."
            )
    if sum(rows > 0 for rows in counts.values()) < 2:
        raise BadInput(f"All rows have the same {d.target!r}; at least two classes are needed to learn a difference.")


def split_holdout(
    target: np.ndarray, group: np.ndarray | None, definition: Definition, holdout: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return sorted positions of the training part and of the hold-out (``train_test_split`` or whole groups)."""
    from sklearn.model_selection import GroupShuffleSplit, train_test_split

    rows = np.arange(len(target))
    if definition.task == "ranking":
        train, test = next(GroupShuffleSplit(1, test_size=holdout, random_state=seed).split(rows, groups=group))
    else:
        stratify = target if definition.is_classifier else None
        train, test = train_test_split(rows, test_size=holdout, random_state=seed, stratify=stratify)
    return np.sort(train), np.sort(test)


def split_folds(
    train: np.ndarray, target: np.ndarray, group: np.ndarray | None, definition: Definition, folds: int, seed: int
) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Return (fit, answer) positions per fold: scikit-learn's shuffled (stratified, group) folds of ``train``."""
    from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

    if definition.task == "ranking":
        assert group is not None
        pairs = GroupKFold(folds, shuffle=True, random_state=seed).split(train, groups=group[train])
    elif definition.is_classifier:
        pairs = StratifiedKFold(folds, shuffle=True, random_state=seed).split(train, target[train])
    else:
        pairs = KFold(folds, shuffle=True, random_state=seed).split(train)
    return tuple((train[fit], train[answered]) for fit, answered in pairs)


def _fold_of(train: np.ndarray, parts: tuple[tuple[np.ndarray, np.ndarray], ...]) -> np.ndarray:
    fold = np.zeros(len(train), dtype=np.int8)
    for number, (_, answered) in enumerate(parts):
        fold[np.searchsorted(train, answered)] = number
    return fold


def _class_rows(target: np.ndarray, definition: Definition) -> dict[str, int]:
    return {name: int((target == name).sum()) for name in definition.classes} if definition.is_classifier else {}


def describe_environment(candidates: Sequence[Candidate], workers: int) -> dict[str, Any]:
    """Return versions of what takes part in a fit, the platform, its cores and the workers used."""
    names = [*LIBRARIES, *sorted({c.needs for c in candidates if c.needs})]
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "workers": workers,
        "threads_per_worker": 1,
        "libraries": {name: _version(name) for name in names},
    }


def _version(name: str) -> str:
    for distribution in (name, f"{name}-cpu"):  # XGBoost is also published as xgboost-cpu
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return "unknown"


class _Clock:
    """An estimate of the seconds left: weights from the catalogue, corrected by what the fits so far took."""

    def __init__(self, costs: list[float], workers: int) -> None:
        self.costs, self.workers = costs, workers
        self.begin, self.done, self.total = perf_counter(), 0.0, sum(costs)

    def left(self, index: int) -> float | None:
        self.done += self.costs[index]
        return (perf_counter() - self.begin) * (self.total - self.done) / self.done


# ---- after the work ----


def _summarise(
    entry: Planned, found: dict[tuple[str, int | None], Fitted], errors: dict[str, str],
    material: Material,
) -> CandidateResult:  # fmt: skip
    key, candidate, params = entry
    d = material.definition
    bare: dict[str, Any] = {
        "name": key, "candidate": candidate.name, "title": candidate.title, "params": params, "seed": material.seed,
        "baseline": candidate.baseline, "simplicity": candidate.simplicity, "reading": candidate.reading,
        "needs": candidate.needs,
    }  # fmt: skip
    if key in errors:
        return CandidateResult(**bare, error=errors[key])
    per_fold = [found[key, fold] for fold in range(len(material.folds))]
    final = found[key, None]
    pooled, held = _pooled(per_fold, material), _answers(final, material.holdout_rows, material)
    by_fold = zip(per_fold, material.folds, strict=True)
    scores = [_metrics(_answers(fitted, rows, material), d, curves=False) for fitted, (_, rows) in by_fold]
    return CandidateResult(
        **bare,
        cv={name: _over_folds([s[name] for s in scores]) for name in scalar_names(d.task)},
        out_of_fold=_metrics(pooled, d), out_of_fold_intervals=metric_intervals(d, pooled, seed=material.seed),
        holdout=_metrics(held, d), holdout_intervals=metric_intervals(d, held, seed=material.seed),
        fold_seconds=tuple(f.fit_seconds for f in per_fold), fit_seconds=final.fit_seconds,
        predict_ms_row=final.predict_ms_row, predict_ms_1000=final.predict_ms_1000, importances=final.importances,
        artifact=final.artifact, sha256=final.sha256, size=final.size, answers=pooled, holdout_answers=held,
    )  # fmt: skip


def _metrics(answers: Answers, definition: Definition, curves: bool = True) -> dict[str, Any]:
    return evaluate(definition, answers.target, answers.prediction, answers.proba, answers.group, curves=curves)


def _answers(fitted: Fitted, rows: np.ndarray, material: Material) -> Answers:
    group = None if material.group is None else material.group[rows]
    return Answers(material.target[rows], fitted.prediction, fitted.proba, group)


def _pooled(per_fold: list[Fitted], material: Material) -> Answers:
    """Bring the folds' answers back into the order of the training rows."""
    order = np.argsort(np.concatenate([rows for _, rows in material.folds]), kind="stable")
    prediction = np.concatenate([f.prediction for f in per_fold])[order]
    proba = np.concatenate([f.proba for f in per_fold if f.proba is not None])[order] if per_fold[0].proba is not None else None
    return _answers(Fitted(prediction, proba, 0.0), material.train_rows, material)


def _over_folds(values: list[float | None]) -> dict[str, Any]:
    """Mean and standard deviation (divisor n) over the folds in which the metric is defined."""
    defined = [v for v in values if v is not None]
    if not defined:
        return {"mean": None, "std": None, "folds": values}
    return {"mean": float(np.mean(defined)), "std": float(np.std(defined)), "folds": values}
