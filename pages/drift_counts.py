"""Behind a drift check: which counts were compared, and whether they still agree with the prediction log."""

from __future__ import annotations

import streamlit as st

from core.drift import checks
from core.drift.checks import Check
from core.jobs import jobs
from core.jobs.jobs import Job
from core.times import parse, utc_now
from pages import parts, sending
from pages.session import PageContext


def show(context: PageContext, project: str, check: Check | None) -> None:
    """What was compared in numbers (of a check, if there is one), and the button that holds the counts against the log."""
    job = next(iter(jobs.list_jobs(context.home, project=project, kind="recount", limit=1)), None)
    with st.expander("Details: how this was counted", icon=":material/functions:", expanded=job is not None and not job.finished):
        if check is not None and check.current["kind"] == "log":
            _show_parts(check)
        st.markdown(
            "Each prediction is counted into the bins of its version as it is logged, by hour; a check adds up hours and reads no row. "
            "The counts can be held against the rows themselves, and are made again where they differ."
        )
        if job is not None and not job.finished:
            _watch(context, job.id)
            return
        if job is not None:
            _show_outcome(job)
        last = job.id if job else 0  # after the act, a second click finds its button gone
        if st.button("Hold the counts against the log", key=f"recount-{last}"):
            with parts.guarded():
                checks.recount(context.home, context.actor, project, key=sending.request_key("recount", last), now=context.now)
                st.rerun()


def _show_parts(check: Check) -> None:
    current = check.current
    rows = [{"Version": v, "Predictions": n, "In this check": "yes"} for v, n in current.get("versions", {}).items()]
    rows += [{"Version": v, "Predictions": n, "In this check": "no, other bins"} for v, n in current.get("left_out", {}).items()]
    if rows:
        st.dataframe(rows, hide_index=True, key="counted-versions")
    if current.get("bins_id"):
        bins = sum(len(c.labels) for c in check.result.columns)
        st.caption(f"{bins} bins in {len(check.result.columns)} columns; their mark is {current['bins_id'][:12]}.")


@st.fragment(run_every=1.5)
def _watch(context: PageContext, job_id: int) -> None:
    """Only this part asks again; when the job has ended the page is drawn anew, once."""
    job = jobs.get_job(context.home, job_id)
    if job.finished:
        st.rerun()
    since = f"running for {int((utc_now() - parse(job.started_at)).total_seconds())} s" if job.started_at else "waits for a free worker"
    text = f"{parts.find_status('running').markdown} {parts.plain(job.note or 'starting')}; {since}, some seconds for a million rows"
    st.progress(job.share or 0.0, text=text)
    if st.button("Stop", icon=":material/stop_circle:", key="recount-stop"):
        with parts.guarded():
            jobs.cancel(context.home, context.actor, job.id, key=sending.request_key("recount", "stop", job.id))
            st.markdown("It stops at the next step.")


def _show_outcome(job: Job) -> None:
    when = parts.plain(parts.local_time(job.finished_at)) if job.finished_at else ""
    if job.state == "done" and job.outcome:
        equal = not any(v["unequal"] for v in job.outcome["versions"])
        sign = parts.find_status("ok" if equal else "warning").markdown
        st.markdown(f"{sign} {parts.plain(job.outcome['sentence'])} ({when}, job {job.id})")
    else:
        st.markdown(f"{parts.find_status('failed').markdown} Job {job.id} did not end well: {parts.plain(job.error or job.state)} ({when})")
