"""Working off a plan: safe actions run within the hourly limit, risky ones become requests, advice is said. In a dry run nothing is."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from core import acts, roles
from core.acts import Done, Tx
from core.agent import account, safe
from core.agent.actions import ACTIONS, PERSON, RISKY, SAFE, Action
from core.agent.agent_requests import note_event, say_action
from core.agent.control import Control, read_control
from core.agent.follow_up import escalate
from core.agent.incidents import Incident, get_incident
from core.agent.opening import DRY, PENDING
from core.agent.risky import PROPOSE, Proposal
from core.agent.safe import Outcome
from core.decisions import WAITS
from core.errors import GreenlightError
from core.home import Home
from core.notify.events import tell
from core.text import one_line
from core.times import stamp
from storage import agent as store
from storage.connection import reading, writing

log = logging.getLogger("greenlight.mlops")


def work_off(home: Home, incident_id: int, *, now: datetime) -> None:
    """Do what the plan of an incident still has to do; what the hourly limit holds back is done at a later turn.

    The switches are read before every step, so that a pause stops what is under way.
    """
    asked = False
    for place, step in enumerate(get_incident(home, incident_id).diagnosis["plan"]["steps"]):
        control = read_control(home)
        if control.paused:
            return
        waits = step["status"] == PENDING or (step["status"] == DRY and not control.dry_run)
        action = ACTIONS[step["action"]]
        if not waits:
            asked = asked or step["status"] == "waiting"
            continue
        incident = get_incident(home, incident_id)
        if control.dry_run:
            _note(home, incident, place, action, Outcome(DRY, f"Dry run: {_would(action)}"), now)
        elif action.tier == PERSON:
            _note(home, incident, place, action, Outcome("advised", _advise(action, incident), detail=_names(incident)), now)
        elif action.tier == SAFE:
            if store.count_actions(reading(home.db), since=stamp(now - timedelta(hours=1))) >= control.per_hour:
                _note_held(home, incident, place, action, control, now)
                continue
            _note(home, incident, place, action, _run(home, incident, action, now), now)
        elif asked:
            _note(home, incident, place, action, Outcome("skipped", "Another action of this incident waits for a person first."), now)
        else:
            asked = _ask(home, incident, place, action, now)
    _settle_state(home, incident_id)
    if not read_control(home).dry_run:
        _hand_over(home, incident_id, now)


def _hand_over(home: Home, incident_id: int, now: datetime) -> None:
    """A grave incident whose plan names risky actions, of which none could be asked for, is for people at once."""
    incident = get_incident(home, incident_id)
    steps = incident.diagnosis["plan"]["steps"]
    risky = [s for s in steps if ACTIONS[s["action"]].tier == RISKY]
    if incident.diagnosis["plan"]["band"] == "high" and risky and all(s["status"] == "skipped" for s in risky) and incident.state == "watching":
        names = ", ".join(ACTIONS[s["action"]].title.lower() for s in risky)
        escalate(home, incident_id, f"Severity {incident.severity:.2f}, and no action ({names}) has anything to act on; a person must look.", now=now)


def _run(home: Home, incident: Incident, action: Action, now: datetime) -> Outcome:
    try:
        return safe.RUN[action.name](home, incident, now)
    except GreenlightError as error:
        return Outcome("failed", str(error))
    except Exception as error:  # the boundary of an action: one that fails must not keep the others from running
        log.exception("the agent's action %s failed", action.name)
        return Outcome("failed", f"It failed ({type(error).__name__}); the log holds the trace.")


def _note(home: Home, incident: Incident, place: int, action: Action, outcome: Outcome, now: datetime) -> None:
    """The outcome of a step as an act of the agent's account, in the timeline and in the plan."""
    if outcome.status == "failed":
        with acts.unattended(home, now) as (db, note):
            if _set_step(db, incident.id, place, action, "failed"):
                _insert(db, incident, action, outcome, stamp(now))
                note(
                    actor=account.NAME, role=roles.AGENT, via="agent", trigger="alert", action=f"agent_{action.name}",
                    project=incident.project, subject=f"incident {incident.id}", outcome="failed", error=outcome.sentence,
                    reason=incident.diagnosis["plan"]["rule"], correlation_id=incident.correlation_id,
                )  # fmt: skip
        return

    def work(tx: Tx) -> Done:
        if not _set_step(tx.db, incident.id, place, action, outcome.status):
            return Done({"status": "done by another process"}, subject=f"incident {incident.id}")
        done = outcome.write(tx) if outcome.write is not None else outcome
        if done.status != outcome.status:
            _set_step(tx.db, incident.id, place, action, done.status, again=True)
        _insert(tx.db, incident, action, done, tx.at)
        return Done({"status": done.status}, done.before, {"status": done.status, "said": done.sentence, "value": done.after},
                    f"incident {incident.id}")  # fmt: skip

    acts.perform(
        home, account.ACTOR, f"agent_{action.name}", work, permission="run_safe_action", project=incident.project,
        subject=f"incident {incident.id}", reason=incident.diagnosis["plan"]["rule"], trigger="alert",
        correlation_id=incident.correlation_id, now=now,
    )  # fmt: skip


