"""Drift: has the world moved away from the training data?"""

from __future__ import annotations

import io
from datetime import UTC, datetime, time, timedelta
from typing import Any

import streamlit as st

from core.datasets import versions as datasets
from core.drift import checks
from core.drift.checks import Check, Period, Upload
from core.errors import NotFound
from core.monitoring import checks as watching
from core.projects.projects import Project
from core.registry import versions
from core.scoring import log
from pages import charts, charts_drift, drift_counts, drift_opinion, drift_quality, parts, sending
from pages.session import PageContext

PERIODS = {"Last 24 hours": 1, "Last 7 days": 7, "Last 30 days": 30, "Everything logged": None, "From a day to a day": 0}
SIGNS = {"ok": "● OK", "warning": "▲ Warning", "drift": "◆ Drift", "unknown": "✕ Unknown", "chance": "○ Within chance"}
ALERTS = {"high": "drift", "medium": "warning", "none": "ok"}
FILES = ["csv", "xlsx"]


def show(context: PageContext) -> None:
    """The chosen check (the newest, unless the link names one), how to run another, and the history."""
    parts.show_title("Drift", "Has the world moved away from the training data?")
    if context.project is None:
        step = "A project begins with a table of examples."
        parts.show_empty("There is no project yet.", step, page="data", label="New project")
        return
    history = checks.list_checks(context.home, context.project.name)
    sending.show_sent("drift")
    _show_clock(context, context.project)
    with st.expander("Run a check", expanded=not history, icon=":material/play_arrow:"):
        _show_form(context, context.project, history)
    if not history:
        step = "Choose above what to compare: what was predicted lately, or a file, with the training data."
        parts.show_empty("No drift check was made yet.", step)
        drift_counts.show(context, context.project.name, None)
        return
    with parts.guarded():  # a link to a check that is not there must not hide those that are
        _show_check(context, _get_chosen(context, context.project, history))
    _show_history(history)


def _show_clock(context: PageContext, project: Project) -> None:
    """What the clock measured last of the live version, by itself; it keeps a check below when its verdict changes."""
    last = next((w for w in watching.find_last(context.home, project.name) if w.kind == "drift" and w.findings), None)
    if last is not None:
        found = last.findings[0]
        sign = parts.find_status({"critical": "drift"}.get(found.state, found.state)).markdown
        again = f":gray[It looks again at {parts.plain(parts.local_time(last.next_at))}.]"
        st.markdown(f"{sign} **The clock**, {parts.plain(parts.local_time(last.at))}: {parts.plain(found.sentence)} {again}")


def _get_chosen(context: PageContext, project: Project, history: list[dict[str, Any]]) -> Check:
    wanted = st.query_params.get("check")
    if wanted is None:
        return checks.get_check(context.home, history[0]["id"])
    check = checks.get_check(context.home, int(wanted)) if wanted.isascii() and wanted.isdigit() and len(wanted) < 10 else None
    if check is None or check.project != project.name:
        raise NotFound(f"There is no drift check {wanted[:20]} in project {project.name}; choose one from the history.")
    return check


# Running a check


def _show_form(context: PageContext, project: Project, history: list[dict[str, Any]]) -> None:
    left, right = st.columns(2, gap="medium")
    with left:
        reference, reference_missing = _choose_reference(context, project)
    with right:
        current, current_missing = _choose_current(context, project)
    missing = reference_missing or current_missing
    if missing:
        st.caption(missing)
    label = "Also make Evidently's full report (some seconds, in the background)"
    evidently = st.checkbox(label, value=True, key="drift-evidently")
    # Named after a person's newest check: when it is there, a second click finds its button gone. The clock's do not count,
    # or a click would be lost whenever it has just kept one.
    turn = next((h["id"] for h in history if h["by"] != checks.CLOCK), 0)
    if st.button("Run check", type="primary", disabled=bool(missing), key=f"drift-run-{turn}") and current is not None:
        with parts.guarded():
            with st.spinner("Comparing …"):
                done = checks.run_check(
                    context.home, context.actor, project.name, current=current, reference=reference, evidently=evidently,
                    key=sending.request_key("drift", current, reference, evidently), now=context.now,
                )  # fmt: skip
            sending.note_sent("drift", _say_done(done, history[0] if history else None))
            st.query_params["check"] = str(done["id"])
            st.rerun()


