"""Safe actions: each says truthfully what it did, with before and after, or that there was nothing to act on.

What takes time or writes files is done first; what changes a setting is left to ``write``, which runs inside the act.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from core import logs
from core.acts import Tx
from core.agent.columns import read_newest
from core.agent.incidents import Incident
from core.home import Home
from core.jobs import capacity
from core.log_files import Filter, read_lines
from core.monitoring import checks, health, stats
from core.notify.events import tell
from core.projects.projects import get_definition
from core.scoring import scorer
from storage import agent as store
from storage import jobs as jobs_store
from storage import versions as versions_store
from storage.connection import reading

log = logging.getLogger("greenlight.monitoring")


@dataclass(frozen=True)
class Outcome:
    """What a safe action did.

    Attributes
    ----------
    status : "done", "skipped" or "failed"
    write : callable, optional
        What is still to be written inside the act; returns what the outcome then is.
    """

    status: str
    sentence: str
    before: Any = None
    after: Any = None
    detail: dict[str, Any] = field(default_factory=dict)
    write: Callable[[Tx], Outcome] | None = None


def _skipped(why: str) -> Outcome:
    return Outcome("skipped", why)


def write_log(home: Home, incident: Incident, now: datetime) -> Outcome:
    """The diagnosis as one line of the monitoring log."""
    level = logging.WARNING if incident.severity >= 0.5 else logging.INFO
    with logs.bound(correlation_id=incident.correlation_id, project=incident.project, user="agent"):
        log.log(
            level, "incident %s: %s", incident.id, incident.diagnosis["sentence"],
            extra={"facts": {"issue": incident.kind, "cause": incident.diagnosis["cause"], "severity": incident.severity}},
        )  # fmt: skip
    return Outcome("done", "The diagnosis stands in the monitoring log.")


def alert_people(home: Home, incident: Incident, now: datetime) -> Outcome:
    """Queue a message for everybody who wants to hear of alerts."""

    def write(tx: Tx) -> Outcome:
        queued = tell(
            tx.db, "alert_opened", project=incident.project, subject=f"incident {incident.id}: {incident.title.lower()}",
            facts={"Severity": f"{incident.severity:.2f}", "What": incident.diagnosis["sentence"]},
            link=f"/agent?incident={incident.id}", correlation_id=incident.correlation_id, now=tx.now,
        )  # fmt: skip
        if not queued:
            return _skipped("Nobody wants to hear of alerts by any channel; the incident stands on the Agent page.")
        return Outcome("done", f"{len(queued)} messages are queued.", after={"messages": queued})

    return Outcome("done", "", write=write)


def collect_diagnostics(home: Home, incident: Incident, now: datetime) -> Outcome:
    """Health, statistics of an hour, what the checks found, the alerts and the last errors, in one JSON file."""
    window = stats.window(home, incident.project, 60, now=now)
    errors = read_lines(home, Filter(level="error", since=now - timedelta(hours=24)), limit=50)
    content: dict[str, Any] = {
        "incident": {**asdict(incident)}, "at": incident.last_seen_at,
        "health": [asdict(h) for h in health.check_health(home, now=now)],
        "last_hour": {
            "requests": window.requests, "rows": window.rows, "errors": window.errors, "refused": window.refused,
            "latency_ms": {name: getattr(window, name) for name in ("mean", "p50", "p95", "p99", "most")},
        },
        "checks": [asdict(w) for w in checks.find_last(home, incident.project)],
        "alerts": store.list_alerts(reading(home.db), incident.id),
        "errors_of_24_hours": [line.to_dict() for line in errors.lines],
    }  # fmt: skip
    data = json.dumps(content, ensure_ascii=False, indent=1, default=str).encode()
    digest = hashlib.sha256(data).hexdigest()
    folder = home.reports / f"incident_{incident.id}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"diagnostics_{digest[:12]}.json"
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")  # another process may collect the same at the same time
    fresh.write_bytes(data)
    fresh.replace(path)
    name = f"{folder.name}/{path.name}"
    kept = f"{len(content['checks'])} groups of checks, {window.requests:,} requests of the last hour and {len(errors.lines)} errors"
    return Outcome("done", f"{kept} are kept in {name}.", after={"file": name, "sha256": digest, "bytes": len(data)})


def validate_data(home: Home, incident: Incident, now: datetime) -> Outcome:
    """Which columns of the newest logged rows break the project's rules, and in how many rows."""
    import pandas as pd

    live = versions_store.find_live(reading(home.db), incident.project)
    frame = read_newest(home, incident.project, live["version"], now) if live else None
    if frame is None or frame.empty:
        return _skipped("There are no rows of the last week to validate.")
    found: dict[str, dict[str, int]] = {}
    for column in get_definition(home, incident.project).features:
        if column.name not in frame:
            continue
        values = frame[column.name]
        counts = {"missing": int(values.isna().sum())}
        if column.kind == "number":
            numbers = pd.to_numeric(values, errors="coerce")
            low = numbers < column.low if column.low is not None else numbers.isna() & False
            high = numbers > column.high if column.high is not None else numbers.isna() & False
            counts["out of range"] = int((low | high).sum())
        elif column.allowed:
            counts["unknown"] = int((values.notna() & ~values.astype(str).isin(column.allowed)).sum())
        broken = {name: n for name, n in counts.items() if n}
        if broken:
            found[column.name] = broken
    worst = sorted(found.items(), key=lambda item: -max(item[1].values()))[:8]
    said = "; ".join(f"{name}: {', '.join(f'{n} {what}' for what, n in c.items())}" for name, c in worst)
    sentence = f"Of {len(frame):,} rows, {said}." if found else f"All {len(frame):,} newest rows keep the project's rules."
    return Outcome("done", sentence, after={"rows": len(frame), "columns": found})


