"""Model files: written once, signed, and checked before anything is unpickled.

A pickle can run code when it is read. So a file is read only if its sha256 is the one in the database and
its HMAC, made with the installation's key (which lies outside the models folder), fits. Nobody uploads one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

from core.errors import Refused
from core.home import Home

FORMAT = 1  # of the version folder; raise it when a file is added, renamed or means something else


def sign(home: Home, content: bytes) -> tuple[str, str]:
    """(sha256, HMAC-SHA256) of a file's bytes, both hex."""
    return hashlib.sha256(content).hexdigest(), hmac.new(home.secret_key(), content, hashlib.sha256).hexdigest()


def read_signed(home: Home, path: Path, sha256: str, mac: str) -> bytes:
    """The bytes of a signed file.

    Raises
    ------
    Refused
        The file is gone, was changed, or was not made by this installation. Nothing was unpickled.
    """
    try:
        content = path.read_bytes()
    except OSError:
        raise Refused(f"The model file {path.name} in {path.parent.name} cannot be read; restore it from a backup.") from None
    seen_sha, seen_mac = sign(home, content)
    if not hmac.compare_digest(seen_sha, sha256) or not hmac.compare_digest(seen_mac, mac):
        raise Refused(
            f"The file {path.name} in {path.parent.name} is not the one that was registered (its hash or signature differs); "
            "it was not opened. Restore it from a backup."
        )
    return content


def load_pickle(home: Home, path: Path, sha256: str, mac: str) -> Any:
    """Check, then unpickle."""
    return pickle.loads(read_signed(home, path, sha256, mac))  # noqa: S301 - sha256 and HMAC were checked


def write_folder(home: Home, folder: Path, files: dict[str, bytes]) -> Path:
    """Write all files of a version, with a signed manifest, into a temporary folder beside ``folder``; returns it.

    The caller renames it into place inside its act (:func:`move_into_place`).
    """
    fresh = folder.parent / f".{folder.name}.{os.getpid()}.{os.urandom(4).hex()}"
    fresh.mkdir(parents=True)
    manifest: dict[str, Any] = {"format": FORMAT, "files": {}}
    for name, content in files.items():
        _write(fresh / name, content)
        sha, mac = sign(home, content)
        manifest["files"][name] = {"sha256": sha, "hmac": mac, "bytes": len(content)}
    _write(fresh / "manifest.json", json.dumps(manifest, indent=2, sort_keys=True).encode())
    return fresh


def move_into_place(fresh: Path, folder: Path) -> None:
    """Give a finished folder its name. A leftover without a database row (a crash just here) is replaced; a version never is,
    because its name is taken in the database first."""
    if folder.exists():
        shutil.rmtree(folder)
    fresh.replace(folder)


def read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """File name -> {sha256, hmac, bytes} of a version folder."""
    try:
        return dict(json.loads((folder / "manifest.json").read_text())["files"])
    except (OSError, ValueError, KeyError, TypeError):
        raise Refused(f"The manifest of {folder.parent.name}/{folder.name} cannot be read; restore the folder from a backup.") from None


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
