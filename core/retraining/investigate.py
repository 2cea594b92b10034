"""Why a retraining was not better: what changed in the data, which class lost, whether the new labels fit, and what to try."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.datasets import versions as datasets
from core.errors import NotFound
from core.home import Home
from core.projects.definition import Definition
from core.projects.projects import get_definition
from core.retraining.evaluate import Evaluation
from core.retraining.export import row_hashes
from core.training import runs
from core.training.catalogue import default_candidates, list_candidates
from storage import versions as versions_store
from storage.connection import reading

if TYPE_CHECKING:
    import numpy as np

NAMED = 3
SHIFT = 0.10  # a class whose share moved by more is named
MISFIT = 0.15  # new rows that are answered rightly this much less often than the others
LEAST = 30


@dataclass(frozen=True)
class Investigation:
    """What was found, and what may be tried next.

    Attributes
    ----------
    findings : tuple of str
        Sentences; empty is never: it says so where nothing stands out.
    columns : dict
        Column -> drift score 0..1 of the new dataset against the live version's, those that count.
    reruns : tuple of dict
        label, why, params (for :func:`core.retraining.retraining.start`); the first is the most likely to help.
    """

    findings: tuple[str, ...]
    columns: dict[str, float]
    reruns: tuple[dict[str, Any], ...]


def investigate(home: Home, project: str, *, run_id: int, candidate: str, evaluation: Evaluation, labelled: int) -> Investigation:
    """Look for the reasons; reads only. ``labelled`` is the number of labelled predictions in the new dataset."""
    run = runs.get_run(home, run_id)
    definition = get_definition(home, project, run.definition_sha)
    findings: list[str] = []
    columns: dict[str, float] = {}
    live = versions_store.find_live(reading(home.db), project)
    misfit = ""
    if live is not None:
        try:
            columns, changed = _changed_columns(home, live, run.dataset_id)
            findings += changed
            findings += _label_shift(home, definition, live, run.dataset_id)
            misfit = _misfit(home, definition, live, run, candidate)
        except NotFound as error:
            findings.append(f"The data of version {live['version']} cannot be compared with: {error}")
    if misfit:
        findings.insert(0, misfit)
    findings += _lost_classes(evaluation)
    reruns = _reruns(definition, run, labelled=labelled, misfit=bool(misfit))
    return Investigation(tuple(findings) or ("Nothing stands out: the data, the labels and the classes are much as before.",), columns, reruns)


def _changed_columns(home: Home, live: dict[str, Any], dataset_id: int) -> tuple[dict[str, float], list[str]]:
    older, newer = datasets.get_dataset(home, live["dataset_id"]), datasets.get_dataset(home, dataset_id)
    if older.id == newer.id:
        return {}, [f"The data is that of version {live['version']}: there was nothing new to learn."]
    result = datasets.compare_versions(home, older, newer)
    if result is None:
        return {}, ["The schema changed, so the data cannot be compared column by column."]
    found = [(c["name"], c["score"]) for c in result["result"]["columns"] if c["score"] is not None and not c["within_chance"]]
    columns = dict(sorted(((n, s) for n, s in found if s >= 0.1), key=lambda item: -item[1]))
    if not columns:
        return {}, ["No column changed by more than chance against the data of the live version."]
    named = ", ".join(f"{name} ({score:.2f})" for name, score in list(columns.items())[:NAMED])
    return columns, [f"Changed most against the data of version {live['version']}: {named}."]


def _label_shift(home: Home, definition: Definition, live: dict[str, Any], dataset_id: int) -> list[str]:
    if not definition.is_classifier:
        return []
    shares = []
    for number in (live["dataset_id"], dataset_id):
        target = datasets.load(home, datasets.get_dataset(home, number), definition).target
        rows = [t for t in target if t is not None] if target is not None else []
        shares.append({name: rows.count(name) / len(rows) for name in definition.classes} if rows else {})
    moved = {n: (shares[0].get(n, 0.0), shares[1].get(n, 0.0)) for n in definition.classes}
    told = [f"{n} from {a:.0%} to {b:.0%}" for n, (a, b) in moved.items() if abs(a - b) > SHIFT]
    return [f"The shares of the classes moved: {', '.join(told)}."] if told else []


def _misfit(home: Home, definition: Definition, live: dict[str, Any], run: runs.Run, candidate: str) -> str:
    """Whether rows that are new are answered much less rightly than the others, by models that had not seen either."""
    import numpy as np

    if not definition.is_classifier:
        return ""
    sweep = runs.get_sweep(home, run)
    result = sweep.result(candidate)
    if result.answers is None:
        return ""
    after = datasets.load(home, datasets.get_dataset(home, run.dataset_id), definition)
    before = datasets.load(home, datasets.get_dataset(home, live["dataset_id"]), definition)
    new = ~np.isin(row_hashes(after.features, after.group), row_hashes(before.features, before.group))[sweep.train_rows]
    right = result.answers.prediction == result.answers.target
    if min(int(new.sum()), int((~new).sum())) < LEAST:
        return ""
    here, there = _share(right, new), _share(right, ~new)
    if there - here <= MISFIT:
        return ""
    return (
        f"The new rows do not follow the rule that the others do: {here:.0%} of {int(new.sum())} are answered rightly, {there:.0%} of the "
        f"{int((~new).sum())} others. Either the world changed and there are too few of them, or their labels are wrong."
    )


def _share(right: np.ndarray, rows: np.ndarray) -> float:
    return float(right[rows].mean())


def _lost_classes(evaluation: Evaluation) -> list[str]:
    lost = [
        (old - new, name, new, old)
        for name, (_, new, old) in evaluation.unseen.per_class.items()
        if new is not None and old is not None and new < old
    ]
    return [
        f"Class {name} lost: recall {new:.2f} against {old:.2f} of the live version." for _, name, new, old in sorted(lost, reverse=True)
    ]


def _reruns(definition: Definition, run: runs.Run, *, labelled: int, misfit: bool) -> tuple[dict[str, Any], ...]:
    """What may be tried next: other rows, or other candidates than those that were tried."""
    tried = {name for name, _ in run.settings["candidates"]}
    usual = [name for name in default_candidates(definition) if name not in tried]
    able = [c.name for c in list_candidates(definition.task) if c.available and not c.baseline and c.name not in tried]
    other = usual or able[:NAMED]
    reruns: list[dict[str, Any]] = []
    if other:
        why = f"It was tried with {', '.join(sorted(tried))}; another kind of model may follow the data better."
        reruns.append({"label": "Other candidates", "why": why, "params": {"candidates": [[name, {}] for name in other]}})
    if labelled:
        alone = {"label": "Without the labelled predictions", "why": "If their labels are wrong, the source alone is better.",
                 "params": {"rows": "source"}}  # fmt: skip
        reruns.insert(0 if misfit else len(reruns), alone)
        if labelled >= definition.data_rules.min_rows:
            reruns.append({"label": "On the labelled predictions alone", "why": "If the world changed, the older rows only teach what was.",
                           "params": {"rows": "labelled"}})  # fmt: skip
    if not reruns:
        seed = int(run.settings["seed"]) + 1
        reruns.append({"label": "Another seed", "why": "It shows how much of the result is the luck of the split.", "params": {"seed": seed}})
    return tuple(reruns)
