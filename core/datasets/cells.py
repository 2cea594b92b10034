"""Cells to numbers, categories and texts. Text and typed values that mean the same give the same result."""

from __future__ import annotations

import math
import numbers as abstract
import re
from typing import Any

import numpy as np

from core.datasets.read import MISSING

_MISSING = frozenset(MISSING)
_POINT = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
_COMMA = r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?"
_COMMA_THOUSANDS = r"[+-]?[1-9]\d{0,2}(,\d{3})+"
_POINT_THOUSANDS = r"[+-]?[1-9]\d{0,2}(\.\d{3})+"
_NUMBER = re.compile(_POINT)
_WHOLE = re.compile(r"([+-]?\d+)\.0+")

Bad = tuple[np.ndarray, np.ndarray] | None


def show(value: Any) -> str:
    """A value in quotes for a sentence: at most 40 characters, nothing invisible."""
    text = "".join(c if c.isprintable() else "·" for c in str(value)[:41])
    return f"'{text[:40]}…'" if len(text) > 40 else f"'{text}'"


def canonical(text: str) -> str:
    """A category's plain form: stripped, and "1.0" as "1", so that files and typed values agree."""
    text = text.strip()
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


def read_numbers(values: Any, decimal: str = "") -> tuple[np.ndarray, Bad]:
    """Numbers of a column.

    Parameters
    ----------
    values : Series or list
        Text or typed values. Infinity and booleans are not numbers here.
    decimal : str
        "." or ","; "" decides from this column: a comma is the decimal mark where it stands in
        numbers, no point does, and it cannot be a thousands separator. Thousands separators are never guessed.

    Returns
    -------
    numbers : float64 array, shape (n,), NaN where missing or unreadable
    bad : (rows, values) of what is there but cannot be read, or None
    """
    if _is_arrow(values):
        return _numbers_of_text(values, decimal)
    dtype = getattr(values, "dtype", None)
    if dtype is not None and dtype.kind in "iuf":
        result = values.to_numpy(dtype=np.float64, na_value=np.nan).copy()
        rows = np.flatnonzero(np.isinf(result))
        if not len(rows):
            return result, None
        bad = result[rows].astype(object)
        result[rows] = np.nan
        return result, (rows, bad)
    if dtype is not None and dtype == "str":
        return _numbers_of_text(_arrow(values), decimal)
    cells = values.tolist() if hasattr(values, "tolist") else list(values)
    result = np.full(len(cells), np.nan)
    texts: list[str | None] = [None] * len(cells)
    wrong: dict[int, Any] = {}
    has_text = False
    for i, cell in enumerate(cells):
        if isinstance(cell, str):
            texts[i], has_text = cell, True
        elif _is_missing(cell):
            continue
        elif isinstance(cell, abstract.Real) and not isinstance(cell, bool | np.bool_) and _fits(cell):
            result[i] = float(cell)
        else:
            wrong[i] = cell
    if has_text:
        import pyarrow as pa

        parsed, bad_text = _numbers_of_text(pa.array(texts, pa.large_string()), decimal)
        result = np.where(np.isnan(result), parsed, result)
        if bad_text:
            wrong.update(zip(bad_text[0].tolist(), bad_text[1].tolist(), strict=True))
    if not wrong:
        return result, None
    rows = np.array(sorted(wrong), dtype=np.int64)
    bad = np.empty(len(rows), dtype=object)
    bad[:] = [_spell(wrong[r]) for r in rows.tolist()]
    return result, (rows, bad)


def read_categories(values: Any) -> Any:
    """An arrow array of text: missing null, typed values as they would stand in a file."""
    import pyarrow as pa

    if _is_arrow(values):
        return values
    if getattr(values, "dtype", None) is not None and values.dtype == "str":
        return _arrow(values)
    cells = values.tolist() if hasattr(values, "tolist") else list(values)
    return pa.array([None if _is_missing(c) else _as_text(c) for c in cells], pa.large_string())


