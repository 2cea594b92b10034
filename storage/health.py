"""Whether a database can be read and written, and how large its write-ahead log is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

WAIT_MS = 200  # a writer may be busy for a moment; that is no illness


def probe(path: Path) -> str:
    """Read the schema's tables and take the write lock for a moment; "" if both went well, "busy", or what went wrong.

    Not ``quick_check``, which reads every page: a file of gigabytes must be probed in milliseconds.
    """
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None, timeout=WAIT_MS / 1000)) as db:
            db.execute(f"PRAGMA busy_timeout = {WAIT_MS}")
            tables = [r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")]
            if not tables:
                return "it has no tables"
            for name in tables:
                db.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone()  # noqa: S608 - a name from the schema itself
            try:
                db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if "locked" in str(error) or "busy" in str(error):
                    return "busy"
                raise
            db.execute("ROLLBACK")
    except sqlite3.Error as error:
        return str(error)
    return ""


def wal_bytes(path: Path) -> int:
    """Size of the write-ahead log beside a database; 0 if there is none."""
    try:
        return path.with_name(path.name + "-wal").stat().st_size
    except FileNotFoundError:
        return 0
