"""Trends: is it getting better or worse?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import streamlit as st

from core import deployment
from core.monitoring import quality, trends
from core.monitoring.quality import TITLES, OverTime
from core.projects.definition import Definition
from core.projects.limits import get_limits
from core.projects.projects import get_definition
from pages import charts, charts_trends, contents, parts
from pages.session import PageContext

PERIODS = {7: "7 days", 30: "30 days", 90: "90 days", 365: "1 year"}
OTHER = "Other"
LONGEST = timedelta(days=3 * 366)
SHOWN = {
    "binary": ("f1", "accuracy"),
    "multiclass": ("f1", "accuracy"),
    "regression": ("mae", "r2"),
    "ranking": ("ndcg", "mae"),
}


@dataclass(frozen=True)
class Period:
    """From ``since`` to before ``until``; ``days`` is None where a person named the dates."""

    since: datetime
    until: datetime
    days: int | None

    @property
    def step(self) -> str:
        return trends.choose_step(self.since, self.until)

    @property
    def words(self) -> str:
        last = self.until - timedelta(microseconds=1)
        dates = f"the period {self.since:%-d %b %Y} to {last:%-d %b %Y}"
        return f"the last {PERIODS[self.days]}" if self.days else dates


def show(context: PageContext) -> None:
    """Quality, drift and volume of a period with what happened in it, versions beside their training, and the events."""
    parts.show_title("Trends", "Is it getting better or worse?")
    if context.project is None:
        parts.show_empty("There is no project yet.", "Trends need a version that answers.", page="data", label="Go to Data")
        return
    name = context.project.name
    definition = get_definition(context.home, name)
    period = _choose_period(context)
    volume = trends.volume_over_time(context.home, name, since=period.since, until=period.until, step=period.step)
    events = trends.list_events(context.home, name, since=period.since, until=period.until)
    if not volume and not events:
        _show_nothing(context, period)
        return
    found = quality.over_time(context.home, name, since=period.since, until=period.until, step=period.step)
    answer = trends.answer(context.home, found)
    sign = parts.find_status({"look": "warning"}.get(answer.level, answer.level)).markdown
    st.markdown(f"{sign} {parts.plain(answer.sentence)}")
    _show_quality(context, definition, period, found, events)
    left, right = st.columns(2, gap="medium")
    with left:
        _show_drift(context, definition, period, events)
    with right:
        _show_volume(period, volume, events)
    st.caption(
        f"One point is one {period.step} (UTC), at the time of the prediction. Along the upper edge: "
        "▲ a version went live, ◀ a rollback, ✕ taken down, ○ a training, ◆ an alert; each says more under the pointer."
    )
    _show_versions(context, found)
    _show_events(context, events)


def _choose_period(context: PageContext) -> Period:
    """The period that the link names (``days``, or ``from`` and ``to``), and the switch that changes the link."""
    period = _read_link(context.now)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.session_state["trends-period"] = PERIODS[period.days] if period.days else OTHER
        st.segmented_control("Period", [*PERIODS.values(), OTHER], key="trends-period", on_change=_follow_switch, args=(period,))
        if period.days is None:
            last = (period.until - timedelta(microseconds=1)).date()
            st.date_input(
                "From and to, UTC", (period.since.date(), last), max_value=context.now.date(), key="trends-dates",
                on_change=_follow_dates, width=280,
            )  # fmt: skip
    return period


def _read_link(now: datetime) -> Period:
    usual = Period(now - timedelta(days=30), now, 30)
    begin, end, days = (st.query_params.get(n, "") for n in ("from", "to", "days"))
    if begin or end:
        try:
            first, last = date.fromisoformat(begin), date.fromisoformat(end)
            since = datetime(first.year, first.month, first.day, tzinfo=UTC)
            until = min(datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1), now)
            if timedelta(0) < until - since <= LONGEST:
                return Period(since, until, None)
        except (ValueError, OverflowError):
            pass
        st.warning(
            "The link names a period that cannot be shown, so these are the last 30 days: from and to are dates such as "
            "2026-11-01, from before to, at most three years apart.",
            icon=":material/date_range:",
        )
        return usual
    if days and (not days.isascii() or not days.isdigit() or int(days[:6]) not in PERIODS):
        st.warning("The link names a period that cannot be shown, so these are the last 30 days.", icon=":material/date_range:")
        return usual
    chosen = int(days[:6]) if days else 30
    return Period(now - timedelta(days=chosen), now, chosen)


def _follow_switch(period: Period) -> None:
    chosen = st.session_state["trends-period"]
    for name in ("days", "from", "to"):
        st.query_params.pop(name, None)
    if chosen == OTHER:
        st.query_params["from"] = period.since.date().isoformat()
        st.query_params["to"] = (period.until - timedelta(microseconds=1)).date().isoformat()
    elif chosen is not None:
        st.query_params["days"] = str(next(days for days, word in PERIODS.items() if word == chosen))


def _follow_dates() -> None:
    dates = st.session_state["trends-dates"]
    if isinstance(dates, tuple) and len(dates) == 2:  # between two clicks there is only the first
        st.query_params["from"], st.query_params["to"] = (d.isoformat() for d in dates)


def _show_nothing(context: PageContext, period: Period) -> None:
    if context.project is not None and not deployment.list_deployments(context.home, context.project.name):
        parts.show_empty(
            "Nothing was ever live in this project, so there is no trend yet.",
            "A version goes live when it was trained, registered, approved and deployed.", page="registry", label="Go to Registry",
        )  # fmt: skip
        return
    parts.show_empty(
        f"Nothing was predicted in {period.words}, and nothing else happened.",
        "Choose a longer period, or let the live version answer.",
        page="predict" if context.account.may("predict") else None,
        label="Go to Predict",
    )


def _show_quality(
    context: PageContext, definition: Definition, period: Period, found: OverTime, events: list[trends.Event]
) -> None:
    steps = trends.list_steps(period.since, period.until, period.step)
    training = {p.version: quality.find_training(context.home, definition.name, p.version) for p in found.versions}
    floor = get_limits(context.home, definition.name).thresholds.accuracy_floor
    for column, name in zip(st.columns(2, gap="medium"), SHOWN[definition.task], strict=True):
        with column:
            st.header(_title(name), anchor=False)
            whole = found.whole.metrics[name] if found.whole else None
            if whole is None or whole.value is None:
                _show_no_quality(context, found, whole.reason if whole else "")
                continue
            st.markdown(_say_whole(name, whole, found.whole.rows if found.whole else 0))
            figure = charts_trends.quality_curve(
                found.points, name, TITLES[name], step=period.step, steps=steps, events=events,
                training=[(v, m[name].value or 0.0) for v, m in training.items() if name in m and m[name].value is not None],
                floor=floor if name == "accuracy" else None,
            )  # fmt: skip
            alt = f"{TITLES[name]} over {len(found.points)} steps with labels in {period.words}: {whole.value:.3g} in all."
            charts.show_figure(figure, alt=alt, key=f"trend-{name}", height=charts_trends.HEIGHT)


def _title(name: str) -> str:
    words = {"accuracy": "Accuracy: right answers", "mae": "MAE: off by, on average", "ndcg": "NDCG: order of each query"}
    return words.get(name, TITLES[name])


def _say_whole(name: str, metric: quality.Metric, rows: int) -> str:
    form = ".0%" if name == "accuracy" else ".2f" if name in ("f1", "r2", "ndcg") else ".3g"
    interval = "" if metric.low is None else f" (95 %: {metric.low:{form}} to {metric.high:{form}})"
    baseline = "" if metric.baseline is None else f"; without a model {metric.baseline:{form}}"
    return f"**{metric.value:{form}}**{interval} on {_thousands(rows)} labels{baseline}"


def _show_no_quality(context: PageContext, found: OverTime, reason: str) -> None:
    if found.whole is not None:
        st.markdown(f":gray[:material/help: Unknown:] {parts.plain(reason)}.")
        return
    may_feed = context.account.may("feed_labels")
    parts.show_empty(
        "No label came back for the predictions of this period.",
        "Labels are fed on the Predict page, by the API or the command feedback, also late.",
        page="predict" if may_feed else None,
        label="Feed labels",
        icon=":material/help:",
    )


def _show_drift(context: PageContext, definition: Definition, period: Period, events: list[trends.Event]) -> None:
    st.header("Drift score", anchor=False)
    name = definition.name
    points = trends.drift_over_time(context.home, name, since=period.since, until=period.until, step=period.step)
    checks = trends.list_checks(context.home, name, since=period.since, until=period.until)
    known = [p for p in points if p.overall is not None]
    thresholds = get_limits(context.home, name).thresholds
    if not known and not any(c["overall"] is not None for c in checks):
        least = thresholds.drift_min_rows
        st.markdown(
            f":gray[:material/help: Unknown:] no {period.step} of this period has {least} predictions of one version, "
            "and no drift check was made in it."
        )
        return
    if known:
        last = known[-1]
        worst = f", most in {parts.plain(last.worst)}" if last.worst else ", no column beyond chance"
        st.markdown(
            f"**{last.overall:.2f}** in the last {period.step} that could be measured "
            f"({parts.plain(charts_trends.say_step(last.start, period.step))}){worst}"
        )
    else:
        st.markdown("Too few predictions a step to measure; the checks that were made are drawn.")
    steps = trends.list_steps(period.since, period.until, period.step)
    figure = charts_trends.drift_curve(
        points, checks, step=period.step, steps=steps, events=events, warning=thresholds.drift_warning, drift=thresholds.drift
    )
    alt = f"Overall drift score, {len(known)} steps measured and {len(checks)} checks made in {period.words}."
    charts.show_figure(figure, alt=alt, key="trend-drift", height=charts_trends.HEIGHT)


def _show_volume(period: Period, volume: tuple[trends.VolumePoint, ...], events: list[trends.Event]) -> None:
    st.header("Predictions", anchor=False)
    total, problems = sum(v.rows for v in volume), sum(v.problem_rows for v in volume)
    if not total:
        st.markdown(":gray[:material/info:] Nothing was predicted in this period.")
        return
    st.markdown(f"**{_thousands(total)}** in {period.words}; {problems / total:.0%} of the rows had a problem")
    steps = trends.list_steps(period.since, period.until, period.step)
    figure = charts_trends.volume_bars(volume, step=period.step, steps=steps, events=events)
    charts.show_figure(figure, alt=f"Predictions a {period.step}: {total} in all.", key="trend-volume", height=charts_trends.HEIGHT)


def _show_versions(context: PageContext, found: OverTime) -> None:
    if not found.versions:
        return
    st.header("Versions beside their training", anchor=False)
    rows = []
    for point in found.versions:
        training = quality.find_training(context.home, found.project, point.version)
        changes = quality.compare_training(point, training)
        worse = [TITLES[c.name] for c in changes if c.worse and c.within_chance is False]
        better = [TITLES[c.name] for c in changes if not c.worse and c.within_chance is False]
        words = [*([f"worse: {', '.join(worse)}"] if worse else []), *([f"better: {', '.join(better)}"] if better else [])]
        unknown = all(c.within_chance is None for c in changes)
        against = "; ".join(words) or ("unknown" if unknown else "within chance")
        row: dict[str, object] = {"Version": point.version, "Labels": point.rows, "Against training": against}
        for name in found.names:
            row[TITLES[name]] = _cell(point.metrics[name])
            row[f"{TITLES[name]} in training"] = _cell(training[name]) if name in training else "unknown"
        rows.append(row)
    st.dataframe(rows, hide_index=True, height=min(38 + 35 * len(rows), 320))
    st.caption("In brackets the 95 % interval. Within chance: the two samples of rows alone explain the difference.")


def _cell(metric: quality.Metric) -> str:
    if metric.value is None:
        return "unknown"
    interval = "" if metric.low is None else f" ({metric.low:.2f} to {metric.high:.2f})"
    return f"{metric.value:.3f}{interval}"


def _show_events(context: PageContext, events: list[trends.Event]) -> None:
    st.header("What happened", anchor=False)
    if not events:
        st.markdown(":gray[:material/info:] No version went live, nothing was trained and no alert was raised in this period.")
        return
    newest = list(reversed(events))
    rows = [
        {"When": parts.short_time(e.at), "What": charts_trends.MARKS[e.kind][2], "In words": e.sentence, "Of": e.name}
        for e in newest
    ]
    st.caption("Tick a row to go to the thing itself.")
    picked = st.dataframe(
        rows, hide_index=True, height=min(38 + 35 * len(rows), 400), on_select="rerun", selection_mode="single-row", key="events",
        column_config={"When": parts.time_column(), "In words": st.column_config.TextColumn(width="large")},
    )
    for place in [n for n in picked["selection"]["rows"][:1] if n < len(newest)]:  # the list may have changed since
        page, name, value = newest[place].link
        known = next((p for p in contents.PAGES if p.url == page), None)
        if known is not None and (not known.action or context.account.may(known.action)):
            parts.show_link(page, f"Open {known.title}", **({name: value} if value else {}))


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")
