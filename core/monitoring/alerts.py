"""Alerts: one open per project, kind and subject, from the first sight until somebody or a later check resolves it.

Checks raise and settle them without a person, so those changes are written as the monitor's; acknowledging and resolving are
acts of people. The audit holds the raise, a turn for the worse, and the end; not every repetition.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlite_utils import Database

from core import acts
from core.acts import Actor, Done, Tx
from core.errors import BadInput, NotFound, Refused
from core.home import Home
from core.notify import events
from core.projects.projects import get_project
from core.times import stamp
from storage import alerts as store
from storage.connection import reading

SEVERITIES = ("warning", "critical")
OPEN = ("active", "acknowledged")
DRIFT_KINDS = frozenset({"drift", "prediction_drift"})  # told from the warning on


@dataclass(frozen=True)
class Alert:
    """One alert.

    Attributes
    ----------
    kind, subject : str
        What is watched ("latency", "drift", "missing_values") and of what ("" for the whole project, else a column).
    severity : "warning" or "critical"
        The worst that was seen while it was open.
    state : "active", "acknowledged" or "resolved"
    value, threshold : float or None
        As last measured, in ``unit``; None where the alert is about an event.
    detail : dict
        What a person needs to look into it (rows, window, columns); plain data.
    since, last_seen_at : str
        First and latest sight; ``times`` counts the sights.
    """

    id: int
    project: str
    kind: str
    subject: str
    severity: str
    state: str
    value: float | None
    threshold: float | None
    unit: str
    sentence: str
    detail: dict[str, Any]
    version: str | None
    since: str
    last_seen_at: str
    times: int
    acknowledged_at: str | None
    acknowledged_by: str | None
    resolved_at: str | None
    resolved_by: str | None
    correlation_id: str

    @property
    def open(self) -> bool:
        return self.state in OPEN

    @property
    def title(self) -> str:
        """What it is about, in words: "Missing values, ca"."""
        kind = self.kind.replace("_", " ").capitalize()
        return f"{kind}, {self.subject}" if self.subject else kind


def get_alert(home: Home, alert_id: int) -> Alert:
    row = store.find_alert(reading(home.db), alert_id)
    if row is None:
        raise NotFound(f"There is no alert {alert_id}.")
    return Alert(**row)


def list_alerts(
    home: Home, project: str | None = None, *, states: tuple[str, ...] = (), kind: str | None = None, since: datetime | None = None,
    limit: int = 200,
) -> list[Alert]:
    """Newest first; of all projects if none is named. ``since``: only those that were seen at that moment or later."""
    rows = store.list_alerts(
        reading(home.db), project=project, states=states, kind=kind, since=stamp(since) if since else "", limit=limit
    )
    return [Alert(**r) for r in rows]


def list_open(home: Home, project: str | None = None) -> list[Alert]:
    """Open alerts: the critical first, then those that nobody acknowledged, then the newest."""
    found = list_alerts(home, project, states=OPEN)
    return sorted(found, key=lambda a: (a.severity != "critical", a.state != "active", -a.id))


def raise_alert(
    home: Home, project: str, kind: str, subject: str = "", *, severity: str, sentence: str, now: datetime,
    value: float | None = None, threshold: float | None = None, unit: str = "", detail: dict[str, Any] | None = None,
    version: str | None = None, by: str = "monitor", correlation_id: str | None = None,
) -> Alert:
    """Open an alert, or join the one that is open: value, sentence and last sight are renewed, the worse severity stays.

    One that was acknowledged as a warning becomes active again when it turns critical: nobody has seen that yet.

    Raises
    ------
    NotFound
        There is no such project.
    BadInput
        An unknown severity.
    """
    get_project(home, project)
    with acts.unattended(home, now) as (db, note):
        alert_id = raise_in(
            db, note, project, kind, subject, severity=severity, sentence=sentence, now=now, value=value, threshold=threshold, unit=unit,
            detail=detail, version=version, by=by, correlation_id=correlation_id,
        )  # fmt: skip
    return get_alert(home, alert_id)


def raise_in(
    db: Database, note: Callable[..., None], project: str, kind: str, subject: str, *, severity: str, sentence: str, now: datetime,
    value: float | None = None, threshold: float | None = None, unit: str = "", detail: dict[str, Any] | None = None,
    version: str | None = None, by: str = "monitor", correlation_id: str | None = None,
) -> int:  # fmt: skip
    """The same inside the caller's transaction (``acts.unattended``), for several at once; returns the alert's id."""
    if severity not in SEVERITIES:
        raise BadInput(f"Severity {severity!r} is unknown; it is warning or critical.")
    at = stamp(now)
    seen = {
        "value": _finite(value), "threshold": _finite(threshold), "unit": unit, "sentence": sentence[:1000], "detail": detail or {},
        "version": version, "last_seen_at": at,
    }
    row = store.find_open(db, project, kind, subject)
    if row is None:
        correlation_id = correlation_id or secrets.token_hex(8)
        alert_id = store.insert_alert(
            db,
            {"project": project, "kind": kind, "subject": subject, "severity": severity, "state": "active", "since": at,
             "times": 1, "correlation_id": correlation_id, **seen},
        )
    else:
        alert_id, correlation_id = row["id"], row["correlation_id"]
        worse = SEVERITIES.index(severity) > SEVERITIES.index(row["severity"])
        turned = {"severity": severity, "state": "active"} if worse else {}
        store.update_alert(db, alert_id, **seen, **turned, times=row["times"] + 1)
    if row is None or worse:
        before = {"severity": row["severity"], "state": row["state"]} if row else None
        note(
            actor=by, via="clock" if by == "monitor" else "api", trigger="alert", action="raise_alert", project=project,
            subject=f"alert {alert_id}: {_name(kind, subject)}", reason=seen["sentence"], before=before,
            after={"severity": severity, "value": seen["value"], "threshold": seen["threshold"]}, correlation_id=correlation_id,
        )
        if severity == "critical" or kind in DRIFT_KINDS:
            events.tell(
                db, "drift_found" if kind in DRIFT_KINDS else "alert_opened", project=project,
                subject=f"alert {alert_id}: {_name(kind, subject)}",
                facts={"What": seen["sentence"], "Severity": severity, "Measured": _measured(_finite(value), unit),
                       "Limit": _measured(_finite(threshold), unit), "Version": version},
                link=f"/monitoring?alert={alert_id}", correlation_id=correlation_id, now=now,
            )
    return int(alert_id)


def settle(home: Home, project: str, kind: str, subject: str = "", *, now: datetime, reason: str = "") -> Alert | None:
    """Resolve the open alert of this kind and subject because it was measured to be well again; None if there was none."""
    if store.find_open(reading(home.db), project, kind, subject) is None:
        return None
    with acts.unattended(home, now) as (db, note):
        alert_id = settle_in(db, note, project, kind, subject, now=now, reason=reason)
    return None if alert_id is None else get_alert(home, alert_id)


def settle_in(
    db: Database, note: Callable[..., None], project: str, kind: str, subject: str, *, now: datetime, reason: str = ""
) -> int | None:
    """The same inside the caller's transaction; the alert's id, or None if there was none."""
    row = store.find_open(db, project, kind, subject)
    if row is None:
        return None  # another process was first
    store.update_alert(db, row["id"], state="resolved", resolved_at=stamp(now), resolved_by="monitor")
    note(
        actor="monitor", via="clock", trigger="alert", action="resolve_alert", project=project,
        subject=f"alert {row['id']}: {_name(kind, subject)}", reason=reason or "a later check found it well again",
        before={"state": row["state"]}, after={"state": "resolved"}, correlation_id=row["correlation_id"],
    )
    return int(row["id"])


def acknowledge(
    home: Home, actor: Actor, alert_id: int, *, reason: str = "", key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Say that somebody has seen it and looks after it; it stays open."""
    return _change(home, actor, alert_id, "acknowledged", reason, key, now)


