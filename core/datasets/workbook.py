"""Rows of an Excel workbook (.xlsx) as text, without unpacking a bomb."""

from __future__ import annotations

import datetime
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.datasets.dialect import MAX_CELL, MAX_COLUMNS, check_columns
from core.errors import BadInput

MAX_UNPACKED = 100 * 1024 * 1024
MAX_RATIO = 100


def is_workbook(start: bytes) -> bool:
    """A zip archive, which is what an .xlsx file is."""
    return start.startswith(b"PK\x03\x04") or start.startswith(b"PK\x05\x06")


def open_workbook(source: Path | bytes, file_name: str) -> tuple[str, tuple[str, ...], Iterator[list[str | None]]]:
    """Open the first sheet that has cells.

    Returns
    -------
    sheet : str
    columns : tuple of str
    rows : iterator of lists, each as long as ``columns``; blank lines are left out.

    Raises
    ------
    BadInput
        Not a workbook, protected, unpacked size over 100 MB or over 100 times the packed one,
        unusable header, or (while iterating) a row that is wider than the header.
    """
    _check_archive(source, file_name)
    import openpyxl

    file: Any = io.BytesIO(source) if isinstance(source, bytes) else str(source)
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
    except Exception as error:  # a foreign parser: whatever it raises, the file is at fault
        raise BadInput(
            f"{file_name} cannot be read as an .xlsx workbook; open it in Excel and save it again, or as CSV."
        ) from error
    for sheet in book.worksheets:
        sheet.reset_dimensions()
        rows = _text_rows(sheet, file_name)
        try:
            number, header = next(rows)
        except StopIteration:
            continue
        columns = check_columns([cell or "" for cell in header], file_name, number)
        return sheet.title, columns, _as_wide(rows, columns, file_name)
    raise BadInput(f"{file_name} has no cells; choose a workbook whose first line names the columns.")


def _check_archive(source: Path | bytes, file_name: str) -> None:
    file: Any = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise BadInput(f"{file_name} is a damaged archive; save the workbook again, or as CSV.") from error
    names = {entry.filename for entry in entries}
    if "xl/workbook.xml" not in names:
        raise BadInput(f"{file_name} is a zip archive but not an .xlsx workbook; unpack it and choose the table inside.")
    # zipfile never yields more than an entry declares, so the declared sizes bound what is unpacked.
    unpacked = sum(entry.file_size for entry in entries)
    packed = max(1, sum(entry.compress_size for entry in entries))
    if unpacked > MAX_UNPACKED or unpacked > MAX_RATIO * packed:
        raise BadInput(
            f"{file_name} would unpack to {unpacked / 1e6:,.0f} MB from {packed / 1e6:,.2f} MB; the limits are 100 MB "
            "and 100 times the packed size. Save the table as CSV instead."
        )


def _text_rows(sheet: Any, file_name: str) -> Iterator[tuple[int, list[str | None]]]:
    """Number and cells (trailing empty ones cut) of every row that is not blank."""
    number = 0
    try:
        for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
            end = len(row)
            while end and row[end - 1] is None:
                end -= 1
            if end > MAX_COLUMNS:
                raise BadInput(f"{file_name} has {end:,} columns in row {number}; the limit is {MAX_COLUMNS:,}.")
            cells = [_text(value) for value in row[:end]]
            if any(cell is not None and len(cell) > MAX_CELL for cell in cells):
                raise BadInput(f"{file_name}: a cell in row {number} is longer than {MAX_CELL:,} characters; shorten it.")
            if any(cells):
                yield number, cells
    except BadInput:
        raise
    except Exception as error:  # a foreign parser over foreign XML
        raise BadInput(f"{file_name}: the workbook is damaged after row {number}; save it again, or as CSV.") from error


def _as_wide(
    rows: Iterator[tuple[int, list[str | None]]], columns: tuple[str, ...], file_name: str
) -> Iterator[list[str | None]]:
    width = len(columns)
    for number, cells in rows:
        if len(cells) > width:
            raise BadInput(
                f"{file_name}: row {number} has a value in column {len(cells)}, but the header names {width} columns; "
                "name the column or clear the cell."
            )
        yield cells + [None] * (width - len(cells))


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)
