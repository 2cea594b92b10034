"""The API's description (OpenAPI), with the real columns of each project that the caller may know of."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from starlette.routing import BaseRoute

from api import schemas
from api.door import DOCS, MACHINE, OPEN, SIGNED
from api.problems import MEDIA_TYPE, TITLES, ProblemBody
from api.schema import find_served
from api.visit import Visit
from core import keys
from core.projects.example import make_example_row
from core.projects.projects import Project

REFERENCE = "#/components/schemas/{model}"
INTRODUCTION = """Every request needs a key in the header X-API-Key; an administrator makes it, for the work that it is for.
Answers are JSON. What is refused is answered as application/problem+json: one sentence that says how to cure it, with row and
column where there are any; rows are counted from 1. Every answer carries X-Request-ID; quote it when you ask about one."""

_SCOPE_WORDS = {
    OPEN: "Open: needs no key.",
    DOCS: "Any valid key, or a signed-in person.",
    SIGNED: "Needs no key but a signature (see below).",
    MACHINE: "From this machine without a key; from elsewhere with a key for read.",
}
_ALWAYS = (400, 401, 403, 404, 429)


def describe(routes: Sequence[BaseRoute], visit: Visit) -> dict[str, Any]:
    """OpenAPI 3.1 of all routes; predict, recommend and feedback stand once for each project."""
    document = get_openapi(title="Greenlight", version="1", description=INTRODUCTION, routes=routes)
    shared = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        shared.pop(name, None)
    _add_model(shared, "Problem", TypeAdapter(ProblemBody))
    document["components"]["securitySchemes"] = {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}
    projects = visit.projects()
    paths: dict[str, Any] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(operation, shared)
            each = operation.pop("x-each-project", "")
            if not each:
                _name_projects(operation, projects)
                paths.setdefault(path, {})[method] = operation
                continue
            for project in projects:
                if each != "recommend" or project.task == "ranking":
                    one = _for_project(copy.deepcopy(operation), each, project, visit, shared)
                    paths.setdefault(path.replace("{project}", project.name), {})[method] = one
    document["paths"] = paths
    return document


def _complete(operation: dict[str, Any], shared: dict[str, Any]) -> None:
    """What every route has in common: who may ask, and how it is refused."""
    scope = operation["x-scope"]
    responses = operation["responses"]
    responses.pop("422", None)
    statuses: list[int] = []
    if scope == OPEN:
        statuses = [400, 403, *([503] if operation["operationId"] == "readyz" else [])]
        operation["security"] = []
    else:
        statuses = [*_ALWAYS, *([422] if operation.get("parameters") or "x-body" in operation or "x-each-project" in operation else [])]
        operation["security"] = [] if scope == SIGNED else [{}, {"key": []}] if scope == MACHINE else [{"key": []}]
    if "x-body" in operation or "x-each-project" in operation:
        statuses += [408, 413, 415]
    if "x-body" in operation:
        schema = operation.pop("x-body")
        shared.update({f"{operation['operationId']}_{part}": model for part, model in schema.pop("$defs", {}).items()})
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if scope in ("predict", "feedback", "observe", "retrain", SIGNED):
        statuses += [409, 503]
    problem = {MEDIA_TYPE: {"schema": {"$ref": REFERENCE.format(model="Problem")}}}
    for status in sorted({*statuses}):
        responses[str(status)] = {"description": TITLES[status], "content": problem}
    words = _SCOPE_WORDS.get(scope) or f"Needs a key for {scope}: {keys.SCOPES[scope].lower()}."
    operation["description"] = "\n\n".join(t for t in (operation.get("description", ""), words) if t)
    for response in responses.values():
        response.setdefault("headers", {})["X-Request-ID"] = {"schema": {"type": "string"}}


def _name_projects(operation: dict[str, Any], projects: list[Project]) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "project" and projects:
            parameter["example"] = projects[0].name


def _for_project(operation: dict[str, Any], each: str, project: Project, visit: Visit, shared: dict[str, Any]) -> dict[str, Any]:
    definition, version = find_served(visit.home, project)
    adapter = {
        "predict": schemas.rows_adapter, "feedback": schemas.labels_adapter, "recommend": schemas.recommend_adapter,
    }[each](definition, definition.sha256)  # fmt: skip
    name = f"{each}_{project.name}"
    _add_model(shared, name, adapter)
    content: dict[str, Any] = {"schema": {"$ref": REFERENCE.format(model=name)}}
    if each == "predict":
        content["example"] = {"rows": [make_example_row(definition)]}
    elif each == "feedback":
        content["example"] = {"rows": [{"prediction_id": "0123456789abcdef01234567-1", "label": _label(definition)}]}
    elif definition.catalogue is not None:
        content["example"] = {"query": definition.catalogue.example, "k": 5}
    operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    operation["parameters"] = [p for p in operation.get("parameters", ()) if p["name"] != "project"]
    operation["operationId"] = f"{operation['operationId']}_{project.name}"
    operation["summary"] = f"{operation['summary']}: {definition.title}"
    operation["tags"] = [definition.title]
    if each == "predict":
        live = f"Version {version} is live." if version else "Nothing is live yet, so nothing answers."
        operation["description"] = f"{definition.description}\n\n{live} {operation['description']}".strip()
    return operation


def _label(definition: Any) -> Any:
    return definition.classes[-1] if definition.is_classifier else 1.0


def _add_model(shared: dict[str, Any], name: str, adapter: TypeAdapter[Any]) -> None:
    made = adapter.json_schema(ref_template=f"#/components/schemas/{name}_{{model}}")
    for part, schema in made.pop("$defs", {}).items():
        shared[f"{name}_{part}"] = schema
    shared[name] = made
