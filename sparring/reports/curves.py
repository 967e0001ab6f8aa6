"""CURVES: which of a run's events are shown, under what title, and beside what; for the report and the live page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sparring.evaluation.alarms import COPIES_SHARE, best_of

Event = dict[str, Any]
LARGEST = 1e30
"""Numbers beyond it, and what is no number, are not drawn."""
Point = tuple[float, float]


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
        ("alarm", COPIES_SHARE),
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


@dataclass(frozen=True)
class Drawn:
    """A chart with what it shows of one run."""

    title: str
    note: str
    lines: tuple[tuple[str, list[Point]], ...]
    """(label, points (step, value)); at least one line, each of at least one point."""
    level: tuple[str, float] | None = None
    percent: bool = False
    at_least: float = 0.0
    best: Point | None = None
    """A point to mark."""
    alarms: tuple[tuple[int, str], ...] = ()
    """(step, what was wrong there)."""


def logged(events: Sequence[Event]) -> list[Drawn]:
    """What the two networks say, of the events `log`."""
    return [drawn for chart in LOGGED if (drawn := _drawn(chart, events))]


def judged(events: Sequence[Event], alarms: Sequence[Event]) -> list[Drawn]:
    """What the judge saw while it trained, of the events `judged`; first the chart where the best step and the alarms
    are marked."""
    distance = _distance(events, alarms)
    return [*([distance] if distance else []), *(drawn for chart in JUDGED if (drawn := _drawn(chart, events)))]


def is_number(value: Any) -> bool:
    """Whether it is a number that can be drawn."""
    return isinstance(value, (int, float)) and -LARGEST < value < LARGEST


def _distance(events: Sequence[Event], alarms: Sequence[Event]) -> Drawn | None:
    scored = [event for event in events if is_number(event.get("score"))]
    if not scored:
        return None
    best = best_of(scored)
    measure = "Frechet" if best.get("measure") == "frechet" else "kernel"
    return Drawn(
        f"Distance ({measure})",
        "From held-out real images; lower is better.",
        (("samples", _points(scored, "score")),),
        _level(scored, ("real images", "floor")),
        best=(best["step"], best["score"]),
        alarms=tuple((alarm["step"], str(alarm.get("text"))) for alarm in alarms),
    )


def _drawn(chart: Chart, events: Sequence[Event]) -> Drawn | None:
    """Nothing where the events have none of the values."""
    lines = tuple((label, points) for key, label in chart.curves if (points := _points(events, key)))
    if not lines:
        return None
    level = _level(events, chart.level)
    return Drawn(chart.title, chart.note, lines, level, chart.percent, chart.at_least)


def _points(events: Sequence[Event], key: str) -> list[Point]:
    return [(event["step"], float(event[key])) for event in events if is_number(event.get(key))]


def _level(events: Sequence[Event], level: tuple[str, float | str] | None) -> tuple[str, float] | None:
    """The label and the value; that of the newest event where it is their key."""
    if level is None:
        return None
    label, value = level
    if not isinstance(value, str):
        return label, value
    points = _points(events, value)
    return (label, points[-1][1]) if points else None
