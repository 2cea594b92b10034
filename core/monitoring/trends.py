"""Is it getting better or worse? Quality, drift and volume of a period step by step, and what happened meanwhile."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np

from core import deployment
from core.agent import incidents
from core.drift import checks
from core.drift.bins import Profile, profile_from_json
from core.drift.compute import compare
from core.home import Home
from core.monitoring import alerts, quality
from core.monitoring.estimates import LOWER_IS_BETTER, Metric, subtract
from core.monitoring.quality import TITLES, OverTime
from core.numbers import say_number
from core.projects.definition import Thresholds
from core.projects.limits import get_limits
from core.retraining import retraining
from core.scoring import profiles
from core.times import parse, stamp
from core.training import runs
from storage import predictions as predictions_store
from storage import versions as versions_store
from storage import volume as volume_store
from storage.connection import reading

MOST_EVENTS = 300
_LONGEST = (("hour", timedelta(days=2)), ("day", timedelta(days=95)), ("week", timedelta(days=400)))


@dataclass(frozen=True)
class Event:
    """Something that explains a bend in a curve.

    Attributes
    ----------
    kind : "live", "rollback", "ended", "training", "retraining", "incident" or "alert"
    name : str
        What to write beside the mark: a version, a run, what an alert is about.
    link : (str, str, str)
        Page of the thing itself and how its link names it: ("registry", "version", "1.1.0"), ("monitoring", "alert", "12").
    """

    at: str
    kind: str
    name: str
    sentence: str
    link: tuple[str, str, str]


@dataclass(frozen=True)
class DriftPoint:
    """The drift score of what one version was asked in one step, against its training data.

    Attributes
    ----------
    overall : float or None
        None is unknown: too few rows.
    worst : str
        The column that moved most and its score, in words; "" where none moved.
    """

    start: str
    version: str
    rows: int
    overall: float | None
    band: str
    worst: str


@dataclass(frozen=True)
class VolumePoint:
    """Logged predictions of one step; ``problem_rows`` are those with a problem in their row."""

    start: str
    version: str
    rows: int
    problem_rows: int


@dataclass(frozen=True)
class Answer:
    """What the page says first: ``level`` is ok (no change for the worse), look, or unknown."""

    level: str
    sentence: str


def choose_step(since: datetime, until: datetime) -> str:
    """The step in which a period of this length is drawn: hour, day, week or month."""
    return next((step for step, longest in _LONGEST if until - since <= longest), "month")


def list_steps(since: datetime, until: datetime, step: str) -> list[str]:
    """The beginnings of all steps of a period (UTC), those without any row too."""
    found: list[str] = []
    moment = since
    while moment < until:
        start = quality.floor_step(stamp(moment)[:13], step)
        if not found or found[-1] != start:
            found.append(start)
        moment += timedelta(hours=1) if step == "hour" else timedelta(days=1)
    last = quality.floor_step(stamp(until - timedelta(microseconds=1))[:13], step)
    return found if found and found[-1] == last else [*found, last]


def answer(home: Home, found: OverTime) -> Answer:
    """A period against the one of the same length before it; where that has no labels, the live version's training."""
    now = found.whole
    if now is None:
        return Answer("unknown", "No label came back for the predictions of this period, so whether it got better is not known.")
    since, until = parse(found.since), parse(found.until)
    before = quality.over_time(home, found.project, since=since - (until - since), until=since, step=found.step).whole
    if before is not None:
        return _judge(now.metrics, before.metrics, now.rows, f"the period before ({_thousands(before.rows)} labels)")
    live = deployment.find_live(home, found.project)
    last = next((v for v in found.versions if live is not None and v.version == live.version), found.versions[-1])
    training = quality.find_training(home, found.project, last.version)
    if training:
        return _judge(last.metrics, training, last.rows, f"the training of version {last.version}")
    return Answer("unknown", f"{now.rows} labels came back, and there is nothing before to compare them with.")


