"""logs: what happened, line by line."""

from __future__ import annotations

import json
import re
import signal
import threading
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from core.cli import console
from core.cli.console import Json
from core.errors import BadInput

commands = typer.Typer()
POLL_SECONDS = 0.5
_AGO = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@commands.command("logs")
def show(
    logger: Annotated[
        list[str] | None, typer.Option("--logger", help="app, mlops, monitoring, model_training or retraining; repeat for more.")
    ] = None,
    level: Annotated[str, typer.Option("--level", help="This one and above: debug, info, warning, error, critical.")] = "",
    since: Annotated[str, typer.Option("--since", help="Like 30m, 1h, 7d, or a time like 2026-11-21T12:00 (UTC).")] = "",
    until: Annotated[str, typer.Option("--until", help="The same, for the end.")] = "",
    correlation: Annotated[str, typer.Option("--correlation", help="Only lines of this correlation id.")] = "",
    text: Annotated[str, typer.Option("--text", help="Words that must occur.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000_000, help="The newest so many.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """Show the lines of the logs, the newest last. With --json whole, with traces; with --follow too, one line each."""
    from core.log_files import Filter, Tail, describe_line, read_lines
    from core.times import utc_now

    home = console.open_home()
    now = utc_now()
    names = {"loggers": tuple(dict.fromkeys(logger))} if logger else {}
    wanted = Filter(
        **names, level=level.lower(), correlation_id=correlation, text=text, since=read_moment(since, now), until=read_moment(until, now)
    )
    tail = Tail(home, wanted) if follow else None
    found = read_lines(home, wanted, limit=limit, most_bytes=None)
    lines = list(reversed(found.lines[:limit]))
    if tail is None:
        told = [describe_line(x) for x in lines] or "No line matches."
        console.answer([x.to_dict(with_trace=True) for x in lines], as_json, told)
        return
    # a flag, not KeyboardInterrupt: an exception that comes up inside a library's clean-up would be lost
    stopped = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stopped.set())
    while True:
        for line in lines:
            print(json.dumps(line.to_dict(with_trace=True), ensure_ascii=False) if as_json else console.printable(describe_line(line)))
        print(end="", flush=True)
        if stopped.wait(POLL_SECONDS):
            return
        lines = tail.read_new()


def read_moment(text: str, now: datetime) -> datetime | None:
    """``1h`` before ``now``, or a time as written (UTC unless it names its zone); None for nothing.

    Raises
    ------
    BadInput
        Neither of the two.
    """
    if not text:
        return None
    if ago := _AGO.fullmatch(text.strip().lower()):
        return now - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadInput(f"{text[:40]!r} is no time; write 30m, 1h, 7d or a time like 2026-11-21T12:00.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
