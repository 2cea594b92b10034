"""Predict a few rows for a person (files: core.scoring.files). Every row is in the log before it is shown."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from core import acts
from core.errors import Refused
from core.home import Home
from core.monitoring import traffic
from core.projects.definition import OUTPUT_COLUMNS
from core.scoring import log
from core.scoring.scorer import Scored, Scorer, load_scorer, score
from core.times import utc_now
from storage import accounts as accounts_store
from storage import versions as versions_store
from storage.connection import reading

if TYPE_CHECKING:
    import pandas as pd

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

    @property
    def rows(self) -> int:
        return len(self.outputs)


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


@traffic.recorded("predict")
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


@dataclass(frozen=True)
class _Chunk:
    uid: str
    table: pd.DataFrame  # as it came
    outputs: pd.DataFrame
    scored: Scored
    group: log.Group
    labels: list[str]
    problem_flags: list[bool]


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
