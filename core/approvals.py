"""Release requests: asked by whoever builds, decided by a DRH manager, good for one deployment.

A request names exactly what it is for: the artifact's sha256, the decision threshold, the definition. The
evidence (gates, comparison with the live version and with doing nothing) is computed when it is filed and
kept with it, so that the decision can be understood later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core import acts, decisions, roles
from core.accounts import Account
from core.acts import Actor, Done, Tx
from core.decisions import HOLDS, WAITS
from core.errors import NotFound, Refused
from core.home import Home
from core.notify import events
from core.times import stamp, utc_now
from storage import versions as store
from storage.connection import reading


@dataclass(frozen=True)
class Request:
    """One release request.

    Attributes
    ----------
    evidence : dict
        ``gates`` (list of name, passed, value, threshold, sentence), ``sentences``, ``metrics``, ``live``, ``baseline``, ``known_cases``.
    state : str
        pending, approved, rejected, withdrawn, expired (nobody decided in 24 h), lapsed (approved, unused for 7 days) or used.
    correlation_id : str
        The story in which it was filed; its decision and its deployment belong to it too. "" in requests of old installations.
    """

    id: int
    project: str
    kind: str
    version_id: int
    version: str
    artifact_sha256: str
    threshold: float | None
    definition_sha: str
    evidence: dict[str, Any]
    live_version_id: int | None
    requested_by: str
    trained_by: str
    reason: str
    requested_at: str
    expires_at: str
    state: str
    decided_by: str | None
    decided_at: str | None
    decision_reason: str | None
    despite_gates: bool
    lapses_at: str | None
    used_at: str | None
    correlation_id: str = ""

    @property
    def failed_gates(self) -> list[dict[str, Any]]:
        return [g for g in self.evidence.get("gates", []) if g["passed"] is False]


def get_request(home: Home, request_id: int, *, now: datetime | None = None) -> Request:
    row = store.find_request(reading(home.db), request_id)
    if row is None:
        raise NotFound(f"There is no request {request_id}.")
    return _request(row, now or utc_now())


def list_requests(
    home: Home, *, project: str | None = None, states: tuple[str, ...] = (), version_id: int | None = None, now: datetime | None = None
) -> list[Request]:
    """Newest first; states as they are now (a request that nobody answered in time is expired)."""
    now = now or utc_now()
    rows = store.list_requests(reading(home.db), project=project, version_id=version_id, states=decisions.stored_as(states))
    found = [_request(r, now) for r in rows]
    return [r for r in found if not states or r.state in states]


def why_not_decide(request: Request, account: Account) -> str:
    """Empty if ``account`` may decide this request; else the sentence that says why not."""
    return decisions.why_not_decide(
        account, "approve_release", requested_by=request.requested_by, state=request.state, trained_by=request.trained_by
    )


def count_waiting_for(home: Home, account: Account, *, now: datetime | None = None) -> int:
    """How many requests wait for this account: decisions for a DRH manager, approved releases to deploy for DevOps."""
    waiting = 0
    for request in list_requests(home, states=("pending", "approved"), now=now):
        if request.state == "pending":
            waiting += not why_not_decide(request, account)
        else:
            waiting += roles.may(account.role, "deploy")
    return waiting


def request_release(
    home: Home, actor: Actor, project: str, version: str, *, reason: str, key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Ask for the release of a version in stage validation.

    Raises
    ------
    Refused
        Wrong stage, or a request for it is open already.
    BadInput
        No reason given.
    """
    from core.registry.evidence import make_evidence

    reason = acts.need_reason(reason, "the release is wanted")
    now = now or utc_now()
    note_expired(home, now=now)
    seen = store.find_version(reading(home.db), project, version)
    evidence = make_evidence(home, seen) if seen and seen["stage"] == "validation" else {}

    def work(tx: Tx) -> Done:
        row = store.find_version(tx.db, project, version)
        if row is None:
            raise NotFound(f"Project {project} has no version {version[:40]!r}.")
        open_request = store.find_open_request(tx.db, row["id"])
        if open_request is not None:
            raise Refused(f"Request {open_request['id']} for version {version} is {open_request['state']} already.")
        if row["stage"] != "validation":
            raise Refused(f"Version {version} is in stage {row['stage']}; only a version in stage validation can be requested.")
        live = store.find_live(tx.db, project)
        request_id = store.insert_request(
            tx.db,
            {
                "project": project, "kind": "release", "version_id": row["id"], "artifact_sha256": row["sha256"],
                "threshold": row["threshold"], "definition_sha": row["definition_sha"], "evidence": evidence,
                "live_version_id": live["id"] if live else None, "requested_by": actor.name, "reason": reason,
                "requested_at": tx.at, "expires_at": stamp(now + WAITS), "state": "pending",
                "correlation_id": tx.correlation_id,
            },
        )
        failed = [g["name"] for g in evidence.get("gates", []) if g["passed"] is False]
        events.tell(
            tx.db, "request_filed", project=project, subject=f"request {request_id}: release of version {version}",
            facts={"Asked for by": actor.name, "Reason": reason, "Live now": live["version"] if live else "nothing",
                   "Gates failed": ", ".join(failed) or "none", "Waits until": f"{stamp(now + WAITS)[:16].replace('T', ' ')} UTC"},
            link=f"/approvals?request={request_id}", correlation_id=tx.correlation_id, now=now, permission="approve_release",
        )
        after = {"request": request_id, "version": version, "artifact_sha256": row["sha256"], "threshold": row["threshold"],
                 "live": live["version"] if live else None}
        return Done({"id": request_id, "version": version}, after=after, subject=f"request {request_id}: version {version}")

    return acts.perform(home, actor, "request_release", work, project=project, subject=f"version {version}", reason=reason, key=key, now=now)


