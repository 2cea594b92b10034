"""Dataset versions: immutable, named by the hash of their bytes."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import acts
from core.acts import Actor, Done, Tx
from core.datasets import suite_checks
from core.datasets.findings import Report
from core.errors import BadInput, NotFound, Refused
from core.home import Home
from core.projects.definition import Definition, check_name
from core.projects.limits import get_limits
from core.projects.projects import get_definition, get_project
from storage import datasets as store
from storage import retention as retention_store
from storage.connection import reading

if TYPE_CHECKING:
    import pandas as pd

    from core.datasets.prepare import Prepared
    from core.datasets.read import Table

# Who made the labels. Those that a model made are refused for training: a model would learn from itself.
PROVENANCES = ("recorded", "person", "rule", "synthetic", "model", "none")

_SUFFIX = re.compile(r"\.[a-z0-9]{1,10}")


@dataclass(frozen=True)
class Dataset:
    """One dataset version.

    Attributes
    ----------
    sha256 : str
        Of the bytes as they came; the same bytes again are the same version.
    validation : dict
        The report made when it was added, with what the project's expectation suite finds (core.datasets.findings.Report.to_dict).
    comparison : dict or None
        ``against`` (a version) and ``result`` (see core.drift.compute.result_from_json); None for the first.
    """

    id: int
    project: str
    version: int
    sha256: str
    rows: int
    columns: int
    file_name: str
    source: str
    label_provenance: str
    created_by: str
    created_at: str
    definition_sha: str
    profile: dict[str, Any]
    validation: dict[str, Any]
    comparison: dict[str, Any] | None


def list_datasets(home: Home, project: str) -> list[Dataset]:
    """Newest first."""
    return [_dataset(home, r) for r in store.list_datasets(reading(home.db), project)]


def get_dataset(home: Home, dataset_id: int) -> Dataset:
    row = store.find_dataset(reading(home.db), dataset_id)
    if row is None:
        raise NotFound(f"There is no dataset {dataset_id}.")
    return _dataset(home, row)


def get_version(home: Home, project: str, version: int | None = None) -> Dataset:
    """A project's dataset by version number, or its newest."""
    if version is None:
        newest = list_datasets(home, project)
        if not newest:
            raise NotFound(f"Project {project} has no data yet; upload a table on the Data page or with `train {project} --data FILE`.")
        return newest[0]
    row = store.find_version(reading(home.db), project, version)
    if row is None:
        raise NotFound(f"Project {project} has no dataset version {version}.")
    return _dataset(home, row)


def _dataset(home: Home, row: dict[str, Any]) -> Dataset:
    """A version with its report: what was found when it was added, and what the project's suite says today."""
    findings = suite_checks.find_findings(home, row["id"], row["project"], row["definition_sha"])
    if findings:
        kept = {k: v for k, v in row["validation"].items() if k not in ("verdict", "ok")}
        row = {**row, "validation": Report.from_dict(kept).add(findings).to_dict()}
    return Dataset(**row)


def data_path(home: Home, dataset: Dataset) -> Path:
    """Where the bytes of a dataset version lie, exactly as they came."""
    return home.datasets / check_name(dataset.project) / dataset.sha256 / ("data" + _suffix(dataset.file_name))


def _suffix(file_name: str) -> str:
    """The end of a file name if it is a plain one; a name comes from outside and must not shape a path."""
    suffix = Path(file_name).suffix.lower()
    return suffix if _SUFFIX.fullmatch(suffix) else ""


def _keep_file(path: Path, content: bytes) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"data.{secrets.token_hex(4)}.part")  # the same table may come twice at the same time
        fresh.write_bytes(content)
        fresh.replace(path)


