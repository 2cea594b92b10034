"""What a project is joined to: the database that its rows come from, the expectation suite that its tables must meet.

A join stands beside the definition, as the limits do: versions refer to the definition by its sha256, and where rows come
from does not change what a version was trained as. Every earlier value is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core import acts
from core.acts import Actor, Done, Tx
from core.errors import BadInput, GreenlightError
from core.home import Home
from core.projects.projects import get_project
from storage import joins as store
from storage.connection import reading

KINDS = ("database", "expectations")
_TAKEN_AWAY = {"database": "the project leaves its database", "expectations": "the suite is taken away"}
Check = Callable[[Any], dict[str, Any]]


@dataclass(frozen=True)
class Join:
    """One value as it was set; ``value`` is None where the join was taken away."""

    id: int
    project: str
    kind: str
    value: dict[str, Any] | None
    at: str
    by: str


def find_join(home: Home, project: str, kind: str) -> Join | None:
    """What is in force: None where nothing was set, or it was taken away."""
    row = store.find_join(reading(home.db), project, kind)
    return Join(**row) if row is not None and row["value"] is not None else None


def list_joins(home: Home, project: str, kind: str) -> list[Join]:
    """Everything that was ever set, newest first."""
    return [Join(**row) for row in store.list_joins(reading(home.db), project, kind)]


def find_join_at(home: Home, project: str, kind: str, moment: str) -> Join | None:
    """What was in force at a moment (a stored time); None where nothing was."""
    row = next((j for j in list_joins(home, project, kind) if j.at <= moment), None)
    return row if row is not None and row.value is not None else None


def set_join(
    home: Home, actor: Actor, project: str, kind: str, value: Any, *, check: Check, reason: str = "", key: str | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Join a project to something; ``value`` None takes the join away. Returns {"id", "project", "kind"}.

    Parameters
    ----------
    kind : one of KINDS
    check : callable(value) -> dict
        Returns the value as it is kept; raises BadInput for what cannot be used. Never holds a password.
    reason : str
        Needed where a join is taken away: what rows come from, or must meet, changes for everybody.
    """
    if kind not in KINDS:
        raise BadInput(f"A project is joined to a {' or an '.join(KINDS)}, not to {str(kind)[:40]!r}.")
    get_project(home, project)
    refusal: GreenlightError | None = None
    kept: dict[str, Any] | None = None
    try:
        if value is None:
            reason = acts.need_reason(reason, _TAKEN_AWAY[kind])
        else:
            kept = check(value)
    except GreenlightError as error:
        refusal = error  # raised inside the act, so that the attempt is audited

    def work(tx: Tx) -> Done:
        if refusal is not None:
            raise refusal
        before = store.find_join(tx.db, project, kind)
        join_id = store.insert_join(tx.db, project=project, kind=kind, value=kept, at=tx.at, by=actor.name)
        was = before["value"] if before else None
        return Done({"id": join_id, "project": project, "kind": kind}, {kind: was}, {kind: kept}, f"{kind} of {project}")

    return acts.perform(home, actor, "join", work, permission="upload_data", project=project, reason=reason, key=key, now=now)
