"""The prediction log: groups of rows as Parquet blobs, hourly counts beside them, and the labels that came back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlite_utils import Database


def insert_group(db: Database, values: dict[str, Any], label_counts: dict[str, tuple[int, int]]) -> None:
    """One group and its share of the hourly counts (label -> rows, rows with problems), in the caller's transaction."""
    columns, marks = ", ".join(values), ", ".join("?" * len(values))
    db.conn.execute(f"INSERT INTO groups({columns}) VALUES ({marks})", tuple(values.values()))  # noqa: S608
    hour = values["at"][:13]
    for label, (rows, problem_rows) in label_counts.items():
        db.conn.execute(
            """INSERT INTO rollups(project, version, hour, label, rows, problem_rows) VALUES (?,?,?,?,?,?)
               ON CONFLICT(project, hour, version, label)
               DO UPDATE SET rows = rows + excluded.rows, problem_rows = problem_rows + excluded.problem_rows""",
            (values["project"], values["version"], hour, label, rows, problem_rows),
        )


def count_rows(db: Database, project: str, *, since: str, until: str = "9999", version: str | None = None) -> int:
    """Logged predictions from the hourly counts; ``since`` and ``until`` are cut to hours."""
    sql = "SELECT coalesce(sum(rows), 0) FROM rollups WHERE project = ? AND hour >= ? AND hour < ?"
    values = [project, since[:13], until[:13]]
    if version is not None:
        sql += " AND version = ?"
        values.append(version)
    return int(db.conn.execute(sql, values).fetchone()[0])


def count_rows_exactly(db: Database, project: str, *, since: str) -> int:
    """Logged predictions from a moment on: the rest of its hour from the groups, the hours after from the hourly counts."""
    hour_end = since[:13] + "~"  # sorts after every time in that hour
    rest = db.conn.execute(
        "SELECT coalesce(sum(rows), 0) FROM groups WHERE project = ? AND at >= ? AND at < ?", (project, since, hour_end)
    ).fetchone()[0]
    after = db.conn.execute(
        "SELECT coalesce(sum(rows), 0) FROM rollups WHERE project = ? AND hour > ?", (project, since[:13])
    ).fetchone()[0]
    return int(rest) + int(after)


def count_labels(
    db: Database, project: str, *, since: str, until: str = "9999", version: str | None = None
) -> dict[str, int]:
    """Predicted label -> logged predictions, from the hourly counts."""
    sql = "SELECT label, sum(rows) AS n FROM rollups WHERE project = ? AND hour >= ? AND hour < ?"
    values = [project, since[:13], until[:13]]
    if version is not None:
        sql += " AND version = ?"
        values.append(version)
    rows = db.conn.execute(sql + " GROUP BY label ORDER BY label", values)
    return {r["label"]: int(r["n"]) for r in rows}


def list_groups(
    db: Database, project: str, *, since: str = "", until: str = "9999", version: str | None = None, limit: int = 1_000_000
) -> list[dict[str, Any]]:
    """Groups without their rows, newest first."""
    sql = """SELECT uid, project, version, request_id, at, rows, problem_rows, caller, source, latency_ms FROM groups
             WHERE project = ? AND at >= ? AND at < ?"""
    values: list[Any] = [project, since, until]
    if version is not None:
        sql += " AND version = ?"
        values.append(version)
    return [dict(r) for r in db.conn.execute(sql + " ORDER BY at DESC, uid LIMIT ?", (*values, limit))]


def iterate_groups(
    db: Database, project: str, *, since: str = "", until: str = "9999", version: str | None = None
) -> Iterator[dict[str, Any]]:
    """Groups with their payload, oldest first, one at a time."""
    sql = "SELECT * FROM groups WHERE project = ? AND at >= ? AND at < ?"
    values: list[Any] = [project, since, until]
    if version is not None:
        sql += " AND version = ?"
        values.append(version)
    for row in db.conn.execute(sql + " ORDER BY at, uid", values):
        yield dict(row)


def find_group(db: Database, uid: str) -> dict[str, Any] | None:
    row = db.conn.execute("SELECT * FROM groups WHERE uid = ?", (uid,)).fetchone()
    return dict(row) if row else None


def insert_label(db: Database, values: dict[str, Any]) -> str:
    """Keep a label; a different one for the same prediction supersedes the older. Returns new, corrected or same."""
    current = db.conn.execute(
        "SELECT id, label FROM labels WHERE project = ? AND prediction_id = ? AND superseded = 0",
        (values["project"], values["prediction_id"]),
    ).fetchone()
    if current is not None:
        if current["label"] == values["label"]:
            return "same"
        db.conn.execute("UPDATE labels SET superseded = 1 WHERE id = ?", (current["id"],))
    columns, marks = ", ".join(values), ", ".join("?" * len(values))
    db.conn.execute(f"INSERT INTO labels({columns}) VALUES ({marks})", tuple(values.values()))  # noqa: S608
    return "corrected" if current is not None else "new"


def list_labelled(db: Database, project: str, *, since: str = "", until: str = "9999", version: str | None = None) -> list[dict[str, Any]]:
    """Labelled predictions (label, predicted, score, version, times) by the time of the prediction."""
    sql = """SELECT prediction_id, label, predicted, score, version, predicted_at, labelled_at FROM labels
             WHERE project = ? AND superseded = 0 AND predicted_at >= ? AND predicted_at < ?"""
    values: list[Any] = [project, since, until]
    if version is not None:
        sql += " AND version = ?"
        values.append(version)
    return [dict(r) for r in db.conn.execute(sql + " ORDER BY predicted_at", values)]


def count_outcomes(db: Database, project: str, *, since: str, version: str | None = None) -> list[dict[str, Any]]:
    """Labelled predictions counted by day of the prediction, label and answer: day, label, predicted, rows."""
    sql = """SELECT substr(predicted_at, 1, 10) AS day, label, predicted, count(*) AS rows FROM labels
             WHERE project = ? AND superseded = 0 AND predicted_at >= ?"""
    values = [project, since]
    if version is not None:
        sql += " AND version = ?"
        values.append(version)
    return [dict(r) for r in db.conn.execute(sql + " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3", values)]


def count_labels_since(db: Database, project: str, since: str) -> int:
    """Current labels that arrived after a moment."""
    return int(
        db.conn.execute(
            "SELECT count(*) FROM labels WHERE project = ? AND superseded = 0 AND labelled_at > ?", (project, since)
        ).fetchone()[0]
    )
