"""POST retrain/check: is a retraining due? Every trigger with its value beside its threshold, and the retraining that it starts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from api.answers import answer_json, request_key
from api.problems import Problem
from api.visit import Visit, visit_of
from core.errors import Refused
from core.retraining import retraining, triggers


class TriggerOut(TypedDict):
    """One reason to retrain; ``fired`` null is unknown."""

    name: str
    value: float | None
    threshold: float
    unit: str
    fired: bool | None
    sentence: str


class RetrainOut(TypedDict):
    """What was found. What is due by time or by new labels is started, once; performance and drift go to the agent first."""

    request_id: str
    project: str
    at: str
    next_at: str
    due: bool
    sentence: str
    triggers: list[TriggerOut]
    written: bool
    retraining: int | None
    job: int | None
    started: str


def check_retraining(
    request: Request, project: str, dry_run: Annotated[bool, Query(description="Only look; write and start nothing.")] = False
) -> Response:
    visit = visit_of(request)
    length = request.headers.get("content-length", "0")
    if "transfer-encoding" in request.headers or not length.isdigit() or int(length) > len("{}"):  # or {"dry_run": true} would start one
        raise Problem(422, "This route reads no body: what it takes stands in the address, such as ?dry_run=true to only look.")
    name = visit.enter(project).name
    found = triggers.check(visit.home, name, now=visit.at)
    begun: dict[str, Any] = {"retraining": None, "job": None, "started": "Nothing was started: it was only asked."}
    if dry_run:
        told = {"project": name, "at": found.at, "next_at": found.next_at, "due": found.due, **triggers.plain(found)}
    else:
        key = request_key(request, visit)
        told = triggers.note_check(visit.home, visit.actor(), name, key=key, now=visit.at)
        begun = _start(visit, name, found, key)
    return answer_json({"request_id": visit.request_id, **told, "written": not dry_run, **begun})


def _start(visit: Visit, project: str, found: triggers.RetrainCheck, key: str | None) -> dict[str, Any]:
    if not found.starts_as:
        why = "what fired is looked into by the agent first" if found.due else "no trigger fired"
        return {"retraining": None, "job": None, "started": f"Nothing was started: {why}."}
    try:
        made = retraining.start(
            visit.home, visit.actor(), project, trigger=found.starts_as, reason=found.sentence,
            key=None if key is None else f"{key}:start", now=visit.at,
        )  # fmt: skip
    except Refused as refusal:  # the question was answered all the same
        return {"retraining": None, "job": None, "started": f"Nothing was started: {refusal}"}
    return {"retraining": made["id"], "job": made["job"], "started": f"Retraining {made['id']} was started as job {made['job']}."}
