"""Drift checks as acts: choose a reference and a current set, measure, store; Evidently's verdict follows from a worker.

What was predicted in a period is measured from counts per hour (core.drift.periods), files from their rows. The clock measures
the same way and keeps a check when the verdict changes, or once a day.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import acts
from core.acts import Actor, Done, Tx
from core.drift import periods, sides
from core.drift.periods import Measured, Period, Unmeasured, find_importances
from core.drift.sides import SAMPLE, Side, Upload
from core.errors import BadInput, NotFound, Refused
from core.home import Home
from core.jobs import jobs
from core.projects.definition import Definition
from core.projects.limits import get_limits
from core.projects.projects import get_definition
from core.times import parse, stamp
from storage import drift as store
from storage.connection import reading, writing

if TYPE_CHECKING:
    from core.drift.compute import DriftResult
    from core.drift.verdict import Verdict

__all__ = ["SAMPLE", "Measured", "Period", "Unmeasured", "Upload", "find_importances"]  # what pages and commands take from here

CLOCK = "clock"  # who made the checks that nobody asked for
KEPT_EVERY = timedelta(days=1)
CALM = timedelta(hours=1)  # a score that wavers about a limit must not fill the history
_GRAVITY = {"unknown": 0, "none": 1, "ok": 1, "medium": 2, "warning": 2, "high": 3, "drift": 3}


@dataclass(frozen=True)
class Check:
    """One stored drift check.

    Attributes
    ----------
    reference, current : dict
        What was compared: kind, label in words, rows.
    alert : dict
        core.drift.verdict.Verdict as plain data: level, severity, columns, sentence.
    quality : dict or None
        Metrics of the current rows that have labels, beside training's; None without labels.
    evidently : dict or None
        Evidently's own verdict on a sample; None until its job is done.
    """

    id: int
    project: str
    version_id: int | None
    at: str
    by: str
    reference: dict[str, Any]
    current: dict[str, Any]
    overall: float | None
    band: str
    result: DriftResult
    alert: dict[str, Any]
    quality: dict[str, Any] | None
    evidently: dict[str, Any] | None
    evidently_error: str | None
    report: str | None
    job_id: int | None


def get_check(home: Home, check_id: int) -> Check:
    row = store.find_check(reading(home.db), check_id)
    if row is None:
        raise NotFound(f"There is no drift check {check_id}.")
    return _check(row)


def find_latest(home: Home, project: str, version_id: int | None = None, *, kind: str | None = None) -> Check | None:
    """The newest check of a project (against one version; of logged predictions "log" or of a "file"), or None."""
    row = store.find_latest(reading(home.db), project, version_id, kind)
    return _check(row) if row else None


def list_checks(home: Home, project: str, limit: int = 50) -> list[dict[str, Any]]:
    """Newest first, without the columns."""
    return store.list_checks(reading(home.db), project, limit)


def run_check(
    home: Home, actor: Actor, project: str, *, current: Upload | Period, reference: Upload | int | None = None,
    evidently: bool = True, owner: str = "supervisor", key: str | None = None, now: datetime | None = None,
) -> dict[str, Any]:
    """Measure drift and store the check.

    Parameters
    ----------
    current : Upload or Period
        A file, or logged predictions (widened to whole hours, from counts: the rows themselves are not read).
    reference : Upload, dataset version, or None
        None: the training data of the live version (of the newest version, of the newest dataset, where there is none).
    evidently : bool
        Put Evidently's verdict and full report, on a sample, on the list of jobs.

    Returns
    -------
    dict
        id, overall, band, sentence, job (None without Evidently).

    Raises
    ------
    BadInput
        The period holds nothing that could be compared; the sentence says why.
    """
    definition = get_definition(home, project)
    if isinstance(current, Period):
        version = periods.find_version(home, project, current.version)
        before = None if reference is None else _read_reference(home, project, definition, version, reference)
        found = periods.measure_period(home, project, current, reference=before)
        if isinstance(found, Unmeasured):
            raise BadInput(found.reason)
        quality = periods.measure_labelled(home, project, current, found.version)
        result, alert, labels = found.result, found.alert, (found.reference, found.current)
        kept = {"reference": before if isinstance(reference, Upload) else None}
        version = found.version
    else:
        version = periods.find_version(home, project)
        before = _read_reference(home, project, definition, version, reference)
        after = sides.read_upload(home, definition, version, current, "current")
        result, alert = _compare_rows(home, project, definition, version, before, after)
        quality = sides.measure_quality(definition, after, version)
        labels, kept = (before.label, after.label), {"reference": before, "current": after}
    values = _to_row(project, version, result, alert, labels) | {"quality": quality}

    def work(tx: Tx) -> Done:
        check_id = store.insert_check(tx.db, {**values, "at": tx.at, "by": actor.name})
        job_id = None
        if evidently:
            for name, side in kept.items():
                if side is not None:  # what can be read again is read by the worker
                    sides.keep_sample(report_folder(home, check_id), name, side)
            job_id = jobs.enqueue(tx, project=project, kind="drift", params={"check": check_id}, owner=owner)
            store.set_job(tx.db, check_id, job_id)
        done = {"id": check_id, "overall": result.overall, "band": result.status, "sentence": result.sentence, "job": job_id}
        after_ = {"check": check_id, "overall": result.overall, "band": result.status, "alert": alert.level,
                  "reference": labels[0], "current": labels[1]}  # fmt: skip
        return Done(done, after=after_, subject=f"drift check {check_id}")

    return acts.perform(home, actor, "check_drift", work, permission="analyse_drift", project=project, key=key, now=now)


def measure(
    home: Home, project: str, since: datetime | None = None, until: datetime | None = None, *, version: str | None = None
) -> Measured | Unmeasured:
    """Drift of what was predicted in a period, from the hourly counts; cheap, and nothing is stored."""
    return periods.measure_period(home, project, Period(since, until, version))


def store_measured(home: Home, measured: Measured, *, now: datetime) -> int | None:
    """Keep what the clock measured, if it matters: it is graver than what was kept last, milder for an hour, or a day went by.

    Returns
    -------
    int or None
        The check; None where nothing was kept. What is unknown is not kept: it says nothing new about the version.
    """
    if measured.result.overall is None:
        return None
    values = _to_row(measured.project, measured.version, measured.result, measured.alert, (measured.reference, measured.current))
    with writing(home.db) as db:  # one transaction, so that two clocks keep one check
        last = store.find_latest(db, measured.project, measured.version["id"], "log", CLOCK)
        if last is not None and now - parse(last["at"]) < _holds(last, values):
            return None
        return store.insert_check(db, {**values, "quality": None, "at": stamp(now), "by": CLOCK})


def _holds(last: dict[str, Any], values: dict[str, Any]) -> timedelta:
    """How long a kept check stands beside what is measured now."""
    before, now = ((_GRAVITY[row["alert"]["level"]], _GRAVITY[row["band"]]) for row in (last, values))
    if now == before:
        return KEPT_EVERY
    return timedelta(0) if now > before else CALM


def recount(
    home: Home, actor: Actor, project: str, *, owner: str = "supervisor", key: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Have the counts per hour compared with the logged rows, and made again where they differ; a job, its id under ``job``.

    Raises
    ------
    Refused
        It is being done already.
    """
    get_definition(home, project)

    def work(tx: Tx) -> Done:
        running = [j for j in jobs.list_jobs(home, project=project, kind="recount", limit=5) if not j.finished]
        if running:
            raise Refused(f"The log of {project} is being counted already (job {running[0].id}); wait for its end.")
        job_id = jobs.enqueue(tx, project=project, kind="recount", params={}, owner=owner)
        return Done({"job": job_id}, after={"job": job_id}, subject="counts of the prediction log")

    return acts.perform(home, actor, "recount_log", work, permission="analyse_drift", project=project, key=key, now=now)


