"""Is the installation itself well? Each part is ok, warning, failed or unknown, and says why.

Everything here is read from small rows and file sizes, so that it may be asked every few seconds. What takes longer
(a model's golden answers) is done by the clock and only its last answer is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from core import usage
from core.drift import checks as drift_checks
from core.home import Home
from core.jobs import jobs
from core.mirror import mirror
from core.projects.projects import list_projects
from core.scoring import journal, log
from core.settings import Settings
from core.times import parse, stamp
from storage import accounts as settings_store
from storage import alerts as alerts_store
from storage import health as store
from storage import notify as notify_store
from storage import versions as versions_store
from storage.connection import reading

LAST_TICK = "clock.last_tick"  # key of the stored time of the clock's last turn
STATES = ("ok", "unknown", "warning", "failed")  # from well to ill

_GB = 1_000_000_000
LOW_DISK_SHARE, LOW_DISK, NO_DISK = 0.10, _GB, 100_000_000  # bytes
LARGE_WAL = 256 * 1024 * 1024  # bytes
MANY_WAITING = journal.WAITING_GROUPS // 10
LATE_TICK, LOST_TICK = timedelta(minutes=3), timedelta(minutes=15)
LONG_QUEUE = timedelta(minutes=10)
LATE_MESSAGE = timedelta(minutes=15)
RECENT = timedelta(hours=24)
CHECK_HOLDS = timedelta(days=7)
MODEL_HOLDS = timedelta(hours=13)  # two of the clock's looks at the model, and a little


@dataclass(frozen=True)
class Health:
    """One part of the installation; ``project`` is "" where it is not about one."""

    name: str
    state: str
    reason: str
    project: str = ""


def check_health(home: Home, *, now: datetime) -> list[Health]:
    """Every part, in the order in which they are shown; an unreadable part is failed and does not hide the others."""
    database = _guard("database", lambda: _check_database(home))
    found = [
        database, _guard("disk space", lambda: _check_disk(home)), _guard("write-ahead log", lambda: _check_wal(home)),
        _guard("journal", lambda: _check_journal(home)),
    ]  # fmt: skip
    if database.state == "failed":
        why = "The database cannot be read, so this is not known."
        return [*found, *(Health(name, "unknown", why) for name in ("scheduler", "workers", "messages", "models"))]
    found += [
        _guard("scheduler", lambda: _check_scheduler(home, now)),
        _guard("workers", lambda: _check_workers(home, now)),
        _guard("messages", lambda: _check_messages(home, now)),
    ]
    mirrored = _guard("mirror", lambda: _check_mirror(home, now))
    if mirrored.state != "unknown":  # a tool that was never switched on is no part of the installation
        found.append(mirrored)
    for project in list_projects(home):
        found.append(_guard("model", partial(_check_model, home, project.name, now), project.name))
        found.append(_guard("drift check", partial(_check_drift, home, project.name, now), project.name))
    return found


def worst(found: list[Health]) -> str:
    """The state of the whole: the worst of its parts; unknown counts as worse than ok and better than a warning."""
    return max((h.state for h in found), key=STATES.index, default="unknown")


def _guard(name: str, look: Callable[[], Health], project: str = "") -> Health:
    try:
        return look()
    except Exception as error:  # the boundary of one part: what cannot be looked at is ill, and the rest is still shown
        return Health(name, "failed", f"It cannot be looked at ({type(error).__name__}: {str(error)[:120]}).", project)


def _check_database(home: Home) -> Health:
    wrong = {path.name: said for path in (home.db, home.predictions_db) if (said := store.probe(path))}
    ill = {name: said for name, said in wrong.items() if said != "busy"}
    if ill:
        name, said = next(iter(ill.items()))
        return Health("database", "failed", f"{name}: {said}; look at the disk and the rights on the data folder.")
    if wrong:
        return Health("database", "warning", f"{', '.join(wrong)}: readable, but a writer held it for longer than {store.WAIT_MS} ms.")
    return Health("database", "ok", "Both databases can be read and written.")


def _check_disk(home: Home) -> Health:
    disk = usage.measure_disk(home)
    share = disk.free / disk.total if disk.total else 0.0
    left = f"{disk.free / _GB:.1f} GB free, {share:.0%} of the disk"
    if disk.free < NO_DISK:
        return Health("disk space", "failed", f"{left}: predictions and acts will soon be refused; make room now.")
    if share < LOW_DISK_SHARE or disk.free < LOW_DISK:
        return Health("disk space", "warning", f"{left}: make room, or keep predictions and logs for a shorter time.")
    return Health("disk space", "ok", f"{left}.")


def _check_wal(home: Home) -> Health:
    sizes = {path.name: store.wal_bytes(path) for path in (home.db, home.predictions_db)}
    name, size = max(sizes.items(), key=lambda item: item[1])
    said = f"The largest is {size / 1_000_000:.0f} MB ({name})"
    if size > LARGE_WAL:
        return Health("write-ahead log", "warning", f"{said}: some reader has kept it from shrinking; restart what has run longest.")
    return Health("write-ahead log", "ok", f"{said}.")


def _check_journal(home: Home) -> Health:
    writer = journal.find(home)
    if writer is None:
        return Health("journal", "ok", "Nothing was predicted in this process yet; its writer starts with the first prediction.")
    alive, waiting = writer.describe()
    if not alive:
        return Health("journal", "warning", "The writer of the prediction log has ended; the next prediction starts another.")
    if waiting > MANY_WAITING:
        return Health("journal", "warning", f"{waiting:,} groups of predictions wait for the disk; {journal.WAITING_GROUPS:,} at most may.")
    return Health("journal", "ok", f"{waiting:,} groups of predictions wait for the disk.")


def _check_scheduler(home: Home, now: datetime) -> Health:
    last = settings_store.find_setting(reading(home.db), LAST_TICK)
    if last is None:
        return Health("scheduler", "unknown", "The clock has not ticked yet; it runs with the console.")
    age = now - parse(last)
    if age > LOST_TICK:
        return Health("scheduler", "failed", f"The clock ticked last {_ago(age)}; start the console (or restart it).")
    if age > LATE_TICK:
        return Health("scheduler", "warning", f"The clock ticked last {_ago(age)}; it should each minute.")
    return Health("scheduler", "ok", f"The clock ticked {_ago(age)}.")


def _check_workers(home: Home, now: datetime) -> Health:
    recent = [j for j in jobs.list_jobs(home, limit=50, now=now) if parse(j.created_at) > now - RECENT]
    waiting = [j for j in recent if j.state == "queued" and j.owner == "supervisor" and now - parse(j.created_at) > LONG_QUEUE]
    running = [j for j in recent if j.state == "running"]
    dead = [j for j in recent if j.state == "interrupted"]
    if waiting and not running:
        return Health("workers", "failed", f"Job {waiting[-1].id} has waited {_long(now - parse(waiting[-1].created_at))} and nothing runs.")
    if dead:
        rerun = {j.rerun_of for j in recent}
        left = [j for j in dead if j.id not in rerun]
        if left:
            return Health("workers", "warning", f"The worker of job {left[0].id} ({left[0].kind}) died; the job can be run again.")
    if waiting:
        return Health("workers", "warning", f"{len(waiting)} jobs have waited longer than {_long(LONG_QUEUE)} behind others.")
    return Health("workers", "ok", f"{len(running)} running." if running else "No job is running, and none died in the last 24 hours.")


def _check_messages(home: Home, now: datetime) -> Health:
    failed, late = notify_store.count_troubles(
        reading(home.db), failed_since=stamp(now - RECENT), due_before=stamp(now - LATE_MESSAGE)
    )  # fmt: skip
    if late:
        overdue = f"{late} should have been sent {_long(LATE_MESSAGE)} ago"
        return Health("messages", "warning", f"{overdue}; the clock sends them, it runs with the console.")
    if failed:
        return Health("messages", "warning", f"{failed} of the last 24 hours could not be delivered; Settings, Channels says why.")
    return Health("messages", "ok", "None is late, and none of the last 24 hours failed.")


def _check_mirror(home: Home, now: datetime) -> Health:
    standing = mirror.describe(home, Settings.from_environment(), now=now)
    if not standing.configured:
        return Health("mirror", "unknown", standing.sentence)
    return Health("mirror", "warning" if standing.last_error or not standing.installed else "ok", standing.sentence)


def _check_model(home: Home, project: str, now: datetime) -> Health:
    live = versions_store.find_live(reading(home.db), project)
    if live is None:
        return Health("model", "unknown", "Nothing is live.", project)
    last = alerts_store.find_last_watch(reading(home.db), project, "model")
    answer = last["answer"] if last else {}
    if last is None or answer.get("sha256") != live["sha256"]:
        return Health("model", "unknown", f"Version {live['version']} is live; the clock has not replayed its golden answers yet.", project)
    age = now - parse(last["at"])
    if not answer["ok"]:
        return Health("model", "failed", answer["sentence"], project)
    if age > MODEL_HOLDS:
        return Health("model", "unknown", f"Version {live['version']} gave its golden answers last {_ago(age)}.", project)
    return Health("model", "ok", f"Version {live['version']} loads and gave its golden answers {_ago(age)}.", project)


def _check_drift(home: Home, project: str, now: datetime) -> Health:
    live = versions_store.find_live(reading(home.db), project)
    if live is None:
        return Health("drift check", "unknown", "Nothing is live, so nothing can have drifted.", project)
    watched = alerts_store.find_last_watch(reading(home.db), project, "drift")
    found = drift_checks.find_latest(home, project, live["id"], kind="log")
    times = [found.at] if found else []
    if watched is not None and watched["answer"].get("version") == live["version"] and watched["answer"].get("measured"):
        times.append(watched["at"])
    if not times:
        return Health("drift check", "unknown", f"No drift check of what version {live['version']} predicted was made yet.", project)
    age = now - parse(max(times))
    since = log.count_since(home, project, parse(max(times)))
    if age > CHECK_HOLDS and since:
        return Health("drift check", "warning", f"The last one is {age.days} days old, and {since} predictions came since.", project)
    return Health("drift check", "ok", f"The last one was made {_ago(age)}.", project)


def _ago(age: timedelta) -> str:
    return "just now" if age < timedelta(seconds=5) else f"{_long(age)} ago"


def _long(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{seconds // size} {unit}{'' if seconds // size == 1 else 's'}"
    return f"{seconds} seconds"
