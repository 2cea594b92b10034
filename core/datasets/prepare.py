"""The one way from a table, a form or an API call to features: training, scoring and logging all come here."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from core.datasets.cells import canonical, fix_categories, read_categories, read_numbers, read_texts, show, with_missing
from core.datasets.headers import find_columns
from core.datasets.read import Table
from core.errors import BadInput
from core.projects.definition import Column, Definition

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MISSING = "missing"
UNREADABLE = "unreadable"
OUT_OF_RANGE = "out_of_range"
UNKNOWN = "unknown_category"
NOT_INTEGER = "not_integer"

_OPERATORS = {">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt}


@dataclass(frozen=True)
class Problem:
    """One kind of trouble in one column.

    Attributes
    ----------
    rows : int64 array, shape (k,)
        0-based row numbers, ascending.
    texts : tuple of str
        The different sentences.
    which : int64 array, shape (k,)
        Index into ``texts`` for each row.
    """

    column: str
    code: str
    rows: np.ndarray
    texts: tuple[str, ...]
    which: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Columns:
    """Features of many rows as arrays, for scoring: what :class:`Prepared` holds as a frame.

    Attributes
    ----------
    numbers : dict, column -> float64 array of shape (n,), NaN missing
    categories : dict, column -> (uniques, codes)
        Distinct values, and the place of each row's value in them; -1 is missing.
    key, group : object array of shape (n,) or None
    problems : tuple of Problem
    extra_columns : tuple of str
    """

    rows: int
    numbers: dict[str, np.ndarray]
    categories: dict[str, tuple[np.ndarray, np.ndarray]]
    key: np.ndarray | None
    group: np.ndarray | None
    problems: tuple[Problem, ...]
    extra_columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.rows


@dataclass(frozen=True)
class Prepared:
    """Features ready for a pipeline, and what was wrong with them.

    Attributes
    ----------
    features : DataFrame, shape (n, features)
        Exactly the definition's features in order; numbers float64 (NaN missing), categories object (NaN missing).
    target : array of shape (n,) or None
        Classifiers: class strings, None where missing or unreadable; else float64. None when the table has none.
    group, key : object array of shape (n,) or None
    problems : tuple of Problem
        Of the features, by column in order.
    target_problems : tuple of Problem
        Of target and group.
    unreadable_columns : tuple of str
        Number columns of which no value that is there can be read.
    headers : dict
        Column of the definition -> header it was found under.
    extra_columns : tuple of str
        Headers that the definition does not know; kept aside.
    """

    features: pd.DataFrame
    target: np.ndarray | None
    group: np.ndarray | None
    key: np.ndarray | None
    problems: tuple[Problem, ...]
    target_problems: tuple[Problem, ...] = ()
    unreadable_columns: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    extra_columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.features)


def prepare(
    data: Any, definition: Definition, *, purpose: str, decimal: str | None = None, refuse_unreadable: bool = True
) -> Prepared:
    """Make features, target, group and key of rows in any form.

    Parameters
    ----------
    data : Table, DataFrame, or sequence of dicts
        Text columns as read from a file, or typed values from a form or an API call.
    purpose : "training" or "scoring"
        Training needs the target (and group); scoring takes it along where it is there.
    decimal : str, optional
        "," or "." when known; by default what the reader found, else decided per column.
    refuse_unreadable : bool
        Scoring: refuse when no value of a number column can be read. Chunks after the first pass False.

    Raises
    ------
    BadInput
        An absent or ambiguous column, an output column, an unreadable column.
    """
    if purpose not in ("training", "scoring"):
        raise ValueError(f"purpose is training or scoring, not {purpose!r}")
    columns, rows, found_decimal = _as_columns(data)
    decimal = found_decimal if decimal is None else decimal
    headers, extra = find_columns(list(columns), definition, purpose)

    import pandas as pd

    read, problems, unreadable = _read_features(
        columns, headers, definition, decimal, refuse=purpose == "scoring" and refuse_unreadable
    )
    features: dict[str, Any] = {}
    for name, values in read.items():
        # Text would become pandas' str dtype by itself; pipelines are fitted on object columns.
        if isinstance(values, tuple):
            features[name] = pd.Series(with_missing(values[0], np.nan)[values[1]], dtype=object, copy=False)
        else:
            features[name] = pd.Series(values, dtype=np.float64, copy=False)

    target: np.ndarray | None = None
    target_problems: list[Problem] = []
    if definition.target in headers:
        target, target_problems = _read_target(columns[headers[definition.target]], definition, decimal)
    group = read_texts(columns[headers[definition.group]]) if definition.group in headers else None
    if group is not None:
        target_problems += _missing_in(np.array([v is None for v in group], dtype=bool), definition.group)
    key = read_texts(columns[headers[definition.key]]) if definition.key in headers else None
    return Prepared(
        pd.DataFrame(features, index=pd.RangeIndex(rows)),
        target,
        group,
        key,
        tuple(problems),
        tuple(target_problems),
        tuple(unreadable),
        headers,
        extra,
    )


def prepare_columns(table: pa.Table, definition: Definition, *, decimal: str = "", refuse_unreadable: bool = True) -> Columns:
    """The features of a table of text columns that is to be scored, as arrays; the same values and problems as ``prepare``.

    Raises
    ------
    BadInput
        As ``prepare``.
    """
    headers, extra = find_columns(table.column_names, definition, "scoring")
    columns = {name: table.column(name).combine_chunks() for name in headers.values()}
    read, problems, _ = _read_features(columns, headers, definition, decimal, refuse=refuse_unreadable)
    return Columns(
        table.num_rows,
        {name: values for name, values in read.items() if not isinstance(values, tuple)},
        {name: values for name, values in read.items() if isinstance(values, tuple)},
        read_texts(columns[headers[definition.key]]) if definition.key in headers else None,
        read_texts(columns[headers[definition.group]]) if definition.group in headers else None,
        tuple(problems),
        extra,
    )


def problem_texts(prepared: Prepared) -> list[str]:
    """One string per row: its problems joined by "; ", or "" where there is none."""
    texts = np.full(len(prepared), "", dtype=object)
    rows, found = list_problems(prepared)
    texts[rows] = found
    return texts.tolist()


def list_problems(prepared: Prepared | Columns) -> tuple[np.ndarray, np.ndarray]:
    """Rows that have problems, ascending, and their problems as text."""
    which = [problem.rows for problem in prepared.problems]
    rows = np.unique(np.concatenate(which)) if which else np.empty(0, dtype=np.int64)
    texts = np.full(len(rows), "", dtype=object)
    for problem in prepared.problems:
        at = np.searchsorted(rows, problem.rows)
        new = np.array(problem.texts, dtype=object)[problem.which]
        old = texts[at]
        texts[at] = np.where(old == "", new, old + "; " + new)
    return rows, texts


def read_value(value: Any, column: Column) -> tuple[Any, tuple[tuple[str, str], ...]]:
    """One value as a column of it alone would be read: (number or category, NaN where missing; its problems as (code, sentence))."""
    values, problems, _ = _read_feature([value], column, "")
    if column.kind != "number":
        uniques, codes = values
        values = with_missing(uniques, np.nan)[codes]
    return values[0], tuple((p.code, p.texts[p.which[0]]) for p in problems)


def _read_features(
    columns: Mapping[str, Any], headers: Mapping[str, str], definition: Definition, decimal: str, *, refuse: bool
) -> tuple[dict[str, Any], list[Problem], list[str]]:
    """Numbers as an array, categories as (uniques, codes); problems; columns of which no value can be read."""
    read: dict[str, Any] = {}
    problems: list[Problem] = []
    unreadable: list[str] = []
    for column in definition.features:
        read[column.name], found, hopeless = _read_feature(columns[headers[column.name]], column, decimal)
        problems.extend(found)
        if hopeless:
            unreadable.append(column.name)
    if unreadable and refuse:
        name = unreadable[0]
        example = next(p for p in problems if p.column == name and p.code == UNREADABLE).texts[0]
        raise BadInput(f"No value of column {name!r} is a number (for instance {example}); send numbers in this column.")
    return read, problems, unreadable


def _as_columns(data: Any) -> tuple[dict[str, Any], int, str]:
    if isinstance(data, Table):
        data = data.frame
    if hasattr(data, "columns"):
        names = [str(c) for c in data.columns]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise BadInput(f"Column {twice[0]!r} stands more than once in the table; rename or remove the repeat.")
        return {n: data.iloc[:, i] for i, n in enumerate(names)}, len(data), str(data.attrs.get("decimal", ""))
    rows = list(data)
    known = dict.fromkeys(str(name) for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in known}, len(rows), ""


def _read_feature(values: Any, column: Column, decimal: str) -> tuple[Any, list[Problem], bool]:
    problems: list[Problem] = []
    if column.kind == "number":
        numbers, bad = read_numbers(values, decimal)
        present = ~np.isnan(numbers)
        problems += _missing_in(~present, column.name, besides=bad)
        if bad:
            problems.append(_problem(column.name, UNREADABLE, *bad, "{column}: {value} is not a number, taken as missing"))
        low = -np.inf if column.low is None else column.low
        high = np.inf if column.high is None else column.high
        outside = np.flatnonzero(present & ((numbers < low) | (numbers > high)))
        if len(outside):
            span = _span(column)
            problems.append(_number_problem(column.name, OUT_OF_RANGE, outside, numbers, f"is {span}"))
        if column.integer:
            broken = np.flatnonzero(present & (numbers != np.floor(numbers)))
            if len(broken):
                problems.append(_number_problem(column.name, NOT_INTEGER, broken, numbers, "is not a whole number"))
        return numbers, problems, bool(bad) and not present.any()
    texts = read_categories(values)
    uniques, codes = fix_categories(texts, column.allowed)
    problems += _missing_in(codes == -1, column.name)
    if column.allowed:
        strange = np.array([u not in column.allowed for u in uniques], dtype=bool)
        rows = np.flatnonzero(np.append(strange, False)[codes]) if strange.any() else np.empty(0, dtype=np.int64)
        if len(rows):
            problems.append(_problem(column.name, UNKNOWN, rows, uniques[codes[rows]], "{column}: {value} is not a known category"))
    return (uniques, codes), problems, False


def _missing_in(missing: np.ndarray, column: str, besides: Any = None) -> list[Problem]:
    if besides:
        missing = missing.copy()
        missing[besides[0]] = False
    rows = np.flatnonzero(missing)
    return [Problem(column, MISSING, rows, (f"{column} is missing",), np.zeros(len(rows), dtype=np.int64))] if len(rows) else []


def _problem(column: str, code: str, rows: np.ndarray, values: np.ndarray, template: str) -> Problem:
    places: dict[Any, int] = {}
    which = np.array([places.setdefault(value, len(places)) for value in values], dtype=np.int64)
    texts = tuple(template.format(column=column, value=show(u)) for u in places)
    return Problem(column, code, np.asarray(rows), texts, which)


def _number_problem(column: str, code: str, rows: np.ndarray, numbers: np.ndarray, rest: str) -> Problem:
    uniques, which = np.unique(numbers[rows], return_inverse=True)
    return Problem(column, code, rows, tuple(f"{column} {_plain(u)} {rest}" for u in uniques), which)


def _plain(number: float) -> str:
    return f"{number:.10g}"


def _span(column: Column) -> str:
    if column.low is None:
        return f"above {_plain(column.high or 0.0)}"
    if column.high is None:
        return f"below {_plain(column.low)}"
    return f"outside {_plain(column.low)}..{_plain(column.high)}"


def _read_target(values: Any, definition: Definition, decimal: str) -> tuple[np.ndarray, list[Problem]]:
    name = definition.target
    comparison = find_comparison(definition.positive) if definition.task == "binary" else None
    if not definition.is_classifier or comparison:
        numbers, bad = read_numbers(values, decimal)
        present = ~np.isnan(numbers)
        problems = _missing_in(~present, name, besides=bad)
        if bad:
            problems.append(_problem(name, UNREADABLE, *bad, "{column}: {value} is not a number, taken as missing"))
        if not comparison:
            return numbers, problems
        sign, limit = comparison
        result = np.where(_OPERATORS[sign](numbers, limit), "1", "0").astype(object)
        result[~present] = None
        return result, problems
    texts = read_categories(values)
    if definition.task == "binary":
        uniques, codes = fix_categories(texts, ())
        positive = canonical(definition.positive).casefold()
        answers = np.array(["1" if canonical(u).casefold() == positive else "0" for u in uniques] + [None], dtype=object)
        return answers[codes], _missing_in(codes == -1, name)
    uniques, codes = fix_categories(texts, definition.classes)
    known = np.array([u in definition.classes for u in uniques] + [True], dtype=bool)
    answers = np.array([u if u in definition.classes else None for u in uniques] + [None], dtype=object)
    problems = _missing_in(codes == -1, name)
    rows = np.flatnonzero(~known[codes])
    if len(rows):
        shown = with_missing(uniques, None)[codes[rows]]
        problems.append(_problem(name, UNKNOWN, rows, shown, "{column}: {value} is not a known class"))
    return answers[codes], problems


def find_comparison(positive: str) -> tuple[str, float] | None:
    """(sign, limit) of a positive such as ">=3", or None where it is a plain value."""
    match = re.fullmatch(r"\s*(>=|<=|==|!=|>|<)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*", positive)
    return (match[1], float(match[2])) if match else None
