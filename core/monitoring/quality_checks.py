"""How right the answers were, where labels came back: against the floor, against the week before, and against training."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from core.home import Home
from core.monitoring import quality
from core.monitoring.estimates import LOWER_IS_BETTER, subtract
from core.monitoring.findings import Finding
from core.monitoring.quality import TITLES
from core.projects.definition import Definition
from core.projects.limits import Limits
from storage import versions as versions_store
from storage.connection import reading

LEAST = 30  # labelled predictions
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
    """The last 7 days against the 7 before, by the time of the prediction; whichever version answered."""
    limit = limits.watching.performance_drop
    name = "accuracy" if definition.is_classifier else "mae"
    now_, then = (
        quality.over_time(home, project, since=until - WEEK, until=until, step="month").whole for until in (now, now - WEEK)
    )  # fmt: skip
    rows = min(now_.rows if now_ else 0, then.rows if then else 0)
    blank = Finding("performance", f"{TITLES[name]} against the week before", "unknown", "", unit="share", threshold=limit, rows=rows)
    if now_ is None or then is None or rows < LEAST:
        return replace(blank, sentence=f"One of the last two weeks has {rows} labels; {LEAST} in each are needed to compare them.")
    now_metric, before = now_.metrics[name], then.metrics[name]
    difference = subtract(now_metric, before)
    if difference is None or difference.value is None or not before.value:
        return replace(blank, sentence=f"{TITLES[name]} of one of the last two weeks has no value.")
    drop = (difference.value if name in LOWER_IS_BETTER else -difference.value) / before.value
    sure = difference.low is not None and difference.high is not None and not difference.low <= 0 <= difference.high
    word = "" if sure else " (within chance)"
    sentence = f"{TITLES[name]} is {now_metric.value:.3g} in the last 7 days, {before.value:.3g} in the 7 before{word}."
    return replace(blank, state="warning" if sure and drop > limit else "ok", sentence=sentence, value=drop)


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