def drift_over_time(home: Home, project: str, *, since: datetime, until: datetime, step: str) -> tuple[DriftPoint, ...]:
    """The drift score per step and version, from the hourly profiles of the log (whole hours, UTC)."""
    first, last = stamp(since)[:13], stamp(until - timedelta(microseconds=1))[:13]
    rows = sum(v.rows for v in volume_over_time(home, project, since=since, until=until, step="month"))
    thresholds = get_limits(home, project).thresholds
    return _drift_over_time(home, project, first, last, step, thresholds, rows)


def volume_over_time(home: Home, project: str, *, since: datetime, until: datetime, step: str) -> tuple[VolumePoint, ...]:
    """Logged predictions per step and version (whole hours, UTC); steps without any are absent."""
    first, last = quality.whole_hours(since, until)
    level = "day" if step in ("week", "month") else step
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    found = volume_store.count_by_step(reading(home.predictions_db), project, level, since=first, until=last)
    for start, version, rows, problems in found:
        sums = counts[quality.floor_step(start, step), version]
        sums[0] += rows
        sums[1] += problems
    return tuple(VolumePoint(start, version, *sums) for (start, version), sums in sorted(counts.items()))


def list_checks(home: Home, project: str, *, since: datetime, until: datetime) -> list[dict]:
    """Drift checks that were made in the period, oldest first: id, at, by, overall, band, current, alert."""
    first, last = stamp(since), stamp(until)
    return [c for c in reversed(checks.list_checks(home, project, limit=500)) if first <= c["at"] < last]


def list_events(home: Home, project: str, *, since: datetime, until: datetime) -> list[Event]:
    """What happened in the period, oldest first: who went live, (re)trainings, incidents, alerts; at most 300, the newest."""
    found = [
        *_releases(home, project), *_trainings(home, project), *_retrainings(home, project), *_incidents(home, project),
        *_alerts(home, project, since),
    ]  # fmt: skip
    first, last = stamp(since), stamp(until)
    return sorted((e for e in found if first <= e.at < last), key=lambda e: e.at)[-MOST_EVENTS:]


def _judge(now: dict[str, Metric], before: dict[str, Metric], rows: int, against: str) -> Answer:
    """One sentence on the metrics that moved; a change that chance explains is none."""
    better: list[str] = []
    worse: list[str] = []
    unsure: list[str] = []
    known = 0
    for name, metric in now.items():
        difference = subtract(metric, before[name]) if name in before else None
        if difference is None or difference.value is None:
            continue
        known += 1
        said = f"{TITLES[name]} {say_number(metric.value, 3)} after {say_number(before[name].value, 3)}"
        if difference.low is None or difference.high is None:
            unsure.append(said)
        elif not difference.low <= 0 <= difference.high:
            (worse if (difference.value > 0) == (name in LOWER_IS_BETTER) else better).append(said)
    of = f"on {_thousands(rows)} labelled predictions, against {against}"
    if worse:
        also = f" Better: {', '.join(better)}." if better else ""
        return Answer("look", f"Worse than chance explains: {', '.join(worse)}, {of}.{also}")
    if better:
        return Answer("ok", f"Better than chance explains: {', '.join(better)}, {of}.")
    if not known or len(unsure) == known:
        return Answer("unknown", f"How far chance reaches is not known, {of}{': ' + ', '.join(unsure) if unsure else ''}.")
    return Answer("ok", f"Neither better nor worse than chance explains, {of}.")


