"""What is live: deploy, roll back, undeploy, and who was live when.

The gate is here, in the act, not in a button: a deployment needs an approval that names this very artifact.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core import acts
from core.acts import Actor, Done, Tx
from core.agent import warrants
from core.approvals import note_expired
from core.errors import NotFound, Refused
from core.home import Home
from core.notify import events
from core.projects.limits import check_allowed
from core.times import utc_now
from storage import versions as store
from storage.connection import reading


@dataclass(frozen=True)
class LiveVersion:
    project: str
    version: str
    version_id: int
    live_from: str
    deployed_by: str
    summary: dict[str, Any]
    threshold: float | None


@dataclass(frozen=True)
class Deployment:
    """One span of time in which a version was live; ``live_until`` None means now."""

    id: int
    project: str
    version_id: int
    version: str
    kind: str
    live_from: str
    live_until: str | None
    deployed_by: str
    ended_by: str | None
    request_id: int | None
    reason: str


def find_live(home: Home, project: str) -> LiveVersion | None:
    """The live version of a project, or None."""
    db = reading(home.db)
    row = store.find_live(db, project)
    if row is None:
        return None
    span = next(d for d in store.list_deployments(db, project) if d["live_until"] is None)
    return LiveVersion(project, row["version"], row["id"], span["live_from"], span["deployed_by"], row["summary"], row["threshold"])


def list_deployments(home: Home, project: str) -> list[Deployment]:
    """Who was live when, newest first."""
    return [Deployment(**r) for r in store.list_deployments(reading(home.db), project)]


def deploy(
    home: Home, actor: Actor, project: str, version: str, *, reason: str = "", warrant: int | None = None, key: str | None = None,
    correlation_id: str | None = None, now: datetime | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Make an approved version live; it answers from the next prediction on.

    Parameters
    ----------
    warrant : int, optional
        The agent's approved request to deploy, on which the agent acts; a person needs the right to deploy instead.

    Raises
    ------
    Refused
        No unused approval for exactly this artifact, threshold and definition; its files or golden answers are not right; or it is
        of a class that is no longer allowed.
    """
    now = now or utc_now()
    permission = "deploy" if warrant is None else warrants.PERMISSION
    note_expired(home, now=now)
    checked = _checked_sha(home, project, version, "approved") if acts.is_allowed(home, actor, permission) else None
    seen = store.find_version(reading(home.db), project, version)
    asked = store.find_open_request(reading(home.db), seen["id"]) if seen else None
    story = correlation_id or (asked["correlation_id"] if asked else "") or None  # a release belongs to the story of its request

    def work(tx: Tx) -> Done:
        row = store.find_version(tx.db, project, version)
        if row is None:
            raise NotFound(f"Project {project} has no version {version[:40]!r}.")
        request = store.find_open_request(tx.db, row["id"])
        if request is None or request["state"] != "approved":
            waiting = f"; request {request['id']} is waiting for a decision" if request else ""
            raise Refused(f"Version {version} of {project} has no approval that could be used (stage {row['stage']}){waiting}.")
        if (request["artifact_sha256"], request["threshold"], request["definition_sha"]) != (
            row["sha256"], row["threshold"], row["definition_sha"]
        ):
            raise Refused(f"Version {version} is no longer what request {request['id']} was approved for; file a new request.")
        if isinstance(checked, Refused):
            raise checked
        if checked != row["sha256"]:
            raise Refused(f"Version {version} of {project} could not be checked before going live; try again.")
        check_allowed(home, project, [str(row["summary"].get("candidate", ""))])  # a class that was withdrawn does not newly go live
        if warrant is not None:
            warrants.use(tx, warrant, project, "deploy", {"version": version})
        before = _switch(tx, row, "deploy", request["id"], reason or request["reason"])
        store.update_request(tx.db, request["id"], state="used", used_at=tx.at)
        return _done(project, version, before, request["decided_by"])

    result = acts.perform(
        home, actor, "deploy", work, permission=permission, project=project, subject=f"version {version}", reason=reason, key=key,
        trigger="person" if warrant is None else "alert", correlation_id=story, now=now,
    )  # fmt: skip
    _write_page(home, project)
    return result


def find_rollback_target(home: Home, project: str) -> str | None:
    """The version that was live before the present one (or last, if none is live now)."""
    live = store.find_live(reading(home.db), project)
    for span in store.list_deployments(reading(home.db), project):
        if live is None or span["version_id"] != live["id"]:
            return str(span["version"])
    return None