def add_dataset(
    home: Home, actor: Actor, project: str, data: bytes | Path, *, file_name: str, source: str = "upload",
    label_provenance: str = "recorded", key: str | None = None, correlation_id: str | None = None, now: datetime | None = None,
) -> dict[str, Any]:
    """Read, check, profile and keep a table as a new dataset version of ``project``.

    A table with validation errors is kept too, with its report: it can be looked at, not trained on.

    Returns
    -------
    dict
        id, version, rows, fresh (False: these bytes were there already), ok (no validation error).

    Raises
    ------
    BadInput
        The table cannot be read, or lacks the target or a feature.
    """
    from core.datasets.prepare import prepare
    from core.datasets.profile import profile
    from core.datasets.read import read_table
    from core.datasets.validation import validate

    get_project(home, project)
    if label_provenance not in PROVENANCES:
        raise BadInput(f"Label provenance {label_provenance!r} is unknown; choose one of {', '.join(PROVENANCES)}.")
    content = data.read_bytes() if isinstance(data, Path) else data
    sha = hashlib.sha256(content).hexdigest()
    existing = store.find_by_hash(reading(home.db), project, sha)
    values: dict[str, Any] = {}
    suite, check, fit = suite_checks.find_suite(home, project), None, True
    definition = get_definition(home, project)
    if existing is None:
        table = read_table(content, file_name=file_name)
        prepared = prepare(table, definition, purpose="training")
        before = list_datasets(home, project)
        comparison = _compare_with(home, before[0], prepared, definition) if before else None
        report = validate(prepared, definition, purpose="training", comparison=_columns_of(comparison))
        values = {
            "project": project, "sha256": sha, "rows": len(table.frame), "columns": len(table.frame.columns),
            "file_name": Path(file_name).name[-200:], "source": source, "label_provenance": label_provenance,
            "definition_sha": definition.sha256, "profile": profile(prepared, definition),
            "validation": report.to_dict(), "comparison": comparison,
        }
        if suite is not None and (actor.errand or acts.is_allowed(home, actor, "upload_data")):
            report, check = suite_checks.add_to_report(home, report, suite, table, prepared, definition)
        fit = report.ok
    else:
        fit = _dataset(home, existing).validation["ok"]

    def work(tx: Tx) -> Done:
        seen = store.find_by_hash(tx.db, project, sha)
        if seen is not None:
            result = {"id": seen["id"], "version": seen["version"], "rows": seen["rows"], "fresh": False, "ok": fit}
            if seen["id"] in retention_store.list_purged(tx.db, project):
                # the same bytes as the version that was purged: it has its file again
                _keep_file(data_path(home, Dataset(**seen)), content)
                retention_store.delete_purged(tx.db, seen["id"])
            return Done(result, after={"version": seen["version"], "already_there": True}, subject=f"dataset {seen['version']}")
        version = store.next_version(tx.db, project)
        # inside the act: whoever may not upload leaves no file either
        _keep_file(home.datasets / check_name(project) / sha / ("data" + _suffix(values["file_name"])), content)
        new = store.insert_dataset(tx.db, {**values, "version": version, "created_by": actor.name, "created_at": tx.at})
        if suite is not None and check is not None:
            suite_checks.keep(tx, new, suite, definition, check)
        result = {"id": new, "version": version, "rows": values["rows"], "fresh": True, "ok": fit}
        after = {"version": version, "sha256": sha, "rows": values["rows"], "label_provenance": label_provenance,
                 "validation_ok": fit}
        return Done(result, after=after, subject=f"dataset {version}")

    return acts.perform(
        home, actor, "add_dataset", work, permission="upload_data", project=project, key=key, correlation_id=correlation_id, now=now
    )


def preview(home: Home, dataset: Dataset, rows: int = 50) -> pd.DataFrame:
    """The first rows of a dataset version as text, as they came."""
    from core.datasets.read import stream_table

    if not data_path(home, dataset).exists():
        raise _gone(home, dataset)
    return next(iter(stream_table(data_path(home, dataset), file_name=dataset.file_name, chunk_rows=rows))).head(rows)


def load(home: Home, dataset: Dataset, definition: Definition | None = None) -> Prepared:
    """A dataset version through the one feature path, ready for training."""
    return read_version(home, dataset, definition or get_definition(home, dataset.project, dataset.definition_sha))[1]


def read_version(home: Home, dataset: Dataset, definition: Definition) -> tuple[Table, Prepared]:
    """A dataset version as it came, and ready for training."""
    from core.datasets.prepare import prepare
    from core.datasets.read import read_table

    table = read_table(_content(home, dataset), file_name=dataset.file_name, max_bytes=None)
    return table, prepare(table, definition, purpose="training")


def check_file(home: Home, dataset: Dataset) -> None:
    """Raise if the bytes of a version are gone (NotFound) or are not those that were added (Refused)."""
    _content(home, dataset)


