"""Requests to change gates and thresholds, as cards on the Approvals page."""

from __future__ import annotations

import streamlit as st

from core import deployment, measured
from core.adapters.databases import PREDICTION_TABLE
from core.agent.plans import PLAN, list_actions
from core.datasets import connect
from core.projects import limits, projects, proposals
from core.projects.definition import Definition
from core.projects.limits import ESTIMATOR, get_setting
from core.projects.proposals import SettingRequest
from core.scoring import source as scoring
from pages import act, approvals_consequences, parts
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

_NOW = "the new value holds at once, for this project alone; what is live goes on answering."
_AFTERWARDS = {
    "gates": _NOW, "thresholds": _NOW, "watching": _NOW, "agent": _NOW,
    "sharing": "from the next scoring of the source on, predictions are written there.",
    "plans": "incidents that are found from then on are dealt with so.",
    "estimators": "the class may be chosen as a candidate from the next training on; nothing goes live by that.",
}  # fmt: skip


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
        st.header(
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
            st.markdown(parts.plain(_MEANING[group] + _say_fact(context, request, group)))
        if request.state == "pending":
            _show_measured(context, request, definition)
            yes, no = _say_consequences(request)
            approvals_consequences.show(yes, no, "it expires, and everything stays as it is.", expires_at=request.expires_at)
        if request.decided_by and request.decided_at:
            verb = "approved" if request.state == "approved" else "rejected"
            parts.show_decision(f"**{parts.plain(request.decided_by)}** {verb} it", request.decided_at, request.decision_reason)
        _show_decide(context, request)


def _show_measured(context: PageContext, request: SettingRequest, definition: Definition) -> None:
    """What the limits were last measured against, so that nobody decides on a number alone."""
    said = measured.say_measured(context.home, request.project, request.changes, now=context.now)
    if said:
        st.markdown(":gray[Measured last]")
        st.markdown("\n".join(f"- **{parts.plain(limits.title_of(name, definition))}**: {parts.plain(text)}" for name, text in said.items()))


def _say_consequences(request: SettingRequest) -> tuple[str, str]:
    """What an approval does, and what a rejection does."""
    told = f"everything stays as it is, and {request.requested_by} is told with your reason."
    said = {get_setting(name).group: _AFTERWARDS[get_setting(name).group] for name in request.changes}
    if request.changes.get("write_back", {}).get("to") == 0:
        said["sharing"] = "nothing more is written back; what was written stays there."
    if any(name.startswith(ESTIMATOR) and change["to"] is None for name, change in request.changes.items()):
        said["estimators"] = "the class is no longer a candidate, and no version of it newly goes live."
    return " ".join(f"{text[0].upper()}{text[1:]}" if n else text for n, text in enumerate(dict.fromkeys(said.values()))), told


def _say_fact(context: PageContext, request: SettingRequest, group: str) -> str:
    if group == "estimators":
        return _say_packages(request)
    if group == "plans":
        return _say_actions(request)
    return _say_place(context, request) if group == "sharing" and request.state == "pending" else ""


def _say_place(context: PageContext, request: SettingRequest) -> str:
    """Where predictions would be written to, how many rows at a time, and by which version."""
    write = (connect.find_mapping(context.home, request.project) or {}).get("write")
    if not write:
        return " The project names no table to write to yet; until it does, nothing is written."
    table, live = write.get("table", PREDICTION_TABLE), deployment.find_live(context.home, request.project)
    last = next(iter(scoring.list_scorings(context.home, request.project, limit=1)), None)
    rows = "Nothing was scored from the project's source yet, so how many rows it would be is not known."
    if last is not None:
        rows = f"The last one, of {parts.local_time(last.at)}, gave {last.rows:,} predictions of version {last.version}."
    by = f"version {live.version} is live now" if live else "none is live now"
    return (
        f" They go to table {table} of the database that this installation calls {write['connection']}: for each prediction one row with "
        f"its level, score, confidence, reason in words and model version. Each scoring of the project's source adds its rows. {rows} "
        f"The version that is live then answers; {by}."
    )


def _say_actions(request: SettingRequest) -> str:
    """What falls away from a plan and what is new in it: two lists of actions are hard to compare by eye."""
    said = ""
    for name, change in request.changes.items():
        if name.startswith(PLAN):
            before, after = (list_actions(name, change[side]) for side in ("from", "to"))
            gone, new = ([a for a in one if a not in other] for one, other in ((before, after), (after, before)))
            said += f" No longer in it: {'; '.join(gone) or 'nothing'}. New in it: {'; '.join(new) or 'nothing'}."
    return said


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
