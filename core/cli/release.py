"""request, approve, reject, withdraw, deploy, rollback, undeploy: the way to the green light, and back."""

from __future__ import annotations

from typing import Annotated

import typer

from core.cli import console
from core.cli.console import As, Json, Project, Reason

commands = typer.Typer()

RequestId = Annotated[int, typer.Argument(metavar="ID", help="Id of the request.")]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="Such as 1.2.0.")]
NeededReason = Annotated[str, typer.Option("--reason", help="Why, in a sentence; it is kept in the audit.", show_default=False)]


@commands.command()
def request(project: Project, version: Version, reason: NeededReason, as_name: As = "", as_json: Json = False) -> None:
    """Ask for the release of a version."""
    from core import approvals

    home = console.open_home()
    done = approvals.request_release(home, console.actor(home, as_name), project, version, reason=reason)
    filed = approvals.get_request(home, done["id"])
    gates = filed.evidence.get("gates", [])
    signs = {True: "passed", False: "FAILED", None: "not asked"}
    lines = [
        f"Request {done['id']} for version {version} waits for a DRH manager until {filed.expires_at[:16].replace('T', ' ')} UTC."
    ]
    lines += [f"  {g['name']}: {signs[g['passed']]}. {g['sentence']}" for g in gates]
    live = filed.evidence.get("live")
    if live:
        lines.append(live["sentence"])
    data = {**done, "project": project, "state": filed.state, "expires_at": filed.expires_at, "gates": gates, "live": live}
    console.answer(data, as_json, lines)


@commands.command()
def approve(
    request_id: RequestId,
    reason: NeededReason,
    despite_gates: Annotated[bool, typer.Option("--despite-gates", help="Approve although a gate failed.")] = False,
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Approve a request; the version may then be deployed within 7 days."""
    from core import approvals

    home = console.open_home()
    done = approvals.approve(home, console.actor(home, as_name), request_id, reason=reason, despite_gates=despite_gates)
    console.answer(done, as_json, f"Request {request_id} is approved: DevOps may deploy version {done['version']} within 7 days.")


@commands.command()
def reject(request_id: RequestId, reason: NeededReason, as_name: As = "", as_json: Json = False) -> None:
    """Reject a request; the version is archived with the reason."""
    from core import approvals

    home = console.open_home()
    done = approvals.reject(home, console.actor(home, as_name), request_id, reason=reason)
    console.answer(done, as_json, f"Request {request_id} is rejected: version {done['version']} is archived.")


@commands.command()
def withdraw(request_id: RequestId, reason: Reason = "", as_name: As = "", as_json: Json = False) -> None:
    """Take one's own request back before it is used."""
    from core import approvals

    home = console.open_home()
    done = approvals.withdraw(home, console.actor(home, as_name), request_id, reason=reason)
    console.answer(done, as_json, f"Request {request_id} is withdrawn.")


@commands.command()
def deploy(project: Project, version: Version, reason: Reason = "", as_name: As = "", as_json: Json = False) -> None:
    """Make an approved version live."""
    from core import deployment

    home = console.open_home()
    done = deployment.deploy(home, console.actor(home, as_name), project, version, reason=reason)
    console.answer(done, as_json, _switched(done))


@commands.command()
def rollback(
    project: Project,
    to: Annotated[
        str,
        typer.Option("--to", metavar="VERSION", help="A version that was live; the one before unless named.", show_default=False),
    ] = "",
    reason: Reason = "",
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Go back to a version that was live before; it answers from the next prediction on."""
    from core import deployment

    home = console.open_home()
    done = deployment.rollback(home, console.actor(home, as_name), project, to=to or None, reason=reason)
    console.answer(done, as_json, _switched(done))


@commands.command()
def undeploy(project: Project, reason: Reason = "", as_name: As = "", as_json: Json = False) -> None:
    """Take the live version out of service."""
    from core import deployment

    home = console.open_home()
    done = deployment.undeploy(home, console.actor(home, as_name), project, reason=reason)
    console.answer(done, as_json, f"{project}: version {done['before']} is out of service; nothing is live.")


def _switched(done: dict[str, str | None]) -> str:
    return f"{done['project']}: version {done['version']} is live (before: {done['before'] or 'none'})."
