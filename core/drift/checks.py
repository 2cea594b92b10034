"""Drift checks as acts: choose a reference and a current set, measure, store; Evidently's verdict follows from a worker."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import acts
from core.acts import Actor, Done, Tx
from core.errors import BadInput, NotFound
from core.home import Home
from core.jobs import jobs
from core.projects.definition import Definition
from core.projects.limits import get_limits
from core.projects.projects import get_definition
from core.times import stamp
from storage import drift as store
from storage import versions as versions_store
from storage.connection import reading

if TYPE_CHECKING:
    import pandas as pd

    from core.drift.compute import DriftResult

SAMPLE = 5_000  # rows of each side that are kept for the full report


@dataclass(frozen=True)
class Upload:
    """A file that a person brings as reference or current set."""

    content: bytes
    file_name: str


@dataclass(frozen=True)
class Period:
    """Logged predictions from ``since`` to before ``until``; None is open."""

    since: datetime | None = None
    until: datetime | None = None
    version: str | None = None


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


@dataclass(frozen=True)
class _Side:
    features: pd.DataFrame
    predictions: Any
    target: Any
    label: dict[str, Any]


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
        A file, or logged predictions.
    reference : Upload, dataset version, or None
        None: the training data of the live version (of the newest version, of the newest dataset, where there is none).
    evidently : bool
        Put Evidently's verdict and full report on the list of jobs.

    Returns
    -------
    dict
        id, overall, band, sentence, job (None without Evidently).
    """
    from core.drift.bins import count, make_bins
    from core.drift.compute import compare, result_to_json
    from core.drift.verdict import judge

    definition = get_definition(home, project)
    db = reading(home.db)
    versions = versions_store.list_versions(db, project)
    version = versions_store.find_live(db, project) or (versions[0] if versions else None)
    before = _reference(home, project, definition, version, reference)
    after = _current(home, project, definition, version, current)
    bins = make_bins(before.features, definition, before.predictions if after.predictions is not None else None)
    result = compare(
        count(bins, before.features, before.predictions if bins.prediction is not None else None),
        count(bins, after.features, after.predictions if bins.prediction is not None else None),
        bins=bins, thresholds=get_limits(home, project).thresholds,
    )
    alert = judge(result, importances=find_importances(version))
    quality = _quality(definition, after, version)
    text = result_to_json(result)

    def work(tx: Tx) -> Done:
        import json

        check_id = store.insert_check(
            tx.db,
            {
                "project": project, "version_id": version["id"] if version else None, "at": tx.at, "by": actor.name,
                "reference": before.label, "current": after.label, "overall": result.overall, "band": result.status,
                "result": json.loads(text), "alert": asdict(alert), "quality": quality,
            },
        )
        job_id = None
        if evidently:
            _keep_sides(home, check_id, before, after)
            job_id = jobs.enqueue(tx, project=project, kind="drift", params={"check": check_id}, owner=owner)
            store.set_job(tx.db, check_id, job_id)
        done = {"id": check_id, "overall": result.overall, "band": result.status, "sentence": result.sentence, "job": job_id}
        after_ = {"check": check_id, "overall": result.overall, "band": result.status, "alert": alert.level,
                  "reference": before.label, "current": after.label}
        return Done(done, after=after_, subject=f"drift check {check_id}")

    return acts.perform(home, actor, "check_drift", work, permission="analyse_drift", project=project, key=key, now=now)


def report_folder(home: Home, check_id: int) -> Path:
    return home.reports / f"drift_{check_id}"


def _reference(
    home: Home, project: str, definition: Definition, version: dict[str, Any] | None, reference: Upload | int | None
) -> _Side:
    from core.datasets import versions as datasets

    if isinstance(reference, Upload):
        return _upload(home, project, definition, version, reference, "reference")
    if reference is None and version is not None:
        dataset = datasets.get_dataset(home, version["dataset_id"])
    else:
        dataset = datasets.get_version(home, project, reference)
    prepared = datasets.load(home, dataset, definition)
    predictions = _predict(home, project, definition, version, prepared.features)
    label = {"kind": "dataset", "label": f"training data, dataset {dataset.version}", "version": dataset.version, "rows": dataset.rows}
    return _Side(prepared.features, predictions, prepared.target, label)


def _current(home: Home, project: str, definition: Definition, version: dict[str, Any] | None, current: Upload | Period) -> _Side:
    if isinstance(current, Upload):
        return _upload(home, project, definition, version, current, "current")
    return _logged(home, project, definition, current)


