"""Retrainings with their steps."""

from __future__ import annotations

import json
from typing import Any

from sqlite_utils import Database

from storage.rows import insert_row, read_row, read_rows

_JSON = ("params", "steps")


def insert_retraining(db: Database, values: dict[str, Any]) -> int:
    return insert_row(db, "retrainings", values, _JSON)


def find_retraining(db: Database, retraining_id: int) -> dict[str, Any] | None:
    return read_row(db.conn.execute("SELECT * FROM retrainings WHERE id = ?", (retraining_id,)).fetchone(), _JSON)


def find_open(db: Database, project: str) -> dict[str, Any] | None:
    """The one retraining of a project that has not ended."""
    row = db.conn.execute("SELECT * FROM retrainings WHERE project = ? AND state = 'open'", (project,)).fetchone()
    return read_row(row, _JSON)


def list_open(db: Database) -> list[dict[str, Any]]:
    return read_rows(db.conn.execute("SELECT * FROM retrainings WHERE state = 'open' ORDER BY id"), _JSON)


def find_last_done(db: Database, project: str) -> dict[str, Any] | None:
    """The newest retraining that came to its end, whatever came of it."""
    row = db.conn.execute("SELECT * FROM retrainings WHERE project = ? AND state = 'done' ORDER BY id DESC LIMIT 1", (project,)).fetchone()
    return read_row(row, _JSON)


def list_retrainings(db: Database, project: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
    """Newest first."""
    where, values = ("", ()) if project is None else ("WHERE project = ?", (project,))
    return read_rows(db.conn.execute(f"SELECT * FROM retrainings {where} ORDER BY id DESC LIMIT ?", (*values, limit)), _JSON)  # noqa: S608


def list_jobs_of(db: Database, project: str, retraining_id: int) -> list[int]:
    """Ids of the jobs that worked on a retraining, oldest first: a second one goes on where the first was interrupted."""
    rows = db.conn.execute(
        "SELECT id FROM jobs WHERE project = ? AND kind = 'retrain' AND json_extract(params, '$.retraining') = ? ORDER BY id",
        (project, retraining_id),
    )
    return [row["id"] for row in rows]


def update_retraining(db: Database, retraining_id: int, **values: Any) -> None:
    """Change some columns; their names are the caller's own constants."""
    kept = {k: json.dumps(v) if k in _JSON else v for k, v in values.items()}
    columns = ", ".join(f"{name} = ?" for name in kept)
    db.conn.execute(f"UPDATE retrainings SET {columns} WHERE id = ?", (*kept.values(), retraining_id))  # noqa: S608
