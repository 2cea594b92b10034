"""Requests counted per subject and minute, shared by every process of an installation."""

from __future__ import annotations

from collections.abc import Iterable

from sqlite_utils import Database


def find_counts(db: Database, subject: str, minutes: tuple[str, str]) -> dict[str, int]:
    """Minute -> requests of one subject, for two minutes (``2026-11-21T11:36``)."""
    rows = db.conn.execute("SELECT minute, n FROM rate_counts WHERE subject = ? AND minute IN (?, ?)", (subject, *minutes))
    return {r["minute"]: int(r["n"]) for r in rows}


def add_counts(db: Database, counts: Iterable[tuple[str, str, int]], *, keep_from: str) -> None:
    """Add (subject, minute, requests) in the caller's transaction, and forget the minutes before ``keep_from``."""
    db.conn.executemany(
        """INSERT INTO rate_counts(subject, minute, n) VALUES (?,?,?)
           ON CONFLICT(subject, minute) DO UPDATE SET n = n + excluded.n""",
        counts,
    )
    if keep_from:
        db.conn.execute("DELETE FROM rate_counts WHERE minute < ?", (keep_from,))
