"""Reports that were made, and what waits for one."""

from __future__ import annotations

from typing import Any

from sqlite_utils import Database

from storage.rows import insert_row, read_row, read_rows


def insert_report(db: Database, values: dict[str, Any]) -> int:
    return insert_row(db, "reports", values, ())


def find_report(db: Database, report_id: int) -> dict[str, Any] | None:
    return read_row(db.conn.execute("SELECT * FROM reports WHERE id = ?", (report_id,)).fetchone(), ())


def find_made(db: Database, *, project: str, kind: str, subject: str, by: str, since: str = "") -> int | None:
    """The newest report of this kind about this subject that ``by`` made at a moment or later, if there is one."""
    sql = "SELECT id FROM reports WHERE project = ? AND kind = ? AND subject = ? AND made_by = ? AND made_at >= ? ORDER BY id DESC LIMIT 1"
    row = db.conn.execute(sql, (project, kind, subject, by, since)).fetchone()
    return int(row["id"]) if row else None


def list_reports(
    db: Database, *, project: str | None = None, kind: str | None = None, since: str = "", until: str = "", limit: int = 100, offset: int = 0
) -> list[dict[str, Any]]:
    """Newest first."""
    where, values = _where(project, kind, since, until)
    sql = f"SELECT * FROM reports WHERE {where} ORDER BY id DESC LIMIT ? OFFSET ?"  # noqa: S608 - constant fragments
    return read_rows(db.conn.execute(sql, (*values, limit, offset)), ())


def count_reports(db: Database, *, project: str | None = None, kind: str | None = None, since: str = "", until: str = "") -> int:
    where, values = _where(project, kind, since, until)
    return int(db.conn.execute(f"SELECT count(*) FROM reports WHERE {where}", values).fetchone()[0])  # noqa: S608 - constant fragments


def _where(project: str | None, kind: str | None, since: str, until: str) -> tuple[str, list[Any]]:
    parts, values = ["made_at >= ?"], [since]
    for column, value in (("project = ?", project), ("kind = ?", kind), ("made_at < ?", until or None)):
        if value is not None:
            parts.append(column)
            values.append(value)
    return " AND ".join(parts), values


# What makes a report by itself: (kind, project, id) of what has none yet, oldest first


def list_unreported(db: Database, *, since: str, until: str, by: str, limit: int) -> list[tuple[str, str, str]]:
    """Deployments, closed incidents and ended retrainings of a time (both ends included) that ``by`` has made no report of."""
    sql = """
        SELECT kind, project, subject FROM (
            SELECT 'deployment' AS kind, project, CAST(id AS TEXT) AS subject, live_from AS at FROM deployments
            UNION ALL SELECT 'incident', project, CAST(id AS TEXT), closed_at FROM incidents WHERE closed_at IS NOT NULL
            UNION ALL SELECT 'retraining', project, CAST(id AS TEXT), finished_at FROM retrainings WHERE finished_at IS NOT NULL
        ) AS happened
        WHERE at >= ? AND at <= ? AND NOT EXISTS (
            SELECT 1 FROM reports r
            WHERE r.project = happened.project AND r.kind = happened.kind AND r.subject = happened.subject AND r.made_by = ?
              AND r.made_at >= happened.at
        ) ORDER BY at LIMIT ?"""
    return [(r["kind"], r["project"], r["subject"]) for r in db.conn.execute(sql, (since, until, by, limit))]
