"""THE PLOTS of a run: curves as PNG and the grids as an animation, all from the run directory alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
from numpy.typing import NDArray

from sparring import atomic
from sparring.animation import save_training
from sparring.run import Run

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
    """Write the run's plots and its animation. Does nothing for a run without events or grids."""
    logged = [event for event in run.events() if event["event"] == "log"]
    if logged:
        name = run.recipe().name
        _save(run.losses_plot, _losses_figure(logged, name))
        _save(run.accuracy_plot, _accuracy_figure(logged, name))
    if run.all_grids():
        save_training(run, run.animation)


def _losses_figure(logged: Sequence[dict[str, Any]], name: str) -> matplotlib.figure.Figure:
    figure = matplotlib.figure.Figure(figsize=(10, 5), layout="constrained")
    axes = figure.add_subplot()
    _draw(axes, logged, LOSSES)
    axes.set_title(f"{name}: losses", parse_math=False)
    axes.set(ylabel="loss (nats)", ylim=(0, None))
    return figure


def _accuracy_figure(logged: Sequence[dict[str, Any]], name: str) -> matplotlib.figure.Figure:
    figure = matplotlib.figure.Figure(figsize=(10, 8), layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    _draw(above, logged, ACCURACIES)
    above.set_title(f"{name}: what the discriminator gets right", parse_math=False)
    above.set(ylabel="share", ylim=(-0.02, 1.02), xlabel="")
    _draw(below, logged, SCORES)
    below.axhline(0.5, color="gray", linewidth=0.8, linestyle="--")
    below.set(title="how real it finds them", ylabel="probability", ylim=(-0.02, 1.02))
    return figure


def _draw(axes: Any, logged: Sequence[dict[str, Any]], curves: Sequence[Curve]) -> None:
    """The points pale, and over them their moving mean, so that the trend is seen through the noise."""
    steps = np.array([event["step"] for event in logged])
    for key, label, colour in curves:
        values = np.array([event[key] for event in logged], float)
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


def _save(path: Path, figure: matplotlib.figure.Figure) -> None:
    atomic.write_file(path, lambda partial: figure.savefig(partial, dpi=100))
