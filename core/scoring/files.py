"""Predict a file of any length: answered in parts by two threads, each part logged before it is written, resumed after a stop."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import acts
from core.errors import BadInput
from core.home import Home
from core.monitoring import traffic
from core.projects.definition import OUTPUT_COLUMNS
from core.scoring import log, profiles
from core.scoring.part import Done, PartFile, make_uid
from core.scoring.predict import check_may_predict
from core.scoring.rows import check_had_green_light
from core.scoring.scorer import Scorer, load_scorer
from core.times import utc_now
from storage import predictions as store
from storage.connection import reading

if TYPE_CHECKING:
    import pyarrow as pa

    from core.adapters.dask_cluster import DaskExecutor
    from core.datasets.read import Header
    from core.scoring.chunks import About, Chunk

CHUNK_ROWS = 25_000
THREADS = 2
IN_FLIGHT = 4  # parts in memory at once
CLUSTER_ROWS = 200_000  # fewer are answered here before a cluster has taken them up
KEPT_BYTES = 32 * 1024 * 1024  # a file up to this size stays in memory between checking and scoring it


@dataclass(frozen=True)
class FileSummary:
    """What became of a file; JSON data.

    Attributes
    ----------
    seconds : float
        Of this attempt.
    resumed_rows : int
        Rows that an earlier attempt had done.
    ran_on : str
        Where the rows of this attempt were answered: "this machine", or the cluster and how many of its workers; "" where there were none.
    """

    request_id: str
    project: str
    version: str
    rows: int
    problem_rows: int
    by_prediction: dict[str, int]
    seconds: float
    resumed_rows: int = 0
    stages: dict[str, float] = field(default_factory=dict)
    ran_on: str = ""

    def to_dict(self) -> dict[str, Any]:
        return dict(self.__dict__)


@traffic.recorded("file")
def predict_file(
    home: Home, actor: acts.Actor, project: str, in_path: Path, out_path: Path, *, source: str, version: str | None = None,
    progress: Callable[[int, int], None] | None = None, check_cancelled: Callable[[], None] | None = None,
    now: datetime | None = None, cluster: str = "",
) -> FileSummary:
    """Score a CSV or Excel file of any length into ``out_path`` (the columns of the input plus OUTPUT_COLUMNS).

    The whole file is read through once before anything is scored, so that a broken line far down refuses the file
    while nothing has been logged. One file is answered by one version. Memory is bounded by a few parts.

    The result grows as ``out_path`` + ".part" and takes its name at the end. What was stopped or killed is continued by the
    same call with the same file and account, while the same version answers: no row is logged twice, none is lost.

    Parameters
    ----------
    cluster : str
        Scheduler of a Dask cluster that answers files of CLUSTER_ROWS rows or more; "" answers all of them here.

    Raises
    ------
    BadInput
        The file cannot be read, has no rows, lacks a feature or has a column that scoring would add.
    NotFound
        Nothing is live.
    Refused
        The account may not predict, ``version`` was never live, another process writes the same result, or the model's
        own output is impossible; or a worker of the cluster differs from this installation.
    core.adapters.dask_cluster.ClusterLost
        The cluster is away, or went away; what was logged by then is continued as above.
    """
    check_may_predict(home, actor)
    check_had_green_light(home, project, version)
    with ThreadPoolExecutor(1) as beside:  # importing what the pipeline needs takes as long as reading a large file
        looking = beside.submit(_read_through, Path(in_path))
        try:
            scorer = load_scorer(home, project, version)  # that nothing is live is said before what is wrong with the file
        finally:
            looking.exception()
    header, total, kept = looking.result()
    if total == 0:
        raise BadInput(f"{Path(in_path).name} has a header but no rows; add at least one row.")
    from core.scoring.chunks import About

    began = time.perf_counter()
    executor = _join(cluster) if cluster and total >= CLUSTER_ROWS else None
    wanted = Done(header.meta.sha256, project, scorer.version, actor.name, secrets.token_hex(8), CHUNK_ROWS)
    stages: dict[str, float] = {}
    with PartFile(Path(out_path), wanted) as part:
        resumed, continued = part.done.rows, wanted.request_id != part.done.request_id
        about = About(part.done.request_id, now or utc_now(), actor.name, source, header.meta.decimal)
        if kept is None or part.done.chunk_rows != CHUNK_ROWS:
            tables: Iterator[tuple[pa.Table, pa.Array | None]] = (
                (table, None) for table in _read_chunks(Path(in_path), header, part.done.chunk_rows)
            )
        else:
            tables = iter(kept)
        part.begin(_header_line(header))
        for chunk in _answer(home, scorer, tables, about, skip=part.done.chunks, executor=executor, check_cancelled=check_cancelled):
            if check_cancelled is not None:
                check_cancelled()
            part.expect()
            _log_once(home, chunk, look=continued, stages=stages)
            part.add(chunk.lines, chunk.group.labels)
            if progress is not None:
                progress(part.done.rows, total)
        done = part.done
    return FileSummary(
        done.request_id, project, scorer.version, done.rows, done.problem_rows, done.by_prediction, time.perf_counter() - began,
        resumed, stages, executor.ran_on if executor is not None else "this machine" if done.rows > resumed else "",
    )


def _read_through(path: Path) -> tuple[Header, int, list[tuple[pa.Table, pa.Array | None]] | None]:
    """Header and rows of a file that can be read to its end, and its parts if it is small enough to keep them, with the text
    that each row begins with in the result: there is time for that while the model is loaded."""
    from core.datasets.read import read_header
    from core.datasets.write import csv_rows

    header = read_header(path)
    kept: list[tuple[pa.Table, pa.Array | None]] | None = [] if path.stat().st_size <= KEPT_BYTES else None
    total = 0
    for table in _read_chunks(path, header, CHUNK_ROWS):
        total += table.num_rows
        if kept is not None:
            kept.append((table, csv_rows(table)))
    return header, total, kept


def _read_chunks(path: Path, header: Header, chunk_rows: int) -> Iterator[pa.Table]:
    from core.datasets.read import stream_columns

    return stream_columns(path, chunk_rows=chunk_rows, header=header)


def _header_line(header: Header) -> memoryview | bytes:
    from core.datasets.write import csv_header

    return csv_header([*header.columns, *OUTPUT_COLUMNS])


def _join(cluster: str) -> DaskExecutor:
    """Before anything is logged it must be there."""
    from core.adapters.dask_cluster import DaskExecutor

    executor = DaskExecutor(cluster)
    executor.prepare()
    return executor


def _answer(
    home: Home, scorer: Scorer, tables: Iterator[tuple[pa.Table, pa.Array | None]], about: About, *, skip: int,
    executor: DaskExecutor | None, check_cancelled: Callable[[], None] | None,
) -> Iterator[Chunk]:  # fmt: skip
    """Answer parts, on the cluster or two at a time here, hand them on in order; the first ``skip`` parts are done already."""
    from core.scoring.chunks import answer_chunk

    if executor is not None:
        from core.scoring.remote import answer_on_cluster

        try:
            yield from answer_on_cluster(
                executor, home, scorer, (table for table, _ in tables), about, skip=skip,
                make_uid=lambda number: make_uid(home, about.request_id, number), check_cancelled=check_cancelled,
            )  # fmt: skip
        finally:
            executor.close()
        return
    waiting: deque[Future[Chunk]] = deque()
    counter = profiles.counter_of(home, scorer.version_id, scorer.sha256)
    alone = scorer.fast is not None and scorer.fast.threads_itself  # two parts at once would make its threads wait for each other
    with ThreadPoolExecutor(1 if alone else THREADS) as pool:
        try:
            for number, (table, written) in enumerate(islice(tables, skip, None), skip):
                uid = make_uid(home, about.request_id, number)
                waiting.append(
                    pool.submit(answer_chunk, scorer, table, about, counter=counter, uid=uid, first=number == 0, written=written)
                )
                if len(waiting) >= IN_FLIGHT:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _log_once(home: Home, chunk: Chunk, *, look: bool, stages: dict[str, float]) -> None:
    """Log a part, unless an attempt that was killed had logged it and not come to writing it."""
    began = time.perf_counter()
    if not look or store.find_group(reading(home.predictions_db), chunk.group.uid) is None:
        log.append(home, chunk.group)
    spent = {**chunk.group.stages, "logging": 1000 * (time.perf_counter() - began)}
    for name, value in spent.items():
        stages[name] = stages.get(name, 0.0) + value
