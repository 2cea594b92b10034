"""What becomes of an incident: a new diagnosis when its alerts change, what approved actions led to, and its end.

An incident is over when all its alerts have ended and stayed ended long enough for every check to look again. Alerts that ended only
because another version went live prove nothing of that version: it is watched until its own rows are measured, for a day, and what
was not measured by then is called unknown. An incident in which labels say that the answers to unusual rows are right is closed when
the labels of the day after still say so. It goes to people when what was done did not help within a day, when what was asked for was
refused, or when what was allowed failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from core import acts, roles
from core.acts import Done, Tx
from core.agent import account, policy
from core.agent.agent_requests import withdraw
from core.agent.diagnosis import INPUTS, ask_labels, diagnose, sign
from core.agent.incidents import Incident, get_incident
from core.agent.opening import DRY, LOOKED_AT, PENDING, rewrite
from core.home import Home
from core.monitoring import checks
from core.monitoring.findings import Finding
from core.monitoring.quality_checks import LEAST, weigh_labels
from core.notify.events import tell
from core.numbers import say_number
from core.projects.limits import get_limits
from core.retraining import retraining
from core.times import parse, stamp
from storage import agent as store
from storage import versions as versions_store
from storage.connection import reading

QUIET = timedelta(minutes=15)  # longer than the beat of every check that raises alerts
HELPS_WITHIN = timedelta(hours=24)
AHEAD = timedelta(hours=1)  # more than clocks of machines differ


def follow(home: Home, incident_id: int, *, now: datetime) -> None:
    """Look at one incident that is not over."""
    incident = get_incident(home, incident_id)
    alerts = store.list_alerts(reading(home.db), incident_id, limit=LOOKED_AT)
    opened = [a for a in alerts if a["state"] != "resolved"]
    # also when its alerts have ended: a better version may have gone live before this turn
    _read_retraining(home, incident_id, now)
    if not opened:
        if _is_quiet(home, incident, now) and not _is_retraining(home, incident):
            _end(home, incident, alerts, now)
        return
    limits = get_limits(home, incident.project)
    said = ask_labels(home, incident.project, opened, limits, now=now) if incident.cause == INPUTS else None
    if sign(opened, limits, said.state if said is not None else "") != incident.diagnosis["signature"]:
        _diagnose_again(home, incident, alerts, now)
        incident = get_incident(home, incident_id)
    if incident.diagnosis["cause"] == "labels_right":
        _accept_if_still_right(home, incident, now)
        return
    _judge_effect(home, incident, opened, now)


def _end(home: Home, incident: Incident, alerts: Sequence[dict[str, Any]], now: datetime) -> None:
    """Close an incident whose alerts have ended, unless the version that answers now is still to be measured."""
    findings = _findings(home, incident.project)
    live = versions_store.find_live(reading(home.db), incident.project)
    version = live["version"] if live else ""
    unmeasured = _list_unmeasured(alerts, version, findings)
    total, last = store.count_alerts(reading(home.db), incident.id)
    if not unmeasured:
        outcome, measured = describe_end(alerts, findings, total=total)
        _close(home, incident, outcome, measured, now=now)
        return
    names = ", ".join(kind.replace("_", " ") for kind in unmeasured)
    gone = f"version {_replaced(alerts, version)} is no longer live"
    if not version:
        _close(home, incident, f"Its alerts ended because {gone}; nothing is live now, so nothing is measured.", [], now=now)
    elif now - parse(last) >= HELPS_WITHIN:
        outcome = (
            f"Its alerts ended because {gone}. Whether version {version} does better is unknown: of it, {names} "
            f"{'has' if len(unmeasured) == 1 else 'have'} not been measured within a day."
        )
        _close(home, incident, outcome, describe_end(alerts, findings, total=total)[1], now=now)
    elif not any(
        e["kind"] == "effect" and e["detail"].get("unmeasured") == version for e in store.list_events(reading(home.db), incident.id)
    ):
        sentence = f"Its alerts ended because {gone}. Version {version} is watched until its own rows are measured ({names})."
        _tell_effect(home, incident.id, "unknown", sentence, {"unmeasured": version, "kinds": unmeasured}, now)


def _replaced(alerts: Sequence[dict[str, Any]], version: str) -> str:
    return ", ".join(sorted({a["version"] for a in alerts if a["version"] and a["version"] != version}))


def _list_unmeasured(alerts: Sequence[dict[str, Any]], version: str, findings: dict[tuple[str, str], Finding]) -> list[str]:
    """Kinds of alerts of a version that is no longer live, of which the live one's own rows say nothing yet."""
    kinds = {
        a["kind"] for a in alerts
        if a["kind"] in checks.OF_A_VERSION and a["version"] and a["version"] != version and a["resolved_by"] == "monitor"
    }  # fmt: skip
    known = {kind for (kind, _), f in findings.items() if f.version == version and f.state != "unknown"}
    return sorted(kinds - known)


