"""POST recommend: a query against the project's catalogue, or given rows, ranked by the live model."""

from __future__ import annotations

import time
from typing import Any, NotRequired

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from api import schemas
from api.answers import answer_json
from api.body import parse
from api.predict import get_scorer, keep, score
from api.problems import Problem
from api.visit import visit_of
from core.scoring import recommend as catalogue


class Recommendation(TypedDict):
    """One item in its place; ``row`` (from 1) where rows were given, ``item`` and its text where a query was."""

    rank: int
    score: float | None
    prediction_id: str
    problems: list[str]
    row: NotRequired[int]
    item: NotRequired[str]
    text: NotRequired[dict[str, str]]
    closeness: NotRequired[float]


class Recommended(TypedDict):
    """The best first. ``known_words`` of the query are in the catalogue; with none of them the order says little."""

    request_id: str
    project: str
    model_version: str
    logged: bool
    query: NotRequired[str]
    translated: NotRequired[str | None]
    known_words: NotRequired[int]
    looked_at: int
    items: list[Recommendation]
    stages_ms: dict[str, float]


async def recommend(request: Request) -> Response:
    visit = visit_of(request)
    project = visit.enter(request.path_params["project"])
    if project.task != "ranking":
        raise Problem(409, f"Project {project.name} is {project.task}; only a ranking project recommends. Use predict.")
    scorer = await get_scorer(visit, project.name)
    body = parse(visit.body, schemas.recommend_adapter(scorer.definition, scorer.sha256), gaps=True)
    if ("query" in body) == ("items" in body):
        raise Problem(422, "Send either a query or items, not both and not neither.")
    wanted = body.get("k", 10)
    about: dict[str, Any] = {}
    beside: list[dict[str, Any]]
    stages: dict[str, float] = {}
    if "query" in body:
        count = max(catalogue.LOOKED_AT, 4 * wanted)
        found = await to_thread.run_sync(
            catalogue.find_candidates, visit.home, scorer.definition, scorer.version, body["query"], count
        )
        about = {"query": found.query, "translated": found.translated, "known_words": found.known_words}
        rows, stages = [c.row for c in found.found], found.stages
        beside = [{"item": c.item, "text": c.text, "closeness": c.closeness} for c in found.found]
    else:
        rows, beside = body["items"], [{"row": n} for n in range(1, len(body["items"]) + 1)]
    if not any(scorer.definition.group in row for row in rows):  # what is ranked together is one query
        rows = [{**row, scorer.definition.group: visit.request_id} for row in rows]
    answer = await score(visit, scorer, rows)
    began = time.perf_counter()
    await keep(visit, answer)
    order = sorted(range(len(rows)), key=lambda n: -(answer.predictions[n]["score"] or 0.0))[:wanted]
    items = [
        {
            "rank": rank, "score": answer.predictions[n]["score"], "prediction_id": answer.predictions[n]["prediction_id"],
            "problems": answer.predictions[n]["problems"], **beside[n],
        }
        for rank, n in enumerate(order, 1)
    ]  # fmt: skip
    stages = {**stages, **answer.stages, "logging": 1000 * (time.perf_counter() - began)}
    # what precedes the model is preparation, as far as traffic counts stages
    visit.stages["preprocessing"] = visit.stages.get("preprocessing", 0.0) + sum(found.stages.values() if about else ())
    return answer_json(
        {
            "request_id": visit.request_id, "project": project.name, "model_version": answer.version, "logged": True, **about,
            "looked_at": len(rows), "items": items, "stages_ms": stages,
        },
        headers={"X-Model-Version": answer.version},
    )  # fmt: skip
