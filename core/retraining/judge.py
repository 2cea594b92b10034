"""Step 6: is the new candidate better? One rule, from the paired interval and the floor of the classes."""

from __future__ import annotations

from dataclasses import dataclass

from core.retraining.evaluate import Evaluation, Paired
from core.training.selection import METRIC_NAMES, GateCheck

LEAST = 30  # rows that neither was fitted on
RULE = (
    "Better: the whole 95 % interval of the difference to the live version lies above 0 on the rows that neither was fitted on, "
    "the served model does not fall behind on the held-out ones, the live answers of the last 30 days do not speak against it, and "
    "no class of enough rows is below its floor. Worse: the interval lies below 0, a class is lost, or the register gate is not "
    "reached. Everything else is unclear, and the live version stays."
)


@dataclass(frozen=True)
class Judgement:
    """``outcome`` is better, worse or unclear; ``reasons`` are sentences, the decisive one first."""

    outcome: str
    sentence: str
    reasons: tuple[str, ...]


def judge(evaluation: Evaluation, *, register: GateCheck, recall: GateCheck | None, least: int = LEAST) -> Judgement:
    """Judge a candidate by ``RULE``.

    Parameters
    ----------
    register : GateCheck
        The threshold that a version must reach to be registered.
    recall : GateCheck or None
        The floor of the classes over all rows; None where numbers are predicted.
    """
    e, unseen = evaluation, evaluation.unseen
    if register.passed is False:
        return _say("worse", e, register.sentence)
    if e.reason:
        return _say("unclear", e, f"{e.reason[:1].upper()}{e.reason[1:]}.")
    if unseen.rows < least:
        return _say("unclear", e, f"Only {unseen.rows} rows are new to both; {least} are needed to tell the two apart.")
    if unseen.low is None or unseen.high is None:
        return _say("unclear", e, f"{METRIC_NAMES[e.metric]} is undefined on the {unseen.rows} rows that are new to both.")
    gap = tell(unseen, e.metric, e.against)
    if unseen.high < 0:
        return _say("worse", e, gap)
    lost = _lost_class(recall, unseen)
    if lost:
        return _say("worse", e, lost, gap)
    if unseen.low <= 0:
        return _say("unclear", e, gap)
    if recall is not None and recall.passed is False:
        return _say("unclear", e, f"{recall.sentence} The live version is no better there.", gap)
    held, recent = e.held_out, e.recent
    if held.rows >= least and held.difference is not None and held.difference < 0:
        return _say("unclear", e, tell(held, e.metric, e.against), gap)
    if recent is not None and recent.high is not None and recent.rows >= least and recent.high < 0:
        return _say("unclear", e, tell(recent, e.metric, e.against), gap)
    return _say("better", e, gap)


def tell(paired: Paired, metric: str, against: str) -> str:
    """One comparison as a sentence."""
    name = METRIC_NAMES[metric]
    if paired.difference is None or paired.low is None or paired.high is None or paired.new is None or paired.old is None:
        return f"{name} cannot be compared on {paired.rows:,} {paired.which}."
    end = "better" if paired.low > 0 else "worse" if paired.high < 0 else "not distinguishable"
    return (
        f"{name} {paired.new:.3f} against {paired.old:.3f} of {against} on {paired.rows:,} {paired.which}: {paired.difference:+.3f} "
        f"(95 % interval {paired.low:+.3f} to {paired.high:+.3f}), {end}."
    )


def _lost_class(recall: GateCheck | None, unseen: Paired) -> str:
    """A class below the floor that the live version finds more often."""
    if recall is None or recall.passed is not False or recall.threshold is None:
        return ""
    for name, (_, new, old) in sorted(unseen.per_class.items()):
        if new is not None and old is not None and new < recall.threshold and new < old:
            return f"Class {name} is lost: recall {new:.3f} against {old:.3f} of the live version, with a floor of {recall.threshold:g}."
    return ""


def _say(outcome: str, evaluation: Evaluation, *reasons: str) -> Judgement:
    word = {"better": "Better than", "worse": "Worse than", "unclear": "Not clearly better than"}[outcome]
    return Judgement(outcome, f"{word} {evaluation.against}: {reasons[0]}", reasons)
