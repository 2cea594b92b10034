"""Is a retraining due? Every trigger with its measured value beside its threshold, and why it did or did not fire."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from core import acts
from core.acts import Actor, Done, Tx
from core.home import Home
from core.monitoring import answer_checks, quality_checks
from core.monitoring.findings import Finding
from core.projects.limits import get_limits
from core.projects.projects import get_definition, get_project
from core.scoring.labels import count_labels_since
from core.times import parse, stamp, utc_now
from storage import drift as store
from storage import retrainings as retrainings_store
from storage import versions as versions_store
from storage.connection import reading

EVERY = timedelta(hours=1)
TIME, LABELS, PERFORMANCE, DRIFT = "time since training", "new labelled rows", "performance drop", "drift"
# What may start a retraining by itself; performance and drift are first looked into by the agent.
STARTS = {TIME: "schedule", LABELS: "new_data"}


@dataclass(frozen=True)
class Trigger:
    """One reason to retrain, with its measured value beside its threshold; ``fired`` None is unknown."""

    name: str
    value: float | None
    threshold: float
    unit: str
    fired: bool | None
    sentence: str


@dataclass(frozen=True)
class RetrainCheck:
    """Every trigger of a project at one moment; ``due`` when any of them fired."""

    project: str
    at: str
    next_at: str
    due: bool
    sentence: str
    triggers: tuple[Trigger, ...]

    @property
    def starts_as(self) -> str:
        """What a retraining started on this answer is called: "schedule" or "new_data"; "" where none starts by itself."""
        return next((STARTS[t.name] for t in self.triggers if t.fired and t.name in STARTS), "")


def check(home: Home, project: str, *, now: datetime) -> RetrainCheck:
    """Measure every trigger for one project; reads only.

    Time and labels are counted from the training of the live version, or from the last retraining that came to its end:
    one that was not better would otherwise be asked for again at once.
    """
    limits = get_limits(home, project)
    db = reading(home.db)
    versions = versions_store.list_versions(db, project)
    version = versions_store.find_live(db, project) or (versions[0] if versions else None)
    next_at = stamp(now + EVERY)
    if version is None:
        return RetrainCheck(project, stamp(now), next_at, False, "No version has been trained yet, so nothing can be due.", ())
    since, what, age = version["registered_at"], f"version {version['version']}", f"version {version['version']} is {{days:.1f}} days old"
    last = retrainings_store.find_last_done(db, project)
    if last is not None and last["finished_at"] > since:
        since, what = last["finished_at"], f"retraining {last['id']}"
        age = f"retraining {last['id']} ended {{days:.1f}} days ago"
    days = (now - parse(since)).total_seconds() / 86_400
    labels = count_labels_since(home, project, since)
    longest, most = limits.thresholds.retrain_days, limits.thresholds.retrain_new_labels
    triggers = (
        Trigger(TIME, round(days, 2), longest, "days", days >= longest, f"{age.format(days=days)}; due from {longest} days."),
        Trigger(LABELS, labels, most, "rows", labels >= most, f"{labels} labels arrived since {what}; due from {most}."),
        _performance(home, project, now=now),
        _drift(home, project, now=now),
    )
    fired = [t for t in triggers if t.fired]
    sentence = " ".join(t.sentence for t in fired) if fired else f"No retraining is due: {triggers[0].sentence} {triggers[1].sentence}"
    return RetrainCheck(project, stamp(now), next_at, bool(fired), sentence, triggers)


def note_check(home: Home, actor: Actor, project: str, *, key: str | None = None, now: datetime | None = None) -> dict[str, Any]:
    """Measure every trigger for one project now and write the answer down, as the clock does by itself.

    Returns
    -------
    dict
        project, at, next_at, due, sentence, triggers.
    """
    now = now or utc_now()
    get_project(home, project)
    found = check(home, project, now=now)
    answer = {"project": project, "at": found.at, "next_at": found.next_at, "due": found.due, **plain(found)}

    def work(tx: Tx) -> Done:
        store.insert_clock_check(tx.db, project=project, at=found.at, next_at=found.next_at, due=found.due, answer=plain(found))
        return Done(answer, after={"due": found.due}, subject="is a retraining due?")

    return acts.perform(home, actor, "check_retraining", work, project=project, reason=found.sentence, key=key, now=now)


def find_last_check(home: Home, project: str) -> RetrainCheck | None:
    """The last written answer, or None before the first."""
    row = store.find_last_clock_check(reading(home.db), project)
    if row is None:
        return None
    answer = row["answer"]
    return RetrainCheck(
        project, row["at"], row["next_at"], bool(row["due"]), answer["sentence"], tuple(Trigger(**t) for t in answer["triggers"])
    )


def plain(found: RetrainCheck) -> dict[str, Any]:
    """The sentence and the triggers as they are written down."""
    return {"sentence": found.sentence, "triggers": [asdict(t) for t in found.triggers]}


def _performance(home: Home, project: str, *, now: datetime) -> Trigger:
    """The live version on labelled predictions: against its training, and the last week against the week before."""
    limits, definition = get_limits(home, project), get_definition(home, project)
    live = versions_store.find_live(reading(home.db), project)
    limit = limits.watching.performance_drop
    if live is None:
        return Trigger(PERFORMANCE, None, limit, "share", None, "Nothing is live, so no performance can drop.")
    training = quality_checks.check_training(home, project, live["version"], limits, now=now)
    drop = quality_checks.check_drop(home, project, definition, limits, now=now)
    return _of_finding(PERFORMANCE, drop if drop.state == "warning" and training.state != "warning" else training, limit)


def _drift(home: Home, project: str, *, now: datetime) -> Trigger:
    limits = get_limits(home, project)
    limit = limits.thresholds.drift
    found = answer_checks.check_drift(home, project, limits, now=now)
    if not found:
        return Trigger(DRIFT, None, limit, "score", None, "Nothing is live, so nothing can have drifted.")
    # a warning is no reason yet: the band of drift is what asks for a retraining
    finding = found[0]
    fired = None if finding.state == "unknown" else finding.state == "critical"
    return Trigger(DRIFT, finding.value, limit, "score", fired, finding.sentence)


def _of_finding(name: str, finding: Finding, limit: float) -> Trigger:
    fired = None if finding.state == "unknown" else finding.state in ("warning", "critical")
    return Trigger(name, finding.value, limit, finding.unit or "share", fired, finding.sentence)
