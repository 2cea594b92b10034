"""The agent's switches: paused, dry run, and how many actions an hour it may run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from core import acts
from core.acts import Actor, Done, Tx
from core.errors import BadInput, Refused
from core.home import Home
from storage import accounts as settings_store
from storage.connection import reading

KEY = "agent"
LEAST_AN_HOUR, MOST_AN_HOUR = 1, 1_000


@dataclass(frozen=True)
class Control:
    """How the agent is set.

    Attributes
    ----------
    paused : bool
        It sees nothing and does nothing; requests still expire.
    dry_run : bool
        It decides and shows everything, and does nothing.
    per_hour : int
        Safe actions in any hour, over all projects.
    at, by, reason : str
        The last change; empty before the first.
    """

    paused: bool = False
    dry_run: bool = False
    per_hour: int = 60
    at: str = ""
    by: str = ""
    reason: str = ""

    @property
    def sentence(self) -> str:
        if self.paused:
            return f"The agent is paused by {self.by}: {self.reason}"
        if self.dry_run:
            return f"Dry run: the agent decides and shows, and does nothing ({self.by})."
        return f"The agent is at work; it may run {self.per_hour} actions an hour."


def read_control(home: Home) -> Control:
    """How the agent is set now."""
    text = settings_store.find_setting(reading(home.db), KEY)
    return Control(**json.loads(text)) if text else Control()


def pause(home: Home, actor: Actor, *, reason: str, key: str | None = None, now: datetime | None = None) -> dict[str, Any]:
    """Stop the agent until somebody resumes it."""
    return _change(home, actor, "pause_agent", lambda c: replace(c, paused=True), "it is paused", reason, key, now)


def resume(home: Home, actor: Actor, *, reason: str, key: str | None = None, now: datetime | None = None) -> dict[str, Any]:
    """Let the agent go on."""
    return _change(home, actor, "resume_agent", lambda c: replace(c, paused=False), "it goes on", reason, key, now)


def set_dry_run(
    home: Home, actor: Actor, on: bool, *, reason: str, key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Switch the dry run on or off. What was only shown meanwhile is decided anew when it ends."""
    return _change(home, actor, "set_agent_dry_run", lambda c: replace(c, dry_run=on), "it changes", reason, key, now)


def set_hourly_limit(
    home: Home, actor: Actor, per_hour: int, *, reason: str, key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """How many safe actions the agent may run in an hour."""
    if isinstance(per_hour, bool) or not isinstance(per_hour, int) or not LEAST_AN_HOUR <= per_hour <= MOST_AN_HOUR:
        raise BadInput(f"Actions an hour are a whole number from {LEAST_AN_HOUR} to {MOST_AN_HOUR:,}.")
    return _change(home, actor, "set_agent_limit", lambda c: replace(c, per_hour=per_hour), "it changes", reason, key, now)


def _change(
    home: Home, actor: Actor, action: str, change: Callable[[Control], Control], what: str, reason: str, key: str | None,
    now: datetime | None,
) -> dict[str, Any]:  # fmt: skip
    reason = reason.strip()
    if not reason or len(reason) > 2_000:
        raise BadInput(f"A reason of at most 2,000 characters is needed: write in a sentence why {what}.")

    def work(tx: Tx) -> Done:
        text = settings_store.find_setting(tx.db, KEY)
        before = Control(**json.loads(text)) if text else Control()
        after = change(before)
        if after == before:
            raise Refused(f"Nothing would change: {before.sentence}")
        after = replace(after, at=tx.at, by=actor.name, reason=reason)
        settings_store.set_setting(tx.db, KEY, json.dumps(asdict(after)))
        return Done(asdict(after), _switches(before), _switches(after), "the agent")

    return acts.perform(home, actor, action, work, permission="pause_agent", reason=reason, key=key, now=now)


def _switches(control: Control) -> dict[str, Any]:
    return {"paused": control.paused, "dry_run": control.dry_run, "per_hour": control.per_hour}