def _choose_reference(context: PageContext, project: Project) -> tuple[Upload | int | None, str]:
    """What to compare with, and what is still missing."""
    known: dict[str, int | None] = {"Training data of the live (else the newest) version": None}
    for dataset in datasets.list_datasets(context.home, project.name):
        known[f"Dataset {dataset.version}: {dataset.file_name}, {dataset.rows} rows"] = dataset.version
    chosen = st.selectbox("Reference: compare with", [*known, "A file"], key="drift-reference")
    if chosen != "A file":
        return known[chosen], ""
    file = st.file_uploader("Reference file (CSV or Excel)", type=FILES, key="drift-reference-file")
    return (Upload(file.getvalue(), file.name), "") if file else (None, "Choose the reference file first.")


def _choose_current(context: PageContext, project: Project) -> tuple[Upload | Period | None, str]:
    what = st.selectbox("Current: what came lately", ["Logged predictions", "A file"], key="drift-current")
    if what == "A file":
        file = st.file_uploader("Current file (CSV or Excel)", type=FILES, key="drift-current-file")
        return (Upload(file.getvalue(), file.name), "") if file else (None, "Choose the current file first.")
    chosen = st.selectbox("Period", list(PERIODS), index=2, key="drift-period")
    version = _choose_version(context, project)
    days = PERIODS[chosen]
    if days == 0:
        today = context.now.date()
        span = st.date_input(
            "From and to (days in UTC, both included)", (today - timedelta(days=6), today), format="YYYY-MM-DD", key="drift-days"
        )
        if not isinstance(span, tuple) or len(span) != 2:
            return None, "Choose the last day of the period."
        since, until = (datetime.combine(day, time(), UTC) for day in span)
        period = Period(since, until + timedelta(days=1), version)
    else:
        period = Period(context.now - timedelta(days=days) if days else None, None, version)
    rows = log.count_between(context.home, project.name, period.since or datetime(1970, 1, 1, tzinfo=UTC), period.until)
    if rows:
        st.caption(f"About {rows} predictions were logged in this period.")
    return period, "" if rows else "No predictions were logged in this period; choose a longer one, or a file."


def _choose_version(context: PageContext, project: Project) -> str | None:
    """The version whose predictions are compared, with its own training data; asked only where there is a choice."""
    names = [v.version for v in versions.list_versions(context.home, project.name)]
    if len(names) < 2:
        return None
    live = "Live (else newest) version, and all with the same bins"
    chosen = st.selectbox("Predictions of", [live, *names], key="drift-version")
    return None if chosen == live else chosen


def _say_done(done: dict[str, Any], before: dict[str, Any] | None) -> str:
    earlier = f" The check before it, {before['id']}, gave {_number(before['overall'])}." if before else ""
    return f"Check {done['id']} is done: overall drift {_number(done['overall'])}.{earlier}"


# One check


def _show_check(context: PageContext, check: Check) -> None:
    result = check.result
    sign = parts.find_status(ALERTS.get(check.alert["level"], "unknown")).markdown
    st.markdown(f"## {sign} {parts.plain(check.alert['sentence'])}")
    st.caption(
        f"Check {check.id} by {parts.plain(check.by)}, {parts.plain(parts.local_time(check.at))}: "
        f"{parts.plain(_say_side(check.current))} against {parts.plain(_say_side(check.reference))}."
        + (f" {parts.plain(check.current['note'])}" if check.current.get("note") else ""),
        help=f"Made {parts.plain(parts.utc_time(check.at))}",
    )
    left, right = st.columns([1, 2], gap="medium")
    with left:
        charts.show_figure(charts_drift.overall_gauge(result), alt=result.sentence, key="gauge")
        st.caption(
            f"{parts.plain(result.sentence)} Below {result.warning:.2g} a score is OK, from {result.warning:.2g} a warning, "
            f"from {result.drift:.2g} drift; a change within chance counts as none."
        )
    with right:
        table = _make_table(check)
        st.dataframe(
            _greyed(table), hide_index=True, height=38 + 35 * len(table), key="columns", column_config=_formats(),
            placeholder="unknown",
        )  # fmt: skip
    _show_column(check)
    first, second = st.columns(2, gap="medium")
    with first:
        _show_prediction(check)
    with second:
        drift_quality.show(context.home, check)
    drift_opinion.show(context, check)
    drift_counts.show(context, check.project, check)
    with st.container(horizontal=True):
        parts.download("Table as CSV", lambda: _to_csv(table), f"drift_{check.id}.csv", "text/csv", key="drift-csv")
        drift_opinion.show_downloads(context, check)


