"""How it goes: health, request statistics, posted observations, and all of it for Prometheus."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, NotRequired

from fastapi import Query
from pydantic import AwareDatetime, ConfigDict, Field, with_config
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from api.answers import answer_json
from api.body import adapter_of, parse
from api.problems import Problem
from api.visit import visit_of
from core.monitoring import exposition, health, observations, stats
from core.monitoring.histogram import Latency
from core.scoring import log
from core.times import stamp

LONGEST_WINDOW = 366 * 24 * 60  # minutes
_FORBID = ConfigDict(extra="forbid")


class Part(TypedDict):
    name: str
    project: str
    state: str
    reason: str


class HealthOut(TypedDict):
    """``state`` is the worst of the parts: ok, unknown, warning or failed."""

    state: str
    at: str
    parts: list[Part]


def health_of(request: Request) -> Response:
    visit = visit_of(request)
    allowed = {p.name for p in visit.projects()}
    found = [h for h in health.check_health(visit.home, now=visit.at) if not h.project or h.project in allowed]
    parts = [{"name": h.name, "project": h.project, "state": h.state, "reason": _show_reason(h)} for h in found]
    return answer_json({"state": health.worst(found), "at": stamp(visit.at), "parts": parts})


def _show_reason(part: health.Health) -> str:
    # what an exception says may name files of this machine; people read it on the Monitoring page
    unseen = part.state == "failed" and part.reason.startswith("It cannot be looked at")
    return "It cannot be looked at; the Monitoring page says why." if unseen else part.reason


class LatencyOut(TypedDict):
    """Milliseconds; percentiles are within 1 %."""

    n: int
    mean: float
    std: float
    p50: float
    p95: float
    p99: float
    most: float


class WindowOut(TypedDict):
    since: str
    until: str
    requests: int
    rows: int
    errors: int
    refused: int
    per_second: float
    error_rate: float | None
    api_latency_ms: LatencyOut | None
    stages_ms: dict[str, LatencyOut]


class ObservationOut(TypedDict):
    name: str
    n: int
    mean: float
    std: float
    p50: float
    p95: float
    p99: float
    least: float
    most: float
    last: float
    last_at: str


class MetricsOut(WindowOut):
    """The last minutes, and as many before them; null is unknown, because nothing was asked."""

    project: str | None
    window_minutes: int
    predictions_today: int
    before: WindowOut
    observations: list[ObservationOut]


def metrics(
    request: Request,
    window_minutes: Annotated[int, Query(ge=1, le=LONGEST_WINDOW, description="How far back.")] = 60,
    project: Annotated[str | None, Query(max_length=50, description="Only this project; all of them otherwise.")] = None,
) -> Response:
    visit = visit_of(request)
    if project is None and visit.key is not None and not visit.key.every_project:
        raise Problem(422, f"This key is good for {', '.join(visit.key.projects)}: say ?project= for one of them.")
    name = visit.enter(project).name if project is not None else None
    window = stats.window(visit.home, name, window_minutes, now=visit.at)
    before = window.before
    assert before is not None
    names = [name] if name is not None else [p.name for p in visit.projects()]
    posted = observations.window(visit.home, name, window_minutes, now=visit.at) if name is not None else []
    return answer_json({
        "project": name, "window_minutes": window_minutes, **_show_window(window),
        "predictions_today": sum(log.count_today(visit.home, n, now=visit.at) for n in names),
        "before": _show_window(before), "observations": [dict(o.__dict__) for o in posted],
    })  # fmt: skip


def _show_window(window: stats.Window) -> dict[str, Any]:
    return {
        "since": stamp(window.since), "until": stamp(window.until), "requests": window.requests, "rows": window.rows,
        "errors": window.errors, "refused": window.refused, "per_second": window.per_second, "error_rate": window.error_rate,
        "api_latency_ms": _show_latency(window.latency),
        "stages_ms": {name: _show_latency(found) for name, found in window.stages.items()},
    }  # fmt: skip


def _show_latency(latency: Latency | None) -> dict[str, float] | None:
    return None if latency is None else dict(latency.__dict__)


@with_config(_FORBID)
class Observation(TypedDict):
    name: Annotated[str, Field(strict=True, pattern=r"^[a-z][a-z0-9_]{0,59}$", description="For instance embedding_latency_ms.")]
    value: Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e100, le=1e100)]
    at: NotRequired[Annotated[AwareDatetime, Field(strict=True, description="When it was measured; now unless said.")]]


@with_config(_FORBID)
class Observations(TypedDict):
    project: Annotated[str, Field(strict=True, max_length=50)]
    observations: Annotated[list[Observation], Field(min_length=1, max_length=1000)]


class Posted(TypedDict):
    request_id: str
    project: str
    kept: int


def post_observations(request: Request) -> Response:
    visit = visit_of(request)
    body = parse(visit.body, adapter_of(Observations), lambda b: 2 + sum(map(len, b["observations"])))
    project = visit.enter(body["project"]).name
    values: list[tuple[str, float, datetime | None]] = [(o["name"], o["value"], o.get("at")) for o in body["observations"]]
    kept = observations.post(visit.home, visit.caller, project, values, now=visit.at)
    return answer_json({"request_id": visit.request_id, "project": project, "kept": kept})


def scrape(request: Request) -> Response:
    visit = visit_of(request)
    if visit.key is not None and not visit.key.every_project:
        raise Problem(403, "This route tells of every project, and this key is good for some; ask an administrator for another.")
    return Response(exposition.render(visit.home, now=visit.at), headers={"Content-Type": exposition.CONTENT_TYPE})
