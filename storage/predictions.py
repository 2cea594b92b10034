"""The prediction log: groups of rows as blobs, hourly counts and profiles beside them, and the labels that came back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlite_utils import Database

if TYPE_CHECKING:
    import numpy as np


WRITER_LOCK_MS = 10_000
WRITER_CHECKPOINT_PAGES = 4_000


def prepare_writer(db: Database) -> None:
    """Set up the connection of the one thread that many answers wait for."""
    # it must say within seconds that the log is locked, so that the callers can say so
    db.conn.execute(f"PRAGMA busy_timeout = {WRITER_LOCK_MS}")
    # the same pages are written again and again; copied back less often, they are copied back less
    db.conn.execute(f"PRAGMA wal_autocheckpoint = {WRITER_CHECKPOINT_PAGES}")


def leave_no_trace(db: Database) -> None:
    """From now on this connection overwrites what it deletes or moves, so that a row that is erased lies nowhere else in the file."""
    db.conn.execute("PRAGMA secure_delete = ON")


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


def has_hour_profile(db: Database, *, project: str, version: str, hour: str, bins_id: str) -> bool:
    found = db.conn.execute(
        "SELECT 1 FROM hour_profiles WHERE project = ? AND version = ? AND hour = ? AND bins_id = ?", (project, version, hour, bins_id)
    )
    return found.fetchone() is not None


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


def count_rows_by_version(db: Database, project: str, *, since: str, until: str) -> dict[str, int]:
    """Version -> logged predictions of the hours from ``since`` to ``until``, both inclusive."""
    rows = db.conn.execute(
        "SELECT version, sum(rows) AS n FROM rollups WHERE project = ? AND hour >= ? AND hour <= ? GROUP BY version ORDER BY version",
        (project, since, until),
    )
    return {r["version"]: int(r["n"]) for r in rows}


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


_FACTS = """uid, project, version, request_id, at, rows, problem_rows, caller, source, latency_ms, stages, block, place, erased"""


def list_page(
    db: Database, project: str, *, after: tuple[str, str], since: str, until: str, version: str | None, limit: int
) -> list[tuple[str, str, int]]:
    """(at, uid, rows) of the next groups after (at, uid), oldest first."""
    sql = "SELECT at, uid, rows FROM groups WHERE project = ? AND at >= ? AND at < ? AND (at, uid) > (?, ?)"
    values: list[Any] = [project, max(since, after[0]), until, *after]
    if version is not None:
        sql += " AND version = ?"
        values.append(version)
    return [tuple(r) for r in db.conn.execute(sql + " ORDER BY at, uid LIMIT ?", (*values, limit))]


def read_groups(db: Database, uids: list[str]) -> tuple[list[dict[str, Any]], dict[int, bytes]]:
    """Groups with their payloads, oldest first, and the blocks that hold those whose payload is empty: as of one moment."""
    with unchanging(db):
        found = db.conn.execute(
            f"SELECT {_FACTS}, payload FROM groups WHERE uid IN (SELECT value FROM json_each(?)) ORDER BY at, uid",  # noqa: S608
            (json.dumps(uids),),
        )
        groups = [dict(r) for r in found]
        blocks = sorted({g["block"] for g in groups if g["block"] is not None})
        rows = db.conn.execute("SELECT id, payload FROM blocks WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(blocks),))
        return groups, {r["id"]: r["payload"] for r in rows}


@contextmanager
def unchanging(db: Database) -> Iterator[None]:
    """Several reads that see one state, whatever others write meanwhile."""
    if db.conn.in_transaction:
        yield
        return
    db.conn.execute("BEGIN")
    try:
        yield
    finally:
        db.conn.execute("COMMIT")


def list_to_pack(db: Database, project: str, version: str, *, until: str, limit: int) -> list[dict[str, Any]]:
    """uid, at, rows, erased, payload of the oldest small groups that are in no block."""
    found = db.conn.execute(
        """SELECT uid, at, rows, erased, payload FROM groups
           WHERE project = ? AND version = ? AND at < ? AND block IS NULL AND rows < 1000 ORDER BY at, uid LIMIT ?""",
        (project, version, until, limit),
    )
    return [dict(r) for r in found]


def list_packable(db: Database, *, until: str) -> list[dict[str, Any]]:
    """project, version, groups (how many small ones wait for a block), oldest."""
    found = db.conn.execute(
        """SELECT project, version, count(*) AS groups, min(at) AS oldest FROM groups
           WHERE block IS NULL AND rows < 1000 AND at < ? GROUP BY project, version ORDER BY project, version""",
        (until,),
    )
    return [dict(r) for r in found]


def count_unchanged(db: Database, groups: list[tuple[str, str | None]]) -> int:
    """How many of these (uid, erased) are still outside any block and have the same rows erased."""
    found = db.conn.execute(
        """SELECT count(*) FROM json_each(?) j JOIN groups g ON g.uid = j.value ->> 0
           WHERE g.block IS NULL AND g.erased IS (j.value ->> 1)""",
        (json.dumps(groups),),
    )
    return int(found.fetchone()[0])


def insert_block(db: Database, *, project: str, version: str, since: str, until: str, rows: int, payload: bytes) -> int:
    cursor = db.conn.execute(
        "INSERT INTO blocks(project, version, since, until, rows, payload) VALUES (?,?,?,?,?,?)",
        (project, version, since, until, rows, payload),
    )
    return int(cursor.lastrowid or 0)


def move_to_block(db: Database, block: int, places: list[tuple[str, int]]) -> None:
    """Point groups (uid, first row in the block from 0) to a block; their own payloads go."""
    db.conn.executemany("UPDATE groups SET block = ?, place = ?, payload = x'' WHERE uid = ?", [(block, p, uid) for uid, p in places])


def set_group_rows(db: Database, uid: str, *, payload: bytes | None, erased: str) -> None:
    """Note the erased places of a group, and its new payload where it has one of its own."""
    db.conn.execute("UPDATE groups SET erased = ?, payload = coalesce(?, payload) WHERE uid = ?", (erased, payload, uid))


def set_block_payload(db: Database, block: int, payload: bytes) -> None:
    db.conn.execute("UPDATE blocks SET payload = ? WHERE id = ?", (payload, block))


def count_labels_and_keys(db: Database, project: str, prediction_ids: list[str]) -> tuple[int, int]:
    """What :func:`delete_labels_and_keys` would delete."""
    where = "WHERE project = ? AND prediction_id IN (SELECT value FROM json_each(?))"
    labels, keys = (
        db.conn.execute(f"SELECT count(*) FROM {table} {where}", (project, json.dumps(prediction_ids))).fetchone()[0]  # noqa: S608
        for table in ("labels", "case_keys")
    )
    return int(labels), int(keys)


def delete_labels_and_keys(db: Database, project: str, prediction_ids: list[str]) -> tuple[int, int]:
    """Labels (corrected ones too) and business keys of predictions; returns how many of each were there."""
    ids = json.dumps(prediction_ids)
    chosen = "prediction_id IN (SELECT value FROM json_each(?))"
    labels = db.conn.execute(f"DELETE FROM labels WHERE project = ? AND {chosen}", (project, ids)).rowcount  # noqa: S608
    keys = db.conn.execute(f"DELETE FROM case_keys WHERE project = ? AND {chosen}", (project, ids)).rowcount  # noqa: S608
    return int(labels), int(keys)


def list_uids_before(db: Database, project: str, before: str, limit: int) -> list[tuple[str, int, int | None, int | None]]:
    """(uid, rows, block, place) of the oldest groups before a moment."""
    found = db.conn.execute(
        "SELECT uid, rows, block, place FROM groups WHERE project = ? AND at < ? ORDER BY at LIMIT ?", (project, before, limit)
    )
    return [tuple(r) for r in found]


def delete_groups(db: Database, uids: list[str]) -> None:
    """Groups and their business keys."""
    # '.' follows '-': everything that begins with the uid and a dash
    db.conn.executemany(
        "DELETE FROM case_keys WHERE prediction_id > ? AND prediction_id < ?", [(f"{uid}-", f"{uid}.") for uid in uids]
    )
    db.conn.execute("DELETE FROM groups WHERE uid IN (SELECT value FROM json_each(?))", (json.dumps(uids),))


def delete_labels_before(db: Database, project: str, before: str) -> int:
    """Labels of predictions made before a moment; what was counted of them by hour stays."""
    chosen = "project = ? AND predicted_at < ?"
    db.conn.execute(f"UPDATE labels SET counted = 0 WHERE counted = 1 AND {chosen}", (project, before))  # noqa: S608
    return int(db.conn.execute(f"DELETE FROM labels WHERE {chosen}", (project, before)).rowcount)  # noqa: S608


def block_has_groups(db: Database, block: int) -> bool:
    return db.conn.execute("SELECT 1 FROM groups WHERE block = ? LIMIT 1", (block,)).fetchone() is not None


def find_block(db: Database, block: int) -> bytes | None:
    row = db.conn.execute("SELECT payload FROM blocks WHERE id = ?", (block,)).fetchone()
    return row["payload"] if row else None


def delete_block(db: Database, block: int) -> None:
    db.conn.execute("DELETE FROM blocks WHERE id = ?", (block,))


def list_hours(db: Database, project: str, version: str) -> dict[str, tuple[int, int, int]]:
    """Hour -> (groups, rows, length of what is noted as erased) of a version's groups in the log."""
    found = db.conn.execute(
        """SELECT substr(at, 1, 13) AS hour, count(*) AS groups, sum(rows) AS rows, sum(length(coalesce(erased, ''))) AS erased
           FROM groups WHERE project = ? AND version = ? GROUP BY 1""",
        (project, version),
    )
    return {r["hour"]: (r["groups"], r["rows"], r["erased"]) for r in found}


def list_counted_hours(db: Database, project: str, version: str) -> dict[str, int]:
    """Hour -> predictions ever counted in it; a purge of the log leaves these counts."""
    found = db.conn.execute(
        "SELECT hour, sum(rows) AS rows FROM rollups WHERE project = ? AND version = ? GROUP BY hour", (project, version)
    )
    return {r["hour"]: r["rows"] for r in found}


def replace_hour_profile(
    db: Database, *, project: str, version: str, hour: str, bins_id: str, rows: int, counts: np.ndarray
) -> None:
    """Set an hour's profile (int64, shape (bins,)), whatever it was; no rows, no profile."""
    key = (project, version, hour, bins_id)
    db.conn.execute("DELETE FROM hour_profiles WHERE project = ? AND version = ? AND hour = ? AND bins_id = ?", key)
    if rows:
        add_hour_profile(db, project=project, version=version, hour=hour, bins_id=bins_id, rows=rows, counts=counts)


def find_group(db: Database, uid: str) -> dict[str, Any] | None:
    row = db.conn.execute("SELECT * FROM groups WHERE uid = ?", (uid,)).fetchone()
    return dict(row) if row else None
