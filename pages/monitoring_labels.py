"""Right and wrong answers on the Monitoring page: a confusion matrix whose cells open."""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

import streamlit as st

from core.errors import NotFound
from core.monitoring import quality
from core.projects.projects import get_definition
from core.scoring import log
from pages import charts, charts_monitoring, parts
from pages.classes import class_names
from pages.session import PageContext

CELL = "monitoring-cell"


def show(context: PageContext, project: str, since: datetime, words: str) -> None:
    """The matrix of labelled predictions of the window and the predictions of the chosen cell."""
    definition = get_definition(context.home, project)
    if not definition.is_classifier:
        return
    st.header("Right and wrong answers", anchor=False)
    found = quality.confusion(context.home, project, since, context.now)
    if found is None:
        parts.show_empty(
            f"No label has come back for a prediction of the last {words}.",
            "Labels say what turned out to be true; feed them on Predict, by program or command, or choose a longer window.",
            page="predict", label="Feed labels",
        )  # fmt: skip
        return
    names = class_names(definition)
    cells = {
        f"{i},{j}": (label, predicted, found.matrix[i][j])
        for i, label in enumerate(found.classes) for j, predicted in enumerate(found.classes) if found.matrix[i][j]
    }  # fmt: skip
    wrong = [key for key in cells if len(set(key.split(","))) == 2]
    if st.session_state.get(CELL) not in cells:
        st.session_state[CELL] = max(wrong or cells, key=lambda key: cells[key][2])
    left, right = st.columns([1, 2], gap="medium")
    with left:
        spoken = "; ".join(f"truly {a}, answered {b}: {n}" for a, b, n in cells.values())
        charts.show_figure(
            charts_monitoring.outcomes(found, names), alt=f"Confusion matrix of {found.rows} labelled predictions. {spoken}.",
            key="chart-outcomes", on_select=lambda: _choose(cells, found.classes), selection_mode="points",
        )  # fmt: skip
        st.caption(f"{found.rows} labelled predictions made since {parts.plain(parts.local_time(found.since))} (whole hours).")
    with right:
        chosen = st.selectbox(
            "Predictions that were", list(cells), key=CELL,
            format_func=lambda key: f"truly {names.get(cells[key][0], cells[key][0])}, answered "
            f"{names.get(cells[key][1], cells[key][1])} ({cells[key][2]})",
        )  # fmt: skip
        label, predicted, count = cells[chosen]
        rows = quality.list_cell(context.home, project, label=label, predicted=predicted, since=since, until=context.now)
        _show_rows(context, project, rows, count)


def _choose(cells: dict[str, Any], classes: tuple[str, ...]) -> None:
    """A click on a cell chooses it in the list too; an empty one changes nothing."""
    points = st.session_state["chart-outcomes"]["selection"]["points"]
    place = next((p["customdata"] for p in points if len(p.get("customdata") or ()) == 3), None)
    if place is not None:
        key = f"{classes.index(place[0])},{classes.index(place[1])}"
        if key in cells:
            st.session_state[CELL] = key


def _show_rows(context: PageContext, project: str, rows: list[dict[str, Any]], count: int) -> None:
    shown = [
        {
            "Prediction": r["prediction_id"], "Score": r["score"], "Predicted": parts.local_time(r["predicted_at"]),
            "Labelled by": r["by"], "Version": r["version"],
        }
        for r in rows
    ]  # fmt: skip
    event = st.dataframe(
        shown, hide_index=True, height=min(38 + 35 * len(shown), 290), key="cell-rows", on_select="rerun", selection_mode="single-row",
        column_config={"Score": st.column_config.NumberColumn(format="%.1f")}, placeholder="none",
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        parts.download("These as CSV", lambda: _to_csv(rows), f"{project}_cell.csv", "text/csv", key="cell-csv")
        newest = f"The newest {len(rows)} of {count}. " if len(rows) < count else ""
        st.caption(f"{newest}Choose a row to see what the model saw.", width="content")
    chosen = event["selection"]["rows"]
    if chosen and chosen[0] < len(rows):
        _show_case(context, project, rows[chosen[0]]["prediction_id"])


def _show_case(context: PageContext, project: str, prediction_id: str) -> None:
    try:
        case = log.get_prediction(context.home, project, prediction_id)
    except NotFound as gone:  # its features may have been erased since
        st.info(parts.plain(gone), icon=":material/info:")
        return
    known = [{"What": k.removeprefix("out:"), "Value": "missing" if v is None or v != v else str(v)} for k, v in case.items()]
    st.dataframe(known, hide_index=True, height=290, key="cell-case")


def _to_csv(rows: list[dict[str, Any]]) -> bytes:
    import pandas as pd

    from core.datasets.write import write_csv

    buffer = io.BytesIO()
    write_csv(buffer, pd.DataFrame(rows))
    return buffer.getvalue()
