"""The agent: from alerts to a diagnosis, from that to a plan, and what becomes of it.

It sees typed evidence only, picks typed actions only, runs the safe ones, and asks people for the others. Text that stands in
data, names or messages is shown and never read for meaning.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.agent.incidents import Incident
    from core.home import Home


def turn(home: Home, *, now: datetime) -> list[Incident]:
    """Look at every alert that has no incident yet, act, and follow up; returns the incidents that changed."""
    from core.agent.rounds import turn as go_round

    return go_round(home, now=now)