@lru_cache(maxsize=32)
def _drift_over_time(
    home: Home, project: str, first: str, last: str, step: str, thresholds: Thresholds, rows: int
) -> tuple[DriftPoint, ...]:
    # rows is there so that new predictions are measured afresh; profiles change with them
    db, log_db = reading(home.db), reading(home.predictions_db)
    points = []
    for row in versions_store.list_versions(db, project):
        counter = profiles.counter_of(home, row["id"], row["sha256"])
        kept = versions_store.find_profile(db, row["id"])
        if counter is None or kept is None:
            continue
        hours = predictions_store.list_hour_profiles(
            log_db, project, counter.bins_id, since=first, until=last, version=row["version"]
        )
        sums: dict[str, tuple[int, np.ndarray]] = {}
        for hour in hours:
            start = quality.floor_step(hour["hour"], step)
            before = sums.get(start, (0, np.zeros(counter.size, dtype=np.int64)))
            sums[start] = (before[0] + hour["rows"], before[1] + np.frombuffer(hour["counts"], dtype=np.int64))
        reference = profile_from_json(kept[1]) if sums else None
        for start, (n, counts) in sums.items():
            assert reference is not None
            points.append(_measure_drift(start, row["version"], reference, profiles.to_profile(counter.bins, n, counts), counter, thresholds))
    return tuple(sorted(points, key=lambda p: (p.start, p.version)))


def _measure_drift(
    start: str, version: str, reference: Profile, current: Profile, counter: profiles.Counter, thresholds: Thresholds
) -> DriftPoint:
    result = compare(reference, current, bins=counter.bins, thresholds=thresholds)
    moved = [c for c in result.worst_first if c.counted]
    worst = f"{moved[0].name} {moved[0].score:.2f}" if moved else ""
    return DriftPoint(start, version, current.rows, result.overall, result.status, worst)


def _releases(home: Home, project: str) -> list[Event]:
    spans = deployment.list_deployments(home, project)
    starts = {s.live_from for s in spans}
    found = []
    for span in spans:
        link = ("registry", "version", span.version)
        reason = f": {span.reason}" if span.reason else "."
        if span.kind == "rollback":
            sentence = f"{span.deployed_by} rolled back to version {span.version}{reason}"
        else:
            sentence = f"Version {span.version} went live, deployed by {span.deployed_by}{reason}"
        found.append(Event(span.live_from, "rollback" if span.kind == "rollback" else "live", span.version, sentence, link))
        if span.live_until is not None and span.live_until not in starts:
            ended = f"{span.ended_by} took version {span.version} down; nothing was live then."
            found.append(Event(span.live_until, "ended", span.version, ended, link))
    return found


def _trainings(home: Home, project: str) -> list[Event]:
    found = []
    for run in runs.list_runs(home, project, limit=MOST_EVENTS):
        chosen = f"its choice is {run.choice['name']}" if run.choice else "it chose nothing"
        sentence = f"Training {run.id}, started by {run.started_by}, was done; {chosen}."
        found.append(Event(run.finished_at, "training", f"training {run.id}", sentence, ("training", "job", str(run.job_id or ""))))
    return found


def _retrainings(home: Home, project: str) -> list[Event]:
    found = []
    for r in retraining.list_retrainings(home, project, limit=MOST_EVENTS):
        sentence = f"Started by {r.started_by} ({r.trigger.replace('_', ' ')}). {r.sentence}"
        found.append(Event(r.started_at, "retraining", f"retraining {r.id}", sentence, ("training", "retraining", str(r.id))))
    return found


def _incidents(home: Home, project: str) -> list[Event]:
    return [
        Event(
            i.opened_at, "incident", f"incident {i.id}", i.outcome or f"{i.kind.replace('_', ' ')}, severity {i.severity:.2f}, {i.state}.",
            ("agent", "incident", str(i.id)),
        )
        for i in incidents.list_incidents(home, project, limit=MOST_EVENTS)
    ]


def _alerts(home: Home, project: str, since: datetime) -> list[Event]:
    return [
        Event(a.since, "alert", f"{a.kind.replace('_', ' ')} {a.subject}".strip(), a.sentence, ("monitoring", "alert", str(a.id)))
        for a in alerts.list_alerts(home, project, since=since, limit=MOST_EVENTS)
    ]


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")
