"""What Prometheus scrapes: counters of all time from the database, so they are the same in every process and survive a restart."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from core.drift import checks as drift_checks
from core.home import Home
from core.monitoring import alerts, histogram
from core.monitoring import checks as watching
from core.monitoring.stats import STAGES
from core.projects.limits import get_limits
from core.projects.projects import list_projects
from core.times import parse
from storage import traffic as store
from storage import versions as versions_store
from storage.connection import reading

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
# Seconds; from what a single row takes to what nobody waits for.
BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def render(home: Home, *, now: datetime) -> bytes:
    """Everything as Prometheus text (version 0.0.4, see CONTENT_TYPE); costs series, not requests or years."""
    registry = CollectorRegistry()
    registry.register(_Collector(home, now))
    return generate_latest(registry)


class _Collector:
    def __init__(self, home: Home, now: datetime) -> None:
        self.home, self.now = home, now

    def describe(self) -> list[Metric]:
        return []  # the registry would otherwise collect once to learn the names

    def collect(self) -> Iterator[Metric]:
        yield from _collect_traffic(self.home)
        yield from _collect_models(self.home)
        yield from _collect_alerts(self.home)
        yield from _collect_observations(self.home)


def _collect_traffic(home: Home) -> Iterator[Metric]:
    by_key = ["project", "version", "route", "door"]
    requests = CounterMetricFamily("greenlight_requests", "Requests answered, refused or failed.", labels=[*by_key, "status"])
    errors = CounterMetricFamily("greenlight_errors", "Requests that failed (status 500 and above).", labels=by_key)
    refused = CounterMetricFamily("greenlight_refused", "Requests that were refused (status 400 to 499).", labels=by_key)
    rows = store.list_traffic_totals(reading(home.predictions_db))
    failed: dict[tuple[str, ...], list[int]] = {}
    routes: dict[tuple[str, str], int] = {}
    projects: dict[str, int] = {}
    for row in rows:
        key = tuple(row[name] for name in by_key)
        requests.add_metric([*key, str(row["status"])], row["requests"])
        kinds = failed.setdefault(key, [0, 0])
        if row["status"] >= 400:
            kinds[row["status"] >= 500] += row["requests"]
        routes.setdefault((row["project"], row["route"]), len(routes))
        projects.setdefault(row["project"], len(projects))
    for key, (refusals, failures) in failed.items():
        errors.add_metric(key, failures)
        refused.add_metric(key, refusals)
    yield from (requests, errors, refused)

    parts = [(r["sums"], r["histogram"]) for r in rows]
    seconds = HistogramMetricFamily("greenlight_request_seconds", "Time from request to answer.", labels=["project", "route"])
    by_route = histogram.read(parts, [routes[r["project"], r["route"]] for r in rows], len(routes))
    bounds = _list_bounds(home)
    for route, place in routes.items():
        _add_histogram(seconds, list(route), by_route, "total", place, bounds.get(route[0], BUCKETS))
    yield seconds
    by_project = histogram.read(parts, [projects[r["project"]] for r in rows], len(projects))
    for stage in STAGES:
        family = HistogramMetricFamily(f"greenlight_{stage}_seconds", f"Time of the stage {stage} of a prediction.", labels=["project"])
        for project, place in projects.items():
            _add_histogram(family, [project], by_project, stage, place)
        yield family

    predictions = CounterMetricFamily(
        "greenlight_predictions", "Predictions in the log, by answer (empty for numbers).", labels=["project", "version", "prediction"]
    )
    for project, version, label, n in store.list_prediction_totals(reading(home.predictions_db)):
        predictions.add_metric([project, version, label], n)
    yield predictions


def _collect_models(home: Home) -> Iterator[Metric]:
    info = GaugeMetricFamily("greenlight_model_info", "The version that is live.", labels=["project", "version"])
    overall = GaugeMetricFamily("greenlight_drift_score", "Overall drift of what was predicted lately, 0..1.", labels=["project"])
    columns = GaugeMetricFamily("greenlight_drift_column_score", "Drift of one column, 0..1; 0 within chance.", labels=["project", "column"])
    unused = GaugeMetricFamily(
        "greenlight_drift_column_unused", "1 for a column that the live version does not use.", labels=["project", "column"]
    )
    checked = GaugeMetricFamily("greenlight_drift_checked_timestamp_seconds", "When drift was measured last.", labels=["project"])
    for project in list_projects(home):
        live = versions_store.find_live(reading(home.db), project.name)
        if live is None:
            continue
        info.add_metric([project.name, live["version"]], 1)
        drift = _find_drift(home, project.name, live)
        if drift is None:
            continue  # unknown is no sample, never 0
        at, score, scores = drift
        checked.add_metric([project.name], parse(at).timestamp())
        if score is not None:
            overall.add_metric([project.name], score)
        for column, of_column in scores.items():
            if of_column is not None:
                columns.add_metric([project.name, column], of_column)
        for column, importance in (drift_checks.find_importances(live) or {}).items():
            if importance == 0.0 and column in scores:  # as core.drift.verdict sees it
                unused.add_metric([project.name, column], 1)
    yield from (info, overall, columns, unused, checked)


def _find_drift(home: Home, project: str, live: dict[str, Any]) -> tuple[str, float | None, dict[str, float | None]] | None:
    """When the live version's drift was measured last (by the clock or by a person), overall, and by column."""
    by_person = drift_checks.find_latest(home, project, live["id"], kind="log")
    by_clock = next((w for w in watching.find_last(home, project) if w.kind == "drift" and w.findings), None)
    found = by_clock.findings[0] if by_clock else None
    if by_clock and found and found.value is not None and found.version == live["version"] and (not by_person or by_person.at < by_clock.at):
        return by_clock.at, found.detail["overall"], {
            name: 0.0 if within_chance else score for name, (score, _, within_chance) in found.detail["scores"].items()
        }
    if by_person is None:
        return None
    return by_person.at, by_person.overall, {c.name: c.counted for c in by_person.result.columns}


