"""Which candidate is taken, why, and whether it may go on: rules in code, sentences from templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.projects.definition import Definition, Gates
from core.training.intervals import Interval, paired_difference
from core.training.results import CandidateResult, SweepResult

RULE = (
    "The highest mean of the metric in cross-validation is taken, unless a simpler candidate is so close that the 95 % interval "
    "of the difference covers 0: then the simplest such candidate. Baselines are never taken."
)
METRIC_NAMES = {"f1": "F1", "r2": "R2", "ndcg": "NDCG"}


@dataclass(frozen=True)
class Choice:
    """The automatic choice of a sweep.

    Attributes
    ----------
    name : str
        Key of the chosen candidate in the sweep.
    leader : str
        Key of the candidate with the highest mean; the same as ``name`` unless a simpler one was taken.
    difference, interval : float or None, Interval or None
        Leader minus the compared one (the simpler one taken, else the runner-up): the difference of the means over
        folds, and the paired interval of the pooled out-of-fold answers, both in the project's metric.
    """

    name: str
    leader: str
    rule: str
    sentence: str
    difference: float | None
    interval: Interval | None


@dataclass(frozen=True)
class Criterion:
    """One selection criterion of one candidate; ``met`` None is unknown or without a target."""

    name: str
    title: str
    value: float | str | None
    target: float | str | None
    met: bool | None


@dataclass(frozen=True)
class GateCheck:
    """One condition of a gate; ``passed`` None means that nothing was asked."""

    name: str
    passed: bool | None
    value: float | None
    threshold: float | None
    sentence: str


@dataclass(frozen=True)
class Lead:
    """How far a candidate is above a baseline: ``beats`` when the whole interval is above 0, None when unknown."""

    baseline: str
    beats: bool | None
    difference: float | None
    interval: Interval | None
    sentence: str


def choose(sweep: SweepResult, definition: Definition) -> Choice | None:
    """Return the automatic choice by ``RULE``; None when nothing but baselines could be trained.

    Simplicity is the catalogue's order (linear models, one forest, boosting, networks, ensembles of several).
    """
    results, seed, metric = sweep.results, sweep.seed, definition.metric
    able = [r for r in results if not r.baseline and r.error is None and r.cv_mean(metric) is not None]
    if not able:
        return None
    ranked = sorted(able, key=lambda r: (-_mean(r, metric), r.simplicity, r.name))
    leader, name = ranked[0], METRIC_NAMES[metric]
    for rival in sorted(ranked[1:], key=lambda r: (r.simplicity, -_mean(r, metric))):
        if rival.simplicity >= leader.simplicity:
            break
        interval = _paired(definition, leader, rival, seed)
        if _reaches_zero(interval):
            gap = _mean(leader, metric) - _mean(rival, metric)
            sentence = (
                f"{leader.title} leads {rival.title} by {gap:.3f} {name}; the interval {_against_zero(interval)}, "
                f"so the simpler one is taken: {rival.title}."
            )
            return Choice(rival.name, leader.name, RULE, sentence, gap, interval)
    if len(ranked) == 1:
        sentence = f"{leader.title} is the only candidate beside the baselines ({name} {_mean(leader, metric):.3f})."
        return Choice(leader.name, leader.name, RULE, sentence, None, None)
    rival = ranked[1]
    interval, gap = _paired(definition, leader, rival, seed), _mean(leader, metric) - _mean(rival, metric)
    if _reaches_zero(interval):
        order = "it is also the simpler of the two" if leader.simplicity < rival.simplicity else "neither of the two is simpler"
        tail = f"; the interval {_against_zero(interval)}, so the lead may be chance; {order}"
    else:
        tail = f" (interval {_span(interval)}), and no simpler one is as good"
    sentence = (
        f"{leader.title} has the highest mean {name} in cross-validation ({_mean(leader, metric):.3f}); "
        f"it leads {rival.title} by {gap:.3f}{tail}."
    )
    return Choice(leader.name, leader.name, RULE, sentence, gap, interval)


def best_baseline(results: Sequence[CandidateResult], metric: str) -> CandidateResult | None:
    """Return the strongest baseline that was trained: the one to beat."""
    able = [r for r in results if r.baseline and r.error is None and r.cv_mean(metric) is not None]
    return max(able, key=lambda r: _mean(r, metric), default=None)


def beats_baseline(result: CandidateResult, baseline: CandidateResult, definition: Definition, *, seed: int = 42) -> Lead:
    """Compare a candidate with a baseline on the same out-of-fold rows, in the project's metric."""
    name = METRIC_NAMES[definition.metric]
    interval = _paired(definition, result, baseline, seed)
    gap = _pooled_gap(result, baseline, definition.metric)
    if interval is None or interval.low is None or gap is None:
        sentence = f"Whether {result.title} beats {baseline.title} is unknown: {name} is undefined for one of them."
        return Lead(baseline.name, None, gap, interval, sentence)
    beats = interval.low > 0
    end = "the baseline is beaten" if beats else "that is not clearly above the baseline"
    sentence = f"{result.title} is {gap:+.3f} {name} against {baseline.title} (interval {_span(interval)}): {end}."
    return Lead(baseline.name, beats, gap, interval, sentence)


