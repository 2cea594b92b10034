"""Training runs and every candidate of each."""

from __future__ import annotations

import json
from typing import Any

from sqlite_utils import Database

_JSON = ("settings", "choice", "environment", "params", "summary", "detail")


def insert_run(db: Database, values: dict[str, Any]) -> int:
    return _insert(db, "runs", values)


def insert_candidate(db: Database, values: dict[str, Any]) -> int:
    return _insert(db, "candidates", values)


def find_run(db: Database, run_id: int) -> dict[str, Any] | None:
    return _row(db.conn.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone())


def find_run_of_job(db: Database, job_id: int) -> dict[str, Any] | None:
    return _row(db.conn.execute("SELECT * FROM runs WHERE job_id = ?", (job_id,)).fetchone())


def list_runs(db: Database, project: str, limit: int = 50) -> list[dict[str, Any]]:
    """Newest first."""
    rows = db.conn.execute("SELECT * FROM runs WHERE project = ? ORDER BY id DESC LIMIT ?", (project, limit))
    return [r for row in rows if (r := _row(row)) is not None]


def list_candidates(db: Database, run_id: int, *, detail: bool = False) -> list[dict[str, Any]]:
    """In the order they were tried; ``detail`` (curves, kept predictions) is large and left out unless asked for."""
    columns = "*" if detail else "id, run_id, name, params, summary, artifact, sha256, hmac, error"
    rows = db.conn.execute(f"SELECT {columns} FROM candidates WHERE run_id = ? ORDER BY id", (run_id,))  # noqa: S608
    return [r for row in rows if (r := _row(row)) is not None]


def find_candidate(db: Database, candidate_id: int) -> dict[str, Any] | None:
    return _row(db.conn.execute("SELECT * FROM candidates WHERE id = ?", (candidate_id,)).fetchone())


def _insert(db: Database, table: str, values: dict[str, Any]) -> int:
    values = {k: json.dumps(v) if k in _JSON and v is not None else v for k, v in values.items()}
    columns, marks = ", ".join(values), ", ".join("?" * len(values))
    cursor = db.conn.execute(f"INSERT INTO {table}({columns}) VALUES ({marks})", tuple(values.values()))  # noqa: S608
    return int(cursor.lastrowid or 0)


def _row(row: Any) -> dict[str, Any] | None:
    if row is None:
        return None
    return {k: json.loads(row[k]) if k in _JSON and row[k] is not None else row[k] for k in row.keys()}  # noqa: SIM118
