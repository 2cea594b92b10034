"""Approvals: may this go live, and what if it is wrong?"""

from __future__ import annotations

import streamlit as st

from core import approvals, deployment
from core.approvals import Request
from core.projects.projects import get_definition, list_projects
from core.registry import wording
from core.scoring import log
from pages import (
    act,
    approvals_agent,
    approvals_consequences,
    approvals_list,
    approvals_settings,
    charts,
    charts_registry,
    parts,
    registry_card,
)
from pages.session import PageContext

_LOOKS = {"pending": "waiting", "approved": "approved", "used": "done", "rejected": "refused"}


def show(context: PageContext) -> None:
    """Waiting requests as cards, approved ones for DevOps, and what was decided before; of every project."""
    parts.show_title("Approvals", "May this go live, and what if it is wrong?")
    act.show_said()
    wanted = st.query_params.get("request")
    if wanted is not None:
        _show_one(context, wanted)
        return
    if "settings" in st.query_params:
        approvals_settings.show_one(context, st.query_params["settings"])
        return
    if "agent" in st.query_params:
        approvals_agent.show_one(context, st.query_params["agent"])
        return
    here = {p.name for p in list_projects(context.home)}
    requests = [r for r in approvals.list_requests(context.home, now=context.now) if r.project in here]
    approved = [r for r in requests if r.state == "approved"]
    releases = [r for r in requests if r.state != "approved"]
    every = approvals_list.gather(context, releases, approvals_agent.list_here(context), approvals_settings.list_here(context), _show_card)
    asked = [a for a in every if a.made.state == "pending"]
    over = [a for a in every if a.made.state != "pending"]
    first, second, third = st.tabs([f"Waiting ({len(asked)})", f"To deploy ({len(approved)})", f"Decided and expired ({len(over)})"])
    with first:
        if not asked:
            step = "A release is asked for in the registry, for a version in stage validation."
            parts.show_empty(
                "No request waits for a decision.", step, page="registry", label="Go to Registry", icon=":material/done_all:"
            )
        approvals_list.show_waiting(context, asked)
    with second:
        if not approved:
            parts.show_empty("No approved version waits to be deployed.", "An approval can be used for 7 days.")
        for request in approved:
            _show_approved(context, request)
    with third:
        approvals_list.show_decided(context, over)


def _show_one(context: PageContext, wanted: str) -> None:
    """The request that the link names, whatever its state."""
    parts.show_linked_request(
        "request", wanted, lambda number: _show_card(context, approvals.get_request(context.home, number, now=context.now))
    )


def _show_card(context: PageContext, request: Request) -> None:
    definition = get_definition(context.home, request.project, request.definition_sha)
    live = deployment.find_live(context.home, request.project)
    recent = sum(log.count_by_label(context.home, request.project, now=context.now).values())
    lines = wording.brief(
        request,
        definition,
        live=live.version if live else None,
        recent=recent,
        expires=parts.local_time(request.expires_at),
        lapses=parts.local_time(request.lapses_at) if request.lapses_at else "",
    )
    with st.container(border=True):
        look = parts.find_status(_LOOKS.get(request.state, request.state))
        st.header(
            f"{parts.plain(definition.title)}: release of version {parts.plain(request.version)}  "
            f":{look.colour}-badge[{look.icon} "
            f"Request {request.id}, {request.state}]",
            anchor=False,
        )
        parts.show_asked(f"**{parts.plain(request.requested_by)}**", request.requested_at, request.reason)
        words, picture = st.columns([3, 2], gap="large")
        with words:
            for line in lines:
                if line.topic == "silence" and request.state == "pending":
                    continue  # it stands beside the other two answers, above the buttons
                st.markdown(f":gray[{parts.plain(line.question)}]  \n{parts.plain(line.answer)}")
        with picture:
            _show_picture(request)
            st.markdown("**Conditions of the project**")
            registry_card.show_gates(request)
        with st.expander("Evidence: every number, known cases, and what exactly would be approved", icon=":material/search:"):
            _show_evidence(request)
        if request.decided_by:
            _show_decision(request)
        if request.state == "pending":
            approvals_consequences.show(
                "DevOps may deploy exactly this version within 7 days; what is live does not change before.",
                "the version is archived with your reason; what is live stays.",
                "it expires; nothing changes then, and it can be asked for again.", expires_at=request.expires_at,
            )  # fmt: skip
        _show_decide(context, request)


def _show_picture(request: Request) -> None:
    metrics = wording.metrics_of(request.evidence)
    if metrics.get("accuracy") is None:
        return
    rows = [(f"Version {request.version}", float(metrics["accuracy"]), wording.accuracy_interval(request.evidence))]
    live = request.evidence.get("live") or {}
    if live.get("old_accuracy") is not None:
        rows.append((f"Live {live['version']}", float(live["old_accuracy"]), None))
    base = ((request.evidence.get("baseline") or {}).get("holdout") or {}).get("accuracy")
    if base is not None:
        rows.append(("No model", float(base), None))
    words = ", ".join(f"{label} {round(100 * share)}" for label, share, _ in rows)
    charts.show_figure(
        charts_registry.right_of_100(rows), alt=f"Right answers of 100 on unseen cases: {words}.", key=f"picture-{request.id}"
    )


