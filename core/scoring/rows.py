"""A few rows scored at once, as a program or a form sends them: nothing here touches the disk, the log is the caller's."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.errors import BadInput, BadValue, Refused
from core.home import Home
from core.scoring import log
from core.scoring.scorer import Scorer, load_scorer, score
from core.times import utc_now
from storage import versions as versions_store
from storage.connection import reading


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
    request_id: str | None = None, now: datetime | None = None,
) -> RowsAnswer:
    """Score rows given as dictionaries of typed values. Whether the caller may predict was asked before.

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
    check_had_green_light(home, project, version)
    scorer = load_scorer(home, project, version)
    began = time.perf_counter()
    features, texts, keys = _read(scorer, rows)
    read = time.perf_counter()
    scored = score(scorer, features)
    done = time.perf_counter()
    stages = {"validation": 1000 * (read - began), "preprocessing": 0.0, "inference": 1000 * (done - read)}
    uid = log.new_uid()
    request_id = request_id or secrets.token_hex(8)
    classes = scorer.definition.classes
    predictions, outputs = [], []
    for place, prediction_id in enumerate(log.prediction_ids(uid, len(rows))):
        answer = scored.prediction[place]
        shares = {} if scored.probabilities is None else dict(zip(classes, scored.probabilities[place].tolist(), strict=True))
        value = {
            "prediction": answer if isinstance(answer, str) else float(answer), "score": _number(scored.score[place]),
            "confidence": _number(scored.confidence[place]),
        }
        problems = [p for p in texts[place].split("; ") if p]
        predictions.append({"prediction_id": prediction_id, **value, "probabilities": shares, "problems": problems})
        outputs.append({**value, "problems": texts[place], **{f"probability:{k}": v for k, v in shares.items()}})
    kept = [{k: None if v != v else v for k, v in row.items()} for row in features.to_dict("records")]
    group = log.make_small_group(
        home, scorer, kept, outputs, uid=uid, request_id=request_id, at=now or utc_now(), caller=caller, source=source,
        latency_ms=1000 * (time.perf_counter() - began), stages=stages, keys=keys,
    )
    return RowsAnswer(request_id, project, scorer.version, uid, predictions, group, stages)


def check_had_green_light(home: Home, project: str, version: str | None) -> None:
    """Raise Refused for a version that was never live: answers are handed out and logged as the project's."""
    row = versions_store.find_version(reading(home.db), project, version) if version else None
    if row is not None and not versions_store.was_live(reading(home.db), row["id"]):
        raise Refused(
            f"Version {row['version']} of {project} was never live, so it answers nobody; "
            "evaluate it on a labelled table, or ask for its release."
        )


def _read(scorer: Scorer, rows: list[dict[str, Any]]) -> tuple[Any, list[str], list[str | None] | None]:
    from core.datasets.prepare import UNREADABLE, prepare, problem_texts

    prepared = prepare(rows, scorer.definition, purpose="scoring", refuse_unreadable=False)
    for problem in prepared.problems:
        if problem.code == UNREADABLE:
            value = problem.texts[problem.which[0]].removeprefix(f"{problem.column}: ").split(" is not a number")[0]
            raise BadValue(
                f"Row {problem.rows[0] + 1}, column {problem.column!r}: {value} is not a number.",
                row=int(problem.rows[0]) + 1, column=problem.column, cure="Send a number, or null where it is missing.",
            )
    return prepared.features, problem_texts(prepared), None if prepared.key is None else list(prepared.key)


def _number(value: float) -> float | None:
    return None if value != value else float(value)  # NaN differs from itself
