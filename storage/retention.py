"""How long rows are kept, what was ordered to go, and the removal itself where nobody else's file does it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from storage.connection import connect

_WAIT_MS = 3_000  # for others, before a rewrite gives up for now


# Rules


def list_rules(db: Database, project: str | None = None) -> list[dict[str, Any]]:
    """project ('' for the installation), kind, days, at, by, enforced_at; of one project or of all."""
    where, values = ("", ()) if project is None else (" WHERE project = ?", (project,))
    return [dict(r) for r in db.conn.execute(f"SELECT * FROM retention{where} ORDER BY project, kind", values)]  # noqa: S608


def set_rule(db: Database, *, project: str, kind: str, days: int | None, at: str, by: str) -> None:
    """Set or, with None, take a rule away."""
    if days is None:
        db.conn.execute("DELETE FROM retention WHERE project = ? AND kind = ?", (project, kind))
        return
    db.conn.execute(
        """INSERT INTO retention(project, kind, days, at, by) VALUES (?,?,?,?,?) ON CONFLICT(project, kind) DO UPDATE SET
           days = excluded.days, at = excluded.at, by = excluded.by, enforced_at = NULL""",
        (project, kind, days, at, by),
    )


def mark_enforced(db: Database, *, project: str, kind: str, days: int, at: str) -> None:
    """Note when a rule was carried out, unless it was changed meanwhile."""
    db.conn.execute("UPDATE retention SET enforced_at = ? WHERE project = ? AND kind = ? AND days = ?", (at, project, kind, days))


# Predictions and requests


def count_predictions_before(db: Database, project: str, before: str) -> int:
    """Rows in the log from before a moment."""
    row = db.conn.execute("SELECT coalesce(sum(rows), 0) AS n FROM groups WHERE project = ? AND at < ?", (project, before)).fetchone()
    return int(row["n"])


def count_requests_before(db: Database, project: str, before: str) -> int:
    """Single requests and single posted values from before a moment."""
    found = [
        db.conn.execute(f"SELECT count(*) AS n FROM {table} WHERE project = ? AND at < ?", (project, before)).fetchone()["n"]  # noqa: S608
        for table in ("requests", "observations")
    ]
    return int(sum(found))


def delete_requests_before(db: Database, project: str, before: str, most: int) -> int:
    """Delete single requests and posted values from before a moment, at most ``most`` of each; returns how many went."""
    gone = 0
    for table in ("requests", "observations"):
        chosen = f"SELECT id FROM {table} WHERE project = ? AND at < ? LIMIT ?"  # noqa: S608
        gone += db.conn.execute(f"DELETE FROM {table} WHERE id IN ({chosen})", (project, before, most)).rowcount  # noqa: S608
    return gone


def set_purge(db: Database, *, project: str, before: str, by: str, correlation_id: str) -> None:
    """Note that predictions from before a moment are to go."""
    db.conn.execute(
        """INSERT INTO purges(project, before, by, correlation_id) VALUES (?,?,?,?) ON CONFLICT(project) DO UPDATE SET
           before = max(before, excluded.before), by = excluded.by, correlation_id = excluded.correlation_id""",
        (project, before, by, correlation_id),
    )


def list_purges(db: Database) -> list[dict[str, Any]]:
    return [dict(r) for r in db.conn.execute("SELECT * FROM purges ORDER BY project")]


def delete_purge(db: Database, project: str, before: str) -> bool:
    """Take a purge that is done off the list; False if another process did."""
    return db.conn.execute("DELETE FROM purges WHERE project = ? AND before = ?", (project, before)).rowcount == 1


# Datasets


def insert_purged(db: Database, dataset_id: int, *, at: str, by: str, reason: str) -> None:
    db.conn.execute("INSERT INTO purged_datasets VALUES (?,?,?,?)", (dataset_id, at, by, reason))


def delete_purged(db: Database, dataset_id: int) -> None:
    """The same bytes were added again."""
    db.conn.execute("DELETE FROM purged_datasets WHERE dataset_id = ?", (dataset_id,))


def list_purged(db: Database, project: str | None = None) -> dict[int, dict[str, Any]]:
    """Dataset id -> at, by, reason."""
    where, values = ("", ()) if project is None else (" WHERE d.project = ?", (project,))
    sql = f"SELECT p.* FROM purged_datasets p JOIN datasets d ON d.id = p.dataset_id{where}"  # noqa: S608
    return {r["dataset_id"]: dict(r) for r in db.conn.execute(sql, values)}


def list_versions_of(db: Database, dataset_id: int) -> list[tuple[str, str]]:
    """(version, stage) of what was trained from a dataset."""
    return [tuple(r) for r in db.conn.execute("SELECT version, stage FROM versions WHERE dataset_id = ? ORDER BY id", (dataset_id,))]


# Traces of one person


def delete_results_with(db: Database, words: list[str]) -> int:
    """Forget the kept answers of acts in which a word occurs (the act itself stays in the audit); returns how many."""
    gone = 0
    for word in words:
        gone += db.conn.execute("DELETE FROM request_keys WHERE instr(result, ?) > 0", (word,)).rowcount
    return gone


def forget_reports(db: Database, check_ids: list[int]) -> None:
    """The full reports of drift checks are gone; their verdicts stay."""
    db.conn.executemany("UPDATE drift_checks SET report = NULL WHERE id = ?", [(i,) for i in check_ids])


def list_moments(db: Database, uids: list[str]) -> list[str]:
    """When these groups of predictions were made."""
    rows = db.conn.execute("SELECT at FROM groups WHERE uid IN (SELECT value FROM json_each(?)) ORDER BY at", (json.dumps(uids),))
    return [r["at"] for r in rows]


def rewrite(path: Path) -> bool:
    """Write a database anew, so that nothing of what was deleted is left in its free pages or its journal.

    Returns
    -------
    bool
        False if somebody was using it all the time; then it has to be tried again.
    """
    database = connect(path)
    try:
        database.conn.execute(f"PRAGMA busy_timeout = {_WAIT_MS}")
        database.conn.execute("VACUUM")
        busy = database.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            return False
        raise
    finally:
        database.conn.close()
    return not busy
