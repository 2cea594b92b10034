"""One round of the mirror: everything that waits is given to the server, each thing noted when the server has it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlite_utils import Database

from core.drift import checks
from core.errors import GreenlightError
from core.home import Home
from core.mirror import notes, plan, records
from core.mirror.failures import Away
from core.mirror.plan import Item
from core.mirror.records import Measure, make_measures
from core.monitoring import quality, stats
from core.projects.projects import list_projects
from core.times import parse, stamp, utc_now
from storage import labels as labels_store
from storage import mirror as store
from storage import versions as versions_store
from storage.connection import reading

if TYPE_CHECKING:
    from core.adapters.mlflow_mirror import Tracking

log = logging.getLogger("greenlight.mlops")

AT_A_TIME = 10  # things given before the plan is made anew, so that a rollback does not wait behind an old installation's history
HOURS_AT_A_TIME = 240
LABELS_COUNT = timedelta(days=90)  # labels that come later than this after their prediction change nothing on the server
WAITS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))  # after failures in a row


@dataclass
class Round:
    """What one round gave, and what it could not give."""

    given: int = 0
    refused: dict[Item, str] = field(default_factory=dict)
    away: str = ""

    @property
    def error(self) -> str:
        if self.away or not self.refused:
            return self.away
        item, sentence = next(iter(self.refused.items()))
        more = f" ({len(self.refused) - 1} more of this kind.)" if len(self.refused) > 1 else ""
        return f"{item.kind} {item.key} of {item.project}: {sentence}{more}"


def run_round(home: Home, tracking: Tracking, *, at_once: bool = False, clock: Callable[[], datetime] = utc_now) -> Round:
    """Give everything that waits; a thing that is refused is passed over, a server that is away ends the round."""
    done, target, seen = Round(), tracking.address.shown, set[Item]()
    while True:
        now = clock()
        waiting = [i for i in plan.list_waiting(home, target, now=now, at_once=at_once) if i not in done.refused and i not in seen]
        if not waiting:
            return done
        for item in waiting[:AT_A_TIME]:
            try:
                if not _GIVE[item.kind](home, tracking, item, now):
                    seen.add(item)  # what it stands on is not there: it is said of that
                    continue
            except Away as error:
                done.away = str(error)
                return done
            except GreenlightError as error:
                done.refused[item] = str(error)
                log.warning("the mirror passed over %s %s of %s: %s", item.kind, item.key, item.project, error)
                continue
            if item.kind == "quality":
                seen.add(item)  # at once means once a round
            done.given += 1


def note_round(home: Home, target: str, done: Round, *, now: datetime) -> None:
    """Keep how a round ended, and when the next may be after one that failed."""
    last = store.find_round(reading(home.db), target)
    failures = (last["failures"] if last else 0) + 1 if done.error else 0
    longest = len(WAITS) if done.away else 2  # what is refused must not hold up what is new
    next_at = stamp(now + WAITS[min(failures, longest) - 1]) if failures else None
    values: dict[str, Any] = {
        "ended_at": stamp(now), "success_at": None if done.away else stamp(now), "error": done.error, "failures": failures, "next_at": next_at,
    }  # fmt: skip
    notes.write(home, lambda db: store.set_round(db, target, values))


def _give_run(home: Home, tracking: Tracking, item: Item, now: datetime) -> bool:
    _note(home, tracking, "run", item.key, tracking.put_run(records.make_run(home, int(item.key))), now)
    return True


def _give_candidate(home: Home, tracking: Tracking, item: Item, now: datetime) -> bool:
    from core.training import runs

    parent = _find(home, tracking, "run", str(runs.get_candidate_row(home, int(item.key)).run_id))
    if parent is None:
        return False
    remote = tracking.put_run(records.make_candidate(home, int(item.key), parent))
    _note(home, tracking, "candidate", item.key, remote, now)
    return True


def _give_version(home: Home, tracking: Tracking, item: Item, now: datetime) -> bool:
    row = next(r for r in store.list_versions(reading(home.db)) if str(r["id"]) == item.key)
    record = records.make_version(home, row)
    number = _find(home, tracking, "version", item.key)
    if number is not None:
        tracking.set_tags(record, number)
    else:
        run_id = _find(home, tracking, "candidate", str(row["candidate_id"]))
        if run_id is None:
            return False
        record.files.update(records.read_version_files(home, row["project"], row["version"], row["run_id"]))
        number = tracking.put_version(record, run_id)
    _note(home, tracking, "version", item.key, number, now, record.state)
    return True


def _give_aliases(home: Home, tracking: Tracking, item: Item, now: datetime) -> bool:
    target = tracking.address.shown
    aliases = plan.find_aliases(home, target, item.project)
    mine = {str(row["id"]) for row in store.list_versions(reading(home.db)) if row["project"] == item.project}
    numbers = {mark["remote"] for key, mark in store.list_marks(reading(home.db), target, "version").items() if key in mine}
    tracking.set_aliases(item.project, aliases, plan.ALIASES, numbers)
    _note(home, tracking, "aliases", item.key, "", now, plan.state_of(aliases))
    return True


def _give_drift(home: Home, tracking: Tracking, item: Item, now: datetime) -> bool:
    """The scores of one check at its own time; a column within chance counts 0, as in the overall score."""
    check = checks.get_check(home, int(item.key))
    row = versions_store.find_version_by_id(reading(home.db), check.version_id or 0)
    prefix = "drift" if check.current.get("kind") == "log" else "drift_of_file"
    columns = (*check.result.columns, *((check.result.prediction,) if check.result.prediction else ()))
    values = {f"{prefix}.{c.name}": c.counted for c in columns} | {f"{prefix}_overall": check.overall}
    series = _find_series(home, tracking, item.project, row["version"] if row else "", now)
    tracking.put_measures(series, make_measures(values, _ms(check.at)))
    _note(home, tracking, "drift", item.key, series, now)
    return True


def _give_traffic(home: Home, tracking: Tracking, item: Item, now: datetime) -> bool:
    """Requests, errors and times of the next hours that ended, as Monitoring counts them, to each version's own run."""
    target, last = tracking.address.shown, plan.last_hour(now)
    waiting = plan.list_hours(home, target, item.project, now=now)
    hours = sorted({hour for hour, _ in waiting})[:HOURS_AT_A_TIME]
    if not hours:  # erased meanwhile
        return False
    since, until = _start(hours[0]), _start(hours[-1]) + timedelta(hours=1)
    for version in sorted({v for hour, v in waiting if hour <= hours[-1]}):
        measures: list[Measure] = []
        for point in stats.series(home, item.project, since, until, timedelta(hours=1), version=version):
            if point.requests:  # an hour in which nothing was asked has no times
                measures += make_measures(measure_hour(point), _ms(stamp(point.at)))
        tracking.put_measures(_find_series(home, tracking, item.project, version, now), tuple(measures))
    _place(home, target, item.project, traffic_until=min(stamp(until)[: plan.LETTERS], last))
    return True


