"""Whose account is whose at an identity provider, and which of its tokens were used."""

from __future__ import annotations

from typing import Any

from sqlite_utils import Database


def find_identity(db: Database, issuer: str, subject: str) -> dict[str, Any] | None:
    row = db.conn.execute("SELECT * FROM identities WHERE issuer = ? AND subject = ?", (issuer, subject)).fetchone()
    return dict(row) if row else None


def find_identity_of(db: Database, account: str) -> dict[str, Any] | None:
    row = db.conn.execute("SELECT * FROM identities WHERE account = ?", (account,)).fetchone()
    return dict(row) if row else None


def insert_identity(db: Database, *, issuer: str, subject: str, account: str, at: str) -> None:
    db.conn.execute("INSERT INTO identities(issuer, subject, account, at) VALUES (?,?,?,?)", (issuer, subject, account, at))


def use_token(db: Database, token_hash: str, *, at: str, forget_before: str) -> bool:
    """Whether a token is used for the first time; those that are too old to be believed anyway are forgotten."""
    db.conn.execute("DELETE FROM identity_uses WHERE at < ?", (forget_before,))
    done = db.conn.execute("INSERT OR IGNORE INTO identity_uses(token_hash, at) VALUES (?,?)", (token_hash, at))
    return done.rowcount == 1
