"""A project's own values for gates and thresholds, and the requests to change them."""

from __future__ import annotations

import json
from typing import Any

from sqlite_utils import Database

from storage.rows import insert_row, read_row, read_rows

_JSON = ("changes",)


def list_settings(db: Database, project: str) -> dict[str, dict[str, Any]]:
    """Name -> value, at, by, request_id of every approved change that is in force."""
    rows = db.conn.execute("SELECT name, value, at, by, request_id FROM project_settings WHERE project = ? ORDER BY name", (project,))
    return {r["name"]: {**dict(r), "value": json.loads(r["value"])} for r in rows}


def set_setting(db: Database, *, project: str, name: str, value: Any, at: str, by: str, request_id: int) -> None:
    db.conn.execute(
        """INSERT INTO project_settings(project, name, value, at, by, request_id) VALUES (?,?,?,?,?,?)
           ON CONFLICT(project, name) DO UPDATE SET
           value = excluded.value, at = excluded.at, by = excluded.by, request_id = excluded.request_id""",
        (project, name, json.dumps(value), at, by, request_id),
    )


def insert_request(db: Database, values: dict[str, Any]) -> int:
    return insert_row(db, "setting_requests", values, _JSON)


def find_request(db: Database, request_id: int) -> dict[str, Any] | None:
    return read_row(db.conn.execute("SELECT * FROM setting_requests WHERE id = ?", (request_id,)).fetchone(), _JSON)


def list_requests(db: Database, *, project: str | None = None, states: tuple[str, ...] = (), limit: int = 500) -> list[dict[str, Any]]:
    """Newest first."""
    where: list[str] = ["1=1"]
    values: list[Any] = []
    if project is not None:
        where.append("project = ?")
        values.append(project)
    if states:
        where.append(f"state IN ({', '.join('?' * len(states))})")
        values.extend(states)
    sql = f"SELECT * FROM setting_requests WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?"  # noqa: S608 - constant fragments
    return read_rows(db.conn.execute(sql, (*values, limit)), _JSON)


def update_request(db: Database, request_id: int, **values: Any) -> None:
    marks = ", ".join(f"{k} = ?" for k in values)
    db.conn.execute(f"UPDATE setting_requests SET {marks} WHERE id = ?", (*values.values(), request_id))  # noqa: S608 - our own names
