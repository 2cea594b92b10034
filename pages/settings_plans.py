"""A form that asks for another plan of the agent's policy: one rule, one severity, the actions in their order."""

from __future__ import annotations

import streamlit as st

from core.agent import policy
from core.agent.actions import ACTIONS, PERSON, RISKY
from core.agent.diagnosis import CAUSES
from core.agent.plans import name_plan
from core.agent.policy import Rule
from core.projects import proposals
from core.projects.limits import get_limits, say_value, value_of
from pages import parts
from pages.session import PageContext
from pages.settings_forms import note, request_key, turn


def show_propose(context: PageContext, project: str) -> None:
    """Choose a rule and a severity, see the plan in force, and ask for another; nothing for who may not propose."""
    if not context.account.may("propose_settings"):
        return
    with st.expander("Propose another plan of the agent", icon=":material/rule:"):
        limits = get_limits(context.home, project)
        rules = policy.read_for(limits)
        number = st.selectbox(
            "Issue and cause", [r.number for r in rules], format_func=lambda n: _say_rule(rules[n - 1]), key=turn("plan-rule")
        )
        band = st.selectbox("Severity", policy.BANDS, index=2, key=turn("plan-band"))
        rule = rules[number - 1]
        name = name_plan(rule.issue, rule.cause, band)
        in_force = value_of(limits, name)
        st.caption(f"In force: {parts.plain(say_value(name, in_force))}.")
        with st.form(turn("plan"), border=False):
            possible = [a.name for a in ACTIONS.values() if a.tier != PERSON and a.name != "log"]
            chosen = st.multiselect(
                "Actions after the log, in their order", possible, default=[a for a in rule.plans[band] if a in possible],
                format_func=_say_action, key=turn(f"plan-actions-{number}-{band}"), placeholder="None: it is only logged",
            )  # fmt: skip
            shipped = st.checkbox("Back to the shipped plan", key=turn(f"plan-shipped-{number}-{band}"), disabled=in_force is None)
            reason = st.text_area(
                "Reason", height=80, max_chars=2000, key=turn("plan-reason"), placeholder="Why another plan is better; a DRH manager reads it."
            )
            sent = st.form_submit_button("Ask for approval", type="primary")
        if sent:
            wanted = None if shipped else ", ".join(["log", *chosen])
            with parts.guarded():
                done = proposals.propose(
                    context.home, context.actor, project, {name: wanted}, reason=reason, now=context.now,
                    key=request_key("plan", project, name, wanted, reason),
                )  # fmt: skip
                note(f"Settings request {done['id']} waits for a DRH manager; nothing has changed yet.")


def _say_rule(rule: Rule) -> str:
    cause = "any other cause" if rule.cause == policy.ANY else CAUSES[rule.cause]
    return f"{rule.issue.replace('_', ' ').capitalize()}: {cause[0].lower()}{cause[1:]}"


def _say_action(name: str) -> str:
    return f"{ACTIONS[name].title} (asks first)" if ACTIONS[name].tier == RISKY else ACTIONS[name].title
