"""Line charts and bars as SVG. Pure functions.

The HTML page must include `STYLE` and define the CSS variables --one, --two and --three (the lines), --ink, --soft,
--rule, --paper and --alarm. Lines differ in colour, dashes and the shape of their points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparring.terminal.output import html_escaped as escape

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 22, 14, 24
"""Margins, for the tick labels and the alarm markers."""
MAX_POINTS, MAX_DOTS = 120, 40
"""Longer lines are drawn as group means with their range. Lines of up to `MAX_DOTS` points have dots."""
BAR_LENGTH, BAR_HEIGHT = 100, 16

Point = tuple[float, float]

STYLE = Path(__file__).with_name("charts.css").read_text(encoding="utf-8")

DOTS = (
    "m-2.6 0a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0-5.2 0",
    "m-2.3-2.3h4.6v4.6h-4.6z",
    "m0-3.4l3.4 3.4l-3.4 3.4l-3.4-3.4z",
)
"""A circle, a square and a diamond, as path data relative to the point."""
RING = "m-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0-11 0"
TRIANGLE = "m0-10l5.5 9h-11z"


@dataclass(frozen=True)
class Line:
    """One line of a chart."""

    label: str
    points: Sequence[Point]
    """(x, y), ordered by x; at least one."""


@dataclass(frozen=True)
class Chart:
    """A line chart with up to three lines."""

    title: str
    lines: tuple[Line, ...]
    note: str = ""
    """An explanation for first-time readers."""
    percent: bool = False
    at_least: float = 0.0
    """The smallest upper end of the y axis."""
    level: tuple[str, float] | None = None
    """(label, y) of a horizontal reference line."""
    best: Point | None = None
    """A point to mark."""
    alarms: tuple[tuple[float, str], ...] = ()
    """(x, text) of each alarm."""


def line_chart(chart: Chart, end: float) -> str:
    """Return a legend and the chart as HTML. The x axis ranges from 0 to `end`, the y axis includes 0."""
    lines = [grouped(line.points) for line in chart.lines]
    heights = [y for groups in lines for _, y, _, _ in groups] + [chart.at_least]
    heights += [mark[1] for mark in (chart.level, chart.best) if mark]
    ticks = _ticks(min(0.0, *heights), max(heights))
    frame = _Frame(max(end, 1.0), ticks[0], ticks[-1])
    return (
        f"{_legend(chart)}"
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_description(chart)}">'
        f"{_axes(frame, ticks, chart.percent)}"
        f"{_level(frame, chart.level[1]) if chart.level else ''}"
        f"{''.join(_alarm(frame, *alarm) for alarm in chart.alarms)}"
        f"{''.join(_line(frame, i, groups) for i, groups in enumerate(lines))}"
        f"{''.join(_dots(frame, i, line, chart.percent) for i, line in enumerate(chart.lines))}"
        f"{_best(frame, *chart.best) if chart.best else ''}"
        "</svg>"
    )


def bar(share: float, most: float, due: float, band: tuple[float, float]) -> str:
    """Return a bar of length `share`, where `most` fills the width, with a line at `due` and a shaded band.

    It has no text: it stands in a table beside its numbers.
    """
    scale = BAR_LENGTH / most
    low, high = (min(most, edge) * scale for edge in band)
    return (
        f'<svg class="bar" viewBox="0 0 {BAR_LENGTH} {BAR_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="share" x="0" y="4" width="{share * scale:.2f}" height="8"/>'
        f'<rect class="due-band" x="{low:.2f}" y="0" width="{high - low:.2f}" height="{BAR_HEIGHT}"/>'
        f'<path class="due" d="M{due * scale:.2f} 0V{BAR_HEIGHT}"/></svg>'
    )


def words(value: float, percent: bool = False) -> str:
    """Format a number with three digits: 0.123, 45.6%, 1,234."""
    if percent:
        return f"{100 * value:.3g}%"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


# ------------------------------------------------------------------------------------------------ the parts


@dataclass(frozen=True)
class _Frame:
    """Maps values to SVG coordinates: x from 0 to `end`, y from `low` to `high`."""

    end: float
    low: float
    high: float

    def x(self, x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * x / self.end

    def y(self, y: float) -> float:
        height = (y - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * height

    def place(self, x: float, y: float) -> str:
        return f"{self.x(x):.1f} {self.y(y):.1f}"

    def clipped(self, x: float, y: float) -> str:
        """Return the place, or the nearest one on the chart if the value is beyond the y axis."""
        return self.place(x, min(max(y, self.low), self.high))


def grouped(points: Sequence[Point]) -> list[tuple[float, float, float, float]]:
    """Return (x, mean, lowest, highest) of at most `MAX_POINTS` groups of neighbours."""
    groups = min(len(points), MAX_POINTS)
    found = []
    for i in range(groups):
        near = points[i * len(points) // groups : (i + 1) * len(points) // groups]
        heights = [y for _, y in near]
        middle = sum(x for x, _ in near) / len(near)
        found.append((middle, sum(heights) / len(near), min(heights), max(heights)))
    return found


def _ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Return about `about` evenly spaced round numbers that enclose `low` and `high`."""
    if high - low < 1e-12:
        high = low + 1
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    width = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / width + 1e-9), math.ceil(high / width - 1e-9)
    return [i * width for i in range(first, last + 1)]