def _logged(home: Home, project: str, definition: Definition, period: Period) -> _Side:
    import numpy as np

    from core.scoring import labels, log

    frame = log.read(home, project, since=period.since, until=period.until, version=period.version)
    if frame.empty:
        raise BadInput("No predictions were logged in this period; choose a longer one, or upload a file to compare.")
    names = [c.name for c in definition.features]
    absent = [n for n in names if n not in frame.columns]
    if absent:
        raise BadInput(f"The logged predictions of this period have no column {absent[0]!r}; choose a period after the schema changed.")
    known = labels.labels_by_prediction(home, project, since=period.since, until=period.until)
    target = np.array([known.get(i) for i in frame["prediction_id"]], dtype=object)
    label = {
        "kind": "log", "label": "logged predictions", "rows": len(frame), "version": period.version,
        "since": stamp(period.since) if period.since else None, "until": stamp(period.until) if period.until else None,
    }
    predictions = frame["out:prediction"].to_numpy()
    return _Side(frame[names], predictions, target if any(t is not None for t in target) else None, label)


def _upload(home: Home, project: str, definition: Definition, version: dict[str, Any] | None, upload: Upload, what: str) -> _Side:
    from core.datasets.prepare import prepare
    from core.datasets.read import read_table

    table = read_table(upload.content, file_name=upload.file_name)
    prepared = prepare(table, definition, purpose="scoring")
    predictions = _predict(home, project, definition, version, prepared.features)
    label = {"kind": "file", "label": f"file {upload.file_name}"[:200], "rows": len(prepared.features), "what": what}
    target = prepared.target if prepared.target is not None and _has_values(prepared.target) else None
    return _Side(prepared.features, predictions, target, label)


def _has_values(values: Any) -> bool:
    import pandas as pd

    return bool(pd.notna(values).any())


def _predict(home: Home, project: str, definition: Definition, version: dict[str, Any] | None, features: pd.DataFrame) -> Any:
    """What the version says about rows (not logged: nobody asked for an answer); None without a version of this schema."""
    from core.scoring.scorer import load_scorer, score

    if version is None or version["definition_sha"] != definition.sha256:
        return None
    return score(load_scorer(home, project, version["version"]), features).prediction


def find_importances(version: dict[str, Any] | None) -> dict[str, float] | None:
    """Permutation importance of each column, as a stored version keeps it; None where it is not known."""
    found = (version or {}).get("summary", {}).get("importances")
    return {name: value["mean"] if isinstance(value, dict) else value for name, value in found.items()} if found else None


def _quality(definition: Definition, side: _Side, version: dict[str, Any] | None) -> dict[str, Any] | None:
    """Metrics of the rows that have both a label and a prediction."""
    import numpy as np
    import pandas as pd

    if side.target is None or side.predictions is None or version is None:
        return None
    have = pd.notna(side.target)
    if not have.any():
        return None
    target, predicted = np.asarray(side.target)[have], np.asarray(side.predictions)[have]
    if not definition.is_classifier:
        target, predicted = target.astype(float), predicted.astype(float)
    now = simple_metrics(definition, target, predicted)
    return {"rows": int(have.sum()), "now": now, "training": version["summary"].get("holdout", {}), "version": version["version"]}


def simple_metrics(definition: Definition, target: Any, predicted: Any) -> dict[str, Any]:
    """Metrics that need no probabilities, with the majority (or the mean) as baseline."""
    import numpy as np

    if definition.is_classifier:
        values, counts = np.unique(target.astype(str), return_counts=True)
        hits = target.astype(str) == predicted.astype(str)
        recalls = {str(v): float(hits[target.astype(str) == v].mean()) for v in values}
        return {"accuracy": float(hits.mean()), "baseline_accuracy": float(counts.max() / counts.sum()), "recall_by_class": recalls}
    error = predicted - target
    return {"mae": float(np.abs(error).mean()), "rmse": float((error**2).mean() ** 0.5),
            "baseline_mae": float(np.abs(target - target.mean()).mean())}


def _keep_sides(home: Home, check_id: int, before: _Side, after: _Side) -> None:
    """Samples of both sides for the worker (Parquet; at most SAMPLE rows each, drawn with a fixed seed)."""
    import numpy as np

    folder = report_folder(home, check_id)
    folder.mkdir(parents=True, exist_ok=True)
    for name, side in (("reference", before), ("current", after)):
        frame = side.features.reset_index(drop=True).copy()
        if side.predictions is not None:
            frame["__prediction"] = np.asarray(side.predictions)
        if side.target is not None:
            frame["__target"] = np.asarray(side.target)
        if len(frame) > SAMPLE:
            frame = frame.sample(SAMPLE, random_state=42)
        frame.to_parquet(folder / f"{name}.parquet")


def _check(row: dict[str, Any]) -> Check:
    import json

    from core.drift.compute import result_from_json

    return Check(**{**row, "result": result_from_json(json.dumps(row["result"]))})
