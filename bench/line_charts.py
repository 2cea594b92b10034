"""Small line charts as one SVG file, readable on a light and on a dark page."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 380, 250  # of one chart
LEFT, RIGHT, TOP, BOTTOM = 48, 16, 34, 46
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24312b; }
  .title { font-weight: 600; font-size: 13px; }
  .axis { stroke: #7b8881; stroke-width: 1; }
  .grid { stroke: #7b8881; stroke-opacity: .25; stroke-width: 1; }
  .line { fill: none; stroke-width: 2.2; stroke-linejoin: round; }
  .l0 { stroke: #0a7d4f; } .d0 { fill: #0a7d4f; stroke: none; }
  .l1 { stroke: #8a5a00; stroke-dasharray: 6 4; } .d1 { fill: #8a5a00; stroke: none; }
  .l2 { stroke: #7b8881; stroke-width: 1.4; stroke-dasharray: 2 3; }
  @media (prefers-color-scheme: dark) {
    text { fill: #dfe7e2; }
    .l0 { stroke: #3ecf8e; } .d0 { fill: #3ecf8e; }
    .l1 { stroke: #e0ac4a; } .d1 { fill: #e0ac4a; }
  }
"""


@dataclass(frozen=True)
class Line:
    """Points (x, share 0..1) in the order of x."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Chart:
    """One chart of three lines at most; the y axis is a share from 0 to 100 %."""

    title: str
    x_title: str
    lines: tuple[Line, ...]
    logarithmic: bool = False


def draw_svg(charts: list[Chart], title: str, *, columns: int = 2) -> str:
    """The charts side by side under one legend; ``title`` is what a screen reader says."""
    rows = math.ceil(len(charts) / columns)
    width, height = columns * WIDTH, rows * HEIGHT + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(title, quote=True)}">',
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>",
    ]
    for number, line in enumerate(charts[0].lines):
        x = LEFT + number * 220
        parts.append(f'<line class="line l{number}" x1="{x}" y1="16" x2="{x + 30}" y2="16"/>{_mark(number, x + 15, 16)}')
        parts.append(f'<text x="{x + 38}" y="20">{escape(line.name)}</text>')
    for place, chart in enumerate(charts):
        parts.append(f'<g transform="translate({place % columns * WIDTH} {34 + place // columns * HEIGHT})">{_draw(chart)}</g>')
    return "\n".join([*parts, "</svg>\n"])


def _draw(chart: Chart) -> str:
    places = [x for x, _ in chart.lines[0].points]
    low, high = _scaled(chart, places[0]), _scaled(chart, places[-1])
    inner, deep = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def across(x: float) -> float:
        return LEFT + inner * (_scaled(chart, x) - low) / (high - low)

    def down(share: float) -> float:
        return TOP + deep * (1 - share)

    parts = [f'<text class="title" x="{LEFT}" y="18">{escape(chart.title)}</text>']
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = down(share)
        parts.append(f'<line class="{"grid" if share else "axis"}" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    last = -math.inf
    for x in places:
        if across(x) - last < 34:  # labels must not run into each other
            continue
        last = across(x)
        parts.append(f'<text x="{last:.1f}" y="{TOP + deep + 16}" text-anchor="middle">{x:,g}</text>')
    parts.append(f'<text x="{LEFT + inner / 2:.1f}" y="{TOP + deep + 34}" text-anchor="middle">{escape(chart.x_title)}</text>')
    for number, line in enumerate(chart.lines):
        at = [(across(x), down(share)) for x, share in line.points]
        parts.append(f'<polyline class="line l{number}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in at)}"/>')
        parts += [_mark(number, x, y) for x, y in at]
    return "".join(parts)


def _mark(number: int, x: float, y: float) -> str:
    """A dot for the first line, a square for the second, none for the third: told apart without colour."""
    if number == 2:
        return ""
    if number == 0:
        return f'<circle class="d0" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>'
    return f'<rect class="d1" x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6"/>'


def _scaled(chart: Chart, x: float) -> float:
    return math.log10(x) if chart.logarithmic else x