def _content(home: Home, dataset: Dataset) -> bytes:
    path = data_path(home, dataset)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise _gone(home, dataset) from None
    if hashlib.sha256(content).hexdigest() != dataset.sha256:
        raise Refused(f"The file of dataset {dataset.version} of {dataset.project} was changed since it was added; restore it from a backup.")
    return content


def check_for_training(
    home: Home, actor: Actor, dataset: Dataset, definition: Definition, *, now: datetime | None = None
) -> tuple[Prepared, Report]:
    """Validate once more before training; raise if the data must not be trained on.

    The project's suite is asked last, and only where it has not judged this version before: what it finds is kept, as an act of
    ``actor``, so that whoever asks next does not wait for it again.

    Raises
    ------
    Refused
        Labels made by a model, or validation errors (the first one is named).
    """
    from core.datasets.validation import validate

    if dataset.label_provenance == "model":
        raise Refused(
            f"The labels of dataset {dataset.version} were made by a model; training on them would teach a model its own mistakes. "
            "Use labels that a person or a record made."
        )
    table, prepared = read_version(home, dataset, definition)
    report = validate(prepared, definition, purpose="training", comparison=_columns_of(dataset.comparison))
    if report.ok:
        report = suite_checks.judge_version(home, actor, report, dataset, table, prepared, definition, now=now)
    if not report.ok:
        errors = [f for f in report.findings if f.level == "error"]
        more = f" (and {len(errors) - 1} more errors)" if len(errors) > 1 else ""
        raise Refused(f"Dataset {dataset.version} of {dataset.project} cannot be trained on: {errors[0].text}{more} {errors[0].cure}".strip())
    return prepared, report


def find_purged(home: Home, project: str) -> dict[int, dict[str, Any]]:
    """Dataset id -> at, by, reason of those whose file an administrator deleted; their rows and hashes stay."""
    return retention_store.list_purged(reading(home.db), project)


def _gone(home: Home, dataset: Dataset) -> NotFound:
    purged = find_purged(home, dataset.project).get(dataset.id)
    if purged is not None:
        when = f"by {purged['by']} on {purged['at'][:10]}"
        return NotFound(f"Dataset {dataset.version} of {dataset.project} was purged {when}; only its report is kept.")
    folder = data_path(home, dataset).parent
    return NotFound(f"The file of dataset {dataset.version} of {dataset.project} is gone from {folder}; restore it from a backup.")


def export_dataset(home: Home, actor: Actor, dataset: Dataset, *, key: str | None = None, now: datetime | None = None) -> bytes:
    """The dataset as CSV with every column and value as it came, safe to open in a spreadsheet."""
    import io

    from core.datasets.read import read_table
    from core.datasets.write import write_csv

    def work(tx: Tx) -> Done:
        return Done(after={"rows": dataset.rows}, subject=f"dataset {dataset.version}")

    acts.perform(home, actor, "export_dataset", work, project=dataset.project, key=key, now=now)
    buffer = io.BytesIO()
    write_csv(buffer, read_table(_content(home, dataset), file_name=dataset.file_name, max_bytes=None).frame)
    return buffer.getvalue()


def _compare_with(home: Home, before: Dataset, prepared: Prepared, definition: Definition) -> dict[str, Any] | None:
    """Drift result of the new rows against an earlier version's, or None where the schema changed meanwhile."""
    from core.drift.bins import count, make_bins
    from core.drift.compute import compare, result_to_json

    if before.definition_sha != definition.sha256:
        return None
    earlier = load(home, before, definition)
    bins = make_bins(earlier.features, definition)
    thresholds = get_limits(home, before.project).thresholds
    result = compare(count(bins, earlier.features), count(bins, prepared.features), bins=bins, thresholds=thresholds)
    return {"against": before.version, "result": json.loads(result_to_json(result))}


def compare_versions(home: Home, older: Dataset, newer: Dataset) -> dict[str, Any] | None:
    """The difference between any two versions as a drift result; None where their schemas differ."""
    definition = get_definition(home, newer.project, newer.definition_sha)
    return _compare_with(home, older, load(home, newer, definition), definition)


def _columns_of(comparison: dict[str, Any] | None) -> list[tuple[str, float, str]]:
    """Column, score and status of what could be measured."""
    columns = comparison["result"]["columns"] if comparison else []
    return [(c["name"], c["score"], c["status"]) for c in columns if c["score"] is not None]