def make_report(home: Home, incident: Incident, now: datetime) -> Outcome:
    """A report of the incident as it stands."""
    from core.reports.make import make_unattended

    made = make_unattended(home, "incident", incident.project, subject=str(incident.id), trigger="alert", now=now)
    if not made["new"]:
        return _skipped(f"Nothing has happened since report {made['id']} was made; it stands.")
    return Outcome("done", f"Report {made['id']} was made.", after={"report": made["id"]})


def raise_workers(home: Home, incident: Incident, now: datetime) -> Outcome:
    """One more job at the same time, if jobs wait for a worker and the most is not reached."""
    waiting = jobs_store.list_jobs(reading(home.db), states=("queued",), limit=100)
    if not waiting:
        return _skipped("No job waits for a worker, so more of them would change nothing.")
    if capacity.read_limit(home) >= capacity.MOST:
        return _skipped(f"{capacity.MOST} jobs at the same time are the most that one machine is given.")

    def write(tx: Tx) -> Outcome:
        before = capacity.read_limit(home)
        after = min(before + 1, capacity.MOST)
        capacity.set_limit(tx.db, after)
        sentence = f"{len(waiting)} jobs wait: {after} at the same time from now on, {before} before."
        return Outcome("done", sentence, {"jobs_at_once": before}, {"jobs_at_once": after})

    return Outcome("done", "", write=write)


def clear_caches(home: Home, incident: Incident, now: datetime) -> Outcome:
    """Every process loads and checks its models anew."""
    if versions_store.find_live(reading(home.db), incident.project) is None:
        return _skipped("Nothing is live, so no model is kept in memory.")

    def write(tx: Tx) -> Outcome:
        generation = scorer.ask_all_to_clear(tx.db)
        dropped = scorer.clear_cache()
        sentence = f"{dropped} loaded models were dropped here; other processes drop theirs before their next answer."
        return Outcome("done", sentence, {"generation": generation - 1, "loaded_here": dropped}, {"generation": generation, "loaded_here": 0})

    return Outcome("done", "", write=write)


RUN: dict[str, Callable[[Home, Incident, datetime], Outcome]] = {
    "log": write_log, "alert": alert_people, "collect_diagnostics": collect_diagnostics, "validate_data": validate_data,
    "report": make_report, "scale": raise_workers, "clear_cache": clear_caches,
}  # fmt: skip
