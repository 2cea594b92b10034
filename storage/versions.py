"""Model versions, release requests, and who was live when."""

from __future__ import annotations

from typing import Any

from sqlite_utils import Database

from storage.rows import insert_row, read_row, read_rows

_JSON = ("summary", "evidence")
# with what people call the version, so that a list of requests needs no second look for each
_REQUESTS = "SELECT r.*, v.version, v.trained_by FROM requests r JOIN versions v ON v.id = r.version_id"


def insert_version(db: Database, values: dict[str, Any]) -> int:
    return insert_row(db, "versions", values, _JSON)


def find_version(db: Database, project: str, version: str) -> dict[str, Any] | None:
    return read_row(db.conn.execute("SELECT * FROM versions WHERE project = ? AND version = ?", (project, version)).fetchone(), _JSON)


def find_version_by_id(db: Database, version_id: int) -> dict[str, Any] | None:
    return read_row(db.conn.execute("SELECT * FROM versions WHERE id = ?", (version_id,)).fetchone(), _JSON)


def find_live(db: Database, project: str) -> dict[str, Any] | None:
    return read_row(db.conn.execute("SELECT * FROM versions WHERE project = ? AND stage = 'production'", (project,)).fetchone(), _JSON)


def find_pointer(db: Database, project: str, version: str | None = None) -> Any:
    """id, version, sha256 and was_live of the live version, or of the version named; None if there is none."""
    which, value = ("stage = ?", "production") if version is None else ("version = ?", version)
    sql = f"""SELECT id, version, sha256, EXISTS (SELECT 1 FROM deployments d WHERE d.version_id = versions.id) AS was_live
              FROM versions WHERE project = ? AND {which}"""  # noqa: S608 - both are our own words
    return db.conn.execute(sql, (project, value)).fetchone()


def list_versions(db: Database, project: str) -> list[dict[str, Any]]:
    """Newest first."""
    return read_rows(db.conn.execute("SELECT * FROM versions WHERE project = ? ORDER BY id DESC", (project,)), _JSON)


def set_stage(db: Database, version_id: int, stage: str, reason: str) -> None:
    db.conn.execute("UPDATE versions SET stage = ?, stage_reason = ? WHERE id = ?", (stage, reason, version_id))


def insert_profile(db: Database, version_id: int, bins: str, reference: str) -> None:
    db.conn.execute("INSERT INTO profiles VALUES (?,?,?)", (version_id, bins, reference))


def find_profile(db: Database, version_id: int) -> tuple[str, str] | None:
    """(bins JSON, reference profile JSON) made at training, or None."""
    row = db.conn.execute("SELECT bins, reference FROM profiles WHERE version_id = ?", (version_id,)).fetchone()
    return (row["bins"], row["reference"]) if row else None


# Requests


def insert_request(db: Database, values: dict[str, Any]) -> int:
    return insert_row(db, "requests", values, _JSON)


def find_request(db: Database, request_id: int) -> dict[str, Any] | None:
    """A request with its version's name and who trained it, or None."""
    return read_row(db.conn.execute(f"{_REQUESTS} WHERE r.id = ?", (request_id,)).fetchone(), _JSON)


def find_open_request(db: Database, version_id: int) -> dict[str, Any] | None:
    """The pending or approved request of a version."""
    row = db.conn.execute("SELECT * FROM requests WHERE version_id = ? AND state IN ('pending','approved')", (version_id,)).fetchone()
    return read_row(row, _JSON)


def list_requests(
    db: Database, *, project: str | None = None, states: tuple[str, ...] = (), version_id: int | None = None, limit: int = 200
) -> list[dict[str, Any]]:
    """Newest first, each with its version's name and who trained it."""
    where: list[str] = ["1=1"]
    values: list[Any] = []
    if project is not None:
        where.append("r.project = ?")
        values.append(project)
    if version_id is not None:
        where.append("r.version_id = ?")
        values.append(version_id)
    if states:
        where.append(f"r.state IN ({', '.join('?' * len(states))})")
        values.extend(states)
    sql = f"{_REQUESTS} WHERE {' AND '.join(where)} ORDER BY r.id DESC LIMIT ?"
    return read_rows(db.conn.execute(sql, (*values, limit)), _JSON)


def update_request(db: Database, request_id: int, **values: Any) -> None:
    columns = ", ".join(f"{c} = ?" for c in values)
    db.conn.execute(f"UPDATE requests SET {columns} WHERE id = ?", (*values.values(), request_id))  # noqa: S608


# Deployments


def insert_deployment(
    db: Database, *, project: str, version_id: int, kind: str, at: str, by: str, request_id: int | None, reason: str
) -> int:
    cursor = db.conn.execute(
        """INSERT INTO deployments(project, version_id, kind, live_from, deployed_by, request_id, reason)
           VALUES (?,?,?,?,?,?,?)""",
        (project, version_id, kind, at, by, request_id, reason),
    )
    return int(cursor.lastrowid or 0)


def end_deployment(db: Database, project: str, *, at: str, by: str) -> None:
    db.conn.execute(
        "UPDATE deployments SET live_until = ?, ended_by = ? WHERE project = ? AND live_until IS NULL", (at, by, project)
    )


def list_deployments(db: Database, project: str) -> list[dict[str, Any]]:
    """Who was live when, newest first, with the version's name."""
    rows = db.conn.execute(
        """SELECT d.*, v.version FROM deployments d JOIN versions v ON v.id = d.version_id
           WHERE d.project = ? ORDER BY d.id DESC""",
        (project,),
    )
    return read_rows(rows, _JSON)


def was_live(db: Database, version_id: int) -> bool:
    return db.conn.execute("SELECT 1 FROM deployments WHERE version_id = ? LIMIT 1", (version_id,)).fetchone() is not None
