"""health, checks, alerts and limits: is all well, what is open, and from where on does somebody hear of it?"""

from __future__ import annotations

from typing import Annotated

import typer

from core.agent.plans import PLAN
from core.cli import console
from core.cli.console import As, Json, Project, Reason
from core.errors import BadInput

commands = typer.Typer()
alert_commands = typer.Typer(help="Look after alerts.", no_args_is_help=True)
limits_commands = typer.Typer(help="Gates and thresholds: what is in force, and requests to change it.", no_args_is_help=True)

AlertId = Annotated[int, typer.Argument(metavar="ID", help="Id of the alert.")]
RequestId = Annotated[int, typer.Argument(metavar="ID", help="Id of the request to change limits.")]
NeededReason = Annotated[str, typer.Option("--reason", help="Why, in a sentence; it is kept in the audit.", show_default=False)]


@commands.command()
def health(as_json: Json = False) -> None:
    """Say of each part of the installation whether it is well."""
    from core.monitoring.health import check_health, worst
    from core.times import utc_now

    found = check_health(console.open_home(), now=utc_now())
    rows = [[f"{h.name} of {h.project}" if h.project else h.name, h.state, h.reason] for h in found]
    lines = [f"The installation is {worst(found)}.", "", *console.table(["part", "state", "reason"], rows)]
    console.answer({"state": worst(found), "parts": found}, as_json, lines)


@commands.command()
def checks(project: Project, as_json: Json = False) -> None:
    """Show what the clock's checks of a project last found."""
    from core.monitoring.checks import find_last
    from core.projects.projects import get_project

    home = console.open_home()
    get_project(home, project)
    found = find_last(home, project)
    rows = [[f"{f.title} ({f.subject})" if f.subject else f.title, f.state, f.sentence] for w in found for f in w.findings]
    lines = console.table(["check", "state", "found"], rows) if rows else ["The clock has not looked at this project yet; it runs with the console."]
    console.answer({"project": project, "groups": found}, as_json, lines)


@commands.command()
def alerts(
    project: Annotated[str, typer.Argument(metavar="[PROJECT]", help="All of them unless named.", show_default=False)] = "",
    every: Annotated[bool, typer.Option("--all", help="Those that are resolved, too.")] = False,
    as_json: Json = False,
) -> None:
    """List alerts: the open ones, worst first."""
    from core.monitoring.alerts import list_alerts, list_open
    from core.projects.projects import get_project

    home = console.open_home()
    if project:
        get_project(home, project)
    found = list_alerts(home, project or None) if every else list_open(home, project or None)
    rows = [[a.id, a.project, a.severity, a.state, a.since[:16].replace("T", " "), a.times, f"{a.title}: {a.sentence}"] for a in found]
    lines = console.table(["id", "project", "severity", "state", "since (UTC)", "times", "alert"], rows) if rows else ["No alert is open."]
    console.answer({"alerts": found}, as_json, lines)


@alert_commands.command("acknowledge")
def acknowledge(alert_id: AlertId, reason: Reason = "", as_name: As = "", as_json: Json = False) -> None:
    """Say that you have seen an alert and look after it."""
    from core.monitoring import alerts as core_alerts

    home = console.open_home()
    done = core_alerts.acknowledge(home, console.actor(home, as_name), alert_id, reason=reason)
    console.answer(done, as_json, f"Alert {alert_id} is acknowledged; it stays open until it is over.")


@alert_commands.command("resolve")
def resolve(alert_id: AlertId, reason: NeededReason, as_name: As = "", as_json: Json = False) -> None:
    """End an alert; if what it is about goes on, the next check opens another."""
    from core.monitoring import alerts as core_alerts

    home = console.open_home()
    done = core_alerts.resolve(home, console.actor(home, as_name), alert_id, reason=reason)
    console.answer(done, as_json, f"Alert {alert_id} is resolved.")


@limits_commands.command("show")
def show(project: Project, as_json: Json = False) -> None:
    """Show every gate and threshold in force, and where it comes from."""
    from core.projects import limits, proposals
    from core.times import utc_now

    home = console.open_home()
    found = limits.sources(home, project)
    waiting = proposals.list_requests(home, project=project, states=("pending",), now=utc_now())
    rows = [
        [s.setting.name, limits.say_value(s.setting.name, s.value), f"request {s.request_id}, {s.by}" if s.request_id else s.origin, s.setting.title]
        for s in found
    ]
    lines = console.table(["name", "in force", "source", "meaning"], rows)
    lines += [f"Settings request {r.id} by {r.requested_by} waits: {' '.join(r.lines)}" for r in waiting]
    values = [
        {"name": s.setting.name, "value": s.value, "own": s.own, "origin": s.origin, "at": s.at, "by": s.by, "request": s.request_id}
        for s in found
    ]
    console.answer({"project": project, "limits": values, "waiting": waiting}, as_json, lines)


@limits_commands.command("propose")
def propose(
    project: Project,
    changes: Annotated[
        list[str],
        typer.Argument(metavar="NAME=VALUE...", help="Such as accuracy_floor=0.8, or plan:data_drift/any/high=log,alert; none takes it away."),
    ],
    reason: NeededReason,
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Ask for other values; a DRH manager decides within 24 hours."""
    from core.projects import proposals

    home = console.open_home()
    who = console.actor(home, as_name)
    done = proposals.propose(home, who, project, dict(_read_change(c) for c in changes), reason=reason)
    asked = proposals.get_request(home, done["id"])
    until = asked.expires_at[:16].replace("T", " ")
    console.answer(done, as_json, [f"Settings request {asked.id} waits for a DRH manager until {until} UTC.", *asked.lines])


@limits_commands.command("approve")
def approve(request_id: RequestId, reason: NeededReason, as_name: As = "", as_json: Json = False) -> None:
    """Approve a change; the new values hold at once."""
    _decide(request_id, "approved", reason, as_name, as_json)


@limits_commands.command("reject")
def reject(request_id: RequestId, reason: NeededReason, as_name: As = "", as_json: Json = False) -> None:
    """Reject a change; everything stays as it is."""
    _decide(request_id, "rejected", reason, as_name, as_json)


@limits_commands.command("withdraw")
def withdraw(request_id: RequestId, reason: Reason = "", as_name: As = "", as_json: Json = False) -> None:
    """Take your own request back before it is decided."""
    from core.projects import proposals

    home = console.open_home()
    done = proposals.withdraw(home, console.actor(home, as_name), request_id, reason=reason)
    console.answer(done, as_json, f"Settings request {request_id} is withdrawn.")


def _decide(request_id: int, decision: str, reason: str, as_name: str, as_json: bool) -> None:
    from core.projects import proposals

    home = console.open_home()
    done = proposals.decide(home, console.actor(home, as_name), request_id, decision, reason=reason)
    console.answer(done, as_json, f"Settings request {request_id} is {decision}.")


def _read_change(text: str) -> tuple[str, float | str | None]:
    name, sign, value = text.partition("=")
    if not sign:
        raise BadInput(f"{text[:60]!r} is no change; write NAME=VALUE, such as accuracy_floor=0.8.")
    if value.strip().lower() == "none":
        return name.strip(), None
    if name.strip().startswith(PLAN):
        return name.strip(), value
    try:
        return name.strip(), float(value)
    except ValueError:
        raise BadInput(f"{name.strip()[:40]} is a number; {value[:40]!r} is none.") from None
