"""How long things are kept, and what goes before its time by an administrator's order.

Everything is kept for ever unless a rule says otherwise. Rules are carried out once a day by the clock; what is counted by hour
outlives the rows, because counts name nobody.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from core import acts, log_files, logs
from core.acts import Actor, Done, Tx
from core.datasets import versions as datasets
from core.errors import BadInput, Refused
from core.home import Home
from core.jobs import jobs
from core.projects.projects import get_project
from core.scoring import log as predictions
from core.times import parse, stamp, utc_now
from storage import accounts as settings_store
from storage import retention as store
from storage.connection import reading, writing

log = logging.getLogger("greenlight.app")

KINDS = {
    "predictions": "features, answers and labels of predictions",
    "requests": "single requests and posted values",
    "logs": "log files",
}
OF_A_PROJECT = ("predictions", "requests")
ADVISED_DAYS = 180
MOST_DAYS = 36_500
EVERY = timedelta(days=1)
REWRITE_DUE = "rewrite due"  # the setting that says since when a database holds what was deleted in its free pages
REWRITE_AT_ONCE = 400 * 1024 * 1024  # bytes; a rewrite holds writers up, some seconds for so much
QUIET_HOURS = range(1, 5)  # UTC, when larger ones are rewritten
_AT_A_TIME = 20_000


@dataclass(frozen=True)
class Rule:
    """How long one kind is kept: ``project`` is empty for the whole installation; ``days`` None means for ever."""

    project: str
    kind: str
    days: int | None = None
    at: str | None = None
    by: str | None = None
    enforced_at: str | None = None


def list_rules(home: Home, project: str) -> list[Rule]:
    """The rules for a project, and for the log files, which belong to the whole installation."""
    db = reading(home.db)
    known = {(r["project"], r["kind"]): Rule(**r) for r in [*store.list_rules(db, project), *store.list_rules(db, "")]}
    places = [*((project, kind) for kind in OF_A_PROJECT), ("", "logs")]
    return [known.get(place) or Rule(*place) for place in places]


def count_due(home: Home, kind: str, days: int, *, project: str = "", now: datetime) -> int:
    """What a rule of so many days would remove now: rows, requests and values, or files."""
    before = now - timedelta(days=days)
    if kind == "logs":
        return len(_list_old_files(home, before))
    count = store.count_predictions_before if kind == "predictions" else store.count_requests_before
    return count(reading(home.predictions_db), project, stamp(before))


def count_predictions(home: Home, project: str, before: datetime) -> int:
    """Logged predictions from before a moment."""
    return store.count_predictions_before(reading(home.predictions_db), project, stamp(before))


def list_trained(home: Home, dataset_id: int) -> list[tuple[str, str]]:
    """(version, stage) of what was trained from a dataset version."""
    return store.list_versions_of(reading(home.db), dataset_id)


def set_rule(
    home: Home, actor: Actor, kind: str, days: int | None, *, project: str = "", confirm: str, reason: str, key: str | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Keep something for so many days from now on; None is for ever. What is older goes at the clock's next turn.

    Parameters
    ----------
    project : str
        Empty for "logs", which belong to the whole installation.
    confirm : str
        The project's name (for the log files the word "logs"), typed by whoever asks.

    Returns
    -------
    dict
        kind, project, days.

    Raises
    ------
    BadInput
        No such kind, or no number of days from 1 to 36,500.
    Refused
        Not allowed, or not confirmed.
    """
    if kind not in KINDS or (kind in OF_A_PROJECT) != bool(project):
        raise BadInput(f"Retention {kind[:40]!r} is none: it is predictions or requests of a project, or logs of the installation.")
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise BadInput(f"{days} days cannot be: keep it from 1 to {MOST_DAYS:,} days, or for ever.")
    if project:
        get_project(home, project)

    def work(tx: Tx) -> Done:
        check_confirmed(confirm, project or kind)
        before = next((r["days"] for r in store.list_rules(tx.db, project) if r["kind"] == kind), None)
        store.set_rule(tx.db, project=project, kind=kind, days=days, at=tx.at, by=actor.name)
        return Done({"kind": kind, "project": project, "days": days}, {"days": before}, {"days": days}, f"{kind} kept for {describe_days(days)}")

    return acts.perform(
        home, actor, "set_retention", work, permission="delete_data", project=project, reason=reason, key=key, now=now
    )


