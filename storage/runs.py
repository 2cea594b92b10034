"""Training runs and every candidate of each."""

from __future__ import annotations

from typing import Any

from sqlite_utils import Database

from storage.rows import insert_row, read_row, read_rows

_JSON = ("settings", "choice", "environment", "params", "summary", "detail")


def insert_run(db: Database, values: dict[str, Any]) -> int:
    return insert_row(db, "runs", values, _JSON)


def insert_candidate(db: Database, values: dict[str, Any]) -> int:
    return insert_row(db, "candidates", values, _JSON)


def find_run(db: Database, run_id: int) -> dict[str, Any] | None:
    return read_row(db.conn.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone(), _JSON)


def find_run_of_job(db: Database, job_id: int) -> dict[str, Any] | None:
    return read_row(db.conn.execute("SELECT * FROM runs WHERE job_id = ?", (job_id,)).fetchone(), _JSON)


def list_runs(db: Database, project: str, limit: int = 50) -> list[dict[str, Any]]:
    """Newest first."""
    rows = db.conn.execute("SELECT * FROM runs WHERE project = ? ORDER BY id DESC LIMIT ?", (project, limit))
    return read_rows(rows, _JSON)


def list_candidates(db: Database, run_id: int, *, detail: bool = False) -> list[dict[str, Any]]:
    """In the order they were tried; ``detail`` (curves, kept predictions) is large and left out unless asked for."""
    columns = "*" if detail else "id, run_id, name, params, summary, artifact, sha256, hmac, error"
    rows = db.conn.execute(f"SELECT {columns} FROM candidates WHERE run_id = ? ORDER BY id", (run_id,))  # noqa: S608
    return read_rows(rows, _JSON)


def find_candidate(db: Database, candidate_id: int) -> dict[str, Any] | None:
    return read_row(db.conn.execute("SELECT * FROM candidates WHERE id = ?", (candidate_id,)).fetchone(), _JSON)
