"""Was what came in fit to be used: the newest dataset, the files and rows to be scored, and the live model's own files."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from core.datasets import versions as datasets
from core.errors import GreenlightError
from core.home import Home
from core.monitoring import alerts
from core.monitoring.findings import Finding, percent
from core.numbers import count_of
from core.projects.limits import Limits
from core.times import parse, stamp
from storage import versions as versions_store
from storage import watching as store
from storage.connection import reading

DAY = timedelta(hours=24)
UNREADABLE = (400, 413, 415, 422)  # statuses of what could not be read or did not fit the schema
LEAST_REQUESTS = 20
HELD = timedelta(hours=1)  # a training that was refused stays an alert this long, though the newest dataset is well


def check_data(home: Home, project: str, limits: Limits, *, now: datetime) -> list[Finding]:
    """The newest dataset's validation, files that could not be scored, and requests that did not fit the schema."""
    outcomes = store.list_outcomes(reading(home.predictions_db), project, since=stamp(now - DAY))
    return [check_dataset(home, project, now=now), judge_files(outcomes), judge_refusals(outcomes, limits)]


def check_dataset(home: Home, project: str, *, now: datetime) -> Finding:
    """Whether the newest dataset passed its validation."""
    blank = Finding("data_quality", "Data for training", "unknown", "The project has no data yet.", subject="training")
    known = datasets.list_datasets(home, project)
    if not known:
        return blank
    newest = known[0]
    report = newest.validation
    errors = [f for f in report.get("findings", []) if f["level"] == "error"]
    if not report["ok"]:
        first = f"{errors[0]['text']} {errors[0]['cure']}".strip() if errors else "it has errors"
        sentence = f"Dataset {newest.version} failed its validation ({len(errors)} errors): {first}"
        return replace(blank, state="warning", sentence=sentence, value=float(len(errors)), threshold=0.0, unit="errors", rows=newest.rows)
    held = next((a for a in alerts.list_alerts(home, project, states=alerts.OPEN, kind="data_quality") if a.subject == "training"), None)
    if held is not None and held.detail.get("refused") and now - parse(held.last_seen_at) < HELD:
        return replace(blank, sentence=held.sentence)
    sentence = f"Dataset {newest.version} passed its validation."
    return replace(blank, state="ok", sentence=sentence, value=0.0, threshold=0.0, unit="errors", rows=newest.rows)


def note_refused_training(home: Home, project: str, dataset: int, error: GreenlightError, *, now: datetime) -> None:
    """A training was asked for on data that failed its validation: told at once, not at the clock's next turn."""
    alerts.raise_alert(
        home, project, "data_quality", "training", severity="warning", sentence=str(error), now=now,
        detail={"dataset": dataset, "refused": True},
    )  # fmt: skip


def judge_files(outcomes: list[dict[str, Any]]) -> Finding:
    """Whether the last file that came to be scored in the last 24 hours could be."""
    blank = Finding("data_quality", "Files to be scored", "ok", "No file was refused in the last 24 hours.", subject="files")
    files = [o for o in outcomes if o["route"] == "file"]
    refused = sum(o["requests"] for o in files if o["status"] in UNREADABLE)
    if not refused:
        return replace(blank, rows=len(files))
    last = max(files, key=lambda o: (o["bucket"], o["status"] in UNREADABLE))
    over = last["status"] not in UNREADABLE
    sentence = f"{refused} {'file' if refused == 1 else 'files'} could not be scored in the last 24 hours"
    sentence += ", but one that came later could." if over else f", the last at {last['bucket'].replace('T', ' ')} UTC; the log says why."
    return replace(blank, state="ok" if over else "warning", sentence=sentence, value=float(refused), threshold=0.0, unit="files")


def judge_refusals(outcomes: list[dict[str, Any]], limits: Limits) -> Finding:
    """The share of predict requests in 24 hours whose rows could not be read or did not fit the schema."""
    asked = [o for o in outcomes if o["route"] == "predict"]
    n = sum(o["requests"] for o in asked)
    refused = sum(o["requests"] for o in asked if o["status"] in UNREADABLE)
    limit = limits.watching.problem_rows
    blank = Finding("data_quality", "Requests that do not fit", "unknown", "", subject="requests", unit="share", threshold=limit, rows=n)
    if n < LEAST_REQUESTS:
        return replace(blank, sentence=f"{count_of(n, 'request')} in the last 24 hours; {LEAST_REQUESTS} are needed to say.")
    share = refused / n
    sentence = f"{refused} of {n} predict requests in the last 24 hours could not be read or did not fit the schema ({percent(share)})."
    return replace(blank, state="warning" if share >= limit else "ok", sentence=sentence, value=share)


def check_model(home: Home, project: str) -> tuple[list[Finding], str]:
    """Whether the live version's files are unchanged and give their golden answers; the findings, and the version's sha256."""
    from core.registry.golden import check_golden
    from core.scoring.scorer import open_scorer

    live = versions_store.find_live(reading(home.db), project)
    if live is None:
        return [], ""
    blank = Finding("model", "Live model", "ok", "", version=live["version"])
    try:
        check_golden(home, open_scorer(home, live))
    except GreenlightError as error:
        return [replace(blank, state="critical", sentence=str(error))], live["sha256"]
    return [replace(blank, sentence=f"Version {live['version']} loads and gives its golden answers.")], live["sha256"]
