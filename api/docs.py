"""GET /api/docs and openapi.json: the same description, for people and for programs. Nothing is fetched from other hosts."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, Template, select_autoescape
from starlette.requests import Request
from starlette.responses import Response

from api.answers import answer_json
from api.describe import describe
from api.visit import visit_of

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def openapi(request: Request) -> Response:
    return answer_json(describe(request.app.routes, visit_of(request)))


def show(request: Request) -> Response:
    document = describe(request.app.routes, visit_of(request))
    page = _template().render(
        document=document, groups=_group(document), columns=lambda operation: list_columns(document, operation),
        curl=lambda path, method, operation: make_curl(str(request.base_url).rstrip("/"), path, method, operation),
        resolve=lambda schema: _resolve(document, schema),
    )  # fmt: skip
    return Response(page, media_type="text/html", headers={"Content-Security-Policy": _POLICY})


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), trim_blocks=True, lstrip_blocks=True,
        autoescape=select_autoescape(default=True, default_for_string=True),
    )  # fmt: skip
    return environment.get_template("docs.html")


def _group(document: dict[str, Any]) -> dict[str, list[tuple[str, str, dict[str, Any]]]]:
    """Title -> (path, method, operation); the projects first, then what belongs to all of them."""
    groups: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            title = (operation.get("tags") or ["All projects"])[0]
            groups.setdefault(title, []).append((path, method.upper(), operation))
    rest = groups.pop("All projects", [])
    return {**groups, "All projects": rest}


def list_columns(document: dict[str, Any], operation: dict[str, Any]) -> list[dict[str, str]]:
    """name, type, needed and description of what one row of a request holds; empty where it has no rows."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema = _resolve(document, content.get("schema", {}))
    lists = schema.get("properties", {})
    wanted = lists.get("rows") or lists.get("items") or {}
    row = _resolve(document, wanted.get("items", {})) if wanted else schema
    needed = row.get("required", ())
    return [
        {"name": name, "type": _type(_resolve(document, p)), "needed": "yes" if name in needed else "", "description": p.get("description", "")}
        for name, p in row.get("properties", {}).items()
    ]


def make_curl(base: str, path: str, method: str, operation: dict[str, Any]) -> str:
    """A command that works once the key is filled in."""
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            path = path.replace("{" + parameter["name"] + "}", str(parameter.get("example", "PROJECT")))
    parts = [f"curl -s {base}{path}" if method == "GET" else f"curl -s -X {method} {base}{path}"]
    if operation.get("security") and {} not in operation["security"]:
        parts.append('-H "X-API-Key: $GREENLIGHT_KEY"')
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    if "example" in content:
        body = json.dumps(content["example"], ensure_ascii=False).replace("'", "'\\''")
        parts += ["-H 'Content-Type: application/json'", f"-d '{body}'"]
    return " \\\n  ".join(parts)


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def _type(schema: dict[str, Any]) -> str:
    kinds = [s.get("type", "") for s in schema.get("anyOf", [])] or [str(schema.get("type", ""))]
    return " or ".join(k for k in kinds if k)
