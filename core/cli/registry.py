"""register, versions, compare, evaluate: what is registered and how good it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from core.cli import console
from core.cli.console import As, Json, Project
from core.errors import NotFound, Refused

commands = typer.Typer()


@commands.command()
def register(
    project: Project,
    run_id: Annotated[int, typer.Argument(metavar="RUN", help="Id of a training run.")],
    candidate: Annotated[
        str, typer.Option("--candidate", help="Which candidate; the automatic choice unless named.", show_default=False)
    ] = "",
    version: Annotated[str, typer.Option("--version", metavar="X.Y.Z", help="The next unless named.", show_default=False)] = "",
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Binary: decision threshold, 0.5 unless named.", show_default=False)
    ] = None,
    notes: Annotated[str, typer.Option("--notes", help="For the version's card.", show_default=False)] = "",
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Register a candidate of a run as a version."""
    from core.registry import versions
    from core.training import runs

    home = console.open_home()
    who = console.actor(home, as_name)
    run = runs.get_run(home, run_id)
    if run.project != project:
        raise NotFound(f"Project {project} has no run {run_id}; it belongs to {run.project}.")
    name = candidate or (run.choice["name"] if run.choice else "")
    if not name:
        raise Refused(f"Run {run_id} has no automatic choice; name a candidate with --candidate.")
    known = runs.list_candidates(home, run_id)
    row = next((c for c in known if c.name == name), None)
    if row is None:
        raise NotFound(f"Run {run_id} has no candidate {name!r}; it has {', '.join(c.name for c in known)}.")
    made = versions.register(home, who, row.id, version=version or None, threshold=threshold, notes=notes)
    text = f"Registered {made['candidate']} of run {run_id} as version {made['version']}, in stage validation."
    console.answer({**made, "project": project, "run": run_id}, as_json, text)


@commands.command()
def versions(project: Project, as_name: As = "", as_json: Json = False) -> None:
    """List the versions of a project, newest first."""
    from core.deployment import find_live
    from core.projects.projects import get_definition
    from core.registry.versions import list_versions

    home = console.open_home()
    console.check_reader(home, as_name)
    metric = get_definition(home, project).metric
    live = find_live(home, project)
    found = []
    for v in list_versions(home, project):
        cv = v.summary.get("cv", {}).get(metric, {})
        found.append(
            {
                "id": v.id,
                "version": v.version,
                "project": v.project,
                "stage": v.stage,
                "stage_reason": v.stage_reason,
                "live": live is not None and live.version == v.version,
                "estimator": v.summary.get("title"),
                "run": v.summary.get("run"),
                "metric": metric,
                "cv_mean": cv.get("mean"),
                "cv_std": cv.get("std"),
                "holdout": v.summary.get("holdout"),
                "threshold": v.threshold,
                "sha256": v.sha256,
                "trained_by": v.trained_by,
                "registered_by": v.registered_by,
                "registered_at": v.registered_at,
                "notes": v.notes,
            }
        )
    rows = [
        [
            f["version"],
            f["stage"],
            f["estimator"],
            f["cv_mean"],
            (f["holdout"] or {}).get(metric),
            f["trained_by"],
            f["registered_at"][:10],
            f["stage_reason"],
        ]
        for f in found
    ]
    text = console.table(
        ["version", "stage", "estimator", f"CV {metric}", f"hold-out {metric}", "trained by", "date", "why"], rows
    )
    console.answer(found, as_json, text if rows else f"Project {project} has no version yet; train it with: train {project}")


@commands.command()
def compare(
    project: Project,
    run_id: Annotated[int | None, typer.Option("--run", help="Id of a run; the newest unless named.", show_default=False)] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="MODEL_COMPARISON.md", help="Write the comparison there too.", show_default=False),
    ] = None,
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Compare the candidates of a run: leaderboard, choice and its reasons."""
    from core.cli.training import leaderboard, leaderboard_lines
    from core.projects.projects import get_project
    from core.registry.cards import write_comparison_page
    from core.training import runs

    home = console.open_home()
    console.check_reader(home, as_name)
    get_project(home, project)
    if run_id is None:
        newest = runs.list_runs(home, project, 1)
        if not newest:
            raise NotFound(f"Project {project} has no training run yet; train it with: train {project}")
        run = newest[0]
    else:
        run = runs.get_run(home, run_id)
        if run.project != project:
            raise NotFound(f"Project {project} has no run {run_id}; it belongs to {run.project}.")
    report = leaderboard(home, run)
    if out is not None:
        write_comparison_page(home, run, out)
        console.say(f"The comparison is in {out}.")
    console.answer(report, as_json, leaderboard_lines(report))


@commands.command()
def evaluate(
    project: Project,
    version: Annotated[str, typer.Argument(metavar="VERSION")],
    data: Annotated[Path, typer.Option("--data", metavar="FILE", help="A table with the target.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="REPORT.json", help="Write the report there too.", show_default=False)
    ] = None,
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Evaluate a version on a labelled table; nothing is logged or changed."""
    from core.registry.evaluate import evaluate_version
    from core.times import utc_now

    home = console.open_home()
    console.check_reader(home, as_name)
    report = evaluate_version(home, project, version, console.read_file(data), file_name=data.name, now=utc_now())
    if out is not None:
        fresh = out.with_name(out.name + ".part")
        fresh.write_text(json.dumps(console.plain(report), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        fresh.replace(out)
        console.say(f"The report is in {out}.")
    rows = []
    for name, value in report["metrics"].items():
        low, high = report["intervals"].get(name, (None, None))
        interval = f"{low:.3f} .. {high:.3f}" if low is not None and high is not None else "unknown"
        rows.append([name, value, interval, report["baseline"]["metrics"].get(name)])
    lines = [report["sentence"], "", *console.table(["metric", "value", "95 % interval", "baseline"], rows)]
    lines += [f"{f['level'].capitalize()}: {f['text']}" for f in report["findings"] if f["level"] != "info"]
    console.answer(report, as_json, lines)
