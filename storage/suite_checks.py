"""What a suite found in a dataset version: kept once, never changed."""

from __future__ import annotations

from typing import Any

from sqlite_utils import Database

from storage.rows import insert_row, read_row, read_rows

_JSON = ("findings",)


def insert_check(db: Database, values: dict[str, Any]) -> None:
    insert_row(db, "suite_checks", values, _JSON)


def find_check(db: Database, dataset_id: int, suite_sha: str) -> dict[str, Any] | None:
    found = db.conn.execute("SELECT * FROM suite_checks WHERE dataset_id = ? AND suite_sha = ?", (dataset_id, suite_sha))
    return read_row(found.fetchone(), _JSON)


def list_checks(db: Database, dataset_id: int) -> list[dict[str, Any]]:
    """Every suite that a version was checked by, the newest check first."""
    rows = db.conn.execute("SELECT * FROM suite_checks WHERE dataset_id = ? ORDER BY at DESC, suite_sha", (dataset_id,))
    return read_rows(rows, _JSON)