def approve(
    home: Home, actor: Actor, request_id: int, *, reason: str, despite_gates: bool = False, key: str | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Approve: the version moves to stage approved and may be deployed within 7 days.

    ``despite_gates`` must be said aloud when a gate failed; the name and the reason stay with the version.
    """
    return _decide(home, actor, request_id, "approved", reason, despite_gates, key, now)


def reject(
    home: Home, actor: Actor, request_id: int, *, reason: str, key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Reject: the version is archived with the reason."""
    return _decide(home, actor, request_id, "rejected", reason, False, key, now)


def _decide(
    home: Home, actor: Actor, request_id: int, decision: str, reason: str, despite_gates: bool, key: str | None, now: datetime | None
) -> dict[str, Any]:
    verb = "approved" if decision == "approved" else "rejected"
    reason = acts.need_reason(reason, f"it is {verb}")
    now = now or utc_now()
    note_expired(home, now=now)
    known = store.find_request(reading(home.db), request_id)

    def work(tx: Tx) -> Done:
        row = store.find_request(tx.db, request_id)
        if row is None:
            raise NotFound(f"There is no request {request_id}.")
        request = _request(row, now)
        why_not = why_not_decide(request, Account(actor.name, tx.role))
        if why_not:
            by = f" {request.decided_by} decided it at {request.decided_at}." if request.decided_by else ""
            raise Refused(f"Request {request_id} was not {verb}: {why_not}{by}")
        version = store.find_version_by_id(tx.db, row["version_id"])
        if version is None or version["sha256"] != row["artifact_sha256"] or version["threshold"] != row["threshold"]:
            raise Refused(f"Version {request.version} is no longer what request {request_id} was filed for; file a new request.")
        if decision == "approved":
            if request.failed_gates and not despite_gates:
                names = ", ".join(g["name"] for g in request.failed_gates)
                how = "To approve it all the same, say so expressly: tick that box, or add --despite-gates."
                raise Refused(f"Version {request.version} fails these gates: {names}. {how}")
            store.update_request(
                tx.db, request_id, state="approved", decided_by=actor.name, decided_at=tx.at, decision_reason=reason,
                despite_gates=int(bool(request.failed_gates)), lapses_at=stamp(now + HOLDS),
            )
            store.set_stage(tx.db, row["version_id"], "approved", f"approved by {actor.name}: {reason}")
        else:
            store.update_request(tx.db, request_id, state="rejected", decided_by=actor.name, decided_at=tx.at, decision_reason=reason)
            store.set_stage(tx.db, row["version_id"], "archived", f"rejected by {actor.name}: {reason}")
        events.tell(
            tx.db, "request_decided", project=request.project, subject=f"request {request_id}: version {request.version} was {verb}",
            facts={"Decided by": actor.name, "Reason": reason}, link=f"/approvals?request={request_id}",
            correlation_id=tx.correlation_id, now=now, to=(request.requested_by,),
        )
        after = {"state": decision, "version": request.version, "artifact_sha256": row["artifact_sha256"],
                 "threshold": row["threshold"], "despite_gates": [g["name"] for g in request.failed_gates]}
        return Done(
            {"id": request_id, "state": decision, "version": request.version}, {"state": "pending"}, after,
            f"request {request_id}: version {request.version}", approver=actor.name,
        )

    action = "approve_release" if decision == "approved" else "reject_release"
    result = acts.perform(
        home, actor, action, work, permission="approve_release", project=known["project"] if known else "",
        subject=f"request {request_id}", reason=reason, key=key, correlation_id=_story(known), now=now,
    )
    _write_pages(home, known)
    return result


def withdraw(
    home: Home, actor: Actor, request_id: int, *, reason: str = "", key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Take one's own request back before it is used; the version returns to stage validation."""
    now = now or utc_now()
    note_expired(home, now=now)
    known = store.find_request(reading(home.db), request_id)

    def work(tx: Tx) -> Done:
        row = store.find_request(tx.db, request_id)
        if row is None:
            raise NotFound(f"There is no request {request_id}.")
        if row["requested_by"] != actor.name:
            raise Refused(f"Request {request_id} was filed by {row['requested_by']}; only they can withdraw it.")
        if row["state"] not in ("pending", "approved"):
            raise Refused(f"Request {request_id} is {row['state']} already; there is nothing to withdraw.")
        store.update_request(tx.db, request_id, state="withdrawn")
        if row["state"] == "approved":
            store.set_stage(tx.db, row["version_id"], "validation", f"request {request_id} was withdrawn")
        return Done({"id": request_id, "state": "withdrawn"}, {"state": row["state"]}, {"state": "withdrawn"}, f"request {request_id}")

    result = acts.perform(
        home, actor, "withdraw_request", work, permission="request_release", project=known["project"] if known else "",
        subject=f"request {request_id}", reason=reason, key=key, correlation_id=_story(known), now=now,
    )
    _write_pages(home, known)
    return result


def _story(row: dict[str, Any] | None) -> str | None:
    """The correlation id under which a request was filed; None if it has none."""
    return (row["correlation_id"] or None) if row is not None else None


def _write_pages(home: Home, *requests: dict[str, Any] | None) -> None:
    from core.registry.cards import write_registry_page

    for project in {r["project"] for r in requests if r is not None}:
        write_registry_page(home, project)


def note_expired(home: Home, *, now: datetime) -> None:
    """Write down what time has decided: pending requests expire after 24 h, unused approvals lapse after 7 days."""
    db = reading(home.db)
    if not any(decisions.state_at(r, now) != r["state"] for r in store.list_requests(db, states=("pending", "approved"))):
        return
    ended = []
    with acts.unattended(home, now) as (db, note):
        for row in store.list_requests(db, states=("pending", "approved")):
            state = decisions.state_at(row, now)
            if state == row["state"]:
                continue
            ended.append(row)
            store.update_request(db, row["id"], state=state)
            if state == "lapsed":
                store.set_stage(db, row["version_id"], "validation", f"the approval of request {row['id']} lapsed unused")
            why = "nobody decided within 24 hours" if state == "expired" else "nobody deployed within 7 days"
            note(
                actor="clock", via="clock", trigger="schedule", action=f"request_{state}", project=row["project"],
                subject=f"request {row['id']}", before={"state": row["state"]}, after={"state": state}, reason=why,
                **({"correlation_id": row["correlation_id"]} if row["correlation_id"] else {}),
            )
            events.tell(
                db, "request_expired", project=row["project"], subject=f"request {row['id']}: version {row['version']} has {state}",
                facts={"Why": why, "Asked for by": row["requested_by"]}, link=f"/approvals?request={row['id']}",
                correlation_id=row["correlation_id"], now=now, to=(row["requested_by"],),
            )
    _write_pages(home, *ended)


def _request(row: dict[str, Any], now: datetime) -> Request:
    return Request(**{**row, "state": decisions.state_at(row, now), "despite_gates": bool(row["despite_gates"])})
