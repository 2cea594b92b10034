"""What a project's rows look like: as JSON, and as a CSV with the right header and one row."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from api.answers import answer_json
from api.visit import visit_of
from core.deployment import find_live
from core.home import Home
from core.projects.definition import Column, Definition
from core.projects.example import make_example_row
from core.projects.projects import Project, get_definition
from core.registry.versions import get_version
from core.scoring.tables import template_csv


class ColumnOut(TypedDict):
    name: str
    kind: str
    role: str
    required: bool
    low: float | None
    high: float | None
    integer: bool
    allowed: list[str]
    aliases: list[str]
    unit: str
    help: str


class SchemaOut(TypedDict):
    """Columns in order; ``required`` ones stand in every row, null where they are missing.

    ``group`` names the column whose rows are ranked together; null but in ranking.
    """

    project: str
    title: str
    task: str
    target: str
    classes: list[str]
    positive: str
    key: str | None
    group: str | None
    model_version: str | None
    definition_sha256: str
    columns: list[ColumnOut]
    example: dict[str, Any]


def schema(request: Request) -> Response:
    visit = visit_of(request)
    project = visit.enter(request.path_params["project"])
    definition, version = find_served(visit.home, project)
    columns = [
        {
            "name": c.name, "kind": c.kind, "role": c.role, "required": c.role == "feature", "low": c.low, "high": c.high,
            "integer": c.integer, "allowed": c.allowed, "aliases": c.aliases, "unit": c.unit, "help": c.help,
        }
        for c in [*definition.columns, *_group_of(definition)]
    ]  # fmt: skip
    return answer_json({
        "project": project.name, "title": definition.title, "task": definition.task, "target": definition.target,
        "classes": definition.classes, "positive": definition.positive, "key": definition.key or None, "group": definition.group or None,
        "model_version": version,
        "definition_sha256": definition.sha256, "columns": columns, "example": make_example_row(definition),
    })  # fmt: skip


def _group_of(definition: Definition) -> list[Column]:
    """The column that says which rows are ranked together; the definition does not list it among its columns."""
    if not definition.group or definition.group in {c.name for c in definition.columns}:
        return []
    return [Column(definition.group, kind="category", role="group", help="The query that the row belongs to; rows of one query are ranked together.")]


def template(request: Request) -> Response:
    visit = visit_of(request)
    project = visit.enter(request.path_params["project"])
    definition, _ = find_served(visit.home, project)
    headers = {"Content-Disposition": f'attachment; filename="{project.name}_template.csv"'}
    return Response(template_csv(definition), media_type="text/csv", headers=headers)


def find_served(home: Home, project: Project) -> tuple[Definition, str | None]:
    """The definition that a request is held against: the live version's, else today's; and the live version."""
    live = find_live(home, project.name)
    if live is None:
        return get_definition(home, project.name), None
    return get_definition(home, project.name, get_version(home, project.name, live.version).definition_sha), live.version
