"""A part of a file answered as arrays: features, answers, lines of the result and group of the log, without a frame on the way."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.datasets import prepare as prepared
from core.datasets.write import csv_lines_after, csv_rows
from core.projects.definition import OUTPUT_COLUMNS, Definition
from core.scoring import payload as payloads
from core.scoring import profiles
from core.scoring.groups import PROBABILITY, UNSURE, Group
from core.scoring.scorer import Scored, Scorer, score, score_table

if TYPE_CHECKING:
    import pandas as pd

    from core.scoring.compiled import Fast


@dataclass(frozen=True)
class About:
    """What is the same for all parts of a file."""

    request_id: str
    at: datetime
    caller: str
    source: str
    decimal: str


@dataclass(frozen=True)
class Chunk:
    """An answered part.

    Attributes
    ----------
    lines : bytes
        The rows as they came with OUTPUT_COLUMNS behind them, as CSV.
    """

    group: Group
    lines: memoryview | bytes


def answer_chunk(
    scorer: Scorer, table: pa.Table, about: About, *, counter: profiles.Counter | None, uid: str, first: bool,
    written: pa.Array | None = None,
) -> Chunk:  # fmt: skip
    """Answer the rows of ``table`` (text columns as they were read) in one thread; nothing is read from or written to the disk.

    Parameters
    ----------
    counter : Counter or None
        The version's bins (:func:`core.scoring.profiles.counter_of`), where it has any.
    written : Array, optional
        ``csv_rows(table)``, where that was done before.
    first : bool
        The file's first rows: a number column without any number refuses the file here, later it is a problem of its rows.

    Raises
    ------
    BadInput
        A feature is absent or unreadable.
    Refused
        The model's own output is impossible.
    """
    began = time.perf_counter()
    columns = prepared.prepare_columns(table, scorer.definition, decimal=about.decimal, refuse_unreadable=first)
    read = time.perf_counter()
    if scorer.fast is not None:
        matrix = encode(scorer.fast, columns)
        encoded = time.perf_counter()
        scored = score_table(scorer, matrix)
    else:
        frame = as_frame(columns, scorer.definition)
        encoded = time.perf_counter()
        scored = score(scorer, frame, threads=1)
    done = time.perf_counter()
    stages = {"validation": 1000 * (read - began), "preprocessing": 1000 * (encoded - read), "inference": 1000 * (done - encoded)}
    rows, texts = prepared.list_problems(columns)
    outputs = _outputs(scored, scorer.definition, uid, rows, texts)
    lines = csv_lines_after(csv_rows(table) if written is None else written, pa.table({n: outputs[n] for n in OUTPUT_COLUMNS}))
    kept = pa.table(_kept_columns(columns, scorer.definition, outputs))
    counts = counter.count_table(kept) if counter else None
    plain = pa.table({name: _as_text(kept.column(name)) for name in kept.column_names})
    group = Group(
        uid, scorer.project, scorer.version, about.request_id, about.at, about.caller, about.source,
        1000 * (time.perf_counter() - began), stages, len(columns), payloads.write_parquet(plain),
        _count_labels(scored, scorer.definition, rows), counts, _keys(columns),
    )
    return Chunk(group, lines)


def encode(fast: Fast, columns: prepared.Columns) -> np.ndarray:
    """The estimator's table of prepared columns, shape (n, width); each distinct category, not each row, is looked up."""
    numbers = np.empty((len(columns), len(fast.columns.numbers)))
    for at, name in enumerate(fast.columns.numbers):
        numbers[:, at] = columns.numbers[name]
    places = np.empty((len(columns), len(fast.columns.categories)), dtype=np.int64)
    for at, name in enumerate(fast.columns.categories):
        uniques, codes = columns.categories[name]
        found = [fast.columns.place(at, value) for value in uniques]
        places[:, at] = np.array([*found, fast.columns.place(at, None)], dtype=np.int64)[codes]
    return fast.columns.encode(numbers, places)


def as_frame(columns: prepared.Columns, definition: Definition) -> pd.DataFrame:
    """Prepared columns as the frame that a pipeline takes."""
    import pandas as pd

    frame: dict[str, Any] = {}
    for column in definition.features:
        if column.name in columns.numbers:
            frame[column.name] = columns.numbers[column.name]
        else:
            uniques, codes = columns.categories[column.name]
            values = np.array([*uniques, np.nan], dtype=object)[codes]
            frame[column.name] = pd.Series(values, dtype=object, copy=False)
    return pd.DataFrame(frame, index=pd.RangeIndex(len(columns)))


def _outputs(scored: Scored, definition: Definition, uid: str, rows: np.ndarray, texts: np.ndarray) -> dict[str, Any]:
    n = len(scored.score)
    numbers = pc.cast(pa.array(np.arange(1, n + 1)), pa.string())
    problems = np.zeros(n, dtype=np.int32)
    problems[rows] = np.arange(1, len(rows) + 1)
    return {
        "prediction_id": pc.binary_join_element_wise(uid, numbers, "-"),
        "prediction": pa.array(scored.prediction, pa.string()) if definition.is_classifier else pa.array(scored.prediction),
        "score": pa.array(scored.score, from_pandas=True),
        "confidence": pa.array(scored.confidence, from_pandas=True),
        "problems": pa.DictionaryArray.from_arrays(problems, pa.array(["", *texts], pa.string())),
        "probabilities": {} if scored.probabilities is None else {
            name: pa.array(np.ascontiguousarray(scored.probabilities[:, at])) for at, name in enumerate(definition.classes)
        },
    }  # fmt: skip


def _kept_columns(columns: prepared.Columns, definition: Definition, outputs: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for column in definition.features:
        if column.name in columns.numbers:
            kept[column.name] = pa.array(columns.numbers[column.name], from_pandas=True)
        else:
            uniques, codes = columns.categories[column.name]
            kept[column.name] = pa.DictionaryArray.from_arrays(
                pa.array(codes.astype(np.int32), mask=codes < 0), pa.array(uniques, pa.string())
            )
    for name, texts in ((definition.key, columns.key), (definition.group, columns.group)):
        if texts is not None:
            kept.setdefault(name, pa.array(texts, pa.string(), from_pandas=True))
    kept |= {f"{payloads.OUT}{name}": outputs[name] for name in OUTPUT_COLUMNS if name != "prediction_id"}
    return kept | {f"{payloads.OUT}{PROBABILITY}{name}": shares for name, shares in outputs["probabilities"].items()}


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    # a dictionary would come back as another type than the same column of another group
    return pc.cast(column, pa.string()) if pa.types.is_dictionary(column.type) else column


def _keys(columns: prepared.Columns) -> list[str | None] | None:
    return None if columns.key is None else columns.key.tolist()


def _count_labels(scored: Scored, definition: Definition, problem_rows: np.ndarray) -> dict[str, tuple[int, int, int]]:
    """Predicted label -> rows, rows with problems, unsure rows (see Group)."""
    n = len(scored.score)
    troubled = np.zeros(n, dtype=bool)
    troubled[problem_rows] = True
    if not definition.is_classifier or scored.probabilities is None:
        return {"": (n, len(problem_rows), 0)}
    doubt = scored.probabilities[:, 1] if definition.task == "binary" else scored.confidence
    unsure = (doubt >= UNSURE[0]) & (doubt <= UNSURE[1])
    counts = {}
    for label in definition.classes:
        chosen = scored.prediction == label
        if chosen.any():
            counts[label] = (int(chosen.sum()), int((chosen & troubled).sum()), int((chosen & unsure).sum()))
    return counts
