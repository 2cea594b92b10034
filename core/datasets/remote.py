"""Dataset versions in a DVC remote: pushed, pulled, and named by .dvc files that DVC reads too."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from core import acts
from core.acts import Actor, Done, Tx
from core.adapters import dvc_remote
from core.adapters.dvc_remote import Tracked
from core.datasets import versions
from core.datasets.read import UPLOAD_LIMIT
from core.datasets.versions import Dataset
from core.errors import BadInput, GreenlightError, Refused
from core.home import Home
from core.projects.projects import get_project
from storage import pushes as store
from storage.connection import reading

Push = Callable[[Path, str, str, Path], Tracked]
Pull = Callable[[Tracked, str, Path], bytes]


@dataclass(frozen=True)
class Pushed:
    """One dataset version in one remote.

    Attributes
    ----------
    remote : str
        Where; without credentials.
    md5, size, path : of its bytes, and the name that it has there
    """

    id: int
    dataset_id: int
    version: int
    sha256: str
    remote: str
    md5: str
    size: int
    path: str
    at: str
    by: str


def list_pushes(home: Home, project: str) -> list[Pushed]:
    """Everything that was pushed of a project, the newest version first."""
    return [Pushed(**r) for r in store.list_pushes(reading(home.db), project)]


def write_dvc_file(project: str, pushed: Pushed) -> str:
    """The .dvc file of a version that was pushed; `dvc pull` in any project with that remote brings its bytes."""
    tracked = Tracked(pushed.md5, pushed.size, pushed.path, pushed.sha256)
    return dvc_remote.write_dvc_file(tracked, {"project": project, "version": pushed.version})


def push_dataset(
    home: Home, actor: Actor, dataset: Dataset, remote: str, *, push: Push = dvc_remote.push, key: str | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Push a version to the remote; safe to repeat.

    Returns
    -------
    dict
        version, remote, md5, size, path, fresh (False: it had been pushed there before).

    Raises
    ------
    Refused
        DVC is not installed, the remote is not set or cannot be used, or the version's file is gone or changed.
    """
    shown = dvc_remote.show_remote(remote)
    tracked: Tracked | None = None
    refusal: GreenlightError | None = None
    try:
        if acts.is_allowed(home, actor, "export_dataset"):
            _check_remote(remote)
            versions.check_file(home, dataset)
            path = versions.data_path(home, dataset)
            tracked = push(path, f"{dataset.project}_v{dataset.version}{path.suffix}", remote, home.work)
    except GreenlightError as error:
        refusal = error  # raised inside the act, so that the attempt is audited

    def work(tx: Tx) -> Done:
        if refusal is not None or tracked is None:
            raise refusal or Refused("Nothing was pushed; try again.")
        seen = store.find_push(tx.db, dataset.id, shown)
        facts = {"remote": shown, "md5": tracked.md5, "size": tracked.size, "path": tracked.path}
        if seen is None:
            store.insert_push(tx.db, {**facts, "dataset_id": dataset.id, "at": tx.at, "by": actor.name})
        result = {"version": dataset.version, **facts, "fresh": seen is None}
        return Done(result, after={**facts, "sha256": dataset.sha256}, subject=f"dataset {dataset.version}")

    return acts.perform(
        home, actor, "push_dataset", work, permission="export_dataset", project=dataset.project, subject=f"dataset {dataset.version}",
        key=key, now=now,
    )  # fmt: skip


def pull_dataset(
    home: Home, actor: Actor, project: str, dvc_file: bytes, remote: str, *, pull: Pull = dvc_remote.pull,
    label_provenance: str = "recorded", key: str | None = None, now: datetime | None = None,
) -> dict[str, Any]:
    """Bring what a .dvc file names from the remote as a dataset version, checked like every upload.

    Two acts under one correlation id: the pull, and the version that came of it.

    Returns
    -------
    dict
        as core.datasets.versions.add_dataset returns it, with md5 and remote.

    Raises
    ------
    BadInput
        The .dvc file names no single table, or one that is too large.
    Refused
        DVC is not installed, or the remote does not hold the file as it was.
    """
    get_project(home, project)
    shown, correlation_id = dvc_remote.show_remote(remote), secrets.token_hex(8)
    tracked: Tracked | None = None
    content = b""
    refusal: GreenlightError | None = None
    try:
        if acts.is_allowed(home, actor, "upload_data"):
            _check_remote(remote)
            tracked = dvc_remote.read_dvc_file(dvc_file)
            if tracked.size > UPLOAD_LIMIT:
                raise BadInput(f"{tracked.path} has {tracked.size:,} bytes; a table has at most {UPLOAD_LIMIT:,}.")
            content = pull(tracked, remote, home.work)
    except GreenlightError as error:
        refusal = error  # raised inside the act, so that the attempt is audited

    def work(tx: Tx) -> Done:
        if refusal is not None or tracked is None:
            raise refusal or Refused("Nothing was pulled; try again.")
        facts = {"remote": shown, "md5": tracked.md5, "size": tracked.size, "path": tracked.path}
        return Done(facts, after=facts, subject=tracked.path)

    pulled = acts.perform(
        home, actor, "pull_dataset", work, permission="upload_data", project=project, correlation_id=correlation_id,
        key=f"{key}-pull" if key else None, now=now,
    )  # fmt: skip
    added = versions.add_dataset(
        home, actor, project, content, file_name=pulled["path"], source=f"DVC: {shown}"[:200], label_provenance=label_provenance,
        key=f"{key}-data" if key else None, correlation_id=correlation_id, now=now,
    )  # fmt: skip
    return {**added, "md5": pulled["md5"], "remote": shown}


def _check_remote(remote: str) -> None:
    if not remote:
        raise Refused("No DVC remote is set; name a folder or an address in GREENLIGHT_DVC_REMOTE and start again.")