def _make_table(check: Check) -> Any:
    """One row a column, the worst first, in words; the predictions are not among them."""
    import pandas as pd

    rows = []
    for column in check.result.worst_first:
        rows.append(
            {
                "Column": column.name,
                "Score": column.score,
                "Status": SIGNS["chance" if column.within_chance else column.status],
                "Missing now": _percent(column.current_missing),
                "Before": _percent(column.reference_missing),
                "Why": _why(column),
            }
        )
    return pd.DataFrame(rows)


def _why(column: Any) -> str:
    if column.reason:
        return str(column.reason)
    return f"chi-square {charts_drift.say_p(column.p_adjusted)}" if column.p_adjusted is not None else ""


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _greyed(table: Any) -> Any:
    grey = (SIGNS["chance"], SIGNS["unknown"])
    return table.style.apply(lambda row: ["color: #84918a" if row["Status"] in grey else ""] * len(row), axis=1)


def _formats() -> dict[str, Any]:
    return {
        "Score": st.column_config.NumberColumn(format="%.2f", help="0: as in the reference; 1: nothing alike"),
        "Missing now": st.column_config.NumberColumn(format="%.1f %%"),
        "Before": st.column_config.NumberColumn(format="%.1f %%", help="Missing in the reference"),
        "Why": st.column_config.TextColumn(width="medium"),
    }


def _show_column(check: Check) -> None:
    st.header("One column, before and now", anchor=False)
    names = [c.name for c in check.result.worst_first]
    chosen = st.selectbox("Column", names, key=f"drift-column-{check.id}")
    column = check.result.column(chosen)
    if column.reason:
        st.markdown(f"{parts.find_status('unknown').markdown} {parts.plain(column.reason)}")
    figure = charts_drift.distribution(check.result, chosen)
    charts.show_figure(figure, alt=f"Shares of the values of {chosen}, reference and current side by side.", key="distribution")


def _show_prediction(check: Check) -> None:
    st.header("Predictions, before and now", anchor=False)
    drift = check.result.prediction
    if drift is None:
        st.markdown(":gray[:material/info: There are no predictions on both sides, so their drift is unknown.]")
        return
    sign = parts.find_status("chance" if drift.within_chance else drift.status).markdown
    st.markdown(f"{sign} {'score ' + _number(drift.score) if drift.score is not None else parts.plain(drift.reason)}")
    figure = charts_drift.distribution(check.result, drift.name)
    charts.show_figure(figure, alt="Shares of the predictions, reference and current side by side.", key="prediction")


def _show_history(history: list[dict[str, Any]]) -> None:
    st.header("History", anchor=False)
    rows = [
        {
            "Check": h["id"],
            "When": parts.local_time(h["at"]),
            "By": h["by"],
            "Compared": h["current"]["label"],
            "With": h["reference"]["label"],
            "Rows": h["current"].get("rows"),
            "Overall": h["overall"],
            "Band": SIGNS[h["band"]],
            "Alert": SIGNS[ALERTS.get(h["alert"]["level"], "unknown")],
        }
        for h in history
    ]
    config = {"Overall": st.column_config.NumberColumn(format="%.2f"), "When": parts.time_column()}
    st.dataframe(rows, hide_index=True, column_config=config, key="history", placeholder="unknown")
    labels = {h["id"]: f"Check {h['id']}, {parts.local_time(h['at'])}, {h['current']['label']}" for h in history}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox("Open a check", list(labels), format_func=lambda i: labels[i], key="drift-open", width=420)
        if st.button("Open", key="drift-open-go"):
            st.query_params["check"] = str(chosen)
            st.rerun()


def _say_side(side: dict[str, Any]) -> str:
    text = f"{side['label']}, {side['rows']} rows"
    if side.get("since"):
        text += f", since {parts.local_time(side['since'])}"
    if side.get("until"):
        text += f" until {parts.local_time(side['until'])}"
    return text


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _to_csv(table: Any) -> bytes:
    from core.datasets.write import write_csv

    buffer = io.BytesIO()
    write_csv(buffer, table)
    return buffer.getvalue()
