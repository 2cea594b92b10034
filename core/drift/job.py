"""Evidently's verdict on a stored check, in a worker: importing it takes seconds, its report more."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from core.drift import checks
from core.errors import GreenlightError
from core.projects.limits import get_limits
from core.projects.projects import get_definition
from storage import drift as store
from storage.connection import writing

if TYPE_CHECKING:
    from core.jobs.worker import JobContext


def run(context: JobContext) -> dict[str, Any]:
    """The handler: compare the kept samples with Evidently and note its verdict on the check."""
    import pandas as pd

    from core.drift.evidently_adapter import full_report

    check = checks.get_check(context.home, int(context.job.params["check"]))
    definition = get_definition(context.home, check.project)
    folder = checks.report_folder(context.home, check.id)
    context.progress(0, 3, "reading the samples")
    reference, current = pd.read_parquet(folder / "reference.parquet"), pd.read_parquet(folder / "current.parquet")
    context.progress(1, 3, "Evidently compares both sides")
    try:
        verdict = full_report(
            reference, current, definition=definition, html_path=folder / "evidently.html",
            reference_target=_column(reference, "__target"), current_target=_column(current, "__target"),
            reference_predictions=_column(reference, "__prediction"), current_predictions=_column(current, "__prediction"),
            min_rows=get_limits(context.home, check.project).thresholds.drift_min_rows,
        )
    except GreenlightError as error:
        with writing(context.home.db) as db:
            store.set_evidently(db, check.id, verdict=None, error=str(error), report=None)
        raise
    with writing(context.home.db) as db:
        store.set_evidently(db, check.id, verdict=asdict(verdict), error=None, report=f"drift_{check.id}/evidently.html" if verdict.html else None)
    context.progress(3, 3, "done")
    return {"check": check.id}


def _column(frame: Any, name: str) -> Any:
    return frame[name].to_numpy() if name in frame.columns else None
