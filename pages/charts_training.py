"""Figures of a training: a value in, a plotly figure out."""

from __future__ import annotations

import plotly.graph_objects as go

from core.training.search import Search
from core.training.selection import METRIC_NAMES
from pages.charts import ACT, GO, LOOK, QUIET, TEMPLATE

_SIGNS = {
    "complete": ("To the end", GO, "circle"), "pruned": ("Stopped early", QUIET, "x"), "stopped": ("Time was up", LOOK, "triangle-up"),
    "failed": ("Failed", ACT, "diamond"),
}  # fmt: skip


def search_history(search: Search) -> go.Figure:
    """One sign per trial at what it reached, and the best so far as a line; trials that reached nothing are left out."""
    figure = go.Figure()
    metric = METRIC_NAMES[search.metric]
    best: list[float] = []
    for trial in search.trials:
        known = [*best[-1:], *([trial.value] if trial.value is not None else [])]
        best.append(max(known) if known else float("nan"))
    figure.add_scatter(
        x=[t.number + 1 for t in search.trials], y=[None if b != b else b for b in best], mode="lines", line={"shape": "hv", "color": GO},
        name="Best so far", hovertemplate=f"Best so far: %{{y:.3f}} {metric}<extra></extra>",
    )  # fmt: skip
    for state, (word, colour, sign) in _SIGNS.items():
        found = [(t.number + 1, _reached(t.values), t.value) for t in search.trials if t.state == state]
        points = [(x, y if whole is None else whole) for x, y, whole in found if y is not None]
        if points:
            figure.add_scatter(
                x=[x for x, _ in points], y=[y for _, y in points], mode="markers", name=word,
                marker={"color": colour, "symbol": sign, "size": 9},
                hovertemplate=f"Trial %{{x}}: %{{y:.3f}} {metric}, {word.lower()}<extra></extra>",
            )  # fmt: skip
    figure.update_xaxes(title_text="Trial (1 is the usual setting)", tickformat="d")
    figure.update_yaxes(title_text=f"{metric}, mean of its folds")
    return figure.update_layout(template=TEMPLATE, height=280)


def _reached(values: tuple[float | None, ...]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None
