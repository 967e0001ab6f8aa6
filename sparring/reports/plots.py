"""The plots of a run: curves as PNG and the grids as an animation, from the run folder alone.

Matplotlib settings of the user or of a notebook (backend, style, LaTeX) have no effect here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparring.files import atomic, marks
from sparring.reports.animation import save_training
from sparring.reports.curves import LOGGED, ChartSpec
from sparring.runs.run import Run
from sparring.terminal.output import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BACKEND = "MPLBACKEND"
"""The environment variable by which a notebook selects a backend for all programs that it starts."""
COLOURS = ("#0072b2", "#d55e00")

Values = NDArray[np.float64]


def write_plots(run: Run) -> None:
    """Write the run's plots and its animation. Does nothing for a run without events or grids.

    If one fails, the others are still written. Then the first error is raised.
    """
    errors = []
    for draw in (_draw_curves, _draw_animation):
        try:
            draw(run)
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _draw_curves(run: Run) -> None:
    logged = [event for event in run.events() if event["event"] == "log"]
    if logged:
        losses, *discriminator = LOGGED
        name = printable(run.recipe().name)
        _save(run.losses_plot, (10, 5), partial(_draw, [losses], logged, name))
        _save(run.accuracy_plot, (10, 8), partial(_draw, discriminator, logged, name))


def _draw_animation(run: Run) -> None:
    if run.all_grids():
        save_training(run, run.animation)


def _draw(specs: Sequence[ChartSpec], logged: Sequence[dict[str, Any]], name: str, figure: Figure) -> None:
    """Draw the charts one below the other, with the name of the recipe in the first title."""
    rows = figure.subplots(len(specs), sharex=True, squeeze=False)[:, 0]
    for i, (axes, spec) in enumerate(zip(rows, specs, strict=True)):
        _draw_lines(axes, logged, spec)
        axes.set_title(f"{name}: {spec.title.lower()}" if i == 0 else spec.title.lower(), parse_math=False)
        axes.set(ylabel="share" if spec.percent else "nats", ylim=(-0.02, 1.02) if spec.percent else (0, None))
        if spec.level is not None:
            axes.axhline(spec.level[1], color="gray", linewidth=0.8, linestyle="--")
    rows[-1].set_xlabel("step")


def _draw_lines(axes: Any, logged: Sequence[dict[str, Any]], spec: ChartSpec) -> None:
    """Draw the points in a pale colour, and over them their moving mean."""
    steps = np.array([event["step"] for event in logged])
    for (key, label), colour in zip(spec.curves, COLOURS, strict=True):
        values = np.array([event.get(key, np.nan) for event in logged], float)
        axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
        axes.plot(steps, _moving_mean(values, max(1, len(values) // 40)), color=colour, label=label, linewidth=1.8)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.3)
    axes.legend()


def _moving_mean(values: Values, width: int) -> Values:
    """Return the mean of each value and up to `width` neighbours on either side."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    first, last = np.maximum(places - width, 0), np.minimum(places + width + 1, len(values))
    means: Values = (sums[last] - sums[first]) / (last - first)
    return means


def _save(path: Path, inches: tuple[float, float], draw: Callable[[Figure], None]) -> None:
    with _isolated_matplotlib() as make_figure:
        figure = make_figure(inches)
        draw(figure)
        metadata = {"Software": marks.SHEET}
        atomic.write_file(path, lambda file: figure.savefig(file, dpi=100, format="png", metadata=metadata))


@contextmanager
def _isolated_matplotlib() -> Iterator[Callable[[tuple[float, float]], Figure]]:
    """Use Matplotlib with its defaults and the Agg renderer. Yields a function: size in inches -> figure.

    Matplotlib reads `MPLBACKEND` on import and fails if that backend is not installed. Its log messages about the
    user's settings file or an unwritable cache are suppressed.
    """
    log, backend = logging.getLogger("matplotlib"), os.environ.pop(BACKEND, None)
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        def make_figure(inches: tuple[float, float]) -> Figure:
            figure = Figure(figsize=inches, layout="constrained")
            FigureCanvasAgg(figure)
            return figure

        defaults: Any = {name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"}
        with matplotlib.rc_context(defaults):
            yield make_figure
    finally:
        log.setLevel(level)
        if backend is not None:
            os.environ[BACKEND] = backend
