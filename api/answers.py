"""Answers as JSON, and the one kind of date and time that they hold (UTC, as stored)."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from api.problems import Problem
from api.visit import Visit

LONGEST_KEY = 200


def answer_json(content: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """NaN and infinity, which JSON does not have, leave as null."""
    return Response(to_json(content, inf_nan_mode="null"), status, headers, "application/json")


def request_key(request: Request, visit: Visit) -> str | None:
    """The act's request key, from the header Idempotency-Key: the same key with the same body acts once.

    It is the caller's own: two programs may choose the same words. Another body under the same key is another act.
    """
    given = request.headers.get("idempotency-key")
    if given is None:
        return None
    if not 1 <= len(given) <= LONGEST_KEY or not given.isascii() or not given.isprintable():
        raise Problem(422, f"Idempotency-Key takes 1 to {LONGEST_KEY} printable letters; a random UUID is a good one.")
    digest = hashlib.sha256(request.url.path.encode() + b"\0" + visit.body).hexdigest()[:16]
    return f"api:{visit.caller}:{given}:{digest}"
