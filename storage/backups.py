"""Copies of a database that others go on writing to, and whether a copy can be trusted."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlite_utils import Database

from storage import migrations
from storage.connection import connect


def snapshot(source: Path, target: Path) -> str:
    """Copy a database as it is at one moment (SQLite's backup API); writers are not held up meanwhile.

    Returns what is wrong with the copy (see :func:`check_integrity`), or "".
    """
    try:
        with closing(connect(source).conn) as live, closing(sqlite3.connect(target)) as copy:
            live.backup(copy)  # all pages in one read transaction: a copy page by page begins anew with every write
    except sqlite3.DatabaseError as error:
        return str(error)
    return check_integrity(target)


def check_integrity(path: Path) -> str:
    """What SQLite finds wrong with a file, or ""."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            found = [r[0] for r in db.execute("PRAGMA integrity_check(3)")]
            broken = db.execute("PRAGMA foreign_key_check").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error)
    if found != ["ok"]:
        return "; ".join(found)
    return f"a row of {broken[0]} points to nothing in {broken[2]}" if broken else ""


def list_unknown_migrations(path: Path) -> list[str]:
    """Steps of the schema that a database has taken and this version does not know: it is of a newer one."""
    blank = Database(memory=True)
    known = {m.name for of in (migrations.acts, migrations.log) for m in of.pending(blank)}
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            return [r[0] for r in db.execute("SELECT name FROM _sqlite_migrations ORDER BY rowid") if r[0] not in known]
    except sqlite3.DatabaseError as error:
        return [f"({error})"]


def holds_anything(path: Path) -> bool:
    """Whether a database holds an audit event, the trace that every act leaves; one that cannot be read may."""
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(path)) as db:
            made = db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'audit'").fetchone()
            return made is not None and db.execute("SELECT 1 FROM audit LIMIT 1").fetchone() is not None
    except sqlite3.DatabaseError:
        return True