def _accept_if_still_right(home: Home, incident: Incident, now: datetime) -> None:
    """Close an incident of unusual rows that are answered right, when the labels of a day after the diagnosis still say so.

    Without new labels nothing is known of that day, so it stays watched.
    """
    if incident.state not in ("watching", "escalated"):
        return
    events = store.list_events(reading(home.db), incident.id)
    diagnosed = parse(max(e["at"] for e in events if e["kind"] == "diagnosis"))
    live = versions_store.find_live(reading(home.db), incident.project)
    if live is None or now - diagnosed < HELPS_WITHIN:
        return
    # whole hours are counted: the hour of the diagnosis is not after it
    since = diagnosed.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    later = weigh_labels(home, incident.project, live["version"], get_limits(home, incident.project), since=since, now=now)
    if later.rows < LEAST or later.state == "worse":
        return
    names = ("rows", "value", "low", "high", "training")
    before, after = {n: incident.diagnosis["measured"].get(f"labels_{n}") for n in names}, {n: getattr(later, n) for n in names}
    sentence = (
        f"Rows still differ from those in training, and labels say that they are answered right. When it was diagnosed: {_count(before)}. "
        f"Since then: {_count(after)}. Its alerts stay open; if they become worse, or labels say otherwise, a new incident begins."
    )
    _close(home, incident, sentence, [{"kind": "labels", "before": before, "after": after}], now=now)


def _count(said: Mapping[str, Any]) -> str:
    if said.get("value") is None:
        return "not measured"
    low, high = said["low"], said["high"]
    interval = "" if low is None or high is None else f" (95 %: {say_number(low, 3)} to {say_number(high, 3)})"
    trained = f", {say_number(said['training'], 3)} on the hold-out" if said["training"] is not None else ""
    return f"{say_number(said['value'], 3)}{interval} on {said['rows']:,} labels{trained}"


def _diagnose_again(home: Home, incident: Incident, alerts: Sequence[dict[str, Any]], now: datetime) -> None:
    found = diagnose(home, incident.project, incident.cause, alerts, now=now)
    plan = policy.plan(found.issue, found.cause, found.severity, get_limits(home, incident.project))
    with acts.unattended(home, now) as (db, note):
        row = store.find_incident(db, incident.id)
        if row is not None and row["closed_at"] is None:
            rewrite(db, note, row, found, plan, now=now)


def _is_quiet(home: Home, incident: Incident, now: datetime) -> bool:
    """Whether the last of its alerts ended long enough ago; an end that lies far ahead was written while the clock was ahead."""
    _, last = store.count_alerts(reading(home.db), incident.id)
    return not last or not -AHEAD < now - parse(last) < QUIET


def _is_retraining(home: Home, incident: Incident) -> bool:
    under_way = retraining.find_open(home, incident.project)
    return under_way is not None and under_way.correlation_id == incident.correlation_id


def _read_retraining(home: Home, incident_id: int, now: datetime) -> None:
    """What became of a retraining that a person approved: told once, in the timeline."""
    for request in store.list_requests(reading(home.db), incident_id=incident_id, states=("used",)):
        if request["action"] != "retrain":
            continue
        mine = next((r for r in retraining.list_retrainings(home, request["project"]) if r.params.get("approval") == request["id"]), None)
        if mine is None or mine.state == "open":
            continue
        if any(e["kind"] == "effect" and e["detail"].get("retraining") == mine.id for e in store.list_events(reading(home.db), incident_id)):
            continue
        helped = mine.outcome == "better"
        asks = f" Request {mine.request_id} asks for the release of version {mine.version}." if helped and mine.request_id else ""
        sentence = f"Retraining {mine.id}: {mine.sentence}{asks}"
        detail = {"retraining": mine.id, "outcome": mine.outcome, "version": mine.version, "request": mine.request_id}
        _tell_effect(home, incident_id, "better" if helped else str(mine.outcome or mine.state), sentence, detail, now)
        if not helped:
            escalate(home, incident_id, f"The retraining did not help: {mine.sentence}", now=now)


def _tell_effect(home: Home, incident_id: int, status: str, sentence: str, detail: dict[str, Any], now: datetime) -> None:
    incident = get_incident(home, incident_id)

    def work(tx: Tx) -> Done:
        store.insert_event(
            tx.db, incident_id=incident_id, at=tx.at, kind="effect", action="", status=status, sentence=sentence, detail=detail
        )
        return Done(after={"status": status, **detail}, subject=f"incident {incident_id}")

    acts.perform(
        home, account.ACTOR, "agent_check_effect", work, permission="run_safe_action", project=incident.project, reason=sentence,
        trigger="alert", correlation_id=incident.correlation_id, now=now,
    )  # fmt: skip


