"""A file to be scored: what is checked, progress, and the result with problems first."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.deployment import LiveVersion
from core.jobs import jobs
from core.numbers import count_places, say_number
from core.projects import samples
from core.projects.definition import Definition
from core.scoring import job as scoring_job
from core.scoring import tables
from pages import act, charts, charts_predict, parts, predict_suite
from pages.session import PageContext

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 500  # rows of a result on the page; the download has all of them


def show(context: PageContext, definition: Definition, live: LiveVersion | None) -> None:
    """Upload, check, score at once or as a job, and the result; earlier large files below."""
    assert context.project is not None
    if live is not None:
        _show_upload(context, definition, live)
    wanted = st.query_params.get("job")
    if wanted is not None and wanted.isascii() and wanted.isdigit() and len(wanted) < 12:
        with parts.guarded():
            _show_job(context, definition, int(wanted))
    _show_earlier(context)


def _show_upload(context: PageContext, definition: Definition, live: LiveVersion) -> None:
    drop, help_column = st.columns([3, 2], gap="large")
    with help_column:
        _show_checks(definition)
        _show_files(context, definition)
    with drop:
        file = st.file_uploader(
            f"A table for version {live.version}: CSV or Excel, up to 50 MB",
            type=["csv", "txt", "tsv", "xlsx"],
            key=f"predict-upload-{definition.name}",
        )
        if file is None:
            st.session_state.pop("predict-file", None)
            return
        with parts.guarded():
            _show_chosen(context, definition, live, file)
    known = st.session_state.get("predict-file")
    if known is not None and known["summary"]:
        path = tables.now_path(context.home, known["key"])
        _show_result(known["summary"], definition, path, Path(file.name).stem)
        predict_suite.show_suite(context.home, definition.name, path)


def _show_chosen(context: PageContext, definition: Definition, live: LiveVersion, file: Any) -> None:
    """The uploaded file: what was found in it, and the button."""
    known = st.session_state.get("predict-file")
    if known is None or known["file_id"] != file.file_id:
        st.session_state.pop("predict-file", None)  # a file that is refused must not stand beside another one's result
        with st.spinner("Reading the table once through"):
            found = tables.check_table(file.getvalue(), definition, file_name=file.name)
        known = st.session_state["predict-file"] = {
            "file_id": file.file_id,
            "found": found,
            "key": secrets.token_hex(16),
            "summary": None,
        }
    found: tables.TableCheck = known["found"]  # type: ignore[no-redef]
    st.markdown(f":green[:material/check_circle: Readable] {found.rows:,} rows; all {len(found.found)} features are there.")
    renamed = [f"{header} as {name}" for name, header in found.found.items() if name != header]
    if renamed:
        st.caption(f"Read under another name: {parts.plain(', '.join(renamed))}.")
    if found.extra:
        st.caption(
            f"Handed through, not used: {parts.plain(', '.join(found.extra[:20]))}{' and more' if len(found.extra) > 20 else ''}."
        )
    small = found.rows <= tables.AT_ONCE_ROWS
    if not small:
        st.caption(f"More than {tables.AT_ONCE_ROWS:,} rows: scored as a job that goes on when you leave the page.")
    if known["summary"] is not None:
        return
    button = f"Score {found.rows:,} rows with version {live.version}"
    if st.button(button, type="primary", icon=":material/play_arrow:", key=f"score-{known['key']}"):
        (_score_now if small else _start_job)(context, file, known)


def _score_now(context: PageContext, file: Any, known: dict[str, Any]) -> None:
    assert context.project is not None
    bar = st.progress(0.0, f"Scoring {known['found'].rows:,} rows")
    reached = [0.0]

    def note(done: int, total: int) -> None:
        reached[0] = done / total  # the bar itself is moved below: a widget call in the middle could stop the scoring half way

    with parts.guarded():
        summary = tables.score_now(
            context.home,
            context.actor,
            context.project.name,
            file.getvalue(),
            file_name=file.name,
            key=known["key"],
            progress=note,
        )
        known["summary"] = summary.to_dict()
        bar.progress(reached[0] or 1.0, f"{summary.rows:,} of {summary.rows:,} rows")
        st.query_params.pop("job", None)
        st.rerun()


def _start_job(context: PageContext, file: Any, known: dict[str, Any]) -> None:
    assert context.project is not None
    with parts.guarded():
        started = scoring_job.start_scoring(
            context.home, context.actor, context.project.name, file.getvalue(), file_name=file.name, key=known["key"]
        )
        known["summary"] = {}  # its result is shown as the job's
        st.query_params["job"] = str(started["id"])
        st.rerun()


def _show_checks(definition: Definition) -> None:
    with st.expander("What will be checked", icon=":material/rule:"):
        ranges = sum(c.low is not None or c.high is not None for c in definition.features)
        listed = sum(bool(c.allowed) for c in definition.features)
        st.markdown(
            f"- Every feature has a column ({len(definition.features)}); the order does not matter, "
            "other columns are handed through.\n"
            "- A missing value is predicted and listed as a problem of its row.\n"
            f"- {ranges} columns have a plausible range and {listed} a list of known values; "
            "what lies outside is predicted and listed.\n"
            "- Text in a number column counts as missing and is listed; a column without any number refuses the file.\n"
            "- Separator, decimal comma and encoding are recognised."
        )


def _show_files(context: PageContext, definition: Definition) -> None:
    parts.download(
        "Template", lambda: tables.template_csv(definition), f"{definition.name}_template.csv", "text/csv", key="predict-template"
    )
    assert context.project is not None
    folder = context.home.root / "samples" / context.project.name
    shipped = samples.list_scoring_files(context.project.name, folder) if context.project.demo else ()
    if shipped:
        st.caption("Sample tables to try" + (" (synthetic)" if definition.synthetic else "") + ":")
        with st.container(horizontal=True):
            for path in shipped:
                parts.download(path.name, path.read_bytes, path.name, "text/csv", key=f"sample-{path.name}")


def _show_job(context: PageContext, definition: Definition, job_id: int) -> None:
    job = jobs.get_job(context.home, job_id)
    if job.kind != "score" or context.project is None or job.project != context.project.name:
        st.warning(f"Job {job_id} scores no file of this project.", icon=":material/search_off:")
        return
    if not job.finished:
        _follow_job(context, job_id)
        return
    name = parts.plain(job.params["file_name"])
    if job.state == "done" and job.outcome:
        st.markdown(
            f"**{name}**, job {job.id}, scored for {parts.plain(job.created_by)} on "
            f"{parts.plain(parts.local_time(job.finished_at or job.created_at))}."
        )
        path = scoring_job.result_path(context.home, job.id)
        _show_result(job.outcome, definition, path, Path(job.params["file_name"]).stem)
        predict_suite.show_suite(context.home, definition.name, path)
        return
    st.warning(
        f"Job {job.id} ({name}) ended as {job.state}: {parts.plain(job.error or 'no reason was kept')}", icon=":material/warning:"
    )
    if context.account.may("predict") and st.button("Score it again", key=f"rerun-{job.id}", icon=":material/replay:"):

        def say(done: dict[str, Any]) -> str:
            st.query_params["job"] = str(done["id"])
            return f"Job {done['id']} scores {name} again."

        act.perform(f"rerun-{job.id}", lambda key: jobs.rerun(context.home, context.actor, job.id, key=key), say)


@st.fragment(run_every=1.0)
def _follow_job(context: PageContext, job_id: int) -> None:
    """Only this part is drawn again each second; the page stays as it is."""
    job = jobs.get_job(context.home, job_id)
    if job.finished:
        st.rerun()
    with st.container(border=True):
        waits = job.state == "queued"
        left = f", about {_in_words(job.seconds_left)} left" if job.seconds_left is not None else ""
        text = "Waiting for a free worker" if waits else f"{job.note or 'starting'}{left}"
        st.progress(job.share or 0.0, f"{parts.plain(job.params['file_name'])}: {text}")
        if job.cancel_by:
            st.caption(f"{parts.plain(job.cancel_by)} asked to stop it; it ends after the present part.")
        elif st.button("Stop", key=f"stop-{job.id}", icon=":material/stop:", help="What was scored is kept; run again, it goes on from there."):
            with parts.guarded():
                jobs.cancel(context.home, context.actor, job.id, key=act.key_of(f"stop-{job.id}"))
                st.rerun(scope="fragment")
        st.caption("It goes on when you leave this page; find it again under “Earlier large files”.")


def _in_words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


@st.cache_data(max_entries=8, show_spinner=False)
def _read(path: str, changed: float) -> tables.Result:
    return tables.read_result(Path(path), limit=_SHOWN)


def _show_result(summary: dict[str, Any], definition: Definition, path: Path, stem: str) -> None:
    with st.container(border=True), parts.guarded():
        result = _read(str(path), path.stat().st_mtime if path.exists() else 0.0)
        answered, troubled, version, took = st.columns(4)
        answered.metric("Rows answered", f"{summary['rows']:,}")
        share = f"{summary['problem_rows'] / summary['rows']:.1%} of the rows" if summary["problem_rows"] else None
        troubled.metric("Rows with problems", f"{summary['problem_rows']:,}", delta=share, delta_color="off", delta_arrow="off")
        version.metric("Answered by version", summary["version"])
        took.metric("Time", f"{summary['seconds']:.1f} s")
        if summary.get("ran_on", "").startswith("cluster"):
            st.caption(f"Answered on {parts.plain(summary['ran_on'])}; logged here.")
        if summary.get("resumed_rows"):
            st.caption(f"Went on after {summary['resumed_rows']:,} rows that were scored before it was stopped.")
        if summary["by_prediction"]:
            counts = summary["by_prediction"]
            words = ", ".join(f"{name}: {counts.get(name, 0)}" for name in definition.classes)
            _caption_classes(definition)
            charts.show_figure(charts_predict.class_bars(counts, definition.classes), alt=f"Predictions per class: {words}.")
        elif result.counts:
            alt = f"Spread of {result.rows} predicted values from {say_number(result.edges[0])} to {say_number(result.edges[-1])}."
            charts.show_figure(charts_predict.number_bars(result.edges, result.counts), alt=alt)
        with path.open("rb") as file:
            parts.download(
                "All rows as CSV", file.read(), f"{stem}_predictions.csv", "text/csv", key=f"result-{path.parent.name}"
            )
        if result.rows > len(result.frame):
            st.caption(
                f"The first {len(result.frame):,} of {result.rows:,} rows, those with problems first; the download has all."
            )
        else:
            st.caption("Rows with problems come first.")
        shown = tidy_answers(result.frame, definition)
        st.dataframe(
            shown,
            hide_index=True,
            height=min(38 + 35 * max(len(shown), 1), 380),
            column_config={
                "score": st.column_config.NumberColumn(format="%.1f", help=say_score(definition)),
                "confidence": st.column_config.NumberColumn(format="%.3f", help="Probability of the predicted class."),
                "problems": st.column_config.TextColumn(width="large" if result.problem_rows else "small"),
            },
        )


def _caption_classes(definition: Definition) -> None:
    if definition.task == "binary":
        sign = "" if definition.positive[:1] in "<>=!" else "= "
        st.caption(f"1 means {parts.plain(definition.target)} {sign}{parts.plain(definition.positive)}, 0 means not.")


def tidy_answers(frame: pd.DataFrame, definition: Definition) -> pd.DataFrame:
    """Answers without the outputs that this task does not have, and with the decimals that mean something."""
    import pandas as pd

    if definition.is_classifier:
        sure = frame["confidence"]
        # three decimals are shown, and a probability is never rounded up to certainty
        frame = frame.assign(confidence=sure.where((sure < 0.9995) | (sure >= 1.0) | sure.isna(), 0.999))
        return frame.drop(columns=[c for c in ("score", "confidence") if frame[c].isna().all()])
    numbers = pd.to_numeric(frame["prediction"], errors="coerce")
    places = count_places(float(numbers.abs().max()), 5)
    return frame.drop(columns=["score", "confidence"]).assign(prediction=numbers.round(places))


def say_score(definition: Definition) -> str:
    """What a score is in this project."""
    if definition.task == "binary":
        return "0 to 100: probability of 1, times 100."
    if definition.task == "multiclass":
        return "0 to 100: rises with the probability of the higher classes; empty where classes have no order."
    return "The model's value."


def _show_earlier(context: PageContext) -> None:
    assert context.project is not None
    earlier = jobs.list_jobs(context.home, project=context.project.name, kind="score", limit=20)
    if not earlier:
        return
    with st.expander(f"Earlier large files ({len(earlier)})", icon=":material/history:"):
        for job in earlier:
            state = parts.find_status(job.state)
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(
                    f"{state.markdown} job {job.id}: {parts.plain(job.params['file_name'])}, {parts.plain(job.created_by)}, "
                    f"{parts.plain(parts.local_time(job.created_at))}"
                )
                if st.button("Open", key=f"open-job-{job.id}", help=f"Open job {job.id}"):
                    st.query_params["job"] = str(job.id)
                    st.rerun()
