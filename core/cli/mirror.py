"""mirror: what a team's MLflow has been given, and giving it the rest now."""

from __future__ import annotations

from typing import Annotated

import typer

from core.cli import console
from core.cli.console import Json
from core.errors import Refused

commands = typer.Typer(help="The mirror of runs, versions and monitoring in MLflow.", no_args_is_help=True)


@commands.command("status")
def status(as_json: Json = False) -> None:
    """Say whether the mirror is connected, what waits, and what went wrong last."""
    from core.mirror.mirror import describe
    from core.settings import Settings
    from core.times import utc_now

    found = describe(console.open_home(), Settings.from_environment(), now=utc_now())
    lines = [found.sentence]
    if found.last_success:
        lines.append(f"Last reached: {found.last_success[:19].replace('T', ' ')} UTC")
    if found.last_error and found.next_at:
        lines.append(f"Next try by itself: {found.next_at[:19].replace('T', ' ')} UTC")
    console.answer(found, as_json, lines)


@commands.command("run")
def run(
    again: Annotated[
        bool, typer.Option("--again", help="Send everything once more, as after a loss on the server; nothing is made twice.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Give the server what waits now, and wait until it has it."""
    from core.mirror.mirror import run_now
    from core.settings import Settings
    from core.times import utc_now

    home = console.open_home()
    console.say("Mirroring ...")
    found = run_now(home, Settings.from_environment(), now=utc_now(), again=again)
    if found.last_error:
        raise Refused(found.last_error)
    console.answer(found, as_json, found.sentence)
