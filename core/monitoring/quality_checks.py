"""How right the answers were, where labels came back: against the floor, against the week before, and against training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from core.home import Home
from core.monitoring import quality
from core.monitoring.estimates import LOWER_IS_BETTER, subtract
from core.monitoring.findings import Finding
from core.monitoring.quality import TITLES, Point
from core.numbers import say_number
from core.projects.definition import Definition
from core.projects.limits import Limits
from core.times import parse
from storage import versions as versions_store
from storage.connection import reading

LEAST = 30  # labelled predictions
ENOUGH = 100  # labelled predictions: to say that answers are right takes more than to say that they are not
MONTH, WEEK = timedelta(days=30), timedelta(days=7)


def check_quality(home: Home, project: str, definition: Definition, limits: Limits, *, now: datetime) -> list[Finding]:
    """Accuracy against its floor, the drop against the week before, and the change since training; of what is live."""
    live = versions_store.find_live(reading(home.db), project)
    if live is None:
        return []
    floor = [check_floor(home, project, live["version"], limits, now=now)] if definition.is_classifier else []
    return [*floor, check_drop(home, project, definition, limits, now=now), check_training(home, project, live["version"], limits, now=now)]


def check_floor(home: Home, project: str, version: str, limits: Limits, *, now: datetime) -> Finding:
    """Critical when the accuracy is surely below the floor (its whole 95 % interval), a warning when it is so by its value."""
    floor = limits.thresholds.accuracy_floor
    whole = quality.over_time(home, project, since=now - MONTH, until=now, step="month", version=version).whole
    rows = whole.rows if whole else 0
    blank = Finding("accuracy", "Accuracy in use", "unknown", "", unit="share", threshold=floor, rows=rows, version=version)
    found = whole.metrics["accuracy"] if whole else None
    if found is None or found.value is None or rows < LEAST:
        return replace(blank, sentence=f"{rows} labels came back for version {version} in 30 days; {LEAST} are needed to say how right it is.")
    state = "ok" if found.value >= floor else "critical" if found.high is not None and found.high < floor else "warning"
    interval = f" (95 %: {found.low:.0%} to {found.high:.0%})" if found.low is not None and found.high is not None else ""
    sentence = f"Of {rows:,} labelled predictions of 30 days {found.value:.0%} were right{interval}; the floor is {floor:.0%}."
    detail = {"low": found.low, "high": found.high, "baseline": found.baseline}
    return replace(blank, state=state, sentence=sentence, value=found.value, detail=detail)


def check_drop(home: Home, project: str, definition: Definition, limits: Limits, *, now: datetime) -> Finding:
    """The last 7 days of the live version against the 7 before, by the time of the prediction.

    Its own answers are compared where it gave enough in both weeks. Else another version answered the week before, and a
    difference is that of the versions: it is measured, called so, and ``detail["before"]`` names the other one.
    """
    limit = limits.watching.performance_drop
    name = "accuracy" if definition.is_classifier else "mae"
    live = versions_store.find_live(reading(home.db), project)
    version = live["version"] if live else None
    blank = Finding("performance", f"{TITLES[name]} against the week before", "unknown", "", unit="share", threshold=limit, version=version)
    now_, own = (_measure_week(home, project, until, version) for until in (now, now - WEEK))
    then, other = own, ""
    if own is None or own.rows < LEAST:
        spans = versions_store.list_deployments(reading(home.db), project)
        since = next((parse(s["live_from"]) for s in spans if s["live_until"] is None), None)
        other = next((str(s["version"]) for s in spans if s["version"] != version), "") if since and now - since < 2 * WEEK else ""
        if other and since is not None:
            then = _measure_week(home, project, since, other)
    rows = min(now_.rows if now_ else 0, then.rows if then else 0)
    if now_ is None or then is None or rows < LEAST:
        which = f"version {other} in the week before" if other else "it in the week before"
        return replace(
            blank, rows=rows,
            sentence=f"{now_.rows if now_ else 0} labels came back for version {version} in the last 7 days, {then.rows if then else 0} for "
            f"{which}; {LEAST} of each are needed to compare them.",
        )  # fmt: skip
    now_metric, before = now_.metrics[name], then.metrics[name]
    difference = subtract(now_metric, before)
    if difference is None or difference.value is None or not before.value:
        return replace(blank, rows=rows, sentence=f"{TITLES[name]} of one of the last two weeks has no value.")
    drop = (difference.value if name in LOWER_IS_BETTER else -difference.value) / before.value
    sure = difference.low is not None and difference.high is not None and not difference.low <= 0 <= difference.high
    word = "" if sure else " (within chance)"
    last, earlier = say_number(now_metric.value, 3), say_number(before.value, 3)
    sentence = f"{TITLES[name]} is {last} in the last 7 days, {earlier} in the 7 before{word}."
    if other:
        sentence = (
            f"{TITLES[name]} of version {version} is {last} in the last 7 days; version {other} had {earlier} in its last 7{word}. "
            "The version has changed, so a difference is that of the versions, not a drift of answers."
        )
    detail = {"before": other} if other else {}
    return replace(blank, state="warning" if sure and drop > limit else "ok", sentence=sentence, value=drop, rows=rows, detail=detail)


def _measure_week(home: Home, project: str, until: datetime, version: str | None) -> Point | None:
    return quality.over_time(home, project, since=until - WEEK, until=until, step="month", version=version).whole


def check_training(home: Home, project: str, version: str, limits: Limits, *, now: datetime) -> Finding:
    """Model-quality drift: the metric that fell furthest below its training by more than the limit and more than chance."""
    limit = limits.watching.performance_drop
    changes = quality.measure_change(home, project, since=now - MONTH, until=now, version=version)
    rows = changes[0].rows if changes else 0
    blank = Finding("quality_drift", "Quality against training", "unknown", "", unit="share", threshold=limit, rows=rows, version=version)
    if rows < LEAST:
        return replace(blank, sentence=f"{rows} labels came back for version {version} in 30 days; {LEAST} are needed to compare with training.")
    known = [c for c in changes if c.relative is not None]
    if not known:
        return replace(blank, sentence=changes[0].sentence)
    fallen = [c for c in known if c.worse and c.within_chance is False and abs(c.relative or 0.0) > limit]
    worst = max(fallen or known, key=lambda c: abs(c.relative or 0.0) if c.worse else 0.0)
    value = abs(worst.relative or 0.0) if worst.worse else 0.0
    return replace(blank, state="warning" if fallen else "ok", sentence=worst.sentence, value=value, subject="")


@dataclass(frozen=True)
class LabelsSay:
    """What labels say of a version's answers since a moment.

    Attributes
    ----------
    state : "right", "worse", "unsure" or "few"
        Right only if it is measured: at least ``ENOUGH`` labels, no metric surely below its hold-out by more than the limit, the
        first metric by its value not below it by more than the limit, and an accuracy that is surely at or above the project's
        floor. Worse: a metric is surely below by more than the limit. Fewer than ``LEAST`` labels say nothing.
    rows : int
    value, low, high, training : float or None
        The first metric of the task with its 95 % interval, and what it was on the hold-out of training.
    sentence : str
        All of it in words.
    """

    state: str
    rows: int
    value: float | None
    low: float | None
    high: float | None
    training: float | None
    sentence: str


def weigh_labels(home: Home, project: str, version: str, limits: Limits, *, since: datetime, now: datetime) -> LabelsSay:
    """Are the answers that a version has given since a moment (30 days at most) as right as on its hold-out?"""
    changes = quality.measure_change(home, project, since=max(since, now - MONTH), until=now, version=version)
    rows = changes[0].rows if changes else 0
    days = f"since {max(since, now - MONTH):%Y-%m-%d}"
    if rows < LEAST:
        count = "No labels" if not rows else f"Only {rows} label{'s' * (rows != 1)}"
        said = f"{count} came back for what version {version} answered {days}, so whether answers are right is unknown."
        return LabelsSay("few", rows, None, None, None, None, said)
    first, limit = changes[0], limits.watching.performance_drop
    now_, training = first.now, first.training.value
    interval = f" (95 %: {_say(first.name, now_.low)} to {_say(first.name, now_.high)})" if now_.low is not None and now_.high is not None else ""
    before = f", {_say(first.name, training)} on the hold-out of its training" if training is not None else ""
    measured = f"{TITLES[first.name]} is {_say(first.name, now_.value)}{interval} on {rows:,} labelled answers of version {version} {days}{before}"
    fallen = [c for c in changes if c.worse and c.within_chance is False and abs(c.relative or 0.0) > limit]
    known: tuple[int, float | None, float | None, float | None, float | None] = (rows, now_.value, now_.low, now_.high, training)
    if fallen:
        worst = max(fallen, key=lambda c: abs(c.relative or 0.0))
        return LabelsSay("worse", *known, f"{measured}: surely worse." if worst is first else f"{measured}. {worst.sentence}")
    if _is_right(first, rows, limits):
        return LabelsSay("right", *known, f"{measured}: the answers are right.")
    return LabelsSay("unsure", *known, f"{measured}: not enough to say whether answers are worse.")


def _is_right(change: quality.Change, rows: int, limits: Limits) -> bool:
    if rows < ENOUGH or change.relative is None or (change.worse and abs(change.relative) > limits.watching.performance_drop):
        return False
    if change.name == "accuracy":
        return change.now.low is not None and change.now.low >= limits.thresholds.accuracy_floor
    return change.within_chance is not None


def _say(name: str, value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:.1%}" if name == "accuracy" else f"{say_number(value, 3)}"
