"""The erasure of one person's rows: what an installation holds of a business key, and its removal without breaking the audit.

Predictions are blanked in their places (other ids stay right), labels and keys deleted, and files of jobs in which the rows stand
are removed. The audit keeps that it was done and how much went, and names the person by an HMAC only. Dataset versions are named,
not changed: their hash is the evidence of what was trained; a whole version can be purged (:mod:`core.retention`).

The act is the order, and the rows go right after it; killed in between, the clock finishes it (:func:`finish_erasures`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from core import acts, audit, logs, orders, retention
from core.accounts import find_account
from core.acts import Actor, Done, Tx
from core.datasets import versions as datasets
from core.datasets.versions import Dataset
from core.drift import checks
from core.errors import BadInput, GreenlightError, NotFound, Refused
from core.home import Home
from core.jobs import jobs
from core.orders import Order
from core.projects.definition import Definition
from core.projects.projects import get_definition
from core.scoring import log
from core.times import parse, stamp, utc_now
from storage import accounts as settings_store
from storage import retention as store
from storage import versions as versions_store
from storage.connection import reading, writing

_BLOCK = 4 * 1024 * 1024
MOST_IDS = 10_000
IN_HAND = timedelta(minutes=1)  # so long an order belongs to the process that was given it


@dataclass(frozen=True)
class InDataset:
    """A dataset version that holds rows of the key, and the model versions that were trained from it."""

    version: int
    rows: int
    trained: tuple[str, ...]


@dataclass(frozen=True)
class Traces:
    """What an installation holds of one person in one project.

    Attributes
    ----------
    prediction_ids : tuple of str
        Newest first.
    folders : tuple of Path
        Files of scoring jobs in which the key or one of the predictions stands.
    samples : tuple of int
        Drift checks that keep a sample of logged predictions of that time, and a full report made of it: the rows may be among
        them, without their key (a report names every value of a category).
    unsearched : tuple of int
        Dataset versions that could not be read.
    """

    prediction_ids: tuple[str, ...]
    datasets: tuple[InDataset, ...]
    folders: tuple[Path, ...]
    samples: tuple[int, ...]
    unsearched: tuple[int, ...] = ()

    @property
    def anything(self) -> bool:
        return bool(self.prediction_ids or self.datasets or self.folders)


def find_traces(home: Home, project: str, *, key_value: str = "", prediction_ids: tuple[str, ...] = ()) -> Traces:
    """Look for a business key, or for predictions by their ids, wherever rows are kept.

    Raises
    ------
    BadInput
        Neither or both are given, the project has no key column, or there are more than 10,000 ids.
    """
    definition = get_definition(home, project)
    key_value = key_value.strip()
    _check_asked(definition, key_value, prediction_ids)
    ids = log.find_by_key(home, project, key_value) if key_value else list(dict.fromkeys(prediction_ids))
    held: list[InDataset] = []
    unsearched: list[int] = []
    if key_value:
        for dataset in datasets.list_datasets(home, project):
            path = datasets.data_path(home, dataset)
            if not path.exists():
                continue
            try:
                rows = _count_rows(path, dataset.file_name, definition, key_value)
            except GreenlightError:
                unsearched.append(dataset.version)
                continue
            if rows:
                held.append(InDataset(dataset.version, rows, _trained_from(home, dataset)))
    folders = tuple(f for f, _ in _list_folders(home, project) if _is_concerned(f, definition, key_value, ids))
    return Traces(tuple(ids), tuple(held), folders, _list_samples(home, project, ids), tuple(unsearched))


def erase(
    home: Home, actor: Actor, project: str, *, key_value: str = "", prediction_ids: tuple[str, ...] = (), confirm: str, reason: str,
    key: str | None = None, now: datetime | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Erase one person's predictions, labels and keys, and the job files and samples in which they stand.

    Parameters
    ----------
    confirm : str
        The project's name, typed by whoever asks.
    reason : str
        Stands in the audit for ever, so it must not hold the key.

    Returns
    -------
    dict
        rows (erased now), before (were erased already), labels, keys, folders, samples: counts; datasets: versions that hold
        the key and were left; person: how the audit calls the person; clean: whether the databases' free pages are rewritten
        too (if not, the clock does it).

    Raises
    ------
    BadInput
        See :func:`find_traces`; or the key stands in the reason.
    NotFound
        Nothing of this person is kept, or one of the ids is none of this project.
    Refused
        Not allowed, not confirmed, or a job is working on such rows.
    """
    now = now or utc_now()
    key_value = key_value.strip()
    definition = get_definition(home, project)
    _check_asked(definition, key_value, prediction_ids)
    if key_value and key_value.casefold() in reason.casefold():
        raise BadInput("The reason stays in the audit for ever: write it without the person's key.")
    person = name_person(home, project, key_value or "\n".join(sorted(set(prediction_ids))))
    account = find_account(home, actor.name)
    may = account is not None and account.active and account.may("delete_data")
    # before the act, because it may take long; whoever may not erase learns nothing by it, and is refused in the act
    found = find_traces(home, project, key_value=key_value, prediction_ids=prediction_ids) if may else Traces((), (), (), ())
    placed: list[Order] = []

    def work(tx: Tx) -> Done:
        retention.check_confirmed(confirm, project)
        if not found.anything:
            raise NotFound(f"Nothing of this person is kept in project {project}; check the key.")
        _check_idle(home, project, found, now)
        since = log.find_by_key(home, project, key_value) if key_value else []  # answered while we looked
        ids = list(dict.fromkeys([*found.prediction_ids, *since]))
        held = log.count_held(home, project, ids)
        # answers of earlier acts that are kept for a second click may name the key (labels that could not be read)
        store.delete_results_with(tx.db, [json.dumps(key_value)[1:-1]] if key_value else list(found.prediction_ids))
        store.forget_reports(tx.db, list(found.samples))
        settings_store.set_setting(tx.db, retention.REWRITE_DUE, tx.at)
        about = {"datasets": [d.version for d in found.datasets], "unsearched": list(found.unsearched), "person": person}
        subject = f"person {person}: {held['rows']} predictions"
        facts = {"ids": ids, "held": held, "folders": [f.name for f in found.folders], "samples": list(found.samples), "about": about}
        placed.append(orders.place(tx, "erase_person", project, subject, key=key, facts=facts))
        return Done({"order": placed[0].id}, after={"rows": held["rows"], **about}, subject=subject)

    done = acts.perform(home, actor, "erase_person", work, permission="delete_data", project=project, reason=reason, key=key, now=now)
    if "order" in done:
        order = placed[0] if placed else orders.find_order(home, done["order"])
        done = (_carry_out(home, order, now=now) if order is not None else None) or _find_end(home, project, done["order"])
    return {**done, "clean": retention.rewrite_due(home, now=now)}


