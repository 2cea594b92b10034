"""drift: is the world still the one that the model learned from?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli import console
from core.cli.console import As, Json, Project
from core.errors import Refused
from core.home import Home

if TYPE_CHECKING:
    from core.acts import Actor

commands = typer.Typer()


@commands.command()
def drift(
    project: Project,
    reference: Annotated[
        Path | None, typer.Option("--reference", metavar="FILE", help="The training data unless named.", show_default=False)
    ] = None,
    current: Annotated[
        Path | None, typer.Option("--current", metavar="FILE", help="The logged predictions unless named.", show_default=False)
    ] = None,
    evidently: Annotated[
        bool, typer.Option("--evidently/--no-evidently", help="Evidently's own verdict and full report too.")
    ] = True,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="No check: hold the hourly counts against the log, and make them again where they differ.")
    ] = False,
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Measure drift between a reference and current rows, and keep the check."""
    from core.drift import checks

    home = console.open_home()
    who = console.actor(home, as_name)
    if rebuild:
        _recount(home, who, project, as_json)
        return
    before = None if reference is None else checks.Upload(console.read_file(reference), reference.name)
    now = checks.Period() if current is None else checks.Upload(console.read_file(current), current.name)
    done = checks.run_check(home, who, project, current=now, reference=before, evidently=evidently, owner="cli")
    if done["job"] is not None:
        job = console.run_job(home, who, done["job"])
        if job.state != "done":
            console.say(f"Evidently's verdict is missing ({job.state}): {job.error}")
    check = checks.get_check(home, done["id"])
    columns = [
        {"name": c.name, "score": c.score, "status": c.status, "within_chance": c.within_chance, "reason": c.reason}
        for c in check.result.worst_first
    ]
    data = {
        "id": check.id,
        "project": project,
        "overall": check.overall,
        "band": check.band,
        "sentence": check.result.sentence,
        "alert": check.alert,
        "reference": check.reference,
        "current": check.current,
        "columns": columns,
        "quality": check.quality,
        "evidently": check.evidently,
        "report": str(home.reports / check.report) if check.report else None,
    }
    lines = [
        f"Check {check.id}: {check.current['label']} ({check.current['rows']} rows) against {check.reference['label']} "
        f"({check.reference['rows']} rows).",
        *([check.current["note"]] if check.current.get("note") else []),
        check.result.sentence,
        "",
        *console.table(["feature", "score", "status"], [[c["name"], c["score"], _status(c)] for c in columns]),
        "",
        check.alert["sentence"],
    ]
    if data["report"]:
        lines.append(f"Evidently's full report: {data['report']}")
    console.answer(data, as_json, lines)


def _recount(home: Home, who: Actor, project: str, as_json: bool) -> None:
    from core.drift import checks

    job = console.run_job(home, who, checks.recount(home, who, project, owner="cli")["job"])
    if job.state != "done" or job.outcome is None:
        raise Refused(f"The log of {project} was not counted ({job.state}): {job.error}")
    console.answer({"job": job.id, "project": project, **job.outcome}, as_json, [job.outcome["sentence"]])


def _status(column: dict[str, Any]) -> str:
    if column["status"] == "unknown":
        return f"unknown: {column['reason']}"
    return "within chance" if column["within_chance"] else column["status"]
