"""Row by row through a CSV file with Python's csv module: slow, exact, and able to name the line at fault."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from core.datasets.dialect import MAX_CELL, Dialect, open_text
from core.errors import BadInput


def check_rows(source: Path | bytes, dialect: Dialect, file_name: str) -> None:
    """Read every row with Python's csv module and raise BadInput with the line of the first fault.

    Slow and exact; used only where quotes look odd or the fast reader gave up.
    """
    width = len(dialect.columns)
    csv.field_size_limit(MAX_CELL)
    with closing(open_text(source, dialect.encoding)) as stream:
        stream.read(dialect.header_bytes)
        lines = _bounded_lines(stream, dialect.header_lines, file_name)
        reader = csv.reader(lines, delimiter=dialect.delimiter, strict=True)
        begin = dialect.header_lines + 1
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if "field larger" in str(error):
                    cell = f"a cell that begins on line {begin} exceeds {MAX_CELL:,} characters (or its quote is never closed)"
                    raise BadInput(f"{file_name}: {cell}; shorten the cell or close the quote.") from error
                if "unexpected end of data" in str(error):
                    raise BadInput(f"{file_name}: a quote opened on line {begin} is never closed; close or remove it.") from error
                raise BadInput(
                    f"{file_name}: the quotes on line {begin} do not match (text follows a closing quote); "
                    "double a quote inside a quoted cell, or remove it."
                ) from error
            if row and len(row) != width:
                _refuse_ragged(row, dialect, begin, file_name)
            begin = dialect.header_lines + reader.line_num + 1


def _refuse_ragged(row: list[str], dialect: Dialect, line: int, file_name: str) -> None:
    width = len(dialect.columns)
    if len(row) < width:
        where = f"nothing is left for column {dialect.columns[len(row)]!r}"
    else:
        where = f"the values after column {dialect.columns[-1]!r} have no header"
    raise BadInput(
        f"{file_name}: line {line} has {len(row):,} values where the header has {width:,} ({where}); "
        "complete the line, or quote cells that contain the separator."
    )


def _bounded_lines(stream: Any, before: int, file_name: str) -> Iterator[str]:
    text = io.TextIOWrapper(io.BufferedReader(stream) if isinstance(stream, io.RawIOBase) else stream, "utf-8", newline="")
    number = before
    while line := text.readline(MAX_CELL + 1):
        number += 1
        if len(line) > MAX_CELL:
            raise BadInput(f"{file_name}: line {number} is longer than {MAX_CELL:,} characters; shorten its cells.")
        yield line
