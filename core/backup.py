"""A backup: one file that holds a whole installation as it was at one moment, made while it works, and checked before it counts.

A plain tar with ``home/`` (both databases, datasets, runs, reports, the secret key), ``models/``, and ``manifest.json`` at its end:
names, sizes and hashes of all files, and the audit's count and head. Logs, files of running jobs and other backups stay out. The
file holds the secret key and everything that the key protects, so it is readable by its owner only: keep it like the installation.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from core import acts, audit
from core.acts import Actor, Done, Tx
from core.errors import BadInput, GreenlightError, NotFound, Refused
from core.home import Home
from core.roles import may
from core.times import stamp, utc_now
from storage import accounts as accounts_store
from storage import audit as audit_store
from storage import backups as store
from storage import projects as projects_store
from storage import versions as versions_store
from storage.connection import close_all, reading

FORMAT = 1  # raise it when a file means something else; a reader refuses what it does not know
MANIFEST = "manifest.json"
FOLDER = "backups"  # in the data folder; where schedules put theirs

_LEFT_OUT = {"work", "logs", FOLDER}
_BY_ITSELF = {"greenlight.db", "predictions.db", "audit.head"}
_ENDS_LEFT_OUT = (".lock", "-wal", "-shm", "-journal", ".part", ".new")
_STAGED, _UNFINISHED = "backup-", timedelta(days=1)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Backup:
    """What a backup file holds.

    Attributes
    ----------
    sha256 : str
        Of the whole file; "" in its own manifest.
    audit_count, audit_head
        The last audit event in it.
    problems : tuple of str
        What was wrong with the installation itself when it was copied; empty is the rule.
    """

    path: str
    sha256: str
    bytes: int
    made_at: str
    made_by: str
    files: int
    versions: int
    audit_count: int
    audit_head: str
    problems: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        size = f"{self.bytes / 1_000_000:.1f} MB"
        held = f"{Path(self.path).name}: {size}, {self.files} files, {self.versions} versions, {self.audit_count} audit events"
        if self.problems:
            return f"The backup was written, but the installation is not well: {self.problems[0]} ({held})"
        return f"{held}, head {self.audit_head[:12]}; verified."


def make_backup(home: Home, actor: Actor, out: Path, *, trigger: str = "person", now: datetime | None = None) -> Backup:
    """Write a backup to a file that does not exist yet; acts and predictions go on meanwhile.

    Raises
    ------
    BadInput
        ``out`` exists, or its folder does not.
    Refused
        The role may not, or a database is damaged: then no file is left.
    """
    now = now or utc_now()
    made: list[Backup] = []
    fault: Exception | None = None
    if _is_allowed(home, actor):
        try:
            made.append(_make(home, actor, _check_target(out), now))
        except (GreenlightError, OSError) as error:
            fault = error

    def work(tx: Tx) -> Done:
        if fault is not None:
            raise fault
        after = {k: v for k, v in asdict(made[0]).items() if k != "path"}
        return Done(after, after={"file": out.name, **after}, subject=f"backup {out.name}")

    acts.perform(home, actor, "make_backup", work, permission="backup", subject=f"backup {out.name}", trigger=trigger, now=now)
    return made[0]


def make_in_folder(home: Home, actor: Actor, *, keep: int, now: datetime) -> Backup:
    """What a schedule does: a backup named by time and audit head in the data folder; of such ones the newest ``keep`` are kept."""
    folder = home.root / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    last = audit_store.find_last(reading(home.db))
    name = f"greenlight_{now:%Y%m%d_%H%M%S}_{last[0] if last else 0}_{(last[1] if last else audit.GENESIS)[:8]}.tar"
    made = make_backup(home, actor, folder / name, trigger="schedule", now=now)
    if not made.problems:  # an ill installation must not push out the good copies
        for old in list_backups(home)[keep:]:
            old.unlink(missing_ok=True)
    return made


def list_backups(home: Home) -> list[Path]:
    """The files in the data folder's own place for backups, newest first."""
    return sorted((home.root / FOLDER).glob("greenlight_*.tar"), reverse=True)


def find_problems(home: Home, *, every_version: bool) -> list[str]:
    """What is wrong with an installation: its audit, its model files, and the golden answers (of what is live, or of every version).

    Runs in a thread of its own, so that no connection to the place that is looked at outlives the look.
    """
    return look_apart(lambda: list(_problems(home, every_version)))


def _make(home: Home, actor: Actor, out: Path, now: datetime) -> Backup:
    _forget_unfinished(home, now)
    with tempfile.TemporaryDirectory(prefix=_STAGED, dir=_make_folder(home.work)) as near:
        staged = Home(Path(near), home.models)
        # the log of predictions first: what it names is then in the acts' database, which is the later of the two
        for source, target in ((home.predictions_db, staged.predictions_db), (home.db, staged.db)):
            if wrong := store.snapshot(source, target):
                raise Refused(f"{source.name} cannot be copied whole ({wrong[:200]}); no backup was made. Look at the disk.")
        shutil.copyfile(home.root / "secret.key", staged.root / "secret.key")
        last = look_apart(lambda: _note_head(staged))
        problems = find_problems(staged, every_version=False)
        fresh = out.with_name(f".{out.name}.{os.getpid()}.part")
        try:
            made = _write(home, staged, fresh, actor, last, problems, now)
            fresh.replace(out)
        finally:
            fresh.unlink(missing_ok=True)
    return replace(made, path=str(out))


