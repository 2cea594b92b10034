"""What a project's rows look like, made from its definition: the validation of a request and its description are one."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Annotated, Any

from pydantic import AliasChoices, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, with_config
from pydantic_core import core_schema
from typing_extensions import NotRequired, TypedDict

from core.projects.definition import Column, Definition

MOST_ROWS = 1_000
LONGEST_TEXT = 10_000
_KEPT = 32

_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class _Cell:
    """A category, key or note: text, or what JSON has for "True" and "3"; one sentence says what it is not."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        whole = core_schema.int_schema(strict=True, ge=-(2**53), le=2**53)  # beyond it JSON numbers are not exact anyway
        return core_schema.union_schema(
            [
                core_schema.str_schema(strict=True, max_length=LONGEST_TEXT), core_schema.bool_schema(strict=True), whole,
                core_schema.float_schema(strict=True, allow_inf_nan=False), core_schema.none_schema(),
            ],
            mode="left_to_right", custom_error_type="cell_type", custom_error_message="is neither text nor number",
        )  # fmt: skip

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        kinds = [{"type": "string", "maxLength": LONGEST_TEXT}, {"type": "boolean"}, {"type": "number"}, {"type": "null"}]
        return {"anyOf": kinds}


_made: OrderedDict[tuple[str, str, str], Any] = OrderedDict()
_lock = threading.Lock()


def rows_adapter(definition: Definition, sha: str) -> TypeAdapter[Any]:
    """Reads ``{"rows": [...]}``; kept by the definition's sha256.

    Every feature stands in every row, under its name or an alias, and null says that it is missing. Key and ignored
    columns may come along. Names that the definition does not know are refused. Numbers are numbers: text is refused,
    so that "1,5" is never guessed at. Values outside a plausible range are no error: they are predicted and listed.
    """
    adapter: TypeAdapter[Any] = _keep(("rows", definition.name, sha), lambda: TypeAdapter(_wrap(row_type(definition))))
    return adapter


def _keep(key: tuple[str, str, str], make: Any) -> Any:
    with _lock:
        if key in _made:
            _made.move_to_end(key)
            return _made[key]
    made = make()
    with _lock:
        _made[key] = made
        while len(_made) > _KEPT:
            _made.popitem(last=False)
    return made


def row_type(definition: Definition) -> Any:
    """One row as a TypedDict."""
    fields: dict[str, Any] = {}
    example = example_row(definition)
    for column in definition.columns:
        options: dict[str, Any] = {"description": describe_column(column)}
        if column.name in example:
            options["examples"] = [example[column.name]]
        if column.aliases:
            options["validation_alias"] = AliasChoices(column.name, *column.aliases)
        kind = _Number | None if column.kind == "number" else _Cell
        annotated = Annotated[kind, Field(**options)]  # type: ignore[valid-type]
        fields[column.name] = annotated if column.role == "feature" else NotRequired[annotated]
    row = TypedDict("Row", fields)  # type: ignore[operator]
    return with_config(ConfigDict(extra="forbid", json_schema_extra={"examples": [example]}))(row)


def _wrap(row: Any) -> Any:
    rows = Annotated[list[row], Field(min_length=1, max_length=MOST_ROWS, description="The rows to predict.")]  # type: ignore[valid-type]
    body = TypedDict("Rows", {"rows": rows})  # type: ignore[operator]
    return with_config(ConfigDict(extra="forbid"))(body)


def count_names(body: Any) -> int:
    """Names in a parsed ``{"rows": [...]}``."""
    rows = body["rows"]
    return 1 + sum(map(len, rows))


def describe_column(column: Column) -> str:
    """Help, unit, plausible range and known values, as one line."""
    parts = [column.help.rstrip(".")] if column.help else []
    if column.unit:
        parts.append(f"in {column.unit}")
    if column.low is not None or column.high is not None:
        low = "" if column.low is None else f"{column.low:g}"
        high = "" if column.high is None else f"{column.high:g}"
        parts.append(f"plausible from {low} to {high}" if low and high else f"plausible from {low}" if low else f"plausible up to {high}")
    if column.integer:
        parts.append("whole number")
    if column.allowed:
        parts.append("one of " + ", ".join(column.allowed))
    if column.aliases:
        parts.append("also called " + ", ".join(column.aliases))
    return "; ".join(parts) + "." if parts else f"{column.kind.capitalize()}."


def example_row(definition: Definition) -> dict[str, Any]:
    """A row that works: the first known case, or the middle of every range."""
    if definition.known_cases:
        case = definition.known_cases[0].row
        return {c.name: case.get(c.name) for c in definition.features}
    return {c.name: _typical(c) for c in definition.features}


def _typical(column: Column) -> Any:
    if column.kind != "number":
        return column.allowed[0] if column.allowed else None
    if column.low is None or column.high is None:
        return None
    middle = (column.low + column.high) / 2
    return round(middle) if column.integer else round(middle, 3)
