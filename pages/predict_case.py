"""One case: a form made from the project's schema, and the answer in words."""

from __future__ import annotations

import re
from typing import Any

import streamlit as st

from core.adapters import shap_values
from core.adapters.optional import LIBRARIES
from core.deployment import LiveVersion
from core.numbers import say_number
from core.projects.definition import Column, Definition
from core.registry.versions import get_version
from core.scoring import explain as explaining
from core.scoring import predict
from core.scoring.scorer import load_scorer
from pages import charts, charts_predict, parts, predict_file, predict_labels
from pages.classes import class_names
from pages.session import PageContext

_MOST_MISSING = 3  # named one by one


def show(context: PageContext, definition: Definition, live: LiveVersion) -> None:
    """The form on the left, the answer on the right. A field that stays empty is a missing value; that is allowed."""
    assert context.project is not None
    form, answer = st.columns(2, gap="large")
    name = f"case-{context.project.name}-{live.version}"
    with form:
        st.caption("Leave empty what is not known; it is predicted as missing and said so.")
        with st.form(name, border=True):
            columns = st.columns(2)
            row = {c.name: _ask(columns[place % 2], c, f"{name}-{c.name}") for place, c in enumerate(definition.features)}
            sent = st.form_submit_button("Score this case", type="primary", icon=":material/play_arrow:")
    state = f"answer-{name}"
    if sent:
        known = st.session_state.get(state)
        if (
            known is None or known["row"] != row
        ):  # the same case twice is one prediction, so that a double click is not logged twice
            with parts.guarded(), st.spinner("Asking the model"):
                st.session_state[state] = _score(context, row)
    with answer:
        known = st.session_state.get(state)
        if known is None:
            st.markdown(":gray[The answer will stand here.]")
        else:
            if known["row"] != row:
                st.caption(":material/edit: The form has changed since this answer.")
            _show_answer(context, definition, known)


def _score(context: PageContext, row: dict[str, Any]) -> dict[str, Any]:
    assert context.project is not None
    given = predict.predict_rows(context.home, context.actor, context.project.name, [row], source="form")
    outputs = given.outputs.iloc[0].to_dict()
    probabilities = None if given.probabilities is None else [float(p) for p in given.probabilities[0]]
    return {"row": row, "version": given.version, "outputs": outputs, "probabilities": probabilities}


def _ask(place: Any, column: Column, key: str) -> Any:
    """One widget of the form; None where nothing was entered."""
    label = _label(f"{column.name} ({column.unit})" if column.unit else column.name)
    span = _span(column)
    note = " ".join(t for t in (parts.plain(column.help), f"Usual: {span}." if span else "") if t) or None
    if column.kind == "category" and column.allowed:
        return place.selectbox(label, column.allowed, index=None, placeholder="missing", help=note, key=key)
    if column.kind == "category":
        return place.text_input(label, placeholder="missing", help=note, key=key, max_chars=200).strip() or None
    step, form = (1, "%d") if column.integer else (None, None)
    return place.number_input(label, value=None, step=step, format=form, placeholder=span or "missing", help=note, key=key)


def _label(text: str) -> str:
    """A label that reads as Markdown shows it: signs that mean nothing there stay bare, because screen readers get them too."""
    return text if re.fullmatch(r"[^\W_][\w .,/%()-]*", text) else parts.plain(text)


def _span(column: Column) -> str:
    low, high = column.low, column.high
    if low is not None and high is not None:
        return f"{low:,.10g} to {high:,.10g}"
    if low is not None:
        return f"from {low:,.10g}"
    return f"up to {high:,.10g}" if high is not None else ""