def resolve(
    home: Home, actor: Actor, alert_id: int, *, reason: str, key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """End an alert with a reason; if what it was about goes on, the next check opens another."""
    if not reason.strip():
        raise BadInput("A reason is needed: write in a sentence why the alert is over.")
    return _change(home, actor, alert_id, "resolved", reason.strip(), key, now)


def _change(
    home: Home, actor: Actor, alert_id: int, state: str, reason: str, key: str | None, now: datetime | None
) -> dict[str, Any]:
    if len(reason) > 2_000:
        raise BadInput("A reason has at most 2,000 characters.")
    known = get_alert(home, alert_id)

    def work(tx: Tx) -> Done:
        row = store.find_alert(tx.db, alert_id)
        if row is None or row["state"] == "resolved":
            by = f" by {row['resolved_by']}" if row else ""
            raise Refused(f"Alert {alert_id} is resolved{by} already; there is nothing left to do.")
        if row["state"] == state:
            raise Refused(f"Alert {alert_id} was acknowledged by {row['acknowledged_by']} already.")
        store.update_alert(tx.db, alert_id, state=state, **{f"{state}_at": tx.at, f"{state}_by": actor.name})
        return Done({"id": alert_id, "state": state, "before": row["state"]}, {"state": row["state"]}, {"state": state})

    return acts.perform(
        home, actor, "acknowledge_alert" if state == "acknowledged" else "resolve_alert", work, permission="acknowledge_alert",
        project=known.project, subject=f"alert {alert_id}: {_name(known.kind, known.subject)}", reason=reason, key=key,
        correlation_id=known.correlation_id, now=now,
    )


def _name(kind: str, subject: str) -> str:
    return f"{kind.replace('_', ' ')} {subject}".strip()


def _measured(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{value:.4g} {unit}".strip()


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
