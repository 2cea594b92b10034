"""Incidents: what went wrong, why, how badly, and everything that was done about it, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.errors import NotFound
from core.home import Home
from core.monitoring.alerts import Alert
from core.times import stamp
from storage import agent as store
from storage.connection import reading

STATES = ("open", "waiting", "watching", "closed", "escalated")


@dataclass(frozen=True)
class Event:
    """One line of an incident's timeline.

    Attributes
    ----------
    kind : str
        alert, diagnosis, decision, action, request, effect, end.
    action, status : str
        For actions and requests: the typed action, and done, skipped, failed, advised, dry run, waiting, approved, rejected, expired.
    approver : str
        Who allowed it; "" for what needs nobody.
    detail : dict
        before and after, ids, reasons: plain data.
    """

    id: int
    incident_id: int
    at: str
    kind: str
    action: str
    status: str
    approver: str
    sentence: str
    detail: dict[str, Any]
    project: str = ""


@dataclass(frozen=True)
class Incident:
    """One thing that went wrong.

    Attributes
    ----------
    kind : str
        The issue: data_drift, prediction_drift, performance, data_quality, low_confidence or system_error.
    cause : str
        What its alerts have in common; alerts of the same cause join it while it is not closed.
    severity : float
        0..1, the worst so far.
    state : str
        open (being dealt with), waiting (a request waits for a person), watching (done, effect awaited), escalated (a person must
        look), closed.
    diagnosis : dict
        core.agent.diagnosis.Diagnosis as plain data.
    outcome : str
        How it ended, in a sentence; "" before.
    """

    id: int
    project: str
    kind: str
    cause: str
    severity: float
    state: str
    diagnosis: dict[str, Any]
    opened_at: str
    last_seen_at: str
    closed_at: str | None
    outcome: str
    correlation_id: str

    @property
    def title(self) -> str:
        """The issue in words: "Data drift"."""
        return self.kind.replace("_", " ").capitalize()


def get_incident(home: Home, incident_id: int) -> Incident:
    """One incident.

    Raises
    ------
    NotFound
        There is none of that number.
    """
    row = store.find_incident(reading(home.db), incident_id)
    if row is None:
        raise NotFound(f"There is no incident {incident_id}.")
    return Incident(**row)


def list_incidents(home: Home, project: str | None = None, *, states: tuple[str, ...] = (), limit: int = 200) -> list[Incident]:
    """Newest first; of all projects if none is named."""
    return [Incident(**r) for r in store.list_incidents(reading(home.db), project=project, states=states, limit=limit)]


def list_unclosed(home: Home, project: str | None = None) -> list[Incident]:
    """Every incident that is not over, newest first."""
    return [Incident(**r) for r in store.list_incidents(reading(home.db), project=project, unclosed=True, limit=1_000)]


def list_events(home: Home, incident_id: int) -> list[Event]:
    """The timeline of one incident, oldest first."""
    return [Event(**r) for r in store.list_events(reading(home.db), incident_id)]


def list_alerts(home: Home, incident_id: int) -> list[Alert]:
    """The alerts that belong to an incident, oldest first."""
    return [Alert(**r) for r in store.list_alerts(reading(home.db), incident_id)]


def count_alerts(home: Home, incident_id: int) -> int:
    """How many alerts belong to an incident."""
    return store.count_alerts(reading(home.db), incident_id)[0]


def list_incidents_of(home: Home, found: Sequence[Alert]) -> dict[int, int]:
    """Alert -> the incident that it belongs to; an alert that the agent has not looked at yet is left out."""
    return store.list_incidents_of(reading(home.db), [a.id for a in found])


def list_activity(
    home: Home, *, project: str | None = None, action: str | None = None, status: str | None = None, since: datetime | None = None,
    limit: int = 200,
) -> list[Event]:
    """What was done, asked for or advised in every incident, newest first."""
    rows = store.list_activity(
        reading(home.db), project=project, action=action, status=status, since=stamp(since) if since else "", limit=limit
    )
    return [Event(**r) for r in rows]