def _note_held(home: Home, incident: Incident, place: int, action: Action, control: Control, now: datetime) -> None:
    """Say once that the hourly limit holds an action back; it stays in the plan."""
    step = incident.diagnosis["plan"]["steps"][place]
    if step.get("held"):
        return
    with acts.unattended(home, now) as (db, note):
        if _set_step(db, incident.id, place, action, PENDING, held=True):
            sentence = f"Held back: {control.per_hour} actions ran in the last hour, and no more are allowed; it runs later."
            _insert(db, incident, action, Outcome("held back", sentence), stamp(now))
            note(
                actor=account.NAME, role=roles.AGENT, via="agent", trigger="alert", action=f"agent_{action.name}",
                project=incident.project, subject=f"incident {incident.id}", after={"status": "held back"}, reason=sentence,
                correlation_id=incident.correlation_id,
            )  # fmt: skip


def _ask(home: Home, incident: Incident, place: int, action: Action, now: datetime) -> bool:
    """File a request for a risky action; whether one waits now."""
    before = next((r for r in store.list_requests(reading(home.db), incident_id=incident.id) if r["action"] == action.name), None)
    if before is not None and before["state"] in ("rejected", "expired", "lapsed", "used"):
        said = f"It was asked for already in this incident (request {before['id']}, {before['state']}), so it is not asked again."
        _note(home, incident, place, action, Outcome("skipped", said), now)
        return False
    try:
        found = PROPOSE[action.name](home, incident, now)
    except GreenlightError as error:
        found = str(error)
    if isinstance(found, str):
        _note(home, incident, place, action, Outcome("skipped", f"Not asked for: {found}"), now)
        return False
    _file(home, incident, place, action, found, now)
    return True


