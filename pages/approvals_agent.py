"""What the agent asks for, as cards on the Approvals page: why, how risky, what is expected, what happens if nobody answers."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.agent import agent_requests
from core.agent.actions import ACTIONS
from core.agent.agent_requests import AgentRequest
from core.agent.diagnosis import CAUSES
from core.measured import call_measured
from core.projects import projects
from pages import act, approvals_consequences, parts
from pages.session import PageContext

LOOKS = {"pending": "waiting", "approved": "approved", "used": "done", "rejected": "refused"}
_CITED = 5


def list_here(context: PageContext) -> list[AgentRequest]:
    """Every request of projects that are not archived, newest first."""
    here = {p.name for p in projects.list_projects(context.home)}
    return [r for r in agent_requests.list_requests(context.home, now=context.now) if r.project in here]


def show_one(context: PageContext, wanted: str) -> None:
    """The request that the link names, whatever its state."""
    parts.show_linked_request(
        "agent", wanted, lambda number: show_card(context, agent_requests.get_request(context.home, number, now=context.now))
    )


def show_card(context: PageContext, request: AgentRequest) -> None:
    """One request with its evidence and, for whoever may, the decision."""
    project = projects.get_project(context.home, request.project)
    with st.container(border=True, key=f"agent-request-{request.id}"):
        look = parts.find_status(LOOKS.get(request.state, request.state))
        st.header(
            f"{parts.plain(project.title)}: {parts.plain(request.title[0].lower() + request.title[1:])}  "
            f":{look.colour}-badge[{look.icon} Agent's request {request.id}, {request.state}]",
            anchor=False,
        )
        parts.show_asked("The **agent**", request.requested_at, request.reason)
        for question, answer in _list_answers(request):
            st.markdown(f":gray[{parts.plain(question)}]  \n{parts.plain(answer)}")
        with st.expander("Evidence: what was measured", icon=":material/search:"):
            _show_evidence(context, request)
        if request.decided_by and request.decided_at:
            verb = "rejected" if request.state == "rejected" else "approved"
            parts.show_decision(f"**{parts.plain(request.decided_by)}** {verb} it", request.decided_at, request.decision_reason)
        if request.outcome:
            st.markdown(f"What came of it: {parts.plain(request.outcome)}")
        if request.state == "pending":
            approvals_consequences.show(
                "the agent does it at once, this one time.",
                "nothing is done; the incident is escalated, which means that people look after it.",
                request.if_nobody, expires_at=request.expires_at,
            )  # fmt: skip
        _show_decide(context, request)


def _list_answers(request: AgentRequest) -> list[tuple[str, str]]:
    action = ACTIONS[request.action]
    answers = [
        ("What is done", action.says),
        ("How risky is it?", f"{request.risk.capitalize()} risk."),
        ("What is expected of it?", request.impact),
    ]
    return answers


def _show_evidence(context: PageContext, request: AgentRequest) -> None:
    evidence = request.evidence
    issue = parts.plain(str(evidence.get("issue", "")).replace("_", " "))
    cause = str(evidence.get("cause", ""))
    said = parts.plain(CAUSES.get(cause, cause.replace("_", " ")))
    st.markdown(f"Severity **{float(evidence.get('severity') or 0.0):.2f}** of 1, issue **{issue}**, cause **{said[:1].lower()}{said[1:]}**.")
    measured = (evidence.get("measured") or {}).items()
    numbers = [{"Measured": call_measured(k), "Value": round(v, 3)} for k, v in measured if isinstance(v, (int, float))]
    if numbers:
        st.dataframe(numbers, hide_index=True, key=f"agent-measured-{request.id}")
    columns: list[dict[str, Any]] = evidence.get("columns") or []
    if columns:
        shown = [
            {
                "Column": c["name"], "What": c["what"], "Share of rows": c["share"], "In training": c["usual"],
                "Since (UTC)": c["since"].replace("T", " "),
            }
            for c in columns
        ]  # fmt: skip
        share = st.column_config.NumberColumn(format="percent")
        st.dataframe(shown, hide_index=True, key=f"agent-columns-{request.id}", column_config={"Share of rows": share, "In training": share})
    for cited in (evidence.get("evidence") or [])[:_CITED]:
        st.markdown(f"Alert {int(cited['id'])}: {parts.plain(cited['sentence'])}")
    with st.container(horizontal=True):
        parts.show_link("agent", f"Incident {request.incident_id}", project=request.project, incident=str(request.incident_id))
        if context.account.may("analyse_drift"):
            parts.show_link("drift", "Charts on Drift", project=request.project)
        parts.show_link("monitoring", "Charts on Monitoring", project=request.project)


def _show_decide(context: PageContext, request: AgentRequest) -> None:
    why_not = agent_requests.why_not_decide(request, context.account)
    if why_not:
        if request.state == "pending":
            st.caption(f":material/lock: {parts.plain(why_not)}")
        return
    name = f"agent-decide-{request.id}"
    with st.form(name, border=True):
        reason = st.text_area(
            "Reason", key=f"{name}-reason", height=80, max_chars=2000, placeholder="One sentence; it stays with the incident and in the audit."
        )
        with st.container(horizontal=True):
            approve = st.form_submit_button("Approve", type="primary", icon=":material/check:")
            reject = st.form_submit_button("Reject", icon=":material/close:")
    if approve:
        act.perform(
            f"{name}-approve",
            lambda key: agent_requests.approve(context.home, context.actor, request.id, reason=reason, key=key, now=context.now),
            _say_decided,
        )
    elif reject:
        act.perform(
            f"{name}-reject",
            lambda key: agent_requests.reject(context.home, context.actor, request.id, reason=reason, key=key, now=context.now),
            _say_decided,
        )


def _say_decided(done: dict[str, Any]) -> str:
    after = parts.plain(done["outcome"]) if done["state"] == "approved" else "Nothing is done, and the incident is escalated."
    return f"Agent's request {done['id']}: **pending** before, **{done['state']}** now. {after}"


