"""Figures of a dataset: a profile in (core.datasets.profile), a plotly figure out."""

from __future__ import annotations

import itertools
from html import escape
from typing import Any

import plotly.graph_objects as go

from core.numbers import say_number
from pages.charts import GO, LOOK, QUIET, TEMPLATE


def column_histogram(name: str, column: dict[str, Any], low: float | None = None, high: float | None = None) -> go.Figure:
    """How the values of one column are spread; the plausible range, where one is set, as lines."""
    figure = go.Figure()
    histogram = column.get("histogram")
    if column["kind"] == "number" and histogram:
        edges, counts = histogram["edges"], histogram["counts"]
        ends = list(itertools.pairwise(edges))
        figure.add_bar(
            x=[(a + b) / 2 for a, b in ends],
            y=counts,
            width=[(b - a) * 0.94 for a, b in ends],
            marker={"color": GO},
            customdata=[f"{say_number(a)} to {say_number(b)}" for a, b in ends],
            hovertemplate="%{customdata}: %{y} rows<extra></extra>",
        )
        for limit, word in ((low, "lowest plausible"), (high, "highest plausible")):
            if limit is not None and edges[0] <= limit <= edges[-1]:
                figure.add_vline(x=limit, line={"dash": "dash", "width": 1, "color": LOOK}, annotation_text=word)
        unit = f" ({escape(column['unit'])})" if column.get("unit") else ""
        figure.update_xaxes(title_text=escape(name) + unit)
    else:
        bars = [(str(v["value"]), v["count"]) for v in column.get("top", ())]
        if column.get("other"):
            bars.append(("(all further values)", column["other"]))
        figure.add_bar(
            x=[escape(label) for label, _ in bars],
            y=[count for _, count in bars],
            marker={"color": GO},
            hovertemplate="%{x}: %{y} rows<extra></extra>",
        )
        figure.update_xaxes(type="category", title_text=escape(name))
    figure.update_yaxes(title_text="Rows", rangemode="tozero")
    return figure.update_layout(template=TEMPLATE, showlegend=False, height=280, bargap=0.15)


def class_balance(classes: dict[str, int], names: dict[str, str] | None = None) -> go.Figure:
    """Rows of each class with their share; a class without rows is there, and says 0."""
    total = sum(classes.values()) or 1
    shown = [escape((names or {}).get(name, name)) for name in classes]
    figure = go.Figure(
        go.Bar(
            x=list(classes.values()),
            y=shown,
            orientation="h",
            text=[f"{count:,} ({count / total:.0%})".replace(",", "\u202f") for count in classes.values()],
            textposition="outside",
            cliponaxis=False,
            marker={"color": [GO if count else QUIET for count in classes.values()]},
            hovertemplate="%{y}: %{x} rows<extra></extra>",
        )
    )
    figure.update_xaxes(title_text="Rows", range=[0, 1.5 * max([*classes.values(), 1])])
    figure.update_yaxes(type="category", autorange="reversed")
    return figure.update_layout(template=TEMPLATE, showlegend=False, height=120 + 34 * len(classes))
