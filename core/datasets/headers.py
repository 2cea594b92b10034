"""Which header of a table is which column of the project."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import BadInput
from core.projects.definition import OUTPUT_COLUMNS, Definition


def find_columns(names: list[str], definition: Definition, purpose: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Column of the definition -> header, and the headers that belong to none, of a table for "training" or "scoring".

    Raises
    ------
    BadInput
        An absent or ambiguous column, or one that scoring would add.
    """
    if purpose == "scoring":
        refuse_output_columns(names)
    headers, extra = match_headers(names, definition)
    _refuse_absent(headers, names, definition, purpose)
    return headers, extra


def match_headers(headers: Sequence[str], definition: Definition) -> tuple[dict[str, str], tuple[str, ...]]:
    """Find each known column among the headers: its name, then an alias, then either without regard to case, spaces or "_-".

    Returns
    -------
    found : dict, column name -> header
    extra : tuple of headers that belong to no column

    Raises
    ------
    BadInput
        Two headers that could both be the same column.
    """
    wanted = {c.name: (c.name, *c.aliases) for c in definition.columns}
    for name in (definition.target, definition.group, definition.key):
        if name and name not in wanted:
            wanted[name] = (name,)
    found = {name: name for name in wanted if name in headers}
    taken = set(found.values())
    for same in (lambda text: text, _loose):
        for name, names in wanted.items():
            if name in found:
                continue
            forms = {same(n) for n in names}
            fitting = [h for h in headers if h not in taken and same(h) in forms]
            if len(fitting) > 1:
                raise BadInput(f"Columns {fitting[0]!r} and {fitting[1]!r} could both be {name!r}; keep one of them.")
            if fitting:
                found[name] = fitting[0]
                taken.add(fitting[0])
    return found, tuple(h for h in headers if h not in taken)


def absent_columns(headers: Mapping[str, str], definition: Definition, purpose: str) -> list[str]:
    """Columns that ``purpose`` cannot do without and that ``match_headers`` did not find."""
    needed = [c.name for c in definition.features]
    if purpose == "training":
        needed += [n for n in (definition.target, definition.group) if n]
    return [n for n in needed if n not in headers]


def refuse_output_columns(headers: Any) -> None:
    """Raise BadInput when a table already has a column that scoring would add."""
    clash = [h for h in headers if h.strip().lower() in OUTPUT_COLUMNS]
    if clash:
        raise BadInput(f"The table already has a column {clash[0]!r}, which the predictions would add; rename or remove it.")


def _refuse_absent(headers: Mapping[str, str], present: list[str], definition: Definition, purpose: str) -> None:
    absent = absent_columns(headers, definition, purpose)
    if absent:
        shown = ", ".join(str(h)[:60] for h in present[:30]) or "none"
        word, verb = ("Column", "is") if len(absent) == 1 else ("Columns", "are")
        named = ", ".join(repr(n) for n in absent)
        raise BadInput(
            f"{word} {named} {verb} absent; the table has: {shown}. Add {'it' if len(absent) == 1 else 'them'} or rename."
        )


def _loose(text: str) -> str:
    return re.sub(r"[\s_\-]+", "", text).casefold()
