"""A backup brought back, into a data folder that holds nothing yet.

Everything is unpacked beside the place where it will stand, checked there (hashes, both databases, the audit, every version's
golden answers), and only then moved; the database of acts comes last, so that a restore that was cut off has restored nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from core import acts, backup
from core.acts import Actor, Done, Tx
from core.errors import BadInput, Refused
from core.home import Home, open_home
from core.times import utc_now
from storage import accounts as accounts_store
from storage import backups as store
from storage import keys as keys_store

_LARGEST_MANIFEST = 256 * 1024 * 1024  # bytes
_CHUNK = 1024 * 1024
_NEEDED = ("home/greenlight.db", "home/predictions.db", "home/secret.key")
_NAME = re.compile(r"(home|models)(/[^/\\\x00-\x1f]{1,255}){1,30}")


def restore_backup(
    file: Path, root: Path, models: Path, actor: Actor, *, despite_problems: bool = False, keep_keys: bool = False,
    now: datetime | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Restore a backup into an empty data folder and an empty place for models.

    Whoever acts is looked up in the backup itself. Sessions that were open when it was made are ended, and programs' keys that were
    good then are revoked: any of them may have been revoked since, and the backup cannot know.

    Parameters
    ----------
    despite_problems : bool
        Restore a backup whose audit or models are not what they should be, too; they are told either way.
    keep_keys : bool
        Leave the keys as they were when the backup was made, those that were revoked later among them.

    Returns
    -------
    dict
        root, files, versions, audit_count, audit_head, made_at, problems, keys_revoked, keys_kept.

    Raises
    ------
    BadInput
        The file is no backup, is damaged, or is of a newer version.
    Refused
        The place is not empty, the account may not, or there are problems.
    """
    now = now or utc_now()
    root, models = root.resolve(), models.resolve()
    manifest = read_manifest(file)
    _check_place(root, models, manifest)
    root.mkdir(parents=True, exist_ok=True)
    staging = root / ".restoring"
    with _alone(root):
        _check_place(root, models, manifest)  # again: another restore may have ended in between
        shutil.rmtree(staging, ignore_errors=True)  # of a restore that was cut off
        settled = _restore(file, manifest, staging, root, models, actor, despite_problems, keep_keys, now)
    shown = ("files", "versions", "audit_count", "audit_head", "made_at")
    return {"root": str(root), **{k: len(manifest[k]) if k == "files" else manifest[k] for k in shown}, **settled}


