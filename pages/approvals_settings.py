"""Requests to change gates and thresholds, as cards on the Approvals page."""

from __future__ import annotations

import streamlit as st

from core import deployment
from core.adapters.databases import PREDICTION_TABLE
from core.datasets import connect
from core.projects import limits, projects, proposals
from core.projects.definition import Definition
from core.projects.limits import ESTIMATOR, get_setting
from core.projects.proposals import SettingRequest
from pages import act, parts
from pages.session import PageContext

_LOOKS = {"pending": "waiting", "approved": "approved", "rejected": "refused"}
_MEANING = {
    "gates": "Gates decide which versions may be registered or released from now on; what is live, and what was asked for, stays.",
    "thresholds": "Thresholds decide when somebody hears of drift, of too few right answers, or that a retraining is due.",
    "watching": "Limits of watching decide when an alert is opened; too low they cry wolf, too high they come late.",
    "sharing": "Predictions that are written back stand in another system from then on, and are read there; its other tables are not touched.",
    "agent": "The agent's policy decides what it does by itself and what it asks for; nothing risky runs without an approved request.",
    "plans": "A plan decides which actions the agent takes up in such an incident. Whatever it names, a risky action is asked for each "
    "time and needs an approval of its own.",
    "estimators": "An allowed class is code of an installed package: from then on training, checking and serving run it with all rights "
    "of Greenlight itself, on the project's data. Where it is no longer allowed, no training uses it and no version of it newly goes "
    "live; one that is live goes on.",
}


def list_here(context: PageContext) -> list[SettingRequest]:
    """Every request of projects that are not archived, newest first."""
    here = {p.name for p in projects.list_projects(context.home)}
    return [r for r in proposals.list_requests(context.home, now=context.now) if r.project in here]


def show_one(context: PageContext, wanted: str) -> None:
    """The request that the link names, whatever its state."""
    parts.show_linked_request(
        "settings", wanted, lambda number: show_card(context, proposals.get_request(context.home, number, now=context.now))
    )


def show_card(context: PageContext, request: SettingRequest) -> None:
    """What changes from what to what, why, what it means, and what happens if nobody answers."""
    project = projects.get_project(context.home, request.project)
    definition = projects.get_definition(context.home, request.project)
    with st.container(border=True, key=f"settings-request-{request.id}"):
        look = parts.find_status(_LOOKS.get(request.state, request.state))
        st.subheader(
            f"{parts.plain(project.title)}: change of {_what(request)}  :{look.colour}-badge[{look.icon} "
            f"Settings request {request.id}, {request.state}]",
            anchor=False,
        )  # fmt: skip
        parts.show_asked(f"**{parts.plain(request.requested_by)}**", request.requested_at, request.reason)
        rows = [
            {
                "What": limits.title_of(name, definition),
                "Before": limits.say_value(name, change["from"]),
                "After": limits.say_value(name, change["to"]),
            }
            for name, change in request.changes.items()
        ]
        # A table that wraps: on a telephone, and with a whole plan in it, nothing of what is decided on may be out of sight.
        st.table([{name: parts.plain(text) for name, text in row.items()} for row in rows], hide_index=True)
        for group in sorted({get_setting(name).group for name in request.changes}):
            st.markdown(parts.plain(_MEANING[group] + _say_fact(context, definition, request, group)))
        if request.state == "pending":
            until = parts.plain(parts.local_time(request.expires_at))
            st.caption(
                f"If nobody decides until {until}, it expires and nothing changes.",
                help=f"Until {parts.plain(parts.utc_time(request.expires_at))}",
            )
        if request.decided_by and request.decided_at:
            verb = "approved" if request.state == "approved" else "rejected"
            parts.show_decision(f"**{parts.plain(request.decided_by)}** {verb} it", request.decided_at, request.decision_reason)
        _show_decide(context, request)


def _say_fact(context: PageContext, definition: Definition, request: SettingRequest, group: str) -> str:
    if group == "gates":
        return _say_live(context, definition)
    if group == "estimators":
        return _say_packages(request)
    return _say_place(context, definition) if group == "sharing" else ""


def _say_place(context: PageContext, definition: Definition) -> str:
    """Where predictions would be written to, as the project's join to a database has it."""
    write = (connect.find_mapping(context.home, definition.name) or {}).get("write")
    if not write:
        return " The project names no table to write to yet; until it does, nothing is written."
    return f" They go to table {write.get('table', PREDICTION_TABLE)} of the database that this installation calls {write['connection']}."


def _say_live(context: PageContext, definition: Definition) -> str:
    """Where the live version stands, so that a gate can be pictured; empty where nothing is live."""
    live = deployment.find_live(context.home, definition.name)
    mean = (live.summary.get("cv", {}).get(definition.metric) or {}).get("mean") if live else None
    return f" The live version {live.version} reached {mean:.3f} in cross-validation." if live and mean is not None else ""


def _say_packages(request: SettingRequest) -> str:
    """Which installed packages the classes come from, read from their metadata: nothing of them is imported."""
    from core.training.imported import find_distributions

    found = {name[len(ESTIMATOR) :]: find_distributions(name[len(ESTIMATOR) :]) for name in request.changes if name.startswith(ESTIMATOR)}
    return "".join(f" {path} comes from {' and '.join(of) if of else 'a package that is not installed here'}." for path, of in found.items())


def _what(request: SettingRequest) -> str:
    groups = {
        "gates": "gates", "thresholds": "thresholds", "watching": "thresholds", "agent": "the agent's policy", "sharing": "what is shared",
        "estimators": "allowed classes", "plans": "the agent's policy",
    }  # fmt: skip
    return " and ".join(sorted({groups[get_setting(name).group] for name in request.changes}))


def _show_decide(context: PageContext, request: SettingRequest) -> None:
    why_not = proposals.why_not_decide(request, context.account)
    if why_not:
        if request.state == "pending":
            st.caption(f":material/lock: {parts.plain(why_not)}")
            if request.requested_by == context.account.name and st.button("Withdraw", key=f"settings-withdraw-{request.id}"):
                act.perform(
                    f"settings-withdraw-{request.id}",
                    lambda key: proposals.withdraw(context.home, context.actor, request.id, key=key, now=context.now),
                    lambda done: f"Settings request {done['id']}: **pending** before, **withdrawn** now.",
                )
        return
    name = f"settings-decide-{request.id}"
    with st.form(name, border=True):
        reason = st.text_area(
            "Reason", key=f"{name}-reason", height=80, max_chars=2000, placeholder="One sentence; it stays in the audit."
        )
        with st.container(horizontal=True):
            approve = st.form_submit_button("Approve", type="primary", icon=":material/check:")
            reject = st.form_submit_button("Reject", icon=":material/close:")
    if approve or reject:
        decision = "approved" if approve else "rejected"
        after = "The new values hold from now on." if approve else "Everything stays as it was."
        act.perform(
            f"{name}-{decision}",
            lambda key: proposals.decide(context.home, context.actor, request.id, decision, reason=reason, key=key, now=context.now),
            lambda done: f"Settings request {done['id']}: **pending** before, **{done['state']}** now. {after}",
        )
