"""Versions: registering a candidate, and reading what is registered."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core import acts
from core.acts import Actor, Done, Tx
from core.datasets import versions as datasets
from core.errors import BadInput, NotFound, Refused
from core.home import Home
from core.projects.definition import Definition, check_name
from core.projects.limits import get_gates
from core.projects.projects import get_definition
from core.registry import artifacts
from core.training import runs
from core.training.runs import Run, TrainedCandidate
from storage import versions as store
from storage.connection import reading

if TYPE_CHECKING:
    from core.datasets.prepare import Prepared
    from core.training.results import CandidateResult, SweepResult

_SEMANTIC = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})")


@dataclass(frozen=True)
class Version:
    """One registered version; ``summary`` as core.training.runs.summarise makes it, with ``threshold_metrics`` and ``known_cases``."""

    id: int
    project: str
    version: str
    candidate_id: int
    dataset_id: int
    definition_sha: str
    stage: str
    stage_reason: str
    threshold: float | None
    sha256: str
    trained_by: str
    registered_by: str
    registered_at: str
    summary: dict[str, Any]
    notes: str


def list_versions(home: Home, project: str) -> list[Version]:
    """Newest first."""
    return [Version(**r) for r in store.list_versions(reading(home.db), project)]


def get_version(home: Home, project: str, version: str) -> Version:
    row = store.find_version(reading(home.db), project, version)
    if row is None:
        known = ", ".join(v.version for v in list_versions(home, project)[:10]) or "none yet"
        raise NotFound(f"Project {project} has no version {version[:40]!r}; it has: {known}.")
    return Version(**row)


def version_folder(home: Home, project: str, version: str) -> Path:
    return home.models / check_name(project) / check_version(version)


def read_metadata(home: Home, version: Version) -> dict[str, Any]:
    """metadata.json of a version, after its hash and signature were checked."""
    folder = version_folder(home, version.project, version.version)
    entry = artifacts.read_manifest(folder).get("metadata.json", {"sha256": "", "hmac": ""})
    return dict(json.loads(artifacts.read_signed(home, folder / "metadata.json", entry["sha256"], entry["hmac"])))


def list_files(home: Home, version: Version) -> dict[str, dict[str, Any]]:
    """File name -> sha256 and bytes, from the manifest."""
    return artifacts.read_manifest(version_folder(home, version.project, version.version))


def check_version(text: str) -> str:
    if not _SEMANTIC.fullmatch(text):
        raise BadInput(f"{text[:40]!r} is no version; write three numbers such as 1.2.0.")
    return text


def next_version(previous: list[Version], *, definition: Definition, dataset_id: int, candidate: TrainedCandidate, seed: int, home: Home) -> str:
    """First 1.0.0; another schema or target raises the major, the same data and settings again the patch, else the minor."""
    if not previous:
        return "1.0.0"
    latest = max(previous, key=lambda v: _parts(v.version))
    major, minor, patch = _parts(latest.version)
    before = get_definition(home, latest.project, latest.definition_sha)
    if schema_of(before) != schema_of(definition):
        return f"{major + 1}.0.0"
    earlier = runs.get_candidate_row(home, latest.candidate_id)
    earlier_seed = runs.get_run(home, earlier.run_id).settings["seed"]
    same = latest.dataset_id == dataset_id and earlier.params == candidate.params and earlier_seed == seed
    if same and earlier.summary.get("candidate") == candidate.summary.get("candidate"):
        return f"{major}.{minor}.{patch + 1}"
    return f"{major}.{minor + 1}.0"


def schema_of(definition: Definition) -> tuple[Any, ...]:
    """What a model depends on: target, task and the feature columns."""
    return (definition.target, definition.task, definition.positive, definition.classes,
            tuple((c.name, c.kind, c.allowed) for c in definition.features))


def _parts(version: str) -> tuple[int, int, int]:
    major, minor, patch = version.split(".")
    return int(major), int(minor), int(patch)


def register(
    home: Home, actor: Actor, candidate_id: int, *, version: str | None = None, threshold: float | None = None, notes: str = "",
    key: str | None = None, now: datetime | None = None,
) -> dict[str, Any]:
    """Register a candidate of a run as a version of its project.

    It is evaluated (register gate, known cases, golden answers), its files are written and signed, and it stands in
    stage validation. Below the register gate nothing is registered; the run stays in the history.

    Parameters
    ----------
    threshold : float, optional
        Binary only: decision threshold, 0.5 unless chosen; part of what is approved.

    Raises
    ------
    Refused
        The register gate, a failed candidate, or the same candidate with the same threshold is registered already.
    """
    if version is not None:
        check_version(version)
    row = runs.get_candidate_row(home, candidate_id)
    run = runs.get_run(home, row.run_id)
    project = run.project
    made: dict[str, Any] = {}
    refusal: Refused | BadInput | None = None
    try:
        made = _prepare_files(home, run, row, threshold)
    except (Refused, BadInput) as error:
        refusal = error  # raised inside the act, so that the attempt is audited

    def work(tx: Tx) -> Done:
        if refusal is not None:
            raise refusal
        taken = [Version(**v) for v in store.list_versions(tx.db, project)]
        name = version or next_version(
            taken, definition=made["definition"], dataset_id=run.dataset_id, candidate=row, seed=run.settings["seed"], home=home
        )
        if any(v.version == name for v in taken):
            raise Refused(f"Project {project} has a version {name} already; choose another number.")
        twin = next((v for v in taken if v.candidate_id == candidate_id and v.threshold == made["threshold"]), None)
        if twin is not None:
            raise Refused(f"This candidate is registered as version {twin.version} already.")
        summary = made["summary"]
        version_id = store.insert_version(
            tx.db,
            {
                "project": project, "version": name, "candidate_id": candidate_id, "dataset_id": run.dataset_id,
                "definition_sha": run.definition_sha, "stage": "training", "threshold": made["threshold"],
                "sha256": made["sha256"], "trained_by": run.started_by, "registered_by": actor.name, "registered_at": tx.at,
                "summary": summary, "notes": notes[:2000],
            },
        )
        store.insert_profile(tx.db, version_id, made["bins"], made["reference"])
        store.set_stage(tx.db, version_id, "validation", made["why"])
        folder = version_folder(home, project, name)
        metadata = {**made["metadata"], "version": name, "registered_by": actor.name, "registered_at": tx.at, "notes": notes[:2000]}
        files = {**made["files"], "metadata.json": json.dumps(metadata, indent=2, ensure_ascii=False, sort_keys=True).encode()}
        artifacts.move_into_place(artifacts.write_folder(home, folder, files), folder)
        after = {"version": name, "stage": "validation", "sha256": made["sha256"], "threshold": made["threshold"], "run": run.id,
                 "candidate": row.name}
        return Done({"id": version_id, "version": name, "candidate": row.name}, None, after, f"version {name}")

    result = acts.perform(home, actor, "register", work, project=project, subject=f"{row.name} of run {run.id}", key=key, now=now)
    from core.registry.cards import write_registry_page

    write_registry_page(home, project)
    return result


def _prepare_files(home: Home, run: Run, row: TrainedCandidate, threshold: float | None) -> dict[str, Any]:
    """Everything that can be made before the transaction: gate, golden answers, reference profile, metadata."""
    from core.registry.cards import make_metadata
    from core.registry.golden import make_golden
    from core.training.selection import gate

    definition = get_definition(home, run.project, run.definition_sha)
    if row.error or not row.artifact or not row.sha256 or not row.hmac:
        raise Refused(f"Candidate {row.name} of run {run.id} could not be trained ({row.error or 'no model'}); choose another.")
    threshold = check_threshold(definition, threshold)
    sweep = runs.get_sweep(home, run)
    result = sweep.result(row.name)
    if result.baseline:
        raise Refused(f"{result.title} is the baseline; it stands beside every model and is never released.")
    gates = get_gates(home, run.project, definition)
    failed = [c for c in gate(result, definition, "register", baseline=None, seed=sweep.seed, gates=gates) if c.passed is False]
    if failed:
        raise Refused(f"{result.title} is below the register gate: {failed[0].sentence} The run stays in the history.")
    content = artifacts.read_signed(home, runs.run_folder(home, run) / row.artifact, row.sha256, row.hmac)
    pipeline = artifacts.load_pickle(home, runs.run_folder(home, run) / row.artifact, row.sha256, row.hmac)
    dataset = datasets.get_dataset(home, run.dataset_id)
    prepared = datasets.load(home, dataset, definition)
    bins, reference = _reference_profile(prepared, sweep, result, definition, threshold)
    summary = {
        **row.summary, "run": run.id, "name": row.name, "params": row.params,
        "known_cases": known_cases(pipeline, definition, threshold),
        "at_threshold": _at_threshold(result, definition, threshold),
    }
    return {
        "definition": definition, "threshold": threshold if definition.task == "binary" else None, "sha256": row.sha256,
        "summary": summary, "bins": bins, "reference": reference,
        "why": "evaluated; " + ("no register gate is set" if gates.register is None else "it reaches the register gate"),
        "files": {"model.pkl": content, "golden.json": make_golden(prepared.features.iloc[sweep.holdout_rows], pipeline, definition, threshold)},
        "metadata": make_metadata(run, row, result, sweep, dataset, definition, threshold, summary),
    }


def check_threshold(definition: Definition, threshold: float | None) -> float:
    """The decision threshold to use; 0.5 unless a binary project chooses another between 0 and 1."""
    if threshold is None:
        return 0.5
    if definition.task != "binary":
        raise BadInput(f"A decision threshold belongs to a binary project; {definition.name} is {definition.task}.")
    if not 0.0 < threshold < 1.0:
        raise BadInput(f"The decision threshold lies between 0 and 1; {threshold} does not.")
    return float(threshold)


def known_cases(pipeline: Any, definition: Definition, threshold: float) -> list[dict[str, Any]]:
    """The project's known cases with the pipeline's answers: expected, answer, passed, note."""
    import pandas as pd

    from core.datasets.prepare import prepare
    from core.scoring.scorer import score_with

    if not definition.known_cases:
        return []
    prepared = prepare(pd.DataFrame([c.row for c in definition.known_cases]), definition, purpose="scoring")
    answers = score_with(pipeline, prepared.features, definition, threshold).prediction
    return [
        {"expected": case.expected, "answer": str(answer), "passed": str(answer) == case.expected, "note": case.note}
        for case, answer in zip(definition.known_cases, answers, strict=True)
    ]


def _reference_profile(
    prepared: Prepared, sweep: SweepResult, result: CandidateResult, definition: Definition, threshold: float
) -> tuple[str, str]:
    """Bins and counts of the training data, with predictions that were made by models that had not seen the row."""
    from core.drift.bins import bins_to_json, count, make_bins, profile_to_json

    predictions = np.empty(len(prepared.features), dtype=object if definition.is_classifier else float)
    for rows, answers in ((sweep.train_rows, result.answers), (sweep.holdout_rows, result.holdout_answers)):
        if answers is not None:
            predictions[rows] = _answers_at(answers, definition, threshold)
    bins = make_bins(prepared.features, definition, predictions)
    return bins_to_json(bins), profile_to_json(count(bins, prepared.features, predictions))


def _answers_at(answers: Any, definition: Definition, threshold: float) -> Any:
    if definition.task == "binary" and answers.proba is not None:
        return np.where(answers.proba[:, 1] >= threshold, "1", "0").astype(object)
    return answers.prediction


def _at_threshold(result: CandidateResult, definition: Definition, threshold: float) -> dict[str, Any] | None:
    """Hold-out metrics with the chosen threshold; None where it is the usual one."""
    from core.training.metrics import evaluate

    answers = result.holdout_answers
    if definition.task != "binary" or threshold == 0.5 or answers is None:
        return None
    metrics = evaluate(definition, answers.target, _answers_at(answers, definition, threshold), answers.proba)
    return {k: v for k, v in metrics.items() if isinstance(v, (int, float))}
