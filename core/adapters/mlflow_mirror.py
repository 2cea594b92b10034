"""MLflow: runs, versions and measures given to a tracking server by its client. Nothing is ever unpickled.

MLflow takes seconds to import, so only the mirror's own worker process imports this file's library.
Sending the same again changes nothing: runs and versions are looked up by their tags first, and MLflow keeps one of equal points.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from core.adapters.optional import need
from core.mirror.address import Address
from core.mirror.failures import Away, NotTaken
from core.mirror.records import DataInput, Measure, RunRecord, VersionRecord
from core.text import shorten

MOST_MEASURES, MOST_TEXTS = 900, 90  # MLflow takes 1,000 measures and 100 parameters or tags at a time
DIGEST = 36  # as long as MLflow lets a digest be; the whole sha256 stands in the source and in a tag
_ERROR_RESPONSES = re.compile(r"too many (\d{3}) error responses")

# Set before MLflow is imported, where the environment does not say otherwise: a server that is away is noticed soon, nothing is
# reported to anybody, and nothing is printed.
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "60", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}  # fmt: skip


class Tracking:
    """One tracking server."""

    def __init__(self, address: Address) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        need("mlflow")
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        from mlflow import MlflowClient

        self.address = address
        self._experiments: dict[str, str] = {}
        with self._failures():
            self._client = MlflowClient(address.uri)

    def put_run(self, record: RunRecord) -> str:
        """Make the run, or complete it where a part of it is there; returns its id."""
        with self._failures():
            experiment = self._find_experiment(record.experiment)
            run_id = self._find_run(experiment, record.known_by) or self._make_run(experiment, record)
            self._put_texts(run_id, record)
            self.put_measures(run_id, record.measures)
            if record.data is not None:
                self._put_data(run_id, record.data)
            self._put_files(run_id, "", record.files)
            if record.ended is not None:  # last: a run that looks finished is whole
                self._client.set_terminated(run_id, "FAILED" if record.failed else "FINISHED", end_time=record.ended)
            return run_id

    def put_measures(self, run_id: str, measures: tuple[Measure, ...]) -> None:
        """Add numbers to a run; those that it has already are not added again."""
        from mlflow.entities import Metric

        points = [Metric(m.name, m.value, m.at, m.step) for m in measures]
        with self._failures():
            for part in _parts(points, MOST_MEASURES):
                self._client.log_batch(run_id, metrics=part)

    def put_version(self, record: VersionRecord, run_id: str) -> str:
        """Register the version, or find it; returns MLflow's number of it."""
        with self._failures():
            found = self._find_version(record)
            if found is not None:
                self.set_tags(record, found)
                return found
            self._put_files(run_id, record.folder, record.files)
            self._make_model(record)
            source = f"runs:/{run_id}/{record.folder}"
            made = self._client.create_model_version(
                record.model, source, run_id, tags={**record.known_by, **record.tags}, await_creation_for=0
            )
            return str(made.version)

    def set_tags(self, record: VersionRecord, number: str) -> None:
        """Tell what became of a version."""
        with self._failures():
            known = self._client.get_model_version(record.model, number).tags
            for name, value in record.tags.items():
                if known.get(name) != value:
                    self._client.set_model_version_tag(record.model, number, name, value)

    def set_aliases(self, model: str, wanted: dict[str, str], names: tuple[str, ...], numbers: set[str]) -> None:
        """Point aliases to versions; of ``names`` those go that still point to another of our ``numbers``. Nobody else's are touched."""
        with self._failures():
            known = dict(self._client.get_registered_model(model).aliases)
            for alias, number in wanted.items():
                if str(known.get(alias)) != number:
                    self._client.set_registered_model_alias(model, alias, number)
            for alias in (a for a in names if a not in wanted and str(known.get(a)) in numbers):
                self._client.delete_registered_model_alias(model, alias)

    def _find_experiment(self, name: str) -> str:
        if name not in self._experiments:
            found = self._client.get_experiment_by_name(name)
            if found is not None and found.lifecycle_stage == "deleted":
                raise NotTaken(f"The experiment {name} was deleted in MLflow; restore it there (mlflow experiments restore).")
            self._experiments[name] = found.experiment_id if found is not None else self._client.create_experiment(name)
        return self._experiments[name]

    def _find_run(self, experiment: str, known_by: dict[str, str]) -> str | None:
        found = self._client.search_runs([experiment], _filter(known_by), max_results=1)
        return str(found[0].info.run_id) if found else None

    def _make_run(self, experiment: str, record: RunRecord) -> str:
        tags = {**record.known_by, "mlflow.user": record.user, "mlflow.source.name": "Greenlight"}
        if record.parent:
            tags["mlflow.parentRunId"] = record.parent
        made = self._client.create_run(experiment, start_time=record.started, tags=tags, run_name=record.name)
        return str(made.info.run_id)

    def _put_texts(self, run_id: str, record: RunRecord) -> None:
        from mlflow.entities import Param, RunTag

        for params in _parts([Param(k, v) for k, v in record.params.items()], MOST_TEXTS):
            self._client.log_batch(run_id, params=params)
        for tags in _parts([RunTag(k, v) for k, v in record.tags.items()], MOST_TEXTS):
            self._client.log_batch(run_id, tags=tags)

    def _put_data(self, run_id: str, data: DataInput) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        told = Dataset(data.name, data.sha256[:DIGEST], "greenlight", json.dumps(data.source), profile=json.dumps(data.profile))
        self._client.log_inputs(run_id, [DatasetInput(told, [InputTag("mlflow.data.context", "training")])])

    def _put_files(self, run_id: str, folder: str, files: dict[str, bytes]) -> None:
        if files:
            self._check_place(run_id)
        with tempfile.TemporaryDirectory(prefix="mirror-") as place:
            for name, content in files.items():
                inside = PurePosixPath(folder) / name
                path = Path(place) / inside.name
                path.write_bytes(content)
                self._client.log_artifact(run_id, str(path), str(inside.parent) if str(inside.parent) != "." else None)
                path.unlink()

    def _check_place(self, run_id: str) -> None:
        """A server says where a run's files go, and MLflow's client would write them into any folder of this machine that it names."""
        place = str(self._client.get_run(run_id).info.artifact_uri)
        if urlsplit(self.address.uri).scheme in ("http", "https") and urlsplit(place).scheme in ("", "file"):
            raise NotTaken(
                f"MLflow at {self.address.shown} wants files in a folder ({place[:100]}), which would be one of this machine; "
                "start the server with --serve-artifacts and a new experiment."
            )

    def _find_version(self, record: VersionRecord) -> str | None:
        wanted = _filter({"name": record.model}, "") + " and " + _filter(record.known_by)
        found = self._client.search_model_versions(wanted, max_results=1)
        return str(found[0].version) if found else None

    def _make_model(self, record: VersionRecord) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(record.model, description=record.title)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Whatever MLflow says, as one sentence without credentials."""
        from mlflow.exceptions import MlflowException
        from requests import RequestException

        try:
            yield
        except MlflowException as error:
            status = error.get_http_status_code()
            said = shorten(self.address.redact(str(error)))  # before it is cut: half a password would not be found
            if status == 401:
                raise Away(f"MLflow at {self.address.shown} does not let us in (401); check the user and the password.") from None
            if status == 403:
                raise Away(f"MLflow at {self.address.shown} does not let the account do that (403); have it allowed there.") from None
            if error.error_code == "ENDPOINT_NOT_FOUND" or "valid JSON format" in said or "error code 30" in said:
                raise Away(f"What answers at {self.address.shown} is no MLflow server; check MLFLOW_TRACKING_URI.") from None
            if error.error_code == "RESOURCE_DOES_NOT_EXIST" or "must be in the 'active' state" in said:
                raise NotTaken(
                    f"MLflow does not have any more what it was given ({said}); restore it there, or give everything once more: "
                    "python -m core mirror run --again."
                ) from None
            if 400 <= status < 500 and status != 429:
                raise NotTaken(f"MLflow refused it: {said}") from None
            if out_of_order := _ERROR_RESPONSES.search(str(error)):
                raise Away(f"MLflow at {self.address.shown} is out of order (it answers {out_of_order[1]}); it is tried again later.") from None
            if "Connection refused" in said or "Max retries" in said or "timed out" in said.lower():
                raise Away(f"MLflow at {self.address.shown} does not answer; it is tried again later.") from None
            raise Away(f"MLflow at {self.address.shown} failed: {said}") from None
        except (RequestException, OSError) as error:
            said = shorten(self.address.redact(str(error)))
            raise Away(f"MLflow at {self.address.shown} could not be given a file ({type(error).__name__}: {said}).") from None


def _filter(values: dict[str, str], kind: str = "tags.") -> str:
    """MLflow's search language; the values are our own names and hashes."""
    names = {k: f"{kind}`{k}`" if kind else k for k in values}
    return " and ".join(f"{names[k]} = '{v}'" for k, v in values.items())


def _parts(values: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