def _axes(frame: _Frame, ticks: Sequence[float], percent: bool) -> str:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    across = "".join(
        f'<path class="grid" d="M{LEFT} {frame.y(tick):.1f}H{right}"/>'
        f'<text x="{LEFT - 6}" y="{frame.y(tick) + 4:.1f}" text-anchor="end">{words(tick, percent)}</text>'
        for tick in ticks
    )
    steps = [tick for tick in _ticks(0, frame.end, 5) if tick <= frame.end]
    below = "".join(
        f'<text x="{frame.x(tick):.1f}" y="{bottom + 17}" text-anchor="middle">{_step(tick, frame.end)}</text>'
        for tick in steps
    )
    return f'{across}<text x="{LEFT - 14}" y="{bottom + 17}" text-anchor="end">step</text>{below}'


def _step(step: float, end: float) -> str:
    """Format a tick of the x axis."""
    return f"{step / 1000:,.0f}k" if step and end >= 100_000 else f"{step:,.0f}"


def _level(frame: _Frame, value: float) -> str:
    return f'<path class="level" d="M{LEFT} {frame.y(value):.1f}H{WIDTH - RIGHT}"/>'


def _best(frame: _Frame, x: float, y: float) -> str:
    return f'<path class="best" d="M{frame.place(x, y)}{RING}"/>'


def _alarm(frame: _Frame, x: float, text: str) -> str:
    at = frame.x(x)
    return (
        f"<g><title>step {x:,.0f}: {escape(text)}</title>"
        f'<path class="alarm-line" d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
        f'<path class="alarm-sign" d="M{at:.1f} {TOP}{TRIANGLE}"/></g>'
    )


def _line(frame: _Frame, which: int, groups: Sequence[tuple[float, float, float, float]]) -> str:
    line = "L".join(frame.place(x, mean) for x, mean, _, _ in groups)
    above = [frame.clipped(x, top) for x, _, _, top in groups]  # the y axis covers the means only
    below = [frame.clipped(x, bottom) for x, _, bottom, _ in reversed(groups)]
    spread = "" if above == below[::-1] else f'<path class="spread c{which}" d="M{"L".join(above + below)}z"/>'
    return f'{spread}<path class="line c{which}" d="M{line}"/>'


def _dots(frame: _Frame, which: int, line: Line, percent: bool) -> str:
    if len(line.points) > MAX_DOTS:
        return ""
    return "".join(
        f'<path class="dot c{which}" d="M{frame.place(x, y)}{DOTS[which]}">'
        f"<title>step {x:,.0f}, {escape(line.label)}: {words(y, percent)}</title></path>"
        for x, y in line.points
    )


def _legend(chart: Chart) -> str:
    """Return the labels of the lines with their last values, and of the markers."""
    items = [
        (f'<path class="line c{i}" d="M1 6H25"/><path class="dot c{i}" d="M13 6{DOTS[i]}"/>', line.label, last)
        for i, line in enumerate(chart.lines)
        for last in [words(line.points[-1][1], chart.percent)]
    ]
    if chart.level:
        items.append(('<path class="level" d="M1 6H25"/>', chart.level[0], words(chart.level[1], chart.percent)))
    if chart.best:
        items.append((f'<path class="best" d="M13 6{RING}"/>', "best, at step", f"{chart.best[0]:,.0f}"))
    if chart.alarms:
        items.append((f'<path class="alarm-sign" d="M13 11{TRIANGLE}"/>', "alarm", ""))
    return (
        '<ul class="legend">'
        + "".join(
            f'<li><svg viewBox="0 0 26 12" aria-hidden="true">{sign}</svg>{escape(label)} <b>{value}</b></li>'
            for sign, label, value in items
        )
        + "</ul>"
    )


def _description(chart: Chart) -> str:
    """Return a text alternative for screen readers."""
    lines = "; ".join(
        f"{line.label} from {words(line.points[0][1], chart.percent)} to {words(line.points[-1][1], chart.percent)}"
        for line in chart.lines
    )
    return escape(f"{chart.title} by training step: {lines}")