def finish_erasures(home: Home, *, now: datetime) -> int:
    """Carry out what was ordered and interrupted, except while a job works on such rows; returns how many were finished."""
    finished = 0
    for order in orders.list_orders(home, "erase_person"):
        if parse(order.beat) > now - IN_HAND:
            continue  # whoever ordered it is at it
        found = Traces(tuple(order.facts["ids"]), (), tuple(home.work / name for name in order.facts["folders"]), ())
        with logs.bound(correlation_id=order.correlation_id, user=order.actor, project=order.project):
            try:
                _check_idle(home, order.project, found, now)
            except Refused:
                continue
            finished += _carry_out(home, order, now=now) is not None
    return finished


def _carry_out(home: Home, order: Order, *, now: datetime) -> dict[str, Any] | None:
    """Do what was ordered; done again it has the same effect and the same counts. None if somebody else ended it meanwhile."""
    ids, held = order.facts["ids"], order.facts["held"]
    samples = sorted({*order.facts["samples"], *_list_samples(home, order.project, ids)})
    counts = log.erase_rows(home, order.project, ids, absent_ok=True)
    if held["rows"] and not counts["rows"]:  # it had been erased when the process that did it was killed
        counts = held
    for name in order.facts["folders"]:
        shutil.rmtree(home.work / name, ignore_errors=True)
    for check_id in samples:
        shutil.rmtree(checks.report_folder(home, check_id), ignore_errors=True)
    after = {**counts, "folders": len(order.facts["folders"]), "samples": len(samples), **order.facts["about"]}
    with writing(home.db) as db:
        store.forget_reports(db, samples)
    told = {**after, "order": order.id}
    # once more to be rewritten: it may have been done between the order and the deletion
    if orders.end(home, order, "person_erased", now=now, result=after, after=told, settings={retention.REWRITE_DUE: stamp(now)}):
        return after
    return None


def _find_end(home: Home, project: str, order_id: str) -> dict[str, Any]:
    """What the audit says of an order that somebody else ended."""
    for event in audit.search(home, action="person_erased", project=project, text=order_id, limit=10)[0]:
        if event["after"].get("order") == order_id:
            return {k: v for k, v in event["after"].items() if k != "order"}
    raise Refused("This erasure is being carried out by another process; look at the audit in a minute.")


