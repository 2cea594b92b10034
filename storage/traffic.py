"""Requests as they were answered, their counts by minute, hour and day, and the metrics that clients post."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sqlite_utils import Database

LEVELS = {"minute": 16, "hour": 13, "day": 10}  # letters of a time stamp that name the bucket
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
    return [dict(r) for r in db.conn.execute(sql + " ORDER BY at DESC LIMIT ?", (*values, limit))]


def find_requests(db: Database, request_id: str) -> list[dict[str, Any]]:
    """All requests of one id, oldest first."""
    return [dict(r) for r in db.conn.execute("SELECT * FROM requests WHERE request_id = ? ORDER BY id", (request_id,))]
