"""schedule: what is done by itself, when, and what came of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from core.cli import console
from core.cli.console import As, Json, Reason

commands = typer.Typer(help="Look after schedules: checks, retraining, exports, reports, backups.", no_args_is_help=True)

ScheduleId = Annotated[int, typer.Argument(metavar="ID", help="Id of the schedule.")]


@commands.command("list")
def list_all(
    project: Annotated[str, typer.Argument(metavar="[PROJECT]", help="All of them unless named.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """List schedules: next run, last run and what came of it."""
    from core.projects.projects import get_project
    from core.schedule import schedules

    home = console.open_home()
    if project:
        get_project(home, project)
    found = schedules.list_schedules(home, project or None)
    rows = [
        [
            s.id, s.project or "(all)", s.kind, s.said, "paused" if s.paused else _minute(s.next_at), _minute(s.last.slot_at if s.last else None),
            f"{s.last.state}: {s.last.sentence}" if s.last else "never ran",
        ]
        for s in found
    ]  # fmt: skip
    headers = ["id", "project", "kind", "when", "next (UTC)", "last (UTC)", "outcome"]
    nothing = "Nothing is scheduled; make one with: schedule set KIND --project NAME --every-days 1 --at 06:00"
    lines = console.table(headers, rows) if rows else [nothing]
    console.answer({"schedules": found}, as_json, lines)


@commands.command("set")
def set_one(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="drift_check, quality_check, retrain_check, export, report or backup.")],
    project: Annotated[str, typer.Option("--project", metavar="PROJECT", help="Every kind but backup has one.", show_default=False)] = "",
    every_days: Annotated[int, typer.Option("--every-days", metavar="N", help="Every N days.", show_default=False)] = 0,
    weekly: Annotated[str, typer.Option("--weekly", metavar="DAY", help="On mon, tue, ... sun.", show_default=False)] = "",
    monthly: Annotated[int, typer.Option("--monthly", metavar="DAY", help="On day 1 to 31 (or the month's last).", show_default=False)] = 0,
    cron: Annotated[str, typer.Option("--cron", metavar="RULE", help='Five fields, such as "30 2 * * 1-5".', show_default=False)] = "",
    at: Annotated[str, typer.Option("--at", metavar="HH:MM", help="Time of day; 00:00 unless given.", show_default=False)] = "",
    timezone: Annotated[str, typer.Option("--timezone", metavar="ZONE", help="Such as Europe/Paris.")] = "UTC",
    keep: Annotated[int, typer.Option("--keep", metavar="N", help="Backups to keep.", show_default=False)] = 0,
    report: Annotated[str, typer.Option("--report", metavar="KIND", help="weekly or drift.", show_default=False)] = "",
    reason: Reason = "",
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Make a schedule, or change its rule."""
    from core.schedule import schedules
    from core.schedule.rules import say_rule

    home = console.open_home()
    who = console.actor(home, as_name)
    given = {"every_days": every_days, "weekly": weekly, "monthly": monthly, "cron": cron, "at": at}
    rule: dict[str, Any] = {**{k: v for k, v in given.items() if v}, "timezone": timezone}
    params = {**({"keep": keep} if keep else {}), **({"kind": report} if report else {})}
    done = schedules.set_schedule(home, who, project, kind, rule, params=params or None, reason=reason)
    console.answer(done, as_json, f"Schedule {done['id']}: {kind} {say_rule(done['rule'])}; next at {_minute(done['next_at'])} UTC.")


@commands.command()
def pause(schedule_id: ScheduleId, reason: Reason = "", as_name: As = "", as_json: Json = False) -> None:
    """Let no slot of a schedule come until it is resumed."""
    from core.schedule import schedules

    home = console.open_home()
    done = schedules.pause(home, console.actor(home, as_name), schedule_id, reason=reason)
    console.answer(done, as_json, f"Schedule {schedule_id} is paused.")


@commands.command()
def resume(schedule_id: ScheduleId, reason: Reason = "", as_name: As = "", as_json: Json = False) -> None:
    """Go on with a schedule's next slot."""
    from core.schedule import schedules

    home = console.open_home()
    done = schedules.resume(home, console.actor(home, as_name), schedule_id, reason=reason)
    console.answer(done, as_json, f"Schedule {schedule_id} goes on; next at {_minute(done['next_at'])} UTC.")


@commands.command()
def remove(schedule_id: ScheduleId, reason: Reason = "", as_name: As = "", as_json: Json = False) -> None:
    """End a schedule; its history stays."""
    from core.schedule import schedules

    home = console.open_home()
    done = schedules.remove(home, console.actor(home, as_name), schedule_id, reason=reason)
    console.answer(done, as_json, f"Schedule {schedule_id} is removed.")


@commands.command()
def run(schedule_id: ScheduleId, as_name: As = "", as_json: Json = False) -> None:
    """Run a schedule once now, besides its rule, and wait for what comes of it."""
    from core.errors import Refused
    from core.schedule import slots

    home = console.open_home()
    done = slots.run_now(home, console.actor(home, as_name), schedule_id)
    if done["state"] == "failed":
        raise Refused(done["sentence"])
    console.answer(done, as_json, f"{done['state'].capitalize()}: {done['sentence']}")


@commands.command()
def history(
    schedule_id: ScheduleId, limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="So many at most.")] = 50, as_json: Json = False
) -> None:
    """List a schedule's slots, newest first, the missed ones among them."""
    from core.schedule import schedules

    home = console.open_home()
    schedule = schedules.get_schedule(home, schedule_id)
    found = schedules.list_slots(home, schedule_id, limit=limit)
    rows = [[_minute(s.slot_at), s.state, s.trigger, s.sentence] for s in found]
    lines = console.table(["slot (UTC)", "state", "by", "outcome"], rows) if rows else [f"Schedule {schedule_id} has not come due yet."]
    console.answer({"schedule": schedule, "slots": found, "counts": schedules.count_slots(home, schedule_id)}, as_json, lines)


def _minute(moment: str | None) -> str:
    return moment[:16].replace("T", " ") if moment else "-"
