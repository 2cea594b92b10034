"""Comparison: which one is really better?"""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import streamlit as st

from core.errors import NotFound
from core.numbers import count_places, say_places
from core.projects import projects
from core.projects.definition import Definition
from core.registry import comparison, versions
from core.registry.cards import comparison_page
from core.registry.comparison import Comparison, Standing
from core.registry.versions import Version
from core.training import runs
from core.training.runs import Run
from core.training.selection import METRIC_NAMES, RULE
from pages import charts_comparison, comparison_tabs, parts, sending
from pages.charts import show_figure
from pages.session import PageContext

TITLES = {
    "accuracy": "Accuracy", "balanced_accuracy": "Balanced", "f1": "F1", "auc": "AUC", "precision": "Precision",
    "recall": "Recall", "mae": "MAE", "rmse": "RMSE", "mse": "MSE", "r2": "R2", "ndcg": "NDCG",
    "ndcg_at_10": "NDCG@10", "mrr": "MRR", "retrieval_specificity": "Specificity",
}  # fmt: skip
HELP = {
    "multiclass": {
        "balanced_accuracy": "Mean recall of the classes: each class counts alike, however rare it is.",
        "f1": "Mean over the classes: each counts alike, however rare it is.",
        "auc": "Each class against the rest, mean over the classes.",
        "precision": "Mean over the classes; unknown where a class was never answered.",
        "recall": "Mean over the classes: each counts alike, however rare it is.",
    },
    "binary": {"balanced_accuracy": "Mean recall of both classes.", "precision": "Unknown where nothing was called positive."},
    "regression": {"r2": "1 is perfect; 0 is no better than always answering the mean.", "mae": "By how much it is off on average.",
                   "rmse": "As MAE, with large errors counting more.", "mse": "The square of RMSE."},
}  # fmt: skip
GATE = {True: "✓ reached", False: "✕ below", None: "not set"}
COLUMNS = {
    "binary": ("accuracy", "balanced_accuracy", "f1", "auc", "precision", "recall"),
    "multiclass": ("accuracy", "balanced_accuracy", "f1", "auc", "precision", "recall"),
    "regression": ("r2", "mae", "rmse", "mse"),
    "ranking": ("ndcg", "ndcg_at_10", "mrr", "retrieval_specificity", "mae", "rmse", "r2"),
}


def show(context: PageContext) -> None:
    """The verdict, the leaderboard, and the chosen candidate in detail; ``?run=2`` opens one run."""
    parts.show_title("Comparison", "Which one is really better?")
    if context.project is None:
        parts.show_empty(
            "There is no project yet.", "A project begins with a table of examples.", page="data", label="New project"
        )
        return
    found = runs.list_runs(context.home, context.project.name)
    if not found:
        parts.show_empty("Nothing was trained yet in this project.", "A training tries several candidates on the same rows.",
                         page="training", label="Go to Training")  # fmt: skip
        return
    sent = sending.show_sent("comparison")
    if sent:
        parts.show_link("registry", "Open it in the Registry", version=str(sent["version"]))
    definition = projects.get_definition(context.home, context.project.name)
    registered = versions.list_versions(context.home, context.project.name)
    chosen_runs, chosen_versions = _choose(context, found, registered)
    if not chosen_runs and not chosen_versions:
        st.info("Choose at least one run or version.", icon=":material/info:")
        return
    for run in chosen_runs[:1] if len(chosen_runs) == 1 else chosen_runs:
        _show_verdict(context, run, named=len(chosen_runs) > 1)
    board = comparison.compare_candidates(
        context.home, context.project.name, [r.id for r in chosen_runs], [v.version for v in chosen_versions]
    )
    labels = _label(board)
    _show_leaderboard(board, labels, definition)
    _show_downloads(context, board, labels, definition, chosen_runs)
    metric = METRIC_NAMES[board.metric]
    able = [s for s in board.standings if s.error is None]
    show_figure(
        charts_comparison.intervals([labels[s.candidate_id] for s in able], able, metric),
        alt=f"{metric} of each candidate with its 95 % interval", key="comparison-intervals",
    )  # fmt: skip
    _show_one(context, board, labels, definition)


# ---- what is compared ----


