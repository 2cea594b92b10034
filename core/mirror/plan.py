"""What waits to be mirrored: the difference between the databases and the notes of what the server has been given.

Nothing is queued when it happens, so no act can forget to, and a server that was away for a month is given the month.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.home import Home
from core.mirror.records import make_version
from core.monitoring.stats import floor_to
from core.projects.projects import list_projects
from core.times import stamp
from storage import labels as labels_store
from storage import mirror as store
from storage.connection import reading

ALIASES = ("production", "approved", "validation")  # stages that one version stands for; archived are many, so it is a tag only
SETTLES = timedelta(minutes=2)  # what was asked in the last second of an hour is counted by then
LETTERS = len("2026-11-21T14")


@dataclass(frozen=True, order=True)
class Item:
    """One thing that waits; ``kind`` is run, candidate, version, aliases, drift, traffic or quality, ``key`` its id or project."""

    kind: str
    key: str
    project: str


def list_waiting(home: Home, target: str, *, now: datetime, at_once: bool = False) -> list[Item]:
    """Everything that waits, in the order in which it is to be given: what went live first, then what is new, then numbers.

    Parameters
    ----------
    at_once : bool
        Labels are looked at once an hour, because each look reads the labels of three months; this looks again.
    """
    versions = list(_list_versions(home, target))
    changed = [item for _, known, item in versions if known]
    new = _list_new(home, target, [(run, item) for run, known, item in versions if not known])
    return [*changed, *_list_aliases(home, target), *new, *_list_checks(home, target), *_list_hours(home, target, now, at_once)]


def count_waiting(home: Home, target: str, *, now: datetime) -> int:
    """How many things wait; hours are counted one by one."""
    items = [i for i in list_waiting(home, target, now=now) if i.kind != "traffic"]
    hours = sum(len(list_hours(home, target, p.name, now=now)) for p in list_projects(home, archived=True))
    return len(items) + hours


def list_hours(home: Home, target: str, project: str, *, now: datetime) -> list[tuple[str, str]]:
    """(hour, version) that ended and whose traffic the server does not know, in their order."""
    since = store.find_place(reading(home.db), target, project)["traffic_until"]
    return store.list_traffic_hours(reading(home.predictions_db), project, since, last_hour(now))


def last_hour(now: datetime) -> str:
    """The hour that still runs, or settles: whatever is before it can be mirrored."""
    return stamp(floor_to(now - SETTLES, "hour"))[:LETTERS]


def find_aliases(home: Home, target: str, project: str) -> dict[str, str]:
    """Alias -> the server's number of the newest version in that stage, of those that the server knows."""
    marks = store.list_marks(reading(home.db), target, "version")
    found = {}
    for row in store.list_versions(reading(home.db)):
        if row["project"] == project and row["stage"] in ALIASES and str(row["id"]) in marks:
            found[row["stage"]] = marks[str(row["id"])]["remote"]
    return found


def state_of(aliases: dict[str, str]) -> str:
    """Aliases as they are noted."""
    return json.dumps(aliases, sort_keys=True)


def _list_versions(home: Home, target: str) -> Iterator[tuple[int, bool, Item]]:
    """Run, whether the server knows it, and item of each version that is new, or of which something changed."""
    marks = store.list_marks(reading(home.db), target, "version")
    for row in store.list_versions(reading(home.db)):
        mark = marks.get(str(row["id"]))
        if mark is None or mark["state"] != make_version(home, row).state:
            yield row["run_id"], mark is not None, Item("version", str(row["id"]), row["project"])


def _list_aliases(home: Home, target: str) -> list[Item]:
    marks = store.list_marks(reading(home.db), target, "aliases")
    found = []
    for project in sorted({row["project"] for row in store.list_versions(reading(home.db))}):
        wanted = state_of(find_aliases(home, target, project))
        if wanted != (marks[project]["state"] if project in marks else state_of({})):
            found.append(Item("aliases", project, project))
    return found


def _list_new(home: Home, target: str, versions: list[tuple[int, Item]]) -> list[Item]:
    """Trainings, each followed by its candidates and the versions that they became."""
    db = reading(home.db)
    ordered = [((run, 0, run), Item("run", str(run), project)) for run, project in store.list_waiting_runs(db, target)]
    ordered += [((run, 1, n), Item("candidate", str(n), project)) for n, run, project in store.list_waiting_candidates(db, target)]
    ordered += [((run, 2, int(item.key)), item) for run, item in versions]
    return [item for _, item in sorted(ordered)]


def _list_checks(home: Home, target: str) -> list[Item]:
    return [Item("drift", str(n), project) for n, project in store.list_waiting_checks(reading(home.db), target)]


def _list_hours(home: Home, target: str, now: datetime, at_once: bool) -> list[Item]:
    found, last = [], last_hour(now)
    for project in list_projects(home, archived=True):  # its last hours too, whoever was away meanwhile
        place = store.find_place(reading(home.db), target, project.name)
        if list_hours(home, target, project.name, now=now):
            found.append(Item("traffic", project.name, project.name))
        changed = labels_store.count_changes(reading(home.predictions_db), project.name) != place["labels"]
        if changed and (at_once or place["labels_until"] < last):
            found.append(Item("quality", project.name, project.name))
    return found
