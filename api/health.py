"""Is the service there, and can it answer? For load balancers and supervisors: they bring no key and learn nothing else."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from api.problems import Problem
from api.visit import visit_of
from core.scoring.readiness import is_ready


class Status(TypedDict):
    status: str


async def healthz(request: Request) -> Response:
    """The process is there and answers."""
    return Response('{"status":"ok"}', media_type="application/json")


def readyz(request: Request) -> Response:
    """A live model loads, and scored a row within the last seconds."""
    if not is_ready(visit_of(request).home):
        raise Problem(503, "Not ready: no live model can answer here.", headers={"Retry-After": "5"})
    return Response('{"status":"ready"}', media_type="application/json")
