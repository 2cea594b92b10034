"""project suite; dataset list, push, pull: what tables must meet, and where their versions lie besides here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from core.cli import console
from core.cli.console import As, Json, Project, Provenance, Reason

commands = typer.Typer(help="List dataset versions, push them to a DVC remote and pull them from it.", no_args_is_help=True)


def add_to(project_commands: typer.Typer) -> None:
    """Put the command about a project's expectation suite under ``project``."""
    project_commands.command("suite")(suite)


def suite(
    name: Project,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="SUITE.json", help="Make this the suite, and check the newest data.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="SUITE.json", help="Write the definition's own rules as a suite.", show_default=False)
    ] = None,
    given: Annotated[bool, typer.Option("--given", help="With --out: the project's suite as it was given instead.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Check a dataset version by the suite.")] = False,
    version: Annotated[int | None, typer.Option("--version", min=1, help="With --check: the newest unless named.", show_default=False)] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the suite away; with --reason.")] = False,
    reason: Reason = "",
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Hold a project's tables to a suite of Great Expectations; without an option, show it."""
    from core.adapters import expectations
    from core.datasets import suite_checks, suites, versions
    from core.projects.projects import get_definition

    if sum((file is not None, out is not None, check, remove)) > 1:
        raise typer.BadParameter("choose one of them", param_hint="'--file', '--out', '--check', '--remove'")
    home = console.open_home()
    if file is not None:
        who = console.actor(home, as_name)
        done: dict[str, Any] = suite_checks.set_suite(home, who, name, console.read_file(file), reason=reason)
        kept = suite_checks.find_suite(home, name)
        assert kept is not None
        lines = [f"Tables of {name} are held to suite {kept.name} from now on: {_count(len(kept.expectations))}."]
        checked = None
        if not versions.list_datasets(home, name):
            lines.append("There is no data to check yet.")
        elif not expectations.can_run():
            lines.append("It cannot be checked here, so nothing can be trained: Great Expectations is not installed (docs/expectations.md).")
        else:
            console.say("Checking the newest data.")
            checked = suite_checks.check_version(home, who, name)
            lines += _told(home, name, checked)
        console.answer({**done, "name": kept.name, "expectations": len(kept.expectations), "check": checked}, as_json, lines)
    elif out is not None:
        console.check_reader(home, as_name)
        kept = suite_checks.find_suite(home, name)
        made = suites.export_suite(get_definition(home, name)) if not given else _need(kept, name).value
        out.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        number = len(made["expectations"])
        what = f"Suite {made['name']}" if given else f"The rules of {name} as a suite"
        console.answer({"project": name, "expectations": number, "out": str(out)}, as_json, f"{what}: {_count(number)} in {out}.")
    elif check:
        checked = suite_checks.check_version(home, console.actor(home, as_name), name, version)
        console.answer(checked, as_json, _told(home, name, checked))
    elif remove:
        done = suite_checks.set_suite(home, console.actor(home, as_name), name, None, reason=reason)
        console.answer(done, as_json, f"Project {name} has no expectation suite; its definition's own rules are checked as ever.")
    else:
        console.check_reader(home, as_name)
        get_definition(home, name)
        kept = suite_checks.find_suite(home, name)
        if kept is None:
            console.answer(None, as_json, f"Project {name} has no expectation suite; give it one with --file SUITE.json.")
            return
        rows = [[", ".join(suites.name_columns(e)) or "(table)", suites.describe(e), e["severity"]] for e in kept.expectations]
        head = f"Suite {kept.name}, set by {kept.by} on {kept.at[:10]}: {_count(len(rows))}."
        console.answer({**kept.value, "at": kept.at, "by": kept.by}, as_json, [head, *console.table(["column", "expected", "severity"], rows)])


