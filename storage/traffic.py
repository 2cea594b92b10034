"""Requests as they were answered, their counts by minute, hour and day, and the metrics that clients post."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sqlite_utils import Database

LEVELS = {"minute": 16, "hour": 13, "day": 10, "all": 0}  # letters of a time stamp that name the bucket
REQUEST_COLUMNS = (
    "request_id", "at", "project", "route", "door", "status", "rows", "version", "caller",
    "total_ms", "validation_ms", "preprocessing_ms", "inference_ms", "logging_ms",
)  # fmt: skip
_INSERT = f"INSERT INTO requests({', '.join(REQUEST_COLUMNS)}) VALUES ({', '.join('?' * len(REQUEST_COLUMNS))})"  # noqa: S608
_KEY = ("level", "project", "bucket", "version", "route", "door", "status")
_IS_KEY = " AND ".join(f"{column} = ?" for column in _KEY)


def insert_requests(db: Database, rows: Iterable[tuple[Any, ...]]) -> None:
    """Requests one by one, values in the order of REQUEST_COLUMNS."""
    db.conn.executemany(_INSERT, rows)


def add_traffic(
    db: Database, key: tuple[Any, ...], requests: int, rows: int, parts: tuple[bytes, bytes],
    merge: Callable[[list[tuple[bytes, bytes]]], tuple[bytes, bytes]],
) -> None:  # fmt: skip
    """Add to one row of counts; ``key`` is (level, project, bucket, version, route, door, status).

    ``merge`` makes one pair of (sums, histogram) of two; to be called inside a write transaction.
    """
    found = db.conn.execute(f"SELECT id, sums, histogram FROM traffic WHERE {_IS_KEY}", key).fetchone()  # noqa: S608
    if found is None:
        db.conn.execute(
            f"INSERT INTO traffic({', '.join(_KEY)}, requests, rows, sums, histogram) VALUES (?,?,?,?,?,?,?,?,?,?,?)",  # noqa: S608
            (*key, requests, rows, *parts),
        )
        return
    db.conn.execute(
        "UPDATE traffic SET requests = requests + ?, rows = rows + ?, sums = ?, histogram = ? WHERE id = ?",
        (requests, rows, *merge([(found["sums"], found["histogram"]), parts]), found["id"]),
    )


def forget_requests(db: Database, *, before: str, most: int) -> None:
    """Drop single requests and counts of minutes from before a moment, at most ``most`` of each; the longer counts stay."""
    db.conn.execute(  # the oldest have the lowest ids; looking at those alone costs the same however many there are
        "DELETE FROM requests WHERE id IN (SELECT id FROM (SELECT id, at FROM requests ORDER BY id LIMIT ?) WHERE at < ?)",
        (most, before),
    )
    db.conn.execute(
        "DELETE FROM traffic WHERE id IN (SELECT id FROM traffic WHERE level = 'minute' AND bucket < ? LIMIT ?)",
        (before[: LEVELS["minute"]], most),
    )


def build_traffic_query(project: str | None, level: str, since: str, until: str) -> tuple[str, tuple[Any, ...]]:
    """SQL and values for the counts of one level in ``since`` <= bucket < ``until``; None means all projects."""
    columns = "project, bucket, version, route, door, status, requests, rows, sums, histogram"
    where, values = "level = ? AND bucket >= ? AND bucket < ?", (level, since, until)
    if project is None:
        return f"SELECT {columns} FROM traffic WHERE {where}", values  # noqa: S608
    return f"SELECT {columns} FROM traffic WHERE {where} AND project = ?", (*values, project)  # noqa: S608


def list_traffic(db: Database, project: str | None, level: str, since: str, until: str) -> list[Any]:
    """Counts of one level (see :func:`build_traffic_query`), rows by name, in no order."""
    return db.conn.execute(*build_traffic_query(project, level, since, until)).fetchall()


def list_requests(db: Database, project: str | None, *, since: str, until: str, failed: bool, limit: int) -> list[dict[str, Any]]:
    """Requests one by one, the newest first; ``failed`` keeps those with a status of 400 and above."""
    sql, values = "SELECT * FROM requests WHERE at >= ? AND at < ?", [since, until]
    if project is not None:
        sql += " AND project = ?"
        values.append(project)
    if failed:
        sql += " AND status >= 400"
    return [dict(r) for r in db.conn.execute(sql + " ORDER BY at DESC, id DESC LIMIT ?", (*values, limit))]


def find_requests(db: Database, request_id: str) -> list[dict[str, Any]]:
    """All requests of one id, oldest first."""
    return [dict(r) for r in db.conn.execute("SELECT * FROM requests WHERE request_id = ? ORDER BY id", (request_id,))]


# Posted metrics


def list_observation_names(db: Database, project: str | None = None) -> list[tuple[str, str]]:
    """(project, name) of everything that was ever posted, in alphabetical order."""
    where, values = ("", []) if project is None else (" WHERE project = ?", [project])
    sql = f"SELECT project, name FROM observation_names{where} ORDER BY project, name"  # noqa: S608
    return [(r["project"], r["name"]) for r in db.conn.execute(sql, values)]


def add_observation_name(db: Database, project: str, name: str, at: str) -> None:
    db.conn.execute("INSERT INTO observation_names(project, name, since) VALUES (?,?,?) ON CONFLICT DO NOTHING", (project, name, at))


def insert_observations(db: Database, rows: Iterable[tuple[str, str, float, str, str]]) -> None:
    """Posted values one by one: project, name, value, at, by."""
    db.conn.executemany("INSERT INTO observations(project, name, value, at, by) VALUES (?,?,?,?,?)", rows)


def forget_observations(db: Database, project: str, *, before: str, most: int) -> None:
    """Drop single values of all projects and counts of minutes of this one from before a moment, at most ``most`` of each."""
    db.conn.execute(
        "DELETE FROM observations WHERE id IN (SELECT id FROM (SELECT id, at FROM observations ORDER BY id LIMIT ?) WHERE at < ?)",
        (most, before),
    )
    db.conn.execute(
        """DELETE FROM observation_counts WHERE id IN (SELECT id FROM observation_counts
           WHERE level = 'minute' AND project = ? AND bucket < ? LIMIT ?)""",
        (project, before[: LEVELS["minute"]], most),
    )


def add_observation_count(db: Database, values: dict[str, Any], merge: Callable[[list[bytes]], bytes]) -> None:
    """Add to one row of counts (the columns of observation_counts but the id); to be called inside a write transaction."""
    key = tuple(values[k] for k in ("level", "project", "name", "bucket"))
    found = db.conn.execute(
        "SELECT id, histogram FROM observation_counts WHERE level = ? AND project = ? AND name = ? AND bucket = ?", key
    ).fetchone()
    if found is None:
        columns, marks = ", ".join(values), ", ".join("?" * len(values))
        db.conn.execute(f"INSERT INTO observation_counts({columns}) VALUES ({marks})", tuple(values.values()))  # noqa: S608
        return
    db.conn.execute(
        """UPDATE observation_counts SET n = n + :n, total = total + :total, total_sq = total_sq + :total_sq,
           least = min(least, :least), most = max(most, :most), histogram = :histogram,
           last = CASE WHEN :last_at >= last_at THEN :last ELSE last END, last_at = max(last_at, :last_at) WHERE id = :id""",
        {**values, "histogram": merge([found["histogram"], values["histogram"]]), "id": found["id"]},
    )


def list_observation_counts(db: Database, project: str, level: str, since: str, until: str) -> list[Any]:
    """Counts of one level in ``since`` <= bucket < ``until``, by name and bucket."""
    return db.conn.execute(
        """SELECT * FROM observation_counts WHERE level = ? AND project = ? AND bucket >= ? AND bucket < ?
           ORDER BY bucket, name""",
        (level, project, since, until),
    ).fetchall()


def list_observation_totals(db: Database) -> list[dict[str, Any]]:
    """Every posted metric of every project over all time: project, name, n, total, last, last_at."""
    rows = db.conn.execute("SELECT project, name, n, total, last, last_at FROM observation_counts WHERE level = 'all' ORDER BY 1, 2")
    return [dict(r) for r in rows]


def list_traffic_totals(db: Database) -> list[Any]:
    """The counts of all time, ordered by project, version, route, door and status."""
    sql, values = build_traffic_query(None, "all", "", "~")
    return db.conn.execute(sql + " ORDER BY project, version, route, door, status", values).fetchall()


def list_prediction_totals(db: Database) -> list[tuple[str, str, str, int]]:
    """Logged predictions of all time: project, version, predicted label ('' for numbers), rows."""
    rows = db.conn.execute("SELECT project, version, label, sum(rows) AS n FROM rollups GROUP BY 1, 2, 3 ORDER BY 1, 2, 3")
    return [(r["project"], r["version"], r["label"], int(r["n"])) for r in rows]
