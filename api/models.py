"""Registered versions, and which one is live."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from api.answers import answer_json
from api.problems import Problem
from api.visit import visit_of
from core.deployment import find_live
from core.registry.versions import Version, get_version, list_versions

STAGES = ("training", "validation", "approved", "production", "archived")


class ModelOut(TypedDict):
    """One version; ``metrics`` are those of the hold-out rows, ``metric`` names the one that gates use."""

    project: str
    version: str
    stage: str
    stage_reason: str
    estimator: str
    metric: str
    metrics: dict[str, float | None]
    threshold: float | None
    sha256: str
    trained_by: str
    registered_by: str
    registered_at: str


class ModelsOut(TypedDict):
    models: list[ModelOut]


class LiveOut(ModelOut):
    live_from: str
    deployed_by: str


def models(
    request: Request,
    project: Annotated[str | None, Query(max_length=50, description="Only this project's.")] = None,
    stage: Annotated[str | None, Query(max_length=20, description="Only this stage: " + ", ".join(STAGES) + ".")] = None,
) -> Response:
    visit = visit_of(request)
    if stage is not None and stage not in STAGES:
        raise Problem(422, f"{stage!r} is no stage; the stages are {', '.join(STAGES)}.")
    projects = [visit.enter(project)] if project is not None else visit.projects()
    found = [v for p in projects for v in list_versions(visit.home, p.name) if stage is None or v.stage == stage]
    return answer_json({"models": [_show(v) for v in found]})


def production(request: Request, project: str) -> Response:
    visit = visit_of(request)
    name = visit.enter(project).name
    live = find_live(visit.home, name)
    if live is None:
        raise Problem(404, f"Project {name} has no live version; request a release, have it approved, and let DevOps deploy it.")
    shown = _show(get_version(visit.home, name, live.version))
    return answer_json({**shown, "live_from": live.live_from, "deployed_by": live.deployed_by})


def _show(version: Version) -> dict[str, object]:
    summary = version.summary
    return {
        "project": version.project, "version": version.version, "stage": version.stage, "stage_reason": version.stage_reason,
        "estimator": summary["title"], "metric": summary["metric"], "metrics": summary["holdout"], "threshold": version.threshold,
        "sha256": version.sha256, "trained_by": version.trained_by, "registered_by": version.registered_by,
        "registered_at": version.registered_at,
    }  # fmt: skip
