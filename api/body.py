"""A request's body: read within bounds of size and time, and no further than it can be understood."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.types import Receive

from api.problems import Problem, Trouble

LARGEST = 2 * 1024 * 1024
SECONDS = 10.0
MOST_ERRORS = 20


async def read_body(headers: Mapping[str, str], receive: Receive, *, seconds: float = SECONDS) -> bytes:
    """The whole body of a JSON request.

    Raises
    ------
    Problem
        415 another content type, 413 too large, 408 too slow, 400 the client went away.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "This route reads JSON: send the header Content-Type: application/json.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "Compressed bodies are not read; send the JSON as it is.")
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > LARGEST:
        raise _too_large()
    message = await _receive(receive, seconds)
    if not message.get("more_body"):
        return _bounded(message.get("body", b""))
    parts, size = [message.get("body", b"")], len(message.get("body", b""))
    deadline = time.monotonic() + seconds
    while message.get("more_body"):
        message = await _receive(receive, deadline - time.monotonic())
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > LARGEST:
            raise _too_large()
    return b"".join(parts)


async def _receive(receive: Receive, seconds: float) -> Any:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            message = await receive()
    except TimeoutError:
        detail = f"The body did not come within {SECONDS:.0f} seconds; send it at once."
        raise Problem(408, detail, headers={"Connection": "close"}) from None
    if message["type"] == "http.disconnect":
        raise Problem(400, "The connection ended before the whole request had come.")
    return message


def _bounded(body: bytes) -> bytes:
    if len(body) > LARGEST:
        raise _too_large()
    return body


def _too_large() -> Problem:
    return Problem(
        413, f"The body is larger than {LARGEST // 1024 // 1024} MB; send fewer rows at once.", headers={"Connection": "close"}
    )


def parse(body: bytes, adapter: TypeAdapter[Any], keys: Any = None, *, gaps: bool = False) -> Any:
    """The body as ``adapter`` describes it.

    Parameters
    ----------
    keys : callable, optional
        Counts the names in a parsed value. A body with more colons than names may have one name twice in one object,
        which JSON allows and which hides a value: then it is read again, slowly, to find out.
    gaps : bool
        Whether null stands for a missing value, as in the rows of a table; then the cure of a wrong one says so.

    Raises
    ------
    Problem
        400 where it is no JSON (a repeated name is none), 422 where it is not what is asked for (NaN and infinity never are).
    """
    try:
        value = adapter.validate_json(body)
    except ValidationError as error:
        raise describe(error, gaps=gaps) from error
    if keys is None or body.count(b":") > keys(value):
        _refuse_repeats(body)
    return value


