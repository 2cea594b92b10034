"""Projects and every definition that they ever had."""

from __future__ import annotations

from typing import Any

from sqlite_utils import Database


def insert_project(
    db: Database, *, name: str, title: str, task: str, sha: str, body: str, at: str, by: str, demo: bool
) -> None:
    db.conn.execute(
        "INSERT INTO projects(name, title, task, definition_sha, created_at, created_by, demo) VALUES (?,?,?,?,?,?,?)",
        (name, title, task, sha, at, by, int(demo)),
    )
    insert_definition(db, name, sha, body, at, by)


def insert_definition(db: Database, project: str, sha: str, body: str, at: str, by: str) -> None:
    db.conn.execute("INSERT OR IGNORE INTO definitions(sha256, project, body, at, by) VALUES (?,?,?,?,?)", (sha, project, body, at, by))


def find_project(db: Database, name: str) -> dict[str, Any] | None:
    row = db.conn.execute("SELECT * FROM projects WHERE name = ?", (name,)).fetchone()
    return dict(row) if row else None


def list_projects(db: Database, *, archived: bool = False) -> list[dict[str, Any]]:
    condition = "" if archived else "WHERE archived_at IS NULL"
    return [dict(r) for r in db.conn.execute(f"SELECT * FROM projects {condition} ORDER BY created_at, name")]  # noqa: S608


def find_definition(db: Database, project: str, sha: str) -> str | None:
    row = db.conn.execute("SELECT body FROM definitions WHERE project = ? AND sha256 = ?", (project, sha)).fetchone()
    return row["body"] if row else None


def list_definitions(db: Database, project: str) -> list[dict[str, Any]]:
    """Every definition that a project had (sha256, at, by), newest first."""
    rows = db.conn.execute("SELECT sha256, at, by FROM definitions WHERE project = ? ORDER BY at DESC, rowid DESC", (project,))
    return [dict(r) for r in rows]


def set_archived(db: Database, name: str, at: str | None) -> None:
    db.conn.execute("UPDATE projects SET archived_at = ? WHERE name = ?", (at, name))
