"""Keys of programs: whose, hashed, and how far each one goes."""

from __future__ import annotations

from typing import Any

from sqlite_utils import Database

from storage.rows import insert_row, read_row, read_rows

_JSON = ("scopes", "projects", "addresses")
_SELECT = """SELECT k.*, a.role AS account_role, a.active AS account_active
             FROM api_keys k JOIN accounts a ON a.name = k.account"""


def insert_key(db: Database, values: dict[str, Any]) -> None:
    insert_row(db, "api_keys", values, _JSON)


def find_key(db: Database, key_id: str) -> dict[str, Any] | None:
    """One key with the role and state of its account."""
    return read_row(db.conn.execute(_SELECT + " WHERE k.id = ?", (key_id,)).fetchone(), _JSON)


def list_keys(db: Database) -> list[dict[str, Any]]:
    """Every key, newest first."""
    return read_rows(db.conn.execute(_SELECT + " ORDER BY k.created_at DESC, k.id"), _JSON)


def revoke_key(db: Database, key_id: str, *, at: str, by: str) -> None:
    db.conn.execute(
        "UPDATE api_keys SET revoked_at = ?, revoked_by = ? WHERE id = ? AND revoked_at IS NULL", (at, by, key_id)
    )


def touch_key(db: Database, key_id: str, at: str) -> None:
    """Note the last use; an earlier moment never replaces a later one."""
    db.conn.execute(
        "UPDATE api_keys SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at < ?)", (at, key_id, at)
    )
