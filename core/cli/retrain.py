"""retrain and retrainings: from a reason to a judged candidate, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli import console
from core.cli.console import As, Json, Project
from core.errors import Refused

if TYPE_CHECKING:
    from core.home import Home
    from core.retraining.retraining import Retraining

commands = typer.Typer()

MARKS = {"done": "done", "skipped": "skipped", "failed": "FAILED", "running": "running", "waiting": ""}


@commands.command()
def retrain(
    project: Project,
    check: Annotated[bool, typer.Option("--check", help="Only report whether a retraining is due.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, in a sentence; it is kept in the audit.")] = "by hand",
    candidates: Annotated[
        str, typer.Option("--candidates", metavar="A,B", help="Instead of the live version's.", show_default=False)
    ] = "",
    seed: Annotated[int | None, typer.Option("--seed", min=0, max=2**32 - 1, show_default=False)] = None,
    rows: Annotated[str, typer.Option("--rows", help="all, source (no labelled predictions) or labelled (nothing else).")] = "all",
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Retrain: export, validate, train, register, compare with what is live, judge, ask for the release."""
    home = console.open_home()
    if check:
        _report_check(home, project, as_name, as_json)
        return
    from core.retraining import retraining

    who = console.actor(home, as_name)
    params: dict[str, Any] = {"rows": rows} if rows != "all" else {}
    if candidates:
        params["candidates"] = [[name.strip(), {}] for name in candidates.split(",") if name.strip()]
    if seed is not None:
        params["seed"] = seed
    made = retraining.start(home, who, project, reason=reason, params=params, owner="cli")
    job = console.run_job(home, who, made["job"])
    retraining.follow_up(home, now=_now())
    found = retraining.get(home, made["id"])
    console.answer({"job": job.id, **_plain(found)}, as_json, _lines(found))
    if found.state != "done":
        raise Refused(f"Retraining {found.id} has not come to its end ({found.state}): {job.error or found.sentence}")


@commands.command()
def retrainings(project: Project, as_json: Json = False) -> None:
    """List the retrainings of a project and what came of them."""
    from core.projects.projects import get_project
    from core.retraining import retraining

    home = console.open_home()
    get_project(home, project)
    found = retraining.list_retrainings(home, project)
    rows = [
        [r.id, r.started_at[:16].replace("T", " "), r.trigger, r.state, r.outcome, r.version, r.request_id, r.report_id, r.sentence]
        for r in found
    ]
    head = ["id", "started (UTC)", "trigger", "state", "outcome", "version", "request", "report", "sentence"]
    lines = console.table(head, rows) if rows else ["Nothing was retrained yet."]
    console.answer({"project": project, "retrainings": [_plain(r) for r in found]}, as_json, lines)


def _report_check(home: Home, project: str, as_name: str, as_json: bool) -> None:
    from core.projects.projects import get_project
    from core.retraining import triggers

    console.check_reader(home, as_name)
    get_project(home, project)
    found = triggers.check(home, project, now=_now())
    words = {True: "due", False: "not due", None: "unknown"}
    rows = [[t.name, t.value, f"{t.threshold:g} {t.unit}", words[t.fired], t.sentence] for t in found.triggers]
    lines = [found.sentence, *(["", *console.table(["trigger", "value", "due from", "state", "why"], rows)] if rows else [])]
    console.answer(found, as_json, lines)


def _plain(found: Retraining) -> dict[str, Any]:
    """For programs: ids under ``id``, versions under ``version``."""
    return {**console.plain(found), "sentence": found.sentence}


def _lines(found: Retraining) -> list[str]:
    rows = [[n, s.title, MARKS[s.state], s.sentence] for n, s in enumerate(found.steps, 1)]
    asked = f"Request {found.request_id} waits for a DRH manager." if found.request_id else ""
    return [*console.table(["", "step", "state", "what was done"], rows), "", found.sentence, *([asked] if asked else [])]


def _now() -> Any:
    from core.times import utc_now

    return utc_now()
