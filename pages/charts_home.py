"""Figures of Home: rows in, a plotly figure out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from pages.charts import GO, LOOK, QUIET, SERIES, TEMPLATE


def accuracy_by_day(days: Sequence[Mapping[str, Any]], *, baseline: float | None, floor: float | None) -> go.Figure:
    """Accuracy a day with its 95 % interval; the baseline and the floor as named lines.

    ``days`` as core.scoring.accuracy.daily_accuracy returns them; days without labels are gaps, not zeros.
    """
    figure = go.Figure(
        go.Scatter(
            x=[d["day"] for d in days],
            y=[d["accuracy"] for d in days],
            mode="lines+markers",
            name="Right answers",
            line={"color": GO, "width": 2},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [d["high"] - d["accuracy"] for d in days],
                "arrayminus": [d["accuracy"] - d["low"] for d in days],
                "color": GO,
                "thickness": 1,
                "width": 3,
            },
            customdata=[[d["rows"], d["low"], d["high"]] for d in days],
            hovertemplate=(
                "%{x|%-d %b %Y} (UTC)<br>%{y:.0%} of %{customdata[0]} labelled predictions"
                "<br>95 % interval %{customdata[1]:.0%} to %{customdata[2]:.0%}<extra></extra>"
            ),
        )
    )
    # A word beyond the end of each line, so that nothing is told by colour and dash alone.
    for value, word, colour, dash in ((baseline, "baseline", QUIET, "dot"), (floor, "floor", LOOK, "dash")):
        if value is None:
            continue
        figure.add_hline(y=value, line={"dash": dash, "width": 1, "color": colour})
        text, font = f"{word} {value:.0%}", {"size": 11, "color": colour}
        place = "bottom" if _is_upper(value, baseline, floor) else "top"
        figure.add_annotation(
            x=1, xref="paper", xanchor="left", y=value, yanchor=place, text=text, showarrow=False, font=font
        )  # fmt: skip
    figure.update_xaxes(type="date", tickformat="%-d %b", dtick=_days_apart(days))
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%", title_text="Right answers")
    return figure.update_layout(template=TEMPLATE, showlegend=False, height=280, margin={"l": 8, "r": 96, "t": 16, "b": 8})


def answers_by_class(counts: Mapping[str, int], words: Mapping[str, str] | None = None) -> go.Figure:
    """One bar per predicted class in the order given, with its count and share in words.

    Parameters
    ----------
    words : mapping of str to str, optional
        What to call a class, where its own name says little.
    """
    total = sum(counts.values())
    names = [(words or {}).get(name, name) for name in counts]
    shares = [n / total if total else 0.0 for n in counts.values()]
    figure = go.Figure(
        go.Bar(
            x=list(counts.values()),
            y=[escape(name) for name in names],
            orientation="h",
            text=[f"{n:,} ({share:.0%})".replace(",", "\u202f") for n, share in zip(counts.values(), shares, strict=True)],
            textposition="outside",
            cliponaxis=False,
            marker={"color": [SERIES[i % len(SERIES)] for i in range(len(counts))]},
            hovertemplate="%{y}: %{x} predictions<extra></extra>",
        )
    )
    figure.update_xaxes(range=[0, 1.3 * max([1, *counts.values()])], rangemode="tozero", title_text="Predictions")
    figure.update_yaxes(autorange="reversed", type="category")
    return figure.update_layout(template=TEMPLATE, showlegend=False, height=100 + 38 * max(2, len(counts)))


def _is_upper(value: float, *both: float | None) -> bool:
    known = [v for v in both if v is not None]
    return value >= max(known)


def _days_apart(days: Sequence[Mapping[str, Any]]) -> int | None:
    # Few days would otherwise get ticks at hours.
    return 86_400_000 if 0 < len(days) <= 10 else None
