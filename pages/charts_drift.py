"""Figures of a drift check: a result in, a plotly figure out."""

from __future__ import annotations

from html import escape

import plotly.graph_objects as go

from core.drift.compute import ColumnDrift, DriftResult
from pages.charts import ACT, CURRENT, GO, LOOK, QUIET, REFERENCE, TEMPLATE, colours

MOST_BARS = 15  # bars of a distribution; further categories are drawn as one
_WORDS = {"ok": "OK", "warning": "Warning", "drift": "Drift", "unknown": "Unknown"}


def drift_bars(result: DriftResult) -> go.Figure:
    """One bar per column, the worst first, with the score and the status in words and the limits as lines."""
    columns = result.worst_first
    looks = [_look(c) for c in columns]
    hatched = ["/" if look == "chance" else "" for look in looks]
    figure = go.Figure(
        go.Bar(
            x=[c.score or 0.0 for c in columns],
            y=[escape(c.name) for c in columns],
            orientation="h",
            text=[_text(c) for c in columns],
            textposition="outside",
            cliponaxis=False,
            marker={"color": [colours[k][0] for k in looks], "pattern": {"shape": hatched, "size": 5}},
            customdata=[_hover(c) for c in columns],
            hovertemplate="%{customdata}<extra></extra>",
        )
    )
    for limit, word, colour in ((result.warning, "warning", LOOK), (result.drift, "drift", ACT)):
        figure.add_vline(x=limit, line={"dash": "dash", "width": 1, "color": colour}, layer="below")
        text, font = f"{word} {limit:.2g}", {"size": 11, "color": colour}
        figure.add_annotation(x=limit, y=1, yref="paper", yanchor="bottom", text=text, showarrow=False, font=font)
    # Beyond 1 there is only room for the words behind the longest bar.
    figure.update_xaxes(range=[0, 1.35], tickvals=[0, 0.25, 0.5, 0.75, 1], title_text="Drift score (0 = as in the reference)")
    figure.update_yaxes(autorange="reversed", type="category")
    return figure.update_layout(template=TEMPLATE, showlegend=False, height=max(180, 110 + 26 * len(columns)))


def distribution(result: DriftResult, column: str) -> go.Figure:
    """Shares of a column's bins, reference and current side by side; ``"prediction"`` shows the predictions.

    Bins that occur in neither are left out. An unknown column shows the side that there is, or says why there is none.
    """
    drift = result.column(column)
    bars = _bars(drift)
    figure = go.Figure()
    if not bars:
        figure.add_annotation(text=escape(drift.reason or "No rows."), showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper")
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
        return figure.update_layout(template=TEMPLATE)
    sides = (
        ("Reference", drift.n, [bar[1] for bar in bars], REFERENCE, "/"),
        ("Current", drift.m, [bar[2] for bar in bars], CURRENT, ""),
    )
    for name, rows, shares, colour, pattern in sides:
        if not rows:
            continue
        figure.add_bar(
            name=f"{name} ({_rows(rows)})",
            x=[escape(bar[0]) for bar in bars],
            y=shares,
            text=[f"{share:.0%}" if share >= 0.005 or share == 0 else "<1%" for share in shares],
            textposition="outside",
            textfont={"size": 10},
            cliponaxis=False,
            marker={"color": colour, "pattern": {"shape": pattern, "size": 5}},
            customdata=[round(share * rows) for share in shares],
            hovertemplate=f"%{{x}}<br>{name}: %{{y:.1%}} (%{{customdata}} of {rows} rows)<extra></extra>",
        )
    figure.update_xaxes(type="category", title_text=escape(drift.name))
    figure.update_yaxes(tickformat=".0%", title_text="Share of rows", rangemode="tozero")
    return figure.update_layout(template=TEMPLATE, barmode="group", bargap=0.2, height=320)


def overall_gauge(result: DriftResult) -> go.Figure:
    """The overall score on its scale, with the status in words; without a score the dial stays empty and says so."""
    known = result.overall is not None
    word = _WORDS[result.status]
    scale = ((0.0, result.warning, GO), (result.warning, result.drift, LOOK), (result.drift, 1.0, ACT))
    figure = go.Figure(
        go.Indicator(
            mode="gauge+number" if known else "gauge",
            value=result.overall,
            number={"valueformat": ".2f"},
            title={"text": f"Overall drift: {word}", "font": {"size": 14}},
            gauge={
                "axis": {"range": [0, 1], "tickvals": [0, result.warning, result.drift, 1], "tickformat": ".2~f"},
                "bar": {"color": colours[result.status][0] if known else QUIET, "thickness": 0.55},
                "bgcolor": "rgba(0,0,0,0)",
                "borderwidth": 0,
                "steps": [{"range": [low, high], "color": _faint(colour)} for low, high, colour in scale],
            },
        )
    )
    rows = f"{_rows(result.current_rows)} against {_rows(result.reference_rows)} of the reference"
    text = rows if known else f"<b>Unknown</b><br>{rows}"
    figure.add_annotation(text=text, showarrow=False, x=0.5, y=-0.2, xref="paper", yref="paper", font={"size": 11})
    return figure.update_layout(template=TEMPLATE, height=230, margin={"l": 24, "r": 24, "t": 48, "b": 40})


def say_p(p: float | None) -> str:
    """``p = 0.043``; a p value is never exactly 0, so a very small one is named by its bound."""
    if p is None:
        return "p unknown"
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _look(column: ColumnDrift) -> str:
    return "chance" if column.within_chance else column.status


def _text(column: ColumnDrift) -> str:
    if column.score is None:
        return "unknown"
    return f"{column.score:.2f} within chance" if column.within_chance else f"{column.score:.2f} {_WORDS[column.status]}"


def _hover(column: ColumnDrift) -> str:
    name = f"<b>{escape(column.name)}</b>"
    if column.score is None:
        return f"{name}<br>{escape(column.reason)}"
    return (
        f"{name}: {_text(column)}<br>PSI {column.psi:.3f}, expected without change {column.expected:.3f}"
        f"<br>chi-square {say_p(column.p_adjusted)} over all columns"
        f"<br>missing {column.current_missing:.1%}, in the reference {column.reference_missing:.1%}"
    )


def _bars(drift: ColumnDrift) -> list[tuple[str, float, float]]:
    """Label and both shares of the bins that occur; many categories are cut to the largest, the rest summed."""
    none = (0.0,) * len(drift.labels)
    sides = zip(drift.labels, drift.reference_shares or none, drift.current_shares or none, strict=True)
    bars = [bar for bar in sides if bar[1] or bar[2]]
    if len(bars) <= MOST_BARS:
        return bars
    largest = sorted(bars, key=lambda bar: -max(bar[1], bar[2]))[: MOST_BARS - 1]
    rest = [bar for bar in bars if bar not in largest]
    label = f"({len(rest)} further values)"
    return [*(bar for bar in bars if bar in largest), (label, sum(b[1] for b in rest), sum(b[2] for b in rest))]


def _rows(rows: int) -> str:
    return f"{rows:,} row{'' if rows == 1 else 's'}".replace(",", "\u202f")


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.22)"
