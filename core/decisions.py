"""What every request that a person decides has in common: how long it waits, what time makes of it, and who may decide it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from core import roles
from core.accounts import Account
from core.times import parse, stamp

WAITS = timedelta(hours=24)  # for a decision
HOLDS = timedelta(days=7)  # an approval that nobody has used
_ENDS_AS = {"pending": "expired", "approved": "lapsed"}


def state_at(row: Mapping[str, Any], now: datetime, *, lapses: bool = True) -> str:
    """The state of a stored request at a moment: one that nobody decided is expired, an approval that nobody used has lapsed.

    Parameters
    ----------
    row : mapping
        state, expires_at, decided_at, and lapses_at where that is kept.
    lapses : bool
        False where an approval has its effect at once, so that nothing is left to lapse.
    """
    if row["state"] == "pending" and row["expires_at"] <= stamp(now):
        return "expired"
    if lapses and row["state"] == "approved" and row["decided_at"]:
        until = row.get("lapses_at") or stamp(parse(row["decided_at"]) + HOLDS)
        return "lapsed" if until <= stamp(now) else "approved"
    return str(row["state"])


def stored_as(states: tuple[str, ...]) -> tuple[str, ...]:
    """The states that are stored for requests in these states now: what is stored may have run out of time, never the other way round."""
    return tuple({*states, *(stored for stored, ended in _ENDS_AS.items() if ended in states)})


def why_not_decide(account: Account, permission: str, *, requested_by: str, state: str, trained_by: str = "") -> str:
    """Empty if ``account`` may decide a request; else the sentence that says why not."""
    deciders = roles.who_may(permission)
    another = f" another {deciders[0]} can." if len(deciders) == 1 else " somebody else who may can."
    if account.role == roles.AGENT or not roles.may(account.role, permission):
        return f"Deciding is for: {', '.join(deciders)}."
    if requested_by == account.name:
        return f"Nobody decides their own request;{another}"
    if trained_by and trained_by == account.name:
        return f"Whoever trained a version does not decide its release;{another}"
    if state != "pending":
        return f"This request is {state} already."
    return ""
