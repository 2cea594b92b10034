"""Rows of typed values, as a program or a form sends them, read without a frame.

core.datasets.prepare decides what every value means. Here plain values (a number in its range, a missing one, a category
seen before) are read at once and everything else is asked there, so that both ways give the same answers and sentences.
"""

from __future__ import annotations

import numbers as abstract
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.datasets.cells import canonical
from core.datasets.headers import find_columns
from core.datasets.prepare import UNREADABLE, prepare, read_value
from core.datasets.read import MISSING
from core.errors import BadInput, BadValue
from core.projects.definition import Column, Definition

KEPT_HEADERS = 64  # different sets of names that programs send
LONGEST_HEADERS = 20_000  # characters of all names of a row
KEPT_CATEGORIES = 5_000  # different values of one column
LONGEST_KEPT = 200  # characters

_LARGEST_FLOAT = float(np.finfo(np.float64).max)
_LONG = 10**15  # whole numbers below are written by str as they would stand in a file
_NUMBER_CURE = "Send a number, or null where it is missing."
_CATEGORY_CURE = "Send text, a number, true or false, or null where it is missing."


@dataclass(frozen=True)
class TypedRows:
    """Features of n rows.

    Attributes
    ----------
    features : list of dict
        Names in the definition's order; float or text, None where missing.
    problems : list of list of str
        Sentences of each row.
    keys : list of str or None, or None
        Business key of each row, where the definition names a key column and the rows have it.
    queries : list of str or None, or None
        The query that each row belongs to, where the definition ranks and the rows have it.
    """

    features: list[dict[str, Any]]
    problems: list[list[str]]
    keys: list[str | None] | None
    queries: list[str | None] | None = None


@dataclass(frozen=True)
class _Headers:
    """Where rows with certain names have what is read: a header for each feature, and for key and query where they are there."""

    features: list[str]
    key: str | None
    query: str | None


