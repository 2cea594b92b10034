"""Agent: what did it see, decide, do?"""

from __future__ import annotations

from datetime import timedelta
from itertools import groupby
from typing import Any

import streamlit as st

from core.agent import agent_requests, incidents, policy
from core.agent.actions import ACTIONS
from core.agent.diagnosis import CAUSES
from core.agent.incidents import Event, Incident
from core.projects import projects
from core.projects.limits import get_limits
from core.roles import who_may
from pages import act, agent_control, parts
from pages.session import PageContext

STATES = {"open": "running", "waiting": "waiting", "watching": "running", "escalated": "critical", "closed": "done"}
MARKS = {
    "done": "✓ Done", "skipped": "– Skipped", "failed": "✕ Failed", "advised": "➜ Advised", "waiting": "◷ Waiting", "approved": "✓ Approved",
    "rejected": "✕ Rejected", "expired": "✕ Expired", "withdrawn": "– Withdrawn", "lapsed": "✕ Lapsed", "dry run": "○ Dry run",
    "held back": "◷ Held back",
}  # fmt: skip
ICONS = {
    "alert": ":material/notifications:", "diagnosis": ":material/stethoscope:", "decision": ":material/rule:", "action": ":material/build:",
    "request": ":material/fact_check:", "effect": ":material/trending_down:", "end": ":material/flag:",
}  # fmt: skip
PERIODS = {"24 hours": timedelta(hours=24), "7 days": timedelta(days=7), "30 days": timedelta(days=30), "All": None}
CLOSED = 20  # ended incidents that are listed
LINKED = 6  # alerts of an incident that are linked one by one
ROWS = 200


def show(context: PageContext) -> None:
    """Incidents as timelines, the table of what was done, and the agent's switches; of the chosen project."""
    parts.show_title("Agent", "What did it see, decide, do?")
    act.show_said()
    wanted = st.query_params.get("incident")
    if wanted is not None:
        _show_one(context, wanted)
        return
    agent_control.show(context)
    if context.project is None:
        parts.show_empty("There is no project yet, so there is nothing to look after.", page="data", label="New project")
        return
    name = context.project.name
    _show_incidents(context, name)
    _show_activity(context, name)
    _show_policy(context, name)


def _show_incidents(context: PageContext, project: str) -> None:
    open_ = incidents.list_unclosed(context.home, project)
    st.header("Incidents" + (f" ({len(open_)})" if open_ else ""), anchor=False)
    if not open_:
        st.markdown(f"{parts.find_status('ok').markdown} No incident is open.")
    for incident in sorted(open_, key=lambda i: (i.state != "escalated", -i.severity, -i.id)):
        _show_card(context, incident)
    closed = incidents.list_incidents(context.home, project, states=("closed",), limit=CLOSED)
    if closed:
        with st.expander(f"Closed ({len(closed)} newest)" if len(closed) == CLOSED else f"Closed ({len(closed)})"):
            for incident in closed:
                with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                    moment = incident.closed_at or incident.last_seen_at
                    ended = f"{incident.title.lower()}, ended {parts.plain(parts.local_time(moment))}"
                    st.markdown(
                        f"**Incident {incident.id}**, {ended}: {parts.plain(incident.outcome)}", width="content",
                        help=f"Ended {parts.plain(parts.utc_time(moment))}",
                    )  # fmt: skip
                    parts.show_link("agent", "Open", project=project, incident=str(incident.id))


def _show_card(context: PageContext, incident: Incident) -> None:
    with st.container(border=True, gap="xsmall", key=f"incident-{incident.id}"):
        said, link = st.columns([5, 1], vertical_alignment="center")
        look = parts.find_status(STATES[incident.state])
        said.markdown(
            f":{look.colour}[{look.icon} {incident.state.capitalize()}] **{parts.plain(_title(incident))}** "
            f":gray[severity {incident.severity:.2f}, incident {incident.id} since {parts.plain(parts.local_time(incident.opened_at))}]",
            help=f"Since {parts.plain(parts.utc_time(incident.opened_at))}",
        )
        with link.container(horizontal=True, horizontal_alignment="right"):
            parts.show_link("agent", "Open", project=incident.project, incident=str(incident.id))
        st.markdown(parts.plain(incident.diagnosis["sentence"]))
        st.caption(parts.plain(_say_steps(incident)))


def _title(incident: Incident) -> str:
    return f"{incident.title}: {CAUSES[incident.diagnosis['cause']][0].lower()}{CAUSES[incident.diagnosis['cause']][1:]}"


def _say_steps(incident: Incident) -> str:
    steps: list[dict[str, Any]] = incident.diagnosis["plan"]["steps"]
    return " · ".join(f"{ACTIONS[s['action']].title}: {s['status']}" for s in steps)


