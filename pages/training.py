"""Training: what is being tried?"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import streamlit as st

from core.datasets import versions
from core.datasets.versions import Dataset
from core.errors import GreenlightError, NotFound
from core.home import Home
from core.jobs import jobs
from core.jobs.jobs import Job
from core.projects import projects
from core.projects.definition import Definition
from core.times import parse, utc_now
from core.training import catalogue, runs
from pages import parts, retraining, sending, training_candidates, training_search
from pages.findings import VERDICTS
from pages.session import PageContext

CAN_RUN_AGAIN = ("failed", "interrupted", "cancelled")
STATES = {
    "queued": "◌ Waiting", "running": "◔ Running", "done": "✓ Done", "failed": "✕ Failed", "cancelled": "■ Cancelled",
    "interrupted": "⚡ Interrupted",
}  # fmt: skip
ACROSS = 3  # cards beside each other


def show(context: PageContext) -> None:
    """The running training, the form of the next, and the history; ``?job=3`` opens one of them, ``?retraining=3`` a retraining."""
    parts.show_title("Training", "What is being tried?")
    if context.project is None:
        parts.show_empty(
            "There is no project yet.", "A project begins with a table of examples.", page="data", label="New project"
        )
        return
    project = context.project.name
    data = versions.list_datasets(context.home, project)
    if not data:
        parts.show_empty("There is nothing to train on yet.", "Add a table of examples first.", page="data", label="Go to Data")
        return
    views = ("Training", "Retraining")
    asked = "Retraining" if "retraining" in st.query_params else "Training"
    if st.segmented_control("View", views, default=asked, required=True, key="training-view", label_visibility="collapsed") == "Retraining":
        retraining.show(context, project)
        return
    sent = sending.show_sent("training")
    if sent and sent.get("run"):
        parts.show_link("comparison", "Compare the candidates", run=str(sent["run"]))
    history = jobs.list_jobs(context.home, project=project, kind="train", now=context.now)
    active = [j.id for j in history if not j.finished]
    if active:
        _watch(context, active)
    definition = projects.get_definition(context.home, project)
    if active:
        with st.expander("Start another training", icon=":material/add:"):
            _show_form(context, definition, data)
    else:
        _show_form(context, definition, data)
    _show_history(context, history, {d.id: d.version for d in data})


# ---- the running job ----


@st.fragment(run_every=1.0)
def _watch(context: PageContext, watched: list[int]) -> None:
    """Only this part asks again every second; when one of the jobs ends, the whole page is drawn once."""
    now = utc_now()
    found = [jobs.get_job(context.home, number, now=now) for number in watched]
    ended = next((j for j in found if j.finished), None)
    if ended is not None:
        text = (ended.outcome or {}).get("sentence") or ended.error or "Nothing but baselines could be trained."
        sentence = f"Training {ended.id} has ended: {STATES[ended.state]}. {parts.plain(text)}"
        look = {"done": "success", "cancelled": "info"}.get(ended.state, "error")
        sending.note_sent("training", sentence, look=look, run=(ended.outcome or {}).get("run"))
        st.rerun()
    for job in found:
        with st.container(border=True):
            _show_progress(context, job)


def _show_progress(context: PageContext, job: Job) -> None:
    status = parts.find_status("waiting" if job.state == "queued" else "running")
    st.markdown(f"{status.markdown} **Training {job.id}**, started by {parts.plain(job.created_by)}")
    if job.state == "queued":
        st.progress(0.0, text="Waits for a free worker; it starts by itself, also when this page is closed.")
    else:
        share = job.share
        how_far = f", {job.done:.0f} of {job.total:.0f} fits" if share is not None and not _is_searching(job) else ""
        st.progress(share or 0.0, text=f"{say_step(job.note)}{how_far}; {_describe_time(job)}")
    if job.cancel_by:
        st.caption(f"{parts.plain(job.cancel_by)} asked to stop; it stops after the fit that is going on.")
    elif st.button(
        "Cancel",
        key=f"training-cancel-{job.id}",
        icon=":material/stop_circle:",
        help="Stops the training; no model of it is kept, only what a search has tried.",
    ):
        with parts.guarded():
            jobs.cancel(context.home, context.actor, job.id, key=sending.request_key("training", "cancel", job.id))
            sending.note_sent("training", f"Training {job.id} was running. Now: asked to stop.")
            st.rerun()


def _describe_time(job: Job) -> str:
    since = f"{duration((utc_now() - parse(job.started_at)).total_seconds())} so far" if job.started_at else "just begun"
    left = f"about {duration(job.seconds_left)} left" if job.seconds_left is not None else "time left not known yet"
    return f"{since}, {left}{' for the search; the fits follow' if _is_searching(job) else ''}"


def _is_searching(job: Job) -> bool:
    return job.note.startswith("search")


def say_step(note: str) -> str:
    """The worker's note for people: candidates by their titles, as the cards call them."""
    name, comma, where = note.partition(",")
    base, searched, _ = name.partition("_searched")
    if comma and catalogue.find_candidate(base) is not None:
        return parts.plain(f"{catalogue.get_candidate(base).title}{' (searched)' if searched else ''},{where}")
    return parts.plain(note[:1].upper() + note[1:] or "Starting")


