"""The prediction log: groups of rows as blobs, hourly counts and profiles beside them, and the labels that came back."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlite_utils import Database

if TYPE_CHECKING:
    import numpy as np


GROUP_COLUMNS = (
    "uid", "project", "version", "request_id", "at", "rows", "problem_rows", "caller", "source", "latency_ms", "payload", "stages",
)  # fmt: skip
_MANY = 64  # rows of one INSERT: each statement gives the interpreter's lock away once, so few statements are quick statements


def insert_groups(db: Database, groups: list[tuple[Any, ...]]) -> None:
    """Groups as tuples of GROUP_COLUMNS, in the caller's transaction."""
    for start in range(0, len(groups), _MANY):
        part = groups[start : start + _MANY]
        db.conn.execute(_insert_groups_sql(len(part)), [value for group in part for value in group])


@lru_cache
def _insert_groups_sql(rows: int) -> str:
    marks = f"({','.join('?' * len(GROUP_COLUMNS))})"
    return f"INSERT INTO groups({','.join(GROUP_COLUMNS)}) VALUES {','.join([marks] * rows)}"  # noqa: S608


def add_label_counts(db: Database, counts: list[tuple[str, str, str, str, int, int, int]]) -> None:
    """Add to the hourly counts: project, version, hour, label, rows, rows with problems, unsure rows."""
    db.conn.executemany(
        """INSERT INTO rollups(project, version, hour, label, rows, problem_rows, unsure) VALUES (?,?,?,?,?,?,?)
           ON CONFLICT(project, hour, version, label) DO UPDATE SET rows = rows + excluded.rows,
           problem_rows = problem_rows + excluded.problem_rows, unsure = unsure + excluded.unsure""",
        counts,
    )


def add_hour_profile(db: Database, *, project: str, version: str, hour: str, bins_id: str, rows: int, counts: np.ndarray) -> None:
    """Add counts (int64, shape (bins,)) to an hour's profile; negative ones take away."""
    import numpy as np

    key = (project, version, hour, bins_id)
    known = db.conn.execute(
        "SELECT rows, counts FROM hour_profiles WHERE project = ? AND version = ? AND hour = ? AND bins_id = ?", key
    ).fetchone()
    if known is not None:
        rows, counts = rows + known["rows"], counts + np.frombuffer(known["counts"], dtype=np.int64)
    db.conn.execute(
        "INSERT OR REPLACE INTO hour_profiles(project, version, hour, bins_id, rows, counts) VALUES (?,?,?,?,?,?)",
        (*key, rows, counts.astype(np.int64, copy=False).tobytes()),
    )


def list_hour_profiles(
    db: Database, project: str, bins_id: str, *, since: str = "", until: str = "9999", version: str | None = None
) -> list[dict[str, Any]]:
    """version, hour, rows, counts (int64 as bytes) of the hours from ``since`` to ``until``, both inclusive."""
    sql = """SELECT version, hour, rows, counts FROM hour_profiles
             WHERE project = ? AND bins_id = ? AND hour >= ? AND hour <= ?"""
    values = [project, bins_id, since, until]
    if version is not None:
        sql += " AND version = ?"
        values.append(version)
    return [dict(r) for r in db.conn.execute(sql + " ORDER BY hour", values)]


def insert_case_keys(db: Database, keys: list[tuple[str, str, str]]) -> None:
    """project, key, prediction_id."""
    db.conn.executemany("INSERT OR IGNORE INTO case_keys(project, key, prediction_id) VALUES (?,?,?)", keys)


def find_by_key(db: Database, project: str, key: str) -> list[str]:
    """Ids of the predictions of a business key, the newest group first."""
    rows = db.conn.execute(
        """SELECT k.prediction_id FROM case_keys k JOIN groups g ON g.uid = substr(k.prediction_id, 1, instr(k.prediction_id, '-') - 1)
           WHERE k.project = ? AND k.key = ? ORDER BY g.at DESC, k.prediction_id""",
        (project, key),
    )
    return [r["prediction_id"] for r in rows]


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
