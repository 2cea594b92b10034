"""The spine: every change of state is an act.

An act checks the role, does its work and appends its audit event in ONE immediate transaction, and is
idempotent by a request key. What is refused or fails is audited too, in a transaction of its own after
the work was rolled back.
"""

from __future__ import annotations

import getpass
import json
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import partial
from typing import Any

from sqlite_utils import Database

from core import audit, logs, roles
from core.errors import BadInput, GreenlightError, Refused
from core.home import Home
from core.times import stamp, utc_now
from storage import accounts as accounts_store
from storage import audit as audit_store
from storage import projects as projects_store
from storage import retrainings as retrainings_store
from storage.connection import reading, writing

# What may still be done to an archived project: bring it back, read it out, end what had begun before, and delete.
_ALSO_WHEN_ARCHIVED = frozenset(
    {"archive_project", "restore_project", "export_dataset", "train", "cancel_job", "withdraw_request", "reject_release", "undeploy",
     "make_report", "send_report", "finish_retraining", "archive_version", "withdraw_settings", "reject_settings", "set_retention",
     "purge_predictions", "purge_dataset", "erase_person"}
)


# What a retraining does by itself, once somebody who might has started it. It is done in the starter's name, who may be the
# agent or a program and may do none of this alone.
_ERRANDS = frozenset(
    {"export_dataset", "add_dataset", "check_suite", "train", "register", "request_release", "archive_version", "finish_retraining"}
)

# Which logger tells of an act; of those that are not named here, app does.
_TOLD_BY = {
    "mlops": {"register", "request_release", "approve_release", "reject_release", "withdraw_request", "request_expired", "deploy",
              "undeploy", "rollback", "propose_settings", "approve_settings", "reject_settings", "withdraw_settings"},
    "monitoring": {"raise_alert", "settle_alert", "acknowledge_alert", "resolve_alert", "take_message", "check_drift", "recount_log"},
    "model_training": {"start_training", "train"},
    "retraining": {"check_retraining", "start_retraining", "resume_retraining", "finish_retraining", "archive_version"},
}  # fmt: skip


@dataclass(frozen=True)
class Actor:
    """Who acts, and through which door (page, cli, api, schedule, job).

    Attributes
    ----------
    errand : int
        The open retraining that this is done for; 0 for everything that somebody does directly.
    """

    name: str
    via: str = "page"
    os_user: str = ""
    errand: int = 0


def cli_actor(name: str) -> Actor:
    """The command line trusts whoever can read the files, and writes down who that was."""
    return Actor(name, via="cli", os_user=getpass.getuser())


@dataclass(frozen=True)
class Tx:
    """What the work of an act is given: the open transaction, the checked account, the time."""

    db: Database
    actor: Actor
    role: str
    now: datetime
    at: str
    correlation_id: str


@dataclass(frozen=True)
class Done:
    """What the work of an act returns. ``result`` must be plain JSON data: it is kept with the request key."""

    result: dict[str, Any] = field(default_factory=dict)
    before: Any = None
    after: Any = None
    subject: str = ""
    approver: str = ""