def _write(home: Home, staged: Home, path: Path, actor: Actor, last: tuple[int, str], problems: list[str], now: datetime) -> Backup:
    files: dict[str, dict[str, Any]] = {}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as raw:
        with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, source in _list_files(home, staged):
                if (entry := _add(tar, name, source)) is not None:
                    files[name] = entry
            absent = _list_absent(staged, files)
            versions = {str(Path(n).parent.relative_to("models")) for n in files if n.startswith("models/") and n.endswith("/manifest.json")}
            made = Backup("", "", 0, stamp(now), actor.name, len(files), len(versions), *last, (*problems, *absent))
            content = json.dumps({"format": FORMAT, **asdict(made), "files": files}, ensure_ascii=False, indent=1).encode()
            info = tarfile.TarInfo(MANIFEST)
            info.size, info.mode = len(content), 0o600
            tar.addfile(info, io.BytesIO(content))
        raw.flush()
        os.fsync(raw.fileno())
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return replace(made, sha256=digest, bytes=path.stat().st_size)


class _Hashing:
    """A file that is hashed while it is read, and read for as many bytes as it had at first."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest = file, hashlib.sha256()

    def read(self, size: int) -> bytes:
        chunk = self.file.read(size)
        self.digest.update(chunk)
        return chunk


def _add(tar: tarfile.TarFile, name: str, source: Path) -> dict[str, Any] | None:
    """Put one file in; None if it has just been tidied away."""
    try:
        file = source.open("rb")
    except FileNotFoundError:
        return None
    with file:
        info = tarfile.TarInfo(name)
        info.size, info.mode = os.fstat(file.fileno()).st_size, 0o600
        hashing = _Hashing(file)
        tar.addfile(info, hashing)  # type: ignore[arg-type]  # it asks for read alone
    return {"sha256": hashing.digest.hexdigest(), "bytes": info.size}


def _list_files(home: Home, staged: Home) -> Iterator[tuple[str, Path]]:
    """(name in the backup, file), the databases first. Links and what is no plain file stay out."""
    for path in (staged.db, staged.predictions_db, staged.audit_head, staged.root / "secret.key"):
        yield f"home/{path.name}", path
    for path in _walk(home.root):
        parts = path.relative_to(home.root).parts
        if parts[0] in _LEFT_OUT or path.is_relative_to(home.models) or path.name.endswith(_ENDS_LEFT_OUT):
            continue
        if len(parts) > 1 or parts[0] not in (*_BY_ITSELF, "secret.key"):
            yield "home/" + "/".join(parts), path
    for path in _walk(home.models):
        yield "models/" + "/".join(path.relative_to(home.models).parts), path


def _walk(folder: Path) -> Iterator[Path]:
    """Plain files under a folder, in order; hidden ones are unfinished work."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith("."):
            continue
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue
        if stat.S_ISDIR(mode):
            yield from _walk(path)
        elif stat.S_ISREG(mode):
            yield path


def _list_absent(staged: Home, files: dict[str, dict[str, Any]]) -> list[str]:
    """Data and model files that the database names and that were not there."""
    from core.datasets import versions as datasets

    def look() -> list[str]:
        absent = []
        for project in projects_store.list_projects(reading(staged.db), archived=True):
            name = project["name"]
            purged = datasets.find_purged(staged, name)
            for dataset in datasets.list_datasets(staged, name):
                where = "home/" + datasets.data_path(staged, dataset).relative_to(staged.root).as_posix()
                if where not in files and dataset.id not in purged:
                    absent.append(f"The file of dataset {dataset.version} of {name} is gone.")
            for version in versions_store.list_versions(reading(staged.db), name):
                if f"models/{name}/{version['version']}/model.pkl" not in files:
                    absent.append(f"The model file of {name} {version['version']} is gone.")
        return absent

    return look_apart(look)


def _problems(home: Home, every_version: bool) -> Iterator[str]:
    from core.registry.golden import check_golden
    from core.scoring.scorer import open_scorer

    verdict = audit.verify(home)
    if not verdict.intact:
        yield f"The audit: {verdict.sentence}"
    db = reading(home.db)
    for project in projects_store.list_projects(db, archived=True):
        for row in versions_store.list_versions(db, project["name"]):
            if not every_version and row["stage"] != "production":
                continue
            try:
                check_golden(home, open_scorer(home, row))
            except (Refused, NotFound) as error:
                yield str(error)


def _note_head(staged: Home) -> tuple[int, str]:
    """Sign the head of the copied audit: the one outside may be further on by now."""
    last = audit_store.find_last(reading(staged.db))
    if last is None:
        return 0, audit.GENESIS
    audit.note_head(staged, *last)
    return last


def _is_allowed(home: Home, actor: Actor) -> bool:
    account = accounts_store.find_account(reading(home.db), actor.name)
    return account is not None and bool(account["active"]) and may(account["role"], "backup")


def _forget_unfinished(home: Home, now: datetime) -> None:
    """What a backup that was killed has left; whatever is younger than a day may still be at work."""
    for path in [*home.work.glob(f"{_STAGED}*"), *(home.root / FOLDER).glob(".*.part")]:
        if path.stat().st_mtime < (now - _UNFINISHED).timestamp():
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _check_target(out: Path) -> Path:
    if out.exists():
        raise BadInput(f"{out} exists already; choose another name, backups are never overwritten.")
    if not out.parent.is_dir():
        raise BadInput(f"There is no folder {out.parent}; make it first, or choose another.")
    return out.resolve()


def _make_folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def look_apart(look: Callable[[], _T]) -> _T:
    """Call in a thread of its own, whose connections are closed afterwards."""

    def run() -> _T:
        try:
            return look()
        finally:
            close_all()

    with ThreadPoolExecutor(1, "backup") as pool:
        return pool.submit(run).result()
