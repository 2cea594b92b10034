"""Logs: what happened, line by line?"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import streamlit as st

from core import log_files
from core.home import Home
from core.log_files import Filter, Found, Line
from core.logs import LEVELS, LOGGERS
from core.text import one_line
from core.times import parse, utc_now
from pages import parts
from pages.session import PageContext

PAGE_LINES = 100
DOWNLOADED = 10_000
DOWNLOAD_BYTES = 256 * 1024 * 1024  # looked at for a download: some seconds
FOLLOWED = 12
REFRESH = 2.0  # seconds
TABLE_HEIGHT = 560
WORDS = {"debug": "· Debug", "info": "○ Info", "warning": "▲ Warning", "error": "■ Error", "critical": "◆ Critical"}
SPANS = {"last hour": timedelta(hours=1), "last day": timedelta(days=1), "last 7 days": timedelta(days=7), "last 30 days": timedelta(days=30)}


def show(context: PageContext) -> None:
    """The filters, new lines as they come, the line that was chosen, and the lines that match."""
    parts.show_title("Logs", "What happened, line by line?")
    _take_link()
    wanted = _ask_filter(context.now)
    if st.session_state.get("logs-follow"):
        _follow(context.home, wanted)
    found = log_files.read_lines(context.home, wanted, limit=PAGE_LINES)
    _show_open_line()
    _show_lines(context, wanted, found)


def _take_link() -> None:
    """What a link asks for, once: the filters can be changed afterwards."""
    asked = {name: st.query_params.get(name, "") for name in ("correlation", "level", "logger", "text")}
    if not any(asked.values()) or st.session_state.get("logs-link") == asked:
        return
    st.session_state["logs-link"] = asked
    st.session_state["logs-correlation"] = asked["correlation"]
    st.session_state["logs-text"] = asked["text"]
    st.session_state["logs-level"] = asked["level"] if asked["level"] in LEVELS else None
    st.session_state["logs-loggers"] = [asked["logger"]] if asked["logger"] in LOGGERS else list(LOGGERS)
    st.session_state["logs-until"] = None


def _ask_filter(now: datetime) -> Filter:
    st.session_state.setdefault("logs-loggers", list(LOGGERS))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        loggers = st.pills(
            "Loggers", LOGGERS, selection_mode="multi", format_func=lambda n: n.replace("_", " "), key="logs-loggers", on_change=_to_newest
        )
        st.space("stretch")
        st.toggle("Follow", key="logs-follow", help="Show new lines as they come, in a place of their own.")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        level = st.selectbox(
            "Level", LEVELS, index=None, placeholder="all", format_func=lambda n: f"{n} and above", key="logs-level",
            on_change=_to_newest, width=190,
        )  # fmt: skip
        span = st.selectbox("Time", list(SPANS), index=None, placeholder="all", key="logs-span", on_change=_to_newest, width=150)
        text = st.text_input("Text", key="logs-text", placeholder="in message, user, project", on_change=_to_newest, width=230)
        correlation = st.text_input("Correlation id", key="logs-correlation", on_change=_to_newest, width=190)
    until = st.session_state.get("logs-until")
    return Filter(
        tuple(loggers) or LOGGERS, level=level or "", correlation_id=correlation.strip(), text=text.strip(),
        since=now - SPANS[span] if span else None, until=parse(until) if until else None,
    )  # fmt: skip


@st.fragment(run_every=REFRESH)
def _follow(home: Home, wanted: Filter) -> None:
    """The newest lines in a place of fixed height with nothing in it to press, so that nothing moves under the pointer."""
    now = utc_now()
    newest = log_files.read_lines(home, Filter(wanted.loggers, wanted.level, wanted.correlation_id, wanted.text), limit=FOLLOWED)
    st.caption(f"The newest lines that match, newest first; looked at {now:%H:%M:%S} UTC. The table below stays as it is.")
    text = "\n".join(log_files.describe_line(line) for line in newest.lines[:FOLLOWED])
    st.code(text or "No line matches yet.", language=None, height=300)


def _show_open_line() -> None:
    line: Line | None = st.session_state.get("logs-open")
    if line is None:
        return
    correlation = line.context.get("correlation_id", "")
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{WORDS.get(line.level, parts.plain(line.level))}** {parts.plain(parts.local_time(line.time))}", width="content")
            st.space("stretch")
            if correlation:
                st.button(
                    "All lines of this correlation id", key="logs-correlate", on_click=_choose_correlation, args=[correlation]
                )
                parts.show_link("audit", "Its events in the audit", correlation=correlation)
            st.button("Close", icon=":material/close:", key="logs-close", on_click=_close_line)
        st.code(json.dumps(line.to_dict(), indent=2, ensure_ascii=False), language="json", wrap_lines=True)
        if line.trace:
            st.caption("The trace stands in the file only; people who may read the files of the installation find it there.")


def _show_lines(context: PageContext, wanted: Filter, found: Found) -> None:
    if not found.lines:
        _show_none(context.home, found)
    else:
        shown = f"{len(found.lines)} lines, newest first. Choose a row to open it."
        older = f" Older than {parts.local_time(wanted.until)}." if wanted.until else ""
        st.caption(parts.plain(shown + older))
        _show_table(found.lines)
    _say_how_far(found)
    with st.container(horizontal=True, vertical_alignment="center"):
        if found.older_until is not None:
            st.button(
                "Older", icon=":material/arrow_downward:", key="logs-older", on_click=_go_to, args=[found.older_until.isoformat()]
            )
        if wanted.until:
            st.button("Newest", icon=":material/vertical_align_top:", key="logs-newest", on_click=_go_to, args=[None])
        if found.lines:
            st.space("stretch")
            parts.download(
                f"Download what matches (JSONL, at most {DOWNLOADED:,} lines)", partial(_make_download, context.home, wanted),
                f"greenlight_logs_{context.now:%Y%m%d_%H%M}.jsonl", "application/x-ndjson", key="logs-download",
            )  # fmt: skip


def _show_none(home: Home, found: Found) -> None:
    if not any(log_files.list_files(home.logs, name) for name in LOGGERS):
        parts.show_empty("Nothing has been logged here yet.", "Every act, job, alert and error writes a line.")
    elif found.older_until is None:
        parts.show_empty("No line matches these filters.", "Take one of them away.", icon=":material/search_off:")
    else:
        parts.show_empty("No line matches so far.", "Press Older to search further back.", icon=":material/search_off:")


def _say_how_far(found: Found) -> None:
    if found.searched_back_to and found.searched_back_to != log_files.LAST_MOMENT:
        st.caption(f"The files were searched back to {parts.plain(parts.local_time(found.searched_back_to))}; Older searches on from there.")


def _show_table(lines: tuple[Line, ...]) -> None:
    rows = [
        {
            "When": parse(line.time),
            "Level": WORDS.get(line.level, one_line(line.level)),
            "Message": one_line(line.message),
            "Logger": line.logger.removeprefix("greenlight.").replace("_", " "),
            "Who": one_line(line.context.get("user", "")),
            "Project": one_line(line.context.get("project", "")),
            "Version": one_line(line.context.get("version", "")),
            "Correlation id": one_line(line.context.get("correlation_id", "")),
        }
        for line in lines
    ]
    # A fresh table after each choice: the mark of a row must not stay when other lines come to stand there.
    turn = st.session_state.setdefault("logs-turn", 0)
    chosen = st.dataframe(
        rows, hide_index=True, key=f"logs-table-{turn}", on_select="rerun", selection_mode="single-row",
        height=min(38 + 35 * len(rows), TABLE_HEIGHT),
        column_config={
            "When": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm:ss.SSS", timezone=_zone(), width=185),
            "Level": st.column_config.TextColumn(width=85),
            "Logger": st.column_config.TextColumn(width=100),
            "Message": st.column_config.TextColumn(width=330),
            "Who": st.column_config.TextColumn(width=90),
            "Project": st.column_config.TextColumn(width=110),
        },
    )  # fmt: skip
    shown: list[Line] = st.session_state.get("logs-shown", [])  # what stood there when the row was chosen
    st.session_state["logs-shown"] = list(lines)
    picked = list(chosen.selection.rows)
    if picked and picked[0] < len(shown):
        st.session_state["logs-turn"] = turn + 1
        st.session_state["logs-open"] = shown[picked[0]]
        st.rerun()


def _make_download(home: Home, wanted: Filter) -> bytes:
    found = log_files.read_lines(home, wanted, limit=DOWNLOADED, most_bytes=DOWNLOAD_BYTES)
    note = f"searched back to {found.searched_back_to}; older lines may match" if found.searched_back_to else ""
    return (json.dumps({"note": note}) + "\n").encode() * bool(note) + log_files.to_jsonl(found.lines[:DOWNLOADED])


def _zone() -> str | None:
    zone: Any = st.context.timezone
    return zone if isinstance(zone, str) else None


def _choose_correlation(correlation: str) -> None:
    st.session_state["logs-correlation"] = correlation
    st.session_state["logs-loggers"] = list(LOGGERS)
    st.session_state["logs-level"] = st.session_state["logs-span"] = None
    st.session_state["logs-text"] = ""
    _to_newest()


def _close_line() -> None:
    st.session_state.pop("logs-open", None)


def _go_to(until: str | None) -> None:
    st.session_state["logs-until"] = until


def _to_newest() -> None:
    st.session_state["logs-until"] = None
