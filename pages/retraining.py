"""Retraining: is it due, how far is it, and what came of the last ones?"""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.errors import NotFound
from core.jobs import jobs
from core.retraining import report, retraining, triggers
from core.retraining.retraining import Retraining, Step
from core.times import utc_now
from pages import parts, sending
from pages.session import PageContext

FORM = "retraining"
MARKS = {
    "waiting": ":gray[:material/radio_button_unchecked: Waiting]", "running": ":gray[:material/progress_activity: Running]",
    "done": ":green[:material/check_circle: Done]", "skipped": ":gray[:material/remove_circle_outline: Skipped]",
    "failed": ":red[:material/error: Failed]",
}  # fmt: skip
NOT_REACHED = ":gray[:material/radio_button_unchecked: Not reached]"
FIRED = {True: "◆ Due", False: "● Not due", None: "✕ Unknown"}
OUTCOMES = {"better": "✓ Better", "worse": "✕ Worse", "unclear": "? Unclear", "failed": "✕ Failed"}
STARTED = {"schedule": "schedule", "new_data": "new labels", "person": "a person", "agent": "the agent"}


def show(context: PageContext, project: str) -> None:
    """The check, what is under way, the button, and the history; ``?retraining=3`` opens one of them."""
    sending.show_sent(FORM)
    due = _show_check(context, project)
    if due is None:
        parts.show_link("training", "Train the first version", project=project)
        return
    under_way = retraining.find_open(context.home, project)
    if under_way is not None:
        _watch(context, under_way.id)
    else:
        _show_start(context, project, open_=due)
    _show_history(context, project)


# ---- is it due? ----


def _show_check(context: PageContext, project: str) -> bool | None:
    """Every trigger with its threshold; whether a retraining is due, None where nothing was ever trained or tried."""
    found = triggers.check(context.home, project, now=context.now)
    status = "warning" if found.due else "ok" if found.triggers else "unknown"
    due = "A retraining is due. " if found.due else ""
    st.markdown(f"{parts.find_status(status).markdown} {due}{parts.plain(found.sentence)}")
    if not found.triggers:
        return False if retraining.list_retrainings(context.home, project, limit=1) else None
    st.dataframe(
        [
            {
                "Trigger": t.name.capitalize(), "State": FIRED[t.fired], "Measured": _amount(t.value, t.unit),
                "Due from": _amount(t.threshold, t.unit), "Why": t.sentence,
            }
            for t in found.triggers
        ],
        hide_index=True, key="retraining-triggers", alt="What may ask for a retraining: measured value, threshold and why",
        column_config={"Why": st.column_config.TextColumn(width="large")},
    )  # fmt: skip
    st.caption(
        "Time and new labels start a retraining by schedule; a drop of performance and drift are first looked into by the agent. "
        "The thresholds stand in Settings."
    )
    return found.due


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return "unknown"
    if unit == "share":
        return f"{value:.1%}"
    if unit == "score":
        return f"{value:.2f}"
    return f"{value:,.1f} {unit}" if unit == "days" else f"{value:,.0f} {unit}"


# ---- the one that is under way ----


@st.fragment(run_every=1.0)
def _watch(context: PageContext, number: int) -> None:
    """Only this part asks again every second; when the retraining ends, the whole page is drawn once."""
    found = retraining.get(context.home, number)
    if found.state != "open":
        look = {"better": "success"}.get(found.outcome or "", "error" if found.state == "failed" else "info")
        sending.note_sent(FORM, f"Retraining {number} has ended. {parts.plain(found.sentence)}", look=look)
        st.query_params["retraining"] = str(number)
        st.rerun()
    with st.container(border=True):
        st.markdown(
            f"{parts.find_status('running').markdown} **Retraining {number}**, started {_say_start(found)}: {parts.plain(found.reason)}"
        )
        job = jobs.get_job(context.home, found.job_id, now=utc_now()) if found.job_id is not None else None
        _show_steps(found)
        if job is None or job.state == "queued":
            st.caption("Waits for a free worker; it starts by itself, also when this page is closed.")
        elif job.finished:
            st.caption(f"{parts.plain(job.error or 'Its job ended.')} The clock goes on with it within a minute.")
        elif job.cancel_by:
            st.caption(f"{parts.plain(job.cancel_by)} asked to stop.")
        else:
            st.progress(job.share or 0.0, text=parts.plain(job.note.replace("_", " ") or "starting"))
            if st.button("Cancel", key=f"retraining-cancel-{job.id}", icon=":material/stop_circle:", help="The live version stays as it is."):
                with parts.guarded():
                    jobs.cancel(context.home, context.actor, job.id, key=sending.request_key(FORM, "cancel", job.id))
                    sending.note_sent(FORM, f"Retraining {number} was under way. Now: asked to stop.", look="info")
                    st.rerun()


def _show_steps(found: Retraining) -> None:
    with st.container(gap="xsmall"):
        for place, step in enumerate(found.steps, 1):
            _show_step(place, step, over=found.state != "open")


def _show_step(place: int, step: Step, *, over: bool) -> None:
    said = f": {parts.plain(step.sentence)}" if step.sentence else ""
    mark = NOT_REACHED if over and step.state == "waiting" else MARKS[step.state]
    st.markdown(f"{mark} **{place}. {step.title}**{said}")


# ---- starting one ----


def _show_start(context: PageContext, project: str, *, open_: bool) -> None:
    with st.expander("Retrain now, without waiting for a trigger", icon=":material/model_training:", expanded=open_):
        reason = parts.confirm(
            "Retrain now",
            "Exports fresh rows, trains the live version's candidates anew and compares. Nothing goes live by it: a better version asks "
            "for its release, any other is archived.",
            key=f"retraining-start-{project}",
        )
    if reason is not None:
        _start(context, project, reason, {})


