"""What each kind of schedule does when its slot comes. A runner returns what came of it, or raises; it never pretends."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from core import logs
from core.acts import Actor
from core.deployment import find_live
from core.errors import BadInput
from core.home import Home
from core.monitoring import checks
from core.monitoring.findings import STATES, Finding
from core.schedule.schedules import Schedule

Outcome = dict[str, Any]


def check_drift(home: Home, schedule: Schedule, now: datetime) -> Outcome:
    """Measure drift from the hourly profiles, and open or settle its alerts."""
    return _watch(home, schedule, now, ("drift",), "Nothing is live, so nothing can have drifted.")


def check_quality(home: Home, schedule: Schedule, now: datetime) -> Outcome:
    """Measure the live version's answers and, where labels came back, how often it is right."""
    return _watch(home, schedule, now, ("data", "answers", "quality"), "Nothing is live, so there is no quality to measure.")


def check_retraining(home: Home, schedule: Schedule, now: datetime) -> Outcome:
    """Ask whether a retraining is due; one by time or by new labels is started, the rest is looked into by the agent."""
    from core.retraining import retraining, triggers

    actor = actor_of(schedule)
    check = triggers.note_check(home, actor, schedule.project, now=now)
    starts_as = triggers.check(home, schedule.project, now=now).starts_as
    outcome = {"sentence": check["sentence"], "due": check["due"]}
    if not starts_as:
        return outcome
    if (under_way := retraining.find_open(home, schedule.project)) is not None:
        return {**outcome, "sentence": f"{check['sentence']} Retraining {under_way.id} is under way already.", "retraining": under_way.id}
    started = retraining.start(
        home, actor, schedule.project, trigger=starts_as, reason=check["sentence"], now=now,
        correlation_id=logs.bound_value("correlation_id") or None,
    )  # fmt: skip
    return {**outcome, "sentence": f"{check['sentence']} Retraining {started['id']} was started.", "retraining": started["id"], "job": started["job"]}


def export(home: Home, schedule: Schedule, now: datetime) -> Outcome:
    """The project's source as it is today, with the labelled predictions below it, as a new dataset version."""
    from core.datasets import versions as datasets
    from core.projects.projects import get_definition
    from core.retraining.export import MADE_BY
    from core.retraining.export import export as put_together

    actor, definition = actor_of(schedule), get_definition(home, schedule.project)
    with tempfile.TemporaryDirectory(prefix="export-", dir=home.work) as near:
        made = put_together(home, actor, definition, rows="all", folder=Path(near), today=now.date())
    # called as made by a retraining, so that no later export takes it for the source and puts the labels below it again
    added = datasets.add_dataset(
        home, actor, schedule.project, made.content, file_name=made.file_name, source=f"{MADE_BY}: export by schedule {schedule.id}",
        label_provenance=made.provenance, now=now,
    )  # fmt: skip
    news = "is new" if added["fresh"] else "was there already: nothing has changed since"
    return {"sentence": f"{made.sentence} Dataset {added['version']} {news}.", "dataset": added["version"], "fresh": added["fresh"]}


def make_backup(home: Home, schedule: Schedule, now: datetime) -> Outcome:
    """The whole installation into one file of the data folder; the oldest beyond ``keep`` go."""
    from core.backup import make_in_folder

    made = make_in_folder(home, actor_of(schedule), keep=schedule.params["keep"], now=now)
    return {"state": "failed" if made.problems else "done", "sentence": made.sentence, "file": made.path, "sha256": made.sha256}


def make_report(home: Home, schedule: Schedule, now: datetime) -> Outcome:
    """A report, sent to those who want it; of one week, or one drift check, there is one."""
    from core.reports.make import make_unattended

    try:
        made = make_unattended(home, schedule.params["kind"], schedule.project, now=now)
    except BadInput as error:
        return {"state": "skipped", "sentence": str(error)}  # nothing has happened yet that could be told
    said = "was made" if made["new"] else "was made before, nothing has come since"
    return {"sentence": f"{made['title']}: report {made['id']} {said}.", "report": made["id"]}


def actor_of(schedule: Schedule) -> Actor:
    """In whose name a schedule acts: whoever set it last."""
    return Actor(schedule.changed_by, via="schedule")


def _watch(home: Home, schedule: Schedule, now: datetime, kinds: tuple[str, ...], nothing: str) -> Outcome:
    if find_live(home, schedule.project) is None:
        return {"state": "skipped", "sentence": nothing}
    return _say_findings(checks.watch(home, schedule.project, now=now, kinds=kinds), nothing)


def _say_findings(found: list[Finding], nothing: str) -> Outcome:
    if not found:
        return {"state": "skipped", "sentence": nothing}
    if all(f.state == "unknown" for f in found):
        return {"state": "skipped", "sentence": found[0].sentence}
    worst = max(found, key=lambda f: STATES.index(f.state))
    ill = [f for f in found if f.state in ("warning", "critical")]
    sentence = " ".join(f.sentence for f in ill[:3]) if ill else f"All well: {next(f.sentence for f in found if f.state == 'ok')}"
    return {"sentence": sentence, "verdict": worst.state, "findings": [[f.kind, f.subject, f.state, f.value] for f in found]}


RUNNERS: dict[str, Callable[[Home, Schedule, datetime], Outcome]] = {
    "drift_check": check_drift,
    "quality_check": check_quality,
    "retrain_check": check_retraining,
    "export": export,
    "report": make_report,
    "backup": make_backup,
}
