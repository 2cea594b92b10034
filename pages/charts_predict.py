"""Figures of predictions: how many of each class, how numbers are spread, how sure one answer is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise

import plotly.graph_objects as go

from core.scoring.explain import Explanation, name_value, scale_of, tell_signed
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
    spans = [f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges)]
    figure = go.Figure(
        go.Bar(
            x=middles, y=list(counts), customdata=spans, marker={"color": GO}, hovertemplate="%{customdata}: %{y}<extra></extra>"
        )
    )
    figure.update_xaxes(title_text="Predicted value")
    figure.update_yaxes(title_text="Predictions", rangemode="tozero")
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
    names = [name_value(c)[:40] for c in first]
    steps = [scale * c.change for c in first]
    if rest:
        names.append(f"{len(rest)} others")
        steps.append(scale * sum(c.change for c in rest))
    ends = [scale * explanation.base, scale * explanation.answer]
    says = "%{y}: %{text}<extra></extra>"
    figure = go.Figure(
        go.Waterfall(
            orientation="h", measure=["absolute", *["relative"] * len(steps), "total"], x=[ends[0], *steps, None],
            y=[escape(n) for n in ("Average answer", *names, "This answer")],
            text=[f"{ends[0]:.4g}", *(tell_signed(s, 1.0, unit) for s in steps), f"{ends[1] + 0.0:.4g}"],
            textposition="outside", cliponaxis=False, hovertemplate=says,
            increasing={"marker": {"color": SERIES[1]}}, decreasing={"marker": {"color": LOOK}}, totals={"marker": {"color": QUIET}},
            connector={"line": {"color": QUIET, "width": 1, "dash": "dot"}},
        )
    )  # fmt: skip
    figure.update_xaxes(title_text=f"{explanation.of[:1].upper()}{explanation.of[1:]}" + (", in percent" if scale == 100.0 else ""))
    places = [ends[0]]
    for step in steps:
        places.append(places[-1] + step)
    low, high = min(0.0, *places), max(*places)
    figure.update_xaxes(range=[low - 0.02 * (high - low), high + 0.4 * (high - low or 1.0)])
    figure.update_yaxes(type="category", autorange="reversed")
    return figure.update_layout(template=TEMPLATE, showlegend=False, height=90 + 28 * (len(steps) + 2), bargap=0.35)


def say_share(share: float) -> str:
    """A probability in percent that is never rounded to certainty."""
    if 0.995 <= share < 1:
        return "over 99%"
    return "under 1%" if 0 < share < 0.005 else f"{share:.0%}"
