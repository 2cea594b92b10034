"""drift, retrain: is the world still the one that the model learned from?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from core.acts import Actor
from core.cli import console
from core.cli.console import As, Json, Project
from core.errors import Refused
from core.home import Home

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


@commands.command()
def retrain(
    project: Project,
    check: Annotated[bool, typer.Option("--check", help="Only report whether a retraining is due.")] = False,
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Report whether a retraining is due, and by which trigger."""
    from core.retraining.triggers import check as check_triggers
    from core.times import utc_now

    if not check:
        raise Refused(
            f"Retraining by one command is not part of this release: retrain {project} --check reports whether it is due, "
            f"train {project} trains."
        )
    home = console.open_home()
    console.check_reader(home, as_name)
    found = check_triggers(home, project, now=utc_now())
    words = {True: "due", False: "not due", None: "unknown"}
    rows = [[t.name, t.value, f"{t.threshold:g} {t.unit}", words[t.fired]] for t in found.triggers]
    lines = [found.sentence, *(["", *console.table(["trigger", "value", "due from", "state"], rows)] if rows else [])]
    console.answer(found, as_json, lines)
