"""What a project's rows look like, made from its definition: the validation of a request and its description are one."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Annotated, Any, NotRequired

from pydantic import AliasChoices, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, with_config
from pydantic_core import core_schema
from typing_extensions import TypedDict

from core.projects.definition import Column, Definition
from core.projects.example import make_example_row

MOST_ROWS = 1_000
MOST_LABELS = 10_000
MOST_WANTED = 100
LONGEST_QUERY = 500
LONGEST_TEXT = 10_000
EXACT = 2**53  # the largest whole number up to which every JSON reader agrees
_KEPT = 32

_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class _Cell:
    """A category, key or note: text, or what JSON has for "True" and "3"; one sentence says what it is not."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        # beyond it a JSON number loses digits on its way, and a key of twenty digits would become another's
        whole = core_schema.int_schema(strict=True, ge=-EXACT, le=EXACT)
        return core_schema.union_schema(
            [
                core_schema.str_schema(strict=True, max_length=LONGEST_TEXT), core_schema.bool_schema(strict=True), whole,
                core_schema.float_schema(strict=True, allow_inf_nan=False, ge=-EXACT, le=EXACT), core_schema.none_schema(),
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
    """Reads ``{"rows": [...]}``; kept under ``sha``, the definition's or the version's.

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
    example = make_example_row(definition)
    for column in definition.columns:
        options: dict[str, Any] = {"description": describe_column(column)}
        if column.name in example:
            options["examples"] = [example[column.name]]
        if column.aliases:
            options["validation_alias"] = AliasChoices(column.name, *column.aliases)
        kind: Any = _Number | None if column.kind == "number" else _Cell
        annotated = Annotated[kind, Field(**options)]
        fields[column.name] = annotated if column.role == "feature" else NotRequired[annotated]
    if definition.group and definition.group not in fields:
        fields[definition.group] = NotRequired[Annotated[_Cell, Field(description="The query that the row belongs to.")]]
    return _close("Row", fields, {"examples": [example]})


def _wrap(row: Any) -> Any:
    rows = Annotated[list[row], Field(min_length=1, max_length=MOST_ROWS, description="The rows to predict.")]
    asked = Annotated[bool, Field(strict=True, description="Also say what each value contributes; at most 20 rows then.")]
    return _close("Rows", {"rows": rows, "explain": NotRequired[asked]})


def _close(name: str, fields: dict[str, Any], more: Any = None) -> Any:
    """An object with these fields and no others; ``more`` stands in its description."""
    return with_config(ConfigDict(extra="forbid", json_schema_extra=more))(TypedDict(name, fields))  # type: ignore[operator]


def count_names(body: Any) -> int:
    """Names in a parsed ``{"rows": [...]}``."""
    return len(body) + sum(map(len, body["rows"]))


def recommend_adapter(definition: Definition, sha: str) -> TypeAdapter[Any]:
    """Reads ``{"query": ..., "k": ...}`` or ``{"items": [...], "k": ...}``."""
    return _keep(("recommend", definition.name, sha), lambda: TypeAdapter(_wrap_recommend(definition)))


def _wrap_recommend(definition: Definition) -> Any:
    row = row_type(definition)
    items = Annotated[list[row], Field(min_length=1, max_length=MOST_ROWS, description="Rows to rank, instead of a query.")]  # type: ignore[valid-type]
    query = Annotated[str, Field(strict=True, min_length=1, max_length=LONGEST_QUERY, description="What is looked for.")]
    wanted = Annotated[int, Field(strict=True, ge=1, le=MOST_WANTED, description="How many of the best to answer; 10 unless said.")]
    fields = {"query": NotRequired[query], "items": NotRequired[items], "k": NotRequired[wanted]}
    return _close("Recommend", fields, {"oneOf": [{"required": ["query"]}, {"required": ["items"]}]})


def labels_adapter(definition: Definition, sha: str) -> TypeAdapter[Any]:
    """Reads ``{"rows": [...]}`` of labels: each names its prediction and what it should have been."""
    return _keep(("labels", definition.name, sha), lambda: TypeAdapter(_wrap_labels(definition)))


def _wrap_labels(definition: Definition) -> Any:
    kinds: dict[str, str] = {"prediction_id": "The prediction that the label is for."}
    if definition.key:
        kinds[definition.key] = "The business key of the row, instead of prediction_id."
    kinds["label"] = f"What it should have been: a value of {definition.target}, or a class as the model names it."
    kinds[definition.target] = "The same as label, under the target's own name."
    fields = {name: NotRequired[Annotated[_Cell, Field(description=text)]] for name, text in kinds.items()}
    row = _close("Label", fields)
    rows = Annotated[list[row], Field(min_length=1, max_length=MOST_LABELS)]  # type: ignore[valid-type]
    return _close("Labels", {"rows": rows})


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
