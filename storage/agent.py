"""Incidents with their alerts and events, and what the agent asked for."""

from __future__ import annotations

import json
from typing import Any

from sqlite_utils import Database

from storage.rows import insert_row, read_row, read_rows

_INCIDENT = ("diagnosis",)
_EVENT = ("detail",)
_REQUEST = ("params", "evidence")
_ALERT = ("detail",)

# Incidents


def insert_incident(db: Database, values: dict[str, Any]) -> int:
    return insert_row(db, "incidents", values, _INCIDENT)


def find_incident(db: Database, incident_id: int) -> dict[str, Any] | None:
    return read_row(db.conn.execute("SELECT * FROM incidents WHERE id = ?", (incident_id,)).fetchone(), _INCIDENT)


def find_open(db: Database, project: str, cause: str) -> dict[str, Any] | None:
    """The incident of this cause that is not over; there is at most one."""
    row = db.conn.execute("SELECT * FROM incidents WHERE project = ? AND cause = ? AND closed_at IS NULL", (project, cause)).fetchone()
    return read_row(row, _INCIDENT)


def list_incidents(
    db: Database, *, project: str | None = None, states: tuple[str, ...] = (), unclosed: bool = False, limit: int = 200
) -> list[dict[str, Any]]:
    """Newest first."""
    where, values = ["1=1"], []
    if project is not None:
        where.append("project = ?")
        values.append(project)
    if states:
        where.append(f"state IN ({', '.join('?' * len(states))})")
        values.extend(states)
    if unclosed:
        where.append("closed_at IS NULL")
    sql = f"SELECT * FROM incidents WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?"  # noqa: S608 - constant fragments
    return read_rows(db.conn.execute(sql, (*values, limit)), _INCIDENT)


def update_incident(db: Database, incident_id: int, **values: Any) -> None:
    kept = {k: json.dumps(v) if k in _INCIDENT else v for k, v in values.items()}
    marks = ", ".join(f"{k} = ?" for k in kept)
    db.conn.execute(f"UPDATE incidents SET {marks} WHERE id = ?", (*kept.values(), incident_id))  # noqa: S608 - our own names


# Alerts of incidents


def list_new_alerts(db: Database, limit: int = 1_000) -> list[dict[str, Any]]:
    """Open alerts that belong to no incident yet, oldest first; those of archived projects wait, and keep no others waiting."""
    rows = db.conn.execute(
        """SELECT a.* FROM alerts a LEFT JOIN incident_alerts i ON i.alert_id = a.id
           WHERE a.state <> 'resolved' AND i.alert_id IS NULL
           AND a.project NOT IN (SELECT name FROM projects WHERE archived_at IS NOT NULL) ORDER BY a.id LIMIT ?""",
        (limit,),
    )
    return read_rows(rows, _ALERT)


def list_alerts(db: Database, incident_id: int, *, limit: int = 10_000) -> list[dict[str, Any]]:
    """Oldest first; the newest ``limit`` of them."""
    rows = db.conn.execute(
        """SELECT a.* FROM alerts a JOIN incident_alerts i ON i.alert_id = a.id WHERE i.incident_id = ?
           ORDER BY a.state = 'resolved', a.id DESC LIMIT ?""",
        (incident_id, limit),
    )
    return sorted(read_rows(rows, _ALERT), key=lambda a: a["id"])


def list_incidents_of(db: Database, alert_ids: list[int]) -> dict[int, int]:
    """Alert -> the incident that it belongs to, of those that belong to one."""
    rows = db.conn.execute(
        "SELECT alert_id, incident_id FROM incident_alerts WHERE alert_id IN (SELECT value FROM json_each(?))", (json.dumps(alert_ids),)
    )
    return {r["alert_id"]: r["incident_id"] for r in rows}


def count_alerts(db: Database, incident_id: int) -> tuple[int, str]:
    """How many alerts belong to an incident, and when the last of them was resolved ("" if none was)."""
    row = db.conn.execute(
        """SELECT count(*) AS n, max(a.resolved_at) AS last FROM alerts a JOIN incident_alerts i ON i.alert_id = a.id
           WHERE i.incident_id = ?""",
        (incident_id,),
    ).fetchone()
    return int(row["n"]), str(row["last"] or "")


def list_accepted_alerts(db: Database) -> list[dict[str, Any]]:
    """Open alerts whose incident was closed all the same, oldest first; with ``incident_id``."""
    rows = db.conn.execute(
        """SELECT a.*, i.incident_id FROM alerts a JOIN incident_alerts i ON i.alert_id = a.id JOIN incidents n ON n.id = i.incident_id
           WHERE a.state <> 'resolved' AND n.closed_at IS NOT NULL ORDER BY a.id"""
    )
    return read_rows(rows, _ALERT)


