"""key add, list, revoke: keys with which programs come in."""

from __future__ import annotations

from typing import Annotated

import typer

from core.cli import console
from core.cli.console import As, Json, Reason

commands = typer.Typer(help="Make, list and revoke the keys of programs.", no_args_is_help=True)


@commands.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the program; its first key makes its account.")],
    scopes: Annotated[
        str, typer.Option("--scopes", help="What it may do, by commas: predict, feedback, read, observe, retrain.", show_default=False)
    ],
    project: Annotated[
        list[str] | None, typer.Option("--project", help="A project that it is good for; repeat for more. Default: all.")
    ] = None,
    per_minute: Annotated[int | None, typer.Option("--per-minute", help="Requests a minute; default 6000.")] = None,
    address: Annotated[
        list[str] | None, typer.Option("--address", help="Where it may be used from, like 192.0.2.0/24; repeat for more.")
    ] = None,
    expires: Annotated[str, typer.Option("--expires", help="Last day that it is good on, like 2027-01-31 (UTC).")] = "",
    reason: Reason = "",
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Make a key for a program; it is shown once."""
    from core import keys

    home = console.open_home()
    made = keys.add_key(
        home,
        console.actor(home, as_name),
        name,
        [s.strip() for s in scopes.split(",") if s.strip()],
        projects=project or (keys.EVERY_PROJECT,),
        per_minute=keys.PER_MINUTE if per_minute is None else per_minute,
        addresses=address or (),
        expires_at=keys.read_last_day(expires) if expires else None,
        reason=reason,
    )
    lines = [
        f"Key {made['id']} of {name} is made, good for {', '.join(made['scopes'])} in {_reach(made['projects'])}.",
        f"Shown once, send it as X-API-Key: {made['key']}",
    ]
    console.answer(made, as_json, lines)


@commands.command("list")
def list_(as_json: Json = False) -> None:
    """List the keys, newest first; the secrets are not kept."""
    from core import keys
    from core.times import utc_now

    now = utc_now()
    found = keys.list_keys(console.open_home())
    rows = [
        [
            k.id, k.account, k.state(now), ", ".join(k.scopes), _reach(k.projects), ", ".join(k.addresses) or "any", k.per_minute,
            k.created_at[:10], (k.expires_at or "never")[:10], (k.last_used_at or "never")[:16],
        ]
        for k in found
    ]  # fmt: skip
    headers = ["key", "program", "state", "scopes", "projects", "addresses", "a minute", "made", "expires", "last used"]
    text = console.table(headers, rows) if rows else "There is no key yet; make one with: key add NAME --scopes predict"
    console.answer([{**console.plain(k), "state": k.state(now)} for k in found], as_json, text)


@commands.command()
def webhook(reason: Reason = "", as_name: As = "", as_json: Json = False) -> None:
    """Show the secret with which other systems sign the alerts that they send here."""
    from core.monitoring import webhooks

    home = console.open_home()
    secret = webhooks.show_secret(home, console.actor(home, as_name), reason=reason)
    lines = [
        f"Secret: {secret}",
        "Send POST /api/v1/alerts with X-Greenlight-Timestamp (seconds since 1970) and X-Greenlight-Signature: sha256= and the",
        "hexadecimal HMAC-SHA256 of timestamp, full stop, body.",
    ]
    console.answer({"secret": secret}, as_json, lines)


@commands.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As key list shows it.")],
    reason: Reason = "",
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """End a key at once."""
    from core import keys

    home = console.open_home()
    done = keys.revoke_key(home, console.actor(home, as_name), key_id, reason=reason)
    console.answer(done, as_json, f"Key {key_id} of {done['account']} opens nothing any more.")


def _reach(projects: list[str] | tuple[str, ...]) -> str:
    return "every project" if "*" in projects else ", ".join(projects)
