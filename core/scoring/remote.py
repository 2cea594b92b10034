"""Parts of a long file answered on the cluster: the rows go there, answers and what the log keeps come back, in order.

Only the model, the rows and what is counted of them leave this machine. Ids are made here and predictions are logged here, before
any answer is written, as with a file that is answered here.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from core.errors import GreenlightError, Refused
from core.home import Home
from core.projects.definition import Definition
from core.scoring import profiles
from core.scoring.chunks import About, Chunk, answer_chunk
from core.scoring.scorer import Scored, Scorer, score

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from core.adapters.dask_cluster import DaskExecutor
    from core.drift.bins import Bins

PROBE_TIMES = 8  # the golden rows over and over, so that what answers many rows at once is asked, not what answers few


@dataclass(frozen=True)
class Kit:
    """What a worker needs to answer for a version.

    Attributes
    ----------
    quick : bool
        The compiled scorer answers here, so it answers there.
    probe, answers
        Golden rows and what this machine answers to them: the worker must give the same bits first.
    """

    project: str
    version: str
    version_id: int
    sha256: str
    threshold: float
    definition: Definition
    pipeline: Any
    quick: bool
    bins: Bins | None
    about: About
    probe: pd.DataFrame
    answers: Scored


@dataclass(frozen=True)
class Piece:
    """One part of the file: its rows as Arrow's stream, the id of its group, whether it is the first."""

    rows: bytes
    uid: str
    first: bool


def make_kit(home: Home, scorer: Scorer, about: About) -> Kit:
    """What the workers are given, once each."""
    import pandas as pd

    from core.registry.golden import read_rows

    probe = pd.concat([read_rows(home, scorer)] * PROBE_TIMES, ignore_index=True)
    counter = profiles.counter_of(home, scorer.version_id, scorer.sha256)
    return Kit(
        scorer.project, scorer.version, scorer.version_id, scorer.sha256, scorer.threshold, scorer.definition, scorer.pipeline,
        scorer.fast is not None, counter.bins if counter else None, about, probe, score(scorer, probe, threads=1),
    )  # fmt: skip


def answer_on_cluster(
    executor: DaskExecutor, home: Home, scorer: Scorer, tables: Iterator[pa.Table], about: About, *, skip: int,
    make_uid: Callable[[int], str], check_cancelled: Callable[[], None] | None = None,
) -> Iterator[Chunk]:
    """Answer parts on the cluster and hand them on in order; the first ``skip`` parts are done already.

    Raises
    ------
    BadInput, Refused
        As :func:`core.scoring.chunks.answer_chunk` does; Refused also where a worker's processor gives other answers.
    core.adapters.dask_cluster.ClusterLost
        The cluster went away; what was logged and written by then stays, and the same call goes on from there.
    """
    pieces = (
        Piece(write_rows(table), make_uid(number), number == 0) for number, table in enumerate(islice(tables, skip, None), skip)
    )
    for found in executor.run_in_order(answer_piece, pieces, make_kit(home, scorer, about), check_cancelled):
        if isinstance(found, GreenlightError):
            raise found
        yield found


def write_rows(table: pa.Table) -> bytes:
    """A table as Arrow's stream: of a slice only the slice, where a pickle would hold the whole."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


# ---- what runs on a worker ----

_built: OrderedDict[tuple[str, float, bool], tuple[Scorer, profiles.Counter | None]] = OrderedDict()
_lock = threading.Lock()
_KEPT = 4


def answer_piece(kit: Kit, piece: Piece) -> Chunk | GreenlightError:
    """Answer one part; a refusal comes back as it is, so that a person is told what they would be told here."""
    import pyarrow as pa

    try:
        scorer, counter = _scorer_of(kit)
        table = pa.ipc.open_stream(piece.rows).read_all()
        chunk = answer_chunk(scorer, table, kit.about, counter=counter, uid=piece.uid, first=piece.first)
    except GreenlightError as error:
        return error
    return replace(chunk, lines=bytes(chunk.lines))


def _scorer_of(kit: Kit) -> tuple[Scorer, profiles.Counter | None]:
    """The version made ready, once per worker process, after it has given the answers that it gives at home."""
    key = (kit.sha256, kit.threshold, kit.quick)
    with _lock:
        if key not in _built:
            scorer = Scorer(kit.project, kit.version, kit.version_id, kit.definition, kit.pipeline, kit.threshold, kit.sha256)
            if kit.quick:
                from core.scoring.compiled import compile_pipeline

                scorer = replace(scorer, fast=compile_pipeline(kit.pipeline))
            _check_probe(kit, scorer)
            _built[key] = scorer, profiles.make_counter(kit.bins) if kit.bins else None
            while len(_built) > _KEPT:
                _built.popitem(last=False)
        return _built[key]


def _check_probe(kit: Kit, scorer: Scorer) -> None:
    import numpy as np

    found = score(scorer, kit.probe, threads=1)
    if not np.array_equal(found.score, kit.answers.score, equal_nan=True) or list(found.prediction) != list(kit.answers.prediction):
        import platform

        raise Refused(
            f"Worker {platform.node()} does not give version {kit.version}'s own answers to its golden rows, so nothing was answered "
            "there; use workers with the same kind of processor, or empty GREENLIGHT_DASK to score on this machine."
        )
