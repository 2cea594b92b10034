"""The API as one ASGI application: which routes there are and what each asks of a key. A table of contents."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from api import alerts, docs, feedback, health, models, monitoring, predict, recommend, retrain, schema
from api.body import describe_parameter
from api.door import DOCS, MACHINE, OPEN, SIGNED, Door, Entry, check_declared, failure
from api.problems import Problem, answer_problem, to_problem
from api.visit import visit_of
from core import logs
from core.errors import GreenlightError
from core.home import Home
from core.scoring import journal
from core.settings import Settings
from core.times import utc_now

PROJECT = "/api/v1/projects/{project}"


@dataclass(frozen=True)
class Line:
    """One line of the table below.

    Attributes
    ----------
    scope : str
        What a key must be good for, or one of the door's own words.
    answer : type
        The shape of a good answer.
    body : type or str
        The shape of the request's body; "predict", "recommend" or "feedback" where it depends on the project.
    direct : bool
        Answered without the framework around it.
    """

    method: str
    path: str
    scope: str
    endpoint: Callable[..., Any]
    summary: str
    answer: Any = None
    body: Any = None
    status: int = 200
    direct: bool = False


LINES = (
    Line("POST", PROJECT + "/predict", "predict", predict.predict, "Predict 1 to 1,000 rows", predict.Predicted, "predict", direct=True),
    Line("POST", PROJECT + "/recommend", "predict", recommend.recommend, "Rank items for a query", recommend.Recommended, "recommend"),
    Line("POST", PROJECT + "/feedback", "feedback", feedback.feedback, "Feed labels back", feedback.Fed, "feedback"),
    Line("GET", PROJECT + "/schema", "read", schema.schema, "The columns of a project", schema.SchemaOut),
    Line("GET", PROJECT + "/template.csv", "read", schema.template, "A table with the right header and one row", "text/csv"),
    Line("POST", PROJECT + "/retrain/check", "retrain", retrain.check_retraining, "Is a retraining due?", retrain.RetrainOut),
    Line("GET", "/api/v1/models", "read", models.models, "Registered versions", models.ModelsOut),
    Line("GET", "/api/v1/models/{project}/production", "read", models.production, "The live version", models.LiveOut),
    Line("GET", "/api/v1/health", "read", monitoring.health_of, "Is the installation well?", monitoring.HealthOut),
    Line("GET", "/api/v1/metrics", "read", monitoring.metrics, "Requests, errors, latencies", monitoring.MetricsOut),
    Line("POST", "/api/v1/observations", "observe", monitoring.post_observations, "Post measurements of your own", monitoring.Posted,
         monitoring.Observations),
    Line("GET", "/api/v1/alerts", "read", alerts.list_alerts, "Alerts, the newest first", alerts.AlertsOut),
    Line("POST", "/api/v1/alerts", SIGNED, alerts.take_alerts, "Send an alert, signed", alerts.TakenOut, alerts.OneAlert | alerts.Managed, 202),
    Line("GET", "/api/docs", DOCS, docs.show, "This page", "text/html"),
    Line("GET", "/api/openapi.json", DOCS, docs.openapi, "This description, for programs", dict[str, Any]),
    Line("GET", "/metrics", MACHINE, monitoring.scrape, "Everything, for Prometheus", "text/plain"),
    Line("GET", "/healthz", OPEN, health.healthz, "Is the process there?", health.Status),
    Line("GET", "/readyz", OPEN, health.readyz, "Can a live model answer?", health.Status),
)


def make_api(home: Home, settings: Settings, *, clock: Callable[[], datetime] | None = None) -> ASGIApp:
    """The API of one installation, behind its own door.

    It answers /api/..., /metrics, /healthz and /readyz: alone (``uvicorn api:app``), or handed requests by the console's
    door. ``clock`` returns the present time in UTC.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        # only alone: beside the console, the console keeps the logs and closes the journal
        handler = logs.keep_logs(home, settings.log_level)
        try:
            yield
        finally:
            journal.close_journals()
            logs.drop_logs(handler)

    app = FastAPI(
        title="Greenlight", version="1", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=lifespan,
        exception_handlers={
            Problem: _on_problem, GreenlightError: _on_refusal, RequestValidationError: _on_parameters, HTTPException: _on_http,
            Exception: _on_failure,
        },
    )  # fmt: skip
    entries = [_add(app, line) for line in LINES]
    return Door(
        app, home, entries, frozenset(settings.allowed_hosts), clock or utc_now, settings.named_proxies, settings.address_per_minute
    )


def _add(app: FastAPI, line: Line) -> Entry:
    name = line.endpoint.__name__
    extra: dict[str, Any] = {"x-scope": line.scope}
    if isinstance(line.body, str):
        extra["x-each-project"] = line.body
    elif line.body is not None:
        extra["x-body"] = TypeAdapter(line.body).json_schema(ref_template="#/components/schemas/" + name + "_{model}")
    plain: dict[int | str, Any] = {line.status: {"content": {line.answer: {"schema": {"type": "string"}}}}} if isinstance(line.answer, str) else {}
    app.add_api_route(
        line.path, line.endpoint, methods=[line.method], summary=line.summary, status_code=line.status, name=name, operation_id=name,
        response_model=None if plain else line.answer, response_class=Response if plain else JSONResponse, responses=plain,
        openapi_extra=extra,
    )  # fmt: skip
    route = app.router.routes[-1]
    assert isinstance(route, Route)
    scope = check_declared(route, line.scope)
    return Entry(route, scope, name, line.body is not None, line.endpoint if line.direct else None)


def _answer(request: Request, problem: Problem) -> Response:
    return answer_problem(problem, visit_of(request).request_id)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _answer(request, error)


async def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, GreenlightError)
    return _answer(request, to_problem(error))


async def _on_parameters(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _answer(request, describe_parameter(error.errors()[0]))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _answer(request, Problem(error.status_code, "There is nothing here; GET /api/docs lists what there is."))


async def _on_failure(request: Request, error: Exception) -> Response:
    return _answer(request, failure())