def _file(home: Home, incident: Incident, place: int, action: Action, proposal: Proposal, now: datetime) -> None:
    diagnosis = incident.diagnosis
    evidence = {name: diagnosis[name] for name in ("issue", "cause", "severity", "sentence", "measured", "columns", "drifted", "evidence")}

    def work(tx: Tx) -> Done:
        known = store.find_open_request(tx.db, incident.id, action.name)
        _set_step(tx.db, incident.id, place, action, "waiting")
        if known is not None and known["params"] != proposal.params:
            store.update_request(tx.db, known["id"], state="withdrawn")
            note_event(tx.db, known, "withdrawn", "Something else is asked for instead.", at=tx.at)
        elif known is not None:
            return Done({"id": known["id"]}, subject=f"agent request {known['id']}: {action.name}")
        request_id = store.insert_request(
            tx.db,
            {
                "project": incident.project, "incident_id": incident.id, "action": action.name, "params": proposal.params,
                "reason": diagnosis["sentence"], "risk": action.risk, "impact": proposal.impact, "if_nobody": action.if_nobody,
                "evidence": evidence, "requested_by": account.NAME, "requested_at": tx.at, "expires_at": stamp(now + WAITS),
                "state": "pending", "outcome": "",
            },
        )
        title = say_action(action.name, proposal.params)
        store.insert_event(
            tx.db, incident_id=incident.id, at=tx.at, kind="request", action=action.name, status="waiting",
            sentence=f"{title}: request {request_id} waits for a person until {stamp(now + WAITS)[:16].replace('T', ' ')} UTC. {proposal.impact}",
            detail={"request": request_id, "params": proposal.params},
        )  # fmt: skip
        tell(
            tx.db, "request_filed", project=incident.project, subject=f"agent request {request_id}: {title}",
            facts={"Why": diagnosis["sentence"], "Risk": action.risk, "Expected": proposal.impact, "If nobody answers": action.if_nobody},
            link=f"/approvals?agent={request_id}", correlation_id=incident.correlation_id, permission=action.permission, now=tx.now,
        )  # fmt: skip
        after = {"request": request_id, "action": action.name, "params": proposal.params, "risk": action.risk}
        return Done({"id": request_id}, after=after, subject=f"agent request {request_id}: {action.name}")

    acts.perform(
        home, account.ACTOR, "file_agent_request", work, permission="file_request", project=incident.project,
        subject=f"incident {incident.id}", reason=diagnosis["sentence"], trigger="alert", correlation_id=incident.correlation_id, now=now,
    )  # fmt: skip


def _insert(db: Any, incident: Incident, action: Action, outcome: Outcome, at: str) -> None:
    detail = {**outcome.detail, "before": outcome.before, "after": outcome.after}
    store.insert_event(
        db, incident_id=incident.id, at=at, kind="action", action=action.name, status=outcome.status, sentence=outcome.sentence,
        detail=detail,
    )  # fmt: skip


def _set_step(db: Any, incident_id: int, place: int, action: Action, status: str, *, again: bool = False, held: bool = False) -> bool:
    """Move one step of the plan on; False if the plan has changed or another process did it."""
    row = store.find_incident(db, incident_id)
    steps = row["diagnosis"]["plan"]["steps"] if row else []
    if row is None or place >= len(steps) or steps[place]["action"] != action.name:
        return False
    if not again and steps[place]["status"] not in (PENDING, DRY):
        return False
    steps[place] = {"action": action.name, "status": status, **({"held": True} if held else {})}
    store.update_incident(db, incident_id, diagnosis=row["diagnosis"])
    return True


def _settle_state(home: Home, incident_id: int) -> None:
    """Waiting while a request waits, open while something is left to do, watching afterwards; escalated stays."""
    incident = get_incident(home, incident_id)
    if incident.state in ("escalated", "closed"):
        return
    left = any(s["status"] == PENDING for s in incident.diagnosis["plan"]["steps"])
    waiting = store.list_requests(reading(home.db), incident_id=incident_id, states=("pending", "approved"))
    state = "waiting" if waiting else "open" if left else "watching"
    if state != incident.state:
        with writing(home.db) as db:
            row = store.find_incident(db, incident_id)
            if row is not None and row["state"] == incident.state:
                store.update_incident(db, incident_id, state=state)


def _would(action: Action) -> str:
    if action.tier == SAFE:
        return f"it would run ({action.says})"
    return f"it would ask a person ({action.says})" if action.tier != PERSON else f"it would advise: {action.says}"


def _advise(action: Action, incident: Incident) -> str:
    columns = ", ".join(one_line(c["name"])[:60] for c in incident.diagnosis["columns"][:5])
    return f"{action.says} It is about: {columns}." if columns else action.says


def _names(incident: Incident) -> dict[str, Any]:
    columns = [c["name"] for c in incident.diagnosis["columns"]]
    return {"columns": columns} if columns else {}
