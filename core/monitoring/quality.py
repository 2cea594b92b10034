"""How right the live answers were, from labels that came back: over time, as a confusion matrix, and against training.

Time is the time of the prediction, not of its label, in whole hours UTC. Classes are counted from hourly counts; AUC and
numbers need the single answers, which are read once and remembered until another label arrives.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np

from core.errors import BadInput
from core.home import Home
from core.monitoring.estimates import (
    LOWER_IS_BETTER,
    Metric,
    measure_auc,
    measure_classes,
    measure_numbers,
    measure_ranking,
    subtract,
)
from core.numbers import say_number
from core.projects.definition import Definition
from core.projects.projects import get_definition
from core.times import parse, stamp
from storage import labels as store
from storage import versions as versions_store
from storage.connection import reading

STEPS = ("hour", "day", "week", "month")
CELL_ROWS = 100
_NAMES = {
    "binary": ("accuracy", "f1", "auc"),
    "multiclass": ("accuracy", "f1", "auc"),
    "regression": ("mae", "rmse", "r2"),
    "ranking": ("ndcg", "mae", "rmse"),
}
TITLES = {"accuracy": "Accuracy", "f1": "F1", "auc": "AUC", "mae": "MAE", "rmse": "RMSE", "r2": "R2", "ndcg": "NDCG"}


@dataclass(frozen=True)
class Point:
    """The labelled predictions of one step, or of one version over the whole period.

    Attributes
    ----------
    start : str
        When the step begins (UTC).
    version : str
        The version that answered; "" where several did, or where they are not told apart.
    rows : int
        Labelled predictions; at least 1.
    metrics : dict
        Name -> :class:`core.monitoring.estimates.Metric`.
    """

    start: str
    version: str
    rows: int
    metrics: dict[str, Metric]


@dataclass(frozen=True)
class OverTime:
    """Quality of a period, step by step; steps without a label are absent.

    Attributes
    ----------
    names : tuple of str
        The task's metrics in their order, the one to look at first in front for numbers and ranking.
    points : tuple of Point
    versions : tuple of Point
        One for each version that answered labelled predictions, in the order in which they began to.
    whole : Point or None
        The whole period; None without a label.
    """

    project: str
    step: str
    since: str
    until: str
    names: tuple[str, ...]
    points: tuple[Point, ...]
    versions: tuple[Point, ...]
    whole: Point | None


@dataclass(frozen=True)
class Confusion:
    """Labelled answers of a period: ``matrix[true][predicted]`` in the order of ``classes``."""

    classes: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]
    rows: int
    since: str
    until: str


@dataclass(frozen=True)
class Change:
    """One metric of a version on labelled live predictions against its hold-out in training.

    Attributes
    ----------
    difference : Metric or None
        now minus training, with its interval; None where one of the two is unknown.
    within_chance : bool or None
        Whether the interval of the difference covers 0; None without one.
    worse : bool
        The difference goes the wrong way (by chance or not).
    relative : float or None
        difference / training; None without either, or where training is 0.
    """

    name: str
    version: str
    rows: int
    now: Metric
    training: Metric
    difference: Metric | None
    within_chance: bool | None
    worse: bool
    relative: float | None
    sentence: str


def over_time(
    home: Home, project: str, *, since: datetime, until: datetime, step: str = "day", version: str | None = None
) -> OverTime:
    """Quality of the predictions made from ``since`` to before ``until``, both widened to whole hours.

    Parameters
    ----------
    step : "hour", "day", "week" (from Monday) or "month", in UTC
    version : str, optional
        Only what this version answered.

    Raises
    ------
    BadInput
        An unknown step.
    """
    if step not in STEPS:
        raise BadInput(f"Quality is measured by {', '.join(STEPS)}; {step[:20]!r} is none of them.")
    definition = get_definition(home, project)
    changes = store.count_changes(reading(home.predictions_db), project)
    return _over_time(home, project, definition.sha256, *whole_hours(since, until), step, version, changes)


def confusion(home: Home, project: str, since: datetime, until: datetime, version: str | None = None) -> Confusion | None:
    """The confusion matrix of labelled predictions in whole hours; None without one, or where numbers are predicted."""
    definition = get_definition(home, project)
    if not definition.is_classifier:
        return None
    first, last = whole_hours(since, until)
    outcomes = store.count_outcomes(reading(home.predictions_db), project, since=first, until=last, version=version)
    if not outcomes:
        return None
    classes = _classes(definition, outcomes)
    matrix = _matrix(outcomes, classes)
    return Confusion(classes, tuple(tuple(int(n) for n in row) for row in matrix), int(matrix.sum()), first, last)


def list_cell(
    home: Home, project: str, *, label: str, predicted: str, since: datetime, until: datetime, version: str | None = None,
    limit: int = CELL_ROWS,
) -> list[dict[str, Any]]:  # fmt: skip
    """The newest predictions of one cell of :func:`confusion`: prediction_id, score, version, predicted_at, labelled_at, by."""
    first, last = whole_hours(since, until)
    return store.list_cell(
        reading(home.predictions_db), project, label=label, predicted=predicted, since=first, until=last, version=version,
        limit=limit,
    )  # fmt: skip


def find_training(home: Home, project: str, version: str) -> dict[str, Metric]:
    """What a version reached on the hold-out of its training, at its threshold, beside the baseline; empty if unknown."""
    row = versions_store.find_version(reading(home.db), project, version)
    if row is None:
        return {}
    definition, summary = get_definition(home, project), row["summary"]
    holdout, chosen = summary.get("holdout") or {}, summary.get("at_threshold") or {}
    baseline = (summary.get("baseline") or {}).get("holdout") or {}
    found = {}
    for name in _NAMES[definition.task]:
        low, high = (summary.get("intervals") or {}).get(name, (None, None))
        value = holdout.get(name)
        found[name] = Metric(value, low, high, baseline.get(name), "" if value is not None else "it was undefined in training")
    if {"tn", "fp", "fn", "tp"} <= set(chosen):  # the decision threshold moves everything but the AUC
        at = measure_classes(np.array([[chosen["tn"], chosen["fp"]], [chosen["fn"], chosen["tp"]]]), "binary")
        found.update({n: Metric(m.value, m.low, m.high, found[n].baseline, m.reason) for n, m in at.items()})
    return found


def measure_change(home: Home, project: str, *, since: datetime, until: datetime, version: str | None = None) -> list[Change]:
    """Model-quality drift: each metric of a version (the live one unless named) now, against its training.

    Empty without labels for that version in the period. A change within chance is one that the two samples of rows explain.
    """
    db = reading(home.db)
    if version is None:
        live = versions_store.find_live(db, project)
        version = live["version"] if live else None
    if version is None:
        return []
    found = over_time(home, project, since=since, until=until, step="month", version=version)
    if found.whole is None:
        return []
    return compare_training(found.whole, find_training(home, project, version))


def compare_training(now: Point, training: dict[str, Metric]) -> list[Change]:
    """Each metric of one version's labelled predictions against :func:`find_training`, where that knows it."""
    return [_change(name, now.version, now, training[name]) for name in now.metrics if name in training]


