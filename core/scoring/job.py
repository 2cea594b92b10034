"""Scoring a file as a job: started from the Predict page, run in a worker process."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import acts
from core.acts import Actor, Done, Tx
from core.errors import NotFound
from core.home import Home
from core.jobs import jobs
from core.projects.projects import get_project
from core.scoring import part, tables
from core.scoring.files import predict_file
from core.settings import Settings
from core.times import parse
from storage import jobs as store
from storage.connection import reading

if TYPE_CHECKING:
    from core.jobs.worker import JobContext

KEPT_DAYS = 30  # uploaded files and results of ended jobs


def start_scoring(
    home: Home, actor: Actor, project: str, content: bytes, *, file_name: str, key: str | None = None, owner: str = "supervisor"
) -> dict[str, Any]:
    """Put a file on the list of jobs; returns {"id": job}. The result lies at :func:`result_path` when the job is done."""
    get_project(home, project)
    suffix = ".xlsx" if Path(file_name).suffix.lower() == ".xlsx" else ".csv"  # a name from outside must not shape a path

    def work(tx: Tx) -> Done:
        params = {"file_name": Path(file_name).name[-200:], "suffix": suffix, "source": f"file {Path(file_name).name[-200:]}"}
        job_id = jobs.enqueue(tx, project=project, kind="score", params=params, owner=owner)
        folder = home.work / f"job_{job_id}"
        shutil.rmtree(folder, ignore_errors=True)  # left by a start that was rolled back
        folder.mkdir(parents=True)
        (folder / f"in{suffix}").write_bytes(content)
        return Done({"id": job_id}, after={"job": job_id, "file": params["file_name"]}, subject=f"job {job_id}")

    return acts.perform(home, actor, "score_file", work, permission="predict", project=project, key=key)


def result_path(home: Home, job_id: int) -> Path:
    return home.work / f"job_{job_id}" / "out.csv"


def run(context: JobContext) -> dict[str, Any]:
    """The handler: the job's file through predict_file. A job that runs again what was stopped or killed goes on where that ended."""
    job = context.job
    chain = [job]
    while chain[-1].rerun_of is not None:  # a rerun scores the file of the job that it repeats
        chain.append(jobs.get_job(context.home, chain[-1].rerun_of))
    source = chain[-1]
    in_path = result_path(context.home, source.id).with_name(f"in{job.params['suffix']}")
    if not in_path.exists():
        raise NotFound(f"The file of job {source.id} is gone; upload it again.")
    out_path = result_path(context.home, job.id)
    out_path.parent.mkdir(parents=True, exist_ok=True)
    for earlier in chain[1:]:
        if part.take_over(result_path(context.home, earlier.id), out_path):
            break
    began, had = time.monotonic(), 0

    def progress(done: int, total: int) -> None:
        nonlocal began, had
        if not had:
            began, had = time.monotonic(), done  # what was there before, and the first part, say nothing about the speed
        left = (time.monotonic() - began) / (done - had) * (total - done) if done > had else None
        context.progress(done, total, f"{done:,} of {total:,} rows", left)

    summary = predict_file(
        context.home, Actor(job.created_by), job.project, in_path, out_path, source=job.params["source"],
        progress=progress, check_cancelled=context.check_cancelled, cluster=Settings.from_environment().dask,
    )
    return summary.to_dict()


def forget_old(home: Home, now: datetime) -> int:
    """Remove uploaded files and results that nobody needs any more: of jobs that ended KEPT_DAYS ago, of files that were scored
    at once a day ago. The predictions themselves stay in the log. Returns the number of folders removed."""
    gone = 0
    for folder in home.work.glob("job_*"):
        number = folder.name.removeprefix("job_")
        row = store.find_job(reading(home.db), int(number)) if number.isdigit() else None
        if row is not None and row["kind"] not in ("score", "score_source"):
            continue
        if row is not None and row["kind"] == "score_source":
            last = store.list_jobs(reading(home.db), project=row["project"], kind="score_source", states=("done",), limit=1)
            if last and last[0]["id"] == row["id"]:
                continue  # the latest answers about a source stay
        if row is None:
            ended = datetime.fromtimestamp(folder.stat().st_mtime, UTC)  # its act was rolled back
        elif row["finished_at"] is None:
            continue
        else:
            ended = parse(row["finished_at"])
        if now - ended > timedelta(days=KEPT_DAYS):
            shutil.rmtree(folder, ignore_errors=True)
            gone += 1
    return gone + tables.forget_old(home, now)