def rollback(
    home: Home, actor: Actor, project: str, *, to: str | None = None, reason: str = "", warrant: int | None = None,
    key: str | None = None, correlation_id: str | None = None, now: datetime | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Switch the pointer back to a version that was live before (the one before, unless named).

    ``warrant`` is the agent's approved request to roll back to ``to`` from what is live now; a person needs the right to roll back instead.
    """
    now = now or utc_now()
    permission = "rollback" if warrant is None else warrants.PERMISSION
    target = to or find_rollback_target(home, project)
    checked = _checked_sha(home, project, target, "archived") if target and acts.is_allowed(home, actor, permission) else None

    def work(tx: Tx) -> Done:
        if target is None:
            raise Refused(f"Project {project} has no earlier version to go back to.")
        row = store.find_version(tx.db, project, target)
        if row is None:
            raise NotFound(f"Project {project} has no version {target[:40]!r}.")
        live = store.find_live(tx.db, project)
        if live is not None and live["id"] == row["id"]:
            raise Refused(f"Version {target} is live already.")
        if not store.was_live(tx.db, row["id"]):
            raise Refused(f"Version {target} was never live; it needs a release request, an approval and a deployment.")
        if isinstance(checked, Refused):
            raise checked
        if row["stage"] != "archived" or checked != row["sha256"]:
            raise Refused(f"Version {target} cannot be rolled back to from stage {row['stage']}.")
        asked = {"to": target, "from": live["version"] if live else None}
        approver = "" if warrant is None else warrants.use(tx, warrant, project, "rollback", asked)
        before = _switch(tx, row, "rollback", None, reason)
        return _done(project, target, before, approver)

    result = acts.perform(
        home, actor, "rollback", work, permission=permission, project=project, subject=f"version {target or 'none'}", reason=reason,
        key=key, trigger="person" if warrant is None else "alert", correlation_id=correlation_id, now=now,
    )  # fmt: skip
    _write_page(home, project)
    return result


def undeploy(
    home: Home, actor: Actor, project: str, *, reason: str = "", key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Take the live version out of service; afterwards nothing answers until a deployment or a rollback."""

    def work(tx: Tx) -> Done:
        live = store.find_live(tx.db, project)
        if live is None:
            raise Refused(f"Project {project} has no live version to take out of service.")
        store.end_deployment(tx.db, project, at=tx.at, by=actor.name)
        store.set_stage(tx.db, live["id"], "archived", f"undeployed by {actor.name}" + (f": {reason}" if reason else ""))
        events.tell(
            tx.db, "undeployed", project=project, subject=f"version {live['version']} was taken out of service",
            facts={"By": actor.name, "Reason": reason or "none was given"}, link="/registry", correlation_id=tx.correlation_id, now=tx.now,
        )
        return Done(
            {"project": project, "version": None, "before": live["version"]}, {"live": live["version"]}, {"live": None},
            f"version {live['version']}",
        )

    result = acts.perform(home, actor, "undeploy", work, permission="deploy", project=project, reason=reason, key=key, now=now)
    _write_page(home, project)
    return result


def _write_page(home: Home, project: str) -> None:
    """The registry's page says the new stages."""
    from core.registry.cards import write_registry_page

    write_registry_page(home, project)


def _switch(tx: Tx, row: dict[str, Any], kind: str, request_id: int | None, reason: str) -> str | None:
    """Archive what is live and put ``row`` in its place; returns the version that was live before."""
    live = store.find_live(tx.db, row["project"])
    if live is not None:
        how = "superseded by" if kind == "deploy" else "rolled back to"
        store.end_deployment(tx.db, row["project"], at=tx.at, by=tx.actor.name)
        store.set_stage(tx.db, live["id"], "archived", f"{how} {row['version']}")
    store.set_stage(tx.db, row["id"], "production", f"{'deployed' if kind == 'deploy' else 'brought back'} by {tx.actor.name}")
    store.insert_deployment(
        tx.db, project=row["project"], version_id=row["id"], kind=kind, at=tx.at, by=tx.actor.name, request_id=request_id, reason=reason
    )
    before = live["version"] if live else None
    events.tell(
        tx.db, "deployed" if kind == "deploy" else "rolled_back", project=row["project"], subject=f"version {row['version']}",
        facts={"By": tx.actor.name, "Live before": before or "nothing", "Reason": reason or "none was given"},
        link=f"/registry?version={row['version']}", correlation_id=tx.correlation_id, now=tx.now,
    )
    return before


def _done(project: str, version: str, before: str | None, approver: str) -> Done:
    result = {"project": project, "version": version, "before": before}
    return Done(result, {"live": before}, {"live": version}, f"version {version}", approver=approver)


def _checked_sha(home: Home, project: str, version: str | None, stage: str) -> str | Refused | None:
    """Before the transaction, because it takes time: files unchanged, golden answers equal, the quick scorer built and
    compared, so that the first request after the switch waits for nothing. The act checks that it was this artifact, and
    raises (and audits) what was found. What is in another stage is not opened; the act says why."""
    from core.scoring.scorer import open_scorer, warm

    row = store.find_version(reading(home.db), project, version) if version else None
    if row is None or row["stage"] != stage:
        return None
    try:
        scorer = warm(home, open_scorer(home, row))
    except Refused as refusal:
        return refusal
    return scorer.sha256
