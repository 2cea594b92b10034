"""How a CSV file is written: encoding, separator, decimal mark, quotes, header. Found by looking, never asked."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from core.errors import BadInput

MAX_COLUMNS = 2_000
MAX_CELL = 1_000_000  # characters of one cell or one line
DELIMITERS = (",", ";", "\t", "|")

_BLOCK = 1 << 22
_SAMPLE = MAX_CELL + 200_000
_SAMPLE_ROWS = 500
_FOREIGN = (  # first bytes of what people upload by mistake
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)", "save it as .xlsx or CSV in Excel"),
    (b"\x80\x02", "a Python pickle", "pickles are never opened; export the table as CSV"),
    (b"\x80\x03", "a Python pickle", "pickles are never opened; export the table as CSV"),
    (b"\x80\x04", "a Python pickle", "pickles are never opened; export the table as CSV"),
    (b"\x80\x05", "a Python pickle", "pickles are never opened; export the table as CSV"),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"BZh", "a bzip2 archive", "unpack it first"),
    (b"\xfd7zXZ", "an xz archive", "unpack it first"),
    (b"PAR1", "a Parquet file", "export the table as CSV"),
    (b"%PDF", "a PDF", "export the table as CSV"),
    (b"SQLite format 3", "a SQLite database", "export the table as CSV"),
    (b"\x89PNG", "a picture", "export the table as CSV"),
    (b"\xff\xd8\xff", "a picture", "export the table as CSV"),
    (b"\x7fELF", "a program", "export the table as CSV"),
    (b"MZ\x90", "a program", "export the table as CSV"),
)
_COMMA_NUMBER = re.compile(r"[+-]?\d*,\d+")
_POINT_NUMBER = re.compile(r"[+-]?\d*\.\d+")
_COMMA_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
_POINT_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")
_PLAIN_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Dialect:
    """What must be known before the first row is read.

    Attributes
    ----------
    encoding : str
        "utf-8", "utf-8-sig", "utf-16...", "cp1252" or "latin-1".
    decimal : str
        "." or ",", or "" where the first rows do not tell.
    header_bytes : int
        Bytes of the UTF-8 text before the first data row.
    header_lines : int
        Lines before the first data row.
    well_quoted : bool
        Every quote stands where RFC 4180 wants it; else the rows are checked one by one.
    """

    encoding: str
    delimiter: str
    decimal: str
    columns: tuple[str, ...]
    header_bytes: int
    header_lines: int
    well_quoted: bool
    sha256: str
    size: int


def open_source(source: Path | bytes) -> BinaryIO:
    """Open a path or bytes for reading."""
    return io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")


def open_text(source: Path | bytes, encoding: str) -> Any:
    """Open a source as a stream of UTF-8 bytes without byte order mark."""
    import pyarrow as pa

    file = open_source(source)
    if encoding in ("utf-8", "utf-8-sig"):
        if encoding == "utf-8-sig":
            file.seek(3)
        return file
    if encoding in ("utf-16-le", "utf-16-be") and file.read(2) not in (b"\xff\xfe", b"\xfe\xff"):
        file.seek(0)
    return pa.transcoding_input_stream(pa.PythonFile(file, mode="r"), encoding, "utf-8")


def refuse_foreign(start: bytes, file_name: str) -> None:
    """Raise BadInput when the first bytes are those of something other than a table."""
    for magic, what, cure in _FOREIGN:
        if start.startswith(magic):
            raise BadInput(f"{file_name} is {what}, not a CSV or .xlsx table; {cure}.")
    text = start[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise BadInput(f"{file_name} is a web page or XML, not a table; export the table as CSV or .xlsx.")
    if text.startswith((b"{", b'[{"', b"[\n", b"[[")):
        raise BadInput(f"{file_name} is JSON, not a table; export the table as CSV or .xlsx.")


def inspect_csv(source: Path | bytes, file_name: str) -> Dialect:
    """Find out how a CSV file is written; one pass over its bytes, memory bounded.

    Raises
    ------
    BadInput
        Empty file, NUL byte, broken encoding, unusable header; names line and column.
    """
    with closing(open_source(source)) as file:
        start = file.read(_SAMPLE)
    if not start.strip():
        raise BadInput(f"{file_name} is empty; choose a file with a header line and rows.")
    refuse_foreign(start, file_name)
    encoding = _find_wide_encoding(start)
    if encoding:
        try:
            with closing(open_text(source, encoding)) as stream:
                sample = _whole_lines(bytes(stream.read(_SAMPLE)))
            delimiter = _find_delimiter(sample.decode("latin-1"))
            with closing(open_text(source, encoding)) as stream:
                _, well_quoted, _, _ = _scan(stream, delimiter, file_name)
        except (UnicodeError, OSError) as error:
            raise BadInput(
                f"{file_name} begins as UTF-16 text but cannot be read as such ({error}); save it as UTF-8."
            ) from error
        sha256, size = _hash(source)
        text = sample.decode("utf-8", "replace")
    else:
        sample = _whole_lines(start.removeprefix(b"\xef\xbb\xbf"))
        delimiter = _find_delimiter(sample.decode("latin-1"))
        with closing(open_source(source)) as file:
            is_utf8, well_quoted, sha256, size = _scan(file, delimiter, file_name)
        if is_utf8:
            encoding = "utf-8-sig" if start.startswith(b"\xef\xbb\xbf") else "utf-8"
        else:
            encoding = _find_narrow_encoding(source, file_name)
        text = sample.decode("utf-8" if is_utf8 else encoding)
    columns, header_bytes, header_lines, delimiter = _read_header(text, delimiter, file_name)
    rest = text.encode()[header_bytes:].decode("utf-8", "replace")
    decimal = _find_decimal(rest, delimiter)
    return Dialect(encoding, delimiter, decimal, columns, header_bytes, header_lines, well_quoted, sha256, size)


def check_columns(names: list[str], file_name: str, line: int = 1) -> tuple[str, ...]:
    """Return the header's names, stripped; a blank one becomes ``column_<position>``.

    Raises
    ------
    BadInput
        Too many columns, a name used twice, a name over 200 characters, or a first line of numbers only.
    """
    if len(names) > MAX_COLUMNS:
        raise BadInput(f"{file_name} has {len(names):,} columns; the limit is {MAX_COLUMNS:,}. Keep the columns that are needed.")
    clean = [" ".join(n.split()) for n in names]
    if clean and all(not n or _PLAIN_NUMBER.fullmatch(n) for n in clean):
        raise BadInput(f"{file_name}: line {line} holds no column names; the first line must name the columns.")
    long = [i for i, n in enumerate(clean, 1) if len(n) > 200]
    if long:
        raise BadInput(f"{file_name}: the name of column {long[0]} is longer than 200 characters; shorten it.")
    clean = [n or f"column_{i}" for i, n in enumerate(clean, 1)]
    seen: set[str] = set()
    twice = dict.fromkeys(n for n in clean if n in seen or seen.add(n))  # type: ignore[func-returns-value]
    if twice:
        listed = ", ".join(repr(n) for n in list(twice)[:5])
        raise BadInput(
            f"{file_name}: column {listed} stands more than once in the header (line {line}); rename or remove the repeats."
        )
    return tuple(clean)


def _whole_lines(sample: bytes) -> bytes:
    """Cut a sample that may end inside a line (or a character) back to its last whole line."""
    if len(sample) < _SAMPLE - 3:
        return sample
    end = max(sample.rfind(b"\n"), sample.rfind(b"\r"))
    return sample[: end + 1] if end > 0 else sample.decode("utf-8", "ignore").encode()


def _find_wide_encoding(start: bytes) -> str:
    if start.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        return "utf-32"
    if start.startswith(b"\xff\xfe"):
        return "utf-16-le"
    if start.startswith(b"\xfe\xff"):
        return "utf-16-be"
    head = np.frombuffer(start[: min(len(start), 4096) & ~1], dtype=np.uint8)
    if len(head) >= 4:
        even, odd = float((head[0::2] == 0).mean()), float((head[1::2] == 0).mean())
        if odd > 0.4 and even < 0.05:
            return "utf-16-le"
        if even > 0.4 and odd < 0.05:
            return "utf-16-be"
    return ""


def _find_narrow_encoding(source: Path | bytes, file_name: str) -> str:
    """cp1252 or latin-1 for text that is not UTF-8; a mixture of both is refused rather than garbled."""
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    cp1252 = codecs.getincrementaldecoder("cp1252")()
    good = bad = lines = first = 0
    fits = True
    with closing(open_source(source)) as file:
        while block := file.read(_BLOCK):
            text = decoder.decode(block)
            wrong = text.count("\ufffd")
            if wrong and not bad:
                first = lines + text[: text.index("\ufffd")].count("\n") + 1
            lines += text.count("\n")
            bad += wrong
            good += sum(1 for _ in re.finditer(r"[^\x00-\x7f\ufffd]", text))
            if fits:
                try:
                    cp1252.decode(block)
                except UnicodeDecodeError:
                    fits = False
    if good > bad:
        raise BadInput(
            f"{file_name}: line {first} is not valid UTF-8 although the rest is; save the file as UTF-8 and try again."
        )
    return "cp1252" if fits else "latin-1"


def _scan(stream: Any, delimiter: str, file_name: str) -> tuple[bool, bool, str, int]:
    """One pass over ASCII-compatible bytes: valid UTF-8? quotes where RFC 4180 wants them? hash and size."""
    import codecs

    decoder: Any = codecs.getincrementaldecoder("utf-8")()
    digest = hashlib.sha256()
    beside = np.zeros(256, dtype=bool)
    beside[[ord(delimiter), 10, 13, 34]] = True
    is_utf8, well_quoted, quotes, size, lines = True, True, 0, 0, 0
    carry = b"\n"
    while block := bytes(stream.read(_BLOCK)):
        digest.update(block)
        if b"\0" in block:
            line = lines + block[: block.index(b"\0")].count(b"\n") + 1
            raise BadInput(
                f"{file_name}: line {line} contains a NUL byte, so this is not plain text; export the table as CSV again."
            )
        lines += block.count(b"\n")
        if is_utf8:
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                is_utf8 = False
        if size == 0:
            block_text = block.removeprefix(b"\xef\xbb\xbf")
        else:
            block_text = block
        size += len(block)
        if well_quoted:
            carry, quotes, well_quoted = _follow_quotes(carry, block_text, quotes, beside)
    if is_utf8:
        try:
            decoder.decode(b"", True)
        except UnicodeDecodeError:
            is_utf8 = False
    if well_quoted:
        _, quotes, well_quoted = _follow_quotes(carry, b"\n", quotes, beside)
    return is_utf8, well_quoted and quotes % 2 == 0, digest.hexdigest(), size


def _follow_quotes(carry: bytes, block: bytes, quotes: int, beside: np.ndarray) -> tuple[bytes, int, bool]:
    """Check that opening quotes follow, and closing quotes precede, a separator, a line end or a quote."""
    buffer = carry + block
    if b'"' in buffer[1:]:
        codes = np.frombuffer(buffer, dtype=np.uint8)
        at = np.flatnonzero(codes[1:-1] == 34) + 1
        opening = (np.arange(quotes, quotes + len(at)) % 2) == 0
        if not (beside[codes[at[opening] - 1]].all() and beside[codes[at[~opening] + 1]].all()):
            return carry, quotes, False
        quotes += len(at)
    return buffer[-2:], quotes, True


def _hash(source: Path | bytes) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with closing(open_source(source)) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def _sample_rows(text: str, delimiter: str) -> list[list[str]]:
    csv.field_size_limit(MAX_CELL)
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if row:
                rows.append(row)
            if len(rows) >= _SAMPLE_ROWS:
                break
    except csv.Error:
        pass  # the full read names the line
    return rows


def _find_delimiter(text: str) -> str:
    """The separator under which most of the first rows are as wide as the header; a comma when none is."""
    first = text.lstrip("\r\n").splitlines()[:1]
    if first and re.fullmatch(r'"?sep=[,;\t|]"?', first[0].strip(" ")):
        return first[0].strip('" ')[-1]
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        if delimiter not in (first[0] if first else ""):
            continue
        rows = _sample_rows(text[:200_000], delimiter)
        if not rows or len(rows[0]) < 2:
            continue
        width = len(rows[0])
        body = rows[1:-1] or rows[1:]
        share = sum(len(r) == width for r in body) / len(body) if body else 1.0
        if (round(share, 1), width) > best_score:
            best, best_score = delimiter, (round(share, 1), width)
    return best


def _read_header(text: str, delimiter: str, file_name: str) -> tuple[tuple[str, ...], int, int, str]:
    """Names, bytes and lines of the header (leading blank lines and Excel's ``sep=`` line included)."""
    csv.field_size_limit(MAX_CELL)
    lines = io.StringIO(text, newline="")
    used: list[str] = []

    def remember() -> Iterator[str]:
        for line in lines:
            if len(used) == 0 and len(line) > MAX_CELL:
                count = line.count(delimiter) + 1
                if count > MAX_COLUMNS:
                    raise BadInput(
                        f"{file_name} has more than {MAX_COLUMNS:,} columns, which is the limit; keep those that are needed."
                    )
                raise BadInput(
                    f"{file_name}: line 1 is longer than {MAX_CELL:,} characters; the first line must name the columns."
                )
            used.append(line)
            yield line

    try:
        for row in csv.reader(remember(), delimiter=delimiter, strict=True):
            if not any(cell.strip() for cell in row) or (len(used) == 1 and re.match(r'"?sep=', used[0])):
                continue
            return check_columns(row, file_name, len(used)), len("".join(used).encode()), len(used), delimiter
    except csv.Error as error:
        raise BadInput(f"{file_name}: the quotes in the header (line 1) do not match; close or remove the odd one.") from error
    raise BadInput(f"{file_name} has no header; the first line must name the columns.")


def _find_decimal(text: str, delimiter: str) -> str:
    """The decimal mark when the first rows show only one, else "" (decided per column later)."""
    commas = points = 0
    for row in _sample_rows(text, delimiter):
        for cell in row:
            cell = cell.strip()
            if _COMMA_NUMBER.fullmatch(cell) and not _COMMA_THOUSANDS.fullmatch(cell):
                commas += 1
            elif _POINT_NUMBER.fullmatch(cell) and not _POINT_THOUSANDS.fullmatch(cell):
                points += 1
    if bool(commas) == bool(points):
        return ""
    return "," if commas else "."