def criteria(result: CandidateResult, definition: Definition) -> list[Criterion]:
    """Return the five selection criteria of a candidate, each computed from its result."""
    wanted, metric = definition.criteria, definition.metric
    mean, std = result.cv_mean(metric), result.cv.get(metric, {}).get("std")
    name = METRIC_NAMES[metric]
    known = bool(result.importances) if result.error is None else None
    return [
        Criterion("metric", f"{name}, mean of the folds", mean, wanted.metric_target, _at_least(mean, wanted.metric_target)),
        Criterion("cv_std", f"{name}, standard deviation of the folds", std, wanted.cv_std_target,
                  _at_most(std, wanted.cv_std_target)),
        Criterion("interpretability", "Importances available", result.reading or "permutation importances" if known else "none",
                  "importances", known),
        Criterion("training_time", "Seconds of the final fit", result.fit_seconds, wanted.training_seconds,
                  _at_most(result.fit_seconds, wanted.training_seconds)),
        Criterion("dependency", "Extra library", result.needs or "none", "none", not result.needs),
    ]  # fmt: skip


def gate(
    result: CandidateResult, definition: Definition, stage: str, *, baseline: CandidateResult | None,
    known_cases: tuple[int, int] | None = None, against_live: Interval | None = None, seed: int = 42, gates: Gates | None = None,
) -> list[GateCheck]:  # fmt: skip
    """Return the conditions of a gate: passed, failed, or None where nothing was asked (no threshold, no live version).

    What was asked and cannot be judged has failed: an unknown is no green light.

    Parameters
    ----------
    stage : "register" or "production"
        Which threshold the mean over folds must reach. "register" asks for that only; "production"
        also for the baseline, the recall of each class, the known cases and the live version.
    baseline : CandidateResult or None
        The one to beat (``best_baseline``).
    known_cases : (right, all) or None
        How many of the project's known cases the fitted pipeline answers rightly; None when the project has none.
    against_live : Interval or None
        Interval of the project's metric, this one minus the live version, on the same rows; None without a live version.
    gates : Gates, optional
        Those in force (core.projects.limits.get_gates); the definition's own unless given.
    """
    gates = gates or definition.gates
    checks = [_threshold_check(result, definition, gates, stage)]
    if stage == "production":
        checks += [
            _baseline_check(result, baseline, definition, seed),
            *([_recall_check(result, gates)] if definition.is_classifier else []),
            _known_cases_check(known_cases),
            _live_check(against_live, METRIC_NAMES[definition.metric]),
        ]
    return checks


def is_open(checks: Sequence[GateCheck]) -> bool:
    """Whether nothing failed; what was not asked does not close a gate."""
    return not any(check.passed is False for check in checks)


def _threshold_check(result: CandidateResult, d: Definition, gates: Gates, stage: str) -> GateCheck:
    wanted = {"register": gates.register, "production": gates.production}[stage]
    mean, name = result.cv_mean(d.metric), METRIC_NAMES[d.metric]
    if mean is None:
        reason = result.error or "the metric is undefined"
        return GateCheck("metric", False, None, wanted, f"{result.title} has no {name} in cross-validation: {reason}.")
    if wanted is None:
        return GateCheck("metric", None, mean, None, f"No threshold is set for {stage}; {name} is {mean:.3f}.")
    word = "reaches" if mean >= wanted else "is below"
    sentence = f"{name} {mean:.3f} (mean of the folds) {word} {wanted:g}, set for {stage}."
    return GateCheck("metric", mean >= wanted, mean, wanted, sentence)


