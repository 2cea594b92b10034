"""What a deployment report says: which version went live in place of which, how good it is, and who allowed it why."""

from __future__ import annotations

from typing import Any

from core import approvals, audit
from core.approvals import Request
from core.datasets import versions as datasets
from core.deployment import Deployment, list_deployments
from core.errors import BadInput, NotFound
from core.home import Home
from core.monitoring import alerts
from core.projects.projects import get_definition
from core.registry import wording
from core.registry.versions import Version, get_version
from core.reports import measures
from core.reports.document import (
    UNKNOWN,
    Document,
    Facts,
    Section,
    Table,
    Text,
    count_of,
    say,
    say_range,
    say_time,
    sections_of,
    some,
)
from core.times import parse

_MOST_SPANS = 12
_MOST_ALERTS = 10


def describe(home: Home, project: str, subject: str) -> Document:
    """The report of one deployment or rollback; ``subject`` is its id.

    Raises
    ------
    NotFound
        The project has no such deployment.
    """
    spans = list_deployments(home, project)
    span = next((s for s in spans if str(s.id) == subject), None)
    if span is None:
        raise NotFound(f"Project {project} has no deployment {subject[:20]!r}.")
    definition = get_definition(home, project)
    version = get_version(home, project, span.version)
    request = approvals.get_request(home, span.request_id) if span.request_id else None
    before = next((s for s in spans if s.live_until == span.live_from and s.id != span.id), None)
    event = _find_event(home, span)
    level, verdict = _judge(span, request, version)
    way = "went live" if span.kind == "deploy" else "was brought back"
    return Document(
        "deployment", project, subject, f"Version {span.version} of {definition.title} {way}",
        f"{say_time(span.live_from)}, deployed by {span.deployed_by}", level, verdict,
        Facts((
            ("Live before", before.version if before else "nothing"),
            ("Live from then on", span.version),
            ("Until", say_time(span.live_until) if span.live_until else "still live when this was made"),
            ("How", "deployment of an approved version" if span.kind == "deploy" else "rollback to a version that was live before"),
            ("Model", str(version.summary.get("title") or UNKNOWN)),
        )),
        sections_of(
            _compare(version, request, definition.metric), _list_gates(request), _say_approvals(span, request), _say_origin(home, version),
            _list_alerts(home, span), _list_spans(spans),
        ),
        event.get("correlation_id", ""),
    )  # fmt: skip


def find_subject(home: Home, project: str) -> str:
    """The newest deployment, for who names none."""
    spans = list_deployments(home, project)
    if not spans:
        raise BadInput(f"Nothing was ever deployed in project {project}; there is no deployment to report.")
    return str(spans[0].id)


def _find_event(home: Home, span: Deployment) -> dict[str, Any]:
    """The audit event of the act; its correlation id leads to all that belongs to it."""
    found, _ = audit.search(home, project=span.project, action="deploy" if span.kind == "deploy" else "rollback", outcome="done",
                            since=span.live_from, limit=1000)  # fmt: skip
    return next((e for e in reversed(found) if e["at"] == span.live_from), {})


def _judge(span: Deployment, request: Request | None, version: Version) -> tuple[str, str]:
    if span.kind == "rollback":
        again = f"Version {span.version} was live before and answers again; nothing was trained or approved anew."
        return "look", f"{again} Reason: {span.reason or 'none given'}."
    if request is None:
        return "unknown", "No release request stands behind this deployment."
    evidence = request.evidence
    failed = [f"“{line.title}”" for line in wording.gate_lines(request) if line.state == "failed"]
    live = evidence.get("live") or {}
    against = live.get("sentence") or "Nothing was live when it was requested, so there was nothing to compare it with."
    if failed:
        return "look", f"It was approved although {'conditions' if failed[1:] else 'a condition'} failed: {', '.join(failed)}. {against}"
    return "ok", f"It passes every condition that was asked. {against}"