def link_alert(db: Database, alert_id: int, incident_id: int) -> bool:
    """Whether the alert belonged to no open incident before; a second process finds it taken."""
    cursor = db.conn.execute(
        """INSERT INTO incident_alerts(alert_id, incident_id) VALUES (?,?)
           ON CONFLICT(alert_id) DO UPDATE SET incident_id = excluded.incident_id
           WHERE incident_id IN (SELECT id FROM incidents WHERE closed_at IS NOT NULL)""",
        (alert_id, incident_id),
    )
    return cursor.rowcount == 1


# Events


def insert_event(
    db: Database, *, incident_id: int, at: str, kind: str, action: str, status: str, sentence: str, approver: str = "", detail: Any = None
) -> int:
    values = {
        "incident_id": incident_id, "at": at, "kind": kind, "action": action, "status": status, "approver": approver,
        "sentence": sentence, "detail": detail if detail is not None else {},
    }  # fmt: skip
    return insert_row(db, "incident_events", values, _EVENT)


def list_events(db: Database, incident_id: int) -> list[dict[str, Any]]:
    """Oldest first."""
    return read_rows(db.conn.execute("SELECT * FROM incident_events WHERE incident_id = ? ORDER BY id", (incident_id,)), _EVENT)


def list_activity(
    db: Database, *, project: str | None = None, action: str | None = None, status: str | None = None, since: str = "", limit: int = 200
) -> list[dict[str, Any]]:
    """Actions of every incident, newest first, with the project of each."""
    where, values = ["e.action <> ''", "e.at >= ?"], [since]
    for column, value in (("i.project", project), ("e.action", action), ("e.status", status)):
        if value is not None:
            where.append(f"{column} = ?")
            values.append(value)
    sql = f"""SELECT e.*, i.project FROM incident_events e JOIN incidents i ON i.id = e.incident_id
              WHERE {' AND '.join(where)} ORDER BY e.id DESC LIMIT ?"""  # noqa: S608 - constant fragments
    return read_rows(db.conn.execute(sql, (*values, limit)), _EVENT)


def count_actions(db: Database, *, since: str) -> int:
    """Actions that the agent carried out from a moment on."""
    sql = "SELECT count(*) FROM incident_events WHERE kind = 'action' AND status IN ('done','failed') AND at >= ?"
    return int(db.conn.execute(sql, (since,)).fetchone()[0])


# Requests


def insert_request(db: Database, values: dict[str, Any]) -> int:
    return insert_row(db, "agent_requests", values, _REQUEST)


def find_request(db: Database, request_id: int) -> dict[str, Any] | None:
    return read_row(db.conn.execute("SELECT * FROM agent_requests WHERE id = ?", (request_id,)).fetchone(), _REQUEST)


def find_open_request(db: Database, incident_id: int, action: str) -> dict[str, Any] | None:
    row = db.conn.execute(
        "SELECT * FROM agent_requests WHERE incident_id = ? AND action = ? AND state IN ('pending','approved')", (incident_id, action)
    ).fetchone()
    return read_row(row, _REQUEST)


def list_requests(
    db: Database, *, project: str | None = None, states: tuple[str, ...] = (), incident_id: int | None = None, limit: int = 500
) -> list[dict[str, Any]]:
    """Newest first."""
    where, values = ["1=1"], []
    for column, value in (("project", project), ("incident_id", incident_id)):
        if value is not None:
            where.append(f"{column} = ?")
            values.append(value)
    if states:
        where.append(f"state IN ({', '.join('?' * len(states))})")
        values.extend(states)
    sql = f"SELECT * FROM agent_requests WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?"  # noqa: S608 - constant fragments
    return read_rows(db.conn.execute(sql, (*values, limit)), _REQUEST)


def list_unsaid(db: Database, *, before: str) -> list[int]:
    """Requests whose approval was used before a moment, without a word of what came of it: a process died in between."""
    rows = db.conn.execute("SELECT id FROM agent_requests WHERE state = 'used' AND outcome = '' AND used_at <= ?", (before,))
    return [int(r["id"]) for r in rows]


def update_request(db: Database, request_id: int, **values: Any) -> None:
    marks = ", ".join(f"{k} = ?" for k in values)
    db.conn.execute(f"UPDATE agent_requests SET {marks} WHERE id = ?", (*values.values(), request_id))  # noqa: S608 - our own names


def use_request(db: Database, request_id: int, at: str) -> bool:
    """Take an approval that was not used yet; only one taker gets it."""
    cursor = db.conn.execute("UPDATE agent_requests SET state = 'used', used_at = ? WHERE id = ? AND state = 'approved'", (at, request_id))
    return cursor.rowcount == 1
