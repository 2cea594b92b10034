"""From alerts to incidents: diagnosis and decision of everything new, written in one transaction however many alerts there are."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core import acts, roles
from core.agent import account, policy
from core.agent.actions import ACTIONS
from core.agent.agent_requests import withdraw
from core.agent.diagnosis import LOOKED_AT, Diagnosis, diagnose, family_of, mark
from core.agent.policy import BANDS, Plan
from core.home import Home
from core.projects.limits import get_limits
from core.projects.projects import list_projects
from core.text import one_line
from core.times import parse, stamp
from storage import agent as store
from storage.connection import reading

TOLD = 5  # alerts that get a line each in the timeline; more get one together
ACCEPTED_FOR = timedelta(days=30)  # as long as labels are counted that said so
log = logging.getLogger("greenlight.mlops")

PENDING, DRY = "pending", "dry run"


@dataclass(frozen=True)
class _Group:
    project: str
    family: str
    fresh: list[dict[str, Any]]
    diagnosis: Diagnosis
    plan: Plan


def take_alerts(home: Home, *, now: datetime) -> list[int]:
    """Give every new alert its incident, with diagnosis and decision; returns the incidents that were opened or joined."""
    accepted = store.list_accepted_alerts(reading(home.db))
    fresh = [*store.list_new_alerts(reading(home.db)), *(a for a in accepted if _is_no_longer_accepted(home, a, now))]
    here = {p.name for p in list_projects(home)} if fresh else set()
    by_family: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for alert in fresh:
        if alert["project"] in here:
            by_family[alert["project"], family_of(alert)].append(alert)
    if not by_family:
        return []
    account.ensure(home, now)
    groups = []
    for (project, family), alerts in by_family.items():
        known = {a["id"] for a in alerts}  # what was accepted by itself counts again beside something new
        with_it = [a for a in accepted if a["id"] not in known and a["project"] == project and family_of(a) == family]
        try:
            groups.append(_read_group(home, project, family, [*alerts, *with_it], now))
        except Exception:  # the boundary of one group: what cannot be looked at must not keep the others from the agent
            log.exception("alerts of %s about %s could not be looked at", project, family)
    changed = []
    with acts.unattended(home, now) as (db, note):
        for group in groups:
            changed += _write_group(db, note, group, now)
    return changed


def _is_no_longer_accepted(home: Home, alert: dict[str, Any], now: datetime) -> bool:
    """Whether an open alert of a closed incident has become worse since, or was accepted too long ago."""
    incident = store.find_incident(reading(home.db), alert["incident_id"])
    if incident is None or parse(incident["closed_at"]) + ACCEPTED_FOR <= now:
        return True
    marked = {m.rpartition("/")[0]: m for m in incident["diagnosis"]["signature"]}
    is_ = mark(alert, get_limits(home, alert["project"]))
    was = marked.get(is_.rpartition("/")[0])
    return was is None or int(is_.rpartition("/")[2]) > int(was.rpartition("/")[2])


def _read_group(home: Home, project: str, family: str, fresh: list[dict[str, Any]], now: datetime) -> _Group:
    known = store.find_open(reading(home.db), project, family)
    before = store.list_alerts(reading(home.db), known["id"], limit=LOOKED_AT) if known else []
    found = diagnose(home, project, family, [*before, *fresh], now=now)
    return _Group(project, family, fresh, found, policy.plan(found.issue, found.cause, found.severity, get_limits(home, project)))


def _write_group(db: Any, note: Any, group: _Group, now: datetime) -> list[int]:
    row = store.find_open(db, group.project, group.family)
    incident_id = row["id"] if row else _open(db, group, now)
    linked = [a for a in group.fresh if store.link_alert(db, a["id"], incident_id)]
    if row is not None and not linked:
        return []  # another process was first
    _tell_alerts(db, incident_id, linked, now)
    rewrite(db, note, store.find_incident(db, incident_id) or {}, group.diagnosis, group.plan, now=now, is_new=row is None)
    return [incident_id]


def _open(db: Any, group: _Group, now: datetime) -> int:
    first = group.fresh[0]
    return store.insert_incident(
        db,
        {
            "project": group.project, "kind": group.diagnosis.issue, "cause": group.family, "severity": group.diagnosis.severity,
            "state": "open", "diagnosis": {}, "opened_at": stamp(now), "last_seen_at": stamp(now), "outcome": "",
            "correlation_id": first["correlation_id"],
        },
    )  # fmt: skip


def _tell_alerts(db: Any, incident_id: int, alerts: Sequence[Mapping[str, Any]], now: datetime) -> None:
    for alert in alerts[:TOLD]:
        name = f"{alert['kind'].replace('_', ' ')}{', ' + one_line(alert['subject'])[:60] if alert['subject'] else ''}"
        store.insert_event(
            db, incident_id=incident_id, at=stamp(now), kind="alert", action="", status=alert["severity"],
            sentence=f"{name[0].upper()}{name[1:]}: {one_line(alert['sentence'])[:400]}", detail={"alert": alert["id"], "value": alert["value"]},
        )  # fmt: skip
    if len(alerts) > TOLD:
        store.insert_event(
            db, incident_id=incident_id, at=stamp(now), kind="alert", action="", status="",
            sentence="One more alert of the same cause." if len(alerts) == TOLD + 1 else f"{len(alerts) - TOLD} more alerts of the same cause.",
            detail={"alerts": [a["id"] for a in alerts[TOLD:205]]},
        )  # fmt: skip


def rewrite(
    db: Any, note: Any, row: dict[str, Any], found: Diagnosis, plan: Plan, *, now: datetime, is_new: bool = False
) -> None:
    """Write a diagnosis and what was decided on it, in the caller's transaction; what was done already stays done.

    A new cause, or a higher band, is dealt with from the beginning; the same or a lower one goes on where it was.
    """
    old = row["diagnosis"]
    other = is_new or old.get("cause") != found.cause or BANDS.index(plan.band) > BANDS.index(old["plan"]["band"])
    if not other:
        kept = {**found.plain, "plan": old["plan"]}
        store.update_incident(db, row["id"], diagnosis=kept, severity=max(row["severity"], found.severity), last_seen_at=stamp(now))
        return
    steps = [{"action": name, "status": PENDING} for name in (*plan.actions, *plan.advise)]
    written = {"band": plan.band, "rule": plan.rule, "steps": steps}
    values = {"diagnosis": {**found.plain, "plan": written}, "kind": found.issue, "severity": max(row["severity"], found.severity)}
    store.update_incident(db, row["id"], **values, last_seen_at=stamp(now), **({} if row["state"] == "escalated" else {"state": "open"}))
    store.insert_event(
        db, incident_id=row["id"], at=stamp(now), kind="diagnosis", action="", status=found.issue, sentence=found.sentence,
        detail={"cause": found.cause, "severity": found.severity, "evidence": found.evidence, "retraining_helps": found.retraining_helps},
    )  # fmt: skip
    titles = ", ".join(ACTIONS[a].title.lower() for a in (*plan.actions, *plan.advise))
    left = f" Not allowed in this project: {', '.join(ACTIONS[a].title.lower() for a in plan.left_out)}." if plan.left_out else ""
    store.insert_event(
        db, incident_id=row["id"], at=stamp(now), kind="decision", action="", status=plan.band, sentence=f"{plan.rule} Plan: {titles}.{left}",
        detail={"actions": list(plan.actions), "advise": list(plan.advise), "left_out": list(plan.left_out)},
    )  # fmt: skip
    # a request that the new diagnosis would not file any more is taken back before somebody approves it, or it is carried out
    taken_back = withdraw(db, row["id"], "The diagnosis has changed", at=stamp(now), keep=plan.actions)
    note(
        actor=account.NAME, role=roles.AGENT, via="agent", trigger="alert", action="open_incident" if is_new else "diagnose_incident",
        project=row["project"], subject=f"incident {row['id']}: {found.issue}", reason=plan.rule,
        before=None if is_new else {"cause": old.get("cause"), "severity": old.get("severity")},
        after={
            "cause": found.cause, "severity": found.severity, "plan": [*plan.actions, *plan.advise],
            **({"withdrawn_requests": taken_back} if taken_back else {}),
        },
        correlation_id=row["correlation_id"],
    )  # fmt: skip
