"""What the agent asks people for: one risky action each, with its reason, risk, predicted impact, and what happens if nobody answers.

Who may decide follows from the action; nobody decides their own, and the agent never decides. An approval is used at once, inside
the act that it allows (core.agent.warrants).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core import acts, decisions
from core.accounts import Account
from core.acts import Actor, Done, Tx
from core.agent.actions import ACTIONS
from core.errors import NotFound, Refused
from core.home import Home
from core.notify.events import tell
from core.projects.limits import call_setting, say_value
from core.times import stamp, utc_now
from storage import agent as store
from storage import versions as versions_store
from storage.connection import reading


@dataclass(frozen=True)
class AgentRequest:
    """One request of the agent.

    Attributes
    ----------
    action : str
        The typed action that is asked for, with ``params``.
    risk : "low", "medium" or "high"
    impact : str
        What is expected of it, from measured facts.
    evidence : dict
        The diagnosis that it rests on.
    state : str
        pending, approved, rejected, withdrawn (over by itself, or no longer right), expired (nobody decided in 24 h), lapsed (approved, unused for 7
        days) or used.
    outcome : str
        What came of it once it was carried out.
    trained_by : str
        Of a deployment, who trained the version: that account does not decide it.
    """

    id: int
    project: str
    incident_id: int
    action: str
    params: dict[str, Any]
    reason: str
    risk: str
    impact: str
    if_nobody: str
    evidence: dict[str, Any]
    requested_by: str
    requested_at: str
    expires_at: str
    state: str
    decided_by: str | None
    decided_at: str | None
    decision_reason: str | None
    used_at: str | None
    outcome: str
    trained_by: str = ""

    @property
    def title(self) -> str:
        """What is asked for, in words: "Roll back to version 1.0.0"."""
        return say_action(self.action, self.params)

    @property
    def permission(self) -> str:
        return ACTIONS[self.action].permission


def say_action(action: str, params: dict[str, Any]) -> str:
    """An action with its parameters in words."""
    if action == "rollback":
        return f"Roll back to version {params.get('to')}"
    if action == "deploy":
        return f"Deploy version {params.get('version')}"
    if action == "change_setting":
        return "Change " + ", ".join(f"{call_setting(name)} to {say_value(name, value)}" for name, value in params.get("changes", {}).items())
    return ACTIONS[action].title


def get_request(home: Home, request_id: int, *, now: datetime | None = None) -> AgentRequest:
    """One request, its state as it is now.

    Raises
    ------
    NotFound
        There is none of that number.
    """
    row = store.find_request(reading(home.db), request_id)
    if row is None:
        raise NotFound(f"There is no request {request_id} of the agent.")
    return _request(reading(home.db), row, now or utc_now())


def list_requests(
    home: Home, *, project: str | None = None, states: tuple[str, ...] = (), incident_id: int | None = None, now: datetime | None = None
) -> list[AgentRequest]:
    """Newest first; states as they are now."""
    rows = store.list_requests(reading(home.db), project=project, states=decisions.stored_as(states), incident_id=incident_id)
    found = [_request(reading(home.db), r, now or utc_now()) for r in rows]
    return [r for r in found if not states or r.state in states]


def why_not_decide(request: AgentRequest, account: Account) -> str:
    """Empty if ``account`` may decide this request; else the sentence that says why not."""
    return decisions.why_not_decide(
        account, request.permission, requested_by=request.requested_by, state=request.state, trained_by=request.trained_by
    )


def count_waiting_for(home: Home, account: Account, *, now: datetime | None = None) -> int:
    """How many requests wait for this account's decision."""
    return sum(not why_not_decide(r, account) for r in list_requests(home, states=("pending",), now=now))


