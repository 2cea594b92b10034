"""Every role and skill: one action scores all that the project's database holds, and the answers are a table to filter."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.datasets import source as origins
from core.datasets.source import Origin
from core.deployment import LiveVersion
from core.jobs import jobs
from core.projects.definition import Definition
from core.scoring import source as scoring
from core.scoring.source import Scoring
from pages import act, charts, charts_predict, parts, predict_file
from pages.session import PageContext

_SHOWN = 500  # rows on the page; the download has all of them
_FRONT = ("job_role_name", "skill_name", "job_department", "prediction", "score", "confidence", "rationale", "problems")
_TITLES = {"job_role_name": "Job role", "skill_name": "Skill", "job_department": "Department", "prediction": "Level", "rationale": "Why"}


def find_title(context: PageContext, definition: Definition) -> tuple[str, Origin | None]:
    """What the tab is called, and the project's source; None where it has none."""
    origin = origins.find_origin(context.home, definition)
    return ("Every role and skill" if origin is not None and origin.shape == "hr" else "Every row"), origin


def show(context: PageContext, definition: Definition, live: LiveVersion | None, origin: Origin) -> None:
    """The button, the job under way, and the answers: the newest unless another is chosen."""
    name = definition.name
    what = "each job role with each skill" if origin.shape == "hr" else "each row"
    busy = jobs.list_jobs(context.home, project=name, kind=scoring.KIND, states=("queued", "running"), limit=1)
    if live is None:
        st.markdown(":material/info: No version is live, so nothing can be scored.")
    elif busy and not busy[0].finished:
        _follow(context, busy[0].id)
    else:
        st.markdown(f"Reads {parts.plain(origin.name)} as it is now, and scores {what} with the live version.")
        if context.account.may("predict") and st.button(
            f"Score all with version {live.version}", type="primary", icon=":material/play_arrow:", key="source-start"
        ):
            act.perform(
                "source", lambda key: scoring.start(context.home, context.actor, name, key=key), lambda done: f"Job {done['id']} scores {what}."
            )
        _show_last_failure(context, name)
    found = scoring.list_scorings(context.home, name)
    if not found:
        step = "The answers stand here as a table to filter, with the reason of each; earlier ones are kept."
        parts.show_empty("Nothing was scored from here yet.", step)
        return
    _show_scoring(context, definition, _choose(found))


def _choose(found: list[Scoring]) -> Scoring:
    by_job = {s.job: s for s in found}
    if len(found) == 1:
        return found[0]
    titles = {s.job: f"{parts.local_time(s.at)}, version {s.version}, {s.rows:,} rows, {s.by}" for s in found}
    # the key names the newest, so that a fresh scoring is shown, not the one that was chosen before
    return by_job[st.selectbox("Scored", list(titles), key=f"source-chosen-{found[0].job}", width=520, format_func=titles.__getitem__)]


@st.fragment(run_every=1.0)
def _follow(context: PageContext, job_id: int) -> None:
    job = jobs.get_job(context.home, job_id)
    if job.finished:
        st.rerun()
    st.progress(job.share or 0.0, f"Job {job.id}: {parts.plain(job.note or 'waiting')}")
    st.caption("It goes on when you leave the page.")
    if st.button("Stop", key=f"source-stop-{job.id}", icon=":material/stop:"):
        with parts.guarded():
            jobs.cancel(context.home, context.actor, job.id)


def _show_last_failure(context: PageContext, project: str) -> None:
    last = jobs.list_jobs(context.home, project=project, kind=scoring.KIND, limit=1)
    if last and last[0].finished and last[0].state != "done":
        st.warning(f"Job {last[0].id} ended as {last[0].state}: {parts.plain(last[0].error or 'no reason was kept')}", icon=":material/warning:")


@st.cache_data(max_entries=4, show_spinner=False)
def _read(root: str, models: str, job_id: int, changed: float) -> Any:
    from pathlib import Path

    from core.home import Home

    return scoring.read_result(Home(Path(root), Path(models)), job_id)


