"""Predict: what does the model say about these rows?"""

from __future__ import annotations

import streamlit as st

from core import deployment, roles
from core.projects.projects import get_definition
from core.registry.versions import get_version
from core.scoring import log, tables
from pages import act, parts, predict_case, predict_file, predict_labels, predict_source
from pages.session import PageContext


def show(context: PageContext) -> None:
    """A file or one case to the live version, labels that came back, and what was logged."""
    parts.show_title("Predict", "What does the model say about these rows?")
    act.show_said()
    if context.project is None:
        parts.show_empty(
            "There is no project yet.", "Predictions need a project with a live version.", page="data", label="Go to Data"
        )
        return
    name = context.project.name
    live = deployment.find_live(context.home, name)
    groups = log.list_groups(context.home, name, limit=100)
    if live is None and not groups and "job" not in st.query_params:
        _show_nothing_live()
        return
    definition = get_definition(
        context.home, name, get_version(context.home, name, live.version).definition_sha if live else None
    )
    opened = "Labels" if "prediction" in st.query_params else None  # a link to one prediction is about its label
    title, origin = predict_source.find_title(context, definition)
    names = ["A file", "One case", *([title] if origin else []), "Labels", "Logged"]
    if "source" in st.query_params and origin:
        opened = title
    file, case, *between, labels, logged = st.tabs(names, default=opened)
    for tab in between:
        with tab:
            assert origin is not None
            predict_source.show(context, definition, live, origin)
    with file:
        if live is None:
            _show_nothing_live()
        predict_file.show(context, definition, live)
    with case:
        if live is None:
            _show_nothing_live()
        else:
            predict_case.show(context, definition, live)
    with labels:
        predict_labels.show(context, definition, has_predictions=bool(groups))
    with logged:
        _show_logged(context, groups)


def _show_nothing_live() -> None:
    step = "A version is requested, approved by a DRH manager and deployed by DevOps; then it answers here."
    parts.show_empty("No version is live, so nothing can be predicted.", step, page="registry", label="Go to Registry")


def _show_logged(context: PageContext, groups: list[dict[str, object]]) -> None:
    assert context.project is not None
    if not groups:
        parts.show_empty(
            "Nothing was predicted yet.", "Every prediction is logged with all its features before its answer is shown."
        )
        return
    project = context.project.name
    shown = "The newest 100 groups of rows" if len(groups) == 100 else "Every group of rows"
    st.caption(f"{shown} that was scored; a large file is logged in several groups.")
    st.dataframe(
        [
            {
                "When": parts.local_time(str(g["at"])),
                "Version": g["version"],
                "Rows": g["rows"],
                "With problems": g["problem_rows"],
                "By": g["caller"],
                "Source": g["source"],
                "Milliseconds": g["latency_ms"],
                "Request": g["request_id"],
            }
            for g in groups
        ],
        hide_index=True,
        height=min(38 + 35 * len(groups), 420),
        column_config={"Milliseconds": st.column_config.NumberColumn(format="%.1f")},
    )
    if not context.account.may("export_dataset"):
        st.caption(f"Downloading the log is for: {', '.join(roles.who_may('export_dataset'))}.")
        return
    parts.download(
        "predictions_monitoring.jsonl",
        lambda: tables.export_log(context.home, context.actor, project),
        "predictions_monitoring.jsonl",
        "application/x-ndjson",
        key="log-export",
    )
    st.caption("The download holds every logged prediction of the project, one JSON line each.")