def _change(name: str, version: str, now: Point, training: Metric) -> Change:
    metric = now.metrics[name]
    difference = subtract(metric, training)
    chance: bool | None = None
    worse, relative = False, None
    title, of = TITLES[name], f"{now.rows} labelled predictions"
    if difference is None or difference.value is None:
        reason = metric.reason or training.reason or "it has no value"
        sentence = f"{title} cannot be compared with training: {reason}."
    else:
        worse = difference.value > 0 if name in LOWER_IS_BETTER else difference.value < 0
        relative = difference.value / training.value if training.value else None
        if difference.low is not None and difference.high is not None:
            chance = difference.low <= 0 <= difference.high
        how = "unlike training by more than chance explains" if chance is False else "within chance" if chance else "of unknown certainty"
        sentence = f"{title} is {say_number(metric.value, 3)} on {of}, {say_number(training.value, 3)} in training: a change {how}."
    return Change(name, version, now.rows, metric, training, difference, chance, worse, relative, sentence)


@lru_cache(maxsize=64)
def _over_time(
    home: Home, project: str, definition_sha: str, since: str, until: str, step: str, version: str | None, changes: int
) -> OverTime:
    # definition_sha and changes are there so that a new definition and a new label are answered afresh
    definition = get_definition(home, project, definition_sha)
    measured = _measure_classes if definition.is_classifier else _measure_numbers
    cells = measured(home, definition, since, until, step, version)
    points = tuple(cells[key] for key in sorted(k for k in cells if k[0] == "step"))
    versions = sorted((cells[key] for key in cells if key[0] == "version"), key=lambda p: (p.start, p.version))
    names = _NAMES[definition.task]
    return OverTime(project, step, since, until, names, points, tuple(versions), cells.get(("whole", "")))


