"""What the log says a model answered, found by prediction id: only the outputs are read, many groups at a time."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from core.home import Home
from core.projects.definition import Definition
from storage import labels as store
from storage import predictions as predictions_store
from storage.connection import reading

_PREDICTION, _SCORE, _PROBABILITY = "out:prediction", "out:score", "out:probability:"
_LONGEST_PLACE = 9  # digits; no group has a thousand million rows


@dataclass(frozen=True)
class LoggedAnswer:
    """One logged prediction.

    Attributes
    ----------
    predicted : str
        The class, or the number as text.
    score : float or None
    probabilities : tuple of float
        In the order of the project's classes; empty unless there are more than two.
    query : str or None
        Ranking: the query that the row belongs to, where the log holds it.
    """

    predicted: str
    score: float | None
    version: str
    at: str
    probabilities: tuple[float, ...] = ()
    query: str | None = None


def split_id(prediction_id: str) -> tuple[str, int] | None:
    """(group, place from 1) of a prediction id; None if it cannot be one."""
    uid, _, place = prediction_id.rpartition("-")
    if not uid or not (place.isascii() and place.isdigit()) or len(place) > _LONGEST_PLACE:
        return None
    return uid, int(place)


def find_answers(home: Home, definition: Definition, prediction_ids: list[str]) -> dict[str, LoggedAnswer]:
    """The logged answers of those ids that the project has; the others are left out."""
    wanted: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for prediction_id in prediction_ids:
        parts = split_id(prediction_id)
        if parts is not None:
            wanted[parts[0]].append((parts[1], prediction_id))
    db = reading(home.predictions_db)
    found: dict[str, LoggedAnswer] = {}
    held: tuple[int, _Outputs] | None = None  # the block read last; groups come sorted by block
    with predictions_store.unchanging(db):  # a block must not go between its group and itself
        for uid, version, at, rows, payload, block, place in store.iterate_payloads(db, definition.name, list(wanted)):
            first = -1  # places count from 1
            if block is None:
                outputs = _read_outputs(payload, definition)
            else:
                if held is None or held[0] != block:
                    held = (block, _read_outputs(store.find_block(db, block) or b"", definition))
                outputs, first = held[1], int(place or 0) - 1
            for number, prediction_id in wanted[uid]:
                if 1 <= number <= rows and outputs.predicted[first + number] is not None:  # an erased row is empty
                    found[prediction_id] = _answer(outputs, first + number, version, at)
    return found


@dataclass(frozen=True)
class _Outputs:
    """The columns of one payload that matter here; ``shares`` and ``queries`` are empty where it has none."""

    predicted: list[Any]
    scores: list[Any]
    shares: list[tuple[float, ...]]
    queries: list[Any]


def _answer(outputs: _Outputs, row: int, version: str, at: str) -> LoggedAnswer:
    predicted, score = outputs.predicted[row], outputs.scores[row]
    query = outputs.queries[row] if outputs.queries else None
    return LoggedAnswer(
        predicted if isinstance(predicted, str) else repr(float(predicted)),
        None if score is None or score != score else float(score),  # NaN differs from itself
        version, at, outputs.shares[row] if outputs.shares else (), None if query is None else str(query),
    )  # fmt: skip


def _read_outputs(payload: bytes, definition: Definition) -> _Outputs:
    """Only the columns of the outputs (and of the query) are read."""
    if payload[:1] == b"{":
        data = json.loads(payload)
        places = {n: i for i, n in enumerate(data["columns"]) if _is_wanted(n, definition)}
        columns = {name: [row[i] for row in data["rows"]] for name, i in places.items()}
    else:
        import pyarrow.parquet as pq

        file = pq.ParquetFile(io.BytesIO(payload))
        names = [n for n in file.schema_arrow.names if _is_wanted(n, definition)]
        columns = file.read(columns=names, use_threads=False).to_pydict()
    shares: list[tuple[float, ...]] = []
    if any(name.startswith(_PROBABILITY) for name in columns):
        nothing = [0.0] * len(columns[_PREDICTION])  # a class that this version did not know
        by_class = (columns.get(f"{_PROBABILITY}{name}", nothing) for name in definition.classes)
        shares = list(zip(*by_class, strict=True))
    return _Outputs(columns[_PREDICTION], columns[_SCORE], shares, columns.get(definition.group, []) if definition.group else [])


def _is_wanted(name: str, definition: Definition) -> bool:
    if name in (_PREDICTION, _SCORE) or (definition.group and name == definition.group):
        return True
    return definition.task == "multiclass" and name.startswith(_PROBABILITY)
