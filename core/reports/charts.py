"""Charts of a report as SVG: small, drawn with words and shapes besides colour, legible in print and in grey.

Each function takes plain values and returns the text of one ``<svg>``. Every word is escaped here, so the picture can stand in a
page as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from core.reports.words import shown

WIDTH = 660
GO, LOOK, ACT, QUIET, BLUE = "#16794a", "#b26a00", "#b8342b", "#68746e", "#3b6fb0"
INK, LINE, PALE = "#1d2521", "#d5dbd8", "#eef2f0"
COLOURS = {"ok": GO, "warning": LOOK, "drift": ACT, "critical": ACT, "unknown": QUIET, "chance": QUIET}
_LABEL = 150  # room for the names at the left
_MOST_LETTERS = 24


@dataclass(frozen=True)
class Bar:
    """One bar: ``value`` None is unknown and draws nothing but its note."""

    name: str
    value: float | None
    note: str
    look: str = "ok"


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, and what doing nothing would give."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    baseline: float | None = None


@dataclass(frozen=True)
class Step:
    """One step of a period: ``value`` None is a gap, never a zero."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None


def bars(rows: Sequence[Bar], *, limits: Sequence[tuple[float, str]] = (), top: float = 1.0) -> str:
    """Horizontal bars from 0 to ``top`` with their notes in words and limits as dashed lines."""
    head, pitch = 18 if limits else 4, 22
    right, height = WIDTH - 130, head + pitch * len(rows) + 6
    parts = []
    for limit, word in limits:
        x = _LABEL + (right - _LABEL) * min(limit / top, 1.0)
        parts.append(_line(x, head - 3, x, height - 4, QUIET, dash="4 3"))
        parts.append(_text(x, head - 7, f"{word} {limit:g}", anchor="middle", size=10, colour=QUIET))
    for place, bar in enumerate(rows):
        y = head + pitch * place
        parts.append(_text(_LABEL - 8, y + 14, _short(bar.name), anchor="end"))
        width = (right - _LABEL) * min(max((bar.value or 0.0) / top, 0.0), 1.0)
        colour = COLOURS.get(bar.look, BLUE)
        if bar.value is not None:
            hollow = bar.look == "chance"
            parts.append(_rect(_LABEL, y + 4, max(width, 1.5), 13, "#ffffff" if hollow else colour, edge=colour, dash="3 2" if hollow else ""))
        if any(_LABEL + width < _LABEL + (right - _LABEL) * limit / top < _LABEL + width + 10 + 6 * len(bar.note) for limit, _ in limits):
            parts.append(_rect(_LABEL + width + 3, y + 4, 6 + 5.6 * len(shown(bar.note)), 13, "#ffffff"))  # the words stand on the line
        parts.append(_text(_LABEL + width + 6, y + 14, bar.note, size=11, colour=INK if bar.value is not None else QUIET))
    return _svg(height, parts)


def pairs(rows: Sequence[tuple[str, float, float]], names: tuple[str, str]) -> str:
    """Two shares (0..1) a line, one above the other: reference hollow, current filled."""
    top = max([0.05, *(max(a, b) for _, a, b in rows)])
    head, pitch = 22, 30
    right, height = WIDTH - 60, head + pitch * len(rows) + 4
    parts = [
        _rect(_LABEL, 4, 11, 9, PALE, edge=QUIET), _text(_LABEL + 16, 12, names[0], size=10),
        _rect(_LABEL + 250, 4, 11, 9, BLUE), _text(_LABEL + 266, 12, names[1], size=10),
    ]  # fmt: skip
    for place, (name, before, after) in enumerate(rows):
        y = head + pitch * place
        parts.append(_text(_LABEL - 8, y + 17, _short(name), anchor="end"))
        for value, at, fill, edge in ((before, y + 2, PALE, QUIET), (after, y + 14, BLUE, BLUE)):
            width = (right - _LABEL) * value / top
            parts.append(_rect(_LABEL, at, max(width, 0.5), 10, fill, edge=edge))
            parts.append(_text(_LABEL + width + 5, at + 9, _percent(value), size=10))
    return _svg(height, parts)


