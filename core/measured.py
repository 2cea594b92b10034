"""What is measured now of that which a setting limits, for whoever decides on another value. Stored answers only; nothing is measured anew."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from core import deployment
from core.agent import incidents, policy
from core.agent.plans import PLAN, is_known, read_name
from core.home import Home
from core.monitoring import checks
from core.monitoring.findings import Finding
from core.numbers import count_of
from core.projects.limits import get_setting
from core.projects.projects import get_definition
from core.retraining import triggers
from core.times import parse

DAYS = 30
# setting -> the kind of finding that it is the limit of
_WATCHED = {
    "drift_warning": "drift", "drift": "drift", "accuracy_floor": "accuracy", "latency_warning_ms": "latency", "latency_critical_ms": "latency",
    "error_warning": "errors", "error_critical": "errors", "performance_drop": "performance", "missing": "missing_values",
    "problem_rows": "problem_rows", "minority_share": "minority", "unsure_share": "unsure",
}  # fmt: skip
_TRIGGERS = {"retrain_days": triggers.TIME, "retrain_new_labels": triggers.LABELS}
_GATES = ("register", "production")
_BREAKS = {
    "from": lambda value, limit: value >= limit, "above": lambda value, limit: value > limit, "at least": lambda value, limit: value < limit,
    "below": lambda value, limit: value < limit,
}  # fmt: skip

# what a diagnosis measured, by its names there; any other name is said as it is
_TITLES = {
    "drift": "Drift score of the worst column", "overall_drift": "Drift score of all columns together", "accuracy": "Accuracy in use",
    "performance": "Drop of the accuracy against the week before", "quality_drift": "Drop of the quality against training",
    "labels_rows": "Labelled answers", "labels_value": "Quality on them", "labels_low": "Quality on them, at least (95 %)",
    "labels_high": "Quality on them, at most (95 %)", "labels_training": "Quality in training", "before": "Version before",
    "latency": "Time to answer, 95 of 100 requests (ms)", "errors": "Share of requests that fail",
}  # fmt: skip


def call_measured(name: str) -> str:
    """What people call a number of a diagnosis."""
    plain = str(name).replace("_", " ").strip()
    return _TITLES.get(name) or plain[:1].upper() + plain[1:]


def say_measured(home: Home, project: str, changes: Mapping[str, Mapping[str, Any]], *, now: datetime) -> dict[str, str]:
    """Name -> what was last measured, and on which side of the limit that is, for every change of which something is known.

    Parameters
    ----------
    changes : mapping
        Name of a setting -> {"from", "to"}, as core.projects.proposals keeps them.
    """
    found = {f.kind: f for group in checks.find_last(home, project) for f in group.findings if not f.subject}
    due = triggers.find_last_check(home, project)
    reasons = {t.name: t for t in due.triggers} if due is not None else {}
    said = {}
    for name, change in changes.items():
        sentence = ""
        if name in _WATCHED and _WATCHED[name] in found:
            sentence = _say_finding(name, found[_WATCHED[name]], change)
        elif name in _TRIGGERS and _TRIGGERS[name] in reasons:
            reason = reasons[_TRIGGERS[name]]
            what = reason.sentence.partition(";")[0]
            sentence = f"{what[0].upper()}{what[1:]}.{_say_side('from', reason.value, change)}"
        elif name in _GATES:
            sentence = _say_gate(home, project, change)
        elif name.startswith(PLAN) and is_known(name):
            sentence = _say_incidents(home, project, name, now)
        if sentence:
            said[name] = sentence
    return said


def _say_finding(name: str, finding: Finding, change: Mapping[str, Any]) -> str:
    return f"{finding.sentence}{_say_side(get_setting(name).sign, finding.value, change)}"


def _say_side(sign: str, value: float | None, change: Mapping[str, Any]) -> str:
    """Whether the value breaks the limit as it is, and as it would be."""
    if value is None or sign not in _BREAKS or change["from"] is None or change["to"] is None:
        return ""
    is_, would = (_BREAKS[sign](value, change[side]) for side in ("from", "to"))
    if is_ == would:
        return f" That {'breaks' if is_ else 'keeps'} the limit before and after the change."
    return f" That breaks the limit only {'before' if is_ else 'after'} the change."


def _say_gate(home: Home, project: str, change: Mapping[str, Any]) -> str:
    """Where the live version stands, so that a gate can be pictured."""
    live = deployment.find_live(home, project)
    mean = (live.summary.get("cv", {}).get(get_definition(home, project).metric) or {}).get("mean") if live else None
    if live is None or mean is None:
        return ""
    return f"The live version {live.version} reached {mean:.3f} in cross-validation.{_say_side('at least', mean, change)}"


def _say_incidents(home: Home, project: str, name: str, now: datetime) -> str:
    """How often the plan would have been followed lately."""
    issue, cause, band = read_name(name)
    own = {r.cause for r in policy.read() if r.issue == issue}
    alike = [
        i for i in incidents.list_incidents(home, project, limit=1_000)
        if i.kind == issue and (i.diagnosis.get("cause") == cause or (cause == policy.ANY and i.diagnosis.get("cause") not in own))
        and (i.diagnosis.get("plan") or {}).get("band") == band and parse(i.opened_at) > now - timedelta(days=DAYS)
    ]  # fmt: skip
    return f"{count_of(len(alike), 'such incident')} in the last {DAYS} days."
