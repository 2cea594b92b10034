"""Connections and the one write transaction.

Measured: a transaction that reads and then writes must begin with BEGIN IMMEDIATE; a plain BEGIN fails
at once under contention, whatever the timeout. So ``writing`` is the only door to a write.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

BUSY_TIMEOUT_MS = 30_000
_PRAGMAS = (
    ("busy_timeout", BUSY_TIMEOUT_MS),  # before WAL: switching the journal mode may itself have to wait
    ("journal_mode", "wal"),
    ("synchronous", 2),  # FULL: an acknowledged act survives a power cut
    ("foreign_keys", 1),
    ("journal_size_limit", 64 * 1024 * 1024),
)

_local = threading.local()


def connect(path: str | Path) -> Database:
    """Open a new connection with every pragma set and read back.

    Raises
    ------
    sqlite3.OperationalError
        If a pragma did not take.
    """
    # autocommit: transactions are opened by `writing` alone, never implicitly by a statement
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000)
    for name, value in _PRAGMAS:
        connection.execute(f"PRAGMA {name} = {value}")
        seen = connection.execute(f"PRAGMA {name}").fetchone()[0]
        if str(seen).lower() != str(value).lower():
            raise sqlite3.OperationalError(f"{path}: PRAGMA {name} is {seen}, wanted {value}")
    connection.row_factory = sqlite3.Row
    return Database(connection)


def reading(path: str | Path) -> Database:
    """This thread's connection to ``path``; use it for reads only."""
    cache: dict[tuple[int, str], Database] = _local.__dict__.setdefault("connections", {})
    key = (os.getpid(), str(path))
    if key not in cache:
        cache[key] = connect(path)
    return cache[key]


def read_marker(database: Database) -> tuple[int, int] | None:
    """What changes whenever anybody has written to the database; None inside this connection's own open transaction.

    ``data_version`` tells of commits by every other connection and process, ``total_changes`` of this connection's own.
    """
    connection = database.conn
    if connection.in_transaction:
        return None
    return connection.execute("PRAGMA data_version").fetchone()[0], connection.total_changes


def close_all() -> None:
    """Close this thread's connections (before a restore, at the end of a test)."""
    cache: dict[tuple[int, str], Database] = _local.__dict__.pop("connections", {})
    for database in cache.values():
        database.conn.close()


@contextmanager
def writing(path: str | Path) -> Iterator[Database]:
    """One write transaction: BEGIN IMMEDIATE, then COMMIT, or ROLLBACK if the block or the COMMIT raises."""
    database = reading(path)
    connection = database.conn
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield database
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has undone it already; a COMMIT that failed has not
            connection.execute("ROLLBACK")
        raise


def is_fault_of_disk(error: BaseException) -> bool:
    """Whether a write failed for all alike (disk full, locked, read-only, unreadable), not for what was written."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode != sqlite3.SQLITE_ERROR


def run_script(db: Database, script: str) -> None:
    """Run the statements of a migration, each ended by ";;", in the transaction that is open."""
    # not executescript: that would commit the migration's own transaction
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if line.rstrip().endswith(";;"):
            db.conn.execute(statement.rstrip()[:-1])
            statement = ""
    if statement.strip():
        raise ValueError("A migration statement must end with ';;'.")