def _choose(context: PageContext, found: list[Run], registered: list[Version]) -> tuple[list[Run], list[Version]]:
    by_id = {r.id: r for r in found}
    wanted = st.query_params.get("run", "")
    if wanted and wanted not in map(str, by_id):
        older = runs.get_run(context.home, int(wanted)) if wanted.isdecimal() and len(wanted) < 10 else None
        if older is None or older.project != found[0].project:
            raise NotFound(f"This project has no run {wanted[:20]}.")
        by_id[older.id] = older
    start = int(wanted) if wanted else found[0].id
    by_version = {v.version: v for v in registered}
    linked = st.query_params.get("version", "")
    options = [*(("run", str(r.id)) for r in by_id.values()), *(("version", v) for v in by_version)]
    default = [("version", linked)] if linked in by_version and not wanted else [("run", str(start))]
    picked = st.multiselect(
        "Runs and versions to compare", options, default, key=f"comparison-choice-{found[0].project}-{wanted}-{linked}",
        format_func=lambda o: _describe_run(by_id[int(o[1])]) if o[0] == "run" else _describe_version(by_version[o[1]]),
    )  # fmt: skip
    return [by_id[int(n)] for kind, n in picked if kind == "run"], [by_version[n] for kind, n in picked if kind == "version"]


def _describe_run(run: Run) -> str:
    return f"Run {run.id} ({parts.local_time(run.finished_at)})"


def _describe_version(version: Version) -> str:
    return f"Version {version.version} ({version.summary.get('title', '')})"


def _show_verdict(context: PageContext, run: Run, *, named: bool) -> None:
    sentences = comparison.verdict(context.home, run)
    status = parts.find_status("ok" if run.choice else "unknown")
    sign = f":{status.colour}[{status.icon}]"
    head = f"**Run {run.id}.** " if named else ""
    text = " ".join([f"**{parts.plain(sentences[0])}**", *(parts.plain(s) for s in sentences[1:])])
    st.markdown(f"{sign} {head}{text}", help=RULE)


def _label(board: Comparison) -> dict[int, str]:
    """What each standing is called: its title, with hyperparameter sets and runs apart where the title is not enough."""
    several = len({s.run_id for s in board.standings}) > 1
    titles = [(s.run_id, s.title) for s in board.standings]
    labels = {}
    for s in board.standings:
        name = s.title if titles.count((s.run_id, s.title)) == 1 else f"{s.title} [{s.name}]"
        labels[s.candidate_id] = f"{name}, run {s.run_id}" if several else name
    return labels


# ---- leaderboard ----


def leaderboard_rows(board: Comparison, labels: dict[int, str], task: str) -> list[dict[str, Any]]:
    """One plain row per candidate; metrics on the hold-out, the CV columns over the folds."""
    metric, rows = METRIC_NAMES[board.metric], []
    for s in board.standings:
        met, judged = s.criteria_met
        note = "baseline" if s.baseline else "failed" if s.error else "✓ choice" if s.chosen else ""
        found = s.holdout_intervals.get(board.metric)
        interval = (found.low, found.high) if found and found.low is not None and found.high is not None else None
        rows.append(
            {
                "Candidate": labels[s.candidate_id], "Note": note,
                **{TITLES[name]: s.holdout.get(name) for name in COLUMNS[task]},
                f"{metric} 95 %": " to ".join(say_places(v, 2) for v in interval) if interval else "",
                f"CV {metric}": s.cv_mean, "CV std": s.cv_std, "Fit": s.fit_seconds, "Criteria": f"{met} of {judged}",
                "Register gate": "" if s.baseline else GATE[s.register.passed],
                "Version": ", ".join(s.versions), "Run": s.run_id,
            }
        )  # fmt: skip
    return rows


def _show_leaderboard(board: Comparison, labels: dict[int, str], definition: Definition) -> None:
    rows = leaderboard_rows(board, labels, definition.task)
    metric = METRIC_NAMES[board.metric]
    numbers = {
        TITLES[n]: st.column_config.NumberColumn(format=_form(rows, TITLES[n]), help=HELP.get(definition.task, {}).get(n))
        for n in COLUMNS[definition.task]
    }
    st.dataframe(
        rows, hide_index=True, key="comparison-board", alt="Candidates, the best mean over folds first", placeholder="unknown",
        column_config={
            **numbers, f"CV {metric}": st.column_config.NumberColumn(format="%.3f", help="Mean over the folds"),
            "CV std": st.column_config.NumberColumn(format="%.3f"), "Fit": st.column_config.NumberColumn(format="%.2f s"),
            "Candidate": st.column_config.TextColumn(pinned=True), "Note": st.column_config.TextColumn(width=95),
        },
    )  # fmt: skip
    rows_out = next((s.holdout.get("rows") for s in board.standings if s.holdout), None)
    st.caption(
        f"Metrics on the hold-out ({rows_out} rows that no candidate was fitted on), CV over the folds of the other rows; "
        "the order follows CV."
    )
    if not board.same_rows:
        st.markdown(":orange[:material/warning: Different rows]: these runs differ in data, hold-out, folds or seed, so small "
                    "differences between them mean little.")  # fmt: skip
    for s in board.standings:
        if s.error:
            st.markdown(
                f":red[:material/error: {parts.plain(labels[s.candidate_id])}] could not be trained: {parts.plain(s.error)}"
            )


