"""Counts that the watching reads from the prediction log's rollups: few rows, whatever was predicted."""

from __future__ import annotations

from typing import Any

from sqlite_utils import Database


def list_answer_hours(
    db: Database, project: str, *, since: str, until: str = "9999", version: str | None = None
) -> list[dict[str, Any]]:
    """hour, label, rows, problem_rows, unsure of the hours from ``since`` to before ``until``, oldest first; versions added up."""
    sql = """SELECT hour, label, sum(rows) AS rows, sum(problem_rows) AS problem_rows, sum(unsure) AS unsure FROM rollups
             WHERE project = ? AND hour >= ? AND hour < ?"""
    values = [project, since[:13], until[:13]]
    if version is not None:
        sql += " AND version = ?"
        values.append(version)
    return [dict(r) for r in db.conn.execute(sql + " GROUP BY hour, label ORDER BY hour, label", values)]


def list_outcomes(db: Database, project: str, *, since: str) -> list[dict[str, Any]]:
    """bucket (minute), route, status, requests of the requests from a minute on, oldest first."""
    rows = db.conn.execute(
        """SELECT bucket, route, status, sum(requests) AS requests FROM traffic
           WHERE level = 'minute' AND project = ? AND bucket >= ? GROUP BY bucket, route, status ORDER BY bucket, route, status""",
        (project, since[:16]),
    )
    return [dict(r) for r in rows]
