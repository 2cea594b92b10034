"""How much was predicted, from the hourly counts of the log."""

from __future__ import annotations

from sqlite_utils import Database

LETTERS = {"hour": 13, "day": 10, "month": 7}  # of a stored time


def count_by_step(db: Database, project: str, level: str, *, since: str, until: str) -> list[tuple[str, str, int, int]]:
    """(hour, day or month as a prefix of its stored time, version, rows, rows with problems) in whole hours, oldest first."""
    rows = db.conn.execute(
        """SELECT substr(hour, 1, ?), version, sum(rows), sum(problem_rows) FROM rollups
           WHERE project = ? AND hour >= ? AND hour < ? GROUP BY 1, 2 ORDER BY 1, 2""",
        (LETTERS[level], project, since[:13], until[:13]),
    )
    return [tuple(r) for r in rows]
