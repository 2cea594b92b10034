"""demo, project ..., export: projects and their data."""

from __future__ import annotations

import secrets
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from core.cli import console
from core.cli.console import As, Json, Project, Provenance, Reason

commands = typer.Typer()
project_commands = typer.Typer(help="Make, list, archive and restore projects.", no_args_is_help=True)


@commands.command()
def demo(as_json: Json = False) -> None:
    """Prepare the demo: three sample projects with data and schedules, and one account per role; safe to repeat."""
    from core.accounts import list_accounts
    from core.demo import plan_demo, prepare_demo

    home = console.open_home()
    console.say("Preparing the sample projects.")
    made = prepare_demo(home)
    planned = plan_demo(home)
    accounts = [a for a in list_accounts(home) if a.demo]
    lines = [f"{m['id']}: {'made' if m['fresh'] else 'was there already'}" for m in made]
    files = [f"  {path}" for m in made for path in m["files"]]
    people = ", ".join(f"{a.name} ({a.role_title})" for a in accounts)
    data = {"projects": made, "accounts": [{"id": a.name, "role": a.role} for a in accounts], "schedules": planned}
    plan = [f"{len(planned)} schedules were set: checks each day, a retrain check and a report each week, a backup each night."] if planned else []
    console.answer(data, as_json, [*lines, "Tables to train on and to score:", *files, f"Accounts: {people}.", *plan])


@project_commands.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case letters, digits and underscores.")],
    data: Annotated[Path, typer.Option("--data", metavar="FILE", help="CSV or Excel table with the target.", show_default=False)],
    target: Annotated[str, typer.Option("--target", metavar="COLUMN", help="The column to predict.", show_default=False)],
    task: Annotated[
        str, typer.Option("--task", help="binary, multiclass, regression or ranking; guessed unless named.", show_default=False)
    ] = "",
    group: Annotated[
        str, typer.Option("--group", metavar="COLUMN", help="Ranking: the query of a row.", show_default=False)
    ] = "",
    positive: Annotated[
        str, typer.Option("--positive", help='Binary: the positive value, or a comparison such as ">0".', show_default=False)
    ] = "",
    key: Annotated[str, typer.Option("--key", metavar="COLUMN", help="The column that names a row.", show_default=False)] = "",
    title: Annotated[str, typer.Option("--title", help="Name for people.", show_default=False)] = "",
    provenance: Provenance = "recorded",
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Make a project from a table: kinds of columns, task and classes are guessed and printed."""
    from core.datasets.guess import build_definition, describe, guess_task
    from core.datasets.read import read_table
    from core.datasets.versions import add_dataset
    from core.projects.projects import create_project

    home = console.open_home()
    who = console.actor(home, as_name)
    content = console.read_file(data)
    table = read_table(content, file_name=data.name)
    reason = ""
    if not task:
        task = "ranking" if group else "binary" if positive else ""
    if not task:
        guess = guess_task(table, target)
        task, positive = guess.task, guess.positive
        reason = guess.reason
    definition = build_definition(
        name,
        title or name.replace("_", " ").capitalize(),
        table,
        target,
        task,
        positive=positive or None,
        group=group or None,
        key=key or None,
    )
    correlation_id = secrets.token_hex(8)
    create_project(home, who, definition, correlation_id=correlation_id)
    dataset = add_dataset(
        home, who, name, content, file_name=data.name, label_provenance=provenance, correlation_id=correlation_id
    )
    sentences = [*([reason] if reason else []), *describe(definition)]
    made = {
        "id": name,
        "project": name,
        "task": task,
        "target": target,
        "positive": definition.positive or None,
        "classes": list(definition.classes),
        "features": [c.name for c in definition.features],
        "dataset": dataset,
        "sentences": sentences,
    }
    note = "" if dataset["ok"] else " It has validation errors and cannot be trained on as it is."
    console.answer(
        made, as_json, [f"Project {name} is made; dataset {dataset['version']} has {dataset['rows']} rows.{note}", *sentences]
    )


@project_commands.command("list")
def list_(
    archived: Annotated[bool, typer.Option("--archived", help="Archived ones too.")] = False, as_json: Json = False
) -> None:
    """List the projects."""
    from core.deployment import find_live
    from core.projects.projects import list_projects

    home = console.open_home()
    rows = []
    for p in list_projects(home, archived=archived):
        live = find_live(home, p.name)
        rows.append(
            {
                "id": p.name,
                "title": p.title,
                "task": p.task,
                "version": live.version if live else None,
                "created_at": p.created_at,
                "created_by": p.created_by,
                "archived_at": p.archived_at,
            }
        )
    text = console.table(
        ["project", "task", "live version", "archived"],
        [[r["id"], r["task"], r["version"], "yes" if r["archived_at"] else "no"] for r in rows],
    )
    console.answer(
        rows, as_json, text if rows else "There is no project yet; make one with project create, or the samples with demo."
    )


@project_commands.command("archive")
def archive(name: Project, reason: Reason = "", as_name: As = "", as_json: Json = False) -> None:
    """Put a project out of sight; nothing is deleted."""
    from core.projects.projects import archive_project

    home = console.open_home()
    done = archive_project(home, console.actor(home, as_name), name, reason=reason)
    console.answer(done, as_json, f"Project {name} is archived; bring it back with project restore.")


@project_commands.command("restore")
def restore(name: Project, reason: Reason = "", as_name: As = "", as_json: Json = False) -> None:
    """Bring an archived project back."""
    from core.projects.projects import restore_project

    home = console.open_home()
    done = restore_project(home, console.actor(home, as_name), name, reason=reason)
    console.answer(done, as_json, f"Project {name} is back.")


@commands.command()
def export(
    project: Project,
    out: Annotated[Path, typer.Argument(metavar="OUT.csv", help="Where the table goes; written over if it exists.")],
    source: Annotated[
        Path | None,
        typer.Option(
            "--source", metavar="DATABASE", help="An HR database (SQLite) to export afresh instead.", show_default=False
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="What the project's database holds now, instead of the newest dataset.")
    ] = False,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            "--as-of", formats=["%Y-%m-%d"], help="With --source: nothing later is used; today unless named.", show_default=False
        ),
    ] = None,
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Export the newest dataset, or a fresh one from the project's HR database, as CSV."""
    from core.datasets import source as sources
    from core.datasets.versions import export_dataset, get_version
    from core.projects.projects import get_project

    home = console.open_home()
    who = console.actor(home, as_name)
    get_project(home, project)
    if source is not None:
        day = as_of.date() if as_of else date.today()  # noqa: DTZ011 - the day on the wall of whoever exports
        rows = sources.export_source(home, who, project, console.check_readable(source), out, as_of=day)
        console.answer(
            {"project": project, "rows": rows, "out": str(out)}, as_json, f"{rows} judged rows of {source.name} are in {out}."
        )
        return
    if fresh:
        made = sources.export_fresh(home, who, project, out, today=date.today())  # noqa: DTZ011 - as above
        told = {"project": project, "rows": len(made.frame), "source": made.name, "as_of": made.as_of, "read": made.counts, "out": str(out)}
        console.answer(told, as_json, f"{len(made.frame)} rows with a label from {made.words} are in {out}.")
        return
    dataset = get_version(home, project)
    content = export_dataset(home, who, dataset)
    out.write_bytes(content)
    done = {"id": dataset.id, "project": project, "version": dataset.version, "rows": dataset.rows, "out": str(out)}
    console.answer(done, as_json, f"Dataset {dataset.version} of {project} ({dataset.rows} rows) is in {out}.")