_Key = tuple[str, str]


def _measure_classes(
    home: Home, definition: Definition, since: str, until: str, step: str, version: str | None
) -> dict[_Key, Point]:
    db = reading(home.predictions_db)
    outcomes = store.count_outcomes(db, definition.name, since=since, until=until, version=version)
    if not outcomes:
        return {}
    classes = _classes(definition, outcomes)
    members: dict[_Key, list[tuple[str, str, str, str, int]]] = defaultdict(list)
    for outcome in outcomes:
        for key in _keys(outcome[0], outcome[1], step):
            members[key].append(outcome)
    areas = _measure_areas(home, definition, since, until, step, version)
    unread = Metric(None, baseline=0.5, reason="its labels arrived while this was read")
    found = {}
    for key, rows in members.items():
        matrix = _matrix(rows, classes)
        metrics = {**measure_classes(matrix, definition.task), "auc": areas.get(key, unread)}
        found[key] = _point(key, [(r[0], r[1]) for r in rows], int(matrix.sum()), metrics)
    return found


def _measure_areas(
    home: Home, definition: Definition, since: str, until: str, step: str, version: str | None
) -> dict[_Key, Metric]:
    binary = definition.task == "binary"
    columns = ("predicted_at", "version", "label", "score" if binary else "probabilities")
    rows = store.read_answers(reading(home.predictions_db), definition.name, columns, since=since, until=until, version=version)
    places, keys = _places(rows, step)
    codes = {name: k for k, name in enumerate(definition.classes)}
    truth = np.array([codes.get(r[2], -1) for r in rows])
    size = len(definition.classes)
    proba = np.full((len(rows), size), np.nan)
    if binary:
        proba[:, 1] = np.array([np.nan if r[3] is None else r[3] for r in rows], dtype=float) / 100
    else:
        # float32 each; another number of classes belongs to another schema
        have = [i for i, r in enumerate(rows) if r[3] is not None and len(r[3]) == 4 * size]
        proba[have] = np.frombuffer(b"".join(rows[i][3] for i in have), dtype="<f4").reshape(-1, size)
    watched = [1] if binary else range(size)
    usable = (truth >= 0) & np.isfinite(proba[:, 1])
    found = {}
    for key, chosen in _members(places, keys):
        rows_here = chosen[usable[chosen]]
        found[key] = measure_auc(truth[rows_here], proba[rows_here], watched)
        if not len(rows_here):
            found[key] = Metric(None, baseline=0.5, reason="the labels were fed before probabilities were kept with them")
    return found


