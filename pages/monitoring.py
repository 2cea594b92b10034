"""Monitoring: does it answer, fast and right?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from core import deployment
from core.monitoring import health, observations, quality, stats
from core.monitoring.estimates import LOWER_IS_BETTER, Metric
from core.monitoring.stats import Window
from core.projects.limits import Limits, get_limits
from core.scoring import log
from core.times import utc_now
from pages import charts, charts_monitoring, monitoring_alerts, monitoring_labels, parts, sending
from pages.session import PageContext

REFRESH = "10s"


@dataclass(frozen=True)
class Span:
    """One choice of the window: minutes, the step of its charts, and its name in a sentence."""

    minutes: int
    step: timedelta
    words: str


SPANS = {
    "15 min": Span(15, timedelta(minutes=1), "15 minutes"),
    "1 h": Span(60, timedelta(minutes=1), "hour"),
    "24 h": Span(1_440, timedelta(minutes=15), "24 hours"),
    "7 days": Span(10_080, timedelta(hours=2), "7 days"),
    "30 days": Span(43_200, timedelta(days=1), "30 days"),
}
_STILL: dict[str, Any] = {"delta_color": "off", "delta_arrow": "off"}
_QUALITY_HELP = {
    "accuracy": "Share of the labelled predictions that were right.",
    "f1": "Balance of precision and recall: of class 1, or the mean over the classes.",
    "auc": "Chance that a positive case gets a higher score than a negative one.",
}


def show(context: PageContext) -> None:
    """Health, cards with their change, alerts, charts of the window, posted metrics, and right and wrong answers."""
    parts.show_title("Monitoring", "Does it answer, fast and right?")
    if context.project is None:
        step = "A project begins with a table of examples."
        parts.show_empty("There is no project yet.", step, page="data", label="New project")
        return
    project = context.project.name
    sending.show_sent("alerts")
    if not deployment.list_deployments(context.home, project):
        parts.show_empty(
            "Nothing was ever live in this project, so nothing answers.",
            "A version goes live when it was trained, registered, approved and deployed.", page="registry", label="Go to Registry",
        )  # fmt: skip
        _show_health(context, project, context.now)
        monitoring_alerts.show(context, project)
        return
    span = _choose_span()
    limits = get_limits(context.home, project)
    _show_now(context, project, span, limits)
    monitoring_alerts.show(context, project)
    _show_charts(context, project, span, limits)
    _show_posted(context, project, span)
    monitoring_labels.show(context, project, context.now - timedelta(minutes=span.minutes), span.words)


def _choose_span() -> Span:
    wanted = st.query_params.get("window", "")
    known = next((name for name, span in SPANS.items() if str(span.minutes) == wanted), "1 h")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        chosen = st.segmented_control(
            "Window", list(SPANS), default=known, required=True, label_visibility="collapsed", key="monitoring-window"
        )  # fmt: skip
        st.caption(f"The last {SPANS[chosen].words}, each number against the {SPANS[chosen].words} before.", width="content")
        st.space("stretch")
        st.button("Refresh", icon=":material/refresh:", type="tertiary", key="monitoring-refresh", help="Draw everything anew")
    if st.query_params.get("window") != str(SPANS[chosen].minutes) and chosen != "1 h":
        st.query_params["window"] = str(SPANS[chosen].minutes)
    elif chosen == "1 h" and "window" in st.query_params:
        del st.query_params["window"]
    return SPANS[chosen]


@st.fragment(run_every=REFRESH)
def _show_now(context: PageContext, project: str, span: Span, limits: Limits) -> None:
    """What renews itself: the health line and the cards; their places and heights stay."""
    with parts.guarded():
        now = utc_now()
        _show_health(context, project, now)
        _show_quality(context, project, span, now)
        _show_answering(context, project, span, limits, now)


# Health


def _show_health(context: PageContext, project: str, now: datetime) -> None:
    found = [h for h in health.check_health(context.home, now=now) if h.project in ("", project)]
    ill = [h for h in found if h.state in ("failed", "warning")]
    unknown = [h for h in found if h.state == "unknown"]
    state = health.worst(found)
    look = parts.find_status({"failed": "failed", "warning": "warning", "ok": "ok"}.get(state, "unknown")).markdown
    if ill:
        said = " ".join(f"**{h.name.capitalize()}**: {parts.plain(h.reason)}" for h in ill)
    elif unknown:
        said = f"{len(found) - len(unknown)} of {len(found)} parts are well; not known: {', '.join(h.name for h in unknown)}."
    else:
        said = f"All {len(found)} parts are well."
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="health"):
        st.markdown(f"{look} {said}", width="content")
        with st.popover("Each part", type="tertiary"):
            for part in found:
                sign = parts.find_status(part.state).markdown
                st.markdown(f"{sign} **{parts.plain(part.name.capitalize())}**: {parts.plain(part.reason)}")


# Cards


def _show_quality(context: PageContext, project: str, span: Span, now: datetime) -> None:
    since = stats.floor_to(now - timedelta(minutes=span.minutes), "hour")  # labels are counted by whole hours: no hour twice
    earlier_since = since - max(timedelta(minutes=span.minutes), timedelta(hours=1))
    current = quality.over_time(context.home, project, since=since, until=now, step="month")
    before = quality.over_time(context.home, project, since=earlier_since, until=since, step="month").whole
    training = _find_training(context, project)
    for place, name in zip(st.columns(len(current.names)), current.names, strict=True):
        metric = current.whole.metrics.get(name) if current.whole else None
        earlier = before.metrics.get(name) if before else None
        with place, st.container(border=True, height="stretch"):
            _show_metric(name, metric, earlier, current.whole.rows if current.whole else 0, training.get(name))


def _show_metric(name: str, metric: Metric | None, before: Metric | None, rows: int, training: Metric | None) -> None:
    title = quality.TITLES[name]
    about = f"{_QUALITY_HELP.get(name, '')} Labels are counted by whole hours of the prediction.".strip()
    trained = "" if training is None or training.value is None else f" In training: {training.value:.2f}."
    if metric is None or metric.value is None:
        st.metric(title, "unknown", help=about)
        why = metric.reason if metric is not None and metric.reason else "no label came back for what was predicted then"
        st.caption(f"{parts.plain(why).capitalize()}.{trained}")
        return
    delta, look = None, _STILL
    if before is not None and before.value is not None:
        change = round(metric.value, 2) - round(before.value, 2)
        delta = f"{_signed(change)} against {before.value:.2f}"
        chance = metric.low is not None and metric.high is not None and metric.low <= before.value <= metric.high
        look = _look_of(change, harmful=name in LOWER_IS_BETTER, matters=not chance)
    st.metric(title, f"{metric.value:.2f}", delta, help=about, **look)
    interval = "" if metric.low is None else f"95 %: {metric.low:.2f} to {metric.high:.2f}; "
    fixed = "" if metric.baseline is None else f"baseline {metric.baseline:.2f}; "
    st.caption(f"{interval}{fixed}{_count(rows)} labelled.{trained}")


def _find_training(context: PageContext, project: str) -> dict[str, Metric]:
    live = deployment.find_live(context.home, project)
    return quality.find_training(context.home, project, live.version) if live else {}


def _show_answering(context: PageContext, project: str, span: Span, limits: Limits, now: datetime) -> None:
    seen = stats.window(context.home, project, span.minutes, now=now)
    before = seen.before
    latency, errors, rate, today = st.columns(4)
    with latency, st.container(border=True, height="stretch"):
        _show_latency(seen, before, limits)
    with errors, st.container(border=True, height="stretch"):
        _show_errors(seen, before, limits)
    with rate, st.container(border=True, height="stretch"):
        earlier = before.per_second if before and before.requests else None
        delta = None if earlier is None else f"{_change(seen.per_second, earlier)} against {_rate(earlier)}"
        look = _look_of(seen.per_second - (earlier or 0.0), harmful=False, matters=False)
        st.metric("Requests", _rate(seen.per_second) if seen.requests else "none", delta, **look)
        st.caption(f"{_count(seen.requests)} requests, {_count(seen.rows)} predictions")
    with today, st.container(border=True, height="stretch"):
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        yesterday = log.count_between(context.home, project, midnight - timedelta(days=1), midnight)
        st.metric("Predictions today", _count(log.count_today(context.home, project, now=now)))
        st.caption(f"since midnight UTC; {_count(yesterday)} the day before")


def _show_latency(seen: Window, before: Window | None, limits: Limits) -> None:
    found = seen.latency
    if found is None:
        st.metric("Latency, p95", "unknown")
        st.caption("Nothing was asked by form or program." if not seen.requests else "Only files were scored.")
        return
    delta, look = None, _STILL
    if before is not None and before.latency is not None:
        earlier = before.latency.p95
        delta = f"{_change(found.p95, earlier)} against {_ms(earlier)}"
        change = round(found.p95 / earlier - 1, 2) if earlier else 0.0
        look = _look_of(change, harmful=True, matters=abs(change) > limits.watching.degradation)
    st.metric("Latency, p95", _ms(found.p95), delta, help="95 % of the answers took no longer than this (within 1 %)", **look)
    sign = ""
    for limit, status in ((limits.watching.latency_critical_ms, "critical"), (limits.watching.latency_warning_ms, "warning")):
        if found.p95 >= limit:
            sign = f"{parts.find_status(status).markdown} above {_ms(limit)}; "
            break
    st.caption(f"{sign}mean {_ms(found.mean)} ± {_ms(found.std)}, p50 {_ms(found.p50)}, p99 {_ms(found.p99)}")


def _show_errors(seen: Window, before: Window | None, limits: Limits) -> None:
    if seen.error_rate is None:
        st.metric("Error rate", "unknown")
        st.caption("Nothing was asked.")
        return
    delta, look = None, _STILL
    if before is not None and before.error_rate is not None:
        change = round(seen.error_rate, 3) - round(before.error_rate, 3)
        delta = f"{_signed(100 * change, 1)} points against {before.error_rate:.1%}"
        look = _look_of(change, harmful=True, matters=abs(change) >= limits.watching.error_warning)
    st.metric("Error rate", f"{seen.error_rate:.1%}", delta, help="Requests that failed here (status 500 and above)", **look)
    sign = ""
    if seen.error_rate >= limits.watching.error_critical:
        sign = f"{parts.find_status('critical').markdown} at or above {limits.watching.error_critical:.0%}; "
    elif seen.error_rate >= limits.watching.error_warning:
        sign = f"{parts.find_status('warning').markdown} at or above {limits.watching.error_warning:.0%}; "
    st.caption(f"{sign}{_count(seen.errors)} of {_count(seen.requests)} failed; {_count(seen.refused)} refused as wrong")


# Charts


def _show_charts(context: PageContext, project: str, span: Span, limits: Limits) -> None:
    st.header("Requests and times", anchor=False)
    now = context.now
    points = stats.series(context.home, project, now - timedelta(minutes=span.minutes), now, span.step)
    asked = sum(p.requests for p in points)
    if not asked:
        parts.show_empty(
            f"Nothing was asked in the last {span.words}.",
            "Choose a longer window above, or ask the model: on Predict, or by a program.", page="predict", label="Predict",
        )  # fmt: skip
        return
    zone = _zone()
    watching = limits.watching
    first, second = st.columns(2, gap="medium")
    timed = [p.latency for p in points if p.latency]
    with first:
        st.markdown("**How many were asked**")
        figure = charts_monitoring.requests(points, zone)
        charts.show_figure(figure, alt=f"{_count(asked)} requests in the last {span.words}, by step.", key="chart-requests")
        st.markdown("**How many failed**")
        failed = sum(p.errors for p in points)
        figure = charts_monitoring.failures(points, zone, warning=watching.error_warning, critical=watching.error_critical)
        charts.show_figure(figure, alt=f"Share of failed requests; {failed} of {asked} failed.", key="chart-failures")
    with second:
        if not timed:
            st.markdown(":gray[:material/info: Only files were scored, whose time says nothing of how fast an answer is.]")
            return
        st.markdown("**How long answers took**")
        figure = charts_monitoring.durations(points, zone, warning=watching.latency_warning_ms)
        worst = max(found.p99 for found in timed)
        charts.show_figure(figure, alt=f"Percentiles of the time to answer; the highest p99 is {_ms(worst)}.", key="chart-durations")
        st.markdown("**Where the time goes**")
        names = [name for name in stats.STAGES if any(name in p.stages for p in points)]
        if names:
            figure = charts_monitoring.stages(points, zone, names)
            charts.show_figure(figure, alt=f"Mean time of {', '.join(names)}.", key="chart-stages")
        else:
            st.markdown(":gray[:material/info: No stage was timed in this window; programs and forms time theirs.]")


def _show_posted(context: PageContext, project: str, span: Span) -> None:
    found = observations.window(context.home, project, span.minutes, now=context.now)
    if not found:
        return  # nothing is missing where nobody posts
    st.header("Metrics that programs post", anchor=False)
    table = [
        {
            "Metric": s.name, "Values": s.n, "Mean": s.mean, "Std": s.std, "p50": s.p50, "p95": s.p95, "p99": s.p99, "Last": s.last,
            "Last at": parts.local_time(s.last_at),
        }
        for s in found
    ]  # fmt: skip
    config: dict[str, Any] = {n: st.column_config.NumberColumn(format="%.4g") for n in ("Mean", "Std", "p50", "p95", "p99", "Last")}
    config["Last at"] = parts.time_column()
    st.dataframe(table, hide_index=True, column_config=config, key="posted", height=min(38 + 35 * len(table), 300))
    chosen = st.selectbox("Metric over time", [s.name for s in found], key="posted-metric", width=320)
    since = context.now - timedelta(minutes=span.minutes)
    every = observations.list_series(context.home, project, since=since, until=context.now, step=span.step)
    series = next((s for s in every if s.name == chosen), None)
    if series is not None:
        figure = charts_monitoring.posted(series, _zone())
        charts.show_figure(figure, alt=f"{chosen} over the last {span.words}: mean, least and most.", key="chart-posted")


# Words


def _zone() -> tzinfo:
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, TypeError):
        return ZoneInfo("UTC")


def _look_of(change: float, *, harmful: bool, matters: bool) -> dict[str, Any]:
    """How a change is drawn: an arrow where there is one, green or red only where it is more than chance or noise."""
    if not change:
        return _STILL
    return {"delta_color": "off"} if not matters else {"delta_color": "inverse" if harmful else "normal"}


def _signed(change: float, digits: int = 2) -> str:
    return f"{change:+.{digits}f}" if round(change, digits) else f"±{0:.{digits}f}"


def _ms(value: float) -> str:
    if value >= 10_000:
        return f"{value / 1000:.1f} s"
    return f"{value:.0f} ms" if value >= 100 else f"{value:.3g} ms"


def _rate(per_second: float) -> str:
    if per_second >= 1:
        return f"{per_second:.3g}/s"
    if 60 * per_second >= 1:
        return f"{60 * per_second:.3g}/min"
    return f"{3600 * per_second:.3g}/h" if 3600 * per_second >= 1 else f"{86_400 * per_second:.2g}/day"


def _change(now: float, before: float) -> str:
    change = round((now - before) / before, 2) if before else None
    return "new" if change is None else f"{change:+.0%}" if change else "±0%"


def _count(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")
