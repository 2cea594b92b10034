"""Read any CSV or .xlsx table that a person brings, as columns of text.

One reader serves uploads and files of any length: ``read_table`` is ``stream_table`` put together,
so both give the same values. Numbers and categories are made of the text in ``prepare``, not here.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.datasets import dialect as dialects
from core.datasets import workbook
from core.datasets.csv_rows import check_rows
from core.datasets.dialect import Dialect
from core.datasets.text_bytes import may_be_padded
from core.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

UPLOAD_LIMIT = 50 * 1024 * 1024
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")

_BLOCK = 1 << 22  # bytes handed to the fast reader at a time; also the longest row that it takes


@dataclass(frozen=True)
class TableMeta:
    """How a table was written.

    Attributes
    ----------
    encoding : str
        "utf-8", "cp1252", ...; "" for a workbook.
    delimiter : str
        "" for a workbook.
    decimal : str
        "." or ","; "" where the first rows do not tell.
    sheet : str
        Name of the sheet of a workbook; "" for CSV.
    rows : int or None
        Data rows; None before they are read.
    sha256 : str
        Of the file's bytes.
    """

    encoding: str
    delimiter: str
    decimal: str
    sheet: str
    rows: int | None
    sha256: str


@dataclass(frozen=True)
class Table:
    """A whole table: text columns (missing cells NaN) in the file's order, and how it was written."""

    frame: pd.DataFrame
    meta: TableMeta


@dataclass(frozen=True)
class Header:
    """What is known of a file before its rows are read."""

    columns: tuple[str, ...]
    meta: TableMeta
    file_name: str
    dialect: Dialect | None = None


def read_table(source: Path | str | bytes, *, file_name: str = "", max_bytes: int | None = UPLOAD_LIMIT) -> Table:
    """Read a CSV or .xlsx table completely.

    Parameters
    ----------
    source : path or bytes
    file_name : str
        The name that messages use; by default the path's.
    max_bytes : int or None
        Refuse anything larger; None for no limit.

    Raises
    ------
    BadInput
        With line, column and cure where the file cannot be read right.
    """
    import pandas as pd

    source, file_name = _named(source, file_name)
    header = read_header(source, file_name=file_name, max_bytes=max_bytes)
    chunks = list(stream_table(source, header=header))
    frame = pd.concat(chunks, ignore_index=True) if len(chunks) > 1 else chunks[0]
    frame.attrs["decimal"] = header.meta.decimal
    meta = TableMeta(**{**header.meta.__dict__, "rows": len(frame)})
    return Table(frame, meta)


def read_header(source: Path | str | bytes, *, file_name: str = "", max_bytes: int | None = None) -> Header:
    """Columns and way of writing of a file, after one pass over its bytes; no row is kept."""
    source, file_name = _named(source, file_name)
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        if max_bytes is not None and size > max_bytes:
            raise BadInput(
                f"{file_name} is {size / 1024**2:,.0f} MB; the limit is {max_bytes / 1024**2:,.0f} MB. "
                "Leave out columns that are not needed, or split the file."
            )
        with closing(dialects.open_source(source)) as file:
            start = file.read(512)
    except OSError as error:
        raise BadInput(f"{file_name} cannot be opened ({error.strerror}); check the path.") from error
    if workbook.is_workbook(start):
        sheet, columns, _ = workbook.open_workbook(source, file_name)
        return Header(columns, TableMeta("", "", ".", sheet, None, _sha256(source)), file_name)
    dialect = dialects.inspect_csv(source, file_name)
    meta = TableMeta(dialect.encoding, dialect.delimiter, dialect.decimal, "", None, dialect.sha256)
    return Header(dialect.columns, meta, file_name, dialect)


def stream_table(
    source: Path | str | bytes, *, file_name: str = "", chunk_rows: int = 50_000, header: Header | None = None
) -> Iterator[pd.DataFrame]:
    """Yield a table of any length in frames of ``chunk_rows`` rows; memory is bounded by one chunk.

    The frames are numbered 0, 1, ... within each chunk and carry ``attrs["decimal"]``.

    Parameters
    ----------
    header : Header, optional
        From ``read_header``, to spare a second pass over the file.

    Raises
    ------
    BadInput
        As ``read_table``; rows before a fault have been yielded already.
    """
    header = header or read_header(source, file_name=file_name)
    for table in stream_columns(source, file_name=file_name, chunk_rows=chunk_rows, header=header):
        frame = table.to_pandas()
        frame.attrs["decimal"] = header.meta.decimal
        yield frame


