"""One action scores every row of a project's source: each job role x skill of an HR database, or each row of its table.

A job: the source is read as of one moment, scored by the live version and logged like every prediction; each row gets its
rationale in words. Where a person with the say has approved it, the answers are written back to a table of their own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import acts
from core.acts import Actor, Done, Tx
from core.datasets import source as origins
from core.errors import GreenlightError, NotFound, Refused
from core.home import Home
from core.jobs import jobs
from core.projects import joins
from core.projects.definition import Definition
from core.projects.limits import get_limits, sources
from core.projects.projects import get_definition
from core.scoring import part
from core.scoring.files import predict_file
from core.scoring.scorer import find_pointer
from core.times import parse, utc_now

if TYPE_CHECKING:
    import pandas as pd

    from core.jobs.worker import JobContext

KIND = "score_source"
SUBJECTS = ("job_role_name", "skill_name", "job_department")


@dataclass(frozen=True)
class Scoring:
    """One time that the source was scored."""

    job: int
    at: str
    by: str
    request_id: str
    version: str
    rows: int
    by_prediction: dict[str, int]
    source: str
    write_back: str


def start(
    home: Home, actor: Actor, project: str, *, key: str | None = None, owner: str = "supervisor", now: datetime | None = None
) -> dict[str, Any]:
    """Put the scoring of a project's source on the list of jobs; returns {"id": job}.

    Raises
    ------
    NotFound
        The project has no source, or nothing is live.
    Refused
        A scoring of it is under way already.
    """
    definition = get_definition(home, project)

    def work(tx: Tx) -> Done:
        origin = origins.get_origin(home, definition)
        pointer = find_pointer(home, project)
        if pointer is None:
            raise NotFound(f"Project {project} has no live version yet; request a release, have it approved, and let DevOps deploy it.")
        busy = jobs.list_jobs(home, project=project, kind=KIND, states=("queued", "running"), limit=1)
        if busy and busy[0].state in ("queued", "running"):
            raise Refused(f"Job {busy[0].id} scores the source of {project} already; wait for it or cancel it.")
        job_id = jobs.enqueue(tx, project=project, kind=KIND, params={"source": origin.name}, owner=owner)
        return Done({"id": job_id}, after={"job": job_id, "source": origin.name}, subject=f"job {job_id}")

    return acts.perform(home, actor, KIND, work, permission="predict", project=project, key=key, now=now)


def result_path(home: Home, job_id: int) -> Path:
    """Where the answers of a job lie: the source's columns, prediction_id, prediction, score, confidence, problems, rationale."""
    return home.work / f"job_{job_id}" / "result.csv"


def list_scorings(home: Home, project: str, *, limit: int = 50) -> list[Scoring]:
    """Every time that the source was scored, newest first."""
    found = []
    for job in jobs.list_jobs(home, project=project, kind=KIND, states=("done",), limit=limit):
        done = job.outcome or {}
        found.append(
            Scoring(job.id, job.finished_at or job.created_at, job.created_by, done["request_id"], done["version"], done["rows"],
                    done["by_prediction"], done["source"], done["write_back"]["sentence"])
        )  # fmt: skip
    return found


def read_result(home: Home, job_id: int) -> pd.DataFrame:
    """The answers of one scoring, the highest score first; every column as text but score and confidence.

    Raises
    ------
    NotFound
        The table is not kept any more.
    """
    import pandas as pd

    path = result_path(home, job_id)
    if not path.exists():
        raise NotFound("The table of this scoring is not kept any more; its predictions are in the log. Score the source again.")
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    for name in ("score", "confidence"):
        frame[name] = pd.to_numeric(frame[name], errors="coerce")
    return frame.sort_values("score", ascending=False, kind="stable", ignore_index=True)


def run(context: JobContext) -> dict[str, Any]:
    """The handler. A job that runs again what was stopped goes on with the rows that were read then."""
    home, job = context.home, context.job
    chain = [job]
    while chain[-1].rerun_of is not None:
        chain.append(jobs.get_job(home, chain[-1].rerun_of))
    folder = result_path(home, job.id).parent
    folder.mkdir(parents=True, exist_ok=True)
    definition = get_definition(home, job.project)
    first = result_path(home, chain[-1].id).parent
    if not (first / "source.json").exists():
        context.progress(0, 0, "reading the source")
        first.mkdir(parents=True, exist_ok=True)
        _read_source(home, definition, first)
    about = json.loads((first / "source.json").read_text())
    for earlier in chain[1:]:
        if part.take_over(result_path(home, earlier.id).with_name("out.csv"), folder / "out.csv"):
            break
    summary = predict_file(
        home, Actor(job.created_by), job.project, first / "in.csv", folder / "out.csv", source=f"source {about['connection']}"[:200],
        progress=lambda done, total: context.progress(done, 2 * total, f"{done:,} of {total:,} rows scored"),
        check_cancelled=context.check_cancelled,
    )  # fmt: skip
    context.check_cancelled()
    context.progress(summary.rows, 2 * summary.rows, "finding the reasons")
    frame = _add_rationale(home, definition, summary.version, first / "in.csv", folder)
    said = _write_back(home, job, chain[-1], definition, summary.version, frame)
    return {**summary.to_dict(), **about, "write_back": said}


