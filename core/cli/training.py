"""train: from data to a registered version; and the list of jobs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli import console
from core.cli.console import As, Json, Project
from core.errors import BadInput, GreenlightError, Refused

if TYPE_CHECKING:
    from core.home import Home
    from core.training.runs import Run
    from core.training.search import Budget

commands = typer.Typer()


@commands.command()
def train(
    project: Project,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FILE", help="Add this table as a dataset version first.", show_default=False)
    ] = None,
    candidates: Annotated[
        str,
        typer.Option(
            "--candidates", metavar="A,B", show_default=False,
            help="Names; the project's usual ones unless named. Also voting:A+B, stacking:A+B, class:package.module.Class.",
        ),
    ] = "",
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="CANDIDATE.NAME=VALUE", help="A hyperparameter; may be repeated.", show_default=False),
    ] = None,
    search: Annotated[
        str,
        typer.Option("--search", metavar="A,B", help="Search the hyperparameters of these candidates first.", show_default=False),
    ] = "",
    trials: Annotated[int, typer.Option("--trials", min=2, max=500, help="With --search: settings to try at most.")] = 20,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="With --search: seconds at most for each.")] = 300.0,
    patience: Annotated[int, typer.Option("--patience", min=1, help="With --search: trials without a better one before it ends.")] = 20,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1)] = 42,
    folds: Annotated[int, typer.Option("--folds", min=2, max=20)] = 5,
    holdout: Annotated[float, typer.Option("--holdout", min=0.05, max=0.5, help="Share of rows held out.")] = 0.2,
    version: Annotated[
        str,
        typer.Option("--version", metavar="X.Y.Z", help="Number of the new version; the next unless named.", show_default=False),
    ] = "",
    register: Annotated[bool, typer.Option("--register/--no-register", help="Register the automatic choice.")] = True,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="Binary: decision threshold of the version; 0.5 unless named.", show_default=False),
    ] = None,
    provenance: Annotated[str, typer.Option("--provenance", help="With --data: who made the labels.")] = "recorded",
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Train the candidates, print the leaderboard, register the automatic choice."""
    from core.datasets.versions import add_dataset
    from core.registry.versions import check_version
    from core.registry.versions import register as register_candidate
    from core.training import runs

    home = console.open_home()
    who = console.actor(home, as_name)
    if version:
        check_version(version)
    wanted = _wanted(home, project, candidates, param or [])
    dataset_version = None
    if data is not None:
        added = add_dataset(home, who, project, console.read_file(data), file_name=data.name, label_provenance=provenance)
        dataset_version = added["version"]
        console.say(f"Dataset {dataset_version}: {added['rows']} rows{'' if added['fresh'] else ', the same bytes as before'}.")
    job_id = runs.start_training(
        home,
        who,
        project,
        dataset_version=dataset_version,
        candidates=wanted,
        folds=folds,
        holdout=holdout,
        seed=seed,
        search=_searches(search, trials, seconds, patience),
        owner="cli",
    )["id"]
    job = console.run_job(home, who, job_id)
    if job.state != "done" or job.outcome is None:
        raise Refused(f"Training {job.state} (job {job_id}): {job.error or 'no reason was noted'}")
    run = runs.get_run(home, int(job.outcome["run"]))
    report = leaderboard(home, run)
    registered: dict[str, Any] | None = None
    refusal = ""
    if register and job.cancel_by is not None:
        refusal = f"The training had finished before it could be stopped; run {run.id} is kept and nothing was registered."
    elif register:
        try:
            registered = register_candidate(home, who, _chosen(home, run), version=version or None, threshold=threshold)
        except GreenlightError as error:
            refusal = str(error)
    report |= {
        "job": job_id,
        "registered": registered,
        "version": registered["version"] if registered else None,
        "refusal": refusal or None,
    }
    lines = leaderboard_lines(report)
    if registered:
        lines.append(f"Registered {registered['candidate']} as version {registered['version']}, in stage validation.")
    elif not refusal:
        lines.append(f"Nothing was registered; to register a candidate: register {project} {run.id} --candidate NAME")
    console.answer(report, as_json, lines)
    if refusal:
        console.complain(refusal)
        raise typer.Exit(1)


def leaderboard(home: Home, run: Run) -> dict[str, Any]:
    """A run as plain data: settings, the candidates ranked by the project's metric over the folds, the choice."""
    from core.datasets.versions import get_dataset
    from core.projects.projects import get_definition
    from core.training.runs import list_candidates
    from core.training.selection import beats_baseline, best_baseline, criteria

    definition = get_definition(home, run.project, run.definition_sha)
    sweep = _sweep(home, run)
    metric = definition.metric
    baseline = best_baseline(sweep.results, metric)
    rows: list[dict[str, Any]] = []
    for candidate in sorted(list_candidates(home, run.id), key=lambda c: -_mean(c.summary, metric)):
        result, summary = sweep.result(candidate.name), candidate.summary
        lead = None
        if baseline is not None and not result.baseline and result.error is None:
            lead = beats_baseline(result, baseline, definition, seed=sweep.seed)
        rows.append(
            {
                "rank": len(rows) + 1,
                "id": candidate.id,
                "candidate": candidate.name,
                "title": summary["title"],
                "baseline": summary["is_baseline"],
                "cv": summary["cv"],
                "holdout": summary["holdout"],
                "intervals": summary["intervals"],
                "fit_seconds": summary["fit_seconds"],
                "criteria": [c.__dict__ for c in criteria(result, definition)],
                "beats_baseline": lead.beats if lead else None,
                "against_baseline": lead.sentence if lead else None,
                "params": candidate.params,
                "error": candidate.error,
            }
        )
    dataset = get_dataset(home, run.dataset_id)
    return {
        "id": run.id,
        "run": run.id,
        "project": run.project,
        "dataset": dataset.version,
        "rows": dataset.rows,
        "metric": metric,
        "folds": run.settings["folds"],
        "holdout": run.settings["holdout"],
        "seed": run.settings["seed"],
        "leaderboard": rows,
        "choice": run.choice["name"] if run.choice else None,
        "sentence": run.choice["sentence"] if run.choice else None,
        "warnings": run.settings.get("warnings", []),
        "searches": run.settings.get("searches", []),
        "ran_on": run.settings.get("ran_on") or None,
    }