def perform(
    home: Home,
    actor: Actor,
    action: str,
    work: Callable[[Tx], Done],
    *,
    permission: str | None = None,
    project: str = "",
    subject: str = "",
    reason: str = "",
    key: str | None = None,
    trigger: str = "person",
    correlation_id: str | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Do one act and return its result.

    Parameters
    ----------
    action : str
        What the audit calls it.
    permission : str, optional
        The row of the role table that governs it, if it is not called like the action.
    key : str, optional
        Request key: the same key again (same actor, same action) returns the first result and does nothing.

    Raises
    ------
    Refused
        The account does not exist, is closed, or its role may not; the project is archived; or the work refused.
    """
    now = now or utc_now()
    event: dict[str, Any] = {
        "at": stamp(now), "actor": actor.name, "role": "", "via": actor.via, "os_user": actor.os_user, "action": action,
        "project": project, "subject": subject, "trigger": trigger, "reason": reason, "approver": "", "error": "",
        "before": None, "after": None, "correlation_id": correlation_id or _correlate(),
    }
    try:
        with logs.bound(correlation_id=event["correlation_id"], user=actor.name, project=project), writing(home.db) as db:
            account = accounts_store.find_account(db, actor.name)
            event["role"] = account["role"] if account else ""
            if account is None or not account["active"]:
                raise Refused(f"There is no active account {actor.name!r}; ask an administrator to add it.")
            if actor.errand and action in _ERRANDS:
                event["trigger"] = _check_errand(db, actor, project)
            else:
                check_role(account["role"], permission or action)
            if action not in _ALSO_WHEN_ARCHIVED:
                _check_not_archived(db, project)
            if key is not None and (seen := audit_store.find_request_key(db, key)) is not None:
                if (seen["actor"], seen["action"]) != (actor.name, action):
                    raise Refused("This request key was used for something else; reload the page and try again.")
                replay: dict[str, Any] = json.loads(seen["result"])
                return replay
            done = work(Tx(db, actor, account["role"], now, event["at"], event["correlation_id"]))
            event.update(before=done.before, after=done.after, subject=done.subject or subject, approver=done.approver)
            if key is not None:
                audit_store.insert_request_key(
                    db, key=key, actor=actor.name, action=action, result=json.dumps(done.result), at=event["at"]
                )
            seq, digest = audit.append(db, audit.Event(outcome="done", **event))
    except Exception as error:
        refused = isinstance(error, GreenlightError)
        event["error"] = str(error) if refused else f"{type(error).__name__}: {error}"[:500]
        with writing(home.db) as db:
            seq, digest = audit.append(db, audit.Event(outcome="refused" if refused else "failed", **event))
        audit.note_head(home, seq, digest)
        _tell(event, "refused" if refused else "failed", None if refused else error)
        raise
    audit.note_head(home, seq, digest)
    _tell(event, "done")
    return done.result


@contextmanager
def unattended(home: Home, now: datetime) -> Iterator[tuple[Database, Callable[..., None]]]:
    """A write transaction for the few changes that no signed-in person makes: the first account, and what time decides.

    Yields the open transaction and a function that appends an audit event to it (keywords of Event).
    """
    last: tuple[int, str] | None = None
    told: list[dict[str, Any]] = []

    def note(db: Database, **event: Any) -> None:
        nonlocal last
        blank = {f.name: "" for f in fields(audit.Event)}
        known = {**blank, "at": stamp(now), "outcome": "done", "before": None, "after": None, "correlation_id": _correlate()}
        told.append({**known, **event})
        last = audit.append(db, audit.Event(**told[-1]))

    with writing(home.db) as db:
        yield db, partial(note, db)
    if last is not None:
        audit.note_head(home, *last)
    for event in told:
        _tell(event, event["outcome"])


def _correlate() -> str:
    """The id of the request or job that this happens in, or a new one."""
    return logs.bound_value("correlation_id") or secrets.token_hex(8)


def _tell(event: dict[str, Any], outcome: str, error: Exception | None = None) -> None:
    """One line of the log for one event of the audit."""
    after = event["after"] if isinstance(event["after"], dict) else {}
    version = after.get("version")
    words = [event["action"].replace("_", " "), outcome, *([event["subject"]] if event["subject"] else [])]
    by = next((logger for logger, actions in _TOLD_BY.items() if event["action"] in actions), "app")
    said = event["error"] if error is None else type(error).__name__
    with logs.bound(
        correlation_id=event["correlation_id"], user=event["actor"], project=event["project"],
        version=version if isinstance(version, str) else "",
    ):  # fmt: skip
        logging.getLogger(f"{logs.ROOT}.{by}").log(
            {"done": logging.INFO, "refused": logging.WARNING}.get(outcome, logging.ERROR),
            ": ".join([" ".join(words[:2]), *words[2:], *([said] if said else [])]), exc_info=error,
            extra={"facts": {k: event[k] for k in ("action", "trigger", "via") if event[k]}},
        )


def _check_errand(db: Database, actor: Actor, project: str) -> str:
    """What began the open retraining that an act is done for: person, schedule or alert."""
    row = retrainings_store.find_retraining(db, actor.errand)
    if row is None or row["state"] != "open" or (row["started_by"], row["project"]) != (actor.name, project):
        raise Refused(f"Retraining {actor.errand} has ended or is another's; nothing more is done for it.")
    return {"person": "person", "agent": "alert"}.get(row["trigger"], "schedule")


def _check_not_archived(db: Database, project: str) -> None:
    row = projects_store.find_project(db, project) if project else None
    if row is not None and row["archived_at"] is not None:
        raise Refused(f"Project {project} is archived; restore it first, then try again.")


def is_allowed(home: Home, actor: Actor, permission: str, *, project: str = "", key: str | None = None) -> bool:
    """Whether it is worth preparing an act; the act itself checks again, refuses and audits.

    Parameters
    ----------
    project : str
        Nothing is worth preparing for one that is archived.
    key : str, optional
        Nor for a request key that was used: the act returns what it came to then.
    """
    db = reading(home.db)
    account = accounts_store.find_account(db, actor.name)
    if account is None or not account["active"] or not roles.may(account["role"], permission):
        return False
    row = projects_store.find_project(db, project) if project else None
    if row is not None and row["archived_at"] is not None:
        return False
    return key is None or audit_store.find_request_key(db, key) is None


def check_role(role: str, permission: str) -> None:
    """Raise Refused, naming who may, unless the role is allowed."""
    if not roles.may(role, permission):
        what = permission.replace("_", " ")
        raise Refused(f"The role {roles.ROLE_TITLES.get(role, role)} may not {what}; who may: {', '.join(roles.who_may(permission))}.")


def need_reason(reason: str, what: str) -> str:
    """The reason without blanks around it; ``what`` completes "write in a sentence why ...".

    Raises
    ------
    BadInput
        There is none, or it is longer than 2,000 characters.
    """
    reason = reason.strip()
    if not reason:
        raise BadInput(f"A reason is needed: write in a sentence why {what}.")
    if len(reason) > 2_000:
        raise BadInput("A reason has at most 2,000 characters.")
    return reason