def _show_scoring(context: PageContext, definition: Definition, chosen: Scoring) -> None:
    with st.container(border=True), parts.guarded():
        st.markdown(
            f"**{chosen.rows:,} rows**, version {chosen.version}, for {parts.plain(chosen.by)}, {parts.plain(parts.local_time(chosen.at))}."
        )
        st.caption(f"From {parts.plain(chosen.source)}. {parts.plain(chosen.write_back)}")
        path = scoring.result_path(context.home, chosen.job)
        frame = _read(str(context.home.root), str(context.home.models), chosen.job, path.stat().st_mtime if path.exists() else 0.0)
        if chosen.by_prediction and definition.is_classifier:
            words = ", ".join(f"{name}: {chosen.by_prediction.get(name, 0)}" for name in definition.classes)
            charts.show_figure(charts_predict.class_bars(chosen.by_prediction, definition.classes), alt=f"Predictions per class: {words}.")
        _show_table(definition, chosen, _filter(definition, frame))
        if path.exists():
            parts.download(
                "All rows as CSV", path.read_bytes, f"{definition.name}_{chosen.at[:10]}_v{chosen.version}.csv", "text/csv",
                key=f"source-download-{chosen.job}",
            )  # fmt: skip


def _filter(definition: Definition, frame: Any) -> Any:
    left, middle, right = st.columns(3)
    if "job_department" in frame:
        wanted = left.multiselect("Department", sorted(set(frame["job_department"])), key="source-department", placeholder="All departments")
        frame = frame[frame["job_department"].isin(wanted)] if wanted else frame
    if definition.is_classifier:
        levels = middle.multiselect("Level", list(definition.classes), key="source-level", placeholder="All levels")
        frame = frame[frame["prediction"].isin(levels)] if levels else frame
    words = right.text_input("Role or skill" if "skill_name" in frame else "Row", key="source-words", placeholder="Part of a name").strip().casefold()
    if words:
        columns = [c for c in ("job_role_name", "skill_name", definition.key) if c and c in frame]
        keep = [any(words in text.casefold() for text in row) for row in frame[columns].itertuples(index=False)]
        frame = frame[keep] if columns else frame
    return frame


def _show_table(definition: Definition, chosen: Scoring, frame: Any) -> None:
    order = "the highest score first" if "score" in frame and frame["score"].notna().any() else "as they were read"
    frame = predict_file.tidy_answers(frame, definition)
    front = [c for c in ([definition.key] if definition.key and "skill_name" not in frame else []) if c in frame]
    front += [c for c in _FRONT if c in frame]
    rest = [c for c in frame.columns if c not in front and not (c == definition.key and "skill_name" in frame)]
    more = f"The first {_SHOWN:,} of " if len(frame) > _SHOWN else ""
    found = f" that were found among {chosen.rows:,}" if len(frame) < chosen.rows else ""
    st.caption(f"{more}{len(frame):,} rows{found}, {order}.")
    titles = {k: v for k, v in _TITLES.items() if k in frame and not (k == "prediction" and "skill_name" not in frame)}
    st.dataframe(
        frame[front + rest].head(_SHOWN).rename(columns=titles), hide_index=True, height=420, key="source-table", alt="The answers",
        column_config={
            "score": st.column_config.NumberColumn("Score", format="%.1f", help=_score_help(definition, "skill_name" in frame)),
            "confidence": st.column_config.NumberColumn("Confidence", format="%.3f", help="Probability of the predicted class."),
            "Why": st.column_config.TextColumn(width="large", help="What each value does, replaced alone by the typical one."),
        },
    )  # fmt: skip


def _score_help(definition: Definition, hr: bool) -> str:
    return "0 to 100: how great the need is, not how sure the model is." if hr else predict_file.say_score(definition)
