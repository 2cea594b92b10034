"""Alerts: the list of them, and those that other systems send, signed."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from fastapi import Query
from pydantic import ConfigDict, Field, with_config
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from api.answers import answer_json
from api.body import adapter_of, parse
from api.problems import Problem
from api.visit import visit_of
from core.agent import incidents, rounds
from core.monitoring import alerts, checks, webhooks
from core.monitoring.alerts import Alert
from core.monitoring.checks import Unmeasured
from core.monitoring.webhooks import Incoming

STATES = ("active", "acknowledged", "resolved")
_NOT_SUBJECT = frozenset({"alertname", "project", "severity", "job", "instance"})
SIGNATURE, TIMESTAMP = "x-greenlight-signature", "x-greenlight-timestamp"

_Short = Annotated[str, Field(strict=True, max_length=200)]
_Long = Annotated[str, Field(strict=True, max_length=2_000)]
_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class AlertOut(TypedDict):
    """``incident`` is what the agent made of it, null before it looked; the link leads on from the console's own address.

    ``unmeasured`` says why an open alert is not measured any more, such as that no requests come; null where it is.
    """

    id: int
    project: str
    kind: str
    subject: str
    severity: str
    state: str
    value: float | None
    threshold: float | None
    unit: str
    sentence: str
    version: str | None
    since: str
    last_seen_at: str
    times: int
    acknowledged_at: str | None
    acknowledged_by: str | None
    resolved_at: str | None
    resolved_by: str | None
    correlation_id: str
    incident: int | None
    incident_link: str | None
    unmeasured: str | None


class AlertsOut(TypedDict):
    alerts: list[AlertOut]


_OF_ALERT = tuple(name for name in AlertOut.__annotations__ if name not in ("incident", "incident_link", "unmeasured"))


def list_alerts(
    request: Request,
    project: Annotated[str | None, Query(max_length=50, description="Only this project's.")] = None,
    state: Annotated[str | None, Query(max_length=20, description="Only this state: " + ", ".join(STATES) + ".")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="The newest so many.")] = 100,
) -> Response:
    visit = visit_of(request)
    if state is not None and state not in STATES:
        raise Problem(422, f"{state!r} is no state; the states are {', '.join(STATES)}.")
    states = (state,) if state is not None else ()
    if project is None and visit.key is not None and not visit.key.every_project:
        found = [a for p in visit.projects() for a in alerts.list_alerts(visit.home, p.name, states=states, limit=limit)]
        found = sorted(found, key=lambda a: -a.id)[:limit]
    else:
        name = visit.enter(project).name if project is not None else None
        found = alerts.list_alerts(visit.home, name, states=states, limit=limit)
    of = incidents.list_incidents_of(visit.home, found)
    silent: dict[int, Unmeasured] = {}
    for one in sorted({a.project for a in found if a.open}):
        silent.update(checks.find_unmeasured(visit.home, one, [a for a in found if a.project == one]))
    return answer_json({"alerts": [_show(a, of.get(a.id), silent.get(a.id)) for a in found]})


def _show(alert: Alert, incident: int | None, silent: Unmeasured | None) -> dict[str, Any]:
    why = None if silent is None else f"No requests since {silent.since}." if silent.since else silent.reason
    link = None if incident is None else f"/agent?incident={incident}"
    return {**{name: getattr(alert, name) for name in _OF_ALERT}, "incident": incident, "incident_link": link, "unmeasured": why}


@with_config(ConfigDict(extra="forbid"))
class OneAlert(TypedDict):
    """One alert in our own words."""

    project: _Short
    subject: Annotated[_Short, Field(min_length=1, description="What it is about; the same subject again joins the open alert.")]
    sentence: Annotated[_Long, Field(description="What happened, as a person should read it.")]
    severity: NotRequired[Literal["warning", "critical"]]
    status: NotRequired[Literal["firing", "resolved"]]
    value: NotRequired[_Number | None]
    threshold: NotRequired[_Number | None]
    unit: NotRequired[_Short]
    id: NotRequired[Annotated[_Short, Field(description="The sender's own id; the same id again is refused.")]]


class ManagedAlert(TypedDict):
    status: Literal["firing", "resolved"]
    labels: Annotated[dict[str, _Long], Field(max_length=100)]
    annotations: NotRequired[Annotated[dict[str, _Long], Field(max_length=100)]]


class Managed(TypedDict):
    """What Alertmanager sends (its webhook, version 4): each alert carries the labels alertname and project."""

    alerts: Annotated[list[ManagedAlert], Field(min_length=1, max_length=200)]


class Taken(TypedDict):
    id: int | None
    project: str
    subject: str
    state: str


class TakenOut(TypedDict):
    request_id: str
    alerts: list[Taken]


def take_alerts(request: Request) -> Response:
    """Signed with HMAC-SHA256: ``sha256=`` and the hexadecimal digest of timestamp, full stop, body.

    Alertmanager cannot sign: its payload is also taken with a key of the scope "observe", for the key's projects.
    """
    visit = visit_of(request)
    signature = request.headers.get(SIGNATURE, "")
    if visit.key is None:
        try:
            webhooks.check_signature(visit.home, request.headers.get(TIMESTAMP, ""), signature, visit.body, now=visit.at)
        except webhooks.WrongSignature as error:
            raise Problem(401, str(error), headers={"WWW-Authenticate": 'Signature realm="Greenlight"'}) from error
        visit.caller = webhooks.BY
    managed = "alerts" in parse(visit.body, adapter_of(dict[str, Any]))
    if visit.key is not None and not managed:
        raise Problem(401, "Only what Alertmanager sends is taken with a key; sign this message with the alert webhook's secret.")
    body = parse(visit.body, adapter_of(Managed if managed else OneAlert))
    incoming = _read_all_managed(body["alerts"]) if managed else [_read_own(body)]
    for one in incoming:
        visit.check_reach(one.project)
    taken = webhooks.receive(visit.home, signature, incoming, identity=body.get("id", ""), now=visit.at)
    visit.project = incoming[0].project
    rounds.hear(visit.home, {one.project for one in incoming}, now=visit.at)
    return answer_json({"request_id": visit.request_id, "alerts": taken}, status=202)


def _read_own(body: dict[str, Any]) -> Incoming:
    for name, what in (("subject", "it is about"), ("sentence", "happened")):
        if not body[name].strip():
            raise Problem(422, f"Field {name!r} is empty; say in it what {what}.")
    return Incoming(
        body["project"], body["subject"], body.get("severity", "warning"), body["sentence"], body.get("status") != "resolved",
        body.get("value"), body.get("threshold"), body.get("unit", ""),
    )  # fmt: skip


def _read_all_managed(found: list[dict[str, Any]]) -> list[Incoming]:
    """Where a rule has a warning and a critical band, one ends as the other begins, in one message: what fires counts."""
    incoming = [_read_managed(n, a) for n, a in enumerate(found, 1)]
    fires = {(one.project, one.subject) for one in incoming if one.firing}
    return [one for one in incoming if one.firing or (one.project, one.subject) not in fires]


def _read_managed(number: int, alert: dict[str, Any]) -> Incoming:
    labels, notes = alert["labels"], alert.get("annotations", {})
    for name in ("project", "alertname"):
        if not labels.get(name, "").strip():
            raise Problem(422, f"Alert {number} has no label {name!r}; add it to the alerting rule.")
    sentence = notes.get("summary") or notes.get("description") or labels["alertname"]
    severity = "critical" if labels.get("severity") in ("critical", "error", "page") else "warning"
    # one rule may fire for several columns or routes at once; each is a subject of its own
    subject = " ".join([labels["alertname"], *(labels[name] for name in sorted(labels) if name not in _NOT_SUBJECT)])
    return Incoming(labels["project"], subject, severity, sentence, alert["status"] == "firing")