def _judge_effect(home: Home, incident: Incident, opened: Sequence[dict[str, Any]], now: datetime) -> None:
    """After a day in which nothing was left to do: has it become less bad? If not, people must look.

    What a dry run only showed is still to be done.
    """
    plan = incident.diagnosis["plan"]
    if incident.state != "watching" or plan["band"] == "low" or any(s["status"] in (PENDING, DRY) for s in plan["steps"]):
        return
    events = store.list_events(reading(home.db), incident.id)
    last = max((e["at"] for e in events if e["kind"] in ("action", "effect", "diagnosis")), default=incident.opened_at)
    if now - parse(last) < HELPS_WITHIN:
        return
    still = "; ".join(f"{a['kind'].replace('_', ' ')}{' of ' + a['subject'] if a['subject'] else ''}" for a in opened[:5])
    count = "its alert is" if len(opened) == 1 else f"{len(opened)} alerts are"
    escalate(home, incident.id, f"A day after the last action {count} still open ({still}).", now=now)


def escalate(home: Home, incident_id: int, why: str, *, now: datetime) -> None:
    """Hand an incident to people; it still closes by itself when its alerts end."""
    with acts.unattended(home, now) as (db, note):
        row = store.find_incident(db, incident_id)
        if row is None or row["state"] in ("escalated", "closed"):
            return
        store.update_incident(db, incident_id, state="escalated")
        store.insert_event(
            db, incident_id=incident_id, at=stamp(now), kind="end", action="", status="escalated", sentence=f"Escalated: {why}"
        )
        note(
            actor=account.NAME, role=roles.AGENT, via="agent", trigger="alert", action="escalate_incident", project=row["project"],
            subject=f"incident {incident_id}", before={"state": row["state"]}, after={"state": "escalated"}, reason=why,
            correlation_id=row["correlation_id"],
        )  # fmt: skip
        tell(
            db, "incident_escalated", project=row["project"], subject=f"incident {incident_id}", facts={"Why": why},
            link=f"/agent?incident={incident_id}", correlation_id=row["correlation_id"], now=now,
        )  # fmt: skip


def _close(home: Home, incident: Incident, outcome: str, measured: list[dict[str, Any]], *, now: datetime) -> None:
    def work(tx: Tx) -> Done:
        row = store.find_incident(tx.db, incident.id)
        if row is None or row["closed_at"] is not None:
            return Done({"closed": False}, subject=f"incident {incident.id}")
        taken_back = withdraw(tx.db, incident.id, "The incident is over", at=tx.at)
        store.update_incident(tx.db, incident.id, state="closed", closed_at=tx.at, outcome=outcome)
        store.insert_event(
            tx.db, incident_id=incident.id, at=tx.at, kind="end", action="", status="closed", sentence=outcome, detail={"measured": measured}
        )
        tell(
            tx.db, "incident_closed", project=incident.project, subject=f"incident {incident.id}", facts={"Outcome": outcome},
            link=f"/agent?incident={incident.id}", correlation_id=incident.correlation_id, now=tx.now,
        )  # fmt: skip
        after = {"state": "closed", "measured": measured, **({"withdrawn_requests": taken_back} if taken_back else {})}
        return Done({"closed": True}, {"state": row["state"]}, after, f"incident {incident.id}")

    acts.perform(
        home, account.ACTOR, "close_incident", work, permission="run_safe_action", project=incident.project, reason=outcome,
        trigger="alert", correlation_id=incident.correlation_id, now=now,
    )  # fmt: skip


def describe_end(
    alerts: Sequence[dict[str, Any]], findings: dict[tuple[str, str], Finding], *, total: int
) -> tuple[str, list[dict[str, Any]]]:  # fmt: skip
    """How an incident ended, in words and numbers: what each of the newest alerts measured, and what its check finds now.

    Parameters
    ----------
    total : int
        All alerts of the incident, of which ``alerts`` are the newest.
    """
    measured: list[dict[str, Any]] = []
    words: list[str] = []
    for alert in alerts:
        found = findings.get((alert["kind"], alert["subject"])) or findings.get((alert["kind"], ""))
        now_ = found.value if found is not None and found.state != "unknown" else None
        same = found is not None and found.subject == alert["subject"]
        measured.append({"alert": alert["id"], "kind": alert["kind"], "subject": alert["subject"], "before": alert["value"],
                         "after": now_ if same else None, "by": alert["resolved_by"]})
        if alert["value"] is not None and same and now_ is not None and len(words) < 4:
            name = alert["kind"].replace("_", " ") + (f" {alert['subject']}" if alert["subject"] else "")
            words.append(f"{name} {say_number(alert['value'], 3)} before, {say_number(now_, 3)} now")
    by = sorted({str(a["resolved_by"]) for a in alerts if a["resolved_by"] and a["resolved_by"] != "monitor"})
    who = f" ({', '.join(by)} ended some by hand)" if by else ""
    count = "Its alert has" if total == 1 else f"All {total:,} alerts have"
    they = "it" if total == 1 else "they"
    tail = f": {'; '.join(words)}." if words else f"; what {they} measured has not been measured again since."
    return f"{count} ended{who}{tail}", measured


def _findings(home: Home, project: str) -> dict[tuple[str, str], Finding]:
    return {(f.kind, f.subject): f for w in checks.find_last(home, project) for f in w.findings}
