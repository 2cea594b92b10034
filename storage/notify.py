"""Channels, and the messages that wait for them or went through them."""

from __future__ import annotations

import json
from typing import Any

from sqlite_utils import Database

from storage.rows import insert_row, read_row, read_rows

_JSON = ("message", "settings")


def find_channel(db: Database, name: str) -> dict[str, Any] | None:
    """What an administrator has set for a channel; None while nobody has."""
    return read_row(db.conn.execute("SELECT * FROM channels WHERE name = ?", (name,)).fetchone(), _JSON)


def list_channels(db: Database) -> dict[str, dict[str, Any]]:
    return {r["name"]: r for r in read_rows(db.conn.execute("SELECT * FROM channels ORDER BY name"), _JSON)}


def set_channel(db: Database, *, name: str, kind: str, settings: dict[str, Any], active: bool, at: str, by: str) -> None:
    db.conn.execute(
        """INSERT INTO channels(name, kind, settings, active, changed_at, changed_by) VALUES (?,?,?,?,?,?)
           ON CONFLICT(name) DO UPDATE SET settings = excluded.settings, active = excluded.active,
           changed_at = excluded.changed_at, changed_by = excluded.changed_by""",
        (name, kind, json.dumps(settings), int(active), at, by),
    )


def insert_delivery(
    db: Database, *, event: str, project: str, channel: str, recipient: str, message: dict[str, Any], at: str, correlation_id: str
) -> int:
    """Queue one message, due at once."""
    return insert_row(
        db, "deliveries",
        {"event": event, "project": project, "channel": channel, "recipient": recipient, "message": message, "state": "queued",
         "next_at": at, "created_at": at, "error": "", "correlation_id": correlation_id},
        _JSON,
    )  # fmt: skip


def find_delivery(db: Database, delivery_id: int) -> dict[str, Any] | None:
    return read_row(db.conn.execute("SELECT * FROM deliveries WHERE id = ?", (delivery_id,)).fetchone(), _JSON)


def list_deliveries(
    db: Database, *, states: tuple[str, ...] = (), channel: str | None = None, project: str | None = None, event: str | None = None,
    correlation_id: str | None = None, limit: int = 100,
) -> list[dict[str, Any]]:
    """Newest first."""
    where, values = ["1=1"], []
    for column, value in (("channel", channel), ("project", project), ("event", event), ("correlation_id", correlation_id)):
        if value is not None:
            where.append(f"{column} = ?")
            values.append(value)
    if states:
        where.append(f"state IN ({', '.join('?' * len(states))})")
        values.extend(states)
    sql = f"SELECT * FROM deliveries WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?"  # noqa: S608 - constant fragments
    return read_rows(db.conn.execute(sql, (*values, limit)), _JSON)


def list_due(db: Database, at: str, *, beyond: str, limit: int) -> list[int]:
    """Ids of the messages whose time has come, oldest first; a sender that died has left its own to be taken again.

    ``beyond`` is later than any message is ever made to wait: what has such a time was written while the clock was ahead.
    """
    rows = db.conn.execute(
        """SELECT id FROM deliveries WHERE state IN ('queued','sending') AND (next_at <= ? OR next_at > ?)
           ORDER BY next_at, id LIMIT ?""",
        (at, beyond, limit),
    )
    return [r["id"] for r in rows]


def update_delivery(db: Database, delivery_id: int, **values: Any) -> None:
    marks = ", ".join(f"{k} = ?" for k in values)
    db.conn.execute(f"UPDATE deliveries SET {marks} WHERE id = ?", (*values.values(), delivery_id))  # noqa: S608 - our own names


def count_sent(db: Database, *, event: str, channel: str, recipient: str, since: str) -> int:
    """Messages of one event that went to one recipient from a moment on."""
    row = db.conn.execute(
        "SELECT count(*) FROM deliveries WHERE event = ? AND channel = ? AND recipient = ? AND created_at >= ? AND state = 'sent'",
        (event, channel, recipient, since),
    ).fetchone()
    return int(row[0])


def count_states(db: Database, since: str) -> dict[str, dict[str, int]]:
    """Channel -> state -> messages that were queued from a moment on."""
    found: dict[str, dict[str, int]] = {}
    rows = db.conn.execute(
        "SELECT channel, state, count(*) AS n FROM deliveries WHERE created_at >= ? GROUP BY channel, state", (since,)
    )
    for row in rows:
        found.setdefault(row["channel"], {})[row["state"]] = row["n"]
    return found


def count_troubles(db: Database, *, failed_since: str, due_before: str) -> tuple[int, int]:
    """Messages queued from a moment on that failed, and those that should have been sent before another and were not."""
    failed = db.conn.execute("SELECT count(*) FROM deliveries WHERE state = 'failed' AND created_at >= ?", (failed_since,)).fetchone()
    late = db.conn.execute("SELECT count(*) FROM deliveries WHERE state IN ('queued','sending') AND next_at < ?", (due_before,)).fetchone()
    return int(failed[0]), int(late[0])


def find_oldest(db: Database) -> str | None:
    """When the oldest message was queued."""
    row = db.conn.execute("SELECT created_at FROM deliveries ORDER BY id LIMIT 1").fetchone()
    return row["created_at"] if row else None


def forget_deliveries(db: Database, *, before: str) -> int:
    """Drop messages that ended and were queued before a moment; how many."""
    cursor = db.conn.execute("DELETE FROM deliveries WHERE created_at < ? AND state IN ('sent','failed','skipped')", (before,))
    return int(cursor.rowcount)
