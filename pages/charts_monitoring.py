"""Figures of Monitoring: points in, a plotly figure out. Times come in the visitor's zone, UTC stands on hover."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from html import escape
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from pages.charts import ACT, GO, LOOK, QUIET, SERIES, TEMPLATE
from pages.charts_comparison import confusion

if TYPE_CHECKING:
    from core.monitoring import observations, quality
    from core.monitoring.stats import Point

_MARGIN = {"l": 8, "r": 8, "t": 32, "b": 8}


def requests(points: Sequence[Point], zone: tzinfo) -> go.Figure:
    """Requests of each step as stacked bars: answered, refused (the caller's), failed (ours)."""
    x, spoken = _times(points, zone)
    figure = go.Figure()
    for name, colour, values in (
        ("answered", GO, [p.requests - p.refused - p.errors for p in points]),
        ("refused", LOOK, [p.refused for p in points]),
        ("failed", ACT, [p.errors for p in points]),
    ):
        if any(values) or name == "answered":
            figure.add_bar(
                x=x, y=values, name=name, marker={"color": colour, "cornerradius": 0}, customdata=spoken,
                hovertemplate=f"%{{customdata}}<br>%{{y:,}} {name}<extra></extra>",
            )  # fmt: skip
    figure.update_layout(barmode="stack", bargap=0.1)
    if max((p.requests for p in points), default=0) < 5:
        figure.update_yaxes(dtick=1)  # there is no half request
    return _finish(figure, x, "Requests")


def durations(points: Sequence[Point], zone: tzinfo, *, warning: float | None = None) -> go.Figure:
    """Half, 95 % and 99 % of the requests were answered within so many milliseconds; the limit where it is near."""
    x, spoken = _times(points, zone)
    figure = go.Figure()
    for name, colour, dash, values in (
        ("p99", SERIES[3], "dot", [p.latency and p.latency.p99 for p in points]),
        ("p95", SERIES[1], "dash", [p.latency and p.latency.p95 for p in points]),
        ("p50", GO, "solid", [p.latency and p.latency.p50 for p in points]),
    ):
        figure.add_scatter(
            x=x, y=values, name=name, mode="lines+markers", line={"color": colour, "dash": dash, "width": 2}, marker={"size": 4},
            customdata=spoken, hovertemplate=f"%{{customdata}}<br>{name}: %{{y:.3~g}} ms<extra></extra>",
        )  # fmt: skip
    highest = max((p.latency.p99 for p in points if p.latency), default=0.0)
    if warning is not None and highest > warning / 4:
        _add_limit(figure, warning, f"warning {warning:.0f} ms")
    return _finish(figure, x, "Milliseconds", zero=True)


def failures(points: Sequence[Point], zone: tzinfo, *, warning: float | None = None, critical: float | None = None) -> go.Figure:
    """Share of the requests that failed; a step without requests is a gap."""
    x, spoken = _times(points, zone)
    shares = [p.errors / p.requests if p.requests else None for p in points]
    figure = go.Figure(
        go.Scatter(
            x=x, y=shares, mode="lines+markers", line={"color": ACT}, marker={"size": 4, "symbol": "diamond"},
            customdata=[[s, p.errors, p.requests] for s, p in zip(spoken, points, strict=True)],
            hovertemplate="%{customdata[0]}<br>%{y:.1%}: %{customdata[1]} of %{customdata[2]} failed<extra></extra>",
        )
    )  # fmt: skip
    for limit, word in ((warning, "warning"), (critical, "critical")):
        if limit is not None:
            _add_limit(figure, limit, f"{word} {limit:.0%}", LOOK if word == "warning" else ACT)
    figure.update_yaxes(range=[0, max([0.1, *(1.1 * s for s in shares if s is not None)])], tickformat=".0%")
    return _finish(figure, x, "Share that failed").update_layout(showlegend=False)


def stages(points: Sequence[Point], zone: tzinfo, names: Sequence[str]) -> go.Figure:
    """Mean time of each stage, stacked, so that what takes the time is seen."""
    x, spoken = _times(points, zone)
    figure = go.Figure()
    for place, name in enumerate(names):
        figure.add_bar(
            x=x, y=[p.stages.get(name) for p in points], name=name, marker={"color": SERIES[place % len(SERIES)], "cornerradius": 0},
            customdata=spoken, hovertemplate=f"%{{customdata}}<br>{name}: %{{y:.3~g}} ms on average<extra></extra>",
        )  # fmt: skip
    figure.update_layout(barmode="stack", bargap=0.1)
    return _finish(figure, x, "Milliseconds on average", zero=True)


def posted(series: observations.Series, zone: tzinfo) -> go.Figure:
    """Mean of a posted metric in each step, with its least and most."""
    x, spoken = _times(series.points, zone)
    figure = go.Figure()
    for values, name, line in (
        ([p.most for p in series.points], "most", {"color": QUIET, "width": 1, "dash": "dot"}),
        ([p.mean for p in series.points], "mean", {"color": GO, "width": 2, "dash": "solid"}),
        ([p.least for p in series.points], "least", {"color": QUIET, "width": 1, "dash": "dash"}),
    ):
        figure.add_scatter(
            x=x, y=values, name=name, mode="lines+markers", line=line, marker={"size": 4 if name == "mean" else 2},
            customdata=[[s, p.n] for s, p in zip(spoken, series.points, strict=True)],
            hovertemplate=f"%{{customdata[0]}}<br>{name}: %{{y:.4~g}} of %{{customdata[1]}} posted<extra></extra>",
        )  # fmt: skip
    return _finish(figure, x, escape(series.name))


def outcomes(found: quality.Confusion, names: dict[str, str]) -> go.Figure:
    """The confusion matrix; on each cell lies a point that can be clicked (a heat map itself cannot be)."""
    words = [names.get(c, c) for c in found.classes]
    figure = confusion(found.matrix, words)
    cells = [(i, j) for i in range(len(words)) for j in range(len(words))]
    figure.add_scatter(
        x=[escape(words[j]) for _, j in cells], y=[escape(words[i]) for i, _ in cells], mode="markers",
        marker={"size": 64, "symbol": "square", "color": "#ffffff", "opacity": 0.01},
        selected={"marker": {"opacity": 0.22}}, unselected={"marker": {"opacity": 0.01}},
        customdata=[[found.classes[i], found.classes[j], found.matrix[i][j]] for i, j in cells],
        hovertemplate="Truly %{y}, answered %{x}: %{customdata[2]}<br>click to list them<extra></extra>", showlegend=False,
    )  # fmt: skip
    return figure.update_layout(clickmode="event+select", dragmode=False)


def _times(points: Sequence[Point] | Sequence[observations.Point], zone: tzinfo) -> tuple[list[datetime], list[str]]:
    """Where each point stands (the visitor's time, without its zone: plotly would shift it) and what its hover says."""
    places = [p.at.astimezone(zone).replace(tzinfo=None) for p in points]
    spoken = [f"{p.at.astimezone(zone):%-d %b, %H:%M %Z} ({p.at.astimezone(UTC):%H:%M} UTC)" for p in points]
    return places, spoken


def _add_limit(figure: go.Figure, value: float, words: str, colour: str = LOOK) -> None:
    figure.add_hline(y=value, line={"dash": "dash", "width": 1, "color": colour})
    figure.add_annotation(
        x=1, xref="paper", xanchor="right", y=value, yanchor="bottom", text=words, showarrow=False, font={"size": 11, "color": colour}
    )  # fmt: skip


def _finish(figure: go.Figure, x: Sequence[datetime], title: str, *, zero: bool = False) -> go.Figure:
    if len(x) > 1:
        figure.update_xaxes(range=[x[0] - (x[1] - x[0]) / 2, x[-1] + (x[1] - x[0]) / 2])  # quiet steps are part of the picture
    if zero:
        figure.update_yaxes(rangemode="tozero")
    figure.update_xaxes(type="date", showgrid=False)
    figure.update_yaxes(title_text=title)
    return figure.update_layout(template=TEMPLATE, height=260, margin=_MARGIN, hovermode="x" if len(x) > 1 else "closest")
