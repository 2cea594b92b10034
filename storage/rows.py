"""Rows with columns of JSON text: written from and read as plain data."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlite_utils import Database


def insert_row(db: Database, table: str, values: dict[str, Any], json_columns: Iterable[str]) -> int:
    """Insert one row and return its id; table and column names are the caller's own constants."""
    kept = {k: json.dumps(v) if k in json_columns and v is not None else v for k, v in values.items()}
    columns, marks = ", ".join(kept), ", ".join("?" * len(kept))
    cursor = db.conn.execute(f"INSERT INTO {table}({columns}) VALUES ({marks})", tuple(kept.values()))  # noqa: S608
    return int(cursor.lastrowid or 0)


def read_row(row: Any, json_columns: Iterable[str]) -> dict[str, Any] | None:
    """A fetched row as a dictionary; None stays None."""
    if row is None:
        return None
    return {k: json.loads(row[k]) if k in json_columns and row[k] is not None else row[k] for k in row.keys()}  # noqa: SIM118


def read_rows(rows: Iterable[Any], json_columns: Iterable[str]) -> list[dict[str, Any]]:
    return [read for row in rows if (read := read_row(row, json_columns)) is not None]
