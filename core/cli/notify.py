"""notify channels, test, list, send, redeliver, choose, switch, secret: messages that go out."""

from __future__ import annotations

from typing import Annotated

import typer

from core.cli import console
from core.cli.console import As, Json, Reason
from core.errors import Refused

commands = typer.Typer(help="Try channels, look after the messages that go out.", no_args_is_help=True)

Channel = Annotated[str, typer.Argument(metavar="CHANNEL", help="mail, slack or webhook.")]
DeliveryId = Annotated[int, typer.Argument(metavar="ID", help="Id of the delivery.")]


@commands.command("channels")
def channels(as_json: Json = False) -> None:
    """Show the channels, whether they are configured, and who hears of what."""
    from core.notify.channels import list_channels
    from core.notify.connections import read_connections
    from core.notify.events import EVENTS

    found = list_channels(console.open_home(), read_connections())
    rows = [[c.name, "on" if c.active else "off", c.where or c.problem] for c in found]
    lines = console.table(["channel", "state", "where"], rows)
    by_event = [[event, *(", ".join(sorted(c.wants[event])) or "-" for c in found)] for event in EVENTS]
    lines += ["", *console.table(["event", *(c.name for c in found)], by_event)]
    plain = [
        {"channel": c.name, "active": c.active, "configured": not c.problem, "problem": c.problem, "where": c.where,
         "wants": {event: sorted(wanted) for event, wanted in c.wants.items()}}
        for c in found
    ]  # fmt: skip
    console.answer({"channels": plain}, as_json, lines)


@commands.command("test")
def try_(channel: Channel, as_name: As = "", as_json: Json = False) -> None:
    """Send a test message by a channel (mail: to yourself) and say what became of it."""
    from core.notify import outbox
    from core.notify.connections import read_connections

    home = console.open_home()
    found = outbox.try_channel(home, console.actor(home, as_name), channel, connections=read_connections())
    if found.state != "sent":
        raise Refused(f"The test was {found.state}: {found.error}")
    console.answer(found, as_json, f"The test was sent by {channel} (delivery {found.id}).")


@commands.command("list")
def list_(
    state: Annotated[str, typer.Option("--state", help="Only queued, sending, sent, failed or skipped ones.")] = "",
    channel: Annotated[str, typer.Option("--channel", help="Only of mail, slack or webhook.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many.")] = 50,
    as_json: Json = False,
) -> None:
    """List the messages and what became of them, newest first."""
    from core.notify.outbox import list_deliveries

    found = list_deliveries(console.open_home(), states=(state,) if state else (), channel=channel or None, limit=limit)
    rows = [
        [d.id, d.created_at[:16].replace("T", " "), d.event, d.project or "-", d.channel, d.recipient or "-", d.state, d.attempts, d.error or "-"]
        for d in found
    ]
    headers = ["id", "queued (UTC)", "event", "project", "by", "to", "state", "tries", "error"]
    console.answer({"deliveries": found}, as_json, console.table(headers, rows) if rows else ["No message was queued yet."])


@commands.command("send")
def send(as_json: Json = False) -> None:
    """Send now what is due, as the clock of the console does each minute."""
    from core.notify.connections import read_connections
    from core.notify.outbox import send_due
    from core.times import utc_now

    done = send_due(console.open_home(), now=utc_now(), connections=read_connections())
    lines = [f"Delivery {d.id} ({d.event} by {d.channel}): {d.state}{': ' + d.error if d.error else ''}" for d in done]
    console.answer({"deliveries": done}, as_json, lines or ["Nothing is due."])


@commands.command("redeliver")
def redeliver(delivery_id: DeliveryId, reason: Reason = "", as_name: As = "", as_json: Json = False) -> None:
    """Put a message that failed or was skipped back into the queue."""
    from core.notify import outbox

    home = console.open_home()
    done = outbox.redeliver(home, console.actor(home, as_name), delivery_id, reason=reason)
    console.answer(done, as_json, f"Delivery {delivery_id} waits again; the clock sends it within a minute.")


@commands.command("choose")
def choose(
    channel: Channel,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Such as request_filed; see: notify channels")],
    wanted: Annotated[str, typer.Argument(metavar="ROLES", help="Roles by commas for mail; yes or no for slack and webhook; none for nobody.")],
    reason: Reason = "",
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Say who hears of an event by a channel."""
    from core.notify import channels as core_channels

    home = console.open_home()
    if channel == "mail":
        chosen: list[str] | bool = [] if wanted == "none" else [r.strip() for r in wanted.split(",") if r.strip()]
    elif wanted in ("yes", "no"):
        chosen = wanted == "yes"
    else:
        raise typer.BadParameter("it is yes or no", param_hint="ROLES")
    done = core_channels.choose(home, console.actor(home, as_name), channel, event, chosen, reason=reason)
    console.answer(done, as_json, f"{event} goes by {channel} to: {', '.join(done['wanted']) or 'nobody'}.")


@commands.command("switch")
def switch(
    channel: Channel,
    state: Annotated[str, typer.Argument(metavar="STATE", help="on or off.")],
    reason: Reason = "",
    as_name: As = "",
    as_json: Json = False,
) -> None:
    """Switch a channel on or off."""
    from core.notify import channels as core_channels

    if state not in ("on", "off"):
        raise typer.BadParameter("it is on or off", param_hint="STATE")
    home = console.open_home()
    done = core_channels.switch_channel(home, console.actor(home, as_name), channel, state == "on", reason=reason)
    console.answer(done, as_json, f"Channel {channel} is {state} now.")


@commands.command("secret")
def secret(reason: Reason = "", as_name: As = "", as_json: Json = False) -> None:
    """Show the secret by which the receiver of the webhook knows our messages."""
    from core.notify import channels as core_channels

    home = console.open_home()
    shown = core_channels.show_secret(home, console.actor(home, as_name), reason=reason)
    console.answer({"secret": shown}, as_json, f"Messages of the webhook are signed with: {shown}")
