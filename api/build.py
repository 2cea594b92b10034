"""The API as one ASGI application: which routes there are and what each asks of a key. A table of contents."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from api import health, predict
from api.door import OPEN, Door, Entry, check_declared, failure
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
    """One line of the table below."""

    method: str
    path: str
    scope: str
    endpoint: Callable[..., Any]
    summary: str
    reads_body: bool = False
    direct: bool = False


LINES = (
    Line("GET", "/healthz", OPEN, health.healthz, "Is the process there?"),
    Line("GET", "/readyz", OPEN, health.readyz, "Can a live model answer?"),
    Line("POST", PROJECT + "/predict", "predict", predict.predict, "Predict 1 to 1,000 rows", reads_body=True, direct=True),
)


def make_api(home: Home, settings: Settings, *, clock: Callable[[], datetime] | None = None) -> ASGIApp:
    """The API of one installation, behind its own door.

    It answers /api/..., /metrics, /healthz and /readyz: alone (``uvicorn api:app``), or handed requests by the console's
    door. ``clock`` returns the present time in UTC.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        # only alone: beside the console, the console keeps the logs and closes the journal
        handler = logs.keep_logs(home, f"api-{os.getpid()}")
        try:
            yield
        finally:
            journal.close_journals()
            logging.getLogger("greenlight").removeHandler(handler)
            handler.close()

    app = FastAPI(
        title="Greenlight", version="1", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=lifespan,
        exception_handlers={
            Problem: _on_problem, GreenlightError: _on_refusal, RequestValidationError: _on_parameters, HTTPException: _on_http,
            Exception: _on_failure,
        },
    )  # fmt: skip
    entries = [_add(app, line) for line in LINES]
    return Door(app, home, entries, frozenset(settings.allowed_hosts), clock or utc_now)


def _add(app: FastAPI, line: Line) -> Entry:
    app.add_api_route(
        line.path, line.endpoint, methods=[line.method], summary=line.summary, response_model=None,
        name=line.endpoint.__name__, openapi_extra={"x-scope": line.scope},
    )
    route = app.router.routes[-1]
    assert isinstance(route, Route)
    scope = check_declared(route, line.scope)
    return Entry(route, scope, line.endpoint.__name__, line.reads_body, line.endpoint if line.direct else None)


def _answer(request: Request, problem: Problem) -> Response:
    return answer_problem(problem, visit_of(request).request_id)


def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _answer(request, error)


def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, GreenlightError)
    return _answer(request, to_problem(error))


def _on_parameters(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][-1])
    return _answer(request, Problem(422, f"Parameter {name[:60]!r}: {first['msg'][:1].lower() + first['msg'][1:]}."))


def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _answer(request, Problem(error.status_code, "There is nothing here; GET /api/docs lists what there is."))


def _on_failure(request: Request, error: Exception) -> Response:
    return _answer(request, failure())