def _show_evidence(request: Request) -> None:
    evidence = request.evidence
    metrics, base = wording.metrics_of(evidence), (evidence.get("baseline") or {}).get("holdout") or {}
    intervals = {} if evidence.get("at_threshold") else evidence.get("intervals") or {}
    rows = [
        {
            "Metric": title,
            "This version": metrics[name],
            "from (95 %)": (intervals.get(name) or [None, None])[0],
            "to (95 %)": (intervals.get(name) or [None, None])[1],
            "No model": base.get(name),
            "Folds, mean": ((evidence.get("cv") or {}).get(name) or {}).get("mean"),
        }
        for name, title in wording.METRICS.items()
        if metrics.get(name) is not None
    ]
    number = st.column_config.NumberColumn(format="%.3f")
    numbers = {c: number for c in rows[0] if c != "Metric"} if rows else None
    st.dataframe(rows, hide_index=True, column_config=numbers, placeholder="unknown")
    if (evidence.get("live") or {}).get("sentence"):
        st.markdown(parts.plain(evidence["live"]["sentence"]))
    cases = evidence.get("known_cases") or []
    if cases:
        st.markdown(f"**Known cases**: {sum(c['passed'] for c in cases)} of {len(cases)} right.")
        wrong = [c for c in cases if not c["passed"]]
        for case in wrong:
            st.markdown(
                f":red[✗ wrong] {parts.plain(case['note'])}: {parts.plain(case['answer'])}, not {parts.plain(case['expected'])}."
            )
    threshold = f", threshold {request.threshold:g}" if request.threshold is not None else ""
    st.caption(
        f"Asked for exactly this: model file sha256 {request.artifact_sha256}{threshold}, "
        f"definition {request.definition_sha[:12]}."
    )
    parts.show_link("registry", f"Version {request.version} in the registry", project=request.project, version=request.version)


def _show_decide(context: PageContext, request: Request) -> None:
    why_not = approvals.why_not_decide(request, context.account)
    if why_not:
        if request.state == "pending":
            st.caption(f":material/lock: {parts.plain(why_not)}")
        elif request.state == "approved":
            _show_deploy_link(context, request)
        return
    name = f"decide-{request.id}"
    with st.form(name, border=True):
        despite = False
        if request.failed_gates:
            titles = ", ".join(line.title for line in wording.gate_lines(request) if line.state == "failed")
            despite = st.checkbox(f"Approve although these conditions failed: {titles}", key=f"{name}-despite")
        reason = st.text_area(
            "Reason",
            key=f"{name}-reason",
            height=80,
            max_chars=2000,
            placeholder="One sentence; it stays with the version and in the audit.",
        )
        with st.container(horizontal=True):
            approve = st.form_submit_button("Approve", type="primary", icon=":material/check:")
            reject = st.form_submit_button("Reject", icon=":material/close:")
    if approve:
        act.perform(
            f"{name}-approve",
            lambda key: approvals.approve(context.home, context.actor, request.id, reason=reason, despite_gates=despite, key=key),
            _say_decided,
        )
    elif reject:
        act.perform(
            f"{name}-reject",
            lambda key: approvals.reject(context.home, context.actor, request.id, reason=reason, key=key),
            _say_decided,
        )


def _say_decided(done: dict[str, str]) -> str:
    after = {
        "approved": "DevOps can deploy it for the next 7 days; what is live has not changed yet.",
        "rejected": "The version is archived with your reason; what is live stays.",
    }[done["state"]]
    return f"Request {done['id']}: **pending** before, **{done['state']}** now. {after}"


def _show_approved(context: PageContext, request: Request) -> None:
    definition = get_definition(context.home, request.project, request.definition_sha)
    with st.container(border=True):
        st.markdown(
            f"{parts.find_status('approved').markdown}: **{parts.plain(definition.title)}, "
            f"version {parts.plain(request.version)}**"
        )
        _show_decision(request)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            _show_deploy_link(context, request)
            parts.show_link("approvals", "Evidence", project=request.project, request=str(request.id))


def _show_decision(request: Request) -> None:
    despite = ", although conditions failed," if request.despite_gates else ""
    verb = "rejected" if request.state == "rejected" else "approved"
    said = f"**{parts.plain(request.decided_by or '')}** {verb} it{despite}"
    parts.show_decision(said, request.decided_at or request.requested_at, request.decision_reason)


def _show_deploy_link(context: PageContext, request: Request) -> None:
    until = parts.plain(parts.local_time(request.lapses_at or request.expires_at))
    if context.account.may("deploy"):
        st.markdown(f"It can be deployed until {until}.", width="content")
        parts.show_link("registry", f"Deploy {request.version} in the registry", project=request.project, version=request.version)
    else:
        st.caption(f"DevOps can deploy it until {until}.", width="content")
