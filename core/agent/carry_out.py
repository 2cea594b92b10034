"""Carrying out what a person approved: the agent acts on the warrant, once, and says what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from core import acts, deployment, roles
from core.agent import account
from core.agent.agent_requests import AgentRequest, get_request
from core.agent.control import read_control
from core.agent.incidents import get_incident
from core.decisions import HOLDS
from core.errors import GreenlightError, Refused
from core.home import Home
from core.projects import proposals
from core.projects.limits import get_limits, say_value, title_of, value_of
from core.projects.projects import get_definition
from core.retraining import retraining
from core.times import stamp
from storage import agent as store
from storage.connection import reading

log = logging.getLogger("greenlight.mlops")

SAYS_WITHIN = timedelta(minutes=1)  # who carries a request out writes what came of it right after the act


def carry_out(home: Home, request_id: int, *, now: datetime) -> str:
    """Carry out an approved request; returns what came of it in a sentence. A second call finds it used and changes nothing."""
    request = get_request(home, request_id, now=now)
    if request.state != "approved":
        return request.outcome or f"Request {request_id} is {request.state}."
    control = read_control(home)
    if control.paused or control.dry_run:
        return f"{control.sentence} It is carried out afterwards, within {HOLDS.days} days of the approval."
    story = get_incident(home, request.incident_id).correlation_id
    reason = f"Request {request_id}, approved by {request.decided_by}: {request.decision_reason}"
    try:
        detail, said = _DO[request.action](home, request, reason, story, now)
        status = "done"
    except GreenlightError as error:
        detail, said, status = {}, str(error), "failed"
    except Exception as error:  # the boundary of an action that was allowed: it must end with the truth, not half way
        log.exception("the agent could not carry out request %s", request_id)
        detail, said, status = {}, f"It failed ({type(error).__name__}); the log holds the trace.", "failed"
    return _note(home, request, status, said, detail, story, now)


def note_unsaid(home: Home, *, now: datetime) -> None:
    """Approvals that were used while the process died: the act is done, only its end was not told."""
    for request_id in store.list_unsaid(reading(home.db), before=stamp(now - SAYS_WITHIN)):
        request = get_request(home, request_id, now=now)
        story = get_incident(home, request.incident_id).correlation_id
        _note(home, request, "done", "It was carried out; the process that did it ended before it could say so.", {}, story, now)


def _retrain(home: Home, request: AgentRequest, reason: str, story: str, now: datetime) -> tuple[dict[str, Any], str]:
    done = retraining.start(
        home, account.ACTOR, request.project, trigger="agent", reason=reason, correlation_id=story, approval=request.id, now=now
    )
    return {"retraining": done["id"], "job": done["job"]}, f"Retraining {done['id']} is on the list of jobs (job {done['job']})."


def _rollback(home: Home, request: AgentRequest, reason: str, story: str, now: datetime) -> tuple[dict[str, Any], str]:
    live, meant = deployment.find_live(home, request.project), request.params.get("from")
    if live is None or live.version != meant:
        here = f"version {live.version} is" if live is not None else "nothing is"
        raise Refused(f"Version {meant} was to be taken back, but {here} live now; nothing was changed.")
    done = deployment.rollback(
        home, account.ACTOR, request.project, to=request.params["to"], reason=reason, warrant=request.id, correlation_id=story, now=now
    )
    return {"before": done["before"], "after": done["version"]}, f"Version {done['version']} is live again; {done['before']} was before."


def _deploy(home: Home, request: AgentRequest, reason: str, story: str, now: datetime) -> tuple[dict[str, Any], str]:
    done = deployment.deploy(
        home, account.ACTOR, request.project, request.params["version"], reason=reason, warrant=request.id, correlation_id=story, now=now
    )
    return {"before": done["before"], "after": done["version"]}, f"Version {done['version']} is live; {done['before']} was before."


def _change_setting(home: Home, request: AgentRequest, reason: str, story: str, now: datetime) -> tuple[dict[str, Any], str]:
    limits = get_limits(home, request.project)
    for name, meant in request.params.get("from", {}).items():
        if value_of(limits, name) != meant:
            said = f"{say_value(name, meant)} was in force when it was asked for, {say_value(name, value_of(limits, name))} is now"
            raise Refused(f"{title_of(name, get_definition(home, request.project))}: {said}; nothing was changed.")
    done = proposals.change_on_warrant(
        home, account.ACTOR, request.project, request.params["changes"], reason=reason, warrant=request.id, correlation_id=story, now=now
    )
    said = "; ".join(f"{name} was {c['from']:g} and is {c['to']:g}" for name, c in done["changes"].items())
    return {"changes": done["changes"]}, f"{said[0].upper()}{said[1:]}."


_DO: dict[str, Callable[[Home, AgentRequest, str, str, datetime], tuple[dict[str, Any], str]]] = {
    "retrain": _retrain, "rollback": _rollback, "deploy": _deploy, "change_setting": _change_setting,
}  # fmt: skip


def _note(home: Home, request: AgentRequest, status: str, said: str, detail: dict[str, Any], story: str, now: datetime) -> str:
    with acts.unattended(home, now) as (db, note):
        row = store.find_request(db, request.id)
        if row is None or row["outcome"]:
            return str(row["outcome"]) if row else said  # another process was first
        if status == "failed" and row["state"] != "approved":
            # the approval was taken, so the act is done: by another process, which says so, or here before something else failed
            return f"Request {request.id} is {row['state']} already."
        store.update_request(db, request.id, state="used", used_at=stamp(now), outcome=f"{status}: {said}")
        store.insert_event(
            db, incident_id=request.incident_id, at=stamp(now), kind="action", action=request.action, status=status,
            approver=request.decided_by or "", sentence=said, detail={"request": request.id, **detail},
        )  # fmt: skip
        incident = store.find_incident(db, request.incident_id)
        if incident is not None and incident["closed_at"] is None:
            store.update_incident(db, request.incident_id, state="watching" if status == "done" else "escalated")
        note(
            actor=account.NAME, role=roles.AGENT, via="agent", trigger="alert", action=f"agent_{request.action}",
            project=request.project, subject=f"agent request {request.id}", outcome=status, error="" if status == "done" else said,
            approver=request.decided_by or "", after={"status": status, **detail}, reason=said, correlation_id=story,
        )  # fmt: skip
    return said
