"""One row that a project's model can answer, for templates and examples."""

from __future__ import annotations

from typing import Any

from core.projects.definition import Column, Definition


def make_example_row(definition: Definition) -> dict[str, Any]:
    """Feature -> value: of the first known case, or the middle of every plausible range and the first known category.

    Never a row of the training data: that would be somebody.
    """
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