def fix_categories(texts: Any, allowed: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Distinct categories and the code of each row.

    A value is taken as the allowed one that it equals after stripping, as whole number ("1.0" = "1"),
    or, where the allowed values are "False" and "True", as the usual ways to write them.

    Returns
    -------
    uniques : object array of str
    codes : int64 array, shape (n,), -1 where missing
    """
    import pyarrow.compute as pc

    encoded = pc.dictionary_encode(texts)
    if hasattr(encoded, "combine_chunks"):
        encoded = encoded.combine_chunks()
    raw = encoded.dictionary.to_pylist()
    codes = np.asarray(pc.fill_null(encoded.indices, len(raw)), dtype=np.int64)
    exact = {a.strip(): a for a in allowed}
    plain = {canonical(a): a for a in allowed}
    if set(allowed) == {"False", "True"}:
        plain |= {"false": "False", "true": "True", "0": "False", "1": "True"}
    fixed: list[str | None] = []
    for text in raw:
        short = text.strip()
        if short in _MISSING:
            fixed.append(None)
        elif short in exact:
            fixed.append(exact[short])
        else:
            form = canonical(short)
            fixed.append(plain.get(form) or plain.get(form.lower() if form.lower() in ("false", "true") else form) or form)
    places: dict[str, int] = {}
    inner = np.array([-1 if form is None else places.setdefault(form, len(places)) for form in [*fixed, None]], dtype=np.int64)
    return np.array(list(places), dtype=object), inner[codes]


def read_texts(values: Any) -> np.ndarray:
    """An object array of stripped text in canonical form, None where missing (keys and groups)."""
    uniques, codes = fix_categories(read_categories(values), ())
    return with_missing(uniques, None)[codes]


def with_missing(uniques: np.ndarray, missing: object) -> np.ndarray:
    """The categories with ``missing`` behind them, so that code -1 finds it."""
    return np.array([*uniques, missing], dtype=object)


def _fits(number: Any) -> bool:
    """Whether it is finite as a float; a whole number of 400 digits is not."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _spell(value: Any) -> str:
    try:
        return str(value)
    except ValueError:  # Python refuses to write out a whole number of more than 4,300 digits
        return "a number of thousands of digits"


def _is_arrow(values: Any) -> bool:
    return type(values).__module__.startswith("pyarrow")


def _arrow(values: Any) -> Any:
    import pyarrow as pa

    array = values.array.__arrow_array__()
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _as_text(value: Any) -> str:
    if isinstance(value, float | np.floating):
        number = float(value)
        if number.is_integer() and abs(number) < 1e15:
            return str(int(number))
    return _spell(value)


def _is_missing(value: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, str):
        return value.strip() in _MISSING
    try:
        return bool(value != value)  # NaN and NaT
    except (TypeError, ValueError):
        return type(value).__name__ == "NAType"  # pandas.NA has no truth


def _numbers_of_text(texts: Any, decimal: str) -> tuple[np.ndarray, Bad]:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        result = _floats(pc.cast(texts, pa.float64()))
        if np.isfinite(result).sum() == len(texts) - texts.null_count and decimal != ",":
            return result, None
    except pa.ArrowInvalid:
        pass
    texts = pc.utf8_trim_whitespace(texts)
    texts = pc.if_else(pc.is_in(texts, value_set=pa.array(MISSING, texts.type)), pa.scalar(None, texts.type), texts)
    point, comma = _matches(texts, _POINT), _matches(texts, _COMMA)
    if not decimal:
        grouped = comma & _matches(texts, _COMMA_THOUSANDS)
        has_point = bool((point & np.asarray(pc.fill_null(pc.match_substring(texts, "."), False))).any())
        decimal = "," if (comma & ~grouped).any() and not has_point else "."
    if decimal == ",":
        point &= ~_matches(texts, _POINT_THOUSANDS)
        readable = point | comma
    else:
        readable = point
    numbers = pc.if_else(pa.array(readable), pc.replace_substring(texts, ",", "."), pa.scalar(None, texts.type))
    result = _floats(pc.cast(numbers, pa.float64()))
    result[np.isinf(result)] = np.nan
    rows = np.flatnonzero(np.isnan(result) & np.asarray(pc.is_valid(texts)))
    if not len(rows):
        return result, None
    return result, (rows, np.asarray(texts.take(pa.array(rows)).to_pylist(), dtype=object))


def _floats(array: Any) -> np.ndarray:
    return np.array(array.to_numpy(zero_copy_only=False), dtype=np.float64)


def _matches(texts: Any, pattern: str) -> np.ndarray:
    import pyarrow.compute as pc

    return np.array(pc.fill_null(pc.match_substring_regex(texts, f"^(?:{pattern})$"), False), dtype=bool)