def _refuse_repeats(body: bytes) -> None:
    def check(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise Problem(400, f"The name {name[:60]!r} stands twice in one object; send each name once.")
            seen.add(name)

    json.loads(body, object_pairs_hook=check, parse_float=str, parse_int=str)


@lru_cache(maxsize=64)
def adapter_of(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def describe(error: ValidationError, *, gaps: bool = False) -> Problem:
    """Row, column, what is wrong and how to cure it."""
    found = error.errors(include_url=False, include_context=True, include_input=True)
    if found[0]["type"] == "json_invalid":
        return Problem(400, f"The body is not JSON: {found[0]['ctx']['error']}. Send one JSON object, as UTF-8 without a byte order mark.")
    troubles = [_trouble(e, gaps) for e in found[:MOST_ERRORS]]
    first, more = troubles[0], f" ({len(found) - 1} more)" if len(found) > 1 else ""
    if "row" in first:
        where = f"Row {first['row']}, column {first['column']!r}" if "column" in first else f"Row {first['row']}"
    else:
        where = f"Field {first['column']!r}" if "column" in first else "The body"
    return Problem(422, f"{where} {first['message']}{more}. {first.get('cure', '')}".strip(), troubles)


def describe_parameter(error: Any) -> Problem:
    """The same of a parameter in the address, from the first error that the framework found."""
    trouble = _trouble({**error, "loc": ()}, False)
    return Problem(422, f"Parameter {str(error['loc'][-1])[:60]!r} {trouble['message']}. {trouble.get('cure', '')}".strip(), [trouble])


def _trouble(error: Any, gaps: bool) -> Trouble:
    kind, place, context = error["type"], list(error["loc"]), error.get("ctx", {})
    given = error.get("input")
    kind = "datetime_type" if kind.startswith(("datetime_", "timezone_")) else kind
    if kind == "cell_type" and isinstance(given, str):
        kind = "cell_too_long"
    elif kind == "cell_type" and isinstance(given, int | float) and math.isfinite(given):
        kind = "cell_too_large"
    if kind in _WORDS:
        words, cure = (text.format(**context) for text in _WORDS[kind])
        in_row = len(place) > 2 and isinstance(place[1], int)
        message, cure = words, f"{cure[:-1]}{_GAPS[kind]}" if gaps and in_row and kind in _GAPS else cure
    else:
        message, cure = f"is not possible: {error['msg'][:1].lower()}{error['msg'][1:200]}", ""
    if kind in _SHOWN and isinstance(given, (str, int, float)):
        message = f"{message}: {json.dumps(given)[:60]}"
    trouble: Trouble = {"message": message}
    if len(place) >= 2 and isinstance(place[1], int):
        trouble["row"] = place[1] + 1
        place = place[2:]
    if place:
        trouble["column"] = ".".join(str(p) for p in place)[:100]
    if cure:
        trouble["cure"] = cure
    return trouble


_GAPS = {
    "missing": "; null where the value is unknown.", "float_type": ", or null where it is missing.",
    "finite_number": ", or null where it is missing.", "cell_type": ", or null where it is missing.",
}  # fmt: skip
_WORDS = {
    "missing": ("is absent", "Send it."),
    "extra_forbidden": ("is not known", "Leave it out, or use a name that the description of this route has."),
    "float_type": ("is not a number", "Send a number."),
    "finite_number": ("is not a finite number", "Send a number."),
    "int_parsing": ("is not a whole number", "Send a whole number."),
    "bool_parsing": ("is neither true nor false", "Send true or false."),
    "int_type": ("is not a whole number", "Send a whole number."),
    "int_from_float": ("is not a whole number", "Send a whole number."),
    "bool_type": ("is neither true nor false", "Send true or false, without quotes."),
    "greater_than_equal": ("is too small", "Send at least {ge:g}."),
    "less_than_equal": ("is too large", "Send at most {le:g}."),
    "literal_error": ("is none of {expected}", "Send one of them."),
    "datetime_type": ("is not a time with its zone", "Write it like 2026-11-21T12:00:00Z."),
    "cell_type": ("is neither text nor a finite number", "Send text, a number, true or false."),
    "cell_too_long": ("is too long", "Send at most 10,000 letters."),
    "cell_too_large": ("has more digits than a JSON number keeps", "Send it as text, in quotes."),
    "string_type": ("is not text", "Send text."),
    "list_type": ("is not a list", "Send a list."),
    "dict_type": ("is not an object", "Send an object with names and values."),
    # only names of posted values have a pattern
    "string_pattern_mismatch": ("is no such name", "Begin with a small letter, then small letters, digits and _, 60 in all at most."),
    "string_too_short": ("is empty", "Send some text."),
    "string_too_long": ("is too long", "Send at most {max_length} letters."),
    "too_short": ("has {actual_length} entries, at least {min_length} needed", "Send more."),
    "too_long": ("has {actual_length} entries, at most {max_length} are possible", "Send them in several requests."),
}
_SHOWN = {
    "float_type", "finite_number", "cell_type", "string_type", "dict_type", "list_type", "int_type", "int_from_float", "bool_type",
    "cell_too_large", "int_parsing", "bool_parsing", "greater_than_equal", "less_than_equal", "literal_error", "datetime_type",
    "string_pattern_mismatch",
}  # fmt: skip
