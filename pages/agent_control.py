"""The agent's switches on its page: how it is set, pause and resume, dry run, and its hourly limit."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.agent import control
from core.agent.control import Control
from core.roles import who_may
from pages import act, parts
from pages.session import PageContext


def show(context: PageContext) -> None:
    """One line that says how the agent is set, and the switches for whoever may use them."""
    now = control.read_control(context.home)
    look = parts.find_status("refused" if now.paused else "warning" if now.dry_run else "ok")
    word = "Paused" if now.paused else "Dry run" if now.dry_run else "At work"
    said, buttons = st.columns([4, 2], vertical_alignment="center")
    said.markdown(f":{look.colour}[{look.icon} {word}] {parts.plain(now.sentence)}")
    if not context.account.may("pause_agent"):
        said.caption(f"It is paused and set by {' or '.join(who_may('pause_agent'))}.")
        return
    with buttons.container(horizontal=True, horizontal_alignment="right", gap="small"):
        with st.popover("Resume" if now.paused else "Pause", icon=":material/play_arrow:" if now.paused else ":material/pause:"):
            _show_pause(context, now)
        with st.popover("Dry run, limit", icon=":material/tune:"):
            _show_set(context, now)


def _show_pause(context: PageContext, now: Control) -> None:
    label = "Resume the agent" if now.paused else "Pause the agent"
    goes_on, stops = "The agent looks at what came in meanwhile and goes on.", "It sees and does nothing until resumed; requests still expire."
    will = goes_on if now.paused else stops
    reason = parts.confirm(label, will, key=f"agent-{'resume' if now.paused else 'pause'}-{now.at}")
    if reason is not None:
        do = control.resume if now.paused else control.pause
        act.perform(f"agent-pause-{now.at}", lambda key: do(context.home, context.actor, reason=reason, key=key, now=context.now), _say)


def _show_set(context: PageContext, now: Control) -> None:
    switch = "off" if now.dry_run else "on"
    will = "It decides and shows everything, and does nothing." if switch == "on" else "What was only shown is decided and done from now on."
    reason = parts.confirm(f"Switch the dry run {switch}", will, key=f"agent-dry-{now.at}")
    if reason is not None:
        act.perform(
            f"agent-dry-{now.at}",
            lambda key: control.set_dry_run(context.home, context.actor, switch == "on", reason=reason, key=key, now=context.now), _say,
        )  # fmt: skip
    with st.form(f"agent-limit-{now.at}", border=True):
        limit = st.number_input("Actions an hour", control.LEAST_AN_HOUR, control.MOST_AN_HOUR, now.per_hour, key=f"agent-limit-n-{now.at}")
        why = st.text_area("Reason", height=80, max_chars=2000, key=f"agent-limit-reason-{now.at}")
        sent = st.form_submit_button("Set the limit", type="primary")
    if sent:
        act.perform(
            f"agent-limit-{now.at}",
            lambda key: control.set_hourly_limit(context.home, context.actor, int(limit), reason=why, key=key, now=context.now), _say,
        )  # fmt: skip


def _say(done: dict[str, Any]) -> str:
    return parts.plain(Control(**done).sentence)
