"""POST predict: rows in, answers out; every answer is in the log before it leaves."""

from __future__ import annotations

import logging
import time

from anyio import to_thread
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from api import schemas
from api.body import parse
from api.problems import Problem
from api.visit import Visit, visit_of
from core.scoring import rows, waiting
from core.scoring.journal import NotLogged
from core.scoring.scorer import Scorer, find_loaded, load_scorer

LOG = logging.getLogger("greenlight.api")
AT_ONCE_ROWS = 20  # up to here scoring takes less time than handing it to a thread


class Prediction(TypedDict):
    """One row's answer.

    ``score`` is null where the task has none; ``confidence`` is null and ``probabilities`` empty for numbers. ``problems``
    lists what was missing, unknown or implausible in the row.
    """

    prediction_id: str
    prediction: str | float
    score: float | None
    confidence: float | None
    probabilities: dict[str, float]
    problems: list[str]


class Predicted(TypedDict):
    """The answers in the order of the rows; all of them are in the prediction log."""

    request_id: str
    project: str
    model_version: str
    logged: bool
    predictions: list[Prediction]


async def predict(request: Request) -> Response:
    visit = visit_of(request)
    project = request.path_params["project"]
    scorer = await get_scorer(visit, project)
    began = time.perf_counter()
    body = parse(visit.body, schemas.rows_adapter(scorer.definition, scorer.sha256), schemas.count_names)
    read = time.perf_counter()
    answer = await score(visit, scorer, body["rows"])
    answer.stages["validation"] = answer.stages.get("validation", 0.0) + 1000 * (read - began)
    await keep(visit, answer)
    content = {
        "request_id": visit.request_id, "project": project, "model_version": answer.version, "logged": True,
        "predictions": answer.predictions,
    }  # fmt: skip
    return Response(to_json(content), media_type="application/json", headers={"X-Model-Version": answer.version})


async def get_scorer(visit: Visit, project: str) -> Scorer:
    """The live version's scorer; the request that finds it not loaded loads it in a thread."""
    visit.check_reach(project)
    scorer = find_loaded(visit.home, project)
    if scorer is None:  # or there is no such project, which is said now
        scorer = await to_thread.run_sync(load_scorer, visit.home, visit.enter(project).name)
    visit.project = project
    return scorer


async def score(visit: Visit, scorer: Scorer, given: list[dict[str, object]]) -> rows.RowsAnswer:
    """Score without writing anything; what takes longer goes into a thread, so that it keeps nobody else waiting."""

    def work() -> rows.RowsAnswer:
        return rows.score_rows(
            visit.home, scorer.project, given, caller=visit.caller, source="api", scorer=scorer, request_id=visit.request_id,
            now=visit.at,
        )

    quick = scorer.fast is not None and len(given) <= AT_ONCE_ROWS
    return work() if quick else await to_thread.run_sync(work)


async def keep(visit: Visit, answer: rows.RowsAnswer) -> None:
    """Wait until the answer is on disk.

    Raises
    ------
    Problem
        503: it could not be written, so nothing is answered.
    """
    began = time.perf_counter()
    try:
        await waiting.keep(visit.home, answer.group)
    except NotLogged as error:
        LOG.error("a prediction was not logged and not answered", extra={"correlation_id": visit.request_id, "project": answer.project})
        detail = "The predictions could not be written to the log, so they are not given. Try again in a moment."
        raise Problem(503, detail, headers={"Retry-After": "5"}) from error
    visit.version, visit.rows = answer.version, len(answer.predictions)
    visit.stages = {**answer.stages, "logging": 1000 * (time.perf_counter() - began)}
