"""Settings: the channels by which people hear of things, and what became of each message."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core import roles
from core.notify import channels, outbox
from core.notify.channels import Channel
from core.notify.connections import read_connections
from core.notify.events import CHANNELS, EVENTS, MAIL
from core.notify.outbox import Delivery
from pages import parts
from pages.session import PageContext
from pages.settings_forms import Secret, note, request_key, turn

STATES = {
    "queued": "◷ Waiting", "sending": "◷ Being sent", "sent": "● Sent", "failed": "✕ Failed", "skipped": "– Skipped",
}  # fmt: skip
SHOWN = 200


def show(context: PageContext) -> None:
    """Each channel with a test, who hears of what, and the log of deliveries; for others, who may."""
    if not context.account.may("manage_channels"):
        parts.show_whom_to_ask(context.home, context.account, "Looking after channels", "manage_channels")
        return
    found = channels.list_channels(context.home, read_connections())
    counts = outbox.count_states(context.home, now=context.now)
    for column, channel in zip(st.columns(len(found), gap="medium"), found, strict=True):
        with column, st.container(border=True, height="stretch"):
            _show_channel(context, channel, counts.get(channel.name, {}))
    st.caption(
        "Where a channel leads stands in the environment, beside its password (see .env.example); here it is tried, switched, and "
        "told whom to write to. Who is mailed needs an address: people set theirs under My account, administrators under Accounts."
    )
    st.header("Deliveries", anchor=False)
    _show_deliveries(context)
    st.header("Who hears of what", anchor=False)
    _show_wants(found)
    _show_choose(context, found)


def _show_channel(context: PageContext, channel: Channel, counts: dict[str, int]) -> None:
    st.markdown(f"**{channel.title}**")
    if channel.problem:
        st.markdown(f":gray[:material/radio_button_unchecked: {parts.plain(channel.problem)}]")
    elif not channel.active:
        st.markdown(f":orange[:material/pause_circle: Switched off] by {parts.plain(channel.changed_by)}")
    elif (stuck := _find_stuck(context, channel)) is not None:
        where = parts.plain(channel.where)
        st.markdown(f"{parts.find_status('warning').icon} **Not getting through** to {where}: {parts.plain(stuck.error)}")
        st.caption("What waits is tried again by itself.")
    else:
        st.markdown(f":green[:material/check_circle: Ready], to {parts.plain(channel.where)}")
    told = ", ".join(f"{counts[s]} {words}" for s, words in _COUNTED.items() if counts.get(s))
    st.caption(f"Last 30 days: {told or 'no message'}.")
    if st.button("Send a test", key=turn(f"test-{channel.name}"), icon=":material/send:"):
        with parts.guarded():
            _try(context, channel)
    if channel.name != MAIL and channel.name == "webhook" and st.button("Show its secret", key=turn("secret-webhook")):
        with parts.guarded():
            secret = channels.show_secret(context.home, context.actor, now=context.now)
            words = "What the receiver checks X-Greenlight-Signature with, over time, full stop and body:"
            note("The secret of the webhook is shown below; that it was is audited.", secret=Secret(secret, words))
    with st.expander("Switch off" if channel.active else "Switch on"):
        verb = "off" if channel.active else "on"
        will = {
            "off": f"No further message is made for {channel.title}; those that wait already still go out.",
            "on": f"Messages of what happens from now on go out by {channel.title}.",
        }[verb]
        reason = parts.confirm(f"Switch {verb}", will, key=turn(f"switch-{channel.name}"))
        if reason is not None:
            with parts.guarded():
                channels.switch_channel(
                    context.home, context.actor, channel.name, not channel.active, reason=reason,
                    key=request_key("channel-switch", channel.name, verb), now=context.now,
                )  # fmt: skip
                note(f"{channel.title}: {'on' if channel.active else 'off'} before, {verb} now.")


def _find_stuck(context: PageContext, channel: Channel) -> Delivery | None:
    """A message whose last try failed and none of this channel was sent since: what is configured need not work."""
    waits = outbox.list_deliveries(context.home, channel=channel.name, states=("queued", "failed"), limit=SHOWN)
    failed = next((d for d in waits if d.error and d.attempts), None)
    sent = outbox.list_deliveries(context.home, channel=channel.name, states=("sent",), limit=SHOWN)
    since = max((d.sent_at or "" for d in sent), default="")
    return failed if failed is not None and failed.created_at > since else None


_COUNTED = {"sent": "sent", "queued": "waiting", "failed": "failed", "skipped": "skipped"}


def _try(context: PageContext, channel: Channel) -> None:
    done = outbox.try_channel(
        context.home, context.actor, channel.name, connections=read_connections(), key=request_key("channel-test", channel.name),
        now=context.now,
    )  # fmt: skip
    to = f" to {done.recipient}" if done.recipient else ""
    if done.state == "sent":
        note(f"The test was sent by {channel.title}{to}; look whether it arrived.")
    note(f"The test by {channel.title} {'failed' if done.state == 'failed' else f'was {done.state}'}: {done.error}", look="error")


def _show_wants(found: list[Channel]) -> None:
    rows = [
        {
            "Event": EVENTS[event].title,
            **{c.title: _say_wanted(c, event) for c in found},
        }
        for event in EVENTS
    ]
    st.dataframe(rows, hide_index=True, key="channel-wants", height=38 + 35 * len(rows))


def _say_wanted(channel: Channel, event: str) -> str:
    wanted = channel.wants[event]
    if channel.name != MAIL:
        return "yes" if wanted else "–"
    return ", ".join(roles.ROLE_TITLES[r] for r in roles.PERSON_ROLES if r in wanted) or "–"


def _show_choose(context: PageContext, found: list[Channel]) -> None:
    by_name = {c.name: c for c in found}
    with st.expander("Change who hears of an event"):
        event = st.selectbox("Event", list(EVENTS), format_func=lambda e: EVENTS[e].title, key="choose-event")
        name = st.selectbox("By", CHANNELS, format_func=lambda n: by_name[n].title, key="choose-channel")
        wanted = by_name[name].wants[event]
        with st.form(turn(f"choose-{event}-{name}"), border=True):
            chosen: list[str] | bool
            if name == MAIL:
                chosen = st.multiselect(
                    "Roles", roles.PERSON_ROLES, [r for r in roles.PERSON_ROLES if r in wanted],
                    format_func=lambda r: roles.ROLE_TITLES[r], key=turn(f"choose-roles-{event}"),
                )  # fmt: skip
                if event in ("request_decided", "request_expired"):
                    st.caption("Whoever asked is told in any case.")
            else:
                chosen = st.checkbox("Tell it", bool(wanted), key=turn(f"choose-{name}-{event}"))
            sent = st.form_submit_button("Save", type="primary")
        if sent:
            with parts.guarded():
                done = channels.choose(
                    context.home, context.actor, name, event, chosen, key=request_key("channel-choose", name, event, chosen),
                    now=context.now,
                )  # fmt: skip
                titles = [roles.ROLE_TITLES.get(r, "yes") for r in done["wanted"]]
                note(f"{EVENTS[event].title}, by {by_name[name].title}: {', '.join(titles) or 'nobody'} now.")


def _show_deliveries(context: PageContext) -> None:
    state = st.segmented_control(
        "Deliveries", list(STATES), format_func=lambda s: STATES[s], key="delivery-state", label_visibility="collapsed"
    )
    found = outbox.list_deliveries(context.home, states=(state,) if state else (), limit=SHOWN)
    if not found:
        what = f"No message is {STATES[state][2:].lower()}." if state else "No message was made yet."
        st.markdown(f":gray[:material/info: {what}]")
        return
    rows = [
        {
            "State": STATES[d.state],
            "Message": d.title,
            "To": d.recipient or "–",
            "By": channels.TITLES[d.channel],
            "Why not": d.error or "–",
            "About": d.subject,
            "Made": parts.short_time(d.created_at),
            "Next try": parts.short_time(d.next_at) if d.next_at else "–",
            "Tries": d.attempts,
            "Project": d.project or "–",
            "Id": d.id,
        }
        for d in found
    ]
    config: dict[str, Any] = {name: st.column_config.TextColumn(width="medium") for name in ("Message", "About", "Why not")}
    config |= {name: parts.time_column() for name in ("Made", "Next try")}
    st.dataframe(rows, hide_index=True, key="deliveries", column_config=config, height=min(38 + 35 * len(rows), 388))
    if len(found) == SHOWN:
        st.caption(f"The newest {SHOWN} are shown; all of them: python -m core notify list --limit 1000")
    _show_redeliver(context, [d for d in found if d.state in ("failed", "skipped")])


def _show_redeliver(context: PageContext, ended: list[Delivery]) -> None:
    if not ended:
        return
    by_id = {d.id: d for d in ended}
    chosen = st.selectbox(
        "Send again", list(by_id), key=turn("redeliver-id"),
        format_func=lambda i: f"{i}: {by_id[i].title}, {by_id[i].subject}, by {channels.TITLES[by_id[i].channel]} {by_id[i].recipient}".strip(),
    )  # fmt: skip
    if st.button("Send again", icon=":material/replay:", key=turn(f"redeliver-{chosen}")):
        with parts.guarded():
            done = outbox.redeliver(context.home, context.actor, chosen, key=request_key("redeliver", chosen), now=context.now)
            note(f"Delivery {chosen}: {done['before']} before, waiting now; it is sent within a minute.")