def name_person(home: Home, project: str, value: str) -> str:
    """How the audit calls a person: an HMAC that only this installation can make, and nobody can turn back without trying keys."""
    return hmac.new(home.secret_key(), f"person\0{project}\0{value}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:16]


def _check_asked(definition: Definition, key_value: str, prediction_ids: tuple[str, ...]) -> None:
    if bool(key_value) == bool(prediction_ids):
        raise BadInput("Name the person either by the project's key or by the ids of the predictions.")
    if key_value and not definition.key:
        raise BadInput(f"Project {definition.name} has no key column; name the ids of the predictions instead.")
    if len(prediction_ids) > MOST_IDS:
        raise BadInput(f"{len(prediction_ids):,} predictions are more than the {MOST_IDS:,} that can be erased at once; do it in parts.")


def _trained_from(home: Home, dataset: Dataset) -> tuple[str, ...]:
    return tuple(v["version"] for v in versions_store.list_versions(reading(home.db), dataset.project) if v["dataset_id"] == dataset.id)


def _count_rows(path: Path, file_name: str, definition: Definition, key_value: str) -> int:
    """Rows of a table whose key is this one; 0 where it has no such column."""
    from core.datasets.headers import match_headers
    from core.datasets.read import read_header, stream_table

    header = read_header(path, file_name=file_name)
    found, _ = match_headers(header.columns, definition)
    column = found.get(definition.key)
    if column is None:
        return 0
    count = 0
    for chunk in stream_table(path, file_name=file_name, header=header):
        values = chunk[column].astype(str).str.strip()
        count += int(((values == key_value) | (values == f"{key_value}.0")).sum())  # a whole number of a workbook
    return count


def _list_folders(home: Home, project: str) -> Iterator[tuple[Path, int | None]]:
    """Folders with files of scorings of a project, with the job where there is one."""
    kinds = ("score", "score_source")
    for job in (j for kind in kinds for j in jobs.list_jobs(home, project=project, kind=kind, limit=1_000_000)):
        folder = home.work / f"job_{job.id}"
        if folder.is_dir():
            yield folder, job.id
    for folder in home.work.glob("now_*"):
        summary = folder / "summary.json"
        # one that is being scored has no summary yet: it may be of any project
        if folder.is_dir() and (not summary.exists() or json.loads(summary.read_text()).get("project") == project):
            yield folder, None


def _is_concerned(folder: Path, definition: Definition, key_value: str, ids: list[str]) -> bool:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    groups = {i.rpartition("-")[0].encode() for i in ids}
    if any(groups and _holds(path, groups) for path in files if not path.name.startswith("in.")):
        return True
    if not key_value:
        return False
    for path in files:
        if path.name.startswith("in."):
            try:
                if _count_rows(path, path.name, definition, key_value):
                    return True
            except GreenlightError:
                if _holds(path, {key_value.encode()}):  # no table that can be read, but bytes all the same
                    return True
    return False


def _holds(path: Path, words: set[bytes]) -> bool:
    """Whether one of some words stands in a file, read in blocks."""
    overlap = max(map(len, words))
    rest = b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            block = rest + block
            if any(word in block for word in words):
                return True
            rest = block[-overlap:]
    return False


def _list_samples(home: Home, project: str, ids: list[str]) -> tuple[int, ...]:
    """Drift checks whose kept sample was drawn from the log after one of the predictions was made, and from its period."""
    moments = store.list_moments(reading(home.predictions_db), sorted({i.rpartition("-")[0] for i in ids}))
    found = []
    for check in checks.list_checks(home, project, limit=1_000_000) if moments else []:
        label = check["current"]
        if label.get("kind") != "log" or not checks.report_folder(home, check["id"]).exists():
            continue
        since, until = label.get("since") or "", label.get("until") or "9999"
        if any(since <= moment < until and moment <= check["at"] for moment in moments):
            found.append(check["id"])
    return tuple(found)


def _check_idle(home: Home, project: str, found: Traces, now: datetime) -> None:
    """Jobs that work on such rows would write them again."""
    concerned = {f.name for f in found.folders}
    for job in jobs.list_jobs(home, project=project, states=("queued", "running"), limit=1_000, now=now):
        if job.finished:
            continue
        if f"job_{job.id}" in concerned:
            raise Refused(f"Job {job.id} is working on rows of this person; wait for it or cancel it first.")
        if job.kind == "drift" and found.prediction_ids:
            raise Refused(f"Job {job.id} is making a report of rows of project {project}; wait for it or cancel it first.")