def duration(seconds: float) -> str:
    """``75`` -> ``1 min 15 s``."""
    whole = max(0, round(seconds))
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


# ---- the form ----


def _show_form(context: PageContext, definition: Definition, data: list[Dataset]) -> None:
    known = catalogue.list_candidates(definition.task)
    usual = catalogue.default_candidates(definition)
    # What came of the button stands beside it, not below all the cards.
    answer = st.container()
    with st.form("training-form", border=False):
        by_version = {d.version: d for d in data}
        able = [i for i, d in enumerate(data) if d.validation["ok"] and d.label_provenance != "model"]
        with st.container(horizontal=True, vertical_alignment="bottom"):
            version = st.selectbox(
                "Data version", list(by_version), index=able[0] if able else 0,
                format_func=lambda n: _describe_data(by_version[n]), key=f"training-data-{definition.name}", width=480,
            )  # fmt: skip
            sent = st.form_submit_button("Start training", type="primary", icon=":material/play_arrow:")
        st.markdown("**Candidates**")
        chosen: list[tuple[str, dict[str, Any]]] = []
        fitting = [c for c in known if not c.available or catalogue.is_applicable(c, definition)]
        fitting += training_candidates.list_allowed(context.home, definition)
        fitting.sort(key=lambda c: not c.available)  # what can be chosen first, what would have to be installed last
        wrong: GreenlightError | None = None
        for begin in range(0, len(fitting), ACROSS):
            for column, candidate in zip(st.columns(ACROSS), fitting[begin : begin + ACROSS], strict=False):
                with column.container(border=True, height="stretch"):
                    if training_candidates.show_card(candidate, definition, candidate.name in usual):
                        try:
                            chosen.append(training_candidates.read_card(candidate, definition))
                        except GreenlightError as error:
                            wrong = wrong or error  # told when the form is sent, not while it is filled in
        search = training_search.show_form(definition, fitting)
        with st.expander("Folds, hold-out and seed", icon=":material/tune:"):
            one, two, three = st.columns(3)
            folds = one.number_input("Folds of the cross-validation", 2, 10, runs.FOLDS, key="training-folds")
            holdout = two.number_input(
                "Hold-out share", 0.05, 0.5, runs.HOLDOUT, 0.05, key="training-holdout",
                help="Rows kept aside until the end; metrics of a version are those on these rows.",
            )  # fmt: skip
            seed = three.number_input(
                "Seed",
                0,
                2**31 - 1,
                runs.SEED,
                key="training-seed",
                help="The same data, settings and seed give the same models.",
            )
    training_candidates.show_propose(context, definition)
    if not sent:
        return
    settings: dict[str, Any] = {
        "dataset_version": version,
        "candidates": chosen,
        "folds": folds,
        "holdout": holdout,
        "seed": seed,
        "search": search,
    }
    if wrong is not None:
        answer.error(parts.plain(wrong), icon=":material/error:")
        return
    with answer, parts.guarded(), st.spinner("Checking the data"):
        key = sending.request_key("training", "start", definition.name, settings)
        made = runs.start_training(context.home, context.actor, definition.name, key=key, **settings)
        sending.note_sent("training", f"Training {made['id']} is on its way; it goes on when you leave this page.")
        st.query_params["job"] = str(made["id"])
        st.rerun()


def _describe_data(dataset: Dataset) -> str:
    verdict = "✕ Labels made by a model" if dataset.label_provenance == "model" else VERDICTS[dataset.validation["verdict"]]
    return f"Version {dataset.version}: {dataset.rows:,} rows, {dataset.file_name} ({verdict})"


# ---- history ----