def leaderboard_lines(report: dict[str, Any]) -> list[str]:
    """The leaderboard as text."""
    metric = report["metric"]
    shown = {"f1": ("accuracy", "balanced_accuracy", "auc"), "r2": ("mae", "rmse"), "ndcg": ("mrr", "rmse")}[metric]
    shown = tuple(m for m in shown if any(m in r["holdout"] for r in report["leaderboard"]))
    rows = []
    for r in report["leaderboard"]:
        cv = r["cv"].get(metric, {})
        low, high = r["intervals"].get(metric, (None, None))
        interval = "unknown" if low is None or high is None else f"{low:.3f} .. {high:.3f}"
        name = r["candidate"] + (" (baseline)" if r["baseline"] else "") + (f" failed: {r['error']}" if r["error"] else "")
        seconds = None if r["fit_seconds"] is None else round(float(r["fit_seconds"]), 3)
        rows.append(
            [
                r["rank"],
                name,
                cv.get("mean"),
                cv.get("std"),
                r["holdout"].get(metric),
                interval,
                *(r["holdout"].get(m) for m in shown),
                seconds,
            ]
        )
    headers = ["rank", "candidate", f"CV {metric}", "std", f"hold-out {metric}", "95 % interval", *shown, "fit s"]
    lines = [
        f"Run {report['run']} of {report['project']}: {report['rows']} rows of dataset {report['dataset']}, "
        f"{report['folds']} folds, hold-out {report['holdout']:.0%}, seed {report['seed']}"
        + (f"; fitted on {report['ran_on']}." if report["ran_on"] else "."),
        "",
        *console.table(headers, rows),
        "",
    ]
    lines += [f"Warning: {w}" for w in report["warnings"]]
    lines += [f"Search: {s['sentence']}" for s in report["searches"]]
    chosen = next((r for r in report["leaderboard"] if r["candidate"] == report["choice"]), None)
    lines.append(report["sentence"] or "No candidate could be chosen: nothing but baselines could be trained.")
    if chosen and chosen["against_baseline"]:
        lines.append(chosen["against_baseline"])
    return lines


def _sweep(home: Home, run: Run) -> Any:
    from core.training.runs import get_sweep

    return get_sweep(home, run)


def _mean(summary: dict[str, Any], metric: str) -> float:
    mean = summary["cv"].get(metric, {}).get("mean")
    return float("-inf") if mean is None else mean


def _chosen(home: Home, run: Run) -> int:
    from core.training.runs import list_candidates

    if run.choice is None:
        raise Refused(f"Run {run.id} has no choice: nothing but baselines could be trained, so nothing is registered.")
    return next(c.id for c in list_candidates(home, run.id) if c.name == run.choice["name"])


def _wanted(home: Home, project: str, names: str, params: list[str]) -> list[tuple[str, dict[str, Any]]] | None:
    """The candidates with their hyperparameters; None leaves the choice to the project."""
    from core.projects.projects import get_definition
    from core.training.catalogue import default_candidates

    definition = get_definition(home, project)
    chosen = [n.strip() for n in names.split(",") if n.strip()]
    if not chosen and not params:
        return None
    wanted: dict[str, dict[str, Any]] = {name: {} for name in chosen or default_candidates(definition)}
    for text in params:
        left, equals, value = text.partition("=")
        candidate, dot, name = left.rpartition(".")
        if not (equals and dot and name):
            raise typer.BadParameter(f"{text!r} is not of the form candidate.name=value", param_hint="'--param'")
        if candidate not in wanted:
            raise BadInput(f"--param {text}: {candidate} is not among the candidates to train ({', '.join(wanted)}).")
        wanted[candidate][name] = _value(value)
    return list(wanted.items())


def _value(text: str) -> Any:
    """What the text says in JSON (a number, true, null, a list), else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _searches(names: str, trials: int, seconds: float, patience: int) -> list[tuple[str, Budget]]:
    wanted = dict.fromkeys(n.strip() for n in names.split(",") if n.strip())
    if not wanted:
        return []
    from core.training.search import Budget

    return [(name, Budget(trials, seconds, patience)) for name in wanted]


@commands.command("jobs")
def jobs_(
    project: Annotated[str, typer.Argument(metavar="[PROJECT]", help="Only this project's.", show_default=False)] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 20,
    as_json: Json = False,
) -> None:
    """List the newest jobs: what ran, how it ended."""
    from core.jobs.jobs import list_jobs
    from core.projects.projects import get_project

    home = console.open_home()
    if project:
        get_project(home, project)
    found = list_jobs(home, project=project or None, limit=limit)
    rows = [[j.id, j.project, j.kind, j.state, j.created_by, j.created_at[:19], (j.outcome or {}).get("ran_on", ""), j.error or ""] for j in found]
    text = console.table(["id", "project", "kind", "state", "by", "started", "ran on", "why"], rows) if rows else "No job has run yet."
    console.answer(found, as_json, text)
