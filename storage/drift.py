"""Drift checks as they were made."""

from __future__ import annotations

import json
from typing import Any

from sqlite_utils import Database

from storage.rows import insert_row, read_row, read_rows

_JSON = ("reference", "current", "result", "alert", "quality", "evidently")


def insert_check(db: Database, values: dict[str, Any]) -> int:
    return insert_row(db, "drift_checks", values, _JSON)


def set_evidently(db: Database, check_id: int, *, verdict: dict[str, Any] | None, error: str | None, report: str | None) -> None:
    db.conn.execute(
        "UPDATE drift_checks SET evidently = ?, evidently_error = ?, report = ? WHERE id = ?",
        (json.dumps(verdict) if verdict is not None else None, error, report, check_id),
    )


def set_job(db: Database, check_id: int, job_id: int) -> None:
    db.conn.execute("UPDATE drift_checks SET job_id = ? WHERE id = ?", (job_id, check_id))


def find_check(db: Database, check_id: int) -> dict[str, Any] | None:
    return read_row(db.conn.execute("SELECT * FROM drift_checks WHERE id = ?", (check_id,)).fetchone(), _JSON)


def find_latest(
    db: Database, project: str, version_id: int | None = None, kind: str | None = None, by: str | None = None
) -> dict[str, Any] | None:
    """The newest check of a project (against one version; of one kind of current rows: log or file; by one account)."""
    sql, values = "SELECT * FROM drift_checks WHERE project = ?", [project]
    if version_id is not None:
        sql += " AND version_id = ?"
        values.append(version_id)  # type: ignore[arg-type]
    if kind is not None:
        sql += " AND json_extract(current, '$.kind') = ?"
        values.append(kind)
    if by is not None:
        sql += " AND by = ?"
        values.append(by)
    return read_row(db.conn.execute(sql + " ORDER BY id DESC LIMIT 1", values).fetchone(), _JSON)


def list_checks(db: Database, project: str, limit: int = 50) -> list[dict[str, Any]]:
    """Newest first, without the detail of the columns."""
    rows = db.conn.execute(
        """SELECT id, project, version_id, at, by, reference, current, overall, band, alert, report, job_id, evidently_error
           FROM drift_checks WHERE project = ? ORDER BY id DESC LIMIT ?""",
        (project, limit),
    )
    return read_rows(rows, _JSON)


def insert_clock_check(db: Database, *, project: str, at: str, next_at: str, due: bool, answer: dict[str, Any]) -> int:
    cursor = db.conn.execute(
        "INSERT INTO clock_checks(project, at, next_at, due, answer) VALUES (?,?,?,?,?)",
        (project, at, next_at, int(due), json.dumps(answer)),
    )
    return int(cursor.lastrowid or 0)


def find_last_clock_check(db: Database, project: str) -> dict[str, Any] | None:
    row = db.conn.execute("SELECT * FROM clock_checks WHERE project = ? ORDER BY id DESC LIMIT 1", (project,)).fetchone()
    return {**dict(row), "answer": json.loads(row["answer"])} if row else None
