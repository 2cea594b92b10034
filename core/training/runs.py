"""Training runs: started as jobs, kept with every candidate that was tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import acts
from core.acts import Actor, Done, Tx
from core.datasets import versions as datasets
from core.errors import GreenlightError, NotFound, Refused
from core.home import Home
from core.jobs import jobs
from core.monitoring.data_checks import note_refused_training
from core.projects.limits import check_allowed
from core.projects.projects import get_definition
from core.times import utc_now
from core.training.catalogue import check_params, default_candidates, get_candidate, is_applicable
from storage import runs as store
from storage.connection import reading

if TYPE_CHECKING:
    from core.training.results import CandidateResult, SweepResult
    from core.training.search import Budget, Search

FOLDS, HOLDOUT, SEED = 5, 0.2, 42


@dataclass(frozen=True)
class Run:
    """One finished training.

    Attributes
    ----------
    settings : dict
        candidates, folds, holdout, seed, folder.
    choice : dict or None
        The automatic choice (core.training.selection.Choice as plain data); None when nothing beat nothing.
    """

    id: int
    project: str
    dataset_id: int
    job_id: int | None
    definition_sha: str
    settings: dict[str, Any]
    started_by: str
    started_at: str
    finished_at: str
    choice: dict[str, Any] | None
    environment: dict[str, Any]


@dataclass(frozen=True)
class TrainedCandidate:
    """One candidate of a run, without its curves; ``summary`` as :func:`summarise` makes it."""

    id: int
    run_id: int
    name: str
    params: dict[str, Any]
    summary: dict[str, Any]
    artifact: str | None
    sha256: str | None
    hmac: str | None
    error: str | None


def start_training(
    home: Home, actor: Actor, project: str, *, dataset_version: int | None = None,
    candidates: list[tuple[str, dict[str, Any]]] | None = None, folds: int = FOLDS, holdout: float = HOLDOUT, seed: int = SEED,
    search: Sequence[tuple[str, Budget]] = (),
    owner: str = "supervisor", key: str | None = None, now: datetime | None = None,
) -> dict[str, Any]:
    """Put a training on the list of jobs; returns {"id": job}.

    Parameters
    ----------
    candidates : list of (name, hyperparameters)
        The project's usual ones unless given; names as in core.training.catalogue and core.training.named.
    search : sequence of (candidate, budget)
        Hyperparameters of these are searched before; what is found is trained beside the candidate as it was asked for.

    Raises
    ------
    Refused
        The dataset has validation errors or labels that a model made; the project is archived.
    BadInput
        An unknown candidate or hyperparameter.
    """
    definition = get_definition(home, project)
    dataset = datasets.get_version(home, project, dataset_version)
    chosen = list(candidates or [(name, {}) for name in default_candidates(definition)])
    for name, _ in search:
        if name not in [n for n, _ in chosen]:
            chosen.append((name, {}))  # as it is, beside what the search finds: so that the gain can be seen
    for name, params in chosen:
        check_params(get_candidate(name), params, definition.task)
    params = {
        "dataset_id": dataset.id, "candidates": [[n, p] for n, p in chosen], "folds": folds, "holdout": holdout, "seed": seed,
        "definition_sha": definition.sha256,
    }
    if search:
        params["search"] = [{"candidate": name, "budget": asdict(budget)} for name, budget in search]

    refusal: GreenlightError | None = None
    unfit: GreenlightError | None = None
    try:
        # before anything that takes time: the act refuses who may not, or gives back what it came to before
        if not acts.is_allowed(home, actor, "train", project=project, key=key):
            raise Refused("Whether this may be trained changed in this moment; try again.")
        for name, _ in chosen:
            candidate = get_candidate(name)
            if not candidate.available:
                raise Refused(f"{candidate.title} needs {candidate.needs}, which is not installed; run: {candidate.install}.")
            if not is_applicable(candidate, definition):
                raise Refused(f"Candidate {name} cannot be used for project {project}: it needs columns that it does not have.")
        check_allowed(home, project, [name for name, _ in chosen])
        if search:
            from core.training.search import check_search

            for name, budget in search:
                check_search(name, budget, definition)
        try:
            datasets.check_for_training(home, actor, dataset, definition, now=now)
        except GreenlightError as error:
            unfit = error
            raise
    except GreenlightError as error:
        refusal = error  # raised inside the act, so that the attempt is audited; checked outside, so that nobody waits

    def work(tx: Tx) -> Done:
        if refusal is not None:
            raise refusal
        job_id = jobs.enqueue(tx, project=project, kind="train", params=params, owner=owner)
        after = {"job": job_id, "dataset": dataset.version, "candidates": [n for n, _ in chosen], "seed": seed, "folds": folds}
        if search:
            after["search"] = [n for n, _ in search]
        return Done({"id": job_id}, after=after, subject=f"job {job_id}")

    try:
        return acts.perform(home, actor, "start_training", work, permission="train", project=project, key=key, now=now)
    except GreenlightError as error:
        if error is unfit:  # asked for by somebody who may, on data that may not be used
            note_refused_training(home, project, dataset.version, error, now=now or utc_now())
        raise


def list_runs(home: Home, project: str, limit: int = 50) -> list[Run]:
    """Newest first."""
    return [Run(**r) for r in store.list_runs(reading(home.db), project, limit)]


def get_run(home: Home, run_id: int) -> Run:
    row = store.find_run(reading(home.db), run_id)
    if row is None:
        raise NotFound(f"There is no run {run_id}.")
    return Run(**row)


def find_run_of_job(home: Home, job_id: int) -> Run | None:
    row = store.find_run_of_job(reading(home.db), job_id)
    return Run(**row) if row else None


def list_candidates(home: Home, run_id: int) -> list[TrainedCandidate]:
    return [TrainedCandidate(**r) for r in store.list_candidates(reading(home.db), run_id)]


def get_candidate_row(home: Home, candidate_id: int) -> TrainedCandidate:
    row = store.find_candidate(reading(home.db), candidate_id)
    if row is None:
        raise NotFound(f"There is no candidate {candidate_id}.")
    row.pop("detail")
    return TrainedCandidate(**row)


def run_folder(home: Home, run: Run) -> Path:
    return home.runs / str(run.settings["folder"])


def get_sweep(home: Home, run: Run) -> SweepResult:
    """Everything that the run found out, curves and kept predictions included (cached: a run never changes)."""
    return _load_sweep(run_folder(home, run), home, run.project, run.definition_sha)


def find_searches(home: Home, job_id: int) -> list[Search]:
    """What the searches of a training tried, also where it was cancelled or broke off and left no run; empty where nothing was searched."""
    from core.training.search import load_searches

    return load_searches(home.runs / f"job_{job_id}")


@lru_cache(maxsize=16)
def _load_sweep(folder: Path, home: Home, project: str, definition_sha: str) -> SweepResult:
    from core.training.results import load_sweep

    return load_sweep(folder, get_definition(home, project, definition_sha))


def summarise(result: CandidateResult, baseline: CandidateResult | None, metric: str) -> dict[str, Any]:
    """The light part of a result that lists and cards show: scalars, intervals, per class, importances, the baseline beside."""

    def scalars(values: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in values.items() if isinstance(v, (int, float)) or v is None}

    summary: dict[str, Any] = {
        "title": result.title, "candidate": result.candidate, "metric": metric, "is_baseline": result.baseline,
        "cv": {m: {"mean": v.get("mean"), "std": v.get("std")} for m, v in result.cv.items()},
        "holdout": scalars(result.holdout),
        "intervals": {m: [i.low, i.high] for m, i in result.holdout_intervals.items()},
        "oof_intervals": {m: [i.low, i.high] for m, i in result.out_of_fold_intervals.items()},
        "per_class": result.holdout.get("per_class"),
        "confusion": result.holdout.get("confusion"),
        "importances": {
            i.column: {"mean": i.mean, "std": i.std, "low": i.interval[0], "high": i.interval[1]} for i in result.importances
        },
        "fit_seconds": result.fit_seconds, "predict_ms_row": result.predict_ms_row, "predict_ms_1000": result.predict_ms_1000,
        "simplicity": result.simplicity, "needs": result.needs, "error": result.error,
    }
    if baseline is not None:
        summary["baseline"] = {
            "title": baseline.title, "holdout": scalars(baseline.holdout),
            "cv": {m: {"mean": v.get("mean"), "std": v.get("std")} for m, v in baseline.cv.items()},
        }
    return summary
