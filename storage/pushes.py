"""Which dataset versions were pushed to which remote, and under which md5."""

from __future__ import annotations

from typing import Any

from sqlite_utils import Database

from storage.rows import insert_row, read_row, read_rows


def insert_push(db: Database, values: dict[str, Any]) -> int:
    return insert_row(db, "pushes", values, ())


def find_push(db: Database, dataset_id: int, remote: str) -> dict[str, Any] | None:
    return read_row(db.conn.execute("SELECT * FROM pushes WHERE dataset_id = ? AND remote = ?", (dataset_id, remote)).fetchone(), ())


def list_pushes(db: Database, project: str) -> list[dict[str, Any]]:
    """Of every version of a project with its number and hash, the newest version first."""
    rows = db.conn.execute(
        "SELECT p.*, d.version, d.sha256 FROM pushes p JOIN datasets d ON d.id = p.dataset_id WHERE d.project = ? "
        "ORDER BY d.version DESC, p.id",
        (project,),
    )
    return read_rows(rows, ())