def estimates(rows: Sequence[Estimate], *, low: float = 0.0, high: float = 1.0) -> str:
    """Points with whiskers on one scale; the baseline is a hollow diamond."""
    head, pitch = 26, 24
    right, height = WIDTH - 70, head + pitch * len(rows) + 26

    def x(value: float) -> float:
        return _LABEL + (right - _LABEL) * (min(max(value, low), high) - low) / ((high - low) or 1.0)

    parts = [
        _dot(_LABEL + 6, 9, GO), _text(_LABEL + 16, 13, "this version, with its 95 % interval", size=10),
        _diamond(_LABEL + 246, 9), _text(_LABEL + 256, 13, "doing nothing (baseline)", size=10),
    ]  # fmt: skip
    bottom = head + pitch * len(rows) + 4
    for step in range(6):
        value = low + (high - low) * step / 5
        parts.append(_line(x(value), head, x(value), bottom, LINE))
        parts.append(_text(x(value), bottom + 14, f"{value:.2g}", anchor="middle", size=10, colour=QUIET))
    for place, row in enumerate(rows):
        y = head + pitch * place + pitch / 2
        parts.append(_text(_LABEL - 14, y + 4, _short(row.name), anchor="end"))
        if row.low is not None and row.high is not None:
            parts.append(_line(x(row.low), y, x(row.high), y, GO, width=2))
            parts += [_line(x(end), y - 4, x(end), y + 4, GO, width=2) for end in (row.low, row.high)]
        if row.baseline is not None:
            parts.append(_diamond(x(row.baseline), y))
        parts.append(_dot(x(row.value), y, GO))
        parts.append(_text(right + 12, y + 4, f"{row.value:.3f}"))
    return _svg(height, parts)


def lines(
    steps: Sequence[Step], *, unit: str = "", limits: Sequence[tuple[float, str]] = (), marks: Sequence[tuple[int, str]] = (),
    top: float | None = None,
) -> str:
    """A value over time with its interval as a band; a gap where it is unknown.

    Parameters
    ----------
    marks : sequence of (int, str)
        Steps at which something happened, and a word for it.
    top : float, optional
        Upper end of the scale; else a little above the largest value.
    """
    known = [v for s in steps for v in (s.value, s.low, s.high) if v is not None]
    most = top if top is not None else max([*known, *(limit for limit, _ in limits), 1e-9]) * 1.08
    left, right, head, bottom, height = 46, WIDTH - 14, 22, 152, 178
    gap = (right - left) / max(len(steps) - 1, 1)

    def place(step: int, value: float) -> tuple[float, float]:
        return left + gap * step if len(steps) > 1 else (left + right) / 2, bottom - (bottom - head) * min(value / most, 1.0)

    parts = []
    for share in (0.0, 0.5, 1.0):
        y = bottom - (bottom - head) * share
        parts.append(_line(left, y, right, y, LINE))
        parts.append(_text(left - 6, y + 4, f"{most * share:.3g}", anchor="end", size=10, colour=QUIET))
    if unit:
        parts.append(_text(left, 11, unit, size=10, colour=QUIET))
    for limit, word in limits:
        y = place(0, limit)[1]
        parts.append(_line(left, y, right, y, LOOK, dash="4 3"))
        parts.append(_text(left + 3, y - 4, f"{word} {limit:g}", size=10, colour=LOOK))
    for step, word in marks:
        x = place(step, 0)[0]
        parts.append(_line(x, head - 2, x, bottom, BLUE, dash="2 2"))
        late = x > right - 80
        parts.append(_text(x - 3 if late else x + 3, head + 6, _short(word), anchor="end" if late else "start", size=10, colour=BLUE))
    for run in _runs(steps):
        band = [i for i in run if steps[i].low is not None and steps[i].high is not None]
        if len(band) > 1:
            upper = [place(i, steps[i].high or 0.0) for i in band]
            lower = [place(i, steps[i].low or 0.0) for i in reversed(band)]
            parts.append(f'<polygon points="{_points(upper + lower)}" fill="{GO}" fill-opacity="0.16"/>')
        elif band:
            parts.append(_line(*place(band[0], steps[band[0]].low or 0.0), *place(band[0], steps[band[0]].high or 0.0), GO))
        if len(run) > 1:
            path = _points([place(i, steps[i].value or 0.0) for i in run])
            parts.append(f'<polyline points="{path}" fill="none" stroke="{GO}" stroke-width="1.8"/>')
        parts += [_dot(*place(i, steps[i].value or 0.0), GO, 2.6) for i in run]
    parts += _below(steps, left, right, gap, bottom + 15)
    return _svg(height, parts)


