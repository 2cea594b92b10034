"""Audit: who did what, when, why?"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any

import streamlit as st

from core import audit
from core.audit_export import export_audit
from core.errors import NotFound
from core.roles import ROLE_TITLES
from core.times import stamp
from pages import parts
from pages.session import PageContext

PAGE_ROWS = 50
FILTERS = ("actor", "action", "outcome", "project")
OUTCOMES = {"done": "● Done", "refused": "■ Refused", "failed": "◆ Failed"}
MOST_NUMBERED = 9  # digits of an event number in a link


def show(context: PageContext) -> None:
    """The chain's verdict, the event that a link names, the events that match, and the export."""
    parts.show_title("Audit", "Who did what, when, why?")
    _show_chain(context)
    _take_link()
    wanted = st.query_params.get("event")
    if wanted is not None:
        with parts.guarded():
            _show_event(context, wanted)
    _show_events(context)


def _take_link() -> None:
    """The correlation id that a link asks for, once: all events can be shown again afterwards."""
    asked = st.query_params.get("correlation", "")
    if asked and st.session_state.get("audit-linked") != asked:
        st.session_state["audit-linked"] = st.session_state["audit-correlation"] = asked
        st.session_state["audit-page"] = 1


# The chain


def _show_chain(context: PageContext) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            _show_verdict()
            st.space("stretch")
            if st.button("Verify the chain", icon=":material/verified:", type="primary", key="audit-verify"):
                with st.spinner("Reading every event …"):
                    st.session_state["audit-verdict"] = (audit.verify(context.home), stamp(context.now))
                st.rerun()
            if context.account.may("export_audit"):
                # Made when it is pressed, not when the page is drawn: the export is an act of its own.
                name = f"audit_{context.now:%Y%m%d_%H%M}.jsonl"
                parts.download(
                    "Export all events (JSONL)", partial(export_audit, context.home, context.actor), name, "application/x-ndjson",
                    key="audit-export",
                )  # fmt: skip
        if not context.account.may("export_audit"):
            st.caption("The audit is exported by data scientists, DRH managers and DevOps; the export is audited too.")


def _show_verdict() -> None:
    verdict, at = st.session_state.get("audit-verdict", (None, ""))
    if verdict is None:
        sign = parts.find_status("unknown").markdown
        st.markdown(f"{sign} The chain was not verified on this visit.", width="content")
        return
    sign = parts.find_status("ok" if verdict.intact else "critical").markdown
    with st.container(width="content", gap="xsmall"):
        st.markdown(f"{sign} {parts.plain(verdict.sentence)}", width="content")
        st.caption(f"Verified {parts.plain(parts.local_time(at))}: {verdict.count} events, head {verdict.head[:16]}")


# One event


def _show_event(context: PageContext, wanted: str) -> None:
    if not (wanted.isascii() and wanted.isdigit() and len(wanted) <= MOST_NUMBERED):
        raise NotFound(f"There is no audit event {wanted[:20]}.")
    event = audit.get_event(context.home, int(wanted))
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"## Event {event['seq']}: {parts.plain(_words(event['action']))}", width="content")
            st.space("stretch")
            if st.button("Close", icon=":material/close:", key="audit-close"):
                del st.query_params["event"]
                st.rerun()
        st.markdown(f"{parts.find_status(event['outcome']).markdown} {parts.plain(_say(event))}")
        if event["reason"]:
            st.markdown(f"Reason: {parts.plain(event['reason'])}")
        if event["error"]:
            st.markdown(f"What was said: {parts.plain(event['error'])}")
        before, after = st.columns(2)
        with before:
            st.markdown("**Before**")
            _show_data(event["before"])
        with after:
            st.markdown("**After**")
            _show_data(event["after"])
        with st.expander("All fields"):
            rows = [{"Field": _words(k), "Value": _text(v)} for k, v in event.items() if k not in ("before", "after")]
            st.dataframe(rows, hide_index=True, key="audit-fields")
            if event["correlation_id"] and st.button("Everything of this correlation id", key="audit-correlate"):
                st.session_state["audit-correlation"] = event["correlation_id"]
                st.session_state["audit-page"] = 1
                st.rerun()
            if event["correlation_id"] and context.account.may("view_logs"):
                parts.show_link("logs", "Its lines in the logs", correlation=event["correlation_id"])


def _say(event: dict[str, Any]) -> str:
    role = ROLE_TITLES.get(event["role"], event["role"])
    who = f"{event['actor']} ({role})" if role else event["actor"]
    system = f" as {event['os_user']} of the operating system" if event["os_user"] else ""
    where = f" in project {event['project']}" if event["project"] else ""
    what = f"; {event['subject']}" if event["subject"] else ""
    approver = f"; approved by {event['approver']}" if event["approver"] else ""
    return f"{who}{system}, {parts.local_time(event['at'])}, by {event['via']}{where}{what}{approver}."