def _show_one(context: PageContext, wanted: str) -> None:
    """One incident from its first alert to its end."""
    if st.button("All incidents", icon=":material/arrow_back:", type="tertiary"):
        del st.query_params["incident"]
        st.rerun()
    st.query_params["incident"] = wanted  # by a link of this same page it came without the address bar, from which people copy
    if not (wanted.isascii() and wanted.isdigit() and len(wanted) < 12):
        st.warning(f"{parts.plain(wanted[:40])} is no incident; its number was expected.", icon=":material/search_off:")
        return
    with parts.guarded():
        incident = incidents.get_incident(context.home, int(wanted))
        if incident.project not in {p.name for p in projects.list_projects(context.home)}:
            st.warning("The project of this incident is archived.", icon=":material/archive:")
            return
        _show_incident(context, incident)


def _show_incident(context: PageContext, incident: Incident) -> None:
    look = parts.find_status(STATES[incident.state])
    st.header(
        f"Incident {incident.id}: {parts.plain(_title(incident))}  :{look.colour}-badge[{look.icon} {incident.state.capitalize()}]",
        anchor=False,
    )
    st.markdown(parts.plain(incident.outcome or incident.diagnosis["sentence"]))
    first, second, third, fourth = st.columns(4)
    agency = get_limits(context.home, incident.project).agent
    high, medium = agency.agent_high, agency.agent_medium
    band = "high" if incident.severity >= high else "medium" if incident.severity >= medium else "low"
    first.metric("Severity", f"{incident.severity:.2f}, {band}", help=f"From 0 to 1: from {medium:g} medium, from {high:g} high")
    found = incidents.list_alerts(context.home, incident.id)
    second.metric("Alerts", len(found))
    helps = {True: "helps", False: "does not help"}.get(incident.diagnosis["retraining_helps"], "not concerned")
    third.metric("Retraining", helps)
    fourth.metric("Open since", parts.short_time(incident.opened_at), help=parts.plain(parts.utc_time(incident.opened_at)))
    for request in agent_requests.list_requests(context.home, incident_id=incident.id, states=("pending",), now=context.now):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"{parts.find_status('waiting').markdown} {parts.plain(request.title)} waits for a person.", width="content")
            mine = not agent_requests.why_not_decide(request, context.account)
            parts.show_link("approvals", "Decide" if mine else "Look at it", project=incident.project, agent=str(request.id))
    _show_columns(incident)
    st.markdown("**Timeline**")
    # What the agent does at once stands under one time, so that a story of hours is read at a glance.
    for minute, events in groupby(incidents.list_events(context.home, incident.id), key=lambda e: e.at[:16]):
        with st.container(gap="xsmall"):
            st.markdown(f":gray[{parts.plain(parts.local_time(f'{minute}:00.000Z'))}]", help=parts.plain(parts.utc_time(f"{minute}:00.000Z")))
            for is_routine, some in groupby(events, key=_is_routine):
                _show_events(list(some), folded=is_routine)
    st.caption(f"Started from {incident.cause}; correlation {incident.correlation_id}.")
    with st.container(horizontal=True):
        for alert in sorted(found, key=lambda a: (not a.open, -a.id))[:LINKED]:
            over = "" if alert.open else ", resolved"
            parts.show_link("monitoring", parts.plain(f"Alert {alert.id}: {alert.title}{over}"), project=incident.project, alert=str(alert.id))
    with st.container(horizontal=True):
        if context.account.may("view_audit"):
            parts.show_link("audit", "The same in the audit", project=incident.project, correlation=incident.correlation_id)
        parts.show_link("monitoring", "Alerts on Monitoring", project=incident.project)
        if context.account.may("analyse_drift"):
            parts.show_link("drift", "Charts on Drift", project=incident.project)


def _show_columns(incident: Incident) -> None:
    columns = incident.diagnosis["columns"]
    if not columns:
        return
    st.markdown("**Columns that cannot be right**")
    words = {"empty": "missing", "stuck": "always the same", "impossible": "outside its plausible range"}
    rows = [
        {
            "Column": c["name"], "What": f"{words[c['what']]}{' and impossible' if c['impossible'] and c['what'] == 'stuck' else ''}",
            "Value": c["value"], "Share of rows": c["share"], "In training": c["usual"], "Rows looked at": c["rows"],
            "Since (UTC)": c["since"].replace("T", " "),
        }
        for c in columns
    ]  # fmt: skip
    share = st.column_config.NumberColumn(format="percent")
    st.dataframe(rows, hide_index=True, key="broken-columns", column_config={"Share of rows": share, "In training": share})


