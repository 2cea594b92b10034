"""The chosen candidate in detail: one tab for each way of looking at it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from core.home import Home
from core.projects.definition import Definition, Gates
from core.projects.limits import get_gates
from core.registry import comparison
from core.registry.comparison import Comparison, Standing
from core.training import threshold as thresholds
from core.training.results import CandidateResult
from core.training.selection import METRIC_NAMES
from pages import charts_comparison, parts
from pages.charts import show_figure
from pages.classes import class_names

MOST_CURVES = 6


def show_tabs(
    board: Comparison, labels: dict[int, str], standing: Standing, result: CandidateResult, definition: Definition, home: Home
) -> float | None:
    """Draw the open tab; returns the decision threshold to register with (binary), else None."""
    draws: dict[str, Callable[[], Any]] = {"Criteria": lambda: _show_criteria(standing)}
    if definition.is_classifier:
        draws["Confusion matrix"] = lambda: _show_confusion(result, definition)
        for name in ("ROC", "Precision and recall", "Calibration"):
            draws[name] = partial(_show_curves, name, board, labels, standing, definition, home)
        draws["Per class"] = lambda: _show_per_class(result, definition, get_gates(home, definition.name, definition))
    else:
        draws["Predicted and true"] = lambda: _show_answers(result, definition)
    draws["Importances"] = lambda: _show_importances(result, board.metric)
    if definition.task == "binary" and not standing.baseline:
        draws["Decision threshold"] = lambda: _show_threshold(standing, result, definition)
    for tab, draw in zip(st.tabs(list(draws), key="comparison-tabs", on_change="rerun"), draws.values(), strict=True):
        if tab.open:
            with tab:
                draw()
    if definition.task != "binary" or standing.baseline:
        return None
    return float(st.session_state.get(_threshold_name(standing), 0.5))


def _show_criteria(standing: Standing) -> None:
    signs = {True: ":green[:material/check_circle: met]", False: ":orange[:material/cancel: not met]", None: ":gray[no target]"}
    lines = [
        f"{signs[c.met]} **{parts.plain(c.title)}**: {_value(c.value)}{_wanted(c.name, c.target)}" for c in standing.criteria
    ]
    passed = standing.register.passed
    sign = signs[passed].replace("not met", "below the gate").replace("met", "reached") if passed is not None else signs[None]
    if not standing.baseline:
        lines.append(f"{sign} **Register gate**: {parts.plain(standing.register.sentence)}")
    st.markdown("\n".join(f"- {line}" for line in lines))
    if standing.params:
        st.caption("Hyperparameters: " + parts.plain(", ".join(f"{k} {v}" for k, v in standing.params.items())))


def _value(value: float | str | None) -> str:
    return "unknown" if value is None else parts.plain(f"{value:.3f}" if isinstance(value, float) else value)


def _wanted(name: str, target: float | str | None) -> str:
    if not isinstance(target, (int, float)):
        return ""
    return f" (at {'least' if name == 'metric' else 'most'} {target:g})"


def _choose_part(result: CandidateResult, where: str) -> str:
    """Which answers to look at: those on the hold-out, or those to all training rows by models that had not seen them."""
    titles = {
        "holdout": f"Hold-out ({result.holdout.get('rows', 0)} rows)",
        "out_of_fold": f"Cross-validation ({result.out_of_fold.get('rows', 0)} rows)",
    }
    # A calibration curve of few rows is mostly noise, so it starts with the many.
    start = "out_of_fold" if where == "calibration" else "holdout"
    picked = st.segmented_control(
        "Rows", list(titles), default=start, format_func=titles.__getitem__, key=f"comparison-rows-{where}", required=True
    )
    return picked or start


def _show_confusion(result: CandidateResult, definition: Definition) -> None:
    metrics = getattr(result, _choose_part(result, "confusion"))
    names = class_names(definition)
    shown = [names.get(c, c) for c in definition.classes]
    show_figure(
        charts_comparison.confusion(metrics["confusion"], shown), alt="Counts of true class by answer", key="comparison-confusion"
    )
    if definition.task == "binary":
        st.markdown(
            f"Of {metrics['tp'] + metrics['fn']} positives **{metrics['fn']} were missed**; of {metrics['tn'] + metrics['fp']} "
            f"negatives **{metrics['fp']} were false alarms** (threshold 0.5)."
        )


def _show_curves(
    name: str, board: Comparison, labels: dict[int, str], standing: Standing, definition: Definition, home: Home
) -> None:
    part = {"ROC": "roc", "Precision and recall": "precision_recall", "Calibration": "calibration"}[name]
    draw = {"ROC": charts_comparison.roc, "Precision and recall": charts_comparison.precision_recall,
            "Calibration": charts_comparison.calibration}[name]  # fmt: skip
    watched = "1"
    if definition.task == "multiclass":
        watched = st.selectbox("Class against the rest", list(definition.classes), key=f"comparison-class-{part}", width=260)
    where = _choose_part(comparison.find_result(home, standing), part)
    others = [s for s in board.standings if s.candidate_id != standing.candidate_id and s.error is None]
    shown = [standing, *others][:MOST_CURVES]
    curves = {}
    for one in shown:
        found = getattr(comparison.find_result(home, one), where).get("curves", {}).get(watched)
        curves[labels[one.candidate_id]] = found[part] if found else None
    show_figure(draw(curves), alt=f"{name} of {len(curves)} candidates", key=f"comparison-{part}")
    silent = [label for label, curve in curves.items() if curve is None]
    if silent:
        st.caption(f"No curve for {parts.plain(', '.join(silent))}: only one class has rows, or it gives no probabilities.")
    left = len(others) + 1 - len(shown)
    if left > 0:
        st.caption(f"{left} further candidates are not drawn.")


def _show_per_class(result: CandidateResult, definition: Definition, gates: Gates) -> None:
    metrics = getattr(result, _choose_part(result, "class"))
    floor = gates.class_recall_floor
    show_figure(
        charts_comparison.per_class(metrics["per_class"], class_names(definition), floor),
        alt="Precision, recall and F1 of each class", key="comparison-per-class",
    )  # fmt: skip
    small = [c for c, v in metrics["per_class"].items() if v["support"] <= gates.class_floor_rows]
    if small:
        st.caption(
            f"The gate does not judge classes of {gates.class_floor_rows} rows or fewer: "
            f"{parts.plain(', '.join(small))}."
        )


def _show_answers(result: CandidateResult, definition: Definition) -> None:
    if result.holdout_answers is None or not len(result.holdout_answers.target):
        st.markdown("This candidate kept no answers on the hold-out.")
        return
    show_figure(
        charts_comparison.predicted_against_actual(result.holdout_answers, definition.target),
        alt="Predicted against true values on the hold-out", key="comparison-answers",
    )  # fmt: skip
    st.caption(
        f"Hold-out rows, at most {charts_comparison.MOST_POINTS:,} of them drawn; on the dotted line the answer was right."
    )


def _show_importances(result: CandidateResult, metric: str) -> None:
    if not result.importances:
        st.markdown("No importances: this candidate does not look at the columns, or the metric is undefined on the hold-out.")
        return
    show_figure(
        charts_comparison.importances(result.importances, METRIC_NAMES[metric]),
        alt=f"Fall of {METRIC_NAMES[metric]} when each column is shuffled", key="comparison-importances",
    )  # fmt: skip
    if len(result.importances) > charts_comparison.MOST_BARS:
        st.caption(f"The first {charts_comparison.MOST_BARS} of {len(result.importances)} columns; those left out move it less.")
    st.caption(
        f"Importance: how much {METRIC_NAMES[metric]} falls on rows that the model has not seen, when the values of one column are "
        f"shuffled so that they tell nothing (mean of {result.importances[0].repeats} shuffles, line: 95 % interval of that mean). A bar "
        "whose line reaches 0 says that this model can do without the column, not that the column does not matter; of two columns "
        "that say the same, each may look needless."
    )


# ---- decision threshold ----


def _threshold_name(standing: Standing) -> str:
    return f"comparison-chosen-threshold-{standing.candidate_id}"


def _show_threshold(standing: Standing, result: CandidateResult, definition: Definition) -> None:
    if result.answers is None or result.answers.proba is None:
        st.markdown("This candidate gives no probabilities, so there is no threshold to choose.")
        return
    one, two = st.columns(2)
    missed = one.number_input(
        "Cost of one missed positive", 0.0, 1e6, float(definition.costs["false_negative"]), key="comparison-cost-fn",
        help="The project's ratio is the start; those who bear the costs should set it.",
    )  # fmt: skip
    alarm = two.number_input(
        "Cost of one false alarm", 0.0, 1e6, float(definition.costs["false_positive"]), key="comparison-cost-fp"
    )
    truth, proba = result.answers.target, result.answers.proba[:, 1]
    best = thresholds.cheapest(truth, proba, missed, alarm)
    name, slider = _threshold_name(standing), f"comparison-slider-{standing.candidate_id}"
    st.session_state.setdefault(name, 0.5)
    # The slider is gone while another tab is open; what was chosen stays.
    st.session_state[slider] = st.session_state[name]

    def follow() -> None:
        st.session_state[name] = st.session_state[slider]

    def take(value: float) -> None:
        st.session_state[name] = value

    st.slider("Decision threshold: called positive from this probability", 0.001, 0.999, step=0.001, format="%.3f", key=slider,
              on_change=follow)  # fmt: skip
    rounded = min(max(round(best.threshold, 3), 0.001), 0.999)
    with st.container(horizontal=True):
        st.button(f"Take the cheapest ({rounded:.3f})", on_click=take, args=(rounded,), key="comparison-take-cheapest")
        st.button("Back to 0.5", on_click=take, args=(0.5,), key="comparison-take-half")
    chosen = thresholds.cost_at(truth, proba, st.session_state[name], missed, alarm)
    usual = thresholds.cost_at(truth, proba, 0.5, missed, alarm)
    left, middle, right = st.columns(3)
    left.metric("Missed positives", chosen.fn, chosen.fn - usual.fn, delta_color="inverse", delta_description="against 0.5")
    middle.metric("False alarms", chosen.fp, chosen.fp - usual.fp, delta_color="inverse", delta_description="against 0.5")
    right.metric(
        "Cost", f"{chosen.cost:g}", round(chosen.cost - usual.cost, 6), delta_color="inverse", delta_description="against 0.5"
    )
    show_figure(
        charts_comparison.cost_curve(thresholds.cost_curve(truth, proba, missed, alarm), chosen, best, usual),
        alt="Cost of every threshold; the chosen, the cheapest and 0.5 are marked", key="comparison-cost",
    )  # fmt: skip
    text = f"Counted on the {len(truth)} training rows, each answered by a model that had not seen it."
    held = result.holdout_answers
    if held is not None and held.proba is not None:
        there = thresholds.cost_at(held.target, held.proba[:, 1], st.session_state[name], missed, alarm)
        text += (
            f" On the {len(held.target)} hold-out rows the same threshold misses {there.fn} and raises {there.fp} false alarms."
        )
    st.markdown(f"{text} The threshold goes with the version when you register it.")
