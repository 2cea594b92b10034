"""agent: incidents, what the agent asks for, its policy and its switches."""

from __future__ import annotations

from typing import Annotated

import typer

from core.cli import console
from core.cli.console import As, Json

commands = typer.Typer(help="Incidents, the agent's requests, its policy and its switches.", no_args_is_help=True)

IncidentId = Annotated[int, typer.Argument(metavar="ID", help="Id of the incident.")]
RequestId = Annotated[int, typer.Argument(metavar="ID", help="Id of the agent's request.")]
NeededReason = Annotated[str, typer.Option("--reason", help="Why, in a sentence; it is kept in the audit.", show_default=False)]


@commands.command("list")
def list_(
    project: Annotated[str, typer.Argument(metavar="[PROJECT]", help="All of them unless named.", show_default=False)] = "",
    every: Annotated[bool, typer.Option("--all", help="Incidents that are closed, too.")] = False,
    as_json: Json = False,
) -> None:
    """List incidents and the requests that wait."""
    from core.agent import agent_requests, control, incidents
    from core.projects.projects import get_project
    from core.times import utc_now

    home = console.open_home()
    if project:
        get_project(home, project)
    found = incidents.list_incidents(home, project or None) if every else incidents.list_unclosed(home, project or None)
    waiting = agent_requests.list_requests(home, project=project or None, states=("pending",), now=utc_now())
    set_ = control.read_control(home)
    rows = [
        [i.id, i.project, i.title, f"{i.severity:.2f}", i.state, i.opened_at[:16].replace("T", " "), i.diagnosis["sentence"][:100]] for i in found
    ]
    lines = [set_.sentence, ""]
    lines += console.table(["id", "project", "issue", "severity", "state", "since (UTC)", "diagnosis"], rows) if rows else ["No incident is open."]
    lines += [f"Request {r.id} waits: {r.title} in {r.project} ({r.risk} risk), until {r.expires_at[:16].replace('T', ' ')} UTC." for r in waiting]
    console.answer({"control": set_, "incidents": found, "requests": waiting}, as_json, lines)


@commands.command()
def show(incident_id: IncidentId, as_json: Json = False) -> None:
    """Show one incident from its first alert to its end."""
    from core.agent import agent_requests, incidents
    from core.times import utc_now

    home = console.open_home()
    incident = incidents.get_incident(home, incident_id)
    events = incidents.list_events(home, incident_id)
    asked = agent_requests.list_requests(home, incident_id=incident_id, now=utc_now())
    rows = [[e.at[:19].replace("T", " "), e.action.replace("_", " ") or e.kind, e.status, e.approver or "-", e.sentence] for e in events]
    head = f"Incident {incident.id} of {incident.project}: {incident.title.lower()}, severity {incident.severity:.2f}, {incident.state}."
    lines = [head, *([incident.outcome] if incident.outcome else []), "", *console.table(["time (UTC)", "what", "status", "approver", "said"], rows)]
    console.answer({"incident": incident, "events": events, "requests": asked}, as_json, lines)


@commands.command()
def policy(
    project: Annotated[str, typer.Argument(metavar="[PROJECT]", help="As it holds there; as shipped unless named.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """Show the policy: issue, cause and severity to a plan. A project's own plans are marked with a star."""
    from core.agent import policy as core_policy
    from core.projects.limits import get_limits

    rules = core_policy.read_for(get_limits(console.open_home(), project)) if project else core_policy.read()
    rows = [
        [r.number, r.issue, r.cause, *(("* " if b in r.own else "") + ", ".join(r.plans[b]) for b in core_policy.BANDS), ", ".join(r.advise) or "-"]
        for r in rules
    ]
    lines = console.table(["rule", "issue", "cause", "low", "medium", "high", "advice"], rows)
    console.answer({"rules": [{**r.__dict__, "plans": dict(r.plans)} for r in rules]}, as_json, lines)


@commands.command()
def approve(request_id: RequestId, reason: NeededReason, as_name: As = "", as_json: Json = False) -> None:
    """Approve what the agent asks for; it is carried out at once."""
    from core.agent import agent_requests

    home = console.open_home()
    done = agent_requests.approve(home, console.actor(home, as_name), request_id, reason=reason)
    console.answer(done, as_json, f"Request {request_id} is approved. {done['outcome']}")


@commands.command()
def reject(request_id: RequestId, reason: NeededReason, as_name: As = "", as_json: Json = False) -> None:
    """Reject what the agent asks for; the incident is escalated."""
    from core.agent import agent_requests

    home = console.open_home()
    done = agent_requests.reject(home, console.actor(home, as_name), request_id, reason=reason)
    console.answer(done, as_json, f"Request {request_id} is rejected; its incident is escalated.")


@commands.command()
def pause(reason: NeededReason, as_name: As = "", as_json: Json = False) -> None:
    """Stop the agent until somebody resumes it."""
    from core.agent import control

    home = console.open_home()
    done = control.pause(home, console.actor(home, as_name), reason=reason)
    console.answer(done, as_json, "The agent is paused; alerts wait until it is resumed.")


@commands.command()
def resume(reason: NeededReason, as_name: As = "", as_json: Json = False) -> None:
    """Let the agent go on."""
    from core.agent import control

    home = console.open_home()
    done = control.resume(home, console.actor(home, as_name), reason=reason)
    console.answer(done, as_json, "The agent goes on.")


@commands.command("dry-run")
def dry_run(
    switch: Annotated[str, typer.Argument(metavar="on|off")], reason: NeededReason, as_name: As = "", as_json: Json = False
) -> None:
    """Let the agent decide and show everything, and do nothing."""
    from core.agent import control
    from core.errors import BadInput

    if switch not in ("on", "off"):
        raise BadInput(f"The dry run is on or off; {switch[:20]!r} is neither.")
    home = console.open_home()
    done = control.set_dry_run(home, console.actor(home, as_name), switch == "on", reason=reason)
    console.answer(done, as_json, f"The dry run is {switch}.")


@commands.command("limit")
def limit(
    per_hour: Annotated[int, typer.Argument(metavar="N", help="Safe actions in an hour, over all projects.")],
    reason: NeededReason, as_name: As = "", as_json: Json = False,
) -> None:  # fmt: skip
    """Set how many safe actions the agent may run in an hour."""
    from core.agent import control

    home = console.open_home()
    done = control.set_hourly_limit(home, console.actor(home, as_name), per_hour, reason=reason)
    console.answer(done, as_json, f"The agent may run {per_hour} actions an hour.")


@commands.command()
def turn(as_json: Json = False) -> None:
    """Give the agent its turn now, as the clock does each minute."""
    from core import agent
    from core.times import utc_now

    found = agent.turn(console.open_home(), now=utc_now())
    lines = [f"Incident {i.id} of {i.project}: {i.title.lower()}, {i.state}." for i in found] or ["Nothing was to be done."]
    console.answer({"incidents": found}, as_json, lines)