def purge_predictions(
    home: Home, actor: Actor, project: str, *, confirm: str, reason: str, before: datetime | None = None, key: str | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Delete logged predictions from before a moment (all of them, if none is given) with their labels and keys.

    The order is the act; the deletion follows at once, and the clock goes on with it where it was interrupted.

    Returns
    -------
    dict
        project, before, rows, groups, labels: what was deleted.
    """
    now = now or utc_now()
    get_project(home, project)
    cutoff = stamp(min(before, now) if before is not None else now)

    def work(tx: Tx) -> Done:
        check_confirmed(confirm, project)
        store.set_purge(tx.db, project=project, before=cutoff, by=actor.name, correlation_id=tx.correlation_id)
        settings_store.set_setting(tx.db, REWRITE_DUE, tx.at)
        rows = store.count_predictions_before(reading(home.predictions_db), project, cutoff)
        return Done({"project": project, "before": cutoff}, after={"before": cutoff, "rows": rows}, subject=f"predictions before {cutoff}")

    done = acts.perform(
        home, actor, "purge_predictions", work, permission="delete_data", project=project, reason=reason, key=key, now=now
    )
    counts = finish_purges(home, now=now).get(project) or {"groups": 0, "rows": 0, "labels": 0}
    rewrite_due(home, now=now)
    return {**done, **counts}


def finish_purges(home: Home, *, now: datetime) -> dict[str, dict[str, int]]:
    """Carry out what was ordered; project -> counts."""
    done = {}
    for order in store.list_purges(reading(home.db)):
        with logs.bound(correlation_id=order["correlation_id"], user=order["by"], project=order["project"]):
            counts = predictions.purge_before(home, order["project"], parse(order["before"]))
            with acts.unattended(home, now) as (db, note):
                if not store.delete_purge(db, order["project"], order["before"]):
                    continue
                note(
                    actor=order["by"], via="clock", trigger="person", action="predictions_purged", project=order["project"],
                    subject=f"predictions before {order['before']}", after=counts, correlation_id=order["correlation_id"],
                )
        done[order["project"]] = counts
    return done


def purge_dataset(
    home: Home, actor: Actor, project: str, version: int, *, confirm: str, reason: str, key: str | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Delete the file of a dataset version; its row, its hash and its report stay, so that what was trained from it stays explained.

    Returns
    -------
    dict
        project, version, sha256.

    Raises
    ------
    Refused
        A version that is not archived was trained from it, a job is using it, or it is gone already.
    """
    dataset = datasets.get_version(home, project, version)

    def work(tx: Tx) -> Done:
        check_confirmed(confirm, project)
        if dataset.id in store.list_purged(tx.db, project):
            raise Refused(f"Dataset {version} of {project} was purged before.")
        in_use = [v for v, stage in store.list_versions_of(tx.db, dataset.id) if stage != "archived"]
        if in_use:
            raise Refused(
                f"Dataset {version} of {project} is what {_name('version', in_use)} {'was' if len(in_use) == 1 else 'were'} trained from; "
                "it can be purged once they are archived."
            )
        running = [
            j.id for j in jobs.list_jobs(home, project=project, kind="train", states=("queued", "running"), now=tx.now)
            if j.params.get("dataset_id") == dataset.id and not j.finished
        ]
        if running:
            raise Refused(f"Job {running[0]} is training on dataset {version} of {project}; wait for it or cancel it first.")
        store.insert_purged(tx.db, dataset.id, at=tx.at, by=actor.name, reason=reason)
        done = {"project": project, "version": version, "sha256": dataset.sha256}
        return Done(done, {"rows": dataset.rows}, {"purged": True, "sha256": dataset.sha256}, f"dataset {version}")

    done = acts.perform(home, actor, "purge_dataset", work, permission="delete_data", project=project, reason=reason, key=key, now=now)
    remove_purged_files(home)
    return done


def remove_purged_files(home: Home) -> int:
    """Remove what is left of the files of purged datasets; returns how many there were."""
    gone = 0
    for dataset_id in store.list_purged(reading(home.db)):
        path = datasets.data_path(home, datasets.get_dataset(home, dataset_id))
        if path.exists():
            path.unlink()
            gone += 1
    return gone


def enforce(home: Home, *, now: datetime) -> list[dict[str, Any]]:
    """Carry out the rules that were not carried out for a day, and what was ordered and is not finished.

    Returns
    -------
    list of dict
        project, kind, days and the counts of what went, where anything did.
    """
    from core.erasure import finish_erasures
    from core.scoring.labels import note_interrupted

    note_interrupted(home, now=now)
    finish_erasures(home, now=now)
    finish_purges(home, now=now)
    remove_purged_files(home)
    found = []
    for row in store.list_rules(reading(home.db)):
        rule = Rule(**row)
        if rule.days is None or (rule.enforced_at is not None and now - parse(rule.enforced_at) < EVERY):
            continue
        counts = _carry_out(home, rule, now - timedelta(days=rule.days))
        with acts.unattended(home, now) as (db, note):
            store.mark_enforced(db, project=rule.project, kind=rule.kind, days=rule.days, at=stamp(now))
            if any(counts.values()):
                note(
                    actor="retention", via="clock", trigger="schedule", action="enforce_retention", project=rule.project,
                    subject=f"{rule.kind} older than {describe_days(rule.days)}", after=counts,
                )
                found.append({"project": rule.project, "kind": rule.kind, "days": rule.days, **counts})
    rewrite_due(home, now=now)
    return found


def _carry_out(home: Home, rule: Rule, before: datetime) -> dict[str, int]:
    if rule.kind == "predictions":
        return predictions.purge_before(home, rule.project, before)
    if rule.kind == "requests":
        gone = 0
        while True:
            with writing(home.predictions_db) as db:
                part = store.delete_requests_before(db, rule.project, stamp(before), _AT_A_TIME)
            gone += part
            if not part:
                return {"requests": gone}
    files = _list_old_files(home, before)
    size = 0
    for path in files:
        size += path.stat().st_size
        path.unlink(missing_ok=True)
    return {"files": len(files), "bytes": size}


def _list_old_files(home: Home, before: datetime) -> list[Path]:
    """Log files that hold nothing younger, and the output of workers that ended before."""
    day = before.astimezone(UTC).strftime("%Y%m%d")
    ours = [path for name in logs.LOGGERS for of, path in log_files.list_files(home.logs, name) if of < day]
    workers = [p for p in home.logs.glob("job_*.log") if p.stat().st_mtime < before.timestamp()]
    return ours + workers


def rewrite_due(home: Home, *, now: datetime) -> bool:
    """Rewrite the databases if something was deleted that must leave no trace; large ones only in the quiet hours.

    Returns
    -------
    bool
        Whether nothing is left to be rewritten.
    """
    since = settings_store.find_setting(reading(home.db), REWRITE_DUE)
    if since is None:
        return True
    paths = (home.predictions_db, home.db)
    if max(p.stat().st_size for p in paths) > REWRITE_AT_ONCE and now.astimezone(UTC).hour not in QUIET_HOURS:
        return False
    written = [store.rewrite(path) for path in paths]
    if not all(written):
        return False
    with writing(home.db) as db:
        if settings_store.find_setting(db, REWRITE_DUE) != since:
            return False  # something else was deleted meanwhile
        settings_store.set_setting(db, REWRITE_DUE, None)
    log.info("the databases were written anew, so that nothing of what was deleted is left in them")
    return True


def check_confirmed(typed: str, wanted: str) -> None:
    if typed != wanted:
        raise Refused(f"This cannot be undone: confirm it by typing {wanted} exactly.")


def describe_days(days: int | None) -> str:
    return "ever" if days is None else "1 day" if days == 1 else f"{days:,} days"


def _name(what: str, names: list[str]) -> str:
    return f"{what} {names[0]}" if len(names) == 1 else f"{what}s {', '.join(names[:-1])} and {names[-1]}"