def _baseline_check(result: CandidateResult, baseline: CandidateResult | None, d: Definition, seed: int) -> GateCheck:
    if baseline is None or result.error is not None:
        return GateCheck("baseline", False, None, 0.0, "There is no baseline to compare with, so it is not shown to be beaten.")
    lead = beats_baseline(result, baseline, d, seed=seed)
    return GateCheck("baseline", bool(lead.beats), lead.difference, 0.0, lead.sentence)


def _recall_check(result: CandidateResult, gates: Gates) -> GateCheck:
    floor, rows = gates.class_recall_floor, gates.class_floor_rows
    classes = result.out_of_fold.get("per_class", {})
    judged = {name: v["recall"] for name, v in classes.items() if v["support"] > rows and v["recall"] is not None}
    if not judged:
        return GateCheck("class_recall", None, None, floor, f"No class has more than {rows} rows, so no recall is judged.")
    worst = min(judged, key=lambda name: judged[name])
    value = judged[worst]
    small = [name for name in classes if name not in judged]
    tail = f" Not judged, with {rows} rows or fewer: {', '.join(small)}." if small else ""
    word = "reaches" if value >= floor else "is below"
    sentence = f"The lowest recall, of class {worst}, is {value:.3f} and {word} {floor:g}.{tail}"
    return GateCheck("class_recall", value >= floor, value, floor, sentence)


def _known_cases_check(known_cases: tuple[int, int] | None) -> GateCheck:
    if known_cases is None or not known_cases[1]:
        return GateCheck("known_cases", None, None, None, "The project keeps no known cases, so none is checked.")
    right, total = known_cases
    end = "" if right == total else "; every one must be right"
    return GateCheck("known_cases", right == total, float(right), float(total), f"{right} of {total} known cases are right{end}.")


def _live_check(against_live: Interval | None, name: str) -> GateCheck:
    if against_live is None:
        return GateCheck("live", None, None, 0.0, "No version is live, so there is nothing to be worse than.")
    if against_live.high is None:
        return GateCheck("live", False, None, 0.0, f"The comparison with the live version is unknown: {name} is undefined.")
    worse = against_live.high < 0
    word = "worse than" if worse else "not worse than"
    sentence = f"It is {word} the live version on the same rows: the interval of the {name} difference is {_span(against_live)}."
    return GateCheck("live", not worse, against_live.high, 0.0, sentence)


def _mean(result: CandidateResult, metric: str) -> float:
    mean = result.cv_mean(metric)
    return float("-inf") if mean is None else mean


def _paired(definition: Definition, first: CandidateResult, second: CandidateResult, seed: int) -> Interval | None:
    if first.answers is None or second.answers is None:
        return None
    return paired_difference(definition, first.answers, second.answers, seed=seed)


def _pooled_gap(first: CandidateResult, second: CandidateResult, metric: str) -> float | None:
    one, two = first.out_of_fold.get(metric), second.out_of_fold.get(metric)
    return None if one is None or two is None else one - two


def _reaches_zero(interval: Interval | None) -> bool:
    """Whether the lead may be chance; below 0 altogether, the pooled answers even speak for the other one."""
    return interval is not None and interval.low is not None and interval.low <= 0


def _against_zero(interval: Interval | None) -> str:
    below = interval is not None and interval.high is not None and interval.high < 0
    return f"{_span(interval)} {'lies below 0' if below else 'covers 0'}"


def _span(interval: Interval | None) -> str:
    if interval is None or interval.low is None or interval.high is None:
        return "unknown"
    return f"{round(interval.low, 3) + 0.0:.3f} .. {round(interval.high, 3) + 0.0:.3f}"  # + 0.0: never "-0.000"


def _at_least(value: float | None, target: float | None) -> bool | None:
    return None if value is None or target is None else value >= target


def _at_most(value: float | None, target: float | None) -> bool | None:
    return None if value is None or target is None else value <= target