def report_folder(home: Home, check_id: int) -> Path:
    return home.reports / f"drift_{check_id}"


def _read_reference(
    home: Home, project: str, definition: Definition, version: dict[str, Any] | None, reference: Upload | int | None
) -> Side:
    from core.datasets import versions as datasets

    if isinstance(reference, Upload):
        return sides.read_upload(home, definition, version, reference, "reference")
    if reference is None and version is not None:
        dataset = datasets.get_dataset(home, version["dataset_id"])
    else:
        dataset = datasets.get_version(home, project, reference)
    return sides.read_dataset(home, dataset, definition, version)


def _compare_rows(
    home: Home, project: str, definition: Definition, version: dict[str, Any] | None, before: Side, after: Side
) -> tuple[DriftResult, Verdict]:
    from core.drift.bins import count, make_bins
    from core.drift.compute import compare
    from core.drift.verdict import judge

    bins = make_bins(before.features, definition, before.predictions if after.predictions is not None else None)
    result = compare(
        count(bins, before.features, before.predictions if bins.prediction is not None else None),
        count(bins, after.features, after.predictions if bins.prediction is not None else None),
        bins=bins, thresholds=get_limits(home, project).thresholds,
    )  # fmt: skip
    return result, judge(result, importances=find_importances(version))


def _to_row(
    project: str, version: dict[str, Any] | None, result: DriftResult, alert: Verdict,
    labels: tuple[dict[str, Any], dict[str, Any]],
) -> dict[str, Any]:
    import json

    from core.drift.compute import result_to_json

    return {
        "project": project, "version_id": version["id"] if version else None, "reference": labels[0], "current": labels[1],
        "overall": result.overall, "band": result.status, "result": json.loads(result_to_json(result)), "alert": asdict(alert),
    }  # fmt: skip


def _check(row: dict[str, Any]) -> Check:
    import json

    from core.drift.compute import result_from_json

    return Check(**{**row, "result": result_from_json(json.dumps(row["result"]))})