def _compare(version: Version, request: Request | None, metric: str) -> Section:
    """The version beside what was live and beside doing nothing; from the request's evidence, else from training."""
    evidence = request.evidence if request else {}
    mine = wording.metrics_of(evidence) if evidence else {**(version.summary.get("holdout") or {}), **(version.summary.get("at_threshold") or {})}
    intervals = {} if (evidence or version.summary).get("at_threshold") else (evidence or version.summary).get("intervals") or {}
    nothing = ((evidence or version.summary).get("baseline") or {}).get("holdout") or {}
    live = evidence.get("live") or {}
    old = {live["metric"]: live.get("old"), "accuracy": live.get("old_accuracy")} if live.get("metric") else {}
    rows = tuple(
        (
            wording.METRICS.get(name, name) + (" (decides)" if name == metric else ""), say(nothing.get(name)),
            *((say(old[name]) if name in old else "not compared",) if old else ()),
            say(float(mine[name])), say_range(*measures.find_interval(intervals, name)),
        )
        for name in measures.list_names(mine)
    )  # fmt: skip
    headers = ("Metric", "Doing nothing", *((f"Version {live.get('version')}",) if old else ()), f"Version {version.version}", "95 % interval")
    count = evidence.get("holdout_rows") or mine.get("rows")
    note = f"Measured on {count_of(int(count), 'row')} that no model had seen." if count else ""
    if live.get("metric"):
        name = wording.METRICS.get(live["metric"], live["metric"])
        interval = f"95 % interval {_signed(live.get('low'))} to {_signed(live.get('high'))}"
        note += f" {name} against version {live['version']}: {_signed(live.get('difference'))} ({interval})."
    table = Table(headers, rows, numbers=frozenset(range(1, len(headers))), note=note)
    return Section("How good it is", (*measures.draw(mine, intervals, nothing), table))


def _list_gates(request: Request | None) -> Section | None:
    if request is None or not request.evidence.get("gates"):
        return None
    rows = tuple((line.title, line.word, line.sentence) for line in wording.gate_lines(request))
    return Section("Conditions", (Table(("Condition", "State", "Measured"), rows, wide=frozenset({2})),))


def _say_approvals(span: Deployment, request: Request | None) -> Section:
    deployed = ("Deployed", f"{span.deployed_by}, {say_time(span.live_from)}", span.reason or "no reason was given")
    if request is None:
        note = "A rollback needs no approval of its own: the version was approved and live before."
        return Section("Who allowed it", (Table(("Step", "Who and when", "Reason"), (deployed,), wide=frozenset({2}), note=note),))
    rows = (
        ("Trained", request.trained_by, ""),
        ("Requested", f"{request.requested_by}, {say_time(request.requested_at)}", request.reason),
        ("Approved", f"{request.decided_by or UNKNOWN}, {say_time(request.decided_at)}", request.decision_reason or "no reason was given"),
        deployed,
    )
    note = "It was approved expressly although a condition failed." if request.despite_gates else ""
    return Section(f"Who allowed it (request {request.id})", (Table(("Step", "Who and when", "Reason"), rows, wide=frozenset({2}), note=note),))


def _say_origin(home: Home, version: Version) -> Section:
    dataset = datasets.get_dataset(home, version.dataset_id)
    rows = [
        ("Trained by", version.trained_by),
        ("Registered", f"{version.registered_by}, {say_time(version.registered_at)}"),
        ("Data", f"version {dataset.version}, {dataset.file_name}, {count_of(dataset.rows, 'row')}"),
        ("Data sha256", dataset.sha256),
        ("Artifact sha256", version.sha256),
    ]
    if version.threshold is not None:
        rows.append(("Decision threshold", f"{version.threshold:.3g}"))
    return Section("Where it comes from", (Facts(tuple(rows)),))


def _list_alerts(home: Home, span: Deployment) -> Section:
    """Alerts that were open at the moment of the switch."""
    at = span.live_from
    found = [a for a in alerts.list_alerts(home, span.project, since=parse(at), limit=1000) if a.since <= at]
    found += [a for a in alerts.list_open(home, span.project) if a.since <= at and a.last_seen_at < at]
    known = {a.id: a for a in found if a.resolved_at is None or a.resolved_at > at}
    if not known:
        return Section("Alerts at that moment", (Text("No alert was open when it went live."),))
    rows = [(a.title, a.severity, say_time(a.since), a.sentence) for a in known.values()]
    kept, note = some(rows, _MOST_ALERTS, "alerts")
    return Section("Alerts at that moment", (Table(("Alert", "Severity", "Since", "Said"), kept, wide=frozenset({3}), note=note),))


def _list_spans(spans: list[Deployment]) -> Section:
    rows = [
        (s.version, s.kind, say_time(s.live_from), say_time(s.live_until) if s.live_until else "now", s.deployed_by, s.reason or "")
        for s in spans
    ]  # fmt: skip
    kept, note = some(rows, _MOST_SPANS, "spans")
    return Section("Who was live when", (Table(("Version", "How", "From", "Until", "By", "Reason"), kept, wide=frozenset({5}), note=note),))


def _signed(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:+.3f}"