def stream_columns(
    source: Path | str | bytes, *, file_name: str = "", chunk_rows: int = 50_000, header: Header | None = None
) -> Iterator[pa.Table]:
    """The same as Arrow tables of text columns (missing cells null), which no interpreter lock slows down."""
    source, file_name = _named(source, file_name)
    header = header or read_header(source, file_name=file_name)
    batches = _workbook_batches(source, header, chunk_rows) if header.dialect is None else _csv_batches(source, header)
    empty = True
    for table in _regroup(batches, chunk_rows):
        empty = False
        yield _without_padded_missing(table)
    if empty:
        raise BadInput(f"{header.file_name} has a header but no rows; add at least one line below it.")


def _named(source: Path | str | bytes, file_name: str) -> tuple[Path | bytes, str]:
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), file_name or "The file"
    path = Path(source)
    return path, file_name or path.name


def _sha256(source: Path | bytes) -> str:
    with closing(dialects.open_source(source)) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _csv_batches(source: Path | bytes, header: Header) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyarrow import csv

    dialect = header.dialect
    assert dialect is not None
    if not dialect.well_quoted:
        check_rows(source, dialect, header.file_name)
    # Inner names are positions: column_types would not tell apart names that the parser reads differently.
    inner = [str(i) for i in range(len(dialect.columns))]
    with closing(dialects.open_text(source, dialect.encoding)) as stream:
        stream.read(dialect.header_bytes)
        try:
            reader = csv.open_csv(
                stream,
                read_options=csv.ReadOptions(column_names=inner, block_size=_BLOCK, use_threads=False),
                parse_options=csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True),
                convert_options=csv.ConvertOptions(
                    column_types=dict.fromkeys(inner, pa.large_string()),
                    null_values=list(MISSING),
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=True,
                ),
            )
            for batch in reader:
                yield batch.rename_columns(list(dialect.columns))
        except pa.ArrowInvalid as error:
            if "Empty CSV file" in str(error):
                return
            check_rows(source, dialect, header.file_name)
            reason = str(error).splitlines()[0][:120]
            raise BadInput(
                f"{header.file_name} cannot be read as CSV ({reason}); open it in a spreadsheet and save it as CSV."
            ) from error


def _workbook_batches(source: Path | bytes, header: Header, chunk_rows: int) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    missing = set(MISSING)
    _, columns, rows = workbook.open_workbook(source, header.file_name)
    while chunk := list(itertools.islice(rows, min(chunk_rows, 10_000))):
        cells: list[list[str | None]] = [
            [None if cell is None or cell in missing else cell for cell in column] for column in zip(*chunk, strict=True)
        ]
        yield pa.RecordBatch.from_arrays([pa.array(c, pa.large_string()) for c in cells], names=list(columns))


def _regroup(batches: Iterator[pa.RecordBatch], chunk_rows: int) -> Iterator[pa.Table]:
    """Batches as they come -> tables of exactly ``chunk_rows`` rows, the last one shorter."""
    import pyarrow as pa

    waiting: list[Any] = []
    count = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        waiting.append(batch)
        count += batch.num_rows
        while count >= chunk_rows:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, chunk_rows)
            rest = table.slice(chunk_rows)
            waiting, count = rest.to_batches(), rest.num_rows
    if count:
        yield pa.Table.from_batches(waiting)


def _without_padded_missing(table: pa.Table) -> pa.Table:
    """Cells such as " NA " are missing too; everything else keeps its text as it was written."""
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = pa.array(MISSING, pa.large_string())
    columns = []
    for column in table.columns:
        if may_be_padded(column):
            blank = pc.is_in(pc.utf8_trim_whitespace(column), value_set=missing)
            column = pc.if_else(pc.fill_null(blank, True), pa.scalar(None, pa.large_string()), column)
        columns.append(column)
    return pa.Table.from_arrays(columns, names=table.column_names)
