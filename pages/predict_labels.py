"""Labels: what turned out to be true, fed back by those who may."""

from __future__ import annotations

import streamlit as st

from core.projects.definition import Definition
from core.roles import who_may
from core.scoring import labels, tables
from pages import act, parts
from pages.session import PageContext


def show(context: PageContext, definition: Definition, *, has_predictions: bool) -> None:
    """How right the live answers were, and the upload of more ground truth."""
    assert context.project is not None
    project = context.project.name
    _show_quality(context, definition)
    if not context.account.may("feed_labels"):
        st.caption(f"Labels are fed back by {' or '.join(who_may('feed_labels'))}.")
        return
    if not has_predictions:
        parts.show_empty("There is no prediction yet that a label could belong to.", "Score a file or a case first.")
        return
    by_key = f", or {definition.key} and {definition.target}" if definition.key else ""
    st.markdown(
        f"A table with the columns **prediction\\_id** and **label**{parts.plain(by_key)}. A downloaded result with the true "
        f"**{parts.plain(definition.target)}** in it will do as well. "
        "A label that came before with another value is superseded, not lost."
    )
    parts.download(
        "Template: the newest predictions, label empty",
        lambda: tables.label_template(context.home, project),
        f"{project}_labels.csv",
        "text/csv",
        key="label-template",
    )
    file = st.file_uploader(
        "Labels: CSV or Excel, up to 50 MB", type=["csv", "txt", "tsv", "xlsx"], key=f"label-upload-{project}"
    )
    if file is None:
        return
    form = f"labels-{file.file_id}"
    if st.session_state.get("labels-fed") == file.file_id:
        st.caption("These labels have been kept; choose another file to feed more.")
        return
    if st.button("Keep these labels", type="primary", icon=":material/add_task:", key=form):

        def say(done: dict[str, int]) -> str:
            st.session_state["labels-fed"] = file.file_id
            return (
                f"**{done['new']}** new labels, **{done['corrected']}** corrected, {done['same']} known already, "
                f"{done['unknown']} that no prediction has, {done['unreadable']} without a readable label."
            )

        act.perform(
            form,
            lambda key: labels.feed_labels(context.home, context.actor, project, file.getvalue(), file_name=file.name, key=key),
            say,
        )


def _show_quality(context: PageContext, definition: Definition) -> None:
    assert context.project is not None
    found = labels.live_quality(context.home, context.project.name, now=context.now)
    if found is None:
        st.markdown(":gray[:material/help: Unknown:] no label has come back for the predictions of the last 30 days.")
    elif definition.is_classifier:
        st.markdown(
            f"Of **{found['rows']:,}** predictions of the last 30 days with a label, "
            f"**{100 * found['accuracy']:.0f} of 100** were right "
            f"(95 % interval {100 * found['low']:.0f} to {100 * found['high']:.0f}); always giving their most common answer: "
            f"{100 * found['baseline_accuracy']:.0f}."
        )
    else:
        st.markdown(
            f"**{found['rows']:,}** predictions of the last 30 days with a label were off by **{found['mae']:.3g}** on average; "
            f"always giving the average: {found['baseline_mae']:.3g}."
        )
