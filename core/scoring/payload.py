"""How the rows of a group are written: Parquet for many rows, JSON for a few; both read back as the same table.

A Parquet file of one row costs a hundred times the row; a JSON line of 20,000 rows costs ten times the Parquet. So groups
come as either, and what is small is packed into Parquet later (:mod:`core.scoring.compact`).
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

OUT = "out:"
_to_text = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def make_table(columns: dict[str, Any]) -> pa.Table:
    """An Arrow table of pandas or numpy columns: numbers as they are, everything else as text."""
    import pyarrow as pa

    return pa.table({name: _array(values) for name, values in columns.items()})


def write_parquet(table: pa.Table) -> bytes:
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", compression_level=1, write_statistics=False)
    return sink.getvalue()


def json_head(columns: Sequence[str], numbers: Sequence[bool]) -> str:
    """What all JSON payloads with the same columns begin with; ``numbers`` says which columns are float64."""
    return f'{{"columns":{_to_text(list(columns))},"numbers":{_to_text([int(n) for n in numbers])},"rows":'


def write_json(head: str, rows: list[Any]) -> bytes:
    """Rows as lists of values in the order of the head's columns; None is missing."""
    # half a surrogate pair cannot be written as UTF-8, and Parquet could not hold it either
    return f"{head}{_to_text(rows)}}}".encode("utf-8", "replace")


def read_payload(payload: bytes, *, columns: Sequence[str] | None = None, coded: bool = False) -> pa.Table:
    """The rows of a payload of either kind.

    Parameters
    ----------
    columns : sequence of str, optional
        Read these only (those that are there).
    coded : bool
        Leave texts as dictionaries with codes, which is what counting wants (Parquet only).

    Raises
    ------
    ValueError
        The payload is of no known kind.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if payload[:4] == b"PAR1":
        source = pa.BufferReader(payload)
        schema = pq.read_schema(source)
        names = [n for n in schema.names if columns is None or n in columns]
        texts = [n for n in names if coded and pa.types.is_string(schema.field(n).type)]
        source.seek(0)
        return pq.ParquetFile(source, read_dictionary=texts).read(columns=names, use_threads=False)
    if payload[:1] == b"{":
        return read_json([payload], columns=columns)
    raise ValueError("a payload of the prediction log is neither Parquet nor JSON")


def blank(payload: bytes, rows: Sequence[int]) -> bytes:
    """The same payload with every value of some rows (from 0) missing."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if payload[:1] == b"{":
        data = json.loads(payload)
        for row in rows:
            data["rows"][row] = [None] * len(data["columns"])
        return _to_text(data).encode("utf-8", "replace")
    table = read_payload(payload)
    gone = np.zeros(table.num_rows, dtype=bool)
    gone[list(rows)] = True
    mask = pa.array(gone)
    return write_parquet(pa.table({n: pc.if_else(mask, pa.scalar(None, table[n].type), table[n]) for n in table.column_names}))


def read_json(payloads: Sequence[bytes], *, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of several JSON payloads with the same head, as one table; ``columns``: read these only."""
    import pyarrow as pa

    first = json.loads(payloads[0])
    rows = list(first["rows"])
    for payload in payloads[1:]:
        rows.extend(json.loads(payload)["rows"])
    arrays = {}
    for place, (name, number) in enumerate(zip(first["columns"], first["numbers"], strict=True)):
        if columns is not None and name not in columns:
            continue
        values = [row[place] for row in rows]
        # NaN is missing, as it is in Parquet
        arrays[name] = pa.array(map(_float, values), pa.float64()) if number else pa.array(values, pa.string())
    return pa.table(arrays)


def json_schema(payload: bytes) -> pa.Schema:
    """The columns of a JSON payload as Parquet would name them."""
    import pyarrow as pa

    head = json.loads(head_of(payload) + b'"rows":[]}')
    return pa.schema([(n, pa.float64() if number else pa.string()) for n, number in zip(head["columns"], head["numbers"], strict=True)])


def head_of(payload: bytes) -> bytes:
    """What a JSON payload begins with: payloads with the same head can be read together."""
    return payload[: payload.index(b'"rows":')]


def to_frame(table: pa.Table) -> pd.DataFrame:
    """As the feature path makes frames: numbers float64 (NaN missing), texts object (NaN missing)."""
    frame = table.to_pandas()
    texts = frame.columns[[d.kind not in "fiub" for d in frame.dtypes]]
    return frame.astype(dict.fromkeys(texts, object))


def clean(text: str) -> str:
    """Text that can be stored: half a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def _array(values: Any) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    # column by column: a frame's own conversion looks at every cell once more to guess its type
    array = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    if array.dtype.kind in "fiub":
        return pa.array(array, from_pandas=True)
    try:
        return pa.array(array, pa.string(), from_pandas=True)
    except UnicodeEncodeError:
        return pa.array([clean(v) if isinstance(v, str) else v for v in array], pa.string(), from_pandas=True)


def _float(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    return None if math.isnan(number) else number
