"""The section "Training" of a report: samples during training, curves, alarms and evaluations.

It is made from the run's events and grids. Missing parts are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sparring.images import open_picture
from sparring.reports import curves
from sparring.reports.charts import Chart, line_chart
from sparring.reports.curves import Event
from sparring.reports.html import embedded
from sparring.runs.run import Run
from sparring.terminal.output import html_escaped as escape

MAX_GRIDS = 8


def history(run: Run) -> str:
    """Return the section, or "" if the run has neither events nor grids."""
    events = list(run.events())
    end = max((event["step"] for event in events), default=0)
    logged, judged, alarms = ([e for e in events if e["event"] == kind] for kind in ("log", "judged", "alarm"))
    training_charts = "".join(_chart(chart, end) for chart in curves.logged(logged))
    evaluation_charts = "".join(_chart(chart, end) for chart in curves.judged(judged, alarms))
    parts = [
        _part("Samples of the same latents", "grids", _grids(run.own_grids())),
        _part("Losses and discriminator", "charts", training_charts),
        _alarms(alarms),
        _part("Evaluations during training", "charts", evaluation_charts),
    ]
    return f"<section><h2>Training</h2>{''.join(parts)}</section>" if any(parts) else ""


def _part(title: str, kind: str, content: str) -> str:
    return f'<h3>{title}</h3><div class="{kind}">{content}</div>' if content else ""


def _grids(grids: Sequence[tuple[int, Path]]) -> str:
    """Return evenly spaced grids, including the first and the last."""
    chosen = np.unique(np.linspace(0, len(grids) - 1, min(len(grids), MAX_GRIDS)).round().astype(int))
    return "".join(_grid(*grids[i]) for i in chosen)


def _grid(step: int, path: Path) -> str:
    size = open_picture(path).size
    return embedded(path.read_bytes(), size, f"samples after step {step:,}", f"step <b>{step:,}</b>")


def _alarms(alarms: Sequence[Event]) -> str:
    if not alarms:
        return ""
    items = "".join(f"<li>step {alarm['step']:,}: {escape(str(alarm.get('text')))}</li>" for alarm in alarms)
    return f'<h3>Alarms during training</h3><ul class="raised">{items}</ul>'


def _chart(chart: Chart, end: float) -> str:
    caption = f"<figcaption><b>{escape(chart.title)}</b> {escape(chart.note)}</figcaption>"
    return f'<figure class="card">{caption}{line_chart(chart, end)}</figure>'
