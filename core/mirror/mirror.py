"""The mirror as people and the clock see it: how it stands, and a round of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.adapters import optional
from core.errors import Refused
from core.home import Home
from core.jobs import jobs
from core.mirror import plan, process
from core.mirror.address import Address, find_address
from core.settings import Settings
from core.times import parse, utc_now
from storage import mirror as store
from storage.connection import reading, writing

TRAININGS = ("train", "retrain")
GIVE_WAY = timedelta(minutes=10)  # a longer training does not keep the server waiting

@dataclass(frozen=True)
class Standing:
    """How the mirror stands.

    Attributes
    ----------
    configured : bool
        Whether the environment names a server; without one nothing else is known.
    installed : bool
        Whether MLflow can be imported.
    target : str
        The server, without credentials.
    waiting : int
        Runs, candidates, versions, hours of monitoring and drift checks that the server has not been given.
    last_success : str or None
        When a round last reached the server.
    last_error : str
        Why the last round did not give everything; "" if it did.
    next_at : str or None
        Before this nothing is tried again by itself.
    """

    configured: bool
    installed: bool
    target: str
    waiting: int
    running: bool
    last_success: str | None
    last_error: str
    next_at: str | None
    sentence: str


def describe(home: Home, settings: Settings, *, now: datetime | None = None) -> Standing:
    """How the mirror stands now; reads the database only and never asks the server."""
    now = now or utc_now()
    address, library = find_address(settings), optional.LIBRARIES["mlflow"]
    if address is None:
        sentence = "Nothing is mirrored: set MLFLOW_TRACKING_URI to the address of an MLflow server to begin."
        return Standing(False, library.is_installed, "", 0, False, None, "", None, sentence)
    waiting = plan.count_waiting(home, address.shown, now=now)
    last = store.find_round(reading(home.db), address.shown)
    error = last["error"] if last else ""
    if not library.is_installed:
        error = f"{library.title} is not installed, and {library.purpose} needs it: {library.install}."
    running = process.is_running(home)
    success, next_at = (last["success_at"], last["next_at"]) if last else (None, None)
    if error:
        sentence = f"{_waiting(waiting)}. {error}" if waiting else error
    elif running:
        sentence = f"The mirror to {address.shown} is at work; {_waiting(waiting)}."
    elif waiting:
        when = "once the training at work has ended" if _gives_way(home, now) else "within a minute"
        sentence = f"{_waiting(waiting)} for {address.shown}; the console's clock starts the mirror {when}."
    else:
        sentence = f"{address.shown} has been given everything."
    return Standing(True, library.is_installed, address.shown, waiting, running, success, error, next_at, sentence)


def start_due(home: Home, settings: Settings, *, now: datetime) -> bool:
    """Start a round in a process of its own if something waits and the time has come; returns whether one was started.

    Costs some milliseconds and imports nothing of MLflow: the clock calls it each minute.
    """
    process.reap(home)
    address = find_address(settings)
    if address is None or not optional.is_installed("mlflow"):
        return False
    ended = store.find_round(reading(home.db), address.shown)
    if ended is not None and ended["next_at"] is not None and parse(ended["next_at"]) > now:
        return False
    if process.is_running(home) or _gives_way(home, now) or not plan.list_waiting(home, address.shown, now=now):
        return False
    return process.start_one(home, address)


def _gives_way(home: Home, now: datetime) -> bool:
    """Whether a training is at work that the mirror can wait for: measured, a round beside it cost half a second of its time."""
    running = [j for kind in TRAININGS for j in jobs.list_jobs(home, kind=kind, states=("running",), now=now)]
    return any(j.state == "running" and now - parse(j.started_at) < GIVE_WAY for j in running if j.started_at)


def run_now(home: Home, settings: Settings, *, now: datetime, again: bool = False, poll: float = 0.1) -> Standing:
    """A round at once, whatever went before; waits for its end.

    Parameters
    ----------
    again : bool
        Forget what the server has been given: everything is sent once more. What is there is found, not made twice.

    Raises
    ------
    Refused
        No server is named, or MLflow is not installed.
    """
    address = _need_address(settings)
    library = optional.LIBRARIES["mlflow"]
    if not library.is_installed:
        raise Refused(f"{library.title} is not installed, and {library.purpose} needs it: {library.install}.")
    while process.is_running(home):
        time.sleep(poll)
    if again:
        with writing(home.db) as db:
            store.forget(db, address.shown)
    while (code := process.start_process(home, address, at_once=True).wait()) == 3:  # another one was a moment faster
        time.sleep(poll)
    if code not in (0, 1):
        raise Refused(f"The mirror's worker ended unexpectedly (code {code}); run it again, it goes on where it stood.")
    return describe(home, settings, now=now)


def _need_address(settings: Settings) -> Address:
    address = find_address(settings)
    if address is None:
        raise Refused("No server is named to mirror to; set MLFLOW_TRACKING_URI to the address of an MLflow server.")
    return address


def _waiting(n: int) -> str:
    return "1 thing waits" if n == 1 else f"{n:,} things wait"
