"""purge dataset, predictions, person; keep, rules: what goes, by whose order, and how long the rest stays."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.cli import console
from core.cli.console import As, Json, Project, Reason

commands = typer.Typer(help="Delete data, erase one person's rows, and set how long things are kept.", no_args_is_help=True)
Confirm = Annotated[str, typer.Option("--confirm", metavar="NAME", help="The project's name: what goes cannot be brought back.")]


@commands.command()
def predictions(
    project: Project,
    before: Annotated[str, typer.Option("--before", help="Only those made before, like 90d or 2026-06-30; all unless named.")] = "",
    confirm: Confirm = "",
    reason: Reason = "",
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Delete logged predictions with their labels and keys; what was counted by hour stays."""
    from core.cli.logs import read_moment
    from core.retention import purge_predictions
    from core.times import utc_now

    home, now = console.open_home(), utc_now()
    who = console.actor(home, as_name)
    done = purge_predictions(home, who, project, before=read_moment(before, now), confirm=confirm, reason=reason, now=now)
    console.answer(
        done, as_json, f"{done['rows']} predictions of {project} from before {done['before']} are gone, with {done['labels']} labels."
    )


@commands.command()
def dataset(
    project: Project,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="Number of the dataset version.")],
    confirm: Confirm = "",
    reason: Reason = "",
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Delete the file of a dataset version that no living model version was trained from; its report and hash stay."""
    from core.retention import purge_dataset

    home = console.open_home()
    done = purge_dataset(home, console.actor(home, as_name), project, version, confirm=confirm, reason=reason)
    console.answer(done, as_json, f"The rows of dataset {version} of {project} are gone; its report and its hash stay.")


@commands.command()
def person(
    project: Project,
    key_file: Annotated[Path | None, typer.Option("--key-file", help="File with the person's key: it must not stand in a shell's history.")] = None,
    ids_file: Annotated[Path | None, typer.Option("--ids-file", help="File with ids of predictions, one a line.")] = None,
    look: Annotated[bool, typer.Option("--look", help="Only say what is kept of the person.")] = False,
    confirm: Confirm = "",
    reason: Reason = "",
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Erase one person's predictions, labels and keys, named by the project's key or by ids."""
    from core.accounts import find_account
    from core.acts import check_role
    from core.erasure import erase, find_traces

    home = console.open_home()
    who = console.actor(home, as_name)
    person = console.read_file(key_file).decode("utf-8", "replace").strip() if key_file else ""
    ids = tuple(console.read_file(ids_file).decode("utf-8", "replace").split()) if ids_file else ()
    if look:
        account = find_account(home, who.name)
        check_role(account.role if account and account.active else "", "delete_data")
        found = find_traces(home, project, key_value=person, prediction_ids=ids)
        lines = [
            f"{len(found.prediction_ids)} predictions, {len(found.folders)} folders of scored files, {len(found.samples)} samples of drift checks."
        ]
        lines += [f"Dataset {d.version} holds {d.rows} rows; trained from it: {', '.join(d.trained) or 'nothing'}." for d in found.datasets]
        lines += [f"Dataset {version} could not be searched." for version in found.unsearched]
        console.answer(found, as_json, lines)
        return
    done = erase(home, who, project, key_value=person, prediction_ids=ids, confirm=confirm, reason=reason)
    lines = [f"Person {done['person']}: {done['rows']} predictions, {done['labels']} labels and {done['keys']} keys are erased."]
    lines += [f"Dataset {version} still holds rows of this person: purge dataset {project} {version}" for version in done["datasets"]]
    lines += [] if done["clean"] else ["The databases' free pages are rewritten by the clock, in the night if they are large."]
    console.answer(done, as_json, lines)


@commands.command()
def keep(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="predictions or requests of a project, or logs.")],
    project: Annotated[str, typer.Argument(metavar="[PROJECT]", help="For predictions and requests.")] = "",
    days: Annotated[int | None, typer.Option("--days", help="So many days; at least 180 are advised.")] = None,
    for_ever: Annotated[bool, typer.Option("--for-ever", help="Without an end, as at first.")] = False,
    confirm: Confirm = "",
    reason: Reason = "",
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Set how long something is kept; what is older goes within minutes."""
    from core.retention import describe_days, set_rule

    if (days is None) != for_ever:
        raise typer.BadParameter("say either how many days or --for-ever", param_hint="'--days'")
    home = console.open_home()
    done = set_rule(home, console.actor(home, as_name), kind, days, project=project, confirm=confirm, reason=reason)
    of = f" of {project}" if project else ""
    console.answer(done, as_json, f"{kind.capitalize()}{of} are kept for {describe_days(days)}.")


@commands.command()
def rules(project: Project, as_json: Json = False) -> None:
    """Show how long things are kept."""
    from core.projects.projects import get_project
    from core.retention import KINDS, describe_days, list_rules

    home = console.open_home()
    get_project(home, project)
    found = list_rules(home, project)
    rows = [[KINDS[r.kind], r.project or "(installation)", describe_days(r.days), r.by, (r.at or "")[:10] or None] for r in found]
    console.answer(found, as_json, console.table(["what", "project", "kept for", "by", "since"], rows))
