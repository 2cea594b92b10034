"""The watching: every check of a project, run by the clock, written down, and turned into alerts.

Checks come in groups with a beat of their own. A group's last answer is a row that says when it is due again, so several
processes write each answer once; alerts are opened and settled after that. Everything is read from counts, never from rows
that were predicted.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from core import logs
from core.drift import checks as drift_checks
from core.home import Home
from core.monitoring import alerts, answer_checks, data_checks, quality_checks, traffic, traffic_checks
from core.monitoring.alerts import Alert
from core.monitoring.findings import Finding
from core.projects.limits import get_limits
from core.projects.projects import get_definition
from core.times import parse, stamp
from storage import alerts as store
from storage import versions as versions_store
from storage.connection import reading, writing

log = logging.getLogger("greenlight.monitoring")

MINUTE, TEN_MINUTES, SIX_HOURS = timedelta(seconds=55), timedelta(minutes=10), timedelta(hours=6)
_DAY = timedelta(days=1)
_OF_REQUESTS = frozenset({"latency", "errors", "slower", "failing"})  # nothing asked, nothing measured


@dataclass(frozen=True)
class Group:
    """Checks that are run together.

    Attributes
    ----------
    every, kept : timedelta
        How long an answer holds, and how long it is kept.
    """

    kind: str
    title: str
    every: timedelta
    kept: timedelta
    run: Callable[[Home, str, datetime], tuple[list[Finding], dict[str, Any]]]


@dataclass(frozen=True)
class Watched:
    """The last answer of one group."""

    kind: str
    title: str
    at: str
    next_at: str
    findings: tuple[Finding, ...]


def watch(home: Home, project: str, *, now: datetime, kinds: tuple[str, ...] | None = None) -> list[Finding]:
    """Run the checks that are due, write their answers down, and open, join or settle alerts; what was found now.

    With ``kinds`` only those groups are run, whether they are due or not.
    A check that fails by itself is unknown, with its reason, and the others still run.
    """
    found: list[Finding] = []
    _settle_replaced(home, project, now=now)
    for group in GROUPS:
        if kinds is not None and group.kind not in kinds:
            continue
        last = store.find_last_watch(reading(home.db), project, group.kind)
        if kinds is None and last is not None and not _is_due(home, project, group, last, now):
            continue
        findings, more = _run(group, home, project, now)
        answer = {**more, "findings": [asdict(f) for f in findings]}
        with writing(home.db) as db:
            newest = store.find_last_watch(db, project, group.kind)
            if newest is not None and (last is None or newest["id"] != last["id"]):
                continue  # another process was first
            store.insert_watch(db, project=project, kind=group.kind, at=stamp(now), next_at=stamp(now + group.every), answer=answer)
            store.forget_watches(db, project, group.kind, before=stamp(now - group.kept))
        note_findings(home, project, findings, now=now)
        _tell(project, group, findings)
        found += findings
    return found


def _tell(project: str, group: Group, findings: list[Finding]) -> None:
    """One line of the log for a group of checks; all but those of drift are for who looks closely, alerts are told anyway."""
    states = ", ".join(f"{n} {state}" for state, n in sorted(Counter(f.state for f in findings).items())) or "nothing to measure"
    ill = "; ".join(f"{f.title}: {f.sentence}" for f in findings if f.state in alerts.SEVERITIES)
    with logs.bound(project=project):
        log.log(
            logging.INFO if group.kind == "drift" and findings else logging.DEBUG, "%s checked: %s%s", group.title, states, f". {ill}" if ill else "",
            extra={"facts": {"check": group.kind, "states": {f.kind: f.state for f in findings}}},
        )


def find_last(home: Home, project: str) -> list[Watched]:
    """The last answers of every group that has one, as the watching wrote them."""
    found = []
    for group in GROUPS:
        row = store.find_last_watch(reading(home.db), project, group.kind)
        if row is not None:
            findings = tuple(Finding(**f) for f in row["answer"]["findings"])
            found.append(Watched(group.kind, group.title, row["at"], row["next_at"], findings))
    return found


@dataclass(frozen=True)
class Unmeasured:
    """Why an open alert is neither confirmed nor over: what it is about cannot be measured any more.

    Attributes
    ----------
    reason : str
        A sentence.
    since : str
        When the last request came, where it is requests that are missing; "" otherwise.
    """

    reason: str
    since: str = ""


def find_unmeasured(home: Home, project: str, found: Sequence[Alert]) -> dict[int, Unmeasured]:
    """Open alerts of one project whose check last answered "unknown", by their number.

    They rightly stay open (see :func:`note_findings`); without a word on it they would seem to be measured still.
    """
    known = {(f.kind, f.subject): f for group in find_last(home, project) for f in group.findings}
    unmeasured = {}
    for alert in found:
        finding = known.get((alert.kind, alert.subject)) or known.get((alert.kind, ""))
        if not alert.open or finding is None or finding.state != "unknown":
            continue
        last = traffic.find_last_request(home, project) if alert.kind in _OF_REQUESTS and not finding.rows else ""
        unmeasured[alert.id] = Unmeasured(finding.sentence, last)
    return unmeasured


def note_findings(home: Home, project: str, findings: list[Finding], *, now: datetime) -> None:
    """Open or join an alert for each finding that is ill, settle those whose subject is well again.

    What is unknown changes nothing: an alert does not end because nobody can look any more. A subject that is no longer among
    the findings of its kind (a column that is fine again) is settled when the kind as a whole was measured.
    """
    by_subject = {(f.kind, f.subject): f for f in findings}
    for f in findings:
        if f.state in alerts.SEVERITIES:
            alerts.raise_alert(
                home, project, f.kind, f.subject, severity=f.state, sentence=f.sentence, value=f.value,
                threshold=f.threshold, unit=f.unit, version=f.version, now=now, detail={**f.detail, "rows": f.rows},
            )  # fmt: skip
    for alert in _list_open(home, project, {f.kind for f in findings}):
        finding = by_subject.get((alert.kind, alert.subject)) or by_subject.get((alert.kind, ""))
        if finding is not None and finding.state == "ok":
            alerts.settle(home, project, alert.kind, alert.subject, reason=finding.sentence, now=now)


def _list_open(home: Home, project: str, kinds: Collection[str]) -> list[Alert]:
    """The open alerts of some kinds: asked for kind by kind, so that a storm of others hides none."""
    return [a for kind in sorted(kinds) for a in alerts.list_alerts(home, project, states=alerts.OPEN, kind=kind, limit=10_000)]


def _settle_replaced(home: Home, project: str, *, now: datetime) -> None:
    """What was found about a version is over once it is no longer live; the next one is measured by itself."""
    live = versions_store.find_live(reading(home.db), project)
    for alert in _list_open(home, project, OF_A_VERSION):
        if alert.version is not None and (live is None or live["version"] != alert.version):
            alerts.settle(home, project, alert.kind, alert.subject, reason=f"Version {alert.version} is no longer live.", now=now)


def _is_due(home: Home, project: str, group: Group, last: dict[str, Any], now: datetime) -> bool:
    if parse(last["next_at"]) <= now or parse(last["at"]) > now + group.every:
        return True  # one from a time that is still to come was written while the clock was ahead
    if "sha256" not in last["answer"]:
        return False
    # an answer about a version speaks of nothing once another one is live
    live = versions_store.find_live(reading(home.db), project)
    return last["answer"]["sha256"] != (live["sha256"] if live else "")


def _run(group: Group, home: Home, project: str, now: datetime) -> tuple[list[Finding], dict[str, Any]]:
    try:
        return group.run(home, project, now)
    except Exception as error:  # the boundary of a check: one that cannot run must not silence the others
        log.exception("the checks of %s for %s failed", group.kind, project)
        reason = f"It could not be measured ({type(error).__name__}); the log holds the trace."
        return [Finding("watching", group.title, "unknown", reason, subject=group.kind)], {}


def _traffic(home: Home, project: str, now: datetime) -> tuple[list[Finding], dict[str, Any]]:
    return traffic_checks.check_traffic(home, project, get_limits(home, project), now=now), {}


def _data(home: Home, project: str, now: datetime) -> tuple[list[Finding], dict[str, Any]]:
    return data_checks.check_data(home, project, get_limits(home, project), now=now), {}


def _answers(home: Home, project: str, now: datetime) -> tuple[list[Finding], dict[str, Any]]:
    found = answer_checks.check_answers(home, project, get_definition(home, project), get_limits(home, project), now=now)
    return found, {"sha256": _live_sha(home, project)}


def _quality(home: Home, project: str, now: datetime) -> tuple[list[Finding], dict[str, Any]]:
    found = quality_checks.check_quality(home, project, get_definition(home, project), get_limits(home, project), now=now)
    return found, {"sha256": _live_sha(home, project)}


def _drift(home: Home, project: str, now: datetime) -> tuple[list[Finding], dict[str, Any]]:
    found = answer_checks.check_drift(home, project, get_limits(home, project), now=now)
    known = found[0] if found else None
    measured = known is not None and known.value is not None
    if known is not None and measured:
        _keep_drift(home, project, known.version, now)
    return found, {"sha256": _live_sha(home, project), "version": known.version if known else None, "measured": measured}


def _keep_drift(home: Home, project: str, version: str | None, now: datetime) -> None:
    """What was measured, as a drift check that people can open: when the verdict changed, or once a day."""
    for span, _ in answer_checks.SPANS:
        lately = drift_checks.measure(home, project, now - span, version=version)
        if isinstance(lately, drift_checks.Measured) and lately.result.current_rows >= answer_checks.LEAST:
            drift_checks.store_measured(home, lately, now=now)
            return


def _model(home: Home, project: str, now: datetime) -> tuple[list[Finding], dict[str, Any]]:
    found, sha = data_checks.check_model(home, project)
    return found, {"sha256": sha, "ok": all(f.state == "ok" for f in found), "sentence": found[0].sentence if found else ""}


def _live_sha(home: Home, project: str) -> str:
    live = versions_store.find_live(reading(home.db), project)
    return live["sha256"] if live else ""


OF_A_VERSION = frozenset({
    "problem_rows", "missing_values", "unsure", "minority", "drift", "prediction_drift", "accuracy", "performance", "quality_drift",
    "model",
})  # fmt: skip
GROUPS = (
    Group("traffic", "Requests", MINUTE, _DAY, _traffic),
    Group("data", "Data", MINUTE, _DAY, _data),
    Group("answers", "Answers", TEN_MINUTES, _DAY, _answers),
    Group("quality", "Labels", TEN_MINUTES, _DAY, _quality),
    Group("drift", "Drift", TEN_MINUTES, 35 * _DAY, _drift),
    Group("model", "Live model", SIX_HOURS, 7 * _DAY, _model),
)
