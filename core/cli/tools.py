"""tools: which optional tools are installed, switched on, or missing."""

from __future__ import annotations

from typing import Annotated

import typer

from core.cli import console
from core.cli.console import Json

commands = typer.Typer()


@commands.command()
def tools(
    trouble: Annotated[bool, typer.Option("--trouble", help="Only what needs attention; exit 1 if anything does.")] = False, as_json: Json = False
) -> None:
    """List the tools that the installation can join: installed or not, switched on or not."""
    from core.adapters import standing
    from core.settings import Settings

    found = standing.list_standings(console.open_home(), Settings.from_environment())
    if trouble:
        found = [tool for tool in found if tool.state == standing.WRONG]
    lines = console.table(["tool", "state", ""], [(t.title, t.state, t.sentence) for t in found]) if found else ["Nothing needs attention."]
    console.answer({"tools": found}, as_json, lines)
    if trouble and found:
        raise typer.Exit(1)