def _restore(
    file: Path, manifest: dict[str, Any], staging: Path, root: Path, models: Path, actor: Actor, despite_problems: bool, keep_keys: bool,
    now: datetime,
) -> dict[str, Any]:  # fmt: skip
    try:
        _unpack(file, manifest, staging)
        staged = Home(staging / "home", staging / "models")
        for path in (staged.db, staged.predictions_db):
            if wrong := store.check_integrity(path):
                raise BadInput(f"{path.name} in {file.name} is damaged ({wrong[:200]}); use another backup.")
            if unknown := store.list_unknown_migrations(path):
                raise BadInput(f"{file.name} is of a newer version (it knows {unknown[-1][:60]}); install that version first.")
        settled = backup.look_apart(lambda: _settle(staged, actor, file, manifest, despite_problems, keep_keys, now))
        _move(staged, root, models)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return settled


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """One restore at a time into one place."""
    with (root / "restore.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"Another restore into {root} is under way; wait for it to end.") from None
        yield


def read_manifest(file: Path) -> dict[str, Any]:
    """What a backup says of itself: see core.backup.Backup, and ``files``: name -> {sha256, bytes}.

    Raises
    ------
    BadInput
        The file is no backup, is cut off, names what a backup has not, or is of a newer version.
    """
    if not file.is_file():
        raise BadInput(f"There is no file {file}; check the name.")
    try:
        with tarfile.open(file, "r:") as tar:
            info = tar.getmember(backup.MANIFEST)
            if not info.isreg() or info.size > _LARGEST_MANIFEST:
                raise BadInput(f"The manifest of {file.name} is not one of a backup.")
            content = tar.extractfile(info)
            manifest: dict[str, Any] = json.loads(content.read()) if content else {}
        number, files = int(manifest["format"]), manifest["files"]
        right = all(isinstance(e["bytes"], int) and e["bytes"] >= 0 and len(e["sha256"]) == 64 for e in files.values())
    except KeyError as error:
        raise BadInput(f"{file.name} is not a whole backup ({error.args[0]}); it was cut off, or is something else.") from error
    except (tarfile.TarError, ValueError, TypeError, AttributeError, EOFError) as error:
        raise BadInput(f"{file.name} is not a backup, or is damaged; use another.") from error
    if number != backup.FORMAT:
        raise BadInput(f"{file.name} has format {number}, this version reads {backup.FORMAT}; install the version that made it.")
    wrong = next((n for n in files if not _is_safe(n)), None)
    if not right or wrong is not None or not all(n in files for n in _NEEDED):
        raise BadInput(f"{file.name} names {wrong!r}, which no backup has." if wrong else f"{file.name} lacks what every backup has.")
    return manifest


def _is_safe(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and not any(part in (".", "..") for part in PurePosixPath(name).parts)


def _unpack(file: Path, manifest: dict[str, Any], staging: Path) -> None:
    """Write every file that the manifest names, and hold it against its size and hash; nothing else is written."""
    wanted: dict[str, dict[str, Any]] = dict(manifest["files"])
    room, need = shutil.disk_usage(staging.parent).free, sum(e["bytes"] for e in wanted.values())
    if need > room:
        raise Refused(f"The backup needs {need / 1e9:.1f} GB, and {room / 1e9:.1f} GB are free in {staging.parent}; make room first.")
    for folder in (staging, staging / "home", staging / "models"):
        folder.mkdir(mode=0o700)
    try:
        with tarfile.open(file, "r:") as tar:
            for info in tar:
                entry = wanted.pop(info.name, None)
                if entry is None:
                    if info.name == backup.MANIFEST:
                        continue
                    raise BadInput(f"{file.name} holds {info.name[:80]!r}, which its manifest does not name; it was changed.")
                if not info.isreg() or info.size != entry["bytes"] or _write(tar, info, staging / info.name) != entry["sha256"]:
                    raise BadInput(f"{info.name} in {file.name} is damaged (its hash differs); use another backup.")
    except (tarfile.TarError, EOFError) as error:
        raise BadInput(f"{file.name} is damaged; use another backup.") from error
    if wanted:
        raise BadInput(f"{file.name} lacks {next(iter(wanted))[:80]}, which its manifest names; use another backup.")


def _write(tar: tarfile.TarFile, info: tarfile.TarInfo, target: Path) -> str:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, source = hashlib.sha256(), tar.extractfile(info)
    assert source is not None
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _settle(
    staged: Home, actor: Actor, file: Path, manifest: dict[str, Any], despite_problems: bool, keep_keys: bool, now: datetime
) -> dict[str, Any]:
    """Bring the schema up to date, look for problems, and let the restored audit say who restored it."""
    open_home(staged.root, staged.models)
    problems = backup.find_problems(staged, every_version=True)

    def work(tx: Tx) -> Done:
        if problems and not despite_problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise Refused(f"Nothing was restored: {problems[0]}{more} To restore it all the same, add --despite-problems.")
        ended = sum(accounts_store.revoke_sessions(tx.db, a["name"], tx.at) for a in accounts_store.list_accounts(tx.db))
        good = [k["id"] for k in keys_store.list_keys(tx.db) if k["revoked_at"] is None]
        for key_id in () if keep_keys else good:
            keys_store.revoke_key(tx.db, key_id, at=tx.at, by=tx.actor.name)
        told = {"problems": problems, "keys_revoked": 0 if keep_keys else len(good), "keys_kept": len(good) if keep_keys else 0}
        facts = {k: manifest[k] for k in ("made_at", "made_by", "audit_count", "audit_head")}
        return Done(told, after={"file": file.name, **facts, "sessions_ended": ended, **told}, subject=f"backup {file.name}")

    return acts.perform(staged, actor, "restore_backup", work, permission="backup", subject=f"backup {file.name}", now=now)


def _check_place(root: Path, models: Path, manifest: dict[str, Any]) -> None:
    """Nothing may stand there but what an earlier restore of this very backup has left."""
    if store.holds_anything(root / "greenlight.db"):
        raise Refused(f"{root} holds an installation already; a backup is restored into an empty folder: set GREENLIGHT_HOME to another.")
    for path in sorted(models.glob("*/*/manifest.json")):
        name = "models/" + path.relative_to(models).as_posix()
        if hashlib.sha256(path.read_bytes()).hexdigest() != manifest["files"].get(name, {}).get("sha256"):
            raise Refused(f"{models} holds models already ({path.parent.parent.name}); set GREENLIGHT_MODELS to an empty folder.")


def _move(staged: Home, root: Path, models: Path) -> None:
    models.mkdir(parents=True, exist_ok=True)
    for path in sorted(staged.models.iterdir()):
        _put(path, models / path.name)
    later = (staged.db.name, "audit.head")
    for name in ("greenlight.db", "predictions.db"):
        for end in ("", "-wal", "-shm"):
            (root / (name + end)).unlink(missing_ok=True)
    entries = sorted(p for p in staged.root.iterdir() if p != staged.models and not p.name.endswith((".lock", "-wal", "-shm")))
    for path in (*(p for p in entries if p.name not in later), staged.audit_head, staged.db):
        if path.exists():
            _put(path, root / path.name)


def _put(source: Path, target: Path) -> None:
    """Move, over what stands there; a folder that a fresh installation has made is filled."""
    if source.is_dir() and target.is_dir():
        for path in sorted(source.iterdir()):
            _put(path, target / path.name)
        return
    if target.exists():
        target.unlink()
    shutil.move(source, target)