def approve(
    home: Home, actor: Actor, request_id: int, *, reason: str, key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Approve, and let the agent carry it out at once; returns {"id", "state", "action", "project", "outcome"}.

    Raises
    ------
    Refused
        A role that may not approve this action, one's own request, or it is decided already.
    """
    from core.agent.carry_out import carry_out

    now = now or utc_now()
    decided = _decide(home, actor, request_id, "approved", reason, key, now)
    return {**decided, "outcome": carry_out(home, request_id, now=now)}


def reject(
    home: Home, actor: Actor, request_id: int, *, reason: str, key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Reject: nothing is done, and the incident is escalated to people."""
    return _decide(home, actor, request_id, "rejected", reason, key, now or utc_now())


def _decide(
    home: Home, actor: Actor, request_id: int, decision: str, reason: str, key: str | None, now: datetime
) -> dict[str, Any]:
    reason = acts.need_reason(reason, f"it is {decision}")
    note_expired(home, now=now)
    known = store.find_request(reading(home.db), request_id)
    incident = store.find_incident(reading(home.db), known["incident_id"]) if known else None
    permission = ACTIONS[known["action"]].permission if known else "approve_settings"

    def work(tx: Tx) -> Done:
        row = store.find_request(tx.db, request_id)
        if row is None:
            raise NotFound(f"There is no request {request_id} of the agent.")
        request = _request(tx.db, row, tx.now)
        why_not = why_not_decide(request, Account(actor.name, tx.role))
        if why_not:
            by = f" {request.decided_by} decided it at {request.decided_at}." if request.decided_by else ""
            raise Refused(f"Request {request_id} of the agent was not {decision}: {why_not}{by}")
        store.update_request(tx.db, request_id, state=decision, decided_by=actor.name, decided_at=tx.at, decision_reason=reason)
        sentence = f"{actor.name} {decision} it: {reason}"
        note_event(tx.db, row, decision, sentence, at=tx.at, approver=actor.name)
        story = incident["correlation_id"] if incident else ""
        if decision == "rejected":
            _escalate(tx.db, row, f"The request to {request.title[0].lower()}{request.title[1:]} was rejected: {reason}", story, tx.now)
        tell(
            tx.db, "request_decided", project=row["project"], subject=f"agent request {request_id}: {request.title}",
            facts={"Decision": decision, "By": actor.name, "Reason": reason}, link=f"/approvals?agent={request_id}",
            correlation_id=story, now=tx.now,
        )  # fmt: skip
        result = {"id": request_id, "state": decision, "action": row["action"], "project": row["project"]}
        return Done(
            result, {"state": "pending"}, {"state": decision, "action": row["action"], "params": row["params"]}, _subject(row),
            approver=actor.name if decision == "approved" else "",
        )  # fmt: skip

    return acts.perform(
        home, actor, "approve_agent_request" if decision == "approved" else "reject_agent_request", work, permission=permission,
        project=known["project"] if known else "", subject=f"agent request {request_id}", reason=reason, key=key,
        correlation_id=incident["correlation_id"] if incident else None, now=now,
    )  # fmt: skip


def note_expired(home: Home, *, now: datetime) -> list[int]:
    """Write down what time has decided: a waiting request expires after 24 hours and escalates, an unused approval lapses after 7 days."""
    if not any(decisions.state_at(r, now) != r["state"] for r in store.list_requests(reading(home.db), states=("pending", "approved"))):
        return []
    ended = []
    with acts.unattended(home, now) as (db, note):
        for row in store.list_requests(db, states=("pending", "approved")):
            state = decisions.state_at(row, now)
            if state == row["state"]:
                continue
            ended.append(row["id"])
            incident = store.find_incident(db, row["incident_id"]) or {}
            story = incident.get("correlation_id", "")
            reason = "nobody decided within 24 hours" if state == "expired" else "it was not carried out within 7 days"
            store.update_request(db, row["id"], state=state)
            note_event(db, row, state, f"It {'expired' if state == 'expired' else 'lapsed'}: {reason}.", at=stamp(now))
            said = say_action(row["action"], row["params"])
            _escalate(db, row, f"The request to {said[:1].lower()}{said[1:]} is {state}: {reason}.", story, now)
            note(
                actor="clock", via="clock", trigger="schedule", action=f"agent_request_{state}", project=row["project"],
                subject=_subject(row), before={"state": row["state"]}, after={"state": state}, reason=reason, correlation_id=story,
            )  # fmt: skip
            tell(
                db, "request_expired", project=row["project"], subject=f"agent request {row['id']}", facts={"Why": reason},
                link=f"/approvals?agent={row['id']}", correlation_id=story, now=now,
            )  # fmt: skip
    return ended


def withdraw(db: Any, incident_id: int, why: str, *, at: str, keep: Collection[str] = ()) -> list[int]:
    """Take back what an incident asks for, or was allowed and has not been carried out, in the caller's transaction.

    Parameters
    ----------
    why : str
        The sentence before the comma.
    keep : collection of str
        Actions that are still asked for.

    Returns
    -------
    list of int
        The requests that were taken back.
    """
    gone = [r for r in store.list_requests(db, incident_id=incident_id, states=("pending", "approved")) if r["action"] not in keep]
    for request in gone:
        store.update_request(db, request["id"], state="withdrawn")
        more = "is not asked for any more" if request["state"] == "pending" else "is not carried out, though it was approved"
        note_event(db, request, "withdrawn", f"{why}, so it {more}.", at=at)
    return [r["id"] for r in gone]


def note_event(db: Any, row: dict[str, Any], status: str, sentence: str, *, at: str, approver: str = "", detail: Any = None) -> None:
    """One line about a request in its incident's timeline."""
    store.insert_event(
        db, incident_id=row["incident_id"], at=at, kind="request", action=row["action"], status=status, approver=approver,
        sentence=sentence, detail={"request": row["id"], **(detail or {})},
    )  # fmt: skip


def _escalate(db: Any, row: dict[str, Any], why: str, story: str, now: datetime) -> None:
    """The incident of a request that nobody allowed is for people to look at."""
    incident = store.find_incident(db, row["incident_id"])
    if incident is None or incident["state"] == "closed":
        return
    store.update_incident(db, row["incident_id"], state="escalated")
    store.insert_event(
        db, incident_id=row["incident_id"], at=stamp(now), kind="end", action="", status="escalated", sentence=f"Escalated: {why}"
    )
    tell(
        db, "incident_escalated", project=row["project"], subject=f"incident {row['incident_id']}", facts={"Why": why},
        link=f"/agent?incident={row['incident_id']}", correlation_id=story, now=now,
    )  # fmt: skip


def _request(db: Any, row: dict[str, Any], now: datetime) -> AgentRequest:
    version = versions_store.find_version(db, row["project"], row["params"]["version"]) if row["action"] == "deploy" else None
    return AgentRequest(**{**row, "state": decisions.state_at(row, now)}, trained_by=version["trained_by"] if version is not None else "")


def _subject(row: dict[str, Any]) -> str:
    return f"agent request {row['id']}: {row['action']}"
