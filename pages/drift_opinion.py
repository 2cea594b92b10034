"""Evidently's verdict on a drift check beside ours: while it is made, when it is there, and as files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from core.drift.checks import Check, get_check
from core.jobs import jobs
from core.jobs.jobs import Job
from core.times import parse, utc_now
from pages import parts, sending
from pages.session import PageContext

SIGNS = {"ok": "● OK", "warning": "▲ Warning", "drift": "◆ Drift", "unknown": "✕ Unknown", "chance": "○ Within chance"}


def show(context: PageContext, check: Check) -> None:
    """Evidently's verdict, or how far it is, or why there is none."""
    st.header("A second opinion: Evidently", anchor=False)
    if check.evidently is not None:
        _show_verdict(check, check.evidently)
        return
    job = _find_job(context, check)
    if job is None:
        st.markdown(":gray[:material/info: This check was made without Evidently's report.]")
    elif job.finished:
        reason = check.evidently_error or job.error or "it left no verdict"
        st.markdown(f"{parts.find_status('failed').markdown} Evidently has no verdict: {parts.plain(reason)}")
        if st.button("Make the report again", key="opinion-again"):
            with parts.guarded():
                jobs.rerun(
                    context.home, context.actor, job.id, key=sending.request_key("opinion", "again", job.id), now=context.now
                )
                st.rerun()
    else:
        _watch(context, check.id)


@st.fragment(run_every=1.5)
def _watch(context: PageContext, check_id: int) -> None:
    """Only this part asks again; when the job has ended the page is drawn anew, once."""
    check = get_check(context.home, check_id)
    job = _find_job(context, check)
    if job is None or job.finished or check.evidently is not None:
        st.rerun()
    started = job.started_at
    since = f"running for {int((utc_now() - parse(started)).total_seconds())} s" if started else "waits for a free worker"
    left = f"about {job.seconds_left:.0f} s left" if job.seconds_left is not None else "usually some 10 s in all"
    text = f"{parts.find_status('running').markdown} {parts.plain(job.note or 'starting')}; {since}, {left}"
    st.progress(job.share or 0.0, text=text)
    if st.button("Stop", icon=":material/stop_circle:", key="opinion-stop"):
        with parts.guarded():
            jobs.cancel(context.home, context.actor, job.id, key=sending.request_key("opinion", "stop", job.id))
            st.markdown("It stops at the next step.")


def _find_job(context: PageContext, check: Check) -> Job | None:
    """The newest job of this check: a report that failed may have been started again."""
    if check.job_id is None:
        return None
    for job in jobs.list_jobs(context.home, project=check.project, kind="drift", limit=50):
        if job.params.get("check") == check.id:
            return job
    return jobs.get_job(context.home, check.job_id)


def _show_verdict(check: Check, verdict: dict[str, Any]) -> None:
    theirs = {c["name"]: c for c in verdict["columns"]}
    both = [(c, theirs[c.name]) for c in check.result.worst_first if c.name in theirs]
    judged = [(ours, their) for ours, their in both if "unknown" not in (ours.status, their["status"])]
    agreed = sum((ours.status != "ok") == (their["status"] == "drift") for ours, their in judged)
    drifted = sum(their["status"] == "drift" for their in theirs.values())
    sample = " on a sample" if verdict["sampled"] else ""
    st.markdown(
        f"Evidently {parts.plain(verdict['version'])} finds drift in **{drifted} of {len(theirs)}** columns{sample}; both agree "
        f"on {agreed} of the {len(judged)} columns that both could judge. It tests each column by itself and "
        "leaves missing values out; ours corrects for the number of columns and counts missing as a value."
    )
    rows = [
        {
            "Column": ours.name,
            "Ours": SIGNS["chance" if ours.within_chance else ours.status],
            "Our score": ours.score,
            "Evidently": SIGNS[their["status"]],
            "Its score": their["score"],
            "Its limit": their["threshold"],
            "Its method": their["method"] or their["reason"],
        }
        for ours, their in both
    ]
    number = st.column_config.NumberColumn(format="%.3g")
    config = {"Our score": st.column_config.NumberColumn(format="%.2f"), "Its score": number, "Its limit": number}
    st.dataframe(rows, hide_index=True, column_config=config, key="opinion", placeholder="unknown", height=38 + 35 * len(rows))
    for name, said in (("target", verdict["target"]), ("predictions", verdict["prediction"])):
        if said is not None:
            detail = f"{said['method']}: {said['score']:.2g}" if said["score"] is not None else said["reason"]
            st.caption(f"{name.capitalize()}: {SIGNS[said['status']]} ({parts.plain(detail)})")


def show_downloads(context: PageContext, check: Check) -> None:
    """The full reports as files: they run scripts of their own, so they are opened outside the console."""
    if check.report is None or check.evidently is None:
        return
    folder = (context.home.reports / check.report).parent
    for field, label in (("html", "Full report by Evidently (HTML)"), ("quality_html", "Quality report by Evidently (HTML)")):
        name = check.evidently[field]
        path = folder / Path(name).name if name else None
        if path is not None and path.is_file():
            parts.download(label, partial(path.read_bytes), f"drift_{check.id}_{path.name}", "text/html", key=f"opinion-{field}")
