"""Reports: what can I hand to somebody?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any

import streamlit as st

from core import deployment
from core.agent import incidents
from core.agent.diagnosis import CAUSES
from core.agent.incidents import Incident
from core.drift import checks
from core.errors import NotFound
from core.home import Home
from core.projects.projects import list_projects
from core.reports import make
from core.reports.reports import BY_ITSELF, KINDS, Report, count_reports, get_report, list_reports, read_report, say_kind
from core.reports.weekly import LONGEST
from core.retraining import retraining
from core.times import stamp
from pages import parts, sending
from pages.session import PageContext

PAGE_ROWS = 25
MOST_NUMBERED = 9  # digits of a report's number in a link
MOST_SUBJECTS = 50
PREVIEW = 720  # pixels
_FORM = "reports"


def show(context: PageContext) -> None:
    """The report that a link names, a new one, and those that there are."""
    parts.show_title("Reports", "What can I hand to somebody?")
    sending.show_sent(_FORM)
    wanted = st.query_params.get("report")
    if wanted is not None:
        with parts.guarded():
            _show_report(context, wanted)
    _show_making(context)
    _show_list(context)


# One report


def _show_report(context: PageContext, wanted: str) -> None:
    if not (wanted.isascii() and wanted.isdigit() and len(wanted) <= MOST_NUMBERED):
        raise NotFound(f"There is no report {wanted[:20]}.")
    report = get_report(context.home, int(wanted))
    page = read_report(context.home, report.id, "html")
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"## {parts.plain(report.title)}", width="content")
            st.space("stretch")
            if st.button("Close", icon=":material/close:", key="report-close"):
                del st.query_params["report"]
                st.rerun()
        kind = say_kind(report.kind, report.subject)
        st.caption(
            f"{kind} report {report.id}, {_say_maker(report)}, {parts.plain(parts.local_time(report.made_at))}.",
            help=f"Made {parts.plain(parts.utc_time(report.made_at))}",
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            if report.pdf_sha256 is not None:
                data = partial(read_report, context.home, report.id, "pdf")
                parts.download("PDF", data, f"{report.file_name}.pdf", "application/pdf", key="report-pdf")
            parts.download("HTML", page, f"{report.file_name}.html", "text/html", key="report-html")
            if context.account.may("make_report") and st.button("Mail it", icon=":material/mail:", key="report-mail"):
                _send(context, report)
            if report.correlation_id and context.account.may("view_audit"):
                parts.show_link("audit", "Its story in the audit", correlation=report.correlation_id)
        if report.pdf_sha256 is None:
            st.warning("It has no PDF: no font was found when it was made. The HTML prints well.", icon=":material/warning:")
        # complete in itself, without a script, and it says so to the browser (Content-Security-Policy)
        st.iframe(page.decode(), height=PREVIEW, alt=f"Report {report.id}: {report.title}")
        with st.expander("What it stands on"):
            rows = {
                "Made from the audit up to event": str(report.audit_count), "Audit head": report.audit_head, "HTML sha256": report.html_sha256,
                "PDF sha256": report.pdf_sha256 or "no PDF", "Correlation id": report.correlation_id or "none",
            }  # fmt: skip
            st.dataframe([{"What": k, "Value": v} for k, v in rows.items()], hide_index=True, key="report-stands")


def _send(context: PageContext, report: Report) -> None:
    with parts.guarded():
        done = make.send_report(
            context.home, context.actor, report.id, key=sending.request_key(_FORM, "mail", report.id), now=context.now
        )  # fmt: skip
        count = done["messages"]
        waits = "1 message waits" if count == 1 else f"{count} messages wait"
        sending.note_sent(_FORM, f"{waits} to be sent to everybody who wants reports; what came of it stands in Settings, Channels.")
        st.rerun()


# A new one


def _show_making(context: PageContext) -> None:
    if context.project is None:
        return
    if not context.account.may("make_report"):
        st.caption("Reports are made by data scientists, DRH managers and DevOps; deployments, closed incidents and retrainings make their own.")
        return
    with st.expander("Make a report", icon=":material/add:", expanded=not count_reports(context.home, context.project.name)):
        kind = st.segmented_control("Kind", list(KINDS), format_func=KINDS.__getitem__, default="weekly", key="report-kind", required=True)
        subject = _ask_period(context.now) if kind == "weekly" else _ask_subject(context.home, context.project.name, kind)
        if subject is not None and st.button("Make a report", type="primary", icon=":material/summarize:", key="report-make"):
            _make(context, kind, subject)


def _make(context: PageContext, kind: str, subject: str) -> None:
    assert context.project is not None
    project = context.project.name
    with parts.guarded():
        with st.spinner("Reading the facts and drawing the pages …"):
            done = make.make_report(
                context.home, context.actor, kind, project, subject=subject, key=sending.request_key(_FORM, kind, project, subject),
                now=context.now,
            )  # fmt: skip
        sending.note_sent(_FORM, f"Report {done['id']} is made: {parts.plain(done['title'])}.")
        st.query_params["report"] = str(done["id"])
        st.rerun()


def _ask_period(now: datetime) -> str | None:
    """Both days that were chosen, as core.reports.weekly reads them; None until both are."""
    today = now.astimezone(UTC).date()
    chosen: Any = st.date_input(
        "From and to (both included, UTC)", (today - timedelta(days=6), today), max_value=today, format="YYYY-MM-DD", key="report-days", width=300
    )  # fmt: skip
    days: tuple[date, ...] = tuple(chosen) if isinstance(chosen, tuple | list) else (chosen,)
    if len(days) < 2:
        st.caption("Choose the last day too.")
        return None
    if days[1] - days[0] >= LONGEST:
        st.caption(f"A report is about {LONGEST.days} days at most.")
        return None
    return f"{days[0]:%Y-%m-%d}/{days[1] + timedelta(days=1):%Y-%m-%d}"


def _ask_subject(home: Home, project: str, kind: str) -> str | None:
    """The number of what the report is to be about; None where there is nothing."""
    found = dict(_SUBJECTS[kind](home, project))
    if not found:
        st.caption(_NOTHING[kind])
        return None
    return st.selectbox("About", list(found), format_func=found.__getitem__, key=f"report-about-{kind}")


def _list_deployments(home: Home, project: str) -> list[tuple[str, str]]:
    spans = deployment.list_deployments(home, project)[:MOST_SUBJECTS]
    return [(str(s.id), f"{s.version}, {'rolled back to' if s.kind == 'rollback' else 'deployed'} {parts.local_time(s.live_from)}") for s in spans]


def _list_checks(home: Home, project: str) -> list[tuple[str, str]]:
    found = checks.list_checks(home, project, MOST_SUBJECTS)
    score = {c["id"]: "unknown" if c["overall"] is None else f"{c['overall']:.2f}" for c in found}
    return [(str(c["id"]), f"Check {c['id']}, {parts.local_time(c['at'])}, overall {score[c['id']]}") for c in found]


def _list_incidents(home: Home, project: str) -> list[tuple[str, str]]:
    found = incidents.list_incidents(home, project, limit=MOST_SUBJECTS)
    return [(str(i.id), f"Incident {i.id}, {_say_cause(i)}, {i.state}, {parts.local_time(i.opened_at)}") for i in found]


def _say_cause(incident: Incident) -> str:
    return CAUSES.get(incident.diagnosis.get("cause", ""), incident.title).lower()


def _list_retrainings(home: Home, project: str) -> list[tuple[str, str]]:
    found = retraining.list_retrainings(home, project)[:MOST_SUBJECTS]
    return [(str(r.id), f"Retraining {r.id}, {r.outcome or r.state}, {parts.local_time(r.started_at)}") for r in found]


_SUBJECTS: dict[str, Callable[[Home, str], list[tuple[str, str]]]] = {
    "deployment": _list_deployments, "drift": _list_checks, "incident": _list_incidents, "retraining": _list_retrainings,
}  # fmt: skip
_NOTHING = {
    "deployment": "Nothing was ever deployed in this project.",
    "drift": "No drift check was made in this project yet.",
    "incident": "This project has had no incident.",
    "retraining": "This project was never retrained.",
}


# All of them


def _show_list(context: PageContext) -> None:
    kind, only, since, until = _ask_filters(context)
    total = count_reports(context.home, only, kind=kind, since=since, until=until)
    if not total:
        if kind or since:
            parts.show_empty("No report matches these filters.", "Take one of them away.", icon=":material/search_off:")
        else:
            parts.show_empty("There is no report yet.", "The next deployment makes one by itself within a minute, or make one above.")
        return
    pages = -(-total // PAGE_ROWS)
    page = min(max(1, int(st.session_state.get("reports-page", 1))), pages)
    found = list_reports(context.home, only, kind=kind, since=since, until=until, limit=PAGE_ROWS, offset=(page - 1) * PAGE_ROWS)
    st.caption(f"{total} {'report' if total == 1 else 'reports'}, newest first. Choose a row to open it.")
    titles = {p.name: p.title for p in list_projects(context.home, archived=True)}
    rows = [
        {
            "Report": r.id, "Title": r.title, "Kind": say_kind(r.kind, r.subject), "Made": parts.short_time(r.made_at),
            "By": "by itself" if r.made_by == BY_ITSELF else r.made_by, **({"Project": titles[r.project]} if only is None else {}),
            "Size": f"{r.bytes / 1024:,.0f} kB",
        }
        for r in found
    ]  # fmt: skip
    # A fresh table after each choice: the mark of a row must not stay when other reports come to stand there.
    turn = st.session_state.setdefault("reports-turn", 0)
    chosen = st.dataframe(
        rows, hide_index=True, key=f"reports-table-{turn}", on_select="rerun", selection_mode="single-row",
        column_config={"Report": st.column_config.NumberColumn(width="small"), "Made": parts.time_column()},
    )  # fmt: skip
    shown = st.session_state.get("reports-shown", [])  # what stood there when the row was chosen
    st.session_state["reports-shown"] = [r.id for r in found]
    picked = list(chosen.selection.rows)
    if picked and picked[0] < len(shown):
        st.session_state["reports-turn"] = turn + 1
        st.query_params["report"] = str(shown[picked[0]])
        st.rerun()
    if pages > 1:
        st.pagination(pages, key="reports-page")


def _ask_filters(context: PageContext) -> tuple[str | None, str | None, str, str]:
    """Kind, project (None is all), and the moments between which reports were made."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        kind = st.selectbox("Kind", list(KINDS), index=None, placeholder="all", format_func=KINDS.__getitem__, key="reports-kind",
                            on_change=_to_first, width=160)  # fmt: skip
        days: Any = st.date_input("Made between (UTC)", [], format="YYYY-MM-DD", key="reports-days", on_change=_to_first, width=250)
        everywhere = st.toggle("All projects", value=context.project is None, key="reports-everywhere", on_change=_to_first)
    span: tuple[date, ...] = tuple(days) if isinstance(days, tuple | list) else (days,)
    since = stamp(datetime.combine(span[0], time(), UTC)) if span else ""
    until = stamp(datetime.combine(span[-1] + timedelta(days=1), time(), UTC)) if span else ""
    only = None if everywhere or context.project is None else context.project.name
    return kind, only, since, until


def _to_first() -> None:
    st.session_state["reports-page"] = 1


def _say_maker(report: Report) -> str:
    return "made by itself" if report.made_by == BY_ITSELF else f"made by {parts.plain(report.made_by)}"
