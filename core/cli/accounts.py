"""user add, list, role, close, reopen, reset: accounts."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from core.cli import console
from core.cli.console import As, Json, Reason

commands = typer.Typer(help="Add, list and close accounts, change roles, give one-time codes.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the account.")]
Role = Annotated[str, typer.Option("--role", help="data_scientist, drh_manager, devops, developer or admin.", show_default=False)]
SHORT = {"scientist": "data_scientist", "director": "drh_manager", "drh": "drh_manager"}


@commands.command()
def add(name: Name, role: Role, as_name: As = "", as_json: Json = False) -> None:
    """Add an account; its one-time code is printed once. The first account of an installation needs no --as."""
    from core import accounts

    home = console.open_home()
    role = SHORT.get(role, role)
    if accounts.needs_first_start(home):
        made = accounts.add_first_account(home, name, role, os_user=getpass.getuser())
    else:
        made = accounts.add_account(home, console.actor(home, as_name), name, role)
    lines = [
        f"Account {name} ({made['role']}) is made.",
        f"One-time code to set a password with, good for a day, shown once: {made['code']}",
    ]
    console.answer({"id": name, **made}, as_json, lines)


@commands.command("list")
def list_(as_json: Json = False) -> None:
    """List the accounts."""
    from core import accounts

    found = accounts.list_accounts(console.open_home())
    rows = [
        [a.name, a.role_title, "active" if a.active else "closed", "demo" if a.demo else "", a.created_at[:10]] for a in found
    ]
    text = (
        console.table(["account", "role", "state", "", "since"], rows)
        if rows
        else "There is no account yet; add one with: user add NAME --role admin"
    )
    console.answer([{"id": a.name, **a.__dict__} for a in found], as_json, text)


@commands.command()
def role(
    name: Name,
    new_role: Annotated[str, typer.Argument(metavar="ROLE")],
    reason: Reason = "",
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Give an account another role; its sessions end."""
    from core import accounts

    home = console.open_home()
    done = accounts.change_role(home, console.actor(home, as_name), name, SHORT.get(new_role, new_role), reason=reason)
    console.answer({"id": name, **done}, as_json, f"Account {name} has the role {done['role']} now.")


@commands.command()
def email(
    name: Name,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Such as name@example.com; none for no mail.")],
    reason: Reason = "",
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Say where an account is mailed: your own, or anybody's for an administrator."""
    from core import accounts

    home = console.open_home()
    done = accounts.set_email(home, console.actor(home, as_name), name, "" if address == "none" else address, reason=reason)
    said = f"{name} is mailed at {done['email']}." if done["email"] != "none" else f"{name} is not mailed."
    console.answer({"id": name, **done}, as_json, said)


@commands.command()
def close(name: Name, reason: Reason = "", as_name: As = "", as_json: Json = False) -> None:
    """Close an account: it stays in the audit and can act no more."""
    from core import accounts

    home = console.open_home()
    done = accounts.close_account(home, console.actor(home, as_name), name, reason=reason)
    console.answer({"id": name, **done}, as_json, f"Account {name} is closed.")


@commands.command()
def reopen(name: Name, reason: Reason = "", as_name: As = "", as_json: Json = False) -> None:
    """Open a closed account again."""
    from core import accounts

    home = console.open_home()
    done = accounts.reopen_account(home, console.actor(home, as_name), name, reason=reason)
    console.answer({"id": name, **done}, as_json, f"Account {name} is open again.")


@commands.command()
def reset(name: Name, reason: Reason = "", as_name: As = "", as_json: Json = False) -> None:
    """Give a one-time code with which an account sets a new password."""
    from core import accounts

    home = console.open_home()
    code = accounts.reset_code(home, console.actor(home, as_name), name, reason=reason)
    console.answer({"id": name, "code": code}, as_json, f"One-time code for {name}, good for a day, shown once: {code}")