def _collect_alerts(home: Home) -> Iterator[Metric]:
    family = GaugeMetricFamily("greenlight_alerts_open", "Alerts that nobody has resolved.", labels=["project", "severity"])
    counts = {(p.name, severity): 0 for p in list_projects(home) for severity in alerts.SEVERITIES}
    for alert in alerts.list_open(home):
        key = (alert.project, alert.severity)
        counts[key] = counts.get(key, 0) + 1
    for key, n in counts.items():
        family.add_metric(key, n)
    yield family


def _collect_observations(home: Home) -> Iterator[Metric]:
    labels = ["project", "name"]
    last = GaugeMetricFamily("greenlight_observation", "The newest value of a metric that a client posted.", labels=labels)
    at = GaugeMetricFamily("greenlight_observation_timestamp_seconds", "When the newest value was measured.", labels=labels)
    values = SummaryMetricFamily("greenlight_observation_values", "Number and sum of all posted values.", labels=labels)
    for row in store.list_observation_totals(reading(home.predictions_db)):
        key = [row["project"], row["name"]]
        last.add_metric(key, row["last"])
        at.add_metric(key, parse(row["last_at"]).timestamp())
        values.add_metric(key, row["n"], row["total"])
    yield from (last, at, values)


def _list_bounds(home: Home) -> dict[str, tuple[float, ...]]:
    """Project -> where its times to answer are counted, in seconds: its own limits are among them.

    Between two bounds Prometheus only guesses, and it never names more than the last: a limit of 150 ms would be met by answers of
    110 ms, and one of 20 s by nothing.
    """
    watched = {p.name: get_limits(home, p.name).watching for p in list_projects(home)}
    return {
        name: tuple(sorted({*BUCKETS, watching.latency_warning_ms / 1000, watching.latency_critical_ms / 1000}))
        for name, watching in watched.items()
    }


def _add_histogram(
    family: HistogramMetricFamily, labels: list[str], tally: histogram.Tally, measure: str, place: int, bounds: tuple[float, ...] = BUCKETS
) -> None:
    n, total, _, _ = tally.totals(measure, place)
    if not n:
        return
    below = histogram.count_below(tally.counts[place, histogram.MEASURES.index(measure)], tuple(1000 * b for b in bounds))
    buckets = [(str(limit), float(count)) for limit, count in zip(bounds, below, strict=True)]
    family.add_metric(labels, [*buckets, ("+Inf", float(n))], total / 1000)
