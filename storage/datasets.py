"""Dataset versions: rows that never change."""

from __future__ import annotations

from typing import Any

from sqlite_utils import Database

from storage.rows import insert_row, read_row, read_rows

_JSON = ("profile", "validation", "comparison")


def insert_dataset(db: Database, values: dict[str, Any]) -> int:
    return insert_row(db, "datasets", values, _JSON)


def next_version(db: Database, project: str) -> int:
    return int(db.conn.execute("SELECT coalesce(max(version), 0) + 1 FROM datasets WHERE project = ?", (project,)).fetchone()[0])


def find_by_hash(db: Database, project: str, sha256: str) -> dict[str, Any] | None:
    return read_row(db.conn.execute("SELECT * FROM datasets WHERE project = ? AND sha256 = ?", (project, sha256)).fetchone(), _JSON)


def find_dataset(db: Database, dataset_id: int) -> dict[str, Any] | None:
    return read_row(db.conn.execute("SELECT * FROM datasets WHERE id = ?", (dataset_id,)).fetchone(), _JSON)


def find_version(db: Database, project: str, version: int) -> dict[str, Any] | None:
    return read_row(db.conn.execute("SELECT * FROM datasets WHERE project = ? AND version = ?", (project, version)).fetchone(), _JSON)


def list_datasets(db: Database, project: str) -> list[dict[str, Any]]:
    """Newest first."""
    rows = db.conn.execute("SELECT * FROM datasets WHERE project = ? ORDER BY version DESC", (project,))
    return read_rows(rows, _JSON)