def _show_data(data: Any) -> None:
    if data is None:
        st.markdown(":gray[Nothing was noted.]")
    else:
        st.code(json.dumps(data, indent=2, ensure_ascii=False), language="json", wrap_lines=True)


# All events


def _show_events(context: PageContext) -> None:
    filters = _ask_filters(context)
    page = max(1, int(st.session_state.get("audit-page", 1)))
    events, total = audit.search(context.home, **filters, limit=PAGE_ROWS, offset=(page - 1) * PAGE_ROWS)
    if not total:
        if any(filters.values()):
            parts.show_empty("No event matches these filters.", "Take one of them away.", icon=":material/search_off:")
        else:
            parts.show_empty("Nothing was done here yet.", "Every act is written down from the first sign-in on.")
        return
    pages = -(-total // PAGE_ROWS)
    if page > pages:  # the filters were narrowed while a late page was open
        page = 1
        events, total = audit.search(context.home, **filters, limit=PAGE_ROWS)
    first = (page - 1) * PAGE_ROWS + 1
    events_ = "1 event" if total == 1 else f"{total} events"
    st.caption(f"{events_}, newest first; {first} to {first + len(events) - 1} are shown. Choose a row to open it.")
    rows = [
        {
            "Event": e["seq"],
            "When": parts.local_time(e["at"]),
            "Who": e["actor"],
            "What": _words(e["action"]),
            "Project": e["project"],
            "About": e["subject"],
            "Outcome": OUTCOMES.get(e["outcome"], e["outcome"]),
            "Reason or refusal": e["reason"] or e["error"],
            "Approver": e["approver"],
        }
        for e in events
    ]
    # A fresh table after each choice: the mark of a row must not stay when other events come to stand there.
    turn = st.session_state.setdefault("audit-turn", 0)
    chosen = st.dataframe(
        rows,
        hide_index=True,
        key=f"audit-table-{turn}",
        on_select="rerun",
        selection_mode="single-row",
        height=_height(rows),
        # The widths follow the first rows, and those are often sign-ins, which have no project and no reason.
        column_config={
            name: st.column_config.TextColumn(width=width)
            for name, width in (("What", 122), ("Project", 108), ("Reason or refusal", 120))
        },
    )
    shown = st.session_state.get("audit-shown", [])  # what stood there when the row was chosen
    st.session_state["audit-shown"] = [e["seq"] for e in events]
    picked = list(chosen.selection.rows)
    if picked and picked[0] < len(shown):
        st.session_state["audit-turn"] = turn + 1
        st.query_params["event"] = str(shown[picked[0]])
        st.rerun()
    if pages > 1:
        st.pagination(pages, key="audit-page")


def _ask_filters(context: PageContext) -> dict[str, str]:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall", key="audit-filters"):
        text = st.text_input("Search", placeholder="words, names, hashes", key="audit-text", on_change=_to_first, width=164)
        chosen = {
            column: st.selectbox(
                {"actor": "Who", "action": "What", "outcome": "Outcome", "project": "Project"}[column],
                audit.list_filter_values(context.home, column),
                index=None,
                placeholder="all",
                format_func=_words if column == "action" else str,
                key=f"audit-{column}",
                on_change=_to_first,
                width=120,
            )
            for column in FILTERS
        }
        days = st.date_input("Days (UTC)", [], format="YYYY-MM-DD", key="audit-days", on_change=_to_first, width=236)
    correlation = st.session_state.get("audit-correlation", "")
    if correlation:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"Only what belongs to correlation id {parts.plain(correlation)}.", width="content")
            if st.button("Show all again", key="audit-uncorrelate"):
                st.session_state["audit-correlation"] = ""
                st.rerun()
    since, until = _span(days)
    return {
        "text": text,
        **{k: v or "" for k, v in chosen.items()},
        "since": since,
        "until": until,
        "correlation_id": correlation,
    }


def _to_first() -> None:
    st.session_state["audit-page"] = 1


def _span(days: Any) -> tuple[str, str]:
    chosen: tuple[date, ...] = tuple(days) if isinstance(days, tuple | list) else (days,)
    if not chosen:
        return "", ""
    start, end = (datetime.combine(day, time(), UTC) for day in (chosen[0], chosen[-1]))
    return stamp(start), stamp(end + timedelta(days=1))


def _words(name: str) -> str:
    return str(name).replace("_", " ")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _height(rows: list[Any]) -> int:
    return min(38 + 35 * len(rows), 740)
