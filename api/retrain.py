"""POST retrain/check: is a retraining due? Every trigger with its value beside its threshold."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from api.answers import answer_json, request_key
from api.visit import visit_of
from core.retraining import triggers


class TriggerOut(TypedDict):
    """One reason to retrain; ``fired`` null is unknown."""

    name: str
    value: float | None
    threshold: float
    unit: str
    fired: bool | None
    sentence: str


class RetrainOut(TypedDict):
    """What was found. Nothing is started by it: people start a training, or a schedule does."""

    request_id: str
    project: str
    at: str
    next_at: str
    due: bool
    sentence: str
    triggers: list[TriggerOut]
    written: bool


def check_retraining(
    request: Request, project: str, dry_run: Annotated[bool, Query(description="Only look; write nothing down.")] = False
) -> Response:
    visit = visit_of(request)
    name = visit.enter(project).name
    if dry_run:
        check = triggers.check(visit.home, name, now=visit.at)
        found = {**check.__dict__, "triggers": [dict(t.__dict__) for t in check.triggers]}
    else:
        found = triggers.note_check(visit.home, visit.actor(), name, key=request_key(request, visit), now=visit.at)
    return answer_json({"request_id": visit.request_id, **found, "written": not dry_run})
