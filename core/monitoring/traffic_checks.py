"""How fast and how well requests are answered, against limits, against the time before, and against themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from core.home import Home
from core.monitoring import stats
from core.monitoring.anomalies import find_outliers
from core.monitoring.findings import Finding, percent
from core.monitoring.stats import Point, Window
from core.numbers import count_of
from core.projects.limits import Limits, Watching

LEAST_REQUESTS = 20  # below, one slow answer would be a twentieth of all
LEAST_COMPARED = 30  # requests in each of two windows
CHANCE = 3.0  # standard errors: two windows are compared each minute, so ordinary chance must not speak
STEP = timedelta(minutes=5)
STEPS = 48  # four hours
NEWEST = 2  # only what stands out now is told; what stood out an hour ago is over
LEAST_IN_STEP = 5  # requests from which a step has a mean
LEAST_FAILED = 5
# Standard errors of a single value that its own counting explains. A Z-score of 3 alone would speak once a day in each series: of 288
# steps a day 0.4 lie that high by chance, more where times have a long tail.
EXPLAINED = 4.0


def check_traffic(home: Home, project: str, limits: Limits, *, now: datetime) -> list[Finding]:
    """Latency, errors, both against the window before, and anomalies of latency, errors and rate."""
    watching = limits.watching
    window = stats.window(home, project, watching.window_minutes, now=now)
    seconds = int(STEP.total_seconds())
    until = datetime.fromtimestamp(int(now.timestamp()) // seconds * seconds, tz=UTC)  # the running step is not over
    points = stats.series(home, project, until - STEP * max(STEPS, watching.zscore_points), until, STEP)
    return [
        judge_latency(window, watching), judge_errors(window, watching), judge_slower(window, watching),
        judge_failing(window, watching), *judge_anomalies(points, watching),
    ]  # fmt: skip


def judge_latency(window: Window, watching: Watching) -> Finding:
    """The time within which 95 of 100 requests were answered."""
    n = window.latency.n if window.latency else 0
    blank = Finding("latency", "Time to answer", "unknown", "", unit="ms", threshold=watching.latency_warning_ms, rows=n)
    if window.latency is None or n < LEAST_REQUESTS:
        return replace(blank, sentence=_too_few(n, window))
    p95 = window.latency.p95
    state, threshold = _band(p95, watching.latency_warning_ms, watching.latency_critical_ms)
    limit = "" if state == "ok" else f"; {threshold:,.0f} ms is the limit"
    sentence = f"95 of 100 requests were answered within {p95:,.0f} ms, of {n} in {window.minutes} minutes{limit}."
    return replace(blank, state=state, sentence=sentence, value=p95, threshold=threshold, detail={"p50": window.p50, "p99": window.p99})


def judge_errors(window: Window, watching: Watching) -> Finding:
    """The share of requests that we failed to answer (status 500 and above); refusals are the caller's."""
    n = window.requests
    blank = Finding("errors", "Failed requests", "unknown", "", unit="share", threshold=watching.error_warning, rows=n)
    if window.error_rate is None or n < LEAST_REQUESTS:
        return replace(blank, sentence=_too_few(n, window))
    state, threshold = _band(window.error_rate, watching.error_warning, watching.error_critical)
    limit = "" if state == "ok" else f"; {percent(threshold)} is the limit"
    sentence = f"{window.errors} of {n} requests failed ({percent(window.error_rate)}) in {window.minutes} minutes{limit}."
    return replace(blank, state=state, sentence=sentence, value=window.error_rate, threshold=threshold)


def judge_slower(window: Window, watching: Watching) -> Finding:
    """Whether the mean time to answer has risen against the window before, by more than the limit, than chance, and than matters.

    Chance: the difference of two means in standard errors (Welch 1947). What matters: 1 % of the latency that warns.
    """
    now, then = window.latency, window.before.latency if window.before else None
    least = min(now.n if now else 0, then.n if then else 0)
    blank = Finding("slower", "Slower than before", "unknown", "", unit="share", threshold=watching.degradation, rows=least)
    if now is None or then is None or least < LEAST_COMPARED:
        return replace(blank, sentence=_too_few_to_compare(least, window))
    rise = now.mean - then.mean
    change = rise / then.mean if then.mean else 0.0
    error = math.sqrt(now.std**2 / now.n + then.std**2 / then.n)
    sure = rise > CHANCE * error and rise > _matters(watching)
    sentence = f"The mean time to answer is {now.mean:,.1f} ms, {then.mean:,.1f} ms in the {window.minutes} minutes before ({change:+.0%})."
    return replace(blank, state="warning" if sure and change > watching.degradation else "ok", sentence=sentence, value=change)


