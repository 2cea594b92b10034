"""Predict a few rows for a person (files: core.scoring.files). Every row is in the log before it is shown."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from core import acts
from core.errors import Refused
from core.home import Home
from core.monitoring import traffic
from core.projects.definition import OUTPUT_COLUMNS
from core.scoring import journal
from core.scoring.rows import RowsAnswer, score_rows
from storage import accounts as accounts_store
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
    stages : dict
        Milliseconds of validation, preprocessing, inference and logging.
    """

    request_id: str
    project: str
    version: str
    outputs: pd.DataFrame
    probabilities: Any
    classes: tuple[str, ...]
    stages: dict[str, float]

    @property
    def rows(self) -> int:
        return len(self.outputs)


def check_may_predict(home: Home, actor: acts.Actor) -> None:
    """Raise Refused unless the account exists, is active and may predict."""
    account = accounts_store.find_account(reading(home.db), actor.name)
    if account is None or not account["active"]:
        raise Refused(f"There is no active account {actor.name!r}; ask an administrator to add it.")
    acts.check_role(account["role"], "predict")


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
    NotLogged
        The log could not be written, so the answers are not given.
    """
    check_may_predict(home, actor)
    answer = score_rows(
        home, project, rows, caller=actor.name, source=source, version=version, request_id=request_id, now=now
    )
    began = time.perf_counter()
    journal.of(home).submit(answer.group).result()
    return _as_table(answer, 1000 * (time.perf_counter() - began))


def _as_table(answer: RowsAnswer, logging_ms: float) -> Answer:
    import numpy as np
    import pandas as pd

    given = answer.predictions
    columns: dict[str, list[Any]] = {name: [p[name] for p in given] for name in OUTPUT_COLUMNS}
    columns["problems"] = ["; ".join(p) for p in columns["problems"]]
    numbers = {"score", "confidence"} if isinstance(given[0]["prediction"], str) else {"prediction", "score", "confidence"}
    outputs = pd.DataFrame({n: pd.Series(v, dtype=np.float64 if n in numbers else object) for n, v in columns.items()})
    classes = tuple(given[0]["probabilities"])
    probabilities = np.array([list(p["probabilities"].values()) for p in given]) if classes else None
    stages = {**answer.stages, "logging": logging_ms}
    return Answer(answer.request_id, answer.project, answer.version, outputs, probabilities, classes, stages)
