"""backup and restore: the whole installation in one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.cli import console
from core.cli.console import As, Json

commands = typer.Typer()


@commands.command()
def backup(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="File to write; it must not exist yet.")], as_name: As = "", as_json: Json = False
) -> None:
    """Write the whole installation into one file, while it works; the file holds the secret key, so keep it as safe."""
    from core.backup import make_backup

    home = console.open_home()
    made = make_backup(home, console.actor(home, as_name), out)
    for problem in made.problems:
        console.say(f"Look: {problem}")
    console.answer(made, as_json, [made.sentence, f"sha256 {made.sha256}"])


@commands.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    despite_problems: Annotated[bool, typer.Option("--despite-problems", help="Restore it though its audit or models are not well.")] = False,
    keep_keys: Annotated[bool, typer.Option("--keep-keys", help="Keep the keys of programs valid, those revoked since the backup too.")] = False,
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Restore a backup into an empty GREENLIGHT_HOME; what is in it is checked before it is put there."""
    from core.acts import cli_actor
    from core.restore import restore_backup
    from core.settings import Settings

    if not as_name:
        raise typer.BadParameter("name an administrator's account of the backup", param_hint="'--as'")
    root, models = Settings.from_environment().places
    done = restore_backup(file, root, models, cli_actor(as_name), despite_problems=despite_problems, keep_keys=keep_keys)
    for problem in done["problems"]:
        console.say(f"Look: {problem}")
    lines = [
        f"Restored to {done['root']}: {done['files']} files, {done['versions']} versions, {done['audit_count']} audit events as of "
        f"{done['made_at'][:16].replace('T', ' ')} UTC; every version gave its golden answers."
        if not done["problems"] else f"Restored to {done['root']}, with {len(done['problems'])} problems."
    ]  # fmt: skip
    lines.append("Open sessions were ended: everybody signs in again.")
    if done["keys_revoked"]:
        lines.append(f"All {done['keys_revoked']} keys of programs were revoked, because some may have been since the backup: make new ones.")
    if done["keys_kept"]:
        lines.append(f"{done['keys_kept']} keys of programs are valid as they were then: look through them, and revoke what was revoked since.")
    console.answer(done, as_json, lines)
