"""Labels: what turned out to be true, fed back by those who may."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.numbers import say_number
from core.projects.definition import Definition
from core.roles import who_may
from core.scoring import accuracy, labels, log, tables
from pages import act, parts
from pages.classes import class_names
from pages.session import PageContext

NAMED = 5  # rows that were not kept and are named in the message


def show(context: PageContext, definition: Definition, *, has_predictions: bool) -> None:
    """How right the live answers were, and where more ground truth is fed: a table, or the label of one prediction."""
    assert context.project is not None
    _show_quality(context, definition)
    parts.show_link("trends", "See how it went over time")
    if not context.account.may("feed_labels"):
        st.caption(f"Labels are fed back by {' or '.join(who_may('feed_labels'))}.")
        return
    if not has_predictions:
        parts.show_empty("There is no prediction yet that a label could belong to.", "Score a file or a case first.")
        return
    table, one = st.columns(2, gap="large")
    with table:
        st.markdown("## A table")
        _show_upload(context, definition)
    with one:
        st.markdown("## One prediction")
        _show_one(context, definition)


def _show_upload(context: PageContext, definition: Definition) -> None:
    assert context.project is not None
    project = context.project.name
    by_key = f", or {definition.key} and {definition.target} (the newest prediction of each is meant)" if definition.key else ""
    st.markdown(
        f"A table with the columns **prediction\\_id** and **label**{parts.plain(by_key)}. A downloaded result with the true "
        f"**{parts.plain(definition.target)}** in it will do as well. Labels may come late; rows without one are left alone. "
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

        def say(done: dict[str, Any]) -> str:
            st.session_state["labels-fed"] = file.file_id
            return _say_counts(done)

        act.perform(
            form,
            lambda key: labels.feed_labels(context.home, context.actor, project, file.getvalue(), file_name=file.name, key=key),
            say,
        )


def _say_counts(done: dict[str, Any]) -> str:
    """What became of the rows, the first that were not kept by number."""
    named = "".join(f"\n- Row {p['row']}: {parts.plain(p['problem'])}" for p in done["problems"][:NAMED])
    more = done["unknown"] + done["unreadable"] - min(len(done["problems"]), NAMED)
    return (
        f"**{done['new']}** new labels, **{done['corrected']}** corrected, {done['same']} known already, "
        f"{done['unknown']} that no prediction has, {done['unreadable']} without a readable label, {done['empty']} left empty."
        f"{named}{f'{chr(10)}- and {more} more' if named and more else ''}"
    )


def _show_one(context: PageContext, definition: Definition) -> None:
    """The label of one prediction, found by its id; ``?prediction=`` opens it."""
    assert context.project is not None
    wanted = st.text_input(
        "Prediction id", value=st.query_params.get("prediction", ""), max_chars=80, key=f"label-of-{context.project.name}",
        help="It stands in every result, beside a case that was scored here, and in the answer of the API.",
    ).strip()  # fmt: skip
    if not wanted:
        st.caption("The prediction that a label belongs to is shown here with what it answered.")
        return
    with parts.guarded():
        found = log.get_prediction(context.home, context.project.name, wanted)
        answered = parts.plain(str(found["out:prediction"]))
        when = parts.plain(parts.local_time(str(found["at"])))
        st.markdown(f"Version {parts.plain(found['version'])} answered **{answered}** on {when}.")
        ask_label(context, definition, wanted, place="one")


def ask_label(context: PageContext, definition: Definition, prediction_id: str, *, place: str) -> None:
    """What turned out to be true of one prediction: the label so far, who said so, and the form that adds or corrects it.

    ``place`` is where on the page: the same prediction may be asked about in two.
    """
    assert context.project is not None
    project = context.project.name
    history = labels.find_history(context.home, project, prediction_id)
    for entry in reversed(history):
        word = "Corrected later" if entry["superseded"] else "Label"
        at = parts.plain(parts.local_time(entry["labelled_at"]))
        st.caption(f"{word}: **{parts.plain(entry['label'])}**, by {parts.plain(entry['by'])}, {at}")
    with st.form(f"label-{place}-{prediction_id}", border=True):
        value = _ask_value(definition, f"label-value-{place}-{prediction_id}")
        sent = st.form_submit_button("Correct the label" if history else "Keep this label", icon=":material/add_task:")
    if not sent:
        return
    if value is None:
        st.error("Choose what turned out to be true first.", icon=":material/error:")
        return

    def say(done: dict[str, Any]) -> str:
        if done["same"]:
            return f"The label **{parts.plain(value)}** stood there already."
        return f"The label **{parts.plain(value)}** is kept{' in place of the one before' if done['corrected'] else ''}."

    row = {"prediction_id": prediction_id, "label": value}
    act.perform(
        f"label-{prediction_id}-{value}",
        lambda key: labels.feed_label_rows(context.home, context.actor, project, [row], source="form", key=key),
        say,
    )


def _ask_value(definition: Definition, key: str) -> str | float | None:
    label = f"What turned out to be true ({parts.plain(definition.target)})"
    if not definition.is_classifier:
        return st.number_input(label, value=None, key=key, placeholder="a number")
    words = class_names(definition)
    return st.selectbox(label, definition.classes, index=None, format_func=lambda c: words.get(c, c), key=key)


def _show_quality(context: PageContext, definition: Definition) -> None:
    assert context.project is not None
    found = accuracy.live_quality(context.home, context.project.name, now=context.now)
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
            f"**{found['rows']:,}** predictions of the last 30 days with a label were off by **{say_number(found['mae'], 3)}** on average; "
            f"always giving the average: {say_number(found['baseline_mae'], 3)}."
        )
