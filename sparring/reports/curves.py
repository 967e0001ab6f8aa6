"""The curves of a run: which events are charted, and their titles. For the report, page, plots and TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sparring.evaluation.alarms import COPIES_SHARE, best_of, comparable
from sparring.reports.charts import Chart, Line, Point

Event = dict[str, Any]
MAX_VALUE = 1e30
"""Larger values, NaN and infinity are not drawn."""


@dataclass(frozen=True)
class ChartSpec:
    """What a chart shows of the events."""

    title: str
    note: str
    """An explanation for first-time readers."""
    curves: tuple[tuple[str, str], ...]
    """(key in the events, label) of each line."""
    level: tuple[str, float | str] | None = None
    """A reference: its label, and its value or the key of its value."""
    percent: bool = True
    at_least: float = 1.0
    """The smallest upper end of the y axis."""


LOGGED = (
    ChartSpec(
        "Losses",
        "In nats. Each network minimises its own.",
        (("d_loss", "discriminator"), ("g_loss", "generator")),
        percent=False,
        at_least=0.0,
    ),
    ChartSpec(
        "Accuracy of the discriminator",
        "Share of a batch that it classifies correctly.",
        (("accuracy_real", "real images"), ("accuracy_fake", "fakes")),
    ),
    ChartSpec(
        "Output of the discriminator",
        "Mean probability that an image is real.",
        (("d_real", "real images, D(x)"), ("d_fake", "fakes, D(G(z))")),
        ("undecided", 0.5),
    ),
)
JUDGED = (
    ChartSpec(
        "Classes",
        "Many samples should be clear pictures. The class variation should be low.",
        (("confident", "clear pictures"), ("variation", "class variation")),
        ("chance (95%)", "variation_band"),
    ),
    ChartSpec(
        "Modes",
        "Different triples of digits among 1,000 samples.",
        (("modes", "samples"),),
        ("real images", "modes_real"),
        percent=False,
        at_least=0.0,
    ),
    ChartSpec(
        "Diversity",
        "Variation of the samples relative to that of real images.",
        (("diversity", "samples"),),
        ("real images", 1.0),
    ),
    ChartSpec(
        "Spectrum",
        "Power of the samples relative to that of real images: at fine details, and at the frequencies of a grid of 2 "
        "to 8 pixels.",
        (("fine", "fine details"), ("grid", "grid")),
        ("real images", 1.0),
    ),
    ChartSpec(
        "Copies",
        "Samples much closer to a training image than validation images are.",
        (("copies", "samples"),),
        ("alarm", COPIES_SHARE),
        at_least=0.05,
    ),
    ChartSpec(
        "Overfitting of the discriminator",
        "How often it rates a training image above a validation image.",
        (("memorising", "training image above"),),
        ("chance", 0.5),
    ),
    ChartSpec(
        "Accuracy of the discriminator on unseen images",
        "Share that it classifies correctly.",
        (("right_unseen", "validation images"), ("right_fake", "samples")),
        ("guessing", 0.5),
    ),
)
JUDGED_KEYS = ("score", "floor", *(key for spec in JUDGED for key, _ in spec.curves))
"""The numbers of an event `judged` that are shown."""


def logged(events: Sequence[Event]) -> list[Chart]:
    """Return the charts of the losses and the discriminator's output, from the events `log`."""
    return [chart for spec in LOGGED if (chart := _chart(spec, events))]


def judged(events: Sequence[Event], alarms: Sequence[Event]) -> list[Chart]:
    """Return the charts of the evaluations during training, from the events `judged`.

    The first chart is the distance. It marks the best step and the alarms.
    """
    distance = _distance(events, alarms)
    return [*([distance] if distance else []), *(chart for spec in JUDGED if (chart := _chart(spec, events)))]


def is_number(value: Any) -> bool:
    """Return whether the value is a number that can be drawn."""
    return isinstance(value, (int, float)) and -MAX_VALUE < value < MAX_VALUE


def _distance(events: Sequence[Event], alarms: Sequence[Event]) -> Chart | None:
    scored = [event for event in events if is_number(event.get("score"))]
    if not scored:
        return None
    scored = comparable(scored)
    best = best_of(scored)
    measure = "Frechet" if best.get("measure") == "frechet" else "kernel"
    return Chart(
        f"Distance ({measure})",
        (Line("samples", _points(scored, "score")),),
        "From the validation images; lower is better.",
        level=_level(scored, ("real images", "floor")),
        best=(best["step"], best["score"]),
        alarms=tuple((alarm["step"], str(alarm.get("text"))) for alarm in alarms),
    )


def _chart(spec: ChartSpec, events: Sequence[Event]) -> Chart | None:
    """Return the chart, or None if the events have none of its values."""
    lines = tuple(Line(label, points) for key, label in spec.curves if (points := _points(events, key)))
    if not lines:
        return None
    return Chart(spec.title, lines, spec.note, spec.percent, spec.at_least, _level(events, spec.level))


def _points(events: Sequence[Event], key: str) -> list[Point]:
    return [(event["step"], float(event[key])) for event in events if is_number(event.get(key))]


def _level(events: Sequence[Event], level: tuple[str, float | str] | None) -> tuple[str, float] | None:
    """Return the label and the value. A key stands for its value in the newest event."""
    if level is None:
        return None
    label, value = level
    if not isinstance(value, str):
        return label, value
    points = _points(events, value)
    return (label, points[-1][1]) if points else None
