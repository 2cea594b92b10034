"""POST predict: rows in, answers out; every answer is in the log before it leaves."""

from __future__ import annotations

import logging
import time
from typing import NotRequired

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from api import schemas
from api.body import parse
from api.problems import Problem
from api.visit import Visit, visit_of
from core.adapters import shap_values
from core.errors import Refused
from core.scoring import explain, rows, waiting
from core.scoring.journal import NotLogged
from core.scoring.scorer import Scorer, find_loaded, load_scorer

LOG = logging.getLogger("greenlight.api")
SHAP_SECONDS = 30.0
EXPLAINED_AT_ONCE = 2
_EXPLAINING: RunVar[CapacityLimiter] = RunVar("explaining")
AT_ONCE_ROWS = 20  # up to here scoring takes less time than handing it to a thread


class Part(TypedDict):
    """What one value does to the answer; positive raises it."""

    column: str
    value: str
    change: float


class Why(TypedDict):
    """One answer taken apart: ``base`` plus all changes is ``answer``.

    ``of`` is "score" (0 to 100), "probability of CLASS" (0 to 1, classes without an order) or the target.
    """

    of: str
    base: float
    answer: float
    method: str
    background: str
    contributions: list[Part]


class Prediction(TypedDict):
    """One row's answer.

    ``score`` is null where the task has none; ``confidence`` is null and ``probabilities`` empty for numbers. ``problems``
    lists what was missing, unknown or implausible in the row. ``explanation`` is there when ``explain`` was asked for.
    """

    prediction_id: str
    prediction: str | float
    score: float | None
    confidence: float | None
    probabilities: dict[str, float]
    problems: list[str]
    explanation: NotRequired[Why]


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
    body = parse(visit.body, schemas.rows_adapter(scorer.definition, scorer.sha256), schemas.count_names, gaps=True)
    read = time.perf_counter()
    explained = bool(body.get("explain"))
    if explained:
        explain.check_count(body["rows"])
    answer = await score(visit, scorer, body["rows"])
    answer.stages["validation"] = answer.stages.get("validation", 0.0) + 1000 * (read - began)
    # before the log, so that an explanation that fails leaves no prediction that nobody was told of
    whys = await _explain(visit, scorer, body["rows"]) if explained else []
    await keep(visit, answer)
    for prediction, why in zip(answer.predictions, whys, strict=False):
        prediction["explanation"] = why.to_dict()
    content = {
        "request_id": visit.request_id, "project": project, "model_version": answer.version, "logged": True,
        "predictions": answer.predictions,
    }  # fmt: skip
    return Response(to_json(content), media_type="application/json", headers={"X-Model-Version": answer.version})


async def _explain(visit: Visit, scorer: Scorer, given: list[dict[str, object]]) -> list[explain.Explanation]:
    """By SHAP where it is installed and answers in time, else by our own method; the answer names which."""

    def work() -> list[explain.Explanation]:
        if shap_values.is_possible():
            try:
                return shap_values.explain_rows(visit.home, scorer, given, patience=SHAP_SECONDS)
            except Refused as reason:
                LOG.warning("explained without SHAP: %s", reason, extra={"correlation_id": visit.request_id, "project": scorer.project})
        return explain.explain(visit.home, scorer, given)

    began = time.perf_counter()
    found = await to_thread.run_sync(work, limiter=_explaining())
    visit.began += time.perf_counter() - began  # the latency of predictions is watched, and this is none
    return found


def _explaining() -> CapacityLimiter:
    """Explanations wait for each other, so that they never take the threads that predictions need."""
    try:
        return _EXPLAINING.get()
    except LookupError:
        limiter = CapacityLimiter(EXPLAINED_AT_ONCE)
        _EXPLAINING.set(limiter)
        return limiter


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
