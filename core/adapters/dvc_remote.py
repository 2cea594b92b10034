"""Puts files into a DVC remote and takes them out, with DVC's own command in a scratch folder.

Each call makes a small DVC project without version control, uses it and removes it: what stays is what DVC put into the
remote, so that any DVC project that names the same remote finds it.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from core.adapters.optional import is_installed, need
from core.errors import BadInput, Refused

LIBRARY = "dvc"
SECONDS = 300.0
FILE_LIMIT = 64 * 1024

_NAME = "greenlight"
_MD5 = re.compile(r"[0-9a-f]{32}")
_FILE = re.compile(r"[^/\\\x00-\x1f]{1,200}")
# DVC's own switches: nothing is sent home, and no remote is taken from the settings of whoever runs this.
_SILENT = {"DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "1"}


@dataclass(frozen=True)
class Tracked:
    """One file as a .dvc file names it.

    Attributes
    ----------
    md5 : str
        Of its bytes (``dos2unix`` ones where ``is_old``).
    path : str
        Its name; never a path.
    sha256 : str
        "" where the .dvc file does not say.
    is_old : bool
        Written by DVC before 3.0, which hashed and stored files in another way.
    """

    md5: str
    size: int
    path: str
    sha256: str = ""
    is_old: bool = False


def can_run() -> bool:
    """Whether DVC is installed; it is not imported."""
    return is_installed(LIBRARY)


def show_remote(remote: str) -> str:
    """A remote's address without a user, a password or a token in it, for people and for the audit."""
    parts = urlsplit(remote)
    if not parts.scheme or not parts.netloc:
        return remote
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def write_dvc_file(tracked: Tracked, meta: dict[str, Any]) -> str:
    """A .dvc file for one file; ``meta`` stands where DVC leaves room for notes of others."""
    import yaml

    out = {"md5": tracked.md5, "size": tracked.size, "hash": "md5", "path": tracked.path}
    note = {**meta, **({"sha256": tracked.sha256} if tracked.sha256 else {})}
    return yaml.safe_dump({"outs": [out], "meta": {_NAME: note}}, sort_keys=False, allow_unicode=True)


def read_dvc_file(content: bytes) -> Tracked:
    """What a .dvc file names. Its commands, sources and remotes are not read.

    Raises
    ------
    BadInput
        It is no .dvc file, or names something else than one file.
    """
    import yaml

    if len(content) > FILE_LIMIT:
        raise BadInput(f"The .dvc file has {len(content):,} bytes; at most {FILE_LIMIT:,} are read. Choose the .dvc file, not the data.")
    try:
        data = yaml.safe_load(content.decode("utf-8-sig"))
    except (yaml.YAMLError, ValueError, RecursionError, LookupError, AttributeError):  # the latter for `!!int ''`, `!!timestamp x`
        raise BadInput("This is no .dvc file: it is not YAML; choose the small file that `dvc add` wrote.") from None
    outs = data.get("outs") if isinstance(data, dict) else None
    if not isinstance(outs, list) or not all(isinstance(o, dict) for o in outs):
        raise BadInput('This is no .dvc file: it has no list "outs"; choose the small file that `dvc add` wrote.')
    if len(outs) != 1:
        raise BadInput(f"The .dvc file names {len(outs)} files; a dataset version is one. Track the table by itself with `dvc add`.")
    out, (md5, size, path) = outs[0], (outs[0].get(k) for k in ("md5", "size", "path"))
    if isinstance(md5, str) and md5.endswith(".dir"):
        raise BadInput("The .dvc file names a folder; a dataset version is one file. Track the table by itself with `dvc add`.")
    if out.get("hash", "md5") != "md5" or not isinstance(md5, str) or not _MD5.fullmatch(md5):
        raise BadInput("The .dvc file names no file by its md5; track the table with `dvc add`.")
    if not isinstance(path, str) or not _FILE.fullmatch(path) or not path.isprintable() or path in (".", ".."):
        raise BadInput("The .dvc file names its file by a path; only a plain file name beside it is taken.")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise BadInput("The .dvc file does not say the size of its file; write it anew with `dvc add`.")
    meta = data.get("meta")
    note = meta.get(_NAME) if isinstance(meta, dict) else None
    sha256 = note.get("sha256") if isinstance(note, dict) else None
    return Tracked(md5, size, path, sha256 if isinstance(sha256, str) else "", "hash" not in out)


def push(source: Path, name: str, remote: str, folder: Path, *, seconds: float = SECONDS) -> Tracked:
    """Put a file into the remote under ``name``; the same bytes again change nothing there.

    Parameters
    ----------
    remote : folder, or address such as s3://bucket/path; credentials are DVC's own business
    folder : where the scratch folder may be made

    Raises
    ------
    Refused
        DVC is not installed, the remote cannot be reached or written to, or holds other bytes where these belong.
    """
    with _scratch(remote, folder) as place:
        (place / name).write_bytes(source.read_bytes())
        _call(place, remote, seconds, "add", "--", name)
        said = _call(place, remote, seconds, "push", "--", f"{name}.dvc")
        tracked = read_dvc_file((place / f"{name}.dvc").read_bytes())
    if "up to date" in said:  # DVC looks for its name only: what lies there already may have been changed since
        pull(tracked, remote, folder, seconds=seconds)
    return tracked