def _measure_numbers(
    home: Home, definition: Definition, since: str, until: str, step: str, version: str | None
) -> dict[_Key, Point]:
    columns = ("predicted_at", "version", "label", "predicted", "query")
    rows = store.read_answers(reading(home.predictions_db), definition.name, columns, since=since, until=until, version=version)
    places, keys = _places(rows, step)
    truth, predicted = (np.array([float(r[i]) for r in rows]) for i in (2, 3))
    query = np.array([r[4] or "" for r in rows], dtype=object)
    found = {}
    for key, chosen in _members(places, keys):
        metrics = measure_numbers(truth[chosen], predicted[chosen])
        if definition.task == "ranking":
            of_query = chosen[query[chosen] != ""]
            metrics["ndcg"] = (
                measure_ranking(truth[of_query], predicted[of_query], query[of_query].astype(str))
                if len(of_query)
                else Metric(None, reason=f"the log does not hold the {definition.group} of these predictions")
            )
        metrics = {name: metrics[name] for name in _NAMES[definition.task]}
        found[key] = _point(key, [(rows[i][0][:13], rows[i][1]) for i in chosen], len(chosen), metrics)
    return found


def _point(key: _Key, answered: list[tuple[str, str]], rows: int, metrics: dict[str, Metric]) -> Point:
    versions = {version for _, version in answered}
    start = key[1] if key[0] == "step" else min(hour for hour, _ in answered) + ":00:00.000Z"
    return Point(start, versions.pop() if len(versions) == 1 else "", rows, metrics)


def _places(rows: list[tuple[Any, ...]], step: str) -> tuple[dict[tuple[str, str], np.ndarray], dict[tuple[str, str], tuple[_Key, ...]]]:
    """Row numbers of each (hour, version), and the keys that each of them counts for."""
    members: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        members[row[0][:13], row[1]].append(place)
    return {k: np.array(v) for k, v in members.items()}, {k: _keys(*k, step) for k in members}


def _members(places: dict[tuple[str, str], np.ndarray], keys: dict[tuple[str, str], tuple[_Key, ...]]) -> list[tuple[_Key, np.ndarray]]:
    gathered: dict[_Key, list[np.ndarray]] = defaultdict(list)
    for cell, numbers in places.items():
        for key in keys[cell]:
            gathered[key].append(numbers)
    return [(key, np.concatenate(parts)) for key, parts in gathered.items()]


def _keys(hour: str, version: str, step: str) -> tuple[_Key, ...]:
    return ("step", floor_step(hour, step)), ("version", version), ("whole", "")


@lru_cache(maxsize=100_000)
def floor_step(hour: str, step: str) -> str:
    """When the step that an hour (``2026-11-21T14``) belongs to begins."""
    if step == "hour":
        return f"{hour}:00:00.000Z"
    day = hour[:10]
    if step == "week":
        moment = datetime.fromisoformat(day)
        day = (moment - timedelta(days=moment.weekday())).date().isoformat()
    elif step == "month":
        day = f"{hour[:7]}-01"
    return f"{day}T00:00:00.000Z"


def whole_hours(since: datetime, until: datetime) -> tuple[str, str]:
    """The period widened to whole hours, as stored times."""
    first = parse(stamp(since)[:13] + ":00:00.000Z")
    last = parse(stamp(until)[:13] + ":00:00.000Z")
    if last < until:
        last += timedelta(hours=1)
    return stamp(first), stamp(last)


def _classes(definition: Definition, outcomes: list[tuple[str, str, str, str, int]]) -> tuple[str, ...]:
    """The project's classes in their order, then those that only an older schema knew."""
    seen = {name for o in outcomes for name in o[2:4]}
    return (*definition.classes, *sorted(seen - set(definition.classes)))


def _matrix(outcomes: list[tuple[str, str, str, str, int]], classes: tuple[str, ...]) -> np.ndarray:
    place = {name: k for k, name in enumerate(classes)}
    matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for _, _, label, predicted, rows in outcomes:
        matrix[place[label], place[predicted]] += rows
    return matrix
