"""THE HISTORY of a run in a page: what became of the same noise, its curves, and what the judge saw while it trained.

All of it is from the run's events and grids; what is not there is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sparring.images import open_picture
from sparring.reports import curves
from sparring.reports.charts import Line, line_chart
from sparring.reports.curves import Drawn, Event
from sparring.reports.html import embedded
from sparring.runs.run import Run
from sparring.terminal.output import html_escaped as escape

MOST_GRIDS = 8


def history(run: Run) -> str:
    """The section of a page; nothing for a run of which nothing was kept."""
    events = list(run.events())
    end = max((event["step"] for event in events), default=0)
    logged, judged, alarms = ([e for e in events if e["event"] == kind] for kind in ("log", "judged", "alarm"))
    said = "".join(_chart(drawn, end) for drawn in curves.logged(logged))
    seen = "".join(_chart(drawn, end) for drawn in curves.judged(judged, alarms))
    parts = [
        _part("What became of the same noise", "grids", _grids(run.own_grids())),
        _part("What the two networks say", "charts", said),
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
    size = open_picture(path).size
    return embedded(path.read_bytes(), size, f"samples after step {step:,}", f"step <b>{step:,}</b>")


def _raised(alarms: Sequence[Event]) -> str:
    if not alarms:
        return ""
    items = "".join(f"<li>step {alarm['step']:,}: {escape(str(alarm.get('text')))}</li>" for alarm in alarms)
    return f'<h3>Alarms while it trained</h3><ul class="raised">{items}</ul>'


def _chart(drawn: Drawn, end: float) -> str:
    chart = line_chart(
        drawn.title,
        [Line(label, points) for label, points in drawn.lines],
        end,
        percent=drawn.percent,
        high=drawn.at_least,
        level=drawn.level,
        best=drawn.best,
        alarms=drawn.alarms,
    )
    caption = f"<figcaption><b>{escape(drawn.title)}</b> {escape(drawn.note)}</figcaption>"
    return f'<figure class="card">{caption}{chart}</figure>'