def pull(tracked: Tracked, remote: str, folder: Path, *, seconds: float = SECONDS) -> bytes:
    """The bytes of a file that somebody put into the remote.

    Raises
    ------
    Refused
        DVC is not installed, the remote cannot be reached, or it does not hold this file.
    """
    import yaml

    out: dict[str, Any] = {"md5": tracked.md5, "size": tracked.size, "path": "table"}
    if not tracked.is_old:
        out["hash"] = "md5"
    with _scratch(remote, folder) as place:
        (place / "table.dvc").write_text(yaml.safe_dump({"outs": [out]}), encoding="utf-8")
        _call(place, remote, seconds, "pull", "--", "table.dvc")
        try:
            other = (place / "table").stat().st_size != tracked.size  # then it is not even read into memory
            content = b"" if other else (place / "table").read_bytes()
        except FileNotFoundError:
            raise Refused(f"The remote {show_remote(remote)} does not hold {tracked.path} (md5 {tracked.md5}); push it there first.") from None
    # DVC before 3.0 hashed text as if its lines ended as on Unix
    seen = (content, content.replace(b"\r\n", b"\n")) if tracked.is_old else (content,)
    same = len(content) == tracked.size and any(hashlib.md5(c, usedforsecurity=False).hexdigest() == tracked.md5 for c in seen)
    if not same:
        kept = f"{'' if tracked.is_old else 'files/md5/'}{tracked.md5[:2]}/{tracked.md5[2:]}"
        raise Refused(f"What the remote {show_remote(remote)} holds as {tracked.path} was changed there; remove {kept} from it and push it anew.")
    if tracked.sha256 and hashlib.sha256(content).hexdigest() != tracked.sha256:
        raise Refused(f"What the remote {show_remote(remote)} holds as {tracked.path} is not what the .dvc file names; take that file again.")
    return content


@contextmanager
def _scratch(remote: str, folder: Path) -> Iterator[Path]:
    if not can_run():
        need(LIBRARY)
    if any(not c.isprintable() or c in "#;" for c in remote):
        raise Refused("GREENLIGHT_DVC_REMOTE holds a character that DVC's settings cannot; name a folder or an address without it.")
    if "://" not in remote and not Path(remote).expanduser().is_dir():  # DVC would make it, where a disk was to be mounted
        raise Refused(f"There is no folder {remote} to push to or pull from; mount or make it, or correct GREENLIGHT_DVC_REMOTE.")
    address = remote if "://" in remote else str(Path(remote).expanduser().absolute())
    with tempfile.TemporaryDirectory(prefix="dvc_", dir=folder) as name:
        place = Path(name)
        (place / ".dvc").mkdir()
        settings = f"[core]\n    analytics = false\n    check_update = false\n    no_scm = true\n    remote = {_NAME}\n"
        settings += f"    site_cache_dir = {place / 'site'}\n"
        (place / ".dvc" / "config").write_text(f'{settings}[remote "{_NAME}"]\n    url = {address}\n', encoding="utf-8")
        yield place


def _call(place: Path, remote: str, seconds: float, *arguments: str) -> str:
    """One command of DVC; its complaint as one sentence."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GREENLIGHT_")}
    try:
        done = subprocess.run(  # noqa: S603 - DVC's own program and words of ours
            [sys.executable, "-m", "dvc", *arguments],
            cwd=place, env={**kept, **_SILENT}, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Refused(f"The remote {show_remote(remote)} did not answer within {seconds:.4g} s; try again later.") from None
    said = done.stderr.decode("utf-8", "replace")
    if done.returncode:
        raise Refused(_explain(said, remote, place, arguments[0]))
    return done.stdout.decode("utf-8", "replace")


def _explain(said: str, remote: str, place: Path, what: str) -> str:
    shown = show_remote(remote)
    lines = [line.strip() for line in said.splitlines() if line.strip().startswith("ERROR")]
    error = lines[-1].removeprefix("ERROR:").strip() if lines else "no reason was given"
    error = error.removeprefix("unexpected error - ").replace(remote, shown).replace(str(place), "")
    error = re.sub(r"(?<=://)[^/@\s]+@", "", error).rstrip(".")[:300]  # with another path behind it, or a token of somebody's settings
    plugin = re.search(r"requires '(dvc-[a-z0-9]+)' to be installed", said)
    if plugin:
        return f"DVC reaches {shown} only with {plugin[1]}: pip install {plugin[1]} (docs/dvc.md says what it needs)."
    if what == "pull" and ("missing" in said or "failed to pull" in said or "Checkout failed" in said):
        return f"The remote {shown} does not hold this file, or cannot be read; push it there first, or correct GREENLIGHT_DVC_REMOTE."
    return f"The remote {shown} could not be used: {error}. Nothing was lost; correct GREENLIGHT_DVC_REMOTE or try again."
