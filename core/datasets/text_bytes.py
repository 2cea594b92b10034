"""Quick looks at the bytes of an Arrow text column, so that slow patterns run only where they can match."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

_SPACE = b"\t\n\x0b\x0c\r "


def may_be_padded(column: pa.Array | pa.ChunkedArray) -> bool:
    """Whether some cell begins or ends with ASCII white space."""
    return begins_with(column, _SPACE) or any(_any_of(text[ends[ends > starts] - 1], _SPACE) for text, starts, ends in _cells(column))


def begins_with(column: pa.Array | pa.ChunkedArray, marks: bytes) -> bool:
    """Whether some cell begins with one of the bytes ``marks``."""
    return any(_any_of(text[starts[ends > starts]], marks) for text, starts, ends in _cells(column))


def contains(column: pa.Array | pa.ChunkedArray, marks: bytes) -> bool:
    """Whether one of the bytes ``marks`` stands anywhere in the column."""
    for text, starts, ends in _cells(column):
        whole = text[starts[0] : ends[-1]].tobytes()
        if any(whole.find(mark) >= 0 for mark in marks):
            return True
    return False


def _cells(column: Any) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Bytes, and where each cell begins and ends in them, of every chunk that has any bytes."""
    import pyarrow as pa

    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        _, offsets, data = chunk.buffers()
        if not len(chunk) or data is None or not data.size:
            continue
        width = np.int64 if pa.types.is_large_string(chunk.type) else np.int32
        at = np.frombuffer(offsets, dtype=width)[chunk.offset : chunk.offset + len(chunk) + 1]
        yield np.frombuffer(data, dtype=np.uint8), at[:-1], at[1:]


def _any_of(codes: np.ndarray, marks: bytes) -> bool:
    wanted = np.zeros(256, dtype=bool)
    wanted[list(marks)] = True
    return bool(wanted[codes].any())
