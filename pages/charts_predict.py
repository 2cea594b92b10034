"""Figures of predictions: how many of each class, how numbers are spread, how sure one answer is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from textwrap import wrap

import plotly.graph_objects as go

from core.numbers import say_number, say_places
from core.scoring.explain import Explanation, name_value, places_of, scale_of
from pages.charts import GO, LOOK, QUIET, SERIES, TEMPLATE


def class_bars(counts: Mapping[str, int], classes: Sequence[str]) -> go.Figure:
    """Predictions per class, in the project's order; a class that was never answered is shown with 0."""
    total = sum(counts.values())
    names = [*classes, *(c for c in counts if c not in classes)]
    values = [counts.get(name, 0) for name in names]
    texts = [f"{n:,} ({n / total:.0%})".replace(",", "\u202f") if total else "0" for n in values]
    figure = go.Figure(
        go.Bar(
            x=values, y=[escape(n) for n in names], orientation="h", text=texts, textposition="outside", cliponaxis=False,
            marker={"color": [SERIES[i % len(SERIES)] for i in range(len(names))]},
            hovertemplate="%{y}: %{x} predictions<extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(title_text="Predictions", range=[0, max([*values, 1]) * 1.25], rangemode="tozero")
    figure.update_yaxes(type="category", autorange="reversed")
    return figure.update_layout(template=TEMPLATE, height=90 + 34 * len(names), bargap=0.4)


def number_bars(edges: Sequence[float], counts: Sequence[int]) -> go.Figure:
    """Histogram of predicted numbers; ``edges`` has one value more than ``counts``."""
    middles = [(a + b) / 2 for a, b in pairwise(edges)]
    spans = [f"{say_number(a)} to {say_number(b)}" for a, b in pairwise(edges)]
    figure = go.Figure(
        go.Bar(
            x=middles, y=list(counts), customdata=spans, marker={"color": GO}, hovertemplate="%{customdata}: %{y}<extra></extra>"
        )
    )
    figure.update_xaxes(title_text="Predicted value")
    figure.update_yaxes(title_text="Predictions", rangemode="tozero", dtick=1 if max([*counts, 1]) <= 5 else None)
    return figure.update_layout(template=TEMPLATE, height=240, bargap=0.08)


def probability_bars(classes: Sequence[str], probabilities: Sequence[float]) -> go.Figure:
    """Probability of each class of one answer."""
    figure = go.Figure(
        go.Bar(
            x=list(probabilities), y=[escape(c) for c in classes], orientation="h", text=[say_share(p) for p in probabilities],
            textposition="outside", cliponaxis=False, marker={"color": [SERIES[i % len(SERIES)] for i in range(len(classes))]},
            hovertemplate="%{y}: %{x:.1%}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(range=[0, 1.4], tickvals=[0, 0.5, 1], tickformat=".0%", title_text="Probability")
    figure.update_yaxes(type="category", autorange="reversed")
    return figure.update_layout(template=TEMPLATE, height=80 + 32 * len(classes), bargap=0.4)


def contribution_steps(explanation: Explanation, most: int = 8) -> go.Figure:
    """From the average answer to this one, a step for each value; the smallest steps are put together."""
    scale, unit = scale_of(explanation)
    first, rest = explanation.contributions[:most], explanation.contributions[most:]
    names = [name_value(c) for c in first]
    steps = [scale * c.change for c in first]
    if rest:
        names.append(f"{len(rest)} others")
        steps.append(scale * sum(c.change for c in rest))
    ends = [scale * explanation.base, scale * explanation.answer]
    names = ["Average answer", *names, "This answer"]
    rows = list(range(len(names)))  # two names may be the same once they are cut, so a bar is placed by its number
    places = places_of(explanation)
    texts = [say_places(ends[0], places), *(say_places(s, places, signed=True) for s in steps), say_places(ends[1], places)]
    figure = go.Figure(
        go.Waterfall(
            orientation="h", measure=["absolute", *["relative"] * len(steps), "total"], x=[ends[0], *steps, None],
            y=rows, text=[t.replace(",", "\u202f") for t in texts],
            customdata=[escape(n) for n in names],
            textposition="outside", cliponaxis=False, hovertemplate="%{customdata}: %{text}<extra></extra>",
            increasing={"marker": {"color": SERIES[1]}}, decreasing={"marker": {"color": LOOK}}, totals={"marker": {"color": QUIET}},
            connector={"line": {"color": QUIET, "width": 1, "dash": "dot"}},
        )
    )  # fmt: skip
    of = f"{explanation.of[:1].upper()}{explanation.of[1:]}" if unit else explanation.of  # a column is called as it is
    figure.update_xaxes(title_text=_in_lines(of + (", in percent" if scale == 100.0 else ""), 34))
    reached = [ends[0]]
    for step in steps:
        reached.append(reached[-1] + step)
    low, high = min(0.0, *reached), max(0.0, *reached)
    figure.update_xaxes(range=[low - 0.02 * (high - low), high + 0.35 * (high - low or 1.0)], nticks=5)
    figure.update_yaxes(tickvals=rows, ticktext=[_in_lines(n) for n in names], range=[len(names) - 0.4, -0.6], showgrid=False)
    return figure.update_layout(template=TEMPLATE, showlegend=False, height=90 + 32 * len(names), bargap=0.35)


def _in_lines(name: str, width: int = 22) -> str:
    """Words in at most two short lines, so that it leaves room for the bars where the chart is narrow."""
    lines = wrap(name, width, max_lines=2, placeholder="…") or [name]
    return "<br>".join(escape(line) for line in lines)


def say_share(share: float) -> str:
    """A probability in percent that is never rounded to certainty."""
    if 0.995 <= share < 1:
        return "over 99%"
    return "under 1%" if 0 < share < 0.005 else f"{share:.0%}"