class Reader:
    """Reads rows of one definition; safe for several threads: what it remembers is looked up anew when it is gone."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._columns = [_Column(c) for c in definition.features]
        self._headers: dict[tuple[str, ...], _Headers] = {}

    def read(self, rows: Sequence[dict[str, Any]]) -> TypedRows:
        """Read rows.

        Raises
        ------
        BadInput
            An absent or ambiguous column, or one that the answer would add; BadValue for a value of the wrong type.
        """
        names = tuple(rows[0])
        headers = self._headers.get(names) or self._learn(names)
        features: list[dict[str, Any]] = []
        problems: list[list[str]] = []
        for number, row in enumerate(rows):
            if number and row.keys() != rows[0].keys():
                return self._read_all(rows)
            read: dict[str, Any] = {}
            found: list[str] = []
            for column, header in zip(self._columns, headers.features, strict=True):
                value = row[header]
                if column.is_number:
                    kind = type(value)
                    if kind is float or kind is int:
                        if column.least <= value <= column.most and (not column.whole or value % 1 == 0):
                            read[column.name] = float(value)
                            continue
                    elif value is None:
                        read[column.name] = None
                        found.append(column.missing)
                        continue
                    elif kind is str:
                        return self._read_all(rows)  # a comma may be a decimal mark: the whole column tells
                    value, texts = self._ask(column, value, number)
                elif value is None:
                    value, texts = None, (column.missing,)
                else:
                    kind = type(value)
                    if kind is bool or (kind is int and -_LONG < value < _LONG):
                        value = str(value)
                        kind = str
                    known = column.known.get(value) if kind is str else None
                    value, texts = known or self._ask(column, value, number)
                read[column.name] = value
                found.extend(texts)
            features.append(read)
            problems.append(found)
        keys = None if headers.key is None else [self._read_text(row[headers.key]) for row in rows]
        queries = None if headers.query is None else [self._read_text(row[headers.query]) for row in rows]
        return TypedRows(features, problems, keys, queries)

    def _learn(self, names: tuple[str, ...]) -> _Headers:
        """Which header is which; kept for the next rows with the same names."""
        if not all(isinstance(n, str) for n in names):
            raise BadInput("The names in a row are texts; one of these is not.")
        found, _ = find_columns(list(names), self._definition, "scoring")
        headers = _Headers([found[c.name] for c in self._columns], found.get(self._definition.key), found.get(self._definition.group))
        if sum(map(len, names)) <= LONGEST_HEADERS:
            if len(self._headers) >= KEPT_HEADERS:  # nonsense must not keep the usual names out for ever
                self._headers.clear()
            self._headers[names] = headers
        return headers

    def _ask(self, column: _Column, value: Any, row: int) -> tuple[Any, tuple[str, ...]]:
        """What prepare makes of one value, and its sentences."""
        _refuse_nested(column.column, value, row)
        read, problems = read_value(value, column.column)
        for code, text in problems:
            if code == UNREADABLE:
                raise _unreadable(column.name, text, row)
        answer = (_plain(read), tuple(text for _, text in problems))
        if type(value) is str and len(value) <= LONGEST_KEPT:
            if len(column.known) >= KEPT_CATEGORIES:
                column.known.clear()
            column.known[value] = answer
        return answer

    def _read_text(self, value: Any) -> str | None:
        if type(value) is int and -_LONG < value < _LONG:
            return str(value)
        if type(value) is str:  # most keys are seen once, so remembering them would not help
            short = canonical(value)
            return None if value.strip() in MISSING else short
        read, _ = read_value(value, Column("_", "category"))
        return _plain(read)

    def _read_all(self, rows: Sequence[dict[str, Any]]) -> TypedRows:
        """All rows through prepare: names that differ from row to row, or numbers written as text."""
        prepared = prepare(rows, self._definition, purpose="scoring", refuse_unreadable=False)
        for number, row in enumerate(rows):
            for column in self._columns:
                _refuse_nested(column.column, row.get(prepared.headers[column.name]), number)
        problems: list[list[str]] = [[] for _ in rows]
        unreadable: list[tuple[int, int, BadValue]] = []
        for place, problem in enumerate(prepared.problems):
            for row, which in zip(problem.rows.tolist(), problem.which.tolist(), strict=True):
                text = problem.texts[which]
                if problem.code == UNREADABLE:
                    unreadable.append((row, place, _unreadable(problem.column, text, row)))
                problems[row].append(text)
        if unreadable:
            raise min(unreadable, key=lambda u: u[:2])[2]
        columns = [[_plain(v) for v in prepared.features[c.name].tolist()] for c in self._columns]
        names = [c.name for c in self._columns]
        features = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
        keys, queries = (None if texts is None else texts.tolist() for texts in (prepared.key, prepared.group))
        return TypedRows(features, problems, keys, queries)


class _Column:
    """What is the same for all values of a column."""

    __slots__ = ("column", "is_number", "known", "least", "missing", "most", "name", "whole")

    def __init__(self, column: Column) -> None:
        self.column = column
        self.name = column.name
        self.is_number = column.kind == "number"
        # the largest float, not infinity: what is beyond it is not plain, and NaN is in no range
        self.least = -_LARGEST_FLOAT if column.low is None else column.low
        self.most = _LARGEST_FLOAT if column.high is None else column.high
        self.whole = column.integer
        self.missing = f"{column.name} is missing"
        self.known: dict[str, tuple[Any, tuple[str, ...]]] = {}




def _plain(value: Any) -> Any:
    return None if value is None or value != value else value if isinstance(value, str) else float(value)  # NaN differs from itself


def _refuse_nested(column: Column, value: Any, row: int) -> None:
    """A list or an object would be read as the text that Python writes for it."""
    if value is None or isinstance(value, str | bool | abstract.Real | np.bool_):
        return
    kind = "a list" if isinstance(value, list | tuple) else "an object" if isinstance(value, dict) else f"a {type(value).__name__}"
    what, cure = ("a number", _NUMBER_CURE) if column.kind == "number" else ("a category", _CATEGORY_CURE)
    raise BadValue(f"Row {row + 1}, column {column.name!r}: {kind} is not {what}.", row=row + 1, column=column.name, cure=cure)


def _unreadable(column: str, text: str, row: int) -> BadValue:
    shown = text.removeprefix(f"{column}: ").removesuffix(", taken as missing")
    return BadValue(f"Row {row + 1}, column {column!r}: {shown}.", row=row + 1, column=column, cure=_NUMBER_CURE)