def _read_source(home: Home, definition: Definition, folder: Path) -> None:
    """in.csv and source.json: what was read, and where from."""
    fetched = origins.fetch(definition, origins.get_origin(home, definition), today=utc_now().date())
    frame = fetched.frame.drop(columns=[definition.target, "label_provenance"], errors="ignore")
    if frame.empty:
        raise Refused(f"There is no row in {fetched.name}; there is nothing to score.")
    frame.to_csv(folder / "in.csv", index=False, lineterminator="\n", encoding="utf-8")
    about = {"source": fetched.words, "connection": fetched.connection, "as_of": fetched.as_of, "read": fetched.counts}
    fresh = folder / "source.json.new"
    fresh.write_text(json.dumps(about))
    fresh.replace(folder / "source.json")


def _add_rationale(home: Home, definition: Definition, version: str, in_path: Path, folder: Path) -> pd.DataFrame:
    """Write result.csv: the answers with their reasons; returns the rows as they were read, with both."""
    import pandas as pd

    from core.datasets.prepare import prepare
    from core.datasets.read import read_table
    from core.datasets.write import write_csv
    from core.scoring.rationale import say_rows

    table = read_table(in_path.read_bytes(), file_name=in_path.name, max_bytes=None)
    features = prepare(table, definition, purpose="scoring", refuse_unreadable=False).features
    answers = pd.read_csv(folder / "out.csv", dtype=str, keep_default_na=False)
    reasons = say_rows(home, definition.name, version, features)
    write_csv(folder / "result.csv", answers.assign(rationale=reasons))
    (folder / "out.csv").unlink()
    given = pd.read_csv(in_path, dtype=str, keep_default_na=False)  # names as they are, not as a spreadsheet may have them
    outputs = [c for c in answers.columns if c not in given.columns]
    return pd.concat([given, answers[outputs].assign(rationale=reasons)], axis=1)


def _write_back(
    home: Home, job: jobs.Job, first: jobs.Job, definition: Definition, version: str, frame: pd.DataFrame
) -> dict[str, Any]:
    """{"state": off, done or failed, "sentence", "rows"}; the predictions are kept here whatever becomes of it."""
    from core.adapters import databases

    origin = origins.find_origin(home, definition)
    place = origin.mapping["write"] if origin is not None and origin.mapping is not None else None
    if not place:
        return {"state": "off", "rows": 0, "sentence": "Nothing was written back: the project's join names no table for it."}
    if not get_limits(home, job.project).sharing.write_back:
        return {
            "state": "off", "rows": 0,
            "sentence": "Nothing was written back: no DRH manager has approved it; it is proposed in Settings, Thresholds.",
        }  # fmt: skip
    if _approved_place(home, job.project) != place:
        return {
            "state": "off", "rows": 0,
            "sentence": "Nothing was written back: the join names another place than when it was approved; have writing back "
            "taken back and approved again, in Settings, Thresholds.",
        }  # fmt: skip
    actor = Actor(job.created_by, via="job")
    run_id = f"{job.project}-{first.id}-{first.created_at}"
    where = f"{place['table']} of database {place['connection']}"
    written, refusal = 0, None
    if acts.is_allowed(home, actor, "predict"):
        try:
            rows = _rows_to_write(frame, definition, run_id, version, parse(job.created_at))
            written = databases.write_predictions(databases.get_address(place["connection"]), place["table"], rows, run_id=run_id)
        except GreenlightError as error:
            refusal = error  # raised inside the act, so that the attempt is audited

    def work(tx: Tx) -> Done:
        if refusal is not None:
            raise refusal
        after = {"table": place["table"], "connection": place["connection"], "rows": written, "run_id": run_id, "version": version}
        return Done({"rows": written}, after=after, subject=f"job {job.id}")

    try:
        acts.perform(home, actor, "write_back", work, permission="predict", project=job.project, correlation_id=job.correlation_id)
    except GreenlightError as error:
        return {"state": "failed", "rows": 0, "sentence": f"Nothing was written to {where}: {error} The predictions are kept here."}
    sentence = f"{written:,} predictions were written to {where}." if written else f"This run stands in {where} already; nothing was added."
    return {"state": "done", "rows": written, "sentence": sentence}


def _approved_place(home: Home, project: str) -> dict[str, Any] | None:
    """Where predictions were to be written when a DRH manager approved it: who sets the join may not move it afterwards."""
    approved = next((s for s in sources(home, project) if s.setting.name == "write_back"), None)
    join = joins.find_join_at(home, project, "database", approved.at) if approved is not None and approved.at else None
    return join.value["write"] if join is not None and join.value is not None else None


def _rows_to_write(frame: pd.DataFrame, definition: Definition, run_id: str, version: str, at: datetime) -> list[dict[str, Any]]:
    def text(name: str) -> list[Any]:
        return [v or None for v in frame[name]] if name and name in frame else [None] * len(frame)

    def number(name: str) -> list[float | None]:
        return [float(v) if v else None for v in frame[name]]

    columns: dict[str, list[Any]] = {
        "prediction_id": frame["prediction_id"].tolist(), "row_key": text(definition.key), **{n: text(n) for n in SUBJECTS},
        "level": text("prediction"), "score": number("score"), "confidence": number("confidence"), "rationale": text("rationale"),
    }  # fmt: skip
    same = {"run_id": run_id, "project": definition.name, "model_version": version, "predicted_at": at}
    return [dict(zip(columns, values, strict=True)) | same for values in zip(*columns.values(), strict=True)]
