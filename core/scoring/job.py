"""Scoring a file as a job: started from the Predict page, run in a worker process."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import acts
from core.acts import Actor, Done, Tx
from core.errors import NotFound
from core.home import Home
from core.jobs import jobs
from core.projects.projects import get_project
from core.scoring.files import predict_file

if TYPE_CHECKING:
    from core.jobs.worker import JobContext


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
    """The handler: the job's file through predict_file."""
    job = context.job
    source_job = job.id
    origin = job
    while origin.rerun_of is not None:  # a rerun scores the file of the job that it repeats
        origin = jobs.get_job(context.home, origin.rerun_of)
        source_job = origin.id
    in_path = context.home.work / f"job_{source_job}" / f"in{job.params['suffix']}"
    if not in_path.exists():
        raise NotFound(f"The file of job {source_job} is gone; upload it again.")
    out_path = result_path(context.home, job.id)
    out_path.parent.mkdir(parents=True, exist_ok=True)

    began = time.monotonic()

    def progress(done: int, total: int) -> None:
        left = (time.monotonic() - began) / done * (total - done) if done else None
        context.progress(done, total, f"{done:,} of {total:,} rows", left)

    summary = predict_file(
        context.home, Actor(job.created_by), job.project, in_path, out_path, source=job.params["source"],
        progress=progress, check_cancelled=context.check_cancelled,
    )
    return summary.to_dict()