def _start(context: PageContext, project: str, reason: str, params: dict[str, Any]) -> None:
    with parts.guarded():
        key = sending.request_key(FORM, "start", project, reason, params)
        made = retraining.start(context.home, context.actor, project, reason=reason, params=params, key=key)
        sending.note_sent(FORM, f"Retraining {made['id']} is on its way; it goes on when you leave this page.")
        st.query_params["retraining"] = str(made["id"])
        st.rerun()


# ---- what came of them ----


def _show_history(context: PageContext, project: str) -> None:
    st.header("Retrainings", anchor=False)
    found = retraining.list_retrainings(context.home, project)
    if not found:
        st.markdown("Nothing was retrained yet in this project.")
        return
    rows = [
        {
            "Retraining": r.id, "Outcome": OUTCOMES.get(r.outcome or "", "■ Cancelled" if r.state == "cancelled" else "◔ Under way"),
            "Started": parts.short_time(r.started_at), "Version": r.version or "", "What came of it": r.sentence, "By": r.started_by,
            "Because of": STARTED[r.trigger], "Request": str(r.request_id or ""), "Report": str(r.report_id or ""),
        }
        for r in found
    ]  # fmt: skip
    st.dataframe(
        rows, hide_index=True, height=min(38 + 35 * len(rows), 320), key="retraining-history", alt="Retrainings, newest first",
        column_config={"Started": parts.time_column(), "What came of it": st.column_config.TextColumn(width="medium")},
    )  # fmt: skip
    known = {str(r.id): r for r in found}
    wanted = st.query_params.get("retraining", str(found[0].id))
    if wanted not in known:
        raise NotFound(f"This project has no retraining {wanted[:20]}.")
    st.session_state["retraining-chosen"] = wanted
    if len(found) > 1:
        st.selectbox("Retraining to look at", list(known), key="retraining-chosen", width=220, on_change=_follow_choice)
    chosen = known[wanted]
    if chosen.state != "open":
        _show_one(context, chosen, newest=chosen.id == found[0].id)


def _follow_choice() -> None:
    st.query_params["retraining"] = str(st.session_state["retraining-chosen"])


def _show_one(context: PageContext, found: Retraining, *, newest: bool) -> None:
    with st.container(border=True):
        outcome = OUTCOMES.get(found.outcome or "", "■ Cancelled")
        # a judgement begins with its own word
        sign = outcome.split()[0] if found.sentence.startswith(("Better", "Worse", "Not clearly")) else f"{outcome}."
        st.markdown(f"**Retraining {found.id}**: {sign} {parts.plain(found.sentence)}")
        st.caption(
            f"Started {parts.plain(parts.local_time(found.started_at))} {_say_start(found)}: {parts.plain(found.reason)} "
            f"· live then: {parts.plain(found.live_version or 'nothing')} · correlation id {found.correlation_id}",
            help=f"Started {parts.plain(parts.utc_time(found.started_at))}",
        )
        _show_steps(found)
        _show_classes(found)
        with st.container(horizontal=True):
            if found.request_id is not None:
                parts.show_link("approvals", "Open the release request", request=str(found.request_id))
            run = found.find_step("training").detail.get("run")
            if run is not None:
                parts.show_link("comparison", "Compare the candidates", run=str(run))
            if found.report_id is not None:
                parts.show_link("reports", "Open the report", report=str(found.report_id))
            path = report.report_path(context.home, found.id)
            if path.exists():
                parts.download("Report as text", path.read_bytes(), path.name, "text/markdown", key=f"retraining-report-{found.id}")
    detail = found.find_step("request").detail
    if detail.get("findings"):
        st.markdown("**Why it was not better**")
        for sentence in detail["findings"]:
            st.markdown(f"- {parts.plain(sentence)}")
    if newest and detail.get("reruns") and retraining.find_open(context.home, found.project) is None:
        _show_reruns(context, found, detail["reruns"])


def _say_start(found: Retraining) -> str:
    """Who started it, and by what where that is not a person or the agent itself."""
    by = f"by {parts.plain(found.started_by)}"
    return by if found.trigger in ("person", "agent") else f"{by}, because of {STARTED[found.trigger]}"


def _show_classes(found: Retraining) -> None:
    compared = found.find_step("evaluation").detail
    classes = (compared.get("unseen") or {}).get("per_class")
    if not classes:
        return
    mine, theirs = "Recall, candidate", f"Recall, {compared['against']}"
    rows = [{"Class": name, "Rows": rows, mine: new, theirs: old} for name, (rows, new, old) in classes.items()]
    number = st.column_config.NumberColumn(format="%.3f")
    st.dataframe(
        rows, hide_index=True, key=f"retraining-classes-{found.id}", column_config={mine: number, theirs: number},
        alt="Recall of each class, candidate beside live version",
    )  # fmt: skip


def _show_reruns(context: PageContext, found: Retraining, reruns: list[dict[str, Any]]) -> None:
    st.markdown("**What may be tried next**")
    for place, one in enumerate(reruns):
        with st.container(border=True):
            said, beside = st.columns([4, 1], vertical_alignment="center")
            said.markdown(f"**{parts.plain(one['label'])}**: {parts.plain(one['why'])}")
            if beside.button("Run again like this", key=f"retraining-rerun-{found.id}-{place}", icon=":material/replay:"):
                _start(context, found.project, f"After retraining {found.id} ({found.outcome}): {one['label'].lower()}", one["params"])