@commands.command("list")
def list_(project: Project, as_json: Json = False) -> None:
    """List a project's dataset versions, newest first."""
    from core.datasets import remote, versions
    from core.projects.projects import get_project

    home = console.open_home()
    get_project(home, project)
    places: dict[int, list[str]] = {}
    for pushed in remote.list_pushes(home, project):
        places.setdefault(pushed.version, []).append(pushed.remote)
    rows = [
        {"id": d.id, "version": d.version, "rows": d.rows, "verdict": d.validation["verdict"], "sha256": d.sha256, "source": d.source,
         "pushed_to": places.get(d.version, [])}
        for d in versions.list_datasets(home, project)
    ]  # fmt: skip
    shown = [[r["version"], r["rows"], r["verdict"], r["sha256"][:12], r["source"], ", ".join(r["pushed_to"]) or None] for r in rows]
    text = console.table(["version", "rows", "verdict", "sha256", "source", "pushed to"], shown) if rows else f"Project {project} has no data yet."
    console.answer(rows, as_json, text)


@commands.command("push")
def push(
    project: Project,
    version: Annotated[int | None, typer.Argument(metavar="[VERSION]", help="The newest unless named.", show_default=False)] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE.dvc", help="Write the .dvc file here.", show_default=False)] = None,
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Push a dataset version to the DVC remote of GREENLIGHT_DVC_REMOTE; safe to repeat."""
    from core.datasets import remote, versions
    from core.settings import Settings

    home = console.open_home()
    who = console.actor(home, as_name)
    dataset = versions.get_version(home, project, version)
    done = remote.push_dataset(home, who, dataset, Settings.from_environment().dvc_remote.get_secret_value())
    pushed = next(p for p in remote.list_pushes(home, project) if p.dataset_id == dataset.id and p.remote == done["remote"])
    text = remote.write_dvc_file(project, pushed)
    was = "is in" if done["fresh"] else "was in already, and is in"
    lines = [f"Dataset {dataset.version} of {project} {was} {done['remote']} (md5 {done['md5']})."]
    if out is not None:
        out.write_text(text, encoding="utf-8")
        lines.append(f"Its .dvc file is {out}.")
    else:
        lines += [f"As {done['path']}.dvc beside the file in a DVC project:", "", text.rstrip()]
    console.answer({"id": dataset.id, "project": project, **done, "dvc_file": text}, as_json, lines)


@commands.command("pull")
def pull(
    project: Project,
    dvc: Annotated[Path, typer.Option("--dvc", metavar="FILE.dvc", help="Names the table to bring.", show_default=False)],
    provenance: Provenance = "recorded",
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Bring the table that a .dvc file names from the DVC remote, as a dataset version."""
    from core.datasets import remote
    from core.settings import Settings

    home = console.open_home()
    who = console.actor(home, as_name)
    where = Settings.from_environment().dvc_remote.get_secret_value()
    done = remote.pull_dataset(home, who, project, console.read_file(dvc), where, label_provenance=provenance)
    was = "is" if done["fresh"] else "holds the same bytes as"
    verdict = "" if done["ok"] else " It has validation errors and cannot be trained on as it is."
    console.answer(done, as_json, f"What {dvc.name} names {was} dataset {done['version']} of {project}: {done['rows']:,} rows.{verdict}")


def _told(home: Any, project: str, checked: dict[str, Any]) -> list[str]:
    """What a check found, by its findings."""
    from core.datasets.versions import get_version

    report = get_version(home, project, checked["version"]).validation
    found = [f for f in report["findings"] if f["check"] == "suite"]
    head = f"Dataset {checked['version']}: {checked['errors']} errors, {checked['warnings']} warnings ({checked['library']})."
    return [head, *(f"{f['level'].capitalize()}: {f['text']}" for f in found)]


def _need(kept: Any, project: str) -> Any:
    from core.errors import NotFound

    if kept is None:
        raise NotFound(f"Project {project} has no expectation suite; give it one with --file SUITE.json.")
    return kept


def _count(number: int) -> str:
    return f"{number} expectation{'' if number == 1 else 's'}"
