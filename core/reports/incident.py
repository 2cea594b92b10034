"""What an incident report says: what went wrong, why, how badly, what was done about it, who allowed it, and how it ended.

An incident may have ten thousand alerts and events: the first and the last are shown, all of them are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from core import audit
from core.agent import agent_requests, incidents
from core.agent.actions import ACTIONS
from core.agent.diagnosis import CAUSES
from core.agent.incidents import Event, Incident
from core.agent.policy import BANDS
from core.errors import BadInput, NotFound
from core.home import Home
from core.measured import call_measured
from core.monitoring.alerts import Alert
from core.projects.projects import get_definition
from core.reports.charts import Step, columns
from core.reports.document import (
    UNKNOWN,
    Chart,
    Document,
    Entry,
    Facts,
    Section,
    Table,
    Text,
    Timeline,
    count_of,
    find_number,
    say,
    say_time,
    sections_of,
)
from core.times import parse, stamp

_FIRST, _LAST = 25, 25  # events of the timeline
_MOST_ALERTS = 20
_MOST_AUDIT = 25
_LEVELS = {"closed": "ok", "escalated": "act", "open": "look", "waiting": "look", "watching": "look"}
_STATES = {
    "open": "being dealt with", "waiting": "waiting for a person's decision", "watching": "dealt with; its effect is awaited",
    "escalated": "handed to people", "closed": "closed",
}  # fmt: skip
_STEPS = ((timedelta(minutes=1), "minute"), (timedelta(hours=1), "hour"), (timedelta(days=1), "day"))
_MOST_STEPS = 40


def _say_title(incident: Incident) -> str:
    """The issue and what is behind it: "Performance: the world has moved"."""
    cause = CAUSES.get(incident.diagnosis.get("cause", ""), incident.cause)
    return f"{incident.title}: {cause[0].lower()}{cause[1:]}"


def describe(home: Home, project: str, subject: str) -> Document:
    """The report of one incident; ``subject`` is its id.

    Raises
    ------
    NotFound
        The project has no such incident.
    """
    number = find_number(subject)
    incident = incidents.get_incident(home, number) if number is not None else None
    if incident is None or incident.project != project:
        raise NotFound(f"Project {project} has no incident {subject[:20]!r}.")
    events = incidents.list_events(home, incident.id)
    found = incidents.list_alerts(home, incident.id)
    total = incidents.count_alerts(home, incident.id)
    until = incident.closed_at
    length = f"; it took {_say_length(incident.opened_at, until)}" if until else ""
    return Document(
        "incident", project, subject, _say_title(incident),
        f"Incident {incident.id} of {get_definition(home, project).title}, opened {say_time(incident.opened_at)}{length}",
        _LEVELS.get(incident.state, "unknown"),
        incident.outcome or f"Not over: it is {_STATES.get(incident.state, incident.state)}.",
        Facts((
            ("State", _STATES.get(incident.state, incident.state)),
            ("Severity", f"{incident.severity:.2f} of 1 (below 0.5 low, from 0.7 high)"),
            ("Opened", say_time(incident.opened_at)),
            ("Last seen", say_time(incident.last_seen_at)),
            ("Closed", say_time(until) if until else "not closed when this was made"),
            ("Alerts and events", f"{count_of(total, 'alert')}, {count_of(len(events), 'event')}"),
        )),
        sections_of(
            _say_diagnosis(incident), _list_requests(home, incident), _list_actions(events), _draw_timeline(incident, events),
            _list_alerts(found, total), _list_audit(home, incident),
        ),
        incident.correlation_id,
    )  # fmt: skip


def find_subject(home: Home, project: str) -> str:
    """The newest incident, for who names none."""
    found = incidents.list_incidents(home, project, limit=1)
    if not found:
        raise BadInput(f"Project {project} has had no incident; there is nothing to report.")
    return str(found[0].id)


def find_last_change(home: Home, subject: str) -> str:
    """Since when the incident is as it is: its end, or the last that was seen of it."""
    number = find_number(subject)
    row = incidents.get_incident(home, number) if number is not None else None
    return "" if row is None else row.closed_at or row.last_seen_at


def _say_diagnosis(incident: Incident) -> Section:
    found = incident.diagnosis
    blocks: list[Any] = [Text(str(found.get("sentence") or "No diagnosis was made."))]
    if found.get("retraining_helps") is not None:
        blocks.append(Text("Retraining is expected to help." if found["retraining_helps"] else "Retraining would not help."))
    measured = [(call_measured(k), _plain(v)) for k, v in (found.get("measured") or {}).items()]
    if measured:
        blocks.append(Facts(tuple(measured[:30])))
    broken = [(str(c.get("name", "")), str(c.get("sentence") or _plain(c))) for c in found.get("columns") or []]
    if broken:
        blocks.append(Table(("Column that cannot be right", "Why"), tuple(broken[:30]), wide=frozenset({1})))
    evidence = [(_words(e.get("kind", "")), str(e.get("id") or ""), str(e.get("sentence", ""))) for e in found.get("evidence") or []]
    if evidence:
        blocks.append(Table(("Evidence", "Number", "Said"), tuple(evidence[:30]), wide=frozenset({2})))
    return Section("Diagnosis", tuple(blocks))


def _list_requests(home: Home, incident: Incident) -> Section:
    found = agent_requests.list_requests(home, incident_id=incident.id)
    if not found:
        return Section("What people were asked", (Text("Nothing: no action of this incident needed an approval."),))
    blocks: list[Any] = []
    for request in reversed(found[:20]):
        by = f", by {request.decided_by}, {say_time(request.decided_at)}" if request.decided_by else ""
        decided = "Nobody has decided yet" if request.state == "pending" else f"{_words(request.state)}{by}"
        blocks.append(Facts((
            (f"Request {request.id}", request.title),
            ("Why", request.reason),
            ("Risk and impact", f"{request.risk}; {request.impact}"),
            ("If nobody answers", request.if_nobody),
            ("Decision", decided + (f". Reason: {request.decision_reason}" if request.decision_reason else "")),
            ("What came of it", request.outcome or "nothing yet"),
        )))  # fmt: skip
    return Section("What people were asked", tuple(blocks))


def _list_actions(events: Sequence[Event]) -> Section:
    done = [e for e in events if e.kind == "action"]
    if not done:
        return Section("What was done", (Text("No action was carried out."),))
    shown = [*done[:15], *done[-15:]] if len(done) > 30 else done
    rows = tuple((_minute(e.at), _call_action(e.action), e.status, e.approver or "needs nobody", e.sentence) for e in shown)
    note = f"The first and the last 15 of {count_of(len(done), 'action')}." if len(done) > 30 else ""
    return Section("What was done", (Table(("When (UTC)", "Action", "Status", "Approver", "Said"), rows, wide=frozenset({4}), note=note),))


def _draw_timeline(incident: Incident, events: Sequence[Event]) -> Section:
    if not events:
        return Section("Timeline", (Text("No event was written down."),))
    left_out = max(0, len(events) - _FIRST - _LAST)
    kept = [*events[:_FIRST], *events[len(events) - _LAST :]] if left_out else list(events)
    entries = tuple(Entry(e.at, _call_event(e), e.sentence, e.approver) for e in kept)
    blocks: list[Any] = [Timeline(entries, left_out, _FIRST)]
    if left_out:
        counts = Counter((e.kind, e.action, e.status) for e in events)
        rows = tuple((_words(k), _call_action(a) or "–", _words(s).lower() or "–", say(n)) for (k, a, s), n in counts.most_common(30))
        blocks.append(Table(("Kind", "Action", "Status", "Events"), rows, numbers=frozenset({3}), note=f"All {say(len(events))} events counted."))
        blocks.insert(0, _draw_counts(incident, events))
    return Section("Timeline", tuple(blocks))


def _draw_counts(incident: Incident, events: Sequence[Event]) -> Chart:
    """Events a minute, hour or day, whichever gives a picture."""
    first, last = parse(events[0].at), parse(events[-1].at)
    step, word = next(((s, w) for s, w in _STEPS if (last - first) / s <= _MOST_STEPS), _STEPS[-1])
    many = max(1, -(-int((last - first) / step + 1) // _MOST_STEPS))  # days together, where it went on for very long
    step *= many
    counts = Counter(int((parse(e.at) - first) / step) for e in events)
    form = "%H:%M" if word != "day" else "%-d %b"
    steps = [Step((first + k * step).strftime(form), float(counts.get(k, 0))) for k in range(int((last - first) / step) + 1)]
    unit = f"events every {many} {word}s" if many > 1 else f"events each {word}"
    return Chart(columns(steps, unit=unit), f"{len(events)} events from {say_time(incident.opened_at)} to {say_time(stamp(last))}")


def _list_alerts(found: Sequence[Alert], total: int) -> Section:
    if not found:
        return Section("Alerts", (Text("It has no alert."),))
    worst = sorted(found, key=lambda a: (a.severity != "critical", a.id))[:_MOST_ALERTS]
    rows = tuple(
        (a.title, a.severity, a.state, say_time(a.since), say(a.value, 2), say(a.threshold, 2), a.sentence) for a in worst
    )  # fmt: skip
    note = ""
    if len(found) > len(worst):
        kinds = Counter((_words(a.kind), a.severity) for a in found)
        counted = ", ".join(f"{say(n)} {kind.lower()} ({severity})" for (kind, severity), n in kinds.most_common(12))
        of = "In all" if total == len(found) else f"Of the newest {say(len(found))}"
        note = f"The {len(worst)} worst of {say(total)} are shown. {of}: {counted}."
    headers = ("Alert", "Severity", "State", "Since", "Value", "Limit", "Said")
    return Section("Alerts", (Table(headers, rows, numbers=frozenset({4, 5}), wide=frozenset({6}), note=note),))


def _list_audit(home: Home, incident: Incident) -> Section:
    """What the audit holds of the same correlation id: the way from alert to request, job, version and report."""
    found, total = audit.search(home, correlation_id=incident.correlation_id, limit=_MOST_AUDIT)
    if not found:
        return Section("In the audit", (Text("The audit holds nothing of this correlation id."),))
    rows = tuple((str(e["seq"]), _minute(e["at"]), e["actor"], _words(e["action"]), e["subject"], e["outcome"]) for e in reversed(found))
    note = f"The newest {len(found)} of {count_of(total, 'event')}." if total > len(found) else ""
    return Section("In the audit", (Table(("Event", "When (UTC)", "Who", "What", "About", "Outcome"), rows, numbers=frozenset({0}), note=note),))


def _say_length(since: str, until: str) -> str:
    minutes = round((parse(until) - parse(since)).total_seconds() / 60)
    days, rest = divmod(minutes, 1440)
    hours, minutes = divmod(rest, 60)
    parts = ((days, "day"), (hours, "hour"), (minutes, "minute"))
    found = [count_of(n, word) for n, word in parts if n][:2]
    return " and ".join(found) or "less than a minute"


def _call_action(name: str) -> str:
    """What the console calls an action."""
    return ACTIONS[name].title if name in ACTIONS else _words(name)


def _call_event(event: Event) -> str:
    """What an event is, in the words of the timeline on the Agent page: "Alert, critical", "Clear the caches: done"."""
    status = event.status.replace("_", " ")
    if event.kind == "end":
        return _words(status) or "End"
    if event.kind == "decision":
        return f"Decision, {status} severity" if status in BANDS else "Decision"
    if event.action:
        what = f"{'Request: ' if event.kind == 'request' else ''}{_call_action(event.action)}"
        return f"{what}, {status}" if status else what
    return f"{_words(event.kind)}, {status}" if status else _words(event.kind)


def _minute(moment: str) -> str:
    return say_time(moment).removesuffix("\u00a0UTC")


def _words(name: object) -> str:
    text = str(name or "").replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_plain(v) for v in value[:20]) or "none"
    if isinstance(value, dict):
        return "; ".join(f"{_words(k)} {_plain(v)}" for k, v in list(value.items())[:20]) or "none"
    return UNKNOWN if value is None else say(value)
