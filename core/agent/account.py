"""The agent's own account: it has no password, and its role allows safe actions and requests, nothing else."""

from __future__ import annotations

from datetime import datetime

from sqlite_utils import Database

from core import acts, roles
from core.acts import Actor
from core.errors import Refused
from core.home import Home
from core.times import stamp
from storage import accounts as store
from storage.connection import reading

NAME = "agent"
ACTOR = Actor(NAME, via="agent")


def ensure(home: Home, now: datetime) -> None:
    """Add the account at the agent's first deed.

    Raises
    ------
    Refused
        Somebody else has the name, or the account was closed: then the agent does nothing.
    """
    row = store.find_account(reading(home.db), NAME)
    if row is None:
        with acts.unattended(home, now) as (db, note):
            row = store.find_account(db, NAME)
            if row is None:
                row = _add(db, stamp(now))
                note(
                    actor="clock", via="clock", trigger="schedule", action="add_agent_account", subject=f"account {NAME}",
                    after={"account": NAME, "role": roles.AGENT},
                )  # fmt: skip
    if row["role"] != roles.AGENT or not row["active"]:
        raise Refused(f"The account {NAME!r} is not the agent's or is closed; an administrator must free the name or reopen it.")


def _add(db: Database, at: str) -> dict[str, object]:
    store.insert_account(db, name=NAME, role=roles.AGENT, password_hash=None, demo=False, at=at, by="clock")
    return {"role": roles.AGENT, "active": 1}
