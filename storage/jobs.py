"""Jobs: state, progress, heartbeat, outcome."""

from __future__ import annotations

import json
from typing import Any

from sqlite_utils import Database

FINISHED = ("done", "failed", "cancelled", "interrupted")


def insert_job(
    db: Database, *, project: str, kind: str, params: dict[str, Any], by: str, at: str, owner: str, correlation_id: str,
    rerun_of: int | None = None,
) -> int:
    cursor = db.conn.execute(
        """INSERT INTO jobs(project, kind, params, state, created_by, created_at, owner, correlation_id, rerun_of)
           VALUES (?,?,?,'queued',?,?,?,?,?)""",
        (project, kind, json.dumps(params), by, at, owner, correlation_id, rerun_of),
    )
    return int(cursor.lastrowid or 0)


def find_job(db: Database, job_id: int) -> dict[str, Any] | None:
    return _row(db.conn.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone())


def list_jobs(
    db: Database, *, project: str | None = None, kind: str | None = None, states: tuple[str, ...] = (), limit: int = 50
) -> list[dict[str, Any]]:
    """Newest first."""
    where, values = ["1=1"], []
    if project is not None:
        where.append("project = ?")
        values.append(project)
    if kind is not None:
        where.append("kind = ?")
        values.append(kind)
    if states:
        where.append(f"state IN ({', '.join('?' * len(states))})")
        values.extend(states)
    sql = f"SELECT * FROM jobs WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?"  # noqa: S608 - constant fragments
    return [j for r in db.conn.execute(sql, (*values, limit)) if (j := _row(r)) is not None]


def claim_next(db: Database, *, at: str) -> dict[str, Any] | None:
    """Take the oldest queued job of the supervisor's; the caller holds the write transaction."""
    row = db.conn.execute("SELECT * FROM jobs WHERE state = 'queued' AND owner = 'supervisor' ORDER BY id LIMIT 1").fetchone()
    if row is None:
        return None
    mark_running(db, row["id"], pid=None, at=at)
    return find_job(db, row["id"])


def mark_running(db: Database, job_id: int, *, pid: int | None, at: str) -> None:
    db.conn.execute(
        "UPDATE jobs SET state = 'running', pid = ?, started_at = coalesce(started_at, ?), heartbeat_at = ? WHERE id = ?",
        (pid, at, at, job_id),
    )


def beat(
    db: Database, job_id: int, *, at: str, done: float, total: float, note: str, seconds_left: float | None
) -> tuple[str, str | None]:
    """Write progress; returns (state, who asked to cancel)."""
    db.conn.execute(
        "UPDATE jobs SET heartbeat_at = ?, done = ?, total = ?, note = ?, seconds_left = ? WHERE id = ? AND state = 'running'",
        (at, done, total, note, seconds_left, job_id),
    )
    row = db.conn.execute("SELECT state, cancel_by FROM jobs WHERE id = ?", (job_id,)).fetchone()
    return row["state"], row["cancel_by"]


def finish(
    db: Database, job_id: int, *, state: str, at: str, outcome: dict[str, Any] | None = None, error: str | None = None
) -> bool:
    """End a job that has not ended; False if it had."""
    cursor = db.conn.execute(
        f"""UPDATE jobs SET state = ?, finished_at = ?, outcome = ?, error = ?, seconds_left = NULL
            WHERE id = ? AND state NOT IN ({', '.join('?' * len(FINISHED))})""",  # noqa: S608 - marks only
        (state, at, json.dumps(outcome) if outcome is not None else None, error, job_id, *FINISHED),
    )
    return cursor.rowcount == 1


def request_cancel(db: Database, job_id: int, by: str) -> None:
    db.conn.execute("UPDATE jobs SET cancel_by = coalesce(cancel_by, ?) WHERE id = ?", (by, job_id))


def _row(row: Any) -> dict[str, Any] | None:
    if row is None:
        return None
    job = dict(row)
    job["params"] = json.loads(job["params"])
    job["outcome"] = json.loads(job["outcome"]) if job["outcome"] else None
    return job
