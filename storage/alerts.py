"""Alerts, and what the watching last found."""

from __future__ import annotations

import json
from typing import Any

from sqlite_utils import Database

from storage.rows import insert_row, read_row, read_rows

_JSON = ("detail",)


def insert_alert(db: Database, values: dict[str, Any]) -> int:
    return insert_row(db, "alerts", values, _JSON)


def find_alert(db: Database, alert_id: int) -> dict[str, Any] | None:
    return read_row(db.conn.execute("SELECT * FROM alerts WHERE id = ?", (alert_id,)).fetchone(), _JSON)


def find_open(db: Database, project: str, kind: str, subject: str) -> dict[str, Any] | None:
    """The alert of this kind about this subject that is not resolved; there is at most one."""
    row = db.conn.execute(
        "SELECT * FROM alerts WHERE project = ? AND kind = ? AND subject = ? AND state <> 'resolved'", (project, kind, subject)
    ).fetchone()
    return read_row(row, _JSON)


def list_alerts(
    db: Database, *, project: str | None = None, states: tuple[str, ...] = (), kind: str | None = None, since: str = "",
    limit: int = 200,
) -> list[dict[str, Any]]:
    """Newest first; ``since`` is the earliest moment at which one was last seen."""
    where, values = ["last_seen_at >= ?"], [since]
    for column, value in (("project", project), ("kind", kind)):
        if value is not None:
            where.append(f"{column} = ?")
            values.append(value)
    if states:
        where.append(f"state IN ({', '.join('?' * len(states))})")
        values.extend(states)
    sql = f"SELECT * FROM alerts WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?"  # noqa: S608 - constant fragments
    return read_rows(db.conn.execute(sql, (*values, limit)), _JSON)


def update_alert(db: Database, alert_id: int, **values: Any) -> None:
    kept = {k: json.dumps(v) if k in _JSON else v for k, v in values.items()}
    marks = ", ".join(f"{k} = ?" for k in kept)
    db.conn.execute(f"UPDATE alerts SET {marks} WHERE id = ?", (*kept.values(), alert_id))  # noqa: S608 - our own column names


# What the watching found, one row a turn


def insert_watch(db: Database, *, project: str, kind: str, at: str, next_at: str, answer: Any) -> int:
    cursor = db.conn.execute(
        "INSERT INTO monitor_checks(project, kind, at, next_at, answer) VALUES (?,?,?,?,?)",
        (project, kind, at, next_at, json.dumps(answer, ensure_ascii=False)),
    )
    return int(cursor.lastrowid or 0)


def find_last_watch(db: Database, project: str, kind: str) -> dict[str, Any] | None:
    row = db.conn.execute(
        "SELECT * FROM monitor_checks WHERE project = ? AND kind = ? ORDER BY id DESC LIMIT 1", (project, kind)
    ).fetchone()
    return {**dict(row), "answer": json.loads(row["answer"])} if row else None


def forget_watches(db: Database, project: str, kind: str, *, before: str) -> int:
    """Drop answers from before a moment; how many."""
    cursor = db.conn.execute("DELETE FROM monitor_checks WHERE project = ? AND kind = ? AND at < ?", (project, kind, before))
    return int(cursor.rowcount)
