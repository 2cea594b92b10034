"""POST feedback: ground truth for predictions that were made, late or corrected."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from api import schemas
from api.answers import answer_json, request_key
from api.body import parse
from api.visit import visit_of
from core.projects.projects import get_definition
from core.scoring.labels import feed_label_rows


class LabelProblem(TypedDict):
    row: int
    value: str
    problem: str


class Fed(TypedDict):
    """How many labels were new, corrected an earlier one, said the same again, or could not be kept (and why)."""

    request_id: str
    project: str
    new: int
    corrected: int
    same: int
    unknown: int
    unreadable: int
    empty: int
    problems: list[LabelProblem]


def feedback(request: Request) -> Response:
    visit = visit_of(request)
    project = visit.enter(request.path_params["project"])
    definition = get_definition(visit.home, project.name)
    body = parse(visit.body, schemas.labels_adapter(definition, project.definition_sha), schemas.count_names)
    fed = feed_label_rows(
        visit.home, visit.actor(), project.name, body["rows"], source="api", key=request_key(request, visit), now=visit.at
    )
    return answer_json({"request_id": visit.request_id, "project": project.name, **fed})
