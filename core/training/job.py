"""Training as a job: validation, sweep, choice, and one transaction that keeps it all."""

from __future__ import annotations

import logging
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from core import acts
from core.acts import Actor, Done, Tx
from core.datasets import versions as datasets
from core.errors import Cancelled, NotFound
from core.projects.limits import check_allowed
from core.projects.projects import get_definition
from core.registry.artifacts import sign
from core.registry.cards import write_comparison_page
from core.times import stamp, utc_now
from core.training.runs import get_run, summarise
from storage import runs as store

if TYPE_CHECKING:
    from pathlib import Path

    from core.jobs.worker import JobContext
    from core.projects.definition import Definition
    from core.training.executor import Executor
    from core.training.search import Search

log = logging.getLogger("greenlight.model_training")


def _search(context: JobContext, prepared: Any, definition: Definition, executor: Executor, folder: Path) -> list[Search]:
    """The searches that were asked for, one after the other; the hold-out's rows are not among those that they are given.

    Every trial is in ``folder`` soon after it ended: what was tried stays known, whatever becomes of the training.
    """
    from core.training.search import Budget, run_search, save_searches
    from core.training.sweep import split_holdout

    params = context.job.params
    found: list[Search] = []
    for wanted in params.get("search", []):
        train, _ = split_holdout(prepared.target, prepared.group, definition, params["holdout"], params["seed"])
        found.append(
            run_search(
                prepared.features, prepared.target, prepared.group, definition, candidate=wanted["candidate"],
                budget=Budget(**wanted["budget"]), executor=executor, train=train, folds=params["folds"], seed=params["seed"],
                base=next((values for name, values in params["candidates"] if name == wanted["candidate"]), None),
                progress=context.progress, check_cancelled=context._cancelled.is_set,
                note=lambda so_far: save_searches([*found, so_far], folder),
            )
        )
        save_searches(found, folder)
        log.info("job %s: %s", context.job.id, found[-1].sentence)
    return found


def _forget_half(folder: Path) -> None:
    """Half a run is no run: only what a search has tried stays."""
    from core.training.search import FILE

    if not (folder / FILE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != FILE:
            path.unlink(missing_ok=True)


def _sum_up(search: Search) -> dict[str, Any]:
    """The part of a search that lists show; every trial is in the run's folder."""
    return {
        "candidate": search.candidate, "trials": len(search.trials), "best": search.best, "gain": search.gain, "ended": search.ended,
        "seconds": search.seconds, "sentence": search.sentence,
    }  # fmt: skip


def run(context: JobContext, actor: Actor | None = None) -> dict[str, Any]:
    """The handler: returns {"run", "choice", "sentence", "ran_on"}. ``actor`` is the retraining that it is a step of, where it is one."""
    from core.settings import Settings
    from core.training.executor import keep_workers
    from core.training.executors import choose_executor
    from core.training.search import load_searches
    from core.training.selection import choose
    from core.training.sweep import run_sweep

    home, job = context.home, context.job
    params = job.params
    definition = get_definition(home, job.project, params["definition_sha"])
    dataset = datasets.get_dataset(home, params["dataset_id"])
    # Asked again: what was allowed when the job was filed may have been withdrawn while it waited, or it is run again.
    check_allowed(home, job.project, [name for name, _ in params["candidates"]])
    context.progress(0, 0, "validating the data")
    worker = actor or Actor(job.created_by, via="job")
    prepared, report = datasets.check_for_training(home, worker, dataset, definition)
    if prepared.target is None:
        raise NotFound(f"Dataset {dataset.version} of {job.project} has no column {definition.target!r} to learn from.")
    folder = home.runs / f"job_{job.id}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)

    def progress(done: int, total: int, candidate: str, fold: int | None, seconds_left: float | None) -> None:
        where = "final fit" if fold is None else f"fold {fold + 1} of {params['folds']}"
        context.progress(done, total, f"{candidate}, {where}", seconds_left)

    executor = choose_executor(Settings.from_environment(), home.work)
    try:
        with keep_workers(executor):
            searches = _search(context, prepared, definition, executor, folder)
        searched = [(s.candidate, s.winner.params) for s in searches if s.winner is not None]
        sweep = run_sweep(
            prepared.features, prepared.target, prepared.group, definition,
            candidates=[(name, values) for name, values in params["candidates"]],
            executor=executor, artifact_dir=folder, searched=searched,
            folds=params["folds"], holdout=params["holdout"], seed=params["seed"], progress=progress,
            check_cancelled=context._cancelled.is_set,
        )
        context.check_cancelled()
    except Cancelled:
        _forget_half(folder)
        tried = sum(len(search.trials) for search in load_searches(folder))
        if tried:
            were = "1 setting that the search had tried is" if tried == 1 else f"{tried} settings that the search had tried are"
            raise Cancelled(f"No model was kept; the {were} shown with this training.") from None
        raise
    except BaseException:
        _forget_half(folder)
        raise
    for result in sweep.results:
        if result.error:
            log.warning("candidate %s of job %s failed: %s", result.candidate, job.id, result.error)
        else:
            log.info("candidate %s of job %s is trained", result.candidate, job.id)
    choice = choose(sweep, definition)
    baseline = next((r for r in sweep.results if r.candidate == "dummy"), None)

    def work(tx: Tx) -> Done:
        run_id = store.insert_run(
            tx.db,
            {
                "project": job.project, "dataset_id": dataset.id, "job_id": job.id, "definition_sha": definition.sha256,
                "settings": {
                    **{k: params[k] for k in ("folds", "holdout", "seed")}, "folder": folder.name,
                    # what a search found is trained by the next retraining as well, without searching again
                    "candidates": [*params["candidates"], *([n, p] for n, p in searched)],
                    **({"searches": [_sum_up(s) for s in searches]} if searches else {}),
                    "ran_on": executor.ran_on,
                    "seconds": sweep.seconds, "warnings": [*sweep.warnings, *(f.text for f in report.findings if f.level == "warning")],
                },
                "started_by": job.created_by, "started_at": job.started_at or job.created_at, "finished_at": stamp(utc_now()),
                "choice": asdict(choice) if choice is not None else None, "environment": sweep.environment,
            },
        )
        for result in sweep.results:
            content = (folder / result.artifact).read_bytes() if result.artifact else None
            sha, mac = sign(home, content) if content is not None else (None, None)
            store.insert_candidate(
                tx.db,
                {
                    "run_id": run_id, "name": result.name, "params": result.params, "detail": {},
                    "summary": summarise(result, baseline, definition.metric), "artifact": result.artifact or None,
                    "sha256": sha, "hmac": mac, "error": result.error,
                },
            )
        outcome = {
            "run": run_id, "choice": choice.name if choice else None, "sentence": choice.sentence if choice else None,
            "ran_on": executor.ran_on,
        }  # fmt: skip
        return Done(outcome, after={**outcome, "job": job.id}, subject=f"run {run_id}")

    outcome = acts.perform(
        home, actor or Actor(job.created_by), "train", work, project=job.project, correlation_id=job.correlation_id, subject=f"job {job.id}"
    )
    write_comparison_page(home, get_run(home, outcome["run"]), home.models / job.project / "MODEL_COMPARISON.md")
    return outcome
