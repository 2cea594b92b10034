"""Schedules and their slots. A slot's key is what makes it run once, however many processes look at it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlite_utils import Database

from storage.rows import insert_row, read_row, read_rows

_JSON = ("rule", "params")
_SLOT_JSON = ("outcome",)


def insert_schedule(db: Database, values: dict[str, Any]) -> int:
    return insert_row(db, "schedules", values, _JSON)


def update_schedule(db: Database, schedule_id: int, **values: Any) -> None:
    kept = {k: json.dumps(v) if k in _JSON else v for k, v in values.items()}
    marks = ", ".join(f"{k} = ?" for k in kept)
    db.conn.execute(f"UPDATE schedules SET {marks} WHERE id = ?", (*kept.values(), schedule_id))  # noqa: S608 - our own column names


def find_schedule(db: Database, schedule_id: int) -> dict[str, Any] | None:
    return read_row(db.conn.execute("SELECT * FROM schedules WHERE id = ?", (schedule_id,)).fetchone(), _JSON)


def find_by_kind(db: Database, project: str, kind: str) -> dict[str, Any] | None:
    """The schedule of this kind that was not removed; there is at most one."""
    row = db.conn.execute("SELECT * FROM schedules WHERE project = ? AND kind = ? AND removed_at IS NULL", (project, kind)).fetchone()
    return read_row(row, _JSON)


def list_schedules(db: Database, project: str | None = None) -> list[dict[str, Any]]:
    """Those that were not removed, in the order they were made."""
    where, values = ("AND project = ?", (project,)) if project is not None else ("", ())
    return read_rows(db.conn.execute(f"SELECT * FROM schedules WHERE removed_at IS NULL {where} ORDER BY id", values), _JSON)  # noqa: S608


def list_due(db: Database, at: str) -> list[dict[str, Any]]:
    """Those that are neither paused nor removed, of projects that are not archived, whose next slot has come."""
    rows = db.conn.execute(
        """SELECT * FROM schedules WHERE removed_at IS NULL AND paused = 0 AND next_at <= ?
           AND project NOT IN (SELECT name FROM projects WHERE archived_at IS NOT NULL) ORDER BY next_at, id""",
        (at,),
    )
    return read_rows(rows, _JSON)


def list_ahead(db: Database, at: str) -> list[dict[str, Any]]:
    """Those with a slot, missed or not, that lies later than a moment: the clock was ahead when it was written."""
    rows = db.conn.execute(
        """SELECT * FROM schedules WHERE removed_at IS NULL AND paused = 0
           AND EXISTS (SELECT 1 FROM slots WHERE schedule_id = schedules.id AND slot_at > ? AND state = 'missed') ORDER BY id""",
        (at,),
    )
    return read_rows(rows, _JSON)


def insert_slot(db: Database, values: dict[str, Any]) -> bool:
    """Write a slot; False if it is there already."""
    kept = {**values, "outcome": json.dumps(values["outcome"], ensure_ascii=False)}
    columns, marks = ", ".join(kept), ", ".join("?" * len(kept))
    cursor = db.conn.execute(f"INSERT OR IGNORE INTO slots({columns}) VALUES ({marks})", tuple(kept.values()))  # noqa: S608
    return cursor.rowcount == 1


def insert_missed(db: Database, schedule_id: int, slots: Iterable[tuple[str, dict[str, Any]]], *, at: str, correlation_id: str) -> int:
    """Write slots that nobody ran (time and outcome of each); returns how many were not there yet."""
    before = db.conn.total_changes
    db.conn.executemany(
        """INSERT OR IGNORE INTO slots(schedule_id, slot_at, state, trigger, owner, started_at, finished_at, outcome, correlation_id)
           VALUES (?, ?, 'missed', 'schedule', '', ?, ?, ?, ?)""",
        [(schedule_id, slot_at, at, at, json.dumps(outcome, ensure_ascii=False), correlation_id) for slot_at, outcome in slots],
    )
    return db.conn.total_changes - before


def delete_missed_after(db: Database, schedule_id: int, slot_at: str) -> int:
    """Forget slots that were called missed though their time has not come."""
    cursor = db.conn.execute("DELETE FROM slots WHERE schedule_id = ? AND slot_at > ? AND state = 'missed'", (schedule_id, slot_at))
    return cursor.rowcount


def has_slot(db: Database, schedule_id: int, slot_at: str) -> bool:
    return db.conn.execute("SELECT 1 FROM slots WHERE schedule_id = ? AND slot_at = ?", (schedule_id, slot_at)).fetchone() is not None


def find_slot(db: Database, schedule_id: int, slot_at: str) -> dict[str, Any] | None:
    row = db.conn.execute("SELECT * FROM slots WHERE schedule_id = ? AND slot_at = ?", (schedule_id, slot_at)).fetchone()
    return read_row(row, _SLOT_JSON)


def list_running(db: Database, schedule_id: int | None = None) -> list[dict[str, Any]]:
    where, values = ("AND schedule_id = ?", (schedule_id,)) if schedule_id is not None else ("", ())
    rows = db.conn.execute(f"SELECT * FROM slots WHERE state = 'running' {where} ORDER BY slot_at", values)  # noqa: S608
    return read_rows(rows, _SLOT_JSON)


def list_slots(db: Database, schedule_id: int, *, limit: int = 50, states: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Newest first."""
    where = f"AND state IN ({', '.join('?' * len(states))})" if states else ""
    rows = db.conn.execute(
        f"SELECT * FROM slots WHERE schedule_id = ? {where} ORDER BY slot_at DESC LIMIT ?",  # noqa: S608 - constant fragments
        (schedule_id, *states, limit),
    )
    return read_rows(rows, _SLOT_JSON)


def count_slots(db: Database, schedule_id: int) -> dict[str, int]:
    """Slots by state."""
    rows = db.conn.execute("SELECT state, count(*) AS n FROM slots WHERE schedule_id = ? GROUP BY state", (schedule_id,))
    return {r["state"]: r["n"] for r in rows}


def beat(db: Database, schedule_id: int, slot_at: str, owner: str, at: str) -> None:
    db.conn.execute(
        "UPDATE slots SET heartbeat_at = ? WHERE schedule_id = ? AND slot_at = ? AND owner = ? AND state = 'running'",
        (at, schedule_id, slot_at, owner),
    )


def finish_slot(db: Database, schedule_id: int, slot_at: str, *, owner: str, state: str, at: str, outcome: dict[str, Any]) -> bool:
    """End a running slot of this owner; False if it has ended otherwise meanwhile."""
    cursor = db.conn.execute(
        "UPDATE slots SET state = ?, finished_at = ?, outcome = ? WHERE schedule_id = ? AND slot_at = ? AND owner = ? AND state = 'running'",
        (state, at, json.dumps(outcome, ensure_ascii=False), schedule_id, slot_at, owner),
    )
    return cursor.rowcount == 1


def forget_slots(db: Database, schedule_id: int, *, keep: int) -> int:
    """Delete ended slots beyond the newest ``keep``; returns how many."""
    cursor = db.conn.execute(
        """DELETE FROM slots WHERE schedule_id = ? AND state <> 'running' AND slot_at <=
           (SELECT slot_at FROM slots WHERE schedule_id = ? ORDER BY slot_at DESC LIMIT 1 OFFSET ?)""",
        (schedule_id, schedule_id, keep),
    )
    return cursor.rowcount
