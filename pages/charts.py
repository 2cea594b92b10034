"""How every chart looks: one plotly template, one set of colours, one way to put a figure on the page."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import plotly.io as pio
import streamlit as st

# Middle tones: they stand out on white as well as on near-black.
GO, LOOK, ACT, QUIET = "#1f9d5f", "#cf8a1a", "#d9534a", "#84918a"
SERIES = (GO, "#4c82c8", LOOK, "#9a6cc0", "#249ba4", "#c8627a", QUIET, "#729a35")
REFERENCE, CURRENT = "#84918a", GO

# status -> (colour, sign that is drawn, word); a chart always writes the word or draws the sign too
colours: dict[str, tuple[str, str, str]] = {
    "ok": (GO, "circle", "OK"),
    "warning": (LOOK, "triangle-up", "Look"),
    "drift": (ACT, "diamond", "Drift"),
    "critical": (ACT, "diamond", "Act"),
    "unknown": (QUIET, "x", "Unknown"),
    "chance": (QUIET, "circle-open", "Within chance"),
}

_CLEAR = "rgba(0,0,0,0)"
_LINE = "rgba(128,140,134,0.25)"
_FONT = '"Source Sans", "Source Sans 3", system-ui, sans-serif'

TEMPLATE = go.layout.Template(
    layout={
        "paper_bgcolor": _CLEAR,
        "plot_bgcolor": _CLEAR,
        "colorway": list(SERIES),
        "font": {"family": _FONT, "size": 13, "color": QUIET},
        "margin": {"l": 8, "r": 8, "t": 28, "b": 8},
        "hovermode": "closest",
        "hoverlabel": {"font": {"family": _FONT, "size": 13}},
        "bargap": 0.35,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "title": {"text": ""}},
        "xaxis": {"gridcolor": _LINE, "zerolinecolor": _LINE, "linecolor": _LINE, "automargin": True, "title": {"standoff": 8}},
        "yaxis": {"gridcolor": _LINE, "zerolinecolor": _LINE, "linecolor": _LINE, "automargin": True, "title": {"standoff": 8}},
        "separators": ".\u202f",  # 12 345.6: a narrow space between thousands
    },
    data={
        "bar": [go.Bar(marker={"line": {"width": 0}, "cornerradius": 3})],
        "scatter": [go.Scatter(line={"width": 2}, marker={"size": 7})],
    },
)
pio.templates["greenlight"] = TEMPLATE


def colour_of(status: str) -> str:
    """The colour of a status; grey for one that is not known, never the colour of "fine"."""
    return colours.get(status, colours["unknown"])[0]


def show_figure(figure: go.Figure, *, alt: str, key: str | None = None, height: int | None = None, **options: Any) -> Any:
    """Put a figure on the page, in the page's fonts, readable in both themes.

    Parameters
    ----------
    figure : go.Figure
        Is given the template; what it sets itself stays.
    alt : str
        What the chart shows, in one sentence, for those who cannot see it.
    height : int, optional
        Pixels; 280 unless told.
    options
        Passed on to ``st.plotly_chart`` (``on_select``, ...).
    """
    figure.update_layout(template=TEMPLATE, height=height or figure.layout.height or 280)
    config = {"displayModeBar": False, "displaylogo": False, "scrollZoom": False}
    return st.plotly_chart(figure, theme="streamlit", key=key, config=config, alt=alt, **options)
