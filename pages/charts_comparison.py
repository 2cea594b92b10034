"""Figures of a comparison: standings, curves and counts in, a plotly figure out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from pages.charts import ACT, GO, LOOK, QUIET, SERIES, TEMPLATE

if TYPE_CHECKING:
    from core.registry.comparison import Standing
    from core.training.intervals import Answers
    from core.training.results import Importance
    from core.training.threshold import CostPoint

_SIGNS = ("circle", "square", "diamond", "triangle-up", "x", "star")
_DASHES = ("solid", "dash", "dot", "dashdot", "3px,3px", "9px,2px,2px,2px")
MOST_BARS = 20
MOST_POINTS = 1500  # of a scatter: more would only be slower, not clearer


def intervals(labels: Sequence[str], standings: Sequence[Standing], metric: str) -> go.Figure:
    """The pooled metric of each candidate with its 95 % interval; the best baseline as a line."""
    figure = go.Figure()
    for baseline, chosen, colour, sign, word in (
        (False, True, GO, "diamond", "automatic choice"),
        (False, False, SERIES[1], "circle", "candidate"),
        (True, False, QUIET, "x", "baseline"),
    ):
        some = [
            (label, s)
            for label, s in zip(labels, standings, strict=True)
            if s.baseline is baseline and s.chosen is chosen and s.pooled is not None
        ]
        if not some:
            continue
        figure.add_scatter(
            name=word,
            x=[s.pooled for _, s in some],
            y=[escape(label) for label, _ in some],
            mode="markers",
            marker={"size": 11, "color": colour, "symbol": sign},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [_gap(s, "high") for _, s in some],
                "arrayminus": [_gap(s, "low") for _, s in some],
                "thickness": 2,
                "width": 6,
                "color": colour,
            },
            customdata=[_span(s) for _, s in some],
            hovertemplate=f"%{{y}}: {metric} %{{x:.3f}} (95 % interval %{{customdata}})<extra></extra>",
        )
    floor = max((s.pooled for s in standings if s.baseline and s.pooled is not None), default=None)
    if floor is not None:
        figure.add_vline(x=floor, line={"dash": "dash", "width": 1, "color": QUIET})
    figure.update_xaxes(title_text=f"{metric} in cross-validation<br>(all training rows)")
    figure.update_yaxes(type="category", categoryorder="array", categoryarray=[escape(n) for n in reversed(labels)])
    return figure.update_layout(template=TEMPLATE, height=120 + 38 * len(labels))


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> go.Figure:
    """Counts of true class (rows) by answer (columns), shaded by the share of the true class."""
    counts = np.asarray(matrix, dtype=float)
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros_like(counts), where=rows > 0)
    names = [escape(c) for c in classes]
    text = [[f"<b>{counts[i, j]:.0f}</b><br>{shares[i, j]:.0%}" for j in range(len(names))] for i in range(len(names))]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=names,
            y=names,
            text=text,
            texttemplate="%{text}",
            textfont={"color": "#ffffff"},
            zmin=0,
            zmax=1,
            # Opaque, and dark enough for white figures in both themes.
            colorscale=[[0, "#5f6b65"], [1, "#157f4a"]],
            showscale=False,
            hovertemplate="Truly %{y}, answered %{x}: %{text}<extra></extra>",
            xgap=3,
            ygap=3,
        )
    )
    figure.update_xaxes(title_text="Answer of the model", type="category", side="bottom", showgrid=False)
    figure.update_yaxes(title_text="Truth", type="category", autorange="reversed", showgrid=False)
    return figure.update_layout(template=TEMPLATE, height=150 + 70 * len(names))


def roc(curves: Mapping[str, Mapping[str, Any] | None]) -> go.Figure:
    """True positives against false alarms; the diagonal is guessing."""
    figure = _lines(curves, "fpr", "tpr")
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", name="guessing", line={"dash": "dot", "width": 1, "color": QUIET})
    return _square(figure, "Share of the negatives called positive", "Share of the positives found")


def precision_recall(curves: Mapping[str, Mapping[str, Any] | None]) -> go.Figure:
    """How many of those called positive are so, as more of the positives are found."""
    return _square(
        _lines(curves, "recall", "precision"),
        "Share of the positives found (recall)",
        "Share right among those called (precision)",
    )


def calibration(curves: Mapping[str, Mapping[str, Any] | None]) -> go.Figure:
    """What happened against what was promised: on the diagonal a probability of 0.7 comes true in 70 %."""
    figure = _lines(curves, "predicted", "observed", mode="lines+markers", rows=True)
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", name="as promised", line={"dash": "dot", "width": 1, "color": QUIET})
    return _square(figure, "Probability that the model gave", "Share that came true")


def importances(found: Sequence[Importance], metric: str, most: int = MOST_BARS) -> go.Figure:
    """How much the metric falls when a column is shuffled, with the 95 % interval of the mean."""
    shown = list(found)[:most]
    figure = go.Figure(
        go.Bar(
            x=[i.mean for i in shown],
            y=[escape(i.column) for i in shown],
            orientation="h",
            marker={"color": [GO if i.mean > 0 else QUIET for i in shown]},
            error_x={
                "type": "data", "array": [i.interval[1] - i.mean for i in shown], "thickness": 1.5, "width": 4, "color": QUIET,
            },
            customdata=[list(i.interval) for i in shown],
            hovertemplate="%{y}: %{x:.3f}, 95 % interval %{customdata[0]:.3f} to %{customdata[1]:.3f}<extra></extra>",
        )
    )
    figure.update_xaxes(title_text=f"Fall of {metric} on the hold-out<br>when the column is shuffled")
    figure.update_yaxes(type="category", autorange="reversed")
    return figure.update_layout(template=TEMPLATE, showlegend=False, height=110 + 26 * len(shown))


def per_class(scores: Mapping[str, Mapping[str, Any]], names: Mapping[str, str], floor: float | None = None) -> go.Figure:
    """Precision, recall and F1 of each class; the recall that the gate asks for as a line."""
    figure = go.Figure()
    for metric, title, colour, pattern in (
        ("precision", "Precision", SERIES[1], "/"),
        ("recall", "Recall", GO, ""),
        ("f1", "F1", QUIET, "x"),
    ):
        values = [scores[c][metric] for c in scores]
        figure.add_bar(
            name=title,
            x=[f"{escape(names.get(c, c))}<br>{scores[c]['support']} rows" for c in scores],
            y=values,
            text=["undefined" if v is None else f"{v:.2f}" for v in values],
            textposition="outside",
            cliponaxis=False,
            marker={"color": colour, "pattern": {"shape": pattern, "size": 5}},
            hovertemplate=f"{title} of %{{x}}: %{{y:.3f}}<extra></extra>",
        )
    if floor is not None:
        figure.add_hline(
            y=floor,
            line={"dash": "dash", "width": 1, "color": ACT},
            showlegend=True,  # a label on the line would lie across the bars
            name=f"least recall {floor:g}",
        )
    figure.update_yaxes(range=[0, 1.12], tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_xaxes(type="category")
    return figure.update_layout(template=TEMPLATE, barmode="group", bargap=0.25, height=340)


def cost_curve(points: Sequence[CostPoint], chosen: CostPoint, cheapest: CostPoint, usual: CostPoint) -> go.Figure:
    """What every threshold would cost; the chosen one, the cheapest and the usual 0.5 are marked with sign and word."""
    figure = go.Figure(
        go.Scatter(
            x=[p.threshold for p in points],
            y=[p.cost for p in points],
            mode="lines",
            line={"shape": "hv", "color": SERIES[1]},
            name="cost",
            showlegend=False,
            customdata=[[p.fn, p.fp] for p in points],
            hovertemplate="From %{x:.3f}: cost %{y:g}<br>%{customdata[0]} missed, %{customdata[1]} false alarms<extra></extra>",
        )
    )
    for point, word, colour, sign, size in (
        (usual, "usual 0.5", QUIET, "circle", 10),
        (cheapest, f"cheapest {cheapest.threshold:.3f}", GO, "star", 14),
        (chosen, f"chosen {chosen.threshold:.3f}", LOOK, "diamond", 11),
    ):
        figure.add_scatter(
            x=[point.threshold],
            y=[point.cost],
            mode="markers",
            name=word,
            marker={"color": colour, "symbol": sign, "size": size, "line": {"width": 1, "color": "rgba(255,255,255,0.8)"}},
            hovertemplate=f"{word}: cost %{{y:g}}, {point.fn} missed, {point.fp} false alarms<extra></extra>",
        )
    figure.update_xaxes(title_text="Decision threshold: called positive from this probability", range=[0, 1])
    figure.update_yaxes(title_text="Cost on the training rows", rangemode="tozero")
    return figure.update_layout(template=TEMPLATE, height=320)


def predicted_against_actual(answers: Answers, target: str) -> go.Figure:
    """Each hold-out row (a sample of many): what was answered against what was true; on the diagonal it was right."""
    truth, answer = np.asarray(answers.target, dtype=float), np.asarray(answers.prediction, dtype=float)
    if len(truth) > MOST_POINTS:
        keep = np.random.default_rng(42).choice(len(truth), MOST_POINTS, replace=False)
        truth, answer = truth[keep], answer[keep]
    figure = go.Figure(
        go.Scattergl(
            x=truth, y=answer, mode="markers", name="rows", marker={"size": 6, "color": GO, "opacity": 0.5}, showlegend=False
        )
    )
    ends = [float(min(truth.min(), answer.min())), float(max(truth.max(), answer.max()))]
    figure.add_scatter(x=ends, y=ends, mode="lines", name="right", line={"dash": "dot", "width": 1, "color": QUIET})
    figure.update_xaxes(title_text=f"True {escape(target)}")
    figure.update_yaxes(title_text=f"Predicted {escape(target)}")
    return figure.update_layout(template=TEMPLATE, height=380)


def _lines(curves: Mapping[str, Mapping[str, Any] | None], x: str, y: str, mode: str = "lines", rows: bool = False) -> go.Figure:
    figure = go.Figure()
    for place, (name, curve) in enumerate(curves.items()):
        if curve is None:
            continue
        notes = [f", {n:.0f} rows" for n in curve["rows"]] if rows else [""] * len(curve[x])
        figure.add_scatter(
            name=escape(name),
            x=curve[x],
            y=curve[y],
            mode=mode,
            line={"color": SERIES[place % len(SERIES)], "dash": _DASHES[place % len(_DASHES)]},
            marker={"symbol": _SIGNS[place % len(_SIGNS)], "size": 8},
            customdata=notes,
            hovertemplate=f"{escape(name)}: %{{x:.2f}}, %{{y:.2f}}%{{customdata}}<extra></extra>",
        )
    return figure


def _square(figure: go.Figure, x: str, y: str) -> go.Figure:
    figure.update_xaxes(range=[-0.01, 1.01], title_text=x)
    figure.update_yaxes(range=[-0.01, 1.03], title_text=y)
    return figure.update_layout(template=TEMPLATE, height=400)


def _gap(standing: Standing, end: str) -> float:
    limit = getattr(standing.interval, end) if standing.interval else None
    return 0.0 if limit is None or standing.pooled is None else abs(limit - standing.pooled)


def _span(standing: Standing) -> str:
    interval = standing.interval
    if interval is None or interval.low is None or interval.high is None:
        return "unknown"
    return f"{interval.low:.3f} to {interval.high:.3f}"
