"""What each kind of schedule does when its slot comes. A runner returns what came of it, or raises; it never pretends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from core.acts import Actor
from core.home import Home
from core.monitoring import checks
from core.monitoring.findings import STATES, Finding
from core.schedule.schedules import Schedule

Outcome = dict[str, Any]


def check_drift(home: Home, schedule: Schedule, now: datetime) -> Outcome:
    """Measure drift from the hourly profiles, and open or settle its alerts."""
    return _say_findings(checks.watch(home, schedule.project, now=now, kinds=("drift",)), "Nothing is live, so nothing can have drifted.")


def check_quality(home: Home, schedule: Schedule, now: datetime) -> Outcome:
    """Measure the live version's answers and, where labels came back, how often it is right."""
    found = checks.watch(home, schedule.project, now=now, kinds=("data", "answers", "quality"))
    return _say_findings(found, "Nothing is live, so there is no quality to measure.")


def check_retraining(home: Home, schedule: Schedule, now: datetime) -> Outcome:
    """Ask whether a retraining is due; one by time or by new labels is started."""
    from core.retraining import triggers

    check = triggers.check(home, schedule.project, now=now)
    return {"sentence": check.sentence, "due": check.due}


def make_backup(home: Home, schedule: Schedule, now: datetime) -> Outcome:
    """The whole installation into one file of the data folder; the oldest beyond ``keep`` go."""
    from core.backup import make_in_folder

    made = make_in_folder(home, actor_of(schedule), keep=schedule.params["keep"], now=now)
    return {"state": "failed" if made.problems else "done", "sentence": made.sentence, "file": made.path, "sha256": made.sha256}


def not_yet(home: Home, schedule: Schedule, now: datetime) -> Outcome:
    """A kind whose work does not exist in this version."""
    return {"state": "skipped", "sentence": f"Skipped: this version makes no {schedule.title.lower()} by itself."}


def actor_of(schedule: Schedule) -> Actor:
    """In whose name a schedule acts: whoever set it last."""
    return Actor(schedule.changed_by, via="schedule")


def _say_findings(found: list[Finding], nothing: str) -> Outcome:
    if not found:
        return {"state": "skipped", "sentence": f"Skipped: {nothing}"}
    if all(f.state == "unknown" for f in found):
        return {"state": "skipped", "sentence": f"Skipped: {found[0].sentence}"}
    worst = max(found, key=lambda f: STATES.index(f.state))
    ill = [f for f in found if f.state in ("warning", "critical")]
    sentence = " ".join(f.sentence for f in ill[:3]) if ill else f"All well: {next(f.sentence for f in found if f.state == 'ok')}"
    return {"sentence": sentence, "verdict": worst.state, "findings": [[f.kind, f.subject, f.state, f.value] for f in found]}


RUNNERS: dict[str, Callable[[Home, Schedule, datetime], Outcome]] = {
    "drift_check": check_drift,
    "quality_check": check_quality,
    "retrain_check": check_retraining,
    "export": not_yet,
    "report": not_yet,
    "backup": make_backup,
}
