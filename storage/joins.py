"""What projects are joined to: one JSON value a kind, every earlier one kept."""

from __future__ import annotations

import json
from typing import Any

from sqlite_utils import Database


def insert_join(db: Database, *, project: str, kind: str, value: dict[str, Any] | None, at: str, by: str) -> int:
    """Keep a new value; None says that the project is joined no more."""
    body = None if value is None else json.dumps(value, sort_keys=True, ensure_ascii=False)
    cursor = db.conn.execute("INSERT INTO joins(project, kind, value, at, by) VALUES (?,?,?,?,?)", (project, kind, body, at, by))
    return int(cursor.lastrowid or 0)


def find_join(db: Database, project: str, kind: str) -> dict[str, Any] | None:
    """The newest row of a kind, its value read; None if there never was one."""
    rows = list(db.query("SELECT * FROM joins WHERE project = ? AND kind = ? ORDER BY id DESC LIMIT 1", (project, kind)))
    return _read(rows[0]) if rows else None


def list_joins(db: Database, project: str, kind: str) -> list[dict[str, Any]]:
    """Every row of a kind, newest first."""
    return [_read(r) for r in db.query("SELECT * FROM joins WHERE project = ? AND kind = ? ORDER BY id DESC", (project, kind))]


def _read(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "value": None if row["value"] is None else json.loads(row["value"])}
