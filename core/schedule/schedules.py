"""Schedules: what is done by itself, when next, and what came of it. The table is the truth; the clock only asks it.

A schedule acts in the name of the account that set it last: if that account is closed or its role may no longer do the work, the
slot fails and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core import acts
from core.acts import Actor, Done, Tx
from core.errors import BadInput, NotFound
from core.home import Home
from core.projects.projects import get_project
from core.schedule import rules
from core.schedule.rules import Rule
from core.times import stamp, utc_now
from storage import schedules as store
from storage.connection import reading

KINDS = {
    "drift_check": "Drift check",
    "quality_check": "Quality check",
    "retrain_check": "Retrain check",
    "export": "Export",
    "report": "Report",
    "backup": "Backup",
}
WHOLE = frozenset({"backup"})  # of the installation, not of one project
# What a kind can be told beside its rule, and what holds unless it is.
PARAMS: dict[str, dict[str, Any]] = {"backup": {"keep": 7}, "report": {"kind": "weekly"}}
CHOICES = {"kind": ("weekly", "drift")}  # of a report; the others are made when something happens


@dataclass(frozen=True)
class Slot:
    """One time at which a schedule was due, or at which a person ran it.

    Attributes
    ----------
    state : "running", "done", "skipped", "failed" or "missed"
    trigger : str
        "schedule"; "catch_up" where it ran late, after others were missed; "person" where somebody ran it now.
    outcome : dict
        ``sentence`` says what came of it; the rest depends on the kind.
    """

    schedule_id: int
    slot_at: str
    state: str
    trigger: str
    owner: str
    started_at: str
    heartbeat_at: str | None
    finished_at: str | None
    outcome: dict[str, Any]
    correlation_id: str

    @property
    def sentence(self) -> str:
        return str(self.outcome.get("sentence", ""))


@dataclass(frozen=True)
class Schedule:
    """One schedule.

    Attributes
    ----------
    project : str
        "" for the whole installation (backup).
    next_at : str or None
        The next slot; None while it is paused.
    last : Slot or None
        The newest slot that ran, or runs; missed ones are in the history.
    """

    id: int
    project: str
    kind: str
    rule: Rule
    params: dict[str, Any]
    paused: bool
    next_at: str | None
    created_at: str
    created_by: str
    changed_at: str
    changed_by: str
    removed_at: str | None
    last: Slot | None = None

    @property
    def title(self) -> str:
        return KINDS[self.kind]

    @property
    def said(self) -> str:
        """The rule in words."""
        return rules.say_rule(self.rule)

    @property
    def subject(self) -> str:
        return f"schedule {self.id}: {self.kind.replace('_', ' ')}"


def permission_of(kind: str) -> str:
    """Which row of the role table governs a kind: a backup holds everything, so it is the administrator's."""
    return "backup" if kind == "backup" else "schedule"


def list_schedules(home: Home, project: str | None = None) -> list[Schedule]:
    """A project's schedules ("" for those of the whole installation, None for all), each with its newest slot that ran."""
    db = reading(home.db)
    found = []
    for row in store.list_schedules(db, project):
        ran = store.list_slots(db, row["id"], limit=1, states=("running", "done", "failed", "skipped"))
        found.append(make_schedule(row, ran[0] if ran else None))
    return found


def get_schedule(home: Home, schedule_id: int) -> Schedule:
    """One schedule, removed ones too."""
    row = store.find_schedule(reading(home.db), schedule_id)
    if row is None:
        raise NotFound(f"There is no schedule {schedule_id}; `schedule list` shows those there are.")
    ran = store.list_slots(reading(home.db), schedule_id, limit=1, states=("running", "done", "failed", "skipped"))
    return make_schedule(row, ran[0] if ran else None)


def find_schedule(home: Home, project: str, kind: str) -> Schedule | None:
    return next((s for s in list_schedules(home, project) if s.kind == kind), None)


def list_slots(home: Home, schedule_id: int, *, limit: int = 50, states: tuple[str, ...] = ()) -> list[Slot]:
    """A schedule's slots, newest first, the missed ones among them."""
    return [Slot(**r) for r in store.list_slots(reading(home.db), schedule_id, limit=limit, states=states)]


def count_slots(home: Home, schedule_id: int) -> dict[str, int]:
    """Slots by state."""
    return store.count_slots(reading(home.db), schedule_id)


