"""Labels that came back for logged predictions, and their counts by hour (only a deletion is counted by a trigger)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from sqlite_utils import Database

_COLUMNS = (
    "project", "prediction_id", "label", "predicted", "score", "version", "predicted_at", "labelled_at", "by", "source",
    "superseded", "probabilities", "query", "counted",
)  # fmt: skip
_BATCH = 20_000  # ids handed to one statement
_GROUPS = 1_000  # groups handed to one statement, with their payloads


def insert_labels(db: Database, rows: list[dict[str, Any]]) -> None:
    """Add labels of one project, and count those that hold; whatever they supersede must have been marked before."""
    if not rows:
        return
    marks = ", ".join("?" * len(_COLUMNS))
    db.conn.executemany(
        f"INSERT INTO labels({', '.join(_COLUMNS)}) VALUES ({marks})",  # noqa: S608
        # in the order of the index by time, so that neighbours are written together
        [tuple(row[c] for c in _COLUMNS) for row in sorted(rows, key=lambda r: r["predicted_at"])],
    )
    held = Counter(
        (r["project"], r["predicted_at"][:13], r["version"], r["label"], r["predicted"])
        for r in rows
        if r["counted"] and not r["superseded"]
    )
    db.conn.executemany(
        """INSERT INTO label_counts(project, hour, version, label, predicted, rows) VALUES (?,?,?,?,?,?)
           ON CONFLICT DO UPDATE SET rows = rows + excluded.rows""",
        [(*cell, n) for cell, n in held.items()],
    )
    db.conn.execute(
        "INSERT INTO label_changes VALUES (?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n", (rows[0]["project"], len(rows))
    )


def supersede(db: Database, ids: list[int]) -> None:
    """Mark labels as corrected; they stay as history and are counted no more."""
    for start in range(0, len(ids), _BATCH):
        chosen = (json.dumps(ids[start : start + _BATCH]),)
        cells = db.conn.execute(
            """SELECT count(*), l.project, substr(l.predicted_at, 1, 13), l.version, l.label, l.predicted FROM json_each(?) j
               CROSS JOIN labels l ON l.id = j.value WHERE l.superseded = 0 AND l.counted = 1 GROUP BY 2, 3, 4, 5, 6""",
            chosen,
        ).fetchall()
        db.conn.executemany(
            """UPDATE label_counts SET rows = rows - ?
               WHERE project = ? AND hour = ? AND version = ? AND label = ? AND predicted = ?""",
            [tuple(c) for c in cells],
        )
        db.conn.execute("UPDATE labels SET superseded = 1 WHERE id IN (SELECT value FROM json_each(?))", chosen)


def find_current(db: Database, project: str, prediction_ids: list[str]) -> dict[str, tuple[int, str]]:
    """prediction_id -> (id, label) of the labels that hold now."""
    found: dict[str, tuple[int, str]] = {}
    for start in range(0, len(prediction_ids), _BATCH):
        rows = db.conn.execute(
            # CROSS JOIN keeps the order of the tables: without statistics SQLite would read every label for every id
            """SELECT l.prediction_id, l.id, l.label FROM json_each(?) j
               CROSS JOIN labels l INDEXED BY one_current_label
               ON l.project = ? AND l.prediction_id = j.value AND l.superseded = 0""",
            (json.dumps(prediction_ids[start : start + _BATCH]), project),
        )
        found.update((r[0], (r[1], r[2])) for r in rows)
    return found


def find_places(db: Database, project: str, uids: list[str]) -> dict[str, frozenset[int]]:
    """Group -> the places (from 1) of its rows that were erased, of those groups of the project that are still there."""
    found: dict[str, frozenset[int]] = {}
    for start in range(0, len(uids), _BATCH):
        rows = db.conn.execute(
            "SELECT g.uid, g.erased FROM json_each(?) j CROSS JOIN groups g ON g.uid = j.value WHERE g.project = ?",
            (json.dumps(uids[start : start + _BATCH]), project),
        )
        found.update((r["uid"], frozenset(json.loads(r["erased"])) if r["erased"] else frozenset()) for r in rows)
    return found


def count_fed(db: Database, project: str, *, at: str, by: str) -> int:
    """Labels that somebody added at one moment, the corrected among them."""
    sql = "SELECT count(*) FROM labels WHERE project = ? AND labelled_at = ? AND by = ?"
    return int(db.conn.execute(sql, (project, at, by)).fetchone()[0])


def find_predictions_of_keys(db: Database, project: str, keys: list[str]) -> dict[str, str]:
    """Business key -> its newest prediction (by the time of the group, then the place in it)."""
    newest: dict[str, tuple[str, int, str]] = {}
    for start in range(0, len(keys), _BATCH):
        rows = db.conn.execute(
            """SELECT c.key, g.at, c.prediction_id FROM json_each(?) j
               CROSS JOIN case_keys c ON c.project = ? AND c.key = j.value
               CROSS JOIN groups g ON g.uid = substr(c.prediction_id, 1, instr(c.prediction_id, '-') - 1)""",
            (json.dumps(keys[start : start + _BATCH]), project),
        )
        for key, at, prediction_id in rows:
            candidate = (at, int(prediction_id.rpartition("-")[2]), prediction_id)
            if key not in newest or candidate > newest[key]:
                newest[key] = candidate
    return {key: found[2] for key, found in newest.items()}


def iterate_payloads(db: Database, project: str, uids: list[str]) -> Iterator[tuple[Any, ...]]:
    """(uid, version, at, rows, payload, block, place) of the groups of a project among ``uids``."""
    for start in range(0, len(uids), _GROUPS):
        yield from db.conn.execute(
            """SELECT g.uid, g.version, g.at, g.rows, g.payload, g.block, g.place FROM json_each(?) j
               CROSS JOIN groups g ON g.uid = j.value WHERE g.project = ? ORDER BY g.block""",
            (json.dumps(uids[start : start + _GROUPS]), project),
        )


def find_block(db: Database, block: int) -> bytes | None:
    row = db.conn.execute("SELECT payload FROM blocks WHERE id = ?", (block,)).fetchone()
    return row["payload"] if row else None


def read_answers(
    db: Database, project: str, columns: tuple[str, ...], *, since: str, until: str, version: str | None = None
) -> list[tuple[Any, ...]]:
    """Chosen columns of the labelled predictions of a period as plain tuples, in no order: for arithmetic on many rows."""
    sql, values = _where(project, since, until, version)
    cursor = db.conn.cursor()
    cursor.row_factory = None
    return cursor.execute(f"SELECT {', '.join(columns)} FROM labels{sql}", values).fetchall()  # noqa: S608


def count_outcomes(
    db: Database, project: str, *, since: str, until: str = "9999", version: str | None = None
) -> list[tuple[str, str, str, str, int]]:
    """(hour, version, label, predicted, rows) of labelled classes in whole hours, from the hourly counts."""
    sql = "SELECT hour, version, label, predicted, rows FROM label_counts WHERE project = ? AND hour >= ? AND hour < ? AND rows > 0"
    values = [project, since[:13], until[:13]]
    if version is not None:
        sql += " AND version = ?"
        values.append(version)
    return [tuple(r) for r in db.conn.execute(sql + " ORDER BY hour, version, label, predicted", values)]


def list_cell(
    db: Database, project: str, *, label: str, predicted: str, since: str, until: str, version: str | None, limit: int
) -> list[dict[str, Any]]:
    """Labelled predictions of one cell of the confusion matrix, newest first."""
    sql, values = _where(project, since, until, version)
    rows = db.conn.execute(
        f"""SELECT prediction_id, label, predicted, score, version, predicted_at, labelled_at, by, source FROM labels{sql}
            AND label = ? AND predicted = ? ORDER BY predicted_at DESC, id DESC LIMIT ?""",  # noqa: S608
        (*values, label, predicted, limit),
    )
    return [dict(r) for r in rows]


def list_history(db: Database, project: str, prediction_id: str) -> list[dict[str, Any]]:
    """Every label that one prediction ever had, oldest first."""
    rows = db.conn.execute(
        """SELECT label, labelled_at, by, source, superseded FROM labels WHERE project = ? AND prediction_id = ?
           ORDER BY id""",
        (project, prediction_id),
    )
    return [dict(r) for r in rows]


def count_changes(db: Database, project: str) -> int:
    """A number that grows with every label that is added or deleted; equal numbers mean equal labels."""
    row = db.conn.execute("SELECT n FROM label_changes WHERE project = ?", (project,)).fetchone()
    newest = db.conn.execute("SELECT coalesce(max(id), 0) FROM labels").fetchone()[0]
    return (row["n"] if row else 0) + int(newest)


def count_labels_since(db: Database, project: str, since: str) -> int:
    """Current labels that arrived after a moment."""
    return int(
        db.conn.execute(
            "SELECT count(*) FROM labels WHERE project = ? AND superseded = 0 AND labelled_at > ?", (project, since)
        ).fetchone()[0]
    )


def _where(project: str, since: str, until: str, version: str | None) -> tuple[str, tuple[Any, ...]]:
    sql = " WHERE project = ? AND superseded = 0 AND predicted_at >= ? AND predicted_at < ?"
    return (sql, (project, since, until)) if version is None else (sql + " AND version = ?", (project, since, until, version))
