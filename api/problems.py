"""What went wrong, as application/problem+json: one sentence with the cure, never a trace, a path or a statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired

from pydantic_core import to_json
from starlette.responses import Response
from typing_extensions import TypedDict

from core.errors import BadInput, BadValue, GreenlightError, NotFound, Refused

MEDIA_TYPE = "application/problem+json"
TITLES = {
    400: "Not readable", 401: "No valid key", 403: "Not allowed", 404: "Not found", 405: "Not possible here",
    408: "Too slow", 409: "Refused", 413: "Too large", 415: "Wrong content type", 422: "Not usable",
    429: "Too many requests", 500: "Failed", 503: "Not available",
}  # fmt: skip


class Trouble(TypedDict):
    """One place in the request that has to be changed; rows are counted from 1."""

    row: NotRequired[int]
    column: NotRequired[str]
    message: str
    cure: NotRequired[str]


class ProblemBody(TypedDict):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: NotRequired[list[Trouble]]
    request_id: str


class Problem(Exception):
    """A request that is answered with a problem."""

    def __init__(
        self, status: int, detail: str, errors: Sequence[Trouble] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})


def to_problem(error: GreenlightError) -> Problem:
    """The status that each kind of refusal has over HTTP; its sentence goes out as it is."""
    if isinstance(error, BadValue):
        trouble: Trouble = {"row": error.row, "column": error.column, "message": str(error), "cure": error.cure}
        return Problem(422, str(error), [trouble])
    if isinstance(error, BadInput):
        return Problem(422, str(error))
    if isinstance(error, NotFound):
        return Problem(404, str(error))
    return Problem(409 if isinstance(error, Refused) else 503, str(error))


def answer_problem(problem: Problem, request_id: str) -> Response:
    body: dict[str, Any] = {
        "type": "about:blank", "title": TITLES[problem.status], "status": problem.status, "detail": problem.detail,
    }  # fmt: skip
    if problem.errors:
        body["errors"] = problem.errors
    body["request_id"] = request_id
    return Response(to_json(body, inf_nan_mode="null"), problem.status, problem.headers, MEDIA_TYPE)
