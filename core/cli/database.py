"""project connect, source, import; score-source: a project and the database that its rows come from."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from core.cli import console
from core.cli.console import As, Json, Project, Reason
from core.errors import BadInput, Refused

commands = typer.Typer()


def add_to(project_commands: typer.Typer) -> None:
    """Put the commands about a project's source under ``project``."""
    project_commands.command("connect")(connect)
    project_commands.command("source")(source)
    project_commands.command("import")(import_)


def connect(
    name: Project,
    connection: Annotated[
        str, typer.Option("--connection", metavar="NAME", help="A name of GREENLIGHT_DATABASES; see docs/hr_database.md.", show_default=False)
    ] = "",
    mapping: Annotated[
        Path | None, typer.Option("--mapping", metavar="FILE.yaml", help="Other names of tables and columns.", show_default=False)
    ] = None,
    table: Annotated[
        str, typer.Option("--table", metavar="TABLE", help="One table or view instead of an HR system's tables.", show_default=False)
    ] = "",
    none: Annotated[bool, typer.Option("--none", help="Take the join away; with --reason.")] = False,
    reason: Reason = "",
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Join a project to a database, and show what is found there."""
    from core.datasets import connect as connecting
    from core.projects.projects import get_definition

    home = console.open_home()
    who = console.actor(home, as_name)
    definition = get_definition(home, name)
    if none:
        done = connecting.connect(home, who, name, None, reason=reason)
        console.answer(done, as_json, f"Project {name} is joined to no database.")
        return
    value = _read_mapping(mapping) if mapping else {}
    value |= {k: v for k, v in (("connection", connection), ("table", table)) if v}
    done = connecting.connect(home, who, name, value, reason=reason)
    kept = connecting.find_mapping(home, name)
    assert kept is not None
    found = connecting.preview(kept, definition)
    console.answer({**done, "mapping": kept, "preview": console.plain(found)}, as_json, [*_lines(found), f"Project {name} is joined to it."])


def source(name: Project, as_name: As = "", as_json: Json = False) -> None:
    """Look into the database that a project is joined to: tables, rows, and what is missing."""
    from core.datasets import connect as connecting
    from core.datasets.source import get_origin
    from core.projects.projects import get_definition

    home = console.open_home()
    console.check_reader(home, as_name)
    definition = get_definition(home, name)
    origin = get_origin(home, definition)
    if origin.mapping is None:
        assert origin.file is not None
        console.answer(
            {"project": name, "connection": None, "file": origin.file.name}, as_json,
            f"Project {name} is joined to no database; its rows come from the sample's own HR database {origin.file.name}.",
        )  # fmt: skip
        return
    found = connecting.preview(origin.mapping, definition)
    console.answer({"project": name, "mapping": origin.mapping, "preview": console.plain(found)}, as_json, _lines(found))
    if found.problem:
        raise Refused(found.problem)


def import_(name: Project, as_name: As = "", as_json: Json = False) -> None:
    """Make a dataset version of what the project's database holds now."""
    from core.datasets.source import import_fresh

    home = console.open_home()
    made = import_fresh(home, console.actor(home, as_name), name, today=_today())
    news = "" if made["fresh"] else " These rows were there already; nothing was added."
    console.answer({**made, "project": name}, as_json, f"Dataset {made['version']} of {name} has {made['rows']} rows from {made['source']}.{news}")


@commands.command("score-source")
def score_source(
    project: Project,
    out: Annotated[Path, typer.Argument(metavar="OUT.csv", help="Where the answers go; written over if it exists.")],
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Score every job role x skill (or every row) of the project's database with the live version."""
    import shutil

    from core.scoring import source as scoring

    home = console.open_home()
    who = console.actor(home, as_name)
    if not out.resolve().parent.is_dir():
        raise BadInput(f"There is no folder {out.resolve().parent}; make it first, or name another place for the answers.")
    started = scoring.start(home, who, project, owner="cli")
    job = console.run_job(home, who, started["id"])
    if job.state != "done" or job.outcome is None:
        raise Refused(f"Job {job.id} has not come to its end ({job.state}): {job.error}")
    shutil.copyfile(scoring.result_path(home, job.id), out)
    done = job.outcome
    counts = ", ".join(f"{label}: {n}" for label, n in done["by_prediction"].items())
    console.answer(
        {**done, "id": done["request_id"], "job": job.id, "out": str(out)}, as_json,
        [f"Version {done['version']} scored {done['rows']} rows from {done['source']}. The answers are in {out}.",
         *([f"Predictions: {counts}."] if counts else []), done["write_back"]["sentence"]],
    )  # fmt: skip


def _read_mapping(path: Path) -> dict[str, Any]:
    import yaml

    try:
        value = yaml.safe_load(console.read_file(path))
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError):  # the latter for `!!int ''`, `!!timestamp x`
        raise BadInput(f"{path.name} is no YAML; see docs/hr_database.md for an example.") from None
    if not isinstance(value, dict):
        raise BadInput(f"{path.name} holds no mapping; see docs/hr_database.md for an example.")
    return value


def _lines(found: Any) -> list[str]:
    rows = [
        [p.name, p.table, p.rows, "found" if p.usable else "columns are missing" if p.rows is not None else "not found", ", ".join(p.absent)]
        for p in found.parts
    ]
    said = [p.sentence for p in found.parts if p.sentence and p.sentence != found.problem]
    return [*console.table(["record", "table", "rows", "state", "missing columns"], rows), "", *said, found.sentence]


def _today() -> date:
    return date.today()  # noqa: DTZ011 - the day on the wall of whoever exports
