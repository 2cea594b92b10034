"""Alerts on the Monitoring page: what is open, who looks after it, and what was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from core.agent import incidents
from core.monitoring import alerts, checks
from core.monitoring.alerts import Alert
from core.monitoring.checks import Unmeasured
from core.monitoring.findings import STATES
from core.roles import who_may
from pages import parts, sending
from pages.session import PageContext

PERMISSION = "acknowledge_alert"
SHOWN = 4  # open ones that are not folded away
SIGNS = {"ok": "● OK", "warning": "▲ Look", "critical": "◆ Act", "unknown": "✕ Unknown"}
CLOSED = 20  # resolved ones that are listed


def show(context: PageContext, project: str) -> None:
    """The open alerts, worst first, with acknowledge and resolve; those that are over are folded away."""
    found = alerts.list_open(context.home, project)
    st.header("Anomalies and alerts" + (f" ({len(found)})" if found else ""), anchor=False)
    if not found:
        st.markdown(f"{parts.find_status('ok').markdown} No alert is open.")
    elif not context.account.may(PERMISSION):
        st.caption(f"Alerts are acknowledged by {' or '.join(who_may(PERMISSION))}.")
    wanted = _find_wanted(context, project, found)
    ordered = wanted + [a for a in found if a not in wanted]
    of = incidents.list_incidents_of(context.home, ordered)
    silent = checks.find_unmeasured(context.home, project, ordered)
    for alert in ordered[:SHOWN]:
        _show_alert(context, alert, of.get(alert.id), silent.get(alert.id))
    if len(ordered) > SHOWN:
        with st.expander(f"{len(ordered) - SHOWN} more"):
            for alert in ordered[SHOWN:]:
                _show_alert(context, alert, of.get(alert.id), silent.get(alert.id))
    _show_watched(context, project)
    _show_closed(context, project)


def _find_wanted(context: PageContext, project: str, found: list[Alert]) -> list[Alert]:
    """The alert that a link asks for, where it is of this project, even if it is over; where it is not, a word on it."""
    asked = st.query_params.get("alert", "")
    if not (asked.isascii() and asked.isdigit() and len(asked) < 12):
        return []
    wanted = [a for a in found if a.id == int(asked)]
    if not wanted:
        with parts.guarded():
            alert = alerts.get_alert(context.home, int(asked))
            if alert.project == project:
                return [alert]
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(f"Alert {alert.id} is one of project {parts.plain(alert.project)}.", width="content")
                parts.show_link("monitoring", "Open it", project=alert.project, alert=asked)
    return wanted


def _say_unmeasured(silent: Unmeasured) -> str:
    why = f"No requests since {parts.local_time(silent.since)}." if silent.since else silent.reason
    return f"Not measured now. {why} The alert stays open until a check finds it well or a person resolves it."


def _show_alert(context: PageContext, alert: Alert, incident: int | None, silent: Unmeasured | None) -> None:
    with st.container(border=True, gap="xsmall", key=f"alert-{alert.id}"):
        said, buttons = st.columns([4, 2], vertical_alignment="center")
        sign = parts.find_status(alert.severity).markdown
        name = "" if alert.sentence.startswith(alert.title.partition(",")[0]) else f"**{parts.plain(alert.title)}**: "
        said.markdown(f"{sign} {name}{parts.plain(alert.sentence)}")
        with buttons.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", gap="small"):
            if incident is not None:
                parts.show_link("agent", f"Incident {incident}", project=alert.project, incident=str(incident))
            if alert.open and context.account.may(PERMISSION):
                _show_buttons(context, alert)
        measured = "" if alert.value is None else f"{_amount(alert.value, alert.unit)}"
        limit = "" if alert.threshold is None else f"limit {_amount(alert.threshold, alert.unit)}"
        since = f"since {parts.local_time(alert.since)}"
        sights = f"seen {alert.times} times, last {parts.local_time(alert.last_seen_at)}" if alert.times > 1 else ""
        by = f"acknowledged by {alert.acknowledged_by}, {parts.local_time(alert.acknowledged_at)}" if alert.acknowledged_at else ""
        if silent is not None:
            st.caption(parts.plain(_say_unmeasured(silent)))
        over = f"resolved by {alert.resolved_by}, {parts.local_time(alert.resolved_at)}" if alert.resolved_at else ""
        version = f"version {alert.version}" if alert.version else ""
        told = [t for t in (measured, limit, since, sights, version, by, over, f"alert {alert.id}") if t]
        st.caption(" · ".join(parts.plain(t) for t in told), help=f"Since {parts.plain(parts.utc_time(alert.since))}")


def _show_buttons(context: PageContext, alert: Alert) -> None:
    # Named after the state that they start from: a second click finds its button gone.
    if alert.state == "active" and st.button("Acknowledge", type="primary", key=f"acknowledge-{alert.id}-{alert.times}"):
        _perform(
            lambda key: alerts.acknowledge(context.home, context.actor, alert.id, key=key, now=context.now),
            f"acknowledge-{alert.id}", f"Alert {alert.id} was active and is now acknowledged by you; it stays open until it is over.",
        )  # fmt: skip
    with st.popover("Resolve"):
        will = "The alert ends now. If what it is about goes on, the next check opens another."
        reason = parts.confirm("Resolve", will, key=f"resolve-{alert.id}")
        if reason is not None:
            _perform(
                lambda key: alerts.resolve(context.home, context.actor, alert.id, reason=reason, key=key, now=context.now),
                f"resolve-{alert.id}", f"Alert {alert.id} was {alert.state} and is now resolved.",
            )  # fmt: skip


def _perform(do: Callable[[str], dict[str, Any]], form: str, sentence: str) -> None:
    with parts.guarded():
        do(sending.request_key("alerts", form))
        sending.note_sent("alerts", parts.plain(sentence))
        st.rerun()


def _show_watched(context: PageContext, project: str) -> None:
    """Every check with its last answer: what is well and what is unknown, too."""
    watched = [(group, finding) for group in checks.find_last(context.home, project) for finding in group.findings]
    if not watched:
        st.caption("The clock has checked nothing yet; it looks every minute while the console runs.")
        return
    states = [finding.state for _, finding in watched]
    told = ", ".join(f"{states.count(s)} {parts.find_status(s).word.lower()}" for s in ("critical", "warning", "unknown", "ok") if s in states)
    with st.expander(f"What is watched: {len(watched)} checks ({told})"):
        rows = [
            {
                "Check": f"{f.title}, {f.subject}" if f.subject else f.title, "State": SIGNS.get(f.state, f.state), "Found": f.sentence,
                "Limit": "" if f.threshold is None else _amount(f.threshold, f.unit), "Looked at": parts.local_time(group.at),
            }
            for group, f in sorted(watched, key=lambda w: -STATES.index(w[1].state))
        ]  # fmt: skip
        config = {"Found": st.column_config.TextColumn(width="large"), "Looked at": parts.time_column()}
        st.dataframe(rows, hide_index=True, key="watched", column_config=config)


def _show_closed(context: PageContext, project: str) -> None:
    closed = alerts.list_alerts(context.home, project, states=("resolved",), limit=CLOSED)
    if not closed:
        return
    of = incidents.list_incidents_of(context.home, closed)
    with st.expander(f"Resolved ({len(closed)} newest)" if len(closed) == CLOSED else f"Resolved ({len(closed)})"):
        rows = [
            {
                "What": a.title, "Severity": parts.find_status(a.severity).word, "Said": a.sentence,
                "Since": parts.short_time(a.since), "Resolved": parts.short_time(a.resolved_at or a.last_seen_at), "By": a.resolved_by,
                "Alert": a.id, "Incident": of.get(a.id),
            }
            for a in closed
        ]  # fmt: skip
        said = st.column_config.TextColumn(width="large")
        config = {"Said": said, "Since": parts.time_column(), "Resolved": parts.time_column()}
        st.dataframe(rows, hide_index=True, key="alerts-resolved", column_config=config)


def _amount(value: float, unit: str) -> str:
    if unit in ("share", "ratio"):
        return f"{value:.1%}"
    if unit == "score":
        return f"{value:.2f}"
    return f"{value:,.4g} {unit}".strip().replace(",", "\u202f")
