"""Accounts, sessions and wrong passwords."""

from __future__ import annotations

from typing import Any

from sqlite_utils import Database


def find_account(db: Database, name: str) -> dict[str, Any] | None:
    row = db.conn.execute("SELECT * FROM accounts WHERE name = ?", (name,)).fetchone()
    return dict(row) if row else None


def list_accounts(db: Database) -> list[dict[str, Any]]:
    return [dict(r) for r in db.conn.execute("SELECT * FROM accounts ORDER BY name")]


def count_accounts(db: Database, *, role: str | None = None) -> int:
    """Active accounts that a person can use (the agent's and those of programs are none)."""
    if role is None:
        sql, values = "SELECT count(*) FROM accounts WHERE role NOT IN ('agent', 'program')", ()
    else:
        sql, values = "SELECT count(*) FROM accounts WHERE role = ? AND active = 1", (role,)  # type: ignore[assignment]
    return int(db.conn.execute(sql, values).fetchone()[0])


def insert_account(db: Database, *, name: str, role: str, password_hash: str | None, demo: bool, at: str, by: str) -> None:
    db.conn.execute(
        "INSERT INTO accounts(name, role, password_hash, demo, created_at, created_by) VALUES (?,?,?,?,?,?)",
        (name, role, password_hash, int(demo), at, by),
    )


def update_account(db: Database, name: str, **values: Any) -> None:
    columns = ", ".join(f"{c} = ?" for c in values)
    db.conn.execute(f"UPDATE accounts SET {columns} WHERE name = ?", (*values.values(), name))  # noqa: S608 - keyword names


def insert_session(db: Database, *, token_hash: str, account: str, at: str, expires_at: str, address: str) -> None:
    db.conn.execute(
        "INSERT INTO sessions(token_hash, account, created_at, expires_at, address) VALUES (?,?,?,?,?)",
        (token_hash, account, at, expires_at, address),
    )


def find_session(db: Database, token_hash: str, now: str) -> dict[str, Any] | None:
    """The account behind a live session of an active account."""
    row = db.conn.execute(
        """SELECT a.name, a.role, a.active, a.demo, s.created_at AS since FROM sessions s JOIN accounts a ON a.name = s.account
           WHERE s.token_hash = ? AND s.revoked_at IS NULL AND s.expires_at > ? AND a.active = 1""",
        (token_hash, now),
    ).fetchone()
    return dict(row) if row else None


def list_sessions(db: Database, account: str, now: str) -> list[dict[str, Any]]:
    rows = db.conn.execute(
        """SELECT substr(token_hash, 1, 12) AS id, created_at, expires_at, address FROM sessions
           WHERE account = ? AND revoked_at IS NULL AND expires_at > ? ORDER BY created_at DESC""",
        (account, now),
    )
    return [dict(r) for r in rows]


def revoke_session(db: Database, token_hash: str, at: str) -> int:
    return db.conn.execute(
        "UPDATE sessions SET revoked_at = ? WHERE token_hash = ? AND revoked_at IS NULL", (at, token_hash)
    ).rowcount


def revoke_sessions(db: Database, account: str, at: str) -> int:
    return db.conn.execute(
        "UPDATE sessions SET revoked_at = ? WHERE account = ? AND revoked_at IS NULL", (at, account)
    ).rowcount


def insert_attempt(db: Database, *, name: str, address: str, at: str) -> int:
    cursor = db.conn.execute("INSERT INTO sign_in_attempts(name, address, at) VALUES (?,?,?)", (name, address, at))
    return int(cursor.lastrowid or 0)


def list_attempts(db: Database, *, name: str, address: str, since: str) -> tuple[list[str], list[str]]:
    """Times of wrong passwords since then: for this name, and from this address."""
    by_name = db.conn.execute("SELECT at FROM sign_in_attempts WHERE name = ? AND at > ? ORDER BY at", (name, since))
    by_address = db.conn.execute("SELECT at FROM sign_in_attempts WHERE address = ? AND at > ? ORDER BY at", (address, since))
    return [r["at"] for r in by_name], [r["at"] for r in by_address]


def delete_attempts(db: Database, *, ids: tuple[int, ...] = (), name: str = "", before: str = "") -> None:
    for attempt in ids:
        db.conn.execute("DELETE FROM sign_in_attempts WHERE id = ?", (attempt,))
    if name:
        db.conn.execute("DELETE FROM sign_in_attempts WHERE name = ?", (name,))
    if before:
        db.conn.execute("DELETE FROM sign_in_attempts WHERE at < ?", (before,))


def find_setting(db: Database, key: str) -> str | None:
    row = db.conn.execute("SELECT value FROM settings WHERE key = ?", (key,)).fetchone()
    return row["value"] if row else None


def set_setting(db: Database, key: str, value: str | None) -> None:
    if value is None:
        db.conn.execute("DELETE FROM settings WHERE key = ?", (key,))
    else:
        db.conn.execute("INSERT INTO settings VALUES (?,?) ON CONFLICT(key) DO UPDATE SET value = excluded.value", (key, value))
