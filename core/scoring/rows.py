"""A few rows scored at once, as a program or a form sends them: nothing here touches the disk, the log is the caller's."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import BadInput, Refused
from core.home import Home
from core.scoring import log
from core.scoring.scorer import Scored, Scorer, find_pointer, load_scorer, score, score_table
from core.times import utc_now

if TYPE_CHECKING:
    import pandas as pd

    from core.scoring.columns import Columns
    from core.scoring.typed import TypedRows

@dataclass(frozen=True)
class RowsAnswer:
    """Answers to some rows, not yet in the log.

    Attributes
    ----------
    predictions : list of dict
        One a row, in order: prediction_id, prediction, score (None where the task has none), confidence (None for
        numbers), probabilities (class -> share; empty for numbers), problems (list of sentences).
    group : log.Group
        What the log is to keep; hand it to the journal before the answer leaves.
    stages : dict
        Milliseconds of validation, preprocessing and inference.
    """

    request_id: str
    project: str
    version: str
    uid: str
    predictions: list[dict[str, Any]]
    group: log.Group
    stages: dict[str, float]


def score_rows(
    home: Home, project: str, rows: list[dict[str, Any]], *, caller: str, source: str, version: str | None = None,
    request_id: str | None = None, now: datetime | None = None, scorer: Scorer | None = None,
) -> RowsAnswer:
    """Score rows given as dictionaries of typed values. Whether the caller may predict was asked before.

    Parameters
    ----------
    scorer : Scorer, optional
        What was live when the request began, if the caller looked already: then it answers, and nothing is looked up again.

    Raises
    ------
    BadInput
        No rows, or a feature column is absent; BadValue, with row and column, for a value of the wrong type.
    NotFound
        Nothing is live.
    Refused
        ``version`` was never live, or the model's own output is impossible.
    """
    if not rows:
        raise BadInput("There are no rows to predict; send at least one.")
    if scorer is None:
        check_had_green_light(home, project, version)
        scorer = load_scorer(home, project, version)
    assert scorer.reader is not None  # every loaded scorer has one
    began = time.perf_counter()
    read = scorer.reader.read(rows)
    validated = time.perf_counter()
    if scorer.fast is not None:
        table = encode_rows(scorer.fast.columns, read.features)
        prepared = time.perf_counter()
        scored = score_table(scorer, table)
    else:
        frame = make_frame(scorer, read.features)
        prepared = time.perf_counter()
        scored = score(scorer, frame)
    done = time.perf_counter()
    stages = {
        "validation": 1000 * (validated - began), "preprocessing": 1000 * (prepared - validated), "inference": 1000 * (done - prepared),
    }
    uid = log.new_uid()
    request_id = request_id or secrets.token_hex(8)
    predictions = _list_predictions(scorer, scored, read, log.prediction_ids(uid, len(rows)))
    about: dict[str, Any] = {
        "uid": uid, "request_id": request_id, "at": now or utc_now(), "caller": caller, "source": source,
        "latency_ms": 1000 * (time.perf_counter() - began), "stages": stages, "keys": read.keys, "queries": read.queries,
    }
    # JSON: up to a thousand rows it is quicker than Parquet, and it is packed later
    group = log.make_small_group(home, scorer, read.features, _outputs(predictions), **about)
    return RowsAnswer(request_id, project, scorer.version, uid, predictions, group, stages)


def check_had_green_light(home: Home, project: str, version: str | None) -> None:
    """Raise Refused for a version that was never live: answers are handed out and logged as the project's."""
    pointer = find_pointer(home, project, version) if version else None
    if pointer is not None and not pointer.was_live:
        raise Refused(
            f"Version {pointer.version} of {project} was never live, so it answers nobody; "
            "evaluate it on a labelled table, or ask for its release."
        )


def encode_rows(columns: Columns, features: list[dict[str, Any]]) -> np.ndarray:
    """The estimator's table of rows that were read, shape (n, width)."""
    # None becomes NaN here; the reader has made sure that there is nothing else but floats
    numbers = np.array([[row[name] for name in columns.numbers] for row in features], dtype=np.float64)
    places = np.array(
        [[columns.place(at, row[name]) for at, name in enumerate(columns.categories)] for row in features], dtype=np.int64
    )
    return columns.encode(numbers, places)


def make_frame(scorer: Scorer, features: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows that were read, as the frame that a pipeline takes."""
    import pandas as pd

    columns = {}
    for column in scorer.definition.features:
        kind: Any = np.float64 if column.kind == "number" else object
        values = [np.nan if row[column.name] is None else row[column.name] for row in features]
        columns[column.name] = pd.Series(values, dtype=kind)
    return pd.DataFrame(columns)


def _list_predictions(scorer: Scorer, scored: Scored, read: TypedRows, ids: list[str]) -> list[dict[str, Any]]:
    """Answers as plain values, in the order and with the names of the contract."""
    scores = _plain(scored.score)
    confidences = _plain(scored.confidence)
    shares: list[dict[str, float]]
    if scored.probabilities is None:
        shares = [{} for _ in ids]
    else:
        classes = scorer.definition.classes
        shares = [dict(zip(classes, line, strict=True)) for line in scored.probabilities.tolist()]
    return [
        {"prediction_id": i, "prediction": p, "score": s, "confidence": c, "probabilities": q, "problems": t}
        for i, p, s, c, q, t in zip(ids, scored.prediction.tolist(), scores, confidences, shares, read.problems, strict=True)
    ]


def _outputs(predictions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same answers as the log names them."""
    return [
        {
            "prediction": p["prediction"], "score": p["score"], "confidence": p["confidence"], "problems": "; ".join(p["problems"]),
            **{f"probability:{name}": share for name, share in p["probabilities"].items()},
        }
        for p in predictions
    ]


def _plain(values: np.ndarray) -> list[float | None]:
    return [None if v != v else v for v in values.tolist()]  # NaN differs from itself
