"""Predict: a few rows at once (form, API), or a file in chunks. Every row is in the log before it is shown."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import acts
from core.errors import BadInput, Refused
from core.home import Home
from core.projects.definition import OUTPUT_COLUMNS
from core.scoring import log
from core.scoring.scorer import Scored, Scorer, load_scorer, score
from core.times import utc_now
from storage import accounts as accounts_store
from storage import versions as versions_store
from storage.connection import reading

if TYPE_CHECKING:
    import pandas as pd

CHUNK_ROWS = 20_000
IN_FLIGHT = 3  # chunks in memory at once
KEPT_BYTES = 32 * 1024 * 1024  # a file up to this size stays in memory between checking and scoring it


@dataclass(frozen=True)
class Answer:
    """What a request gets back.

    Attributes
    ----------
    outputs : DataFrame
        prediction_id, prediction, score, confidence, problems: one row a row, in order.
    probabilities : ndarray (n, k) or None
    """

    request_id: str
    project: str
    version: str
    outputs: pd.DataFrame
    probabilities: Any
    classes: tuple[str, ...]


@dataclass(frozen=True)
class FileSummary:
    """What became of a file; JSON data."""

    request_id: str
    project: str
    version: str
    rows: int
    problem_rows: int
    by_prediction: dict[str, int]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return dict(self.__dict__)


def check_may_predict(home: Home, actor: acts.Actor) -> None:
    """Raise Refused unless the account exists, is active and may predict."""
    account = accounts_store.find_account(reading(home.db), actor.name)
    if account is None or not account["active"]:
        raise Refused(f"There is no active account {actor.name!r}; ask an administrator to add it.")
    acts.check_role(account["role"], "predict")


def _check_had_green_light(home: Home, project: str, version: str | None) -> None:
    """What answers is live, or was: its answers are handed out and logged as the project's."""
    row = versions_store.find_version(reading(home.db), project, version) if version else None
    if row is not None and not versions_store.was_live(reading(home.db), row["id"]):
        raise Refused(
            f"Version {row['version']} of {project} was never live, so it answers nobody; "
            "evaluate it on a labelled table, or ask for its release."
        )


def predict_rows(
    home: Home, actor: acts.Actor, project: str, rows: list[dict[str, Any]], *, source: str, version: str | None = None,
    request_id: str | None = None, now: datetime | None = None,
) -> Answer:
    """Score a few rows given as dictionaries and log them.

    Raises
    ------
    BadInput
        A feature column is absent, or a value has an unreadable type.
    NotFound
        Nothing is live.
    Refused
        The account may not predict, or ``version`` was never live.
    """
    import pandas as pd

    check_may_predict(home, actor)
    _check_had_green_light(home, project, version)
    scorer = load_scorer(home, project, version)
    request_id = request_id or secrets.token_hex(8)
    about = {"request_id": request_id, "at": now or utc_now(), "caller": actor.name, "source": source}
    chunk = _score_chunk(home, scorer, pd.DataFrame(rows), about)
    log.append(home, chunk.group)
    return Answer(request_id, project, scorer.version, chunk.outputs, chunk.scored.probabilities, scorer.definition.classes)


