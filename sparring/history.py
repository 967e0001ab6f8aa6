"""THE HISTORY of a run in a page: what became of the same noise, its curves, and what the judge saw while it trained.

All of it is from the run's events and grids; what is not there is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sparring.alarms import best_of
from sparring.charts import Line, Point, line_chart
from sparring.metrics.memorisation import ALARM_SHARE
from sparring.page import embedded
from sparring.run import Run

MOST_GRIDS = 8

Event = dict[str, Any]


@dataclass(frozen=True)
class Chart:
    """What a chart shows of the events."""

    title: str
    note: str
    """What is seen there, for somebody who sees it for the first time."""
    curves: tuple[tuple[str, str], ...]
    """(key in the events, label) of each line."""
    level: tuple[str, float | str] | None = None
    """What to compare with: its label, and its value or the key that has it."""
    percent: bool = True
    at_least: float = 1.0
    """How high the chart is even where the values are lower."""


LOGGED = (
    Chart(
        "Losses",
        "In nats; each network wants its own to be low.",
        (("d_loss", "discriminator"), ("g_loss", "generator")),
        percent=False,
        at_least=0.0,
    ),
    Chart(
        "What the discriminator gets right",
        "Share of the images of a batch that it knows for what they are.",
        (("accuracy_real", "real images"), ("accuracy_fake", "fakes")),
    ),
    Chart(
        "How real it finds them",
        "The discriminator's mean answer; 100% is surely real.",
        (("d_real", "real images, D(x)"), ("d_fake", "fakes, D(G(z))")),
        ("undecided", 0.5),
    ),
)
JUDGED = (
    Chart(
        "Classes",
        "Clear pictures should be many; of another class than due, few.",
        (("confident", "clear pictures"), ("variation", "of another class than due")),
        ("chance alone", "variation_band"),
    ),
    Chart(
        "Modes",
        "Different triples of digits among 1,000 samples.",
        (("modes", "samples"),),
        ("real images", "modes_real"),
        percent=False,
        at_least=0.0,
    ),
    Chart(
        "Diversity",
        "How much the samples vary, as a share of how much real images do.",
        (("diversity", "samples"),),
        ("real images", 1.0),
    ),
    Chart(
        "Copies",
        "Samples far closer to a training image than unseen real images are.",
        (("copies", "samples"),),
        ("alarm", ALARM_SHARE),
        at_least=0.05,
    ),
    Chart(
        "Does D know its training images?",
        "How often it finds one more real than an unseen one.",
        (("memorising", "training image first"),),
        ("chance", 0.5),
    ),
    Chart(
        "D on what it never saw",
        "Share that the discriminator gets right.",
        (("right_unseen", "unseen real images"), ("right_fake", "samples")),
        ("guessing", 0.5),
    ),
)


def history(run: Run) -> str:
    """The section of a page; nothing for a run of which nothing was kept."""
    events = list(run.events())
    end = max((event["step"] for event in events), default=0)
    logged, judged, alarms = ([e for e in events if e["event"] == kind] for kind in ("log", "judged", "alarm"))
    curves = "".join(_chart(chart, logged, end) for chart in LOGGED)
    seen = _distance(judged, alarms, end) + "".join(_chart(chart, judged, end) for chart in JUDGED)
    parts = [
        _part("What became of the same noise", "grids", _grids([grid for grid in run.all_grids() if grid[0] <= end])),
        _part("What the two networks say", "charts", curves),
        _raised(alarms),
        _part("What the judge saw while it trained", "charts", seen),
    ]
    return f"<section><h2>How it was trained</h2>{''.join(parts)}</section>" if any(parts) else ""


def _part(title: str, kind: str, content: str) -> str:
    return f'<h3>{title}</h3><div class="{kind}">{content}</div>' if content else ""


def _grids(grids: Sequence[tuple[int, Path]]) -> str:
    """Evenly chosen ones, first and last among them."""
    chosen = np.unique(np.linspace(0, len(grids) - 1, min(len(grids), MOST_GRIDS)).round().astype(int))
    return "".join(_grid(*grids[i]) for i in chosen)


def _grid(step: int, path: Path) -> str:
    with Image.open(path) as opened:
        size = opened.size
    return embedded(path.read_bytes(), size, f"samples after step {step:,}", f"step <b>{step:,}</b>")


def _raised(alarms: Sequence[Event]) -> str:
    if not alarms:
        return ""
    items = "".join(f"<li>step {alarm['step']:,}: {escape(str(alarm.get('text')))}</li>" for alarm in alarms)
    return f'<h3>Alarms while it trained</h3><ul class="raised">{items}</ul>'


def _distance(judged: Sequence[Event], alarms: Sequence[Event], end: float) -> str:
    """The chart that the best step and the alarms are marked in."""
    scored = [event for event in judged if _is_number(event.get("score"))]
    if not scored:
        return ""
    best = best_of(scored)
    measure = "Frechet" if best.get("measure") == "frechet" else "kernel"
    chart = line_chart(
        "distance from held-out images",
        [Line("samples", _points(scored, "score"))],
        end,
        level=_level(scored, ("real images", "floor")),
        best=(best["step"], best["score"]),
        alarms=[(alarm["step"], str(alarm.get("text"))) for alarm in alarms],
    )
    return _card(f"Distance ({measure})", "From held-out real images; lower is better.", chart)


def _chart(chart: Chart, events: Sequence[Event], end: float) -> str:
    """Nothing where the events have none of the values."""
    lines = [Line(label, points) for key, label in chart.curves if (points := _points(events, key))]
    if not lines:
        return ""
    level = _level(events, chart.level)
    drawn = line_chart(chart.title, lines, end, percent=chart.percent, high=chart.at_least, level=level)
    return _card(chart.title, chart.note, drawn)


def _card(title: str, note: str, chart: str) -> str:
    return f'<figure class="card"><figcaption><b>{escape(title)}</b> {escape(note)}</figcaption>{chart}</figure>'


def _points(events: Sequence[Event], key: str) -> list[Point]:
    return [(event["step"], float(event[key])) for event in events if _is_number(event.get(key))]


def _level(events: Sequence[Event], level: tuple[str, float | str] | None) -> tuple[str, float] | None:
    """The label and the value; that of the newest event where it is their key."""
    if level is None:
        return None
    label, value = level
    if not isinstance(value, str):
        return label, value
    points = _points(events, value)
    return (label, points[-1][1]) if points else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
