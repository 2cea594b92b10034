"""audit verify, export, list: what happened, and that nothing of it was changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.cli import console
from core.cli.console import As, Json

commands = typer.Typer(help="Verify, export and search the audit.", no_args_is_help=True)


@commands.command()
def verify(as_json: Json = False) -> None:
    """Recompute the whole chain of events; exit 1 and the row's number if anything was changed or is missing."""
    from core.audit import verify as verify_chain

    verdict = verify_chain(console.open_home())
    console.answer(verdict, as_json, verdict.sentence if verdict.intact else [])
    if not verdict.intact:
        console.complain(verdict.sentence)
        raise typer.Exit(1)


@commands.command()
def export(
    out: Annotated[Path, typer.Argument(metavar="OUT.jsonl", help="A new file; an existing one is never written over.")],
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Export every event as one JSON line."""
    from core.audit_export import export_audit_file

    home = console.open_home()
    count = export_audit_file(home, console.actor(home, as_name), out)
    console.answer({"events": count, "out": str(out)}, as_json, f"{count} events are in {out}.")


@commands.command("list")
def list_(
    text: Annotated[str, typer.Option("--text", help="Words that must occur.", show_default=False)] = "",
    who: Annotated[str, typer.Option("--actor", help="Only this account's.", show_default=False)] = "",
    action: Annotated[str, typer.Option("--action", show_default=False)] = "",
    project: Annotated[str, typer.Option("--project", show_default=False)] = "",
    outcome: Annotated[str, typer.Option("--outcome", help="done, refused or failed.", show_default=False)] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 50,
    as_json: Json = False,
) -> None:
    """Search the audit, newest first."""
    from core.audit import search

    home = console.open_home()
    found, total = search(home, text=text, actor=who, action=action, project=project, outcome=outcome, limit=limit)
    rows = [
        [e["seq"], e["at"][:19], e["actor"], e["action"], e["project"], e["subject"], e["outcome"], e["error"] or e["reason"]]
        for e in found
    ]
    lines = [
        f"{len(found)} of {total} events.",
        *console.table(["event", "at (UTC)", "who", "action", "project", "what", "outcome", "why"], rows),
    ]
    console.answer({"total": total, "events": [{"id": e["seq"], **e} for e in found]}, as_json, lines)