def predict_file(
    home: Home, actor: acts.Actor, project: str, in_path: Path, out_path: Path, *, source: str, version: str | None = None,
    progress: Callable[[int, int], None] | None = None, check_cancelled: Callable[[], None] | None = None,
    now: datetime | None = None,
) -> FileSummary:
    """Score a CSV or Excel file of any length into ``out_path`` (the columns of the input plus OUTPUT_COLUMNS).

    The whole file is read through once before anything is scored, so that a broken line far down refuses the file
    while nothing has been logged. One file is answered by one version. Memory is bounded by a few chunks.
    """
    from core.datasets.write import CsvWriter

    check_may_predict(home, actor)
    _check_had_green_light(home, project, version)
    with ThreadPoolExecutor(1) as beside:  # importing what the pipeline needs takes as long as reading a large file
        loading = beside.submit(load_scorer, home, project, version)
        try:
            total, kept = _read_through(in_path)
        finally:
            scorer = loading.result()  # that nothing is live is said before what is wrong with the file
    if total == 0:
        raise BadInput(f"{in_path.name} has a header but no rows; add at least one row.")
    started = time.perf_counter()
    request_id = secrets.token_hex(8)
    rows = problem_rows = 0
    by_prediction: dict[str, int] = {}
    with CsvWriter(out_path) as writer:
        about = {"request_id": request_id, "at": now or utc_now(), "caller": actor.name, "source": source}
        for chunk in _score_stream(home, scorer, _read_chunks(in_path) if kept is None else iter(kept), about):
            if check_cancelled is not None:
                check_cancelled()
            log.append(home, chunk.group)
            writer.write(chunk.output_table())
            rows += len(chunk.outputs)
            problem_rows += sum(chunk.problem_flags)
            for label in chunk.labels:
                if label:
                    by_prediction[label] = by_prediction.get(label, 0) + 1
            if progress is not None:
                progress(rows, total)
    return FileSummary(
        request_id, project, scorer.version, rows, problem_rows, dict(sorted(by_prediction.items())), time.perf_counter() - started
    )


@dataclass(frozen=True)
class _Chunk:
    uid: str
    table: pd.DataFrame  # as it came
    outputs: pd.DataFrame
    scored: Scored
    group: log.Group
    labels: list[str]
    problem_flags: list[bool]

    def output_table(self) -> pd.DataFrame:
        import pandas as pd

        return pd.concat([self.table.reset_index(drop=True), self.outputs], axis=1)


def _read_through(path: Path) -> tuple[int, list[pd.DataFrame] | None]:
    """Rows of a file that can be read to its end, and its chunks if it is small enough to keep them."""
    kept: list[pd.DataFrame] | None = [] if path.stat().st_size <= KEPT_BYTES else None
    total = 0
    for chunk in _read_chunks(path):
        total += len(chunk)
        if kept is not None:
            kept.append(chunk)
    return total, kept


def _read_chunks(path: Path) -> Iterator[pd.DataFrame]:
    from core.datasets.read import stream_table

    return stream_table(path, chunk_rows=CHUNK_ROWS)


def _score_stream(home: Home, scorer: Scorer, chunks: Iterator[pd.DataFrame], about: dict[str, Any]) -> Iterator[_Chunk]:
    """Score chunks two at a time, hand them on in order."""
    waiting: deque[Future[_Chunk]] = deque()
    with ThreadPoolExecutor(2) as pool:
        try:
            for number, table in enumerate(chunks):
                waiting.append(pool.submit(_score_chunk, home, scorer, table, about, 1, number == 0))
                if len(waiting) >= IN_FLIGHT:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _score_chunk(
    home: Home, scorer: Scorer, table: pd.DataFrame, about: dict[str, Any], threads: int = 2, first: bool = True
) -> _Chunk:
    import pandas as pd

    from core.datasets.prepare import prepare, problem_texts

    started = time.perf_counter()
    prepared = prepare(table, scorer.definition, purpose="scoring", refuse_unreadable=first)
    scored = score(scorer, prepared.features, threads=threads)
    problems = problem_texts(prepared)
    uid = log.new_uid()
    columns = {
        "prediction_id": log.prediction_ids(uid, len(table)), "prediction": scored.prediction, "score": scored.score,
        "confidence": scored.confidence, "problems": problems,
    }  # fmt: skip
    # text stays as objects: guessing its type would look at every cell
    outputs = pd.DataFrame(
        {name: pd.Series(columns[name], dtype=getattr(columns[name], "dtype", object)) for name in OUTPUT_COLUMNS}, copy=False
    )
    kept = outputs.drop(columns="prediction_id")
    if scored.probabilities is not None:
        for place, name in enumerate(scorer.definition.classes):
            kept[f"probability:{name}"] = scored.probabilities[:, place]
    labels = [str(p) for p in scored.prediction] if scorer.definition.is_classifier else [""] * len(table)
    latency = 1000 * (time.perf_counter() - started)
    group = log.make_group(home, scorer, prepared.features, kept, uid=uid, latency_ms=latency, keys=prepared.key, **about)
    return _Chunk(uid, table, outputs, scored, group, labels, [bool(p) for p in problems])
