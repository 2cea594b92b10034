"""What is told of each thing, as values that any tracking server could take. What is unknown is left out, never sent as 0."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.datasets.versions import Dataset, get_dataset
from core.errors import GreenlightError
from core.home import Home
from core.projects.projects import get_project
from core.registry import artifacts
from core.registry.cards import comparison_page
from core.registry.versions import version_folder
from core.times import parse
from core.training import runs

HOUR_MS = 3_600_000
LONGEST_TAG, LONGEST_PARAM = 2000, 2000
# golden.json holds rows of data, which stay here
VERSION_FILES = ("model.pkl", "metadata.json")
_FOREIGN = re.compile(r"[^\w.\- ]")


@dataclass(frozen=True)
class Measure:
    """One number at one moment: ``at`` in milliseconds since 1970 (UTC), ``step`` in whole hours since then."""

    name: str
    value: float
    at: int
    step: int


@dataclass(frozen=True)
class DataInput:
    """The data that a run learned from, told by hash and size; no row of it leaves."""

    name: str
    sha256: str
    source: dict[str, Any]
    profile: dict[str, Any]


@dataclass(frozen=True)
class RunRecord:
    """One run of the tracking server: a training, one of its candidates, or what was measured of a version in use.

    Attributes
    ----------
    known_by : dict
        The tags that find the run again, so that it is never made twice.
    started, ended : int or None
        Milliseconds; ``ended`` None leaves it running.
    files : dict
        Name inside the run -> bytes.
    """

    experiment: str
    name: str
    known_by: dict[str, str]
    user: str
    started: int
    ended: int | None = None
    failed: bool = False
    parent: str = ""
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    measures: tuple[Measure, ...] = ()
    data: DataInput | None = None
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class VersionRecord:
    """One registered version: ``folder`` inside its run holds ``files``; ``tags`` follow its life, the rest never changes."""

    model: str
    title: str
    known_by: dict[str, str]
    folder: str
    files: dict[str, bytes]
    tags: dict[str, str]

    @property
    def state(self) -> str:
        return json.dumps(self.tags, sort_keys=True, ensure_ascii=False)


def find_installation(home: Home) -> str:
    """A name of this installation that tells nothing of its key and survives a backup: two of them may share one server."""
    return hashlib.sha256(b"greenlight mirror" + home.secret_key()).hexdigest()[:16]


def make_run(home: Home, run_id: int) -> RunRecord:
    """A training as a whole: its settings, its data, its choice; the candidates hang below it."""
    run = runs.get_run(home, run_id)
    dataset = get_dataset(home, run.dataset_id)
    tags = _tags(
        definition_sha256=run.definition_sha, dataset_sha256=dataset.sha256, choice=(run.choice or {}).get("name"),
        choice_reason=(run.choice or {}).get("sentence"), task=get_project(home, run.project).task,
        warnings="\n".join(run.settings.get("warnings", [])),
    )  # fmt: skip
    return RunRecord(
        run.project, f"run {run.id}", _known(home, run_id=run.id, started_at=run.started_at), run.started_by,
        _ms(run.started_at), _ms(run.finished_at), params=_params(_settings_of(run, dataset)), tags=tags, data=_data_input(dataset),
        measures=make_measures({"seconds": (run.settings.get("seconds") or {}).get("total")}, _ms(run.finished_at)),
        files={"MODEL_COMPARISON.md": comparison_page(home, run).encode()},
    )  # fmt: skip


def make_candidate(home: Home, candidate_id: int, parent: str) -> RunRecord:
    """One candidate: hyperparameters, everything that was measured with its intervals, and its model file."""
    row = runs.get_candidate_row(home, candidate_id)
    run = runs.get_run(home, row.run_id)
    dataset = get_dataset(home, run.dataset_id)
    summary = row.summary
    files, note = _candidate_files(home, run, row)
    tags = _tags(
        run=run.id, candidate=row.name, estimator=summary.get("title"), baseline=summary.get("is_baseline"),
        chosen=(run.choice or {}).get("name") == row.name, error=row.error, artifact_sha256=row.sha256,
        dataset_sha256=dataset.sha256, model_file=note,
    )  # fmt: skip
    about = {
        "project": run.project, "run": run.id, "candidate": row.name, "hyperparameters": row.params, "settings": _settings_of(run, dataset),
        "dataset": {"version": dataset.version, "sha256": dataset.sha256, "rows": dataset.rows, "file_name": dataset.file_name},
        "environment": run.environment, "artifact_sha256": row.sha256, "summary": summary, "error": row.error,
    }
    return RunRecord(
        run.project, row.name, _known(home, candidate_id=row.id, started_at=run.started_at), run.started_by,
        _ms(run.started_at), _ms(run.finished_at), failed=row.error is not None, parent=parent,
        params=_params({**_settings_of(run, dataset), **row.params}), tags=tags,
        measures=make_measures(list_measured(summary), _ms(run.finished_at)), data=_data_input(dataset),
        files={**files, "candidate.json": json.dumps(about, indent=2, ensure_ascii=False, sort_keys=True).encode()},
    )  # fmt: skip


def list_measured(summary: dict[str, Any]) -> dict[str, Any]:
    """Every number of a candidate's summary under the name that it is mirrored by; unknown ones are None still."""
    found: dict[str, Any] = {}
    for metric, values in (summary.get("cv") or {}).items():
        found.update({f"cv.{metric}.{part}": values.get(part) for part in ("mean", "std")})
    for part, intervals in (("holdout", "intervals"), ("out_of_fold", "oof_intervals")):
        found.update({f"{part}.{metric}": value for metric, value in (summary.get(part) or {}).items()})
        for metric, (low, high) in (summary.get(intervals) or {}).items():
            name, _, of_class = metric.partition(":")  # recall:HIGH is of one class
            name = f"{part}.class.{of_class}.{name}" if of_class else f"{part}.{name}"
            found.update({f"{name}.low": low, f"{name}.high": high})
    for name, values in (summary.get("per_class") or {}).items():
        found.update({f"holdout.class.{name}.{part}": value for part, value in values.items()})
    for column, values in (summary.get("importances") or {}).items():
        found.update({f"importance.{column}": values.get("mean"), f"importance.{column}.std": values.get("std")})
    baseline = (summary.get("baseline") or {}).get("holdout") or {}
    found.update({f"baseline.{metric}": value for metric, value in baseline.items()})
    found.update({name: summary.get(name) for name in ("fit_seconds", "predict_ms_row", "predict_ms_1000")})
    return found