def _show_history(context: PageContext, history: list[Job], data: dict[int, int]) -> None:
    st.header("History", anchor=False)
    if not history:
        st.markdown("Nothing was trained yet in this project.")
        return
    rows = [
        {
            "Training": j.id, "State": _say_state(j), "Started": parts.local_time(j.created_at), "By": j.created_by,
            "Took": _describe_length(j), "Ran on": _say_place(j), "Data": f"version {data.get(j.params['dataset_id'], '?')}",
            "Candidates": len(j.params["candidates"]), "Outcome": (j.outcome or {}).get("sentence") or j.error or "",
        }
        for j in history
    ]  # fmt: skip
    st.dataframe(
        rows, hide_index=True, height=min(38 + 35 * len(rows), 320), key="training-history", alt="Trainings, newest first"
    )
    known = {j.id: j for j in history}
    wanted = st.query_params.get("job", str(history[0].id))
    if wanted not in map(str, known):
        older = jobs.get_job(context.home, int(wanted)) if wanted.isdecimal() and len(wanted) < 10 else None
        if older is None or (older.project, older.kind) != (history[0].project, "train"):
            raise NotFound(f"This project has no training {wanted[:20]}.")
        known[older.id] = older
    st.session_state["training-job"] = int(wanted)
    if len(history) > 1:
        st.selectbox("Training to look at", list(known), key="training-job", width=220, on_change=_follow_choice)
    _show_job(context, known[int(wanted)], data)


def _say_state(job: Job) -> str:
    """Waiting and running alike are under way: the part above follows them, this one is not drawn anew for each."""
    return STATES[job.state] if job.finished else "◔ Under way"


def _say_place(job: Job) -> str:
    """Where its fits were made, as they noted it; trainings of earlier releases noted nothing."""
    return (job.outcome or {}).get("ran_on") or ("unknown" if job.state == "done" else "")


def _follow_choice() -> None:
    st.query_params["job"] = str(st.session_state["training-job"])


def _show_job(context: PageContext, job: Job, data: dict[int, int]) -> None:
    with st.container(border=True):
        st.markdown(f"**Training {job.id}**: {_say_state(job)}")
        if job.outcome:
            st.markdown(parts.plain(job.outcome.get("sentence") or "Nothing but baselines could be trained."))
        if job.error:
            st.markdown(parts.plain(job.error))
        names = [_say_candidate(name, params) for name, params in job.params["candidates"]]
        names += [f"a search for settings of {_title_of(one['candidate'])}" for one in job.params.get("search", [])]
        where = f" Fitted on {parts.plain(_say_place(job))}." if job.outcome and job.outcome.get("ran_on") else ""
        again = f" Runs training {job.rerun_of} again." if job.rerun_of else ""
        st.caption(
            f"Data version {data.get(job.params['dataset_id'], '?')}, {job.params['folds']} folds, "
            f"hold-out {job.params['holdout']:.0%}, seed {job.params['seed']}; {parts.plain('; '.join(names))}.{where}{again}"
        )
        _show_warnings(context.home, job)
        if job.finished:
            training_search.show_results(context, job)
        if job.outcome and job.outcome.get("run"):
            parts.show_link("comparison", "Compare the candidates", run=str(job.outcome["run"]))
        if job.state in CAN_RUN_AGAIN and st.button("Run again", key=f"training-again-{job.id}", icon=":material/replay:"):
            with parts.guarded():
                made = jobs.rerun(context.home, context.actor, job.id, key=sending.request_key("training", "again", job.id))
                sending.note_sent("training", f"Training {job.id} was {job.state}. Now: training {made['id']} runs it again.")
                st.query_params["job"] = str(made["id"])
                st.rerun()


def _title_of(name: str) -> str:
    known = catalogue.find_candidate(name)
    return name if known is None else known.title


def _say_candidate(name: str, given: dict[str, Any]) -> str:
    """Its title, and its settings by the titles that its card has."""
    known = catalogue.find_candidate(name)
    titles = {} if known is None else {p.name: p.title for p in known.params}
    settings = ", ".join(f"{titles.get(k, k)} {v}" for k, v in given.items())
    return f"{_title_of(name)} ({settings})" if settings else _title_of(name)


def _show_warnings(home: Home, job: Job) -> None:
    run = runs.find_run_of_job(home, job.id) if job.state == "done" else None
    warnings = run.settings.get("warnings", []) if run else []
    if warnings:
        with st.expander(f"Warnings ({len(warnings)})", icon=":material/warning:"):
            for text in warnings:
                st.markdown(f"- {parts.plain(text)}")


def _describe_length(job: Job) -> str:
    if not job.started_at or not job.finished_at:
        return ""
    length: timedelta = parse(job.finished_at) - parse(job.started_at)
    return duration(length.total_seconds())
