"""The audit table: append, read, search. Update and delete are refused by the database itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlite_utils import Database

_COLUMNS = "seq, prev_hash, hash, body"


def append_event(db: Database, *, seq: int, prev_hash: str, hash_: str, body: str) -> None:
    db.conn.execute("INSERT INTO audit(seq, prev_hash, hash, body) VALUES (?,?,?,?)", (seq, prev_hash, hash_, body))


def find_last(db: Database) -> tuple[int, str] | None:
    """(seq, hash) of the newest event, or None."""
    row = db.conn.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    return (row["seq"], row["hash"]) if row else None


def iterate(db: Database) -> Iterator[tuple[int, str, str, str]]:
    """(seq, prev_hash, hash, body) of every event, oldest first."""
    for row in db.conn.execute(f"SELECT {_COLUMNS} FROM audit ORDER BY seq"):  # noqa: S608 - constant columns
        yield row["seq"], row["prev_hash"], row["hash"], row["body"]


def find_event(db: Database, seq: int) -> dict[str, Any] | None:
    """One event with its number and hashes, or None."""
    row = db.conn.execute(f"SELECT {_COLUMNS} FROM audit WHERE seq = ?", (seq,)).fetchone()  # noqa: S608 - constant columns
    return {"seq": row["seq"], "prev_hash": row["prev_hash"], "hash": row["hash"], **json.loads(row["body"])} if row else None


def list_events(
    db: Database,
    *,
    text: str = "",
    actor: str = "",
    action: str = "",
    project: str = "",
    outcome: str = "",
    since: str = "",
    until: str = "",
    correlation_id: str = "",
    limit: int = 50,
    offset: int = 0,
) -> tuple[list[dict[str, Any]], int]:
    """Events newest first that match every filter given, and how many match in all."""
    where, values = ["1=1"], []
    for column, value in (("actor", actor), ("action", action), ("project", project), ("outcome", outcome),
                          ("correlation_id", correlation_id)):
        if value:
            where.append(f"{column} = ?")
            values.append(value)
    if since:
        where.append("at >= ?")
        values.append(since)
    if until:
        where.append("at < ?")
        values.append(until)
    words = [w.replace('"', '""') for w in text.replace("\x00", " ").split()]
    if words:
        where.append("seq IN (SELECT rowid FROM audit_fts WHERE audit_fts MATCH ?)")
        values.append(" ".join(f'"{w}"*' for w in words))
    condition = " AND ".join(where)
    total = int(db.conn.execute(f"SELECT count(*) FROM audit WHERE {condition}", values).fetchone()[0])  # noqa: S608
    rows = db.conn.execute(
        f"SELECT seq, hash, body FROM audit WHERE {condition} ORDER BY seq DESC LIMIT ? OFFSET ?",  # noqa: S608
        (*values, limit, offset),
    ).fetchall()
    return [{"seq": r["seq"], "hash": r["hash"], **json.loads(r["body"])} for r in rows], total


def list_distinct(db: Database, column: str) -> list[str]:
    """The values that occur in one of the indexed columns (for filters)."""
    if column not in ("actor", "action", "project", "outcome"):
        raise ValueError(f"audit has no filter column {column!r}")
    rows = db.conn.execute(f"SELECT DISTINCT {column} AS v FROM audit WHERE {column} <> '' ORDER BY 1")  # noqa: S608
    return [r["v"] for r in rows]


def find_request_key(db: Database, key: str) -> dict[str, Any] | None:
    row = db.conn.execute("SELECT * FROM request_keys WHERE key = ?", (key,)).fetchone()
    return dict(row) if row else None


def insert_request_key(db: Database, *, key: str, actor: str, action: str, result: str, at: str) -> None:
    db.conn.execute("INSERT INTO request_keys VALUES (?,?,?,?,?)", (key, actor, action, result, at))


def set_result(db: Database, key: str, result: str | None) -> None:
    """Change what a request key answers from now on; None forgets the key."""
    if result is None:
        db.conn.execute("DELETE FROM request_keys WHERE key = ?", (key,))
    else:
        db.conn.execute("UPDATE request_keys SET result = ? WHERE key = ?", (result, key))
