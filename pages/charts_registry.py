"""Figures of the registry and of a release request: who was live when, and how good against live and against nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape
from zoneinfo import ZoneInfo

import plotly.graph_objects as go

from core.deployment import Deployment
from core.times import parse
from pages.charts import GO, QUIET, TEMPLATE

LEAST_SPAN = timedelta(hours=1)
_KINDS = {"deploy": "deployed", "rollback": "rolled back to"}


def live_timeline(spans: Sequence[Deployment], *, now: datetime, zone: str = "UTC") -> go.Figure:
    """One row a version, one bar for each time that it was live; the one that is live now in green and named so.

    Parameters
    ----------
    spans : of core.deployment.list_deployments
    now : datetime
        Where a bar ends that has not ended.
    zone : str
        Time zone of the axis.
    """
    place = ZoneInfo(zone)
    figure = go.Figure()
    for span in sorted(spans, key=lambda s: s.live_from):
        start = parse(span.live_from).astimezone(place)
        end = (parse(span.live_until) if span.live_until else now).astimezone(place)
        live = span.live_until is None
        colour = GO if live else QUIET
        until = "now" if live else f"{end:%-d %b %Y, %H:%M}"
        how = f"{_KINDS.get(span.kind, span.kind)} by {escape(span.deployed_by)}"
        figure.add_scatter(
            x=[start.replace(tzinfo=None), end.replace(tzinfo=None)],
            y=[escape(span.version)] * 2,
            mode="lines+markers+text" if live else "lines+markers",
            text=["", "live"] if live else None,
            textposition="middle right",
            line={"width": 12, "color": colour},
            marker={"symbol": ["line-ns", "triangle-right" if live else "line-ns"], "size": 14,
                    "color": colour, "line": {"width": 2, "color": colour}},
            hovertemplate=f"<b>{escape(span.version)}</b><br>{start:%-d %b %Y, %H:%M} to {until}<br>{how}<extra></extra>",
            showlegend=False,
            cliponaxis=False,
        )  # fmt: skip
    versions = {s.version for s in spans}
    figure.update_yaxes(type="category", showgrid=False)
    figure.update_xaxes(type="date", title_text=f"Time ({zone})")
    if spans:
        begin, end = (t.astimezone(place).replace(tzinfo=None) for t in (min(parse(s.live_from) for s in spans), now))
        if end - begin < LEAST_SPAN:  # just deployed: an axis of split seconds tells nobody anything
            figure.update_xaxes(range=[begin - LEAST_SPAN / 12, begin + LEAST_SPAN], nticks=5)
    return figure.update_layout(
        template=TEMPLATE, height=110 + 34 * len(versions), margin={"l": 8, "r": 44, "t": 8, "b": 8}, hovermode="closest"
    )


def right_of_100(rows: Sequence[tuple[str, float, tuple[float, float] | None]]) -> go.Figure:
    """How many of 100 answers are right: one bar each (label, share 0..1, interval or None), the first in green."""
    figure = go.Figure()
    for place, (label, share, interval) in enumerate(rows):
        line = {
            "type": "data",
            "symmetric": False,
            "array": [100 * (interval[1] - share)],
            "arrayminus": [100 * (share - interval[0])],
            "thickness": 1.5,
            "width": 6,
            "color": "#5f6b65",
        } if interval else None  # fmt: skip
        figure.add_bar(
            x=[100 * share],
            y=[escape(label)],
            orientation="h",
            text=[f"{100 * share:.0f}"],
            textposition="inside",
            insidetextanchor="start",
            marker={"color": QUIET if place else GO},
            error_x=line,
            hovertemplate="%{y}: %{x:.1f} of 100 right<extra></extra>",
            showlegend=False,
        )
    figure.update_xaxes(range=[0, 104], tickvals=[0, 25, 50, 75, 100], title_text="Right of 100 (line: 95 %)")
    figure.update_yaxes(type="category", autorange="reversed")
    # room on the right, without which the figure 100 is left out
    return figure.update_layout(template=TEMPLATE, height=90 + 40 * len(rows), bargap=0.4, margin={"l": 8, "r": 24, "t": 28, "b": 8})