def _show_answer(context: PageContext, definition: Definition, known: dict[str, Any]) -> None:
    outputs, probabilities = known["outputs"], known["probabilities"]
    with st.container(border=True):
        st.markdown(f"## {_say(definition, outputs)}")
        scored = definition.is_classifier and outputs["score"] == outputs["score"]  # not NaN: classes without an order have no score
        sure = outputs["confidence"] == outputs["confidence"]
        places = iter(st.columns(2) if scored or sure else ())
        if scored:
            next(places).metric("Score", f"{outputs['score']:.1f}", help=predict_file.say_score(definition))
        if sure:
            shown = charts_predict.say_share(outputs["confidence"])
            next(places).metric("Confidence", shown, help="Probability of the predicted class.")
        if probabilities:
            titles = class_names(definition)
            names = [titles.get(c, c) for c in definition.classes]
            words = ", ".join(f"{c} {charts_predict.say_share(p)}" for c, p in zip(names, probabilities, strict=True))
            charts.show_figure(charts_predict.probability_bars(names, probabilities), alt=f"Probabilities: {words}.")
        if definition.task == "regression":
            st.markdown(_say_error(context, known["version"]))
        problems = _list_problems(definition, known)
        if problems:
            st.markdown(":orange[:material/warning: **Answered all the same, but note:**]")
            st.markdown("\n".join(f"- {parts.plain(p)}" for p in problems))
        else:
            st.markdown(":green[:material/check_circle:] No value is missing, unknown or outside its usual range.")
        st.caption(f"Version {parts.plain(known['version'])}, logged as {parts.plain(outputs['prediction_id'])}.")
    with st.expander("Why? What each value does", icon=":material/lightbulb:"), parts.guarded():
        _show_why(context, known)
    if context.account.may("feed_labels"):
        with st.expander("What turned out to be true?", icon=":material/add_task:"):
            predict_labels.ask_label(context, definition, str(outputs["prediction_id"]), place="case")


def _say_error(context: PageContext, version: str) -> str:
    """How far off to expect an answered number to be, as it was measured when the version was trained."""
    assert context.project is not None
    held = get_version(context.home, context.project.name, version).summary.get("holdout") or {}
    if held.get("mae") is None or not held.get("rows"):
        return ":gray[:material/help: How far off it may be is not known.]"
    return f"On {held['rows']:,} rows that it had never seen it was off by **{say_number(held['mae'], 3)}** on average."


def _list_problems(definition: Definition, known: dict[str, Any]) -> list[str]:
    """The problems of the row, one sentence each; of a form that is mostly empty all that is missing in one."""
    problems = [p for p in str(known["outputs"]["problems"]).split("; ") if p]
    missing = [c.name for c in definition.features if known["row"].get(c.name) is None and f"{c.name} is missing" in problems]
    if len(missing) <= _MOST_MISSING:
        return problems
    told = {f"{name} is missing" for name in missing}
    return [*(p for p in problems if p not in told), f"{len(missing)} values are missing: {', '.join(missing)}"]


def _say(definition: Definition, outputs: dict[str, Any]) -> str:
    target, answer = parts.plain(definition.target), outputs["prediction"]
    if definition.task == "binary":
        sign = "" if definition.positive[:1] in "<>=!" else "= "
        event = f"{target} {sign}{parts.plain(definition.positive)}"
        return f"Yes: {event} is predicted" if answer == "1" else f"No: {event} is not predicted"
    return f"{target}: {parts.plain(answer if definition.is_classifier else say_number(float(answer)))}"


def _show_why(context: PageContext, known: dict[str, Any]) -> None:
    assert context.project is not None
    scorer = load_scorer(context.home, context.project.name, known["version"])
    if "why" not in known:
        with st.spinner("Taking the answer apart"):
            known["why"] = explaining.explain(context.home, scorer, [known["row"]])[0]
    explanation: explaining.Explanation = known["why"]
    words = [parts.plain(s) for s in explaining.describe(explanation)]
    st.markdown("\n".join(f"- {s}" for s in words))
    charts.show_figure(charts_predict.contribution_steps(explanation), alt=" ".join(words), key="case-why")
    sampled = explanation.method.startswith(explaining.SAMPLING)
    st.caption(
        "From the average answer to this one, step by step. That says what the model does with the values, not what they cause. "
        f"{'It is an estimate: steps of nearly one size may change places. ' if sampled else ''}"
        f"Method: {parts.plain(explanation.method)}; compared with {parts.plain(explanation.background)}."
    )
    if not sampled:
        return
    if not shap_values.is_possible():
        st.caption(f"A second opinion by SHAP needs a library: `{LIBRARIES['shap'].install}`.")
    elif st.button("Explain in depth with SHAP", icon=":material/troubleshoot:"):
        with st.spinner("SHAP is computing; its first answer takes some seconds"):
            known["why"] = shap_values.explain_rows(context.home, scorer, [known["row"]])[0]
        st.rerun()
