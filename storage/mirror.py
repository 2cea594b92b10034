"""What a tracking server has been given, and what of the rest it has not."""

from __future__ import annotations

from typing import Any

from sqlite_utils import Database

# The newest request that somebody decided, and the newest time that it went live, belong to what is told of a version.
_VERSIONS = """
SELECT v.id, v.project, v.version, v.candidate_id, v.stage, v.stage_reason, v.threshold, v.sha256, v.trained_by, v.registered_by,
       v.registered_at, v.notes, c.run_id, r.id AS request_id, r.state AS request_state, r.requested_by, r.reason AS request_reason,
       r.decided_by, r.decided_at, r.decision_reason, r.despite_gates, d.live_from, d.live_until, d.deployed_by, d.kind AS live_kind
FROM versions v JOIN candidates c ON c.id = v.candidate_id
LEFT JOIN requests r ON r.id = (SELECT max(id) FROM requests WHERE version_id = v.id AND decided_at IS NOT NULL)
LEFT JOIN deployments d ON d.id = (SELECT max(id) FROM deployments WHERE version_id = v.id)
ORDER BY v.id"""


def list_versions(db: Database) -> list[dict[str, Any]]:
    """Every version of every project with its newest decided request and its newest deployment, oldest first."""
    return [dict(r) for r in db.conn.execute(_VERSIONS)]


def list_waiting_runs(db: Database, target: str) -> list[tuple[int, str]]:
    """(id, project) of the trainings that the server does not know, oldest first."""
    rows = db.conn.execute(
        """SELECT id, project FROM runs WHERE NOT EXISTS
           (SELECT 1 FROM mirrored WHERE target = ? AND kind = 'run' AND item = CAST(runs.id AS TEXT)) ORDER BY id""",
        (target,),
    )
    return [(r["id"], r["project"]) for r in rows]


def list_waiting_candidates(db: Database, target: str) -> list[tuple[int, int, str]]:
    """(id, run, project) of the candidates that the server does not know, oldest first."""
    rows = db.conn.execute(
        """SELECT c.id, c.run_id, r.project FROM candidates c JOIN runs r ON r.id = c.run_id WHERE NOT EXISTS
           (SELECT 1 FROM mirrored WHERE target = ? AND kind = 'candidate' AND item = CAST(c.id AS TEXT)) ORDER BY c.id""",
        (target,),
    )
    return [(r["id"], r["run_id"], r["project"]) for r in rows]


def list_waiting_checks(db: Database, target: str) -> list[tuple[int, str]]:
    """(id, project) of the drift checks against a version that the server does not know, oldest first."""
    rows = db.conn.execute(
        """SELECT id, project FROM drift_checks d WHERE version_id IS NOT NULL AND NOT EXISTS
           (SELECT 1 FROM mirrored WHERE target = ? AND kind = 'drift' AND item = CAST(d.id AS TEXT)) ORDER BY id""",
        (target,),
    )
    return [(r["id"], r["project"]) for r in rows]


def list_traffic_hours(predictions: Database, project: str, since: str, until: str) -> list[tuple[str, str]]:
    """(hour, version) that were asked something, in ``since`` <= hour < ``until``, in their order."""
    rows = predictions.conn.execute(
        """SELECT DISTINCT bucket, version FROM traffic WHERE level = 'hour' AND project = ? AND bucket >= ? AND bucket < ?
           ORDER BY bucket, version""",
        (project, since, until),
    )
    return [(r["bucket"], r["version"]) for r in rows]


# Notes of what was given


def find_mark(db: Database, target: str, kind: str, item: str) -> dict[str, Any] | None:
    """remote (the server's own id), state and revision of what was given; None if it was not."""
    row = db.conn.execute(
        "SELECT remote, state, revision, at FROM mirrored WHERE target = ? AND kind = ? AND item = ?", (target, kind, item)
    ).fetchone()
    return dict(row) if row else None


def list_marks(db: Database, target: str, kind: str) -> dict[str, dict[str, Any]]:
    """item -> remote, state and revision of everything of one kind that was given."""
    rows = db.conn.execute("SELECT item, remote, state, revision FROM mirrored WHERE target = ? AND kind = ?", (target, kind))
    return {r["item"]: dict(r) for r in rows}


def set_marks(db: Database, target: str, kind: str, marks: dict[str, tuple[str, str, int]], at: str) -> None:
    """Note that items were given: item -> (remote, state, revision)."""
    db.conn.executemany(
        """INSERT INTO mirrored(target, kind, item, remote, state, revision, at) VALUES (?,?,?,?,?,?,?)
           ON CONFLICT DO UPDATE SET remote = excluded.remote, state = excluded.state, revision = excluded.revision, at = excluded.at""",
        [(target, kind, item, *mark, at) for item, mark in marks.items()],
    )


def find_place(db: Database, target: str, project: str) -> dict[str, Any]:
    """Up to which hour (excluded) traffic and labels of a project were given, and the count of changes of labels then."""
    row = db.conn.execute(
        "SELECT traffic_until, labels_until, labels FROM mirror_places WHERE target = ? AND project = ?", (target, project)
    ).fetchone()
    return dict(row) if row else {"traffic_until": "", "labels_until": "", "labels": 0}


def set_place(db: Database, target: str, project: str, place: dict[str, Any]) -> None:
    db.conn.execute(
        """INSERT INTO mirror_places(target, project, traffic_until, labels_until, labels) VALUES (?,?,?,?,?)
           ON CONFLICT DO UPDATE SET traffic_until = excluded.traffic_until, labels_until = excluded.labels_until, labels = excluded.labels""",
        (target, project, place["traffic_until"], place["labels_until"], place["labels"]),
    )


def forget(db: Database, target: str) -> None:
    """Drop every note about a server: everything counts as waiting again."""
    db.conn.execute("DELETE FROM mirrored WHERE target = ?", (target,))
    db.conn.execute("DELETE FROM mirror_places WHERE target = ?", (target,))
    db.conn.execute("DELETE FROM mirror_rounds WHERE target = ?", (target,))


# Rounds


def find_round(db: Database, target: str) -> dict[str, Any] | None:
    """How the last round with a server ended: ended_at, success_at, error ("" if all went well), failures in a row, next_at."""
    row = db.conn.execute("SELECT * FROM mirror_rounds WHERE target = ?", (target,)).fetchone()
    return dict(row) if row else None


def set_round(db: Database, target: str, values: dict[str, Any]) -> None:
    """Note how a round ended; ``success_at`` None keeps the earlier one."""
    db.conn.execute(
        """INSERT INTO mirror_rounds(target, ended_at, success_at, error, failures, next_at) VALUES (?,?,?,?,?,?)
           ON CONFLICT DO UPDATE SET ended_at = excluded.ended_at, success_at = coalesce(excluded.success_at, success_at),
           error = excluded.error, failures = excluded.failures, next_at = excluded.next_at""",
        (target, values["ended_at"], values["success_at"], values["error"], values["failures"], values["next_at"]),
    )
