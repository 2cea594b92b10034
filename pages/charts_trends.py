"""Figures of the Trends page: a curve with its interval, what it would be without a model, and what happened meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape
from itertools import groupby
from typing import Any

import plotly.graph_objects as go

from core.monitoring.quality import Point, floor_step
from core.monitoring.trends import DriftPoint, Event, VolumePoint
from core.times import parse
from pages.charts import ACT, GO, LOOK, QUIET, SERIES, TEMPLATE

HEIGHT = 290
_BAND = "rgba(31,157,95,0.18)"
_SPAN = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1), "month": timedelta(days=30)}
# kind -> (sign, colour, word); a sign of its own for each, so that colour is never all
MARKS = {
    "live": ("triangle-up", GO, "Went live"),
    "rollback": ("triangle-left", LOOK, "Rolled back"),
    "ended": ("x", QUIET, "Taken down"),
    "training": ("circle-open", QUIET, "Training"),
    "retraining": ("circle", LOOK, "Retraining"),
    "incident": ("star", ACT, "Incident"),
    "alert": ("diamond", ACT, "Alert"),
}
_SHARES = frozenset({"accuracy"})  # drawn as percent


def quality_curve(
    points: Sequence[Point], name: str, title: str, *, step: str, steps: Sequence[str], events: Sequence[Event],
    training: Sequence[tuple[str, float]] = (), floor: float | None = None,
) -> go.Figure:  # fmt: skip
    """One metric step by step with its 95 % interval as a band; a step without labels is a gap, never a zero.

    Parameters
    ----------
    steps : sequence of str
        The beginnings of all steps of the period, also of those without a point.
    training : sequence of (version, value)
        What each version reached in training, drawn over the steps that it answered.
    """
    known = [p for p in points if p.metrics[name].value is not None]
    form = ".0%" if name in _SHARES else ".2f"
    figure = go.Figure()
    _add_bands(figure, known, name, step, steps)
    figure.add_scatter(
        x=[_middle(p.start, step) for p in _with_gaps(known, steps)], y=[_value(p, name) for p in _with_gaps(known, steps)],
        customdata=[_say_point(p, name, step, form) for p in _with_gaps(known, steps)],
        hovertemplate="%{customdata}<extra></extra>", mode="lines+markers", name=title, line={"color": GO, "width": 2},
        marker={"size": 6}, connectgaps=False,
    )  # fmt: skip
    with_baseline = [p for p in known if p.metrics[name].baseline is not None]
    if with_baseline:
        figure.add_scatter(
            x=[_middle(p.start, step) for p in _with_gaps(with_baseline, steps)],
            y=[p.metrics[name].baseline if isinstance(p, Point) else None for p in _with_gaps(with_baseline, steps)],
            mode="lines+markers", name="Without a model", line={"color": QUIET, "width": 1, "dash": "dot"},
            marker={"size": 3, "symbol": "square"}, hovertemplate=f"Without a model: %{{y:{form}}}<extra></extra>",
        )  # fmt: skip
    for place, (version, value) in enumerate(training):
        span = [p.start for p in known if p.version == version]
        if span:
            figure.add_scatter(
                x=[parse(span[0]), parse(span[-1]) + _SPAN[step]], y=[value, value], mode="lines", name="In training",
                legendgroup="training", showlegend=place == 0, line={"color": SERIES[1], "width": 1.5, "dash": "dash"},
                hovertemplate=f"{escape(version)} in training: %{{y:{form}}}<extra></extra>",
            )  # fmt: skip
    if floor is not None:
        figure.add_hline(y=floor, line={"dash": "dash", "width": 1, "color": LOOK})
        figure.add_annotation(
            x=1, xref="paper", xanchor="left", y=floor, text=f"floor {floor:{form}}", showarrow=False,
            font={"size": 11, "color": LOOK},
        )  # fmt: skip
    figure.update_yaxes(tickformat=form, range=_range(known, name, [v for _, v in training], floor))
    return _frame(figure, step, steps, events)


def drift_curve(
    points: Sequence[DriftPoint], checks: Sequence[dict[str, Any]], *, step: str, steps: Sequence[str], events: Sequence[Event],
    warning: float, drift: float,
) -> go.Figure:  # fmt: skip
    """The overall drift score per step, one curve a version, the checks that people made, and the limits as lines."""
    figure = go.Figure()
    for place, version in enumerate(_in_order(points)):
        mine = [p for p in points if p.version == version and p.overall is not None]
        if not mine:
            continue
        drawn = _with_gaps(mine, steps)
        figure.add_scatter(
            x=[_middle(p.start, step) for p in drawn], y=[p.overall if isinstance(p, DriftPoint) else None for p in drawn],
            customdata=[_say_drift(p, step) for p in drawn], hovertemplate="%{customdata}<extra></extra>", connectgaps=False,
            mode="lines+markers", name=f"Version {escape(version)}", line={"color": SERIES[(place + 1) % len(SERIES)], "width": 2},
            marker={"size": 6},
        )  # fmt: skip
    made = [c for c in checks if c["overall"] is not None]
    if made:
        figure.add_scatter(
            x=[parse(c["at"]) for c in made], y=[c["overall"] for c in made], mode="markers", name="Checks made",
            marker={"symbol": "square-open", "size": 9, "color": QUIET, "line": {"width": 2}},
            customdata=[_say_check(c) for c in made], hovertemplate="%{customdata}<extra></extra>",
        )  # fmt: skip
    for limit, word, colour in ((warning, "warning", LOOK), (drift, "drift", ACT)):
        figure.add_hline(y=limit, line={"dash": "dash", "width": 1, "color": colour}, layer="below")
        figure.add_annotation(
            x=1, xref="paper", xanchor="left", y=limit, text=f"{word} {limit:.2g}", showarrow=False,
            font={"size": 11, "color": colour},
        )  # fmt: skip
    figure.update_yaxes(range=[0, 1.12], tickvals=[0, 0.25, 0.5, 0.75, 1], tickformat=".2f")
    return _frame(figure, step, steps, events)


def volume_bars(points: Sequence[VolumePoint], *, step: str, steps: Sequence[str], events: Sequence[Event]) -> go.Figure:
    """Predictions per step, a colour a version, in the colours of :func:`drift_curve`."""
    figure = go.Figure()
    width = _SPAN[step].total_seconds() * 1000 * 0.86
    for place, version in enumerate(_in_order(points)):
        mine = [p for p in points if p.version == version]
        colour = SERIES[(place + 1) % len(SERIES)]
        figure.add_bar(
            x=[_middle(p.start, step) for p in mine], y=[p.rows for p in mine], width=width, name=f"Version {escape(version)}",
            marker={"color": colour}, customdata=[_say_volume(p, step) for p in mine],
            hovertemplate="%{customdata}<extra></extra>",
        )  # fmt: skip
    most = max((sum(p.rows for p in same) for _, same in groupby(points, key=lambda p: p.start)), default=1)
    figure.update_yaxes(range=[0, 1.18 * most], tickformat="~s")
    figure.update_layout(barmode="stack")
    return _frame(figure, step, steps, events)


def _frame(figure: go.Figure, step: str, steps: Sequence[str], events: Sequence[Event]) -> go.Figure:
    """The period as the axis of every chart, and what happened as marks along its upper edge."""
    events = _merge_alerts(events, step)
    for event in events:
        if event.kind in ("live", "rollback"):
            # not add_vline: with times it cannot place its line
            figure.add_shape(
                type="line", x0=parse(event.at), x1=parse(event.at), y0=0, y1=1, yref="paper",
                line={"width": 1, "color": MARKS[event.kind][1], "dash": "dot"}, layer="below",
            )  # fmt: skip
    if events:
        figure.add_scatter(
            x=[parse(e.at) for e in events], y=[0.96] * len(events), yaxis="y2", mode="markers+text", showlegend=False,
            text=[escape(e.name) if e.kind in ("live", "rollback") else "" for e in events], textposition="middle right",
            textfont={"size": 11}, cliponaxis=False,
            marker={
                "symbol": [MARKS[e.kind][0] for e in events], "size": 9, "color": [MARKS[e.kind][1] for e in events],
                "line": {"width": 1.5, "color": [MARKS[e.kind][1] for e in events]},
            },
            customdata=[_say_event(e) for e in events], hovertemplate="%{customdata}<extra></extra>",
        )  # fmt: skip
        figure.update_layout(yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True})
    end = parse(steps[-1]) + _SPAN[step]
    # a word for each few days only: of a long period single days cannot be read
    figure.update_xaxes(type="date", range=[parse(steps[0]), end], tickformat="%H:%M\n%-d %b" if step == "hour" else "%-d %b", nticks=8)
    figure.update_layout(legend={"font": {"size": 11}})
    return figure.update_layout(template=TEMPLATE, height=HEIGHT, margin={"l": 8, "r": 72, "t": 34, "b": 8}, hovermode="closest")


def _merge_alerts(events: Sequence[Event], step: str) -> list[Event]:
    """Alerts of one step under one mark: several on one spot would hide each other."""
    found = [e for e in events if e.kind != "alert"]
    alerts = sorted((e for e in events if e.kind == "alert"), key=lambda e: e.at)
    for _, same in groupby(alerts, key=lambda e: floor_step(e.at[:13], step)):
        group = list(same)
        if len(group) > 1:
            names = ", ".join(e.name for e in group[:8]) + (f" and {len(group) - 8} more" if len(group) > 8 else "")
            group = [Event(group[0].at, "alert", f"{len(group)} of them", f"{names}.", group[0].link)]
        found.extend(group)
    return sorted(found, key=lambda e: e.at)


def _add_bands(figure: go.Figure, known: Sequence[Point], name: str, step: str, steps: Sequence[str]) -> None:
    """The interval as one filled shape for each run of neighbours; a step alone gets a bar."""
    place = {start: n for n, start in enumerate(steps)}
    bounded = [p for p in known if p.metrics[name].low is not None and p.start in place]
    first = True
    for _, same in groupby(enumerate(bounded), key=lambda item: place[item[1].start] - item[0]):
        run = [p for _, p in same]
        lows, highs = [p.metrics[name].low for p in run], [p.metrics[name].high for p in run]
        x = [_middle(p.start, step) for p in run]
        alone = len(run) == 1
        figure.add_scatter(
            x=[*x, *reversed(x)], y=[*highs, *reversed(lows)], mode="lines", fill=None if alone else "toself", fillcolor=_BAND,
            line={"color": GO, "width": 1 if alone else 0}, hoverinfo="skip", name="95 %", legendgroup="band",
            showlegend=first,
        )  # fmt: skip
        first = False


def _in_order(points: Sequence[DriftPoint] | Sequence[VolumePoint]) -> list[str]:
    """The versions in the order in which they began to answer."""
    return sorted({p.version for p in points}, key=lambda v: (min(p.start for p in points if p.version == v), v))


class _Gap:
    """A step without a row: what breaks the line."""

    def __init__(self, start: str) -> None:
        self.start = start


def _with_gaps(points: Sequence[Any], steps: Sequence[str]) -> list[Any]:
    """The points in order, a gap for each run of steps without one."""
    by_start = {p.start: p for p in points}
    return [by_start.get(start) or _Gap(start) for start in steps]


def _value(point: Any, name: str) -> float | None:
    return point.metrics[name].value if isinstance(point, Point) else None


def _middle(start: str, step: str) -> datetime:
    return parse(start) + _SPAN[step] / 2


def say_step(start: str, step: str) -> str:
    """``21 Nov 2026``, ``week from 16 Nov 2026``, ``Nov 2026``, ``21 Nov, 14:00``; all UTC."""
    moment = parse(start)
    if step == "hour":
        return f"{moment:%-d %b, %H:%M} UTC"
    if step == "month":
        return f"{moment:%b %Y}"
    return f"{'week from ' if step == 'week' else ''}{moment:%-d %b %Y}"


def _say_point(point: Any, name: str, step: str, form: str) -> str:
    if not isinstance(point, Point):
        return ""
    metric = point.metrics[name]
    version = f"<br>version {escape(point.version)}" if point.version else "<br>several versions"
    interval = "" if metric.low is None else f" (95 %: {metric.low:{form}} to {metric.high:{form}})"
    baseline = "" if metric.baseline is None else f"<br>without a model {metric.baseline:{form}}"
    return f"<b>{say_step(point.start, step)}</b><br>{metric.value:{form}}{interval}<br>{_rows(point.rows, 'label')}{baseline}{version}"


def _say_drift(point: Any, step: str) -> str:
    if not isinstance(point, DriftPoint):
        return ""
    worst = f"<br>most: {escape(point.worst)}" if point.worst else "<br>no column beyond chance"
    return (
        f"<b>{say_step(point.start, step)}</b><br>overall {point.overall:.2f}{worst}"
        f"<br>{_rows(point.rows, 'prediction')} of version {escape(point.version)}"
    )


def _say_check(check: dict[str, Any]) -> str:
    rows = check["current"].get("rows", 0)
    label = escape(str(check["current"].get("label", "")))
    return f"<b>Check {check['id']}</b> by {escape(check['by'])}<br>overall {check['overall']:.2f}<br>{label}, {_rows(rows, 'row')}"


def _say_volume(point: VolumePoint, step: str) -> str:
    return (
        f"<b>{say_step(point.start, step)}</b><br>{_rows(point.rows, 'prediction')} of version {escape(point.version)}"
        f"<br>{point.problem_rows / point.rows:.0%} of the rows had a problem"
    )


def _say_event(event: Event) -> str:
    words = "<br>".join(_lines(escape(event.sentence)))
    return f"<b>{MARKS[event.kind][2]}: {escape(event.name)}</b><br>{parse(event.at):%-d %b %Y, %H:%M} UTC<br>{words}"


def _lines(text: str, width: int = 60) -> list[str]:
    lines, line = [], ""
    for word in text[:400].split(" "):
        if line and len(line) + len(word) >= width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line]


def _range(known: Sequence[Point], name: str, training: Sequence[float], floor: float | None) -> list[float] | None:
    metrics = [p.metrics[name] for p in known]
    values = [v for m in metrics for v in (m.value, m.low, m.high, m.baseline) if v is not None]
    values += [*training, *([] if floor is None else [floor])]
    if not values:
        return None
    low, high = min(values), max(values)
    room = 0.06 * ((high - low) or 1.0)
    top = high + 3 * room  # the marks stand there
    return [max(0.0, low - room) if low >= 0 else low - room, top]


def _rows(rows: int, what: str) -> str:
    return f"{rows:,} {what}{'' if rows == 1 else 's'}".replace(",", "\u202f")
