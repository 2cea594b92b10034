"""Risky actions as they are asked for: with which parameters, what is expected of them, and whether there is anything to act on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core import approvals, deployment
from core.agent.incidents import Incident
from core.home import Home
from core.monitoring import alerts
from core.projects.limits import SETTINGS, get_limits, say_value
from core.retraining import retraining
from core.scoring.accuracy import live_quality
from core.scoring.labels import count_labels_since
from core.times import parse
from storage import datasets as datasets_store
from storage import versions as versions_store
from storage.connection import reading

FRESH = timedelta(days=14)  # a version that has been live for longer is not the reason for what began now
NOISY, NOISY_DAYS = 5, timedelta(days=7)  # so many alarms that ended by themselves in a week: the limit is too tight


@dataclass(frozen=True)
class Proposal:
    """What a request asks for, and what is expected of it."""

    params: dict[str, Any]
    impact: str


def propose_retrain(home: Home, incident: Incident, now: datetime) -> Proposal | str:
    """A proposal, or why there is nothing to ask for."""
    under_way = retraining.find_open(home, incident.project)
    if under_way is not None:
        return f"Retraining {under_way.id} is under way already."
    live = versions_store.find_live(reading(home.db), incident.project)
    if live is None:
        return "Nothing is live, so there is nothing to retrain against."
    if not datasets_store.list_datasets(reading(home.db), incident.project):
        return "The project has no data to train on."
    labels = count_labels_since(home, incident.project, live["registered_at"])
    quality = live_quality(home, incident.project, now=now, version=live["version"])
    trained = (live["summary"].get("holdout") or {}).get("accuracy")
    now_right = ""
    if quality is not None and "accuracy" in quality:
        then = f", {trained:.0%} on its hold-out" if trained is not None else ""
        now_right = f" In use {quality['accuracy']:.0%} of {quality['rows']:,} labelled answers are right{then}."
    new = f"{labels:,} labels came back since version {live['version']} was registered; it trains on them as well."
    if not labels:
        new = f"No labels came back since version {live['version']} was registered, so only fresh rows of the source can be new."
    return Proposal({}, f"{new}{now_right} Nothing goes live by it: a better version asks for its release, a worse one is archived.")


def propose_rollback(home: Home, incident: Incident, now: datetime) -> Proposal | str:
    """Back to the version before, if the live one went live lately."""
    spans = deployment.list_deployments(home, incident.project)
    here = next((s for s in spans if s.live_until is None), None)
    target = deployment.find_rollback_target(home, incident.project)
    if here is None or target is None:
        return "No earlier version was live, so there is none to go back to."
    if incident.diagnosis["cause"] != "broken_model" and (here.kind != "deploy" or now - parse(here.live_from) > FRESH):
        return f"Version {here.version} has been live since {here.live_from[:10]}; what began now does not come from its deployment."
    row = versions_store.find_version(reading(home.db), incident.project, target)
    if row is None or row["stage"] != "archived":
        return f"Version {target} cannot be rolled back to."
    seen = []
    for version in (target, here.version):
        quality = live_quality(home, incident.project, now=now, version=version)
        if quality is not None and "accuracy" in quality:
            seen.append(f"{version} was right in {quality['accuracy']:.0%} of {quality['rows']:,} labelled answers")
    known = f" Of the last 30 days: {'; '.join(seen)}." if seen else " How right each was in use is not known."
    impact = f"Version {target} answers again from the next prediction on instead of {here.version}.{known}"
    return Proposal({"to": target, "from": here.version}, impact)


def propose_deploy(home: Home, incident: Incident, now: datetime) -> Proposal | str:
    """An approved version that waits to go live."""
    waiting = approvals.list_requests(home, project=incident.project, states=("approved",), now=now)
    if not waiting:
        return "No approved version waits to go live."
    request = waiting[0]
    return Proposal(
        {"version": request.version},
        f"Version {request.version}, whose release {request.decided_by} approved (request {request.id}), answers from the next prediction on.",
    )


def propose_setting(home: Home, incident: Incident, now: datetime) -> Proposal | str:
    """A wider limit for anomalies that keep ending by themselves."""
    over = [
        a for a in alerts.list_alerts(home, incident.project, states=("resolved",), kind="anomaly", since=now - NOISY_DAYS, limit=1_000)
        if a.resolved_by == "monitor"
    ]  # fmt: skip
    if len(over) < NOISY:
        return f"{len(over)} anomalies ended by themselves in 7 days; {NOISY} would say that the limit is too tight."
    limits = get_limits(home, incident.project)
    wanted = min(limits.watching.zscore + 1.0, SETTINGS["zscore"].high)
    points = limits.watching.zscore_points
    if wanted == limits.watching.zscore or wanted >= (points - 1) / points**0.5:
        return f"The limit of anomalies is {say_value('zscore', limits.watching.zscore)} already; wider would never speak."
    return Proposal(
        {"changes": {"zscore": wanted}, "from": {"zscore": limits.watching.zscore}},
        f"{len(over)} anomalies ended by themselves in 7 days. An anomaly would be {say_value('zscore', wanted)}, "
        f"{limits.watching.zscore:g} now: fewer alarms, and a real one is seen later.",
    )


PROPOSE: dict[str, Callable[[Home, Incident, datetime], Proposal | str]] = {
    "retrain": propose_retrain, "rollback": propose_rollback, "deploy": propose_deploy, "change_setting": propose_setting,
}  # fmt: skip
