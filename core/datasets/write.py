"""Write tables as CSV that a spreadsheet can open without running anything in it."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from core.datasets.text_bytes import begins_with, contains, may_be_padded

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_FORMULA = r"^[=+\-@\t\r]"
_NUMBER = r"^[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?$"
_NEEDS_QUOTES = r"[\",\r\n]|^\s|\s$"


def write_csv(target: Path | str | BinaryIO, data: pd.DataFrame | Iterable[pd.DataFrame], *, plain: bool = False) -> int:
    """Write a frame, or a stream of frames with the same columns, as UTF-8 CSV; return the rows written.

    A path appears only when everything is written. Cells and headers that a spreadsheet would take for
    a formula (= + - @ tab, carriage return) get a leading '; numbers stay as they are. ``plain`` leaves every cell as it is:
    for a file that we read again ourselves.
    """
    frames: Any = [data] if hasattr(data, "columns") else data
    with CsvWriter(target, plain=plain) as writer:
        for frame in frames:
            writer.write(frame)
    return writer.rows


class CsvWriter:
    """Write frames one after another: ``with CsvWriter(path) as out: out.write(frame)``.

    Attributes
    ----------
    rows : int
        Data rows written so far.
    """

    def __init__(self, target: Path | str | BinaryIO, *, plain: bool = False) -> None:
        self.rows = 0
        self._guard: Callable[[Any], Any] = (lambda texts: texts) if plain else _safe
        self._columns: list[str] | None = None
        self._path = Path(target) if isinstance(target, str | Path) else None
        self._fresh = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}") if self._path else None
        self._file: Any = self._fresh.open("xb") if self._fresh else target

    def __enter__(self) -> CsvWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._path is None or self._fresh is None:
            return
        try:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
            self._file.close()
            if kind is None:
                os.replace(self._fresh, self._path)
        finally:
            with contextlib.suppress(OSError):  # gone already when it was renamed
                self._fresh.unlink()

    def write(self, frame: pd.DataFrame) -> None:
        """Append a frame; the first one decides the columns.

        Raises
        ------
        ValueError
            A later frame has other columns.
        """
        columns = [str(c) for c in frame.columns]
        if self._columns is None:
            self._columns = columns
            self._file.write(_lines([_quoted(self._guard(_texts([name]))) for name in columns]))
        elif columns != self._columns:
            raise ValueError(f"a frame has the columns {columns}, the file {self._columns}")
        if len(frame) and columns:
            self._file.write(_lines([_cells(frame.iloc[:, i], self._guard) for i in range(len(columns))]))
        self.rows += len(frame)


def _texts(values: list[str | None]) -> Any:
    import pyarrow as pa

    return pa.array(values, pa.large_string())


def csv_rows(table: pa.Table) -> pa.Array:
    """The rows of an Arrow table as CSV, one text a row without line end: UTF-8, cells safe for a spreadsheet, missing ones empty."""
    return _joined([_column_cells(column) for column in table.columns])


def csv_lines_after(rows: pa.Array, table: pa.Table) -> memoryview | bytes:
    """Lines that begin with ``rows`` (from :func:`csv_rows`) and go on with the columns of ``table``."""
    return _lines([rows, *(_column_cells(column) for column in table.columns)])


def csv_header(names: list[str]) -> memoryview | bytes:
    """The first line of a CSV file."""
    return _lines([_quoted(_safe(_texts([name]))) for name in names])


def _column_cells(column: pa.ChunkedArray) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_dictionary(array.type):
        cells = pc.fill_null(_quoted(_safe(pc.cast(array.dictionary, pa.large_string()))), "")
        return pc.fill_null(cells.take(array.indices), "")
    if pa.types.is_floating(array.type) or pa.types.is_integer(array.type):
        return pc.fill_null(pc.cast(array, pa.large_string()), "")
    return pc.fill_null(_quoted(_safe(pc.cast(array, pa.large_string()))), "")


def _cells(series: Any, guard: Callable[[Any], Any]) -> Any:
    """One column as arrow text, safe and quoted where needed; missing is empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if series.dtype.kind in "iufb":
        texts = pc.cast(pa.array(series, from_pandas=True), pa.large_string())
        if series.dtype.kind == "b":
            texts = pc.utf8_capitalize(texts)
        return pc.fill_null(texts, "")
    if series.dtype == "str":
        array = series.array.__arrow_array__()
        texts = pc.cast(array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array, pa.large_string())
    else:
        try:
            texts = pa.array(series, pa.large_string(), from_pandas=True)
        except pa.ArrowException:  # mixed types: as Python writes them
            cells, missing = series.tolist(), series.isna().tolist()
            texts = _texts([None if gone else str(cell) for cell, gone in zip(cells, missing, strict=True)])
    return pc.fill_null(_quoted(guard(texts)), "")


def _safe(texts: Any) -> Any:
    import pyarrow.compute as pc

    if not begins_with(texts, b"=+-@\t\r"):
        return texts
    risky = pc.match_substring_regex(texts, _FORMULA)
    if not pc.any(risky).as_py():
        return texts
    risky = pc.and_not(risky, pc.match_substring_regex(texts, _NUMBER))
    return pc.if_else(pc.fill_null(risky, False), pc.binary_join_element_wise(_texts(["'"])[0], texts, _texts([""])[0]), texts)


def _quoted(texts: Any) -> Any:
    import pyarrow.compute as pc

    if not contains(texts, b'",\r\n') and not may_be_padded(texts):
        return texts
    needy = pc.match_substring_regex(texts, _NEEDS_QUOTES)
    if not pc.any(needy).as_py():
        return texts
    mark = _texts(['"'])[0]
    doubled = pc.replace_substring(texts, '"', '""')
    return pc.if_else(pc.fill_null(needy, False), pc.binary_join_element_wise(mark, doubled, mark, _texts([""])[0]), texts)


def _lines(columns: list[Any]) -> memoryview | bytes:
    """Join columns to lines. The joined array's bytes lie one after another, so they are the file's text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(columns) == 1:
        # An empty only cell would be a blank line, which readers skip.
        columns = [pc.if_else(pc.equal(columns[0], ""), _texts(['""'])[0], columns[0])]
    ends = pa.array(["\n"], pa.large_string())[0]
    last = pc.binary_join_element_wise(columns[-1], ends, _texts([""])[0])
    return memoryview(_joined([*columns[:-1], last]).buffers()[2])


def _joined(columns: list[Any]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.binary_join_element_wise(*columns, _texts([","])[0])
    return text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