def make_version(home: Home, row: dict[str, Any]) -> VersionRecord:
    """A registered version from a row of ``storage.mirror.list_versions``: who trained, asked, approved and deployed it."""
    tags = _tags(
        stage=row["stage"], stage_reason=row["stage_reason"], artifact_sha256=row["sha256"], decision_threshold=row["threshold"],
        trained_by=row["trained_by"], registered_by=row["registered_by"], notes=row["notes"],
    )  # fmt: skip
    if row["request_id"] is not None:
        tags |= _tags(
            "approval.", request=row["request_id"], decision="rejected" if row["request_state"] == "rejected" else "approved",
            by=row["decided_by"], at=row["decided_at"], reason=row["decision_reason"], requested_by=row["requested_by"],
            request_reason=row["request_reason"], despite_gates=bool(row["despite_gates"]),
        )  # fmt: skip
    if row["live_from"] is not None:
        tags |= _tags("live.", since=row["live_from"], until=row["live_until"] or "now", by=row["deployed_by"], kind=row["live_kind"])
    return VersionRecord(
        row["project"], get_project(home, row["project"]).title, _known(home, version=row["version"], registered_at=row["registered_at"]),
        f"versions/{row['version']}", {}, tags,
    )  # fmt: skip


def read_version_files(home: Home, project: str, version: str, run_id: int) -> dict[str, bytes]:
    """The files of a version that are mirrored, each checked against its signature; raises Refused for a changed one."""
    files = {"MODEL_COMPARISON.md": comparison_page(home, runs.get_run(home, run_id)).encode()}
    folder = version_folder(home, project, version)
    manifest = artifacts.read_manifest(folder)
    for name in VERSION_FILES:
        files[name] = artifacts.read_signed(home, folder / name, manifest[name]["sha256"], manifest[name]["hmac"])
    return files


def make_series(home: Home, project: str, version: str, at: str) -> RunRecord:
    """The run that a version's monitoring goes to; ``version`` "" is what no version answered (refused before)."""
    name = f"monitoring of {version}" if version else "monitoring of requests that no version answered"
    return RunRecord(project, name, _known(home, monitoring=version or "none", since=at), "greenlight", _ms(at), tags=_tags(version=version or None))


def name_metric(text: str) -> str:
    """``text`` as a metric's name: what MLflow refuses becomes "_", and four letters of its hash keep two names apart."""
    plain = _FOREIGN.sub("_", text)[:200]
    return text if plain == text else f"{plain}_{hashlib.sha256(text.encode()).hexdigest()[:4]}"


def make_measures(values: dict[str, Any], at: int) -> tuple[Measure, ...]:
    """Numbers of one moment (milliseconds); what is None, no number or infinite is left out."""
    return tuple(
        Measure(name_metric(name), float(value), at, at // HOUR_MS)
        for name, value in values.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    )


def _candidate_files(home: Home, run: runs.Run, row: runs.TrainedCandidate) -> tuple[dict[str, bytes], str | None]:
    """The model file, or why it is missing: a file that is gone or changed must not keep the numbers back."""
    if not row.artifact or not row.sha256 or not row.hmac:
        return {}, None
    path: Path = runs.run_folder(home, run) / row.artifact
    try:
        return {"model/model.pkl": artifacts.read_signed(home, path, row.sha256, row.hmac)}, None
    except GreenlightError as error:
        return {}, f"not mirrored: {error}"


def _settings_of(run: runs.Run, dataset: Dataset) -> dict[str, Any]:
    found = {f"run.{name}": run.settings.get(name) for name in ("seed", "folds", "holdout")}
    return {**found, "run.dataset_version": dataset.version, "run.rows": dataset.rows}


def _data_input(dataset: Dataset) -> DataInput:
    about = {"project": dataset.project, "version": dataset.version, "sha256": dataset.sha256, "file_name": dataset.file_name}
    return DataInput(
        f"{dataset.project} version {dataset.version}", dataset.sha256, about, {"rows": dataset.rows, "columns": dataset.columns}
    )


def _known(home: Home, **named: Any) -> dict[str, str]:
    """Tags that find a thing again. A number alone would not do: after a restore it may be given a second time."""
    return {"greenlight.installation": find_installation(home), **{f"greenlight.{k}": str(v) for k, v in named.items()}}


def _tags(prefix: str = "", **values: Any) -> dict[str, str]:
    """Tags of what is known; text is cut where a tag ends."""
    return {
        f"greenlight.{prefix}{name}": _text(value)[:LONGEST_TAG] for name, value in values.items() if value is not None and value != ""
    }


def _params(values: dict[str, Any]) -> dict[str, str]:
    return {name_metric(name): _text(value)[:LONGEST_PARAM] for name, value in values.items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _ms(at: str) -> int:
    return round(parse(at).timestamp() * 1000)