def columns(steps: Sequence[Step], *, unit: str = "") -> str:
    """A count a step, as upright bars; the largest is written above."""
    most = max([s.value or 0.0 for s in steps] or [0.0]) or 1.0
    left, right, head, bottom, height = 46, WIDTH - 14, 32, 130, 154
    gap = (right - left) / max(len(steps), 1)
    parts = [_line(left, bottom, right, bottom, QUIET), _text(left, 11, unit, size=10, colour=QUIET)]
    for place, step in enumerate(steps):
        if not step.value:
            continue
        tall = max((bottom - head) * step.value / most, 0.8)
        x = left + gap * place
        parts.append(_rect(x + gap * 0.15, bottom - tall, gap * 0.7, tall, BLUE))
        if gap >= 26 or step.value == most:
            parts.append(_text(x + gap / 2, bottom - tall - 4, f"{step.value:,.0f}".replace(",", "\u202f"), anchor="middle", size=10))
    parts += _below(steps, left + gap / 2, right - gap / 2, gap, bottom + 15)
    return _svg(height, parts)


def _below(steps: Sequence[Step], left: float, right: float, gap: float, y: float) -> list[str]:
    """Names of the steps, as many as there is room for; the first and the last always."""
    every = max(1, -(-62 // max(int(gap), 1)))
    last = len(steps) - 1
    found = []
    for place, step in enumerate(steps):
        if place not in (0, last) and (place % every or last - place < every):
            continue
        anchor = "start" if place == 0 and last else "end" if place == last and last else "middle"
        x = left + gap * place if last else (left + right) / 2
        found.append(_text(x, y, step.name, anchor=anchor if gap < 50 or x > WIDTH - 24 else "middle", size=10, colour=QUIET))
    return found


def _runs(steps: Sequence[Step]) -> list[list[int]]:
    """Stretches of steps whose value is known."""
    found: list[list[int]] = []
    for place, step in enumerate(steps):
        if step.value is None:
            continue
        if found and found[-1][-1] == place - 1:
            found[-1].append(place)
        else:
            found.append([place])
    return found


def _svg(height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'role="img">{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 11, colour: str = INK) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{escape(shown(text))}</text>'


def _rect(x: float, y: float, width: float, height: float, fill: str, *, edge: str = "", dash: str = "") -> str:
    line = f' stroke="{edge}" stroke-width="1"' if edge else ""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"{line}{dashes}/>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1, dash: str = "") -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"{dashes}/>'


def _dot(x: float, y: float, colour: str, radius: float = 4.5) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>'


def _diamond(x: float, y: float) -> str:
    corners = [(x, y - 5), (x + 5, y), (x, y + 5), (x - 5, y)]
    return f'<polygon points="{_points(corners)}" fill="#ffffff" stroke="{QUIET}" stroke-width="1.5"/>'


def _points(found: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in found)


def _short(text: str) -> str:
    flat = shown(text)
    return flat if len(flat) <= _MOST_LETTERS else flat[: _MOST_LETTERS - 1] + "…"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.005 or share == 0 else "<1%"
