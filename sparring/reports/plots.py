"""THE PLOTS of a run: curves as PNG and the grids as an animation, all from the run directory alone.

The settings of Matplotlib that a user or a notebook has made (a backend, a style, LaTeX) change nothing here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparring.files import atomic, marks
from sparring.reports.animation import save_training
from sparring.runs.run import Run
from sparring.terminal.output import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BACKEND = "MPLBACKEND"
"""The environment variable that a notebook sets for all programs that it starts."""

Values = NDArray[np.float64]
Curve = tuple[str, str, str]
"""Name in the events, label, colour."""

LOSSES: tuple[Curve, ...] = (("d_loss", "discriminator", "#0072b2"), ("g_loss", "generator", "#d55e00"))
ACCURACIES: tuple[Curve, ...] = (
    ("accuracy_real", "accuracy on real images", "#0072b2"),
    ("accuracy_fake", "accuracy on fakes", "#d55e00"),
)
SCORES: tuple[Curve, ...] = (
    ("d_real", "mean D(x), real images", "#0072b2"),
    ("d_fake", "mean D(G(z)), fakes", "#d55e00"),
)


def write_plots(run: Run) -> None:
    """Write the run's plots and its animation. Does nothing for a run without events or grids.

    Where one of them fails, the others are written, and then the first error is raised.
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
        name = printable(run.recipe().name)
        _save(run.losses_plot, (10, 5), lambda figure: _draw_losses(figure, logged, name))
        _save(run.accuracy_plot, (10, 8), lambda figure: _draw_accuracies(figure, logged, name))


def _draw_animation(run: Run) -> None:
    if run.all_grids():
        save_training(run, run.animation)


def _draw_losses(figure: Figure, logged: Sequence[dict[str, Any]], name: str) -> None:
    axes = figure.add_subplot()
    _draw(axes, logged, LOSSES)
    axes.set_title(f"{name}: losses", parse_math=False)
    axes.set(ylabel="loss (nats)", ylim=(0, None))


def _draw_accuracies(figure: Figure, logged: Sequence[dict[str, Any]], name: str) -> None:
    above, below = figure.subplots(2, sharex=True)
    _draw(above, logged, ACCURACIES)
    above.set_title(f"{name}: what the discriminator gets right", parse_math=False)
    above.set(ylabel="share", ylim=(-0.02, 1.02), xlabel="")
    _draw(below, logged, SCORES)
    below.axhline(0.5, color="gray", linewidth=0.8, linestyle="--")
    below.set(title="how real it finds them", ylabel="probability", ylim=(-0.02, 1.02))


def _draw(axes: Any, logged: Sequence[dict[str, Any]], curves: Sequence[Curve]) -> None:
    """The points pale, and over them their moving mean, so that the trend is seen through the noise."""
    steps = np.array([event["step"] for event in logged])
    for key, label, colour in curves:
        values = np.array([event.get(key, np.nan) for event in logged], float)
        axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
        axes.plot(steps, _moving_mean(values, max(1, len(values) // 40)), color=colour, label=label, linewidth=1.8)
    axes.set_xlabel("step")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.3)
    axes.legend()


def _moving_mean(values: Values, width: int) -> Values:
    """Mean of up to `width` values on either side; at the ends of those that are there."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    first, last = np.maximum(places - width, 0), np.minimum(places + width + 1, len(values))
    means: Values = (sums[last] - sums[first]) / (last - first)
    return means


def _save(path: Path, inches: tuple[float, float], draw: Callable[[Figure], None]) -> None:
    with _own_matplotlib() as figure_of:
        figure = figure_of(inches)
        draw(figure)
        about = {"Software": marks.SHEET}
        atomic.write_file(path, lambda file: figure.savefig(file, dpi=100, format="png", metadata=about))


@contextmanager
def _own_matplotlib() -> Iterator[Callable[[tuple[float, float]], Figure]]:
    """Matplotlib with its own defaults, and figures of its renderer Agg: size in inches -> figure.

    Matplotlib reads `MPLBACKEND` when it is imported, and fails where the backend is not installed here. What it logs
    about a user's settings file, or about a cache that it cannot write, is not for the user of a training.
    """
    log, backend = logging.getLogger("matplotlib"), os.environ.pop(BACKEND, None)
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        def figure_of(inches: tuple[float, float]) -> Figure:
            figure = Figure(figsize=inches, layout="constrained")
            FigureCanvasAgg(figure)
            return figure

        defaults: Any = {name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"}
        with matplotlib.rc_context(defaults):
            yield figure_of
    finally:
        log.setLevel(level)
        if backend is not None:
            os.environ[BACKEND] = backend