def measure_hour(point: stats.Point) -> dict[str, float | None]:
    """One hour of traffic under the names that it is mirrored by."""
    found: dict[str, float | None] = {
        "requests": point.requests, "predictions": point.rows, "errors": point.errors, "refused": point.refused,
        "error_rate": point.errors / point.requests,
    }  # fmt: skip
    if point.latency is not None:
        found |= {f"latency_ms.{name}": getattr(point.latency, name) for name in ("mean", "p50", "p95", "p99")}
    return found


def _give_quality(home: Home, tracking: Tracking, item: Item, now: datetime) -> bool:
    """Quality by hour where labels came. An hour whose labels changed is sent again a millisecond later: the last one counts."""
    target, last = tracking.address.shown, plan.last_hour(now)
    changes = labels_store.count_changes(reading(home.predictions_db), item.project)  # before reading: a later label is seen again
    marks = store.list_marks(reading(home.db), target, "quality")
    until = _start(last)
    for row in versions_store.list_versions(reading(home.db), item.project):
        version, fresh, measures = row["version"], dict[str, tuple[str, str, int]](), list[Measure]()
        found = quality.over_time(home, item.project, since=until - LABELS_COUNT, until=until, step="hour", version=version)
        for point in found.points:
            values = measure_labels(point)
            key, state = f"{item.project}|{version}|{point.start[: plan.LETTERS]}", json.dumps(values, sort_keys=True)
            mark = marks.get(key)
            if mark is None or mark["state"] != state:
                revision = mark["revision"] + 1 if mark else 0
                measures += [
                    Measure(m.name, m.value, m.at + revision, m.step) for m in make_measures(values, _ms(point.start))
                ]  # fmt: skip
                fresh[key] = ("", state, revision)
        if measures:
            tracking.put_measures(_find_series(home, tracking, item.project, version, now), tuple(measures))
            notes.write(home, partial(_set_marks, target, "quality", fresh, stamp(now)))
    _place(home, target, item.project, labels_until=last, labels=changes)
    return True


def measure_labels(point: quality.Point) -> dict[str, float | None]:
    """The labelled predictions of one hour under the names that they are mirrored by."""
    found: dict[str, float | None] = {"labels": point.rows}
    for name, metric in point.metrics.items():
        found |= {name: metric.value, f"{name}.low": metric.low, f"{name}.high": metric.high}
    return found


def _find_series(home: Home, tracking: Tracking, project: str, version: str, now: datetime) -> str:
    """The run that a version's monitoring goes to; made when there is something to put into it."""
    key = f"{project}|{version}"
    found = _find(home, tracking, "series", key)
    if found is None:
        row = versions_store.find_version(reading(home.db), project, version)
        since = row["registered_at"] if row else next(p.created_at for p in list_projects(home, archived=True) if p.name == project)
        found = tracking.put_run(records.make_series(home, project, version, since))
        _note(home, tracking, "series", key, found, now)
    return found


def _find(home: Home, tracking: Tracking, kind: str, key: str) -> str | None:
    mark = store.find_mark(reading(home.db), tracking.address.shown, kind, key)
    return str(mark["remote"]) if mark else None


def _note(home: Home, tracking: Tracking, kind: str, key: str, remote: str, now: datetime, state: str = "") -> None:
    notes.write(home, partial(_set_marks, tracking.address.shown, kind, {key: (remote, state, 0)}, stamp(now)))


def _set_marks(target: str, kind: str, marks: dict[str, tuple[str, str, int]], at: str, db: Database) -> None:
    store.set_marks(db, target, kind, marks, at)


def _place(home: Home, target: str, project: str, **values: Any) -> None:
    notes.write(home, lambda db: store.set_place(db, target, project, {**store.find_place(db, target, project), **values}))


def _start(hour: str) -> datetime:
    return parse(f"{hour}:00:00.000Z")


def _ms(at: str) -> int:
    return round(parse(at).timestamp() * 1000)


_GIVE: dict[str, Callable[[Home, Tracking, Item, datetime], bool]] = {
    "run": _give_run, "candidate": _give_candidate, "version": _give_version, "aliases": _give_aliases, "drift": _give_drift,
    "traffic": _give_traffic, "quality": _give_quality,
}  # fmt: skip
