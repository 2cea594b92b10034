"""The three sorts of requests on the Approvals page as one list: what waits, the most pressing first, and what was decided."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import streamlit as st

from core import approvals
from core.agent import agent_requests
from core.agent.agent_requests import AgentRequest
from core.approvals import Request
from core.projects import projects, proposals
from core.projects.limits import get_setting
from core.projects.proposals import SettingRequest
from pages import approvals_agent, approvals_settings, parts
from pages.session import PageContext

OUTCOMES = {
    "approved": "✓ Approved", "used": "✓ Approved, used", "rejected": "✕ Rejected", "expired": "– Expired", "lapsed": "– Approved, lapsed",
    "withdrawn": "– Withdrawn",
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """One request of any sort.

    Attributes
    ----------
    link : str
        The word of the address bar that opens it: request, agent or settings.
    sort, what : str
        "Release 7" and "Version 1.2.0", for people.
    may_decide : bool
        Whether it waits for the person who looks.
    show : callable
        Puts its card on the page.
    """

    link: str
    sort: str
    what: str
    made: Request | AgentRequest | SettingRequest
    may_decide: bool
    show: Callable[[], None]


def gather(
    context: PageContext, releases: Sequence[Request], agents: Sequence[AgentRequest], changes: Sequence[SettingRequest],
    show_release: Callable[[PageContext, Request], None],
) -> list[Asked]:  # fmt: skip
    """Every request as one of the list."""
    who = context.account
    return [
        *(
            Asked("request", f"Release {r.id}", f"Version {r.version}", r, not approvals.why_not_decide(r, who),
                  lambda r=r: show_release(context, r))  # type: ignore[misc]
            for r in releases
        ),
        *(
            Asked("agent", f"Agent {r.id}", r.title, r, not agent_requests.why_not_decide(r, who),
                  lambda r=r: approvals_agent.show_card(context, r))  # type: ignore[misc]
            for r in agents
        ),
        *(
            Asked("settings", f"Settings {r.id}", " ".join(r.lines), r, not proposals.why_not_decide(r, who),
                  lambda r=r: approvals_settings.show_card(context, r))  # type: ignore[misc]
            for r in changes
        ),
    ]  # fmt: skip


def show_waiting(context: PageContext, asked: Sequence[Asked]) -> None:
    """What waits for the person who looks before what waits for others, the soonest to expire first; as a list when it is much."""
    ordered = sorted(asked, key=lambda a: (not a.may_decide, a.made.expires_at))
    if len(ordered) > 1:
        _show_index(context, ordered)
    for one in ordered:
        one.show()


def _show_index(context: PageContext, ordered: list[Asked]) -> None:
    mine = sum(a.may_decide for a in ordered)
    titles = {p.name: p.title for p in projects.list_projects(context.home)}
    whose = "all of them for you" if mine == len(ordered) else f"{mine} for you" if mine else "none for you"
    st.markdown(f"{parts.find_status('waiting').icon} **{len(ordered)} requests wait, {whose}.** What nobody answers expires, and nothing changes.")
    with st.container(border=True, gap="xsmall", key="approvals-waiting"):
        for one in ordered:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                parts.show_link("approvals", one.sort, project=one.made.project, **{one.link: str(one.made.id)})
                what = one.what if one.link != "settings" or len(one.what) < 90 else _count_settings(one.made.changes)  # type: ignore[union-attr]
                until = parts.short_time(one.made.expires_at)
                st.markdown(
                    f"**{parts.plain(titles[one.made.project])}**: {parts.plain(what)} :gray[until {parts.plain(until)}]",
                    width="content", help=f"Until {parts.plain(parts.utc_time(one.made.expires_at))}",
                )  # fmt: skip


def _count_settings(changes: Collection[str]) -> str:
    """What a long request to change settings is called in one line: the only one by its title, several by their number."""
    return f"{len(changes)} settings" if len(changes) != 1 else get_setting(next(iter(changes))).title


def show_decided(context: PageContext, asked: Sequence[Asked]) -> None:
    """Those that are over, newest first, of every sort in one table; a chosen row opens its card."""
    if not asked:
        parts.show_empty("Nothing was decided yet.", "Decisions, withdrawals and expired requests are listed here.")
        return
    ordered = sorted(asked, key=lambda a: a.made.decided_at or a.made.expires_at, reverse=True)
    titles = {p.name: p.title for p in projects.list_projects(context.home)}
    rows = [
        {
            "Request": a.sort, "Outcome": _say_outcome(a), "Asked for": a.what, "Project": titles[a.made.project],
            "Reason": a.made.decision_reason or "", "Decided by": a.made.decided_by or "",
            "Decided": parts.short_time(a.made.decided_at) if a.made.decided_at else "", "Asked by": a.made.requested_by,
            "Asked": parts.short_time(a.made.requested_at), "What came of it": getattr(a.made, "outcome", ""),
        }
        for a in ordered
    ]  # fmt: skip
    st.caption("Tick a row to open it.")
    # A fresh table after each choice: the mark of a row must not stay when the page is come back to.
    turn = st.session_state.setdefault("decided-turn", 0)
    medium = st.column_config.TextColumn(width="medium")
    chosen = st.dataframe(
        rows, hide_index=True, key=f"decided-{turn}", on_select="rerun", selection_mode="single-row", height=min(38 + 35 * len(rows), 420),
        alt="Decided and expired requests, newest first",
        column_config={"Asked for": medium, "Reason": medium, "Decided": parts.time_column(), "Asked": parts.time_column()},
    )  # fmt: skip
    shown = st.session_state.get("decided-shown", [])  # what stood there when the row was chosen
    st.session_state["decided-shown"] = [(a.link, a.made.id) for a in ordered]
    picked = list(chosen.selection.rows)
    if picked and picked[0] < len(shown):
        st.session_state["decided-turn"] = turn + 1
        link, number = shown[picked[0]]
        st.query_params[link] = str(number)
        st.rerun()


def _say_outcome(asked: Asked) -> str:
    said = OUTCOMES.get(asked.made.state, asked.made.state)
    return f"{said}, although conditions failed" if getattr(asked.made, "despite_gates", False) else said