def _is_routine(event: Event) -> bool:
    """A safe action that was done: what it found stands in the diagnosis, how it went interests few."""
    return event.kind == "action" and event.status == "done" and event.action in ACTIONS and ACTIONS[event.action].tier == "safe"


def _show_events(events: list[Event], *, folded: bool) -> None:
    """One after the other; routine that follows on itself is one line that opens."""
    if not folded or len(events) < 2:
        for event in events:
            _show_event(event)
        return
    titles = ", ".join(ACTIONS[e.action].title.lower() for e in events)
    with st.expander(f"✓ {len(events)} safe actions done: {titles}", icon=ICONS["action"]):
        for event in events:
            _show_event(event)


def _show_event(event: Event) -> None:
    what = ACTIONS[event.action].title if event.action in ACTIONS else event.kind.capitalize()
    status = _say_status(event) if event.status else ""
    by = f", approved by {event.approver}" if event.approver and event.kind == "action" else ""
    icon = ICONS.get(event.kind, ":material/circle:")
    told = f" :gray[{parts.plain(status + by)}]" if status + by else ""
    st.markdown(f"{icon} **{parts.plain(what)}**{told}  \n{parts.plain(event.sentence)}")


def _say_status(event: Event) -> str:
    """A status in words; an alert's and a decision's is how bad it is, a diagnosis' the sort of issue."""
    if event.kind == "alert":
        return parts.find_status(event.status).word
    if event.kind == "decision":
        return f"{event.status} severity"
    return MARKS.get(event.status, event.status.replace("_", " "))


def _show_activity(context: PageContext, project: str) -> None:
    """Timestamp, Action, Status, Approver: what was done, asked for or advised."""
    st.header("Activity", anchor=False)
    first, second, third = st.columns(3)
    action = first.selectbox(
        "Action", list(ACTIONS), index=None, format_func=lambda a: ACTIONS[a].title, placeholder="Every action", key="activity-action"
    )
    status = second.selectbox(
        "Status", list(MARKS), index=None, format_func=MARKS.__getitem__, placeholder="Every status", key="activity-status"
    )
    period = third.selectbox("Period", list(PERIODS), index=1, key="activity-period")
    span = PERIODS[period]
    found = incidents.list_activity(
        context.home, project=project, action=action, status=status, since=context.now - span if span else None, limit=ROWS
    )
    if not found and not incidents.list_activity(context.home, project=project, limit=1):
        parts.show_empty(
            "The agent has had nothing to do in this project.", "It looks every minute, and acts when an alert opens.", icon=":material/history:"
        )
        return
    if not found:
        parts.show_empty("The agent did nothing that fits.", "Choose a longer period, or another action or status.", icon=":material/history:")
        return
    rows = [
        {
            "Timestamp": parts.short_time(e.at), "Action": ACTIONS[e.action].title, "Status": MARKS.get(e.status, e.status),
            "Approver": e.approver or ("needs nobody" if e.kind == "action" and ACTIONS[e.action].tier == "safe" else ""),
            "What": e.sentence, "Incident": e.incident_id,
        }
        for e in found
    ]  # fmt: skip
    st.dataframe(
        rows, hide_index=True, key="activity", height=min(38 + 35 * len(rows), 420),
        column_config={"Timestamp": parts.time_column(), "What": st.column_config.TextColumn(width="large")},
    )  # fmt: skip
    if len(found) == ROWS:
        st.caption(f"The newest {ROWS}; choose a shorter period for others.")


def _say_plan(rule: policy.Rule, band: str) -> str:
    said = ", ".join(ACTIONS[a].title for a in rule.plans[band])
    return f"{said} (this project's own)" if band in rule.own else said


def _show_policy(context: PageContext, project: str) -> None:
    with st.expander("The policy: what the agent does about what", icon=":material/rule:"):
        limits = get_limits(context.home, project)
        st.markdown(
            f"Severity from {limits.agent.agent_medium:g} is medium, from {limits.agent.agent_high:g} high. Safe actions run by themselves; "
            f"risky ones need an approval at every severity; advice is for people only. A project's own limits and plans are changed on "
            f"Settings, Thresholds, by a request that {' or '.join(who_may('approve_settings'))} approves."
        )
        rows = [
            {
                "Issue": r.issue.replace("_", " "), "Cause": "any other" if r.cause == policy.ANY else CAUSES[r.cause],
                **{band.capitalize(): _say_plan(r, band) for band in policy.BANDS},
                "Advice": ", ".join(ACTIONS[a].title for a in r.advise), "Why": r.why,
            }
            for r in policy.read_for(limits)
        ]  # fmt: skip
        st.dataframe(rows, hide_index=True, key="policy")
        parts.show_link("settings", "Settings", project=project)
