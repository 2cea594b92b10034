"""Dataset versions: rows that never change."""

from __future__ import annotations

import json
from typing import Any

from sqlite_utils import Database

_JSON = ("profile", "validation", "comparison")


def insert_dataset(db: Database, values: dict[str, Any]) -> int:
    values = {k: json.dumps(v) if k in _JSON else v for k, v in values.items()}
    columns, marks = ", ".join(values), ", ".join("?" * len(values))
    cursor = db.conn.execute(f"INSERT INTO datasets({columns}) VALUES ({marks})", tuple(values.values()))  # noqa: S608
    return int(cursor.lastrowid or 0)


def next_version(db: Database, project: str) -> int:
    return int(db.conn.execute("SELECT coalesce(max(version), 0) + 1 FROM datasets WHERE project = ?", (project,)).fetchone()[0])


def find_by_hash(db: Database, project: str, sha256: str) -> dict[str, Any] | None:
    return _row(db.conn.execute("SELECT * FROM datasets WHERE project = ? AND sha256 = ?", (project, sha256)).fetchone())


def find_dataset(db: Database, dataset_id: int) -> dict[str, Any] | None:
    return _row(db.conn.execute("SELECT * FROM datasets WHERE id = ?", (dataset_id,)).fetchone())


def find_version(db: Database, project: str, version: int) -> dict[str, Any] | None:
    return _row(db.conn.execute("SELECT * FROM datasets WHERE project = ? AND version = ?", (project, version)).fetchone())


def list_datasets(db: Database, project: str) -> list[dict[str, Any]]:
    """Newest first."""
    rows = db.conn.execute("SELECT * FROM datasets WHERE project = ? ORDER BY version DESC", (project,))
    return [d for r in rows if (d := _row(r)) is not None]


def _row(row: Any) -> dict[str, Any] | None:
    if row is None:
        return None
    return {k: json.loads(row[k]) if k in _JSON and row[k] is not None else row[k] for k in row.keys()}  # noqa: SIM118