def judge_failing(window: Window, watching: Watching) -> Finding:
    """Whether the share of failed requests has risen against the window before, by more than the limit and than chance."""
    before = window.before
    least = min(window.requests, before.requests if before else 0)
    blank = Finding("failing", "More failures than before", "unknown", "", unit="share", threshold=watching.degradation, rows=least)
    if before is None or window.error_rate is None or before.error_rate is None or least < LEAST_COMPARED:
        return replace(blank, sentence=_too_few_to_compare(least, window))
    pooled = (window.errors + before.errors) / (window.requests + before.requests)
    error = math.sqrt(pooled * (1 - pooled) * (1 / window.requests + 1 / before.requests))
    rise = window.error_rate - before.error_rate
    change = rise / before.error_rate if before.error_rate else 0.0 if not rise else None  # from nothing: no ratio
    sure = rise > CHANCE * error and window.errors >= LEAST_FAILED
    state = "warning" if sure and (change is None or change > watching.degradation) else "ok"
    then = f"{percent(before.error_rate)} in the {window.minutes} minutes before"
    return replace(blank, state=state, sentence=f"{percent(window.error_rate)} of the requests failed, {then}.", value=change)


def judge_anomalies(points: Sequence[Point], watching: Watching) -> list[Finding]:
    """Latency, errors and rate in equal steps: does one of the newest stand out of all of them?"""
    began = next((n for n, p in enumerate(points) if p.requests), len(points))
    asked = points[began:]
    latency = [p.latency.mean if p.latency and p.latency.n >= LEAST_IN_STEP else None for p in asked]
    unsteady = [p.latency.std / math.sqrt(p.latency.n) if p.latency else 0.0 for p in asked]
    errors = [p.errors / p.requests if p.requests >= LEAST_IN_STEP else None for p in asked]
    total = sum(p.requests for p in asked)
    failing = sum(p.errors for p in asked) / total if total else 0.0
    # a few failures are no finding, however well everything else went
    binomial = [math.inf if p.errors < LEAST_FAILED else math.sqrt(failing * (1 - failing) / p.requests) for p in asked]
    rate: list[float | None] = [float(p.requests) for p in asked]
    poisson = [math.sqrt(total / len(asked))] * len(asked) if asked else []
    return [
        judge_series("latency", "Time to answer", latency, watching, say=_ms, upward=True, least=_matters(watching), errors=unsteady),
        judge_series("errors", "Failed requests", errors, watching, say=percent, upward=True, errors=binomial),
        judge_series("rate", "Requests in 5 minutes", rate, watching, say=lambda v: f"{v:,.0f} requests", least=LEAST_REQUESTS, errors=poisson),
    ]  # fmt: skip


def judge_series(
    subject: str, title: str, values: Sequence[float | None], watching: Watching, *, say: Callable[[float], str], upward: bool = False,
    least: float = 0.0, errors: Sequence[float] | None = None, newest: int = NEWEST,
) -> Finding:
    """A series as a finding of kind "anomaly": whether one of its newest values stands out.

    Parameters
    ----------
    upward : bool
        Only values above the mean count.
    least : float
        Differences from the mean that are smaller than this do not matter.
    errors : sequence of float, optional
        Standard error of each value by itself (a mean of few, a share, a count); what lies within ``EXPLAINED`` of them is no anomaly.
    """
    blank = Finding(
        "anomaly", f"{title}: out of the ordinary", "unknown", "", subject=subject, threshold=watching.zscore, unit="standard deviations",
        rows=sum(v is not None for v in values),
    )  # fmt: skip
    judged = find_outliers(values, limit=watching.zscore, least=watching.zscore_points)
    if judged is None:
        return replace(blank, sentence=f"{blank.rows} points are known; {watching.zscore_points} are needed to say what stands out.")
    usual = f"{say(judged.mean)} is usual (mean of {judged.points} points)"
    for outlier in reversed(judged.outliers):
        gap = abs(outlier.value - judged.mean)
        chance = errors is not None and gap <= EXPLAINED * errors[outlier.place]
        if outlier.place >= len(values) - newest and not (chance or gap <= least or (upward and outlier.z < 0)):
            sentence = f"{say(outlier.value)}, where {usual}: {outlier.z:+.1f} standard deviations."
            return replace(blank, state="warning", sentence=sentence, value=abs(outlier.z))
    last = next(v for v in reversed(values) if v is not None)
    z = abs(last - judged.mean) / judged.std if judged.std else 0.0
    return replace(blank, state="ok", sentence=f"Lately {say(last)}; {usual}.", value=z)


def _band(value: float, warning: float, critical: float) -> tuple[str, float]:
    """State, and the limit that decided (the first one where all is well)."""
    if value >= critical:
        return "critical", critical
    return ("warning", warning) if value >= warning else ("ok", warning)


def _ms(value: float) -> str:
    return f"{value:,.1f} ms"


def _matters(watching: Watching) -> float:
    """Milliseconds below which a difference is none that anybody waits for."""
    return 0.01 * watching.latency_warning_ms


def _too_few(n: int, window: Window) -> str:
    return f"{count_of(n, 'request')} in {window.minutes} minutes; {LEAST_REQUESTS} are needed to say."


def _too_few_to_compare(n: int, window: Window) -> str:
    return f"One of the last two windows of {window.minutes} minutes has {n} requests; {LEAST_COMPARED} in each are needed to compare them."