def set_schedule(
    home: Home, actor: Actor, project: str, kind: str, rule: Rule, *, params: dict[str, Any] | None = None, reason: str = "",
    key: str | None = None, now: datetime | None = None,
) -> dict[str, Any]:
    """Make a project's schedule of one kind, or change its rule; it is not paused afterwards.

    Parameters
    ----------
    project : str
        "" for a backup, which is of the whole installation.
    rule : dict
        As :func:`core.schedule.rules.check_rule` takes it.
    params : dict, optional
        See PARAMS; a schedule that is changed keeps its own where none are given.

    Returns
    -------
    dict
        id, project, kind, rule, next_at.
    """
    now = now or utc_now()
    _check_kind(project, kind)
    if project:
        get_project(home, project)
    checked = rules.check_rule(rule, now=now)
    wanted = None if params is None else _check_params(kind, params)
    next_at = stamp(rules.next_slot(checked, now))

    def work(tx: Tx) -> Done:
        row = store.find_by_kind(tx.db, project, kind)
        kept = wanted if wanted is not None else row["params"] if row else PARAMS.get(kind, {})
        values = {"rule": checked, "params": kept, "paused": 0, "next_at": next_at, "changed_at": tx.at, "changed_by": actor.name}
        if row is None:
            made = {"project": project, "kind": kind, "created_at": tx.at, "created_by": actor.name}
            schedule_id = store.insert_schedule(tx.db, {**made, **values})
        else:
            schedule_id = row["id"]
            _note_passed(tx, row)
            store.update_schedule(tx.db, schedule_id, **values)
        before = {k: row[k] for k in ("rule", "params", "paused", "next_at")} if row else None
        after = {"rule": checked, "params": kept, "paused": 0, "next_at": next_at}
        result = {"id": schedule_id, "project": project, "kind": kind, "rule": checked, "next_at": next_at}
        return Done(result, before, after, f"schedule {schedule_id}: {kind.replace('_', ' ')}")

    return acts.perform(
        home, actor, "set_schedule", work, permission=permission_of(kind), project=project, subject=kind.replace("_", " "),
        reason=reason, key=key, now=now,
    )  # fmt: skip


def pause(home: Home, actor: Actor, schedule_id: int, *, reason: str = "", key: str | None = None, now: datetime | None = None) -> dict[str, Any]:
    """Let no slot come until it is resumed."""
    return _change(home, actor, "pause_schedule", schedule_id, lambda s, _: {"paused": 1, "next_at": None}, reason, key, now)


def resume(home: Home, actor: Actor, schedule_id: int, *, reason: str = "", key: str | None = None, now: datetime | None = None) -> dict[str, Any]:
    """Go on with the next slot; those that would have come while it was paused were not missed."""
    def values(schedule: Schedule, moment: datetime) -> dict[str, Any]:
        return {"paused": 0, "next_at": stamp(rules.next_slot(schedule.rule, moment))} if schedule.paused else {}

    return _change(home, actor, "resume_schedule", schedule_id, values, reason, key, now)


def remove(home: Home, actor: Actor, schedule_id: int, *, reason: str = "", key: str | None = None, now: datetime | None = None) -> dict[str, Any]:
    """End a schedule; its history stays."""
    def values(_: Schedule, moment: datetime) -> dict[str, Any]:
        return {"removed_at": stamp(moment), "next_at": None}

    return _change(home, actor, "remove_schedule", schedule_id, values, reason, key, now)


def make_schedule(row: dict[str, Any], last: dict[str, Any] | None = None) -> Schedule:
    """A stored row as a value."""
    return Schedule(**{**row, "paused": bool(row["paused"])}, last=Slot(**last) if last else None)


def _change(
    home: Home, actor: Actor, action: str, schedule_id: int, values: Callable[[Schedule, datetime], dict[str, Any]], reason: str,
    key: str | None, now: datetime | None,
) -> dict[str, Any]:
    now = now or utc_now()
    known = get_schedule(home, schedule_id)

    def work(tx: Tx) -> Done:
        row = store.find_schedule(tx.db, schedule_id)
        if row is None or row["removed_at"] is not None:
            raise NotFound(f"Schedule {schedule_id} was removed; set it again.")
        changed = values(make_schedule(row), now)
        if changed:
            _note_passed(tx, row)
            store.update_schedule(tx.db, schedule_id, **changed, changed_at=tx.at, changed_by=actor.name)
        shown = ("paused", "next_at", "removed_at")
        before, after = {k: row[k] for k in shown}, {k: {**row, **changed}[k] for k in shown}
        return Done({"id": schedule_id, **after}, before, after, known.subject)

    return acts.perform(
        home, actor, action, work, permission=permission_of(known.kind), project=known.project, subject=known.subject,
        reason=reason, key=key, now=now,
    )  # fmt: skip


def _note_passed(tx: Tx, row: dict[str, Any]) -> None:
    """Slots that came before the change and were not run stay visible."""
    from core.schedule.slots import note_passed

    note_passed(tx.db, make_schedule(row), now=tx.now, correlation_id=tx.correlation_id)


def _check_kind(project: str, kind: str) -> None:
    if kind not in KINDS:
        raise BadInput(f"There is no schedule of kind {kind[:40]!r}; choose one of {', '.join(KINDS)}.")
    if kind in WHOLE and project:
        raise BadInput(f"A {KINDS[kind].lower()} is of the whole installation; name no project.")
    if kind not in WHOLE and not project:
        raise BadInput(f"Name the project of the {KINDS[kind].lower()}.")


def _check_params(kind: str, params: dict[str, Any]) -> dict[str, Any]:
    known = PARAMS.get(kind, {})
    for name, value in params.items():
        if name not in known:
            raise BadInput(f"{KINDS[kind]} has no setting {name[:40]!r}" + (f"; it has {', '.join(known)}." if known else "."))
        if isinstance(known[name], int) and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1000):
            raise BadInput(f"{name} is a whole number from 1 to 1000, not {str(value)[:20]!r}.")
        if name in CHOICES and value not in CHOICES[name]:
            raise BadInput(f"{name} is one of {', '.join(CHOICES[name])} in a schedule, not {str(value)[:20]!r}.")
    return {**known, **params}