def _form(rows: list[dict[str, Any]], title: str) -> str:
    """Three decimals, and fewer for an error in thousands, whose decimals mean nothing."""
    largest = max((abs(r[title]) for r in rows if r[title] is not None), default=0.0)
    return f"%.{min(3, count_places(largest, 5)) if largest else 3}f"


def _show_downloads(
    context: PageContext, board: Comparison, labels: dict[int, str], definition: Definition, chosen: list[Run]
) -> None:
    with st.container(horizontal=True):
        for run in chosen:
            name = "MODEL_COMPARISON.md" if len(chosen) == 1 else f"MODEL_COMPARISON_run_{run.id}.md"
            parts.download(
                name, partial(comparison_page, context.home, run), name, "text/markdown", key=f"comparison-md-{run.id}"
            )
        parts.download(
            "Leaderboard as CSV", lambda: _as_csv(leaderboard_rows(board, labels, definition.task)),
            f"{definition.name}_leaderboard.csv", "text/csv", key="comparison-csv",
        )  # fmt: skip


def _as_csv(rows: list[dict[str, Any]]) -> bytes:
    import pandas as pd

    from core.datasets.write import write_csv

    buffer = io.BytesIO()
    write_csv(buffer, pd.DataFrame(rows))
    return buffer.getvalue()


# ---- one candidate ----


def _show_one(context: PageContext, board: Comparison, labels: dict[int, str], definition: Definition) -> None:
    able = [s for s in board.standings if s.error is None]
    if not able:
        return
    start = next((i for i, s in enumerate(able) if s.chosen), 0)
    ids = [s.candidate_id for s in able]
    picked = st.selectbox(
        "Candidate to look at", ids, index=start, format_func=labels.__getitem__, width=420,
        key="comparison-candidate-" + "-".join(map(str, sorted(ids))),
    )  # fmt: skip
    standing = next(s for s in able if s.candidate_id == picked)
    result = comparison.find_result(context.home, standing)
    threshold = comparison_tabs.show_tabs(board, labels, standing, result, definition, context.home)
    _show_register(context, standing, labels[picked], definition, threshold)


def _show_register(context: PageContext, s: Standing, label: str, definition: Definition, threshold: float | None) -> None:
    st.header("Register", anchor=False)
    if s.versions:
        st.markdown(f"{parts.find_status('done').markdown}: this candidate is version **{', '.join(s.versions)}**.")
        parts.show_link("registry", "Open it in the Registry", version=s.versions[0])
    if s.baseline:
        st.markdown("The baseline stands beside every model and is never released: choose another candidate to register.")
        return
    if s.register.passed is False:
        st.markdown(
            f"{parts.find_status('refused').markdown} {parts.plain(label)} cannot be registered: "
            f"{parts.plain(s.register.sentence)}"
        )
        return
    if not context.account.may("register"):
        st.caption("Data scientists and DevOps register candidates.")
        return
    taken = [v for v in versions.list_versions(context.home, definition.name) if v.candidate_id == s.candidate_id]
    if any(v.threshold == threshold for v in taken):
        if definition.task == "binary":
            st.caption("It can be registered once more with another decision threshold: choose one in that tab.")
        return
    with st.form(f"comparison-register-{s.candidate_id}"):
        st.markdown(
            f"**{parts.plain(label)}** of run {s.run_id} becomes a version: evaluated, signed and kept, ready for a "
            "release request. Nothing goes live by it."
            + (f" It decides from a probability of **{threshold:.3f}**." if threshold is not None else "")
        )
        number = st.text_input("Version", key=f"comparison-version-{s.candidate_id}", placeholder="automatic", max_chars=20,
                               help="Three numbers such as 1.2.0; empty takes the next one.")  # fmt: skip
        notes = st.text_area("Notes", key=f"comparison-notes-{s.candidate_id}", max_chars=2000, height=80)
        sent = st.form_submit_button("Register", type="primary", icon=":material/app_registration:")
    if not sent:
        return
    with parts.guarded(), st.spinner("Evaluating and signing"):
        wanted = number.strip() or None
        # 0.5 is what everybody takes for granted, so it is not a choice that has to be written down.
        chosen = None if threshold in (None, 0.5) else threshold
        key = sending.request_key("comparison", "register", s.candidate_id, wanted, chosen, notes)
        made = versions.register(
            context.home, context.actor, s.candidate_id, version=wanted, threshold=chosen, notes=notes, key=key
        )
        before = f"version {s.versions[0]}" if s.versions else "not registered"
        sentence = f"{parts.plain(label)} was {before}. Now: **version {made['version']}**, in stage validation."
        sending.note_sent("comparison", sentence, version=made["version"])
        st.rerun()
