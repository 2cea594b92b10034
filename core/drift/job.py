"""Evidently's verdict on a stored check, in a worker: importing it takes seconds, its report more."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from core.drift import checks, sides
from core.drift.periods import period_of
from core.errors import BadInput, GreenlightError
from core.home import Home
from core.projects.definition import Definition
from core.projects.limits import get_limits
from core.projects.projects import get_definition
from core.times import parse
from storage import drift as store
from storage import versions as versions_store
from storage.connection import reading, writing

if TYPE_CHECKING:
    import pandas as pd

    from core.jobs.worker import JobContext


def run(context: JobContext) -> dict[str, Any]:
    """The handler: compare the kept samples with Evidently and note its verdict on the check."""
    from core.drift.evidently_adapter import full_report

    check = checks.get_check(context.home, int(context.job.params["check"]))
    definition = get_definition(context.home, check.project)
    folder = checks.report_folder(context.home, check.id)
    try:
        context.progress(0, 3, "drawing a sample of each side")
        reference, current = (_get_sample(context.home, check, definition, name) for name in ("reference", "current"))
        context.progress(1, 3, "Evidently compares both sides")
        verdict = full_report(
            reference, current, definition=definition, html_path=folder / "evidently.html",
            reference_target=_column(reference, sides.TARGET), current_target=_column(current, sides.TARGET),
            reference_predictions=_column(reference, sides.PREDICTION), current_predictions=_column(current, sides.PREDICTION),
            min_rows=get_limits(context.home, check.project).thresholds.drift_min_rows,
        )
    except GreenlightError as error:
        with writing(context.home.db) as db:
            store.set_evidently(db, check.id, verdict=None, error=str(error), report=None)
        raise
    # the samples were drawn before Evidently saw them, so it does not know that they are
    sampled = max(check.result.reference_rows, check.result.current_rows) > sides.SAMPLE
    verdict = replace(verdict, sampled=verdict.sampled or sampled)
    with writing(context.home.db) as db:
        store.set_evidently(db, check.id, verdict=asdict(verdict), error=None, report=f"drift_{check.id}/evidently.html" if verdict.html else None)
    context.progress(3, 3, "done")
    return {"check": check.id}


def _get_sample(home: Home, check: checks.Check, definition: Definition, name: str) -> pd.DataFrame:
    """One side as it was kept with the check, else drawn now from what can be read again: a dataset, or the log."""
    import pandas as pd

    folder = checks.report_folder(home, check.id)
    path = folder / f"{name}.parquet"
    if not path.is_file():
        label = check.reference if name == "reference" else check.current
        side = _read_logged(home, check, definition) if label["kind"] == "log" else _read_dataset(home, check, definition)
        sides.keep_sample(folder, name, side)
    return pd.read_parquet(path)


def _read_dataset(home: Home, check: checks.Check, definition: Definition) -> sides.Side:
    from core.datasets import versions as datasets

    dataset = datasets.get_version(home, check.project, check.reference["version"])
    version = versions_store.find_version_by_id(reading(home.db), check.version_id) if check.version_id else None
    return sides.read_dataset(home, dataset, definition, version)


def _read_logged(home: Home, check: checks.Check, definition: Definition) -> sides.Side:
    """A sample of the logged rows that were compared, with the labels that are known by now."""
    import numpy as np

    from core.drift.sample import draw_logged, find_labels

    period = period_of(check.current)
    period = replace(period, until=period.until or parse(check.at))
    frame = draw_logged(home, check.project, period, _versions(home, check), rows=sides.SAMPLE)
    if frame.empty:
        raise BadInput("The rows of this period are no longer in the log, so Evidently has nothing to compare; choose a newer period.")
    features = frame.reindex(columns=[c.name for c in definition.features])
    labels = np.array(find_labels(home, check.project, frame["prediction_id"].tolist()), dtype=object)
    target = labels if any(label is not None for label in labels) else None
    return sides.Side(features, frame["out:prediction"].to_numpy(), target, check.current)


def _versions(home: Home, check: checks.Check) -> list[str]:
    """The versions whose rows were compared; checks of earlier releases do not name them."""
    known = check.current.get("versions")
    return list(known) if known else [v["version"] for v in versions_store.list_versions(reading(home.db), check.project)]


def _column(frame: Any, name: str) -> Any:
    return frame[name].to_numpy() if name in frame.columns else None
