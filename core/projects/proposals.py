"""Requests to change gates and thresholds: proposed with a reason by whoever builds, decided by a DRH manager.

What is approved holds from that moment; what was proposed against one value is not approved over another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core import acts, decisions, roles
from core.accounts import Account, find_account
from core.acts import Actor, Done, Tx
from core.agent import warrants
from core.decisions import WAITS
from core.errors import BadInput, NotFound, Refused
from core.home import Home
from core.notify import events
from core.projects.limits import ESTIMATOR, call_setting, check_changes, get_limits, get_setting, say_value, value_of
from core.projects.projects import get_definition
from core.times import stamp, utc_now
from core.training.named import check_in_child
from storage import settings as store
from storage.connection import reading


@dataclass(frozen=True)
class SettingRequest:
    """A request to change values of one project.

    Attributes
    ----------
    changes : dict
        Name -> {"from", "to"}; "from" is what was in force when it was filed.
    state : str
        pending, approved, rejected, withdrawn or expired (nobody decided in 24 h).
    """

    id: int
    project: str
    changes: dict[str, dict[str, Any]]
    requested_by: str
    reason: str
    requested_at: str
    expires_at: str
    state: str
    decided_by: str | None
    decided_at: str | None
    decision_reason: str | None

    @property
    def lines(self) -> list[str]:
        """One sentence for each change: what, before, after."""
        return [
            f"{get_setting(name).title}: {say_value(name, change['from'])} now, {say_value(name, change['to'])} afterwards."
            for name, change in self.changes.items()
        ]


def get_request(home: Home, request_id: int, *, now: datetime | None = None) -> SettingRequest:
    row = store.find_request(reading(home.db), request_id)
    if row is None:
        raise NotFound(f"There is no request {request_id} to change settings.")
    return _request(row, now or utc_now())


def list_requests(
    home: Home, *, project: str | None = None, states: tuple[str, ...] = (), now: datetime | None = None
) -> list[SettingRequest]:
    """Newest first; states as they are now (a request that nobody answered in time is expired)."""
    rows = store.list_requests(reading(home.db), project=project, states=decisions.stored_as(states))
    found = [_request(r, now or utc_now()) for r in rows]
    return [r for r in found if not states or r.state in states]


def why_not_decide(request: SettingRequest, account: Account) -> str:
    """Empty if ``account`` may decide this request; else the sentence that says why not."""
    return decisions.why_not_decide(account, "approve_settings", requested_by=request.requested_by, state=request.state)


def count_waiting_for(home: Home, account: Account, *, now: datetime | None = None) -> int:
    """How many requests wait for this account's decision."""
    return sum(not why_not_decide(r, account) for r in list_requests(home, states=("pending",), now=now))


