"""Candidates of several runs side by side: what each measured, which criteria it meets, and whether the gate lets it in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from core.home import Home
from core.projects.limits import get_gates
from core.projects.projects import get_definition
from core.registry.versions import Version, list_versions
from core.training import runs
from core.training.runs import Run, TrainedCandidate
from core.training.selection import Criterion, GateCheck, beats_baseline, best_baseline, criteria, gate

if TYPE_CHECKING:
    from core.training.intervals import Interval
    from core.training.results import CandidateResult


@dataclass(frozen=True)
class Standing:
    """One candidate in a comparison.

    Attributes
    ----------
    holdout : dict
        Metrics on the run's hold-out rows (core.training.metrics).
    cv_mean, cv_std : float or None
        The project's metric over the folds.
    pooled, interval : float or None, Interval or None
        The project's metric over all training rows, each answered by a model that had not seen it.
    register : GateCheck
        Whether the register gate lets it in; None in ``passed`` when no threshold is set.
    chosen : bool
        The automatic choice of its run.
    versions : tuple of str
        Versions that it is registered as.
    """

    run_id: int
    candidate_id: int
    name: str
    title: str
    params: dict[str, Any]
    baseline: bool
    error: str | None
    holdout: dict[str, Any]
    holdout_intervals: dict[str, Interval]
    cv_mean: float | None
    cv_std: float | None
    pooled: float | None
    interval: Interval | None
    fit_seconds: float | None
    criteria: tuple[Criterion, ...]
    register: GateCheck
    chosen: bool
    versions: tuple[str, ...]

    @property
    def criteria_met(self) -> tuple[int, int]:
        """(met, judged): criteria without a target are not judged."""
        judged = [c for c in self.criteria if c.met is not None]
        return sum(bool(c.met) for c in judged), len(judged)


@dataclass(frozen=True)
class Comparison:
    """Standings, the best mean over folds first.

    Attributes
    ----------
    same_rows : bool
        Every standing was measured on the same rows (data, hold-out and seed agree); else small differences mean little.
    """

    metric: str
    standings: tuple[Standing, ...]
    same_rows: bool

    def find(self, candidate_id: int) -> Standing | None:
        return next((s for s in self.standings if s.candidate_id == candidate_id), None)


def compare_candidates(home: Home, project: str, run_ids: Sequence[int], versions: Sequence[str] = ()) -> Comparison:
    """Put every candidate of some runs, and some registered versions, side by side.

    The baseline always stands among them: for a version the one of its run, once for runs on the same rows.
    """
    registered: dict[int, list[Version]] = {}
    for version in list_versions(home, project):
        registered.setdefault(version.candidate_id, []).append(version)
    named = {v.candidate_id for found in registered.values() for v in found if v.version in versions}
    wanted: dict[int, tuple[Run, TrainedCandidate]] = {}
    for run_id in run_ids:
        wanted.update({c.id: (runs.get_run(home, run_id), c) for c in runs.list_candidates(home, run_id)})
    for candidate_id in named - set(wanted):
        row = runs.get_candidate_row(home, candidate_id)
        run = runs.get_run(home, row.run_id)
        wanted[candidate_id] = (run, row)
        wanted.update({c.id: (run, c) for c in runs.list_candidates(home, run.id) if c.summary["candidate"] == "dummy"})
    wanted = _without_repeated_baselines(wanted)
    standings = [
        _standing(home, run, row, tuple(v.version for v in registered.get(row.id, ()))) for run, row in wanted.values()
    ]  # fmt: skip
    standings.sort(key=lambda s: (s.cv_mean is None, -(s.cv_mean or 0.0), s.candidate_id))
    metric = get_definition(home, project).metric
    return Comparison(metric, tuple(standings), len({_rows_of(run) for run, _ in wanted.values()}) <= 1)


def verdict(home: Home, run: Run) -> tuple[str, ...]:
    """What a run says, in sentences: the automatic choice and why, then its lead over the best baseline."""
    if run.choice is None:
        return ("Nothing but baselines could be trained, so nothing is chosen.",)
    lead = _lead_sentence(home, run.id, run.choice["name"])
    sweep = runs.get_sweep(home, run)
    task = get_definition(home, run.project, run.definition_sha).task
    return tuple(s for s in (run.choice["sentence"], lead, compare_accuracy(sweep.result(run.choice["name"]), sweep.results, task)) if s)


@lru_cache(maxsize=256)
def _lead_sentence(home: Home, run_id: int, name: str) -> str:
    # Resampling takes a moment and a run never changes: once is enough.
    run = runs.get_run(home, run_id)
    sweep = runs.get_sweep(home, run)
    definition = get_definition(home, run.project, run.definition_sha)
    baseline = best_baseline(sweep.results, definition.metric)
    return beats_baseline(sweep.result(name), baseline, definition, seed=sweep.seed).sentence if baseline else ""


def compare_accuracy(chosen: CandidateResult, results: Sequence[CandidateResult], task: str) -> str:
    """Where F1 speaks for the choice and the share of right answers does not, a sentence that says so; else empty."""
    known = [r for r in results if r.baseline and r.holdout.get("accuracy") is not None]
    best = max(known, key=lambda r: r.holdout["accuracy"], default=None)
    if best is None or chosen.holdout.get("accuracy") is None or chosen.holdout["accuracy"] > best.holdout["accuracy"]:
        return ""
    right, plain = chosen.holdout["accuracy"], best.holdout["accuracy"]
    counts = "F1 is about the positive rows" if task == "binary" else "F1 counts every class alike"
    return (
        f"On the hold-out it is right {'no more' if right == plain else 'less'} often than {best.title} ({right:.1%} of the rows against "
        f"{plain:.1%}): {counts}, accuracy is about all rows."
    )


def find_result(home: Home, standing: Standing) -> CandidateResult:
    """Everything that was found out about a candidate, its curves and answers included."""
    return runs.get_sweep(home, runs.get_run(home, standing.run_id)).result(standing.name)


def _standing(home: Home, run: Run, row: TrainedCandidate, versions: tuple[str, ...]) -> Standing:
    definition = get_definition(home, run.project, run.definition_sha)
    result = runs.get_sweep(home, run).result(row.name)
    metric, gates = definition.metric, get_gates(home, run.project, definition)
    return Standing(
        run.id, row.id, row.name, result.title, row.params, result.baseline, row.error, result.holdout, result.holdout_intervals,
        result.cv_mean(metric), result.cv.get(metric, {}).get("std"), result.out_of_fold.get(metric),
        result.out_of_fold_intervals.get(metric), result.fit_seconds, tuple(criteria(result, definition)),
        gate(result, definition, "register", baseline=None, gates=gates)[0], (run.choice or {}).get("name") == row.name, versions,
    )  # fmt: skip


def _rows_of(run: Run) -> tuple[Any, ...]:
    return (run.dataset_id, run.definition_sha, run.settings["folds"], run.settings["holdout"], run.settings["seed"])


def _without_repeated_baselines(wanted: dict[int, tuple[Run, TrainedCandidate]]) -> dict[int, tuple[Run, TrainedCandidate]]:
    kept, seen = {}, set()
    for candidate_id, (run, row) in wanted.items():
        if row.summary["is_baseline"]:
            place = (*_rows_of(run), row.summary["candidate"])
            if place in seen:
                continue
            seen.add(place)
        kept[candidate_id] = (run, row)
    return kept
