"""What every command shares: the installation, who acts, and how an answer is printed."""

from __future__ import annotations

import json
import math
import signal
import sys
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import BadInput, Refused

if TYPE_CHECKING:
    from core.acts import Actor
    from core.home import Home
    from core.jobs.jobs import Job

As = Annotated[
    str, typer.Option("--as", envvar="GREENLIGHT_AS", metavar="ACCOUNT", help="The account that acts.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in a sentence; it is kept in the audit.", show_default=False)]
Project = Annotated[str, typer.Argument(help="Name of the project.", metavar="PROJECT")]
Provenance = Annotated[str, typer.Option("--provenance", help="Who made the labels: recorded, person, rule, synthetic, model or none.")]

_opened: list[Home] = []


def open_home() -> Home:
    """The installation that the environment names, its databases at the present schema."""
    from core.logs import keep_logs
    from core.settings import Settings

    settings = Settings.from_environment()
    home = settings.open_home()
    keep_logs(home, settings.log_level)
    _opened.append(home)
    return home


def opened_home() -> Home | None:
    """The installation that this command has opened, if it came so far."""
    return _opened[-1] if _opened else None


def actor(home: Home, name: str) -> Actor:
    """Who acts: the account of ``--as`` and the operating system's user. Without a name the usage is wrong."""
    from core.accounts import list_accounts
    from core.acts import cli_actor

    if not name:
        known = (
            ", ".join(a.name for a in list_accounts(home) if a.active)
            or "none yet; make the first with: user add NAME --role admin"
        )
        raise typer.BadParameter(f"name the account that acts ({known})", param_hint="'--as'")
    return cli_actor(name)


def check_reader(home: Home, name: str) -> None:
    """Reading needs no account; one that is named all the same must exist."""
    from core.accounts import find_account

    account = find_account(home, name) if name else None
    if name and (account is None or not account.active):
        raise Refused(f"There is no active account {name!r}; ask an administrator to add it.")


def read_file(path: Path) -> bytes:
    """The bytes of a file that a person named."""
    check_readable(path)
    return path.read_bytes()


def check_readable(path: Path) -> Path:
    if not path.is_file():
        raise BadInput(f"There is no file {path}; check the name.")
    return path


def answer(data: Any, as_json: bool, text: str | Sequence[str]) -> None:
    """Print the answer on stdout: ``data`` as one JSON document, or ``text`` for people."""
    if as_json:
        print(json.dumps(plain(data), ensure_ascii=False, indent=2))
        return
    for line in [text] if isinstance(text, str) else text:
        print(printable(line))


def say(text: str) -> None:
    """Progress and remarks: on stderr, so that stdout holds the answer alone."""
    print(printable(text), file=sys.stderr, flush=True)


def complain(text: str) -> None:
    """One clear line on stderr."""
    say("Error: " + " ".join(text.split()))


def plain(value: Any) -> Any:
    """``value`` as JSON data: what is not a number becomes null, a dataclass its fields."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, bool) or value is None or isinstance(value, (int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return str(value)


def printable(text: str) -> str:
    """Without control characters: a name in a file must not move the cursor or hide what follows."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf") else "\N{REPLACEMENT CHARACTER}" for c in text)


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Lines of a table: numbers to the right, text to the left, None as "-"."""
    cells = [["-" if v is None else f"{v:.3f}" if isinstance(v, float) else str(v) for v in row] for row in rows]
    widths = [max(len(str(c)) for c in column) for column in zip(headers, *cells, strict=True)]
    right = [
        all(isinstance(v, (int, float)) or v is None for v in column)
        for column in (zip(*rows, strict=True) if rows else [()] * len(headers))
    ]

    def line(values: Sequence[str]) -> str:
        return "  ".join(v.rjust(w) if r else v.ljust(w) for v, w, r in zip(values, widths, right, strict=True)).rstrip()

    return [line(list(headers)), line(["-" * w for w in widths]), *(line(c) for c in cells)]


class JobLine:
    """Shows a job's progress on stderr: one line that is written over on a terminal, else a line per step."""

    def __init__(self) -> None:
        self._last = ""
        self._live = sys.stderr.isatty()

    def show(self, job: Job) -> None:
        if job.finished or job.state == "queued" or not job.note:
            return
        share = f"{job.share:4.0%}  " if job.share is not None else ""
        if self._live:
            left = f"  about {job.seconds_left:.0f} s left" if job.seconds_left is not None else ""
            sys.stderr.write("\r\x1b[K" + printable(f"{share}{job.note}{left}"))
            sys.stderr.flush()
        elif job.note != self._last:
            left = f"; about {job.seconds_left:.0f} s left" if job.seconds_left is not None else ""
            say(f"{share}{job.note}{left}")
        self._last = job.note

    def end(self) -> None:
        if self._live and self._last:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def run_job(home: Home, who: Actor, job_id: int) -> Job:
    """Run a job of this command in a worker process to its end, showing progress; Ctrl-C cancels it and waits for the truth."""
    from core.jobs import jobs, worker

    line, pressed, heard = JobLine(), 0, 0

    def note(*_: object) -> None:
        nonlocal pressed
        pressed += 1

    def follow(job: Job) -> None:
        nonlocal heard
        if not pressed:
            line.show(job)
        elif not heard:
            heard = pressed
            line.end()
            say("Stopping; press Ctrl-C again to end the worker at once.")
            with suppress(Refused):  # it had ended a moment before: then that is what happened
                jobs.cancel(home, who, job_id)
        elif pressed > heard:
            heard = pressed
            jobs.stop_worker(process.pid)

    # counted, not raised: an exception that comes up inside a library's clean-up would be lost, and the job would go on
    before = signal.signal(signal.SIGINT, note)
    process = worker.start_process(home, job_id)
    try:
        return worker.wait_for(home, job_id, process, on_progress=follow)
    finally:
        line.end()
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