def propose(
    home: Home, actor: Actor, project: str, changes: Mapping[str, Any], *, reason: str, key: str | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Ask for other values; returns {"id", "project", "changes"}.

    Raises
    ------
    BadInput
        An unknown or impossible value, one that is in force already, or no reason.
    Refused
        A request that waits names one of these values already.
    """
    reason = acts.need_reason(reason, "the change is wanted")
    now = now or utc_now()
    note_expired(home, now=now)
    refusal: BadInput | None = None
    wanted: dict[str, Any] = {}
    definition, in_force = get_definition(home, project), get_limits(home, project)
    try:
        wanted = check_changes(definition, in_force, changes)
        for name in wanted:
            if name.startswith(ESTIMATOR) and wanted[name] is not None:
                _check_class(home, actor, name[len(ESTIMATOR) :])
    except BadInput as error:
        refusal = error  # raised inside the act, so that the attempt is audited

    def work(tx: Tx) -> Done:
        if refusal is not None:
            raise refusal
        for other in store.list_requests(tx.db, project=project, states=("pending",)):
            same = sorted(set(other["changes"]) & set(wanted))
            if same:
                raise Refused(f"Request {other['id']} waits to change {call_setting(same[0])} already; have it decided or withdrawn first.")
        change = {name: {"from": value_of(in_force, name), "to": value} for name, value in wanted.items()}
        request_id = store.insert_request(
            tx.db,
            {"project": project, "changes": change, "requested_by": actor.name, "reason": reason, "requested_at": tx.at,
             "expires_at": stamp(now + WAITS), "state": "pending"},
        )
        facts = {get_setting(n).title: f"{say_value(n, c['from'])} now, {say_value(n, c['to'])} afterwards" for n, c in change.items()}
        events.tell(
            tx.db, "request_filed", project=project, subject=_subject(request_id),
            facts={"Asked for by": actor.name, "Reason": reason, **facts}, link=f"/approvals?settings={request_id}",
            correlation_id=tx.correlation_id, now=now, permission="approve_settings",
        )
        return Done({"id": request_id, "project": project, "changes": change}, after={"request": request_id, "changes": change},
                    subject=_subject(request_id))

    return acts.perform(home, actor, "propose_settings", work, project=project, subject="settings", reason=reason, key=key, now=now)


def decide(
    home: Home, actor: Actor, request_id: int, decision: str, *, reason: str, key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Approve or reject a request; approved values hold from this moment.

    Parameters
    ----------
    decision : "approved" or "rejected"

    Raises
    ------
    Refused
        Not a DRH manager, one's own request, decided already, or a value has changed since it was filed.
    """
    if decision not in ("approved", "rejected"):
        raise BadInput(f"A decision is approved or rejected, not {str(decision)[:40]!r}.")
    reason = acts.need_reason(reason, f"it is {decision}")
    now = now or utc_now()
    note_expired(home, now=now)
    known = store.find_request(reading(home.db), request_id)

    def work(tx: Tx) -> Done:
        row = store.find_request(tx.db, request_id)
        if row is None:
            raise NotFound(f"There is no request {request_id} to change settings.")
        request = _request(row, now)
        why_not = why_not_decide(request, Account(actor.name, tx.role))
        if why_not:
            by = f" {request.decided_by} decided it at {request.decided_at}." if request.decided_by else ""
            raise Refused(f"Request {request_id} was not {decision}: {why_not}{by}")
        before = {name: change["from"] for name, change in request.changes.items()}
        after = {name: change["to"] for name, change in request.changes.items()}
        if decision == "approved":
            _check_still_so(home, request)
            for name, value in after.items():
                store.set_setting(tx.db, project=request.project, name=name, value=value, at=tx.at, by=actor.name, request_id=request_id)
        store.update_request(tx.db, request_id, state=decision, decided_by=actor.name, decided_at=tx.at, decision_reason=reason)
        events.tell(
            tx.db, "request_decided", project=request.project, subject=f"{_subject(request_id)} was {decision}",
            facts={"Decided by": actor.name, "Reason": reason}, link=f"/approvals?settings={request_id}",
            correlation_id=tx.correlation_id, now=now, to=(request.requested_by,),
        )
        result = {"id": request_id, "state": decision, "project": request.project, "changes": request.changes}
        if decision == "rejected":
            return Done(result, {"state": "pending"}, {"state": "rejected"}, _subject(request_id))
        return Done(result, before, after, _subject(request_id), approver=actor.name)

    return acts.perform(
        home, actor, "approve_settings" if decision == "approved" else "reject_settings", work, permission="approve_settings",
        project=known["project"] if known else "", subject=_subject(request_id), reason=reason, key=key, now=now,
    )


def change_on_warrant(
    home: Home, actor: Actor, project: str, changes: Mapping[str, Any], *, reason: str, warrant: int, correlation_id: str | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Change values on the agent's approved request; they are kept like those of any other approved request.

    Raises
    ------
    Refused
        The request is not approved, or not for exactly this.
    BadInput
        A value that has become impossible, or is in force already.
    """
    now = now or utc_now()
    definition, in_force = get_definition(home, project), get_limits(home, project)
    wanted = check_changes(definition, in_force, changes)

    def work(tx: Tx) -> Done:
        # approved was the way from one value to another: a value that somebody has changed since is not changed again
        asked = {"changes": dict(changes), "from": {name: value_of(in_force, name) for name in changes}}
        approver = warrants.use(tx, warrant, project, "change_setting", asked)
        change = {name: {"from": value_of(in_force, name), "to": value} for name, value in wanted.items()}
        request_id = store.insert_request(
            tx.db,
            {"project": project, "changes": change, "requested_by": actor.name, "reason": reason[:2000], "requested_at": tx.at,
             "expires_at": stamp(now + WAITS), "state": "approved", "decided_by": approver, "decided_at": tx.at,
             "decision_reason": f"request {warrant} of the agent"},
        )
        for name, value in wanted.items():
            store.set_setting(tx.db, project=project, name=name, value=value, at=tx.at, by=approver, request_id=request_id)
        before, after = ({n: c[side] for n, c in change.items()} for side in ("from", "to"))
        return Done({"id": request_id, "changes": change}, before, after, _subject(request_id), approver=approver)

    return acts.perform(
        home, actor, "change_settings", work, permission=warrants.PERMISSION, project=project, subject="settings", reason=reason,
        trigger="alert", correlation_id=correlation_id, now=now,
    )  # fmt: skip


def withdraw(
    home: Home, actor: Actor, request_id: int, *, reason: str = "", key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Take one's own request back before it is decided."""
    now = now or utc_now()
    note_expired(home, now=now)
    known = store.find_request(reading(home.db), request_id)

    def work(tx: Tx) -> Done:
        row = store.find_request(tx.db, request_id)
        if row is None:
            raise NotFound(f"There is no request {request_id} to change settings.")
        if row["requested_by"] != actor.name:
            raise Refused(f"Request {request_id} was filed by {row['requested_by']}; only they can withdraw it.")
        if row["state"] != "pending":
            raise Refused(f"Request {request_id} is {row['state']} already; there is nothing to withdraw.")
        store.update_request(tx.db, request_id, state="withdrawn")
        return Done({"id": request_id, "state": "withdrawn"}, {"state": "pending"}, {"state": "withdrawn"}, _subject(request_id))

    return acts.perform(
        home, actor, "withdraw_settings", work, permission="propose_settings", project=known["project"] if known else "",
        subject=_subject(request_id), reason=reason, key=key, now=now,
    )


def note_expired(home: Home, *, now: datetime) -> None:
    """Write down that nobody decided within 24 hours."""
    at = stamp(now)
    if not any(r["expires_at"] <= at for r in store.list_requests(reading(home.db), states=("pending",))):
        return
    with acts.unattended(home, now) as (db, note):
        for row in store.list_requests(db, states=("pending",)):
            if row["expires_at"] > at:
                continue
            store.update_request(db, row["id"], state="expired")
            note(
                actor="clock", via="clock", trigger="schedule", action="request_expired", project=row["project"],
                subject=_subject(row["id"]), before={"state": "pending"}, after={"state": "expired"},
                reason="nobody decided within 24 hours",
            )
            events.tell(
                db, "request_expired", project=row["project"], subject=f"{_subject(row['id'])} has expired",
                facts={"Why": "nobody decided within 24 hours", "Asked for by": row["requested_by"]},
                link=f"/approvals?settings={row['id']}", now=now, to=(row["requested_by"],),
            )


def _check_still_so(home: Home, request: SettingRequest) -> None:
    in_force, definition = get_limits(home, request.project), get_definition(home, request.project)
    for name, change in request.changes.items():
        if value_of(in_force, name) != change["from"]:
            raise Refused(f"{call_setting(name, definition)} has changed since request {request.id} was filed; reject it and have it proposed again.")
    check_changes(definition, in_force, {n: c["to"] for n, c in request.changes.items()})


def _check_class(home: Home, actor: Actor, path: str) -> None:
    """Look at a class before anybody is asked to allow it; only for those who may propose, because looking runs its package."""
    account = find_account(home, actor.name)
    if account is not None and roles.may(account.role, "propose_settings"):
        check_in_child(path)


def _subject(request_id: int) -> str:
    return f"settings request {request_id}"


def _request(row: dict[str, Any], now: datetime) -> SettingRequest:
    return SettingRequest(**{**row, "state": decisions.state_at(row, now, lapses=False)})
