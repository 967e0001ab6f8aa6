"""THE VERDICT: all that was measured of one set of samples, with what it is measured by; to and from JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from sparring.errors import RunError
from sparring.evaluation.metrics.asked import Asked
from sparring.evaluation.metrics.balance import Balance
from sparring.evaluation.metrics.discriminator import Discrimination
from sparring.evaluation.metrics.memorisation import Memorisation
from sparring.evaluation.metrics.modes import Modes
from sparring.runs import schemas

FORMAT = schemas.Measures.FORMAT


@dataclass(frozen=True)
class Measure:
    """One number."""

    value: float
    error: float | None
    """Standard error for the chance in drawing the samples; None where that is not known."""
    real: float | None
    """The same measure of as many real training images: what a perfect generator would get. None where it has none."""


@dataclass(frozen=True)
class MetricInfo:
    """What a measure is, for tables and the report."""

    title: str
    better: str
    """One of lower, higher, or nothing where it depends."""
    meaning: str
    """One sentence for somebody who never heard of it."""
    share: bool = False
    """Whether it is a share, to be shown in percent."""
    count: bool = False
    """Whether it is a number of things, to be shown without decimals."""


MEASURES: dict[str, MetricInfo] = {
    "frechet_ratio": MetricInfo(
        "distance / floor",
        "lower",
        "How many times as far from unseen real images as other real images are; 1 would be perfect.",
    ),
    "frechet": MetricInfo(
        "Frechet classifier distance", "lower", "Distance of the samples' features from those of unseen images."
    ),
    "kernel": MetricInfo(
        "kernel distance", "lower", "Another distance, without bias: the one to trust for few samples."
    ),
    "precision": MetricInfo(
        "precision", "higher", "Share of samples that lie among real images: are they like real ones?", True
    ),
    "recall": MetricInfo(
        "recall", "higher", "Share of real images that lie among the samples: is everything there?", True
    ),
    "density": MetricInfo("density", "higher", "Precision that outliers cannot raise; about 1 for real images."),
    "coverage": MetricInfo(
        "coverage", "higher", "Share of real images with a sample nearby: recall that outliers cannot raise.", True
    ),
    "modes": MetricInfo(
        "modes", "higher", "How many of the 1,000 triples of digits there is at least one sample of.", count=True
    ),
    "mode_divergence": MetricInfo(
        "divergence of modes", "lower", "How unevenly the samples are spread over them: KL(samples || uniform) in nats."
    ),
    "variation": MetricInfo(
        "class variation", "lower", "Share of samples that would have to be of another class to be balanced.", True
    ),
    "confident": MetricInfo(
        "clear pictures", "higher", "Share of samples of which the judge is at least 90% sure.", True
    ),
    "score": MetricInfo(
        "class score", "higher", "1 to the number of classes: clear pictures of all classes (the MNIST score)."
    ),
    "recognised": MetricInfo(
        "recognised", "higher", "Share of samples that the judge takes for the class that was asked for.", True
    ),
    "copies": MetricInfo(
        "copies",
        "",
        "Share of samples that are copies: far closer to a training image than unseen real images are.",
        True,
    ),
    "memorising": MetricInfo(
        "D knows training images",
        "",
        "How often D finds a training image more real than an unseen one; 50% is chance.",
        True,
    ),
}
"""In the order of every table."""


@dataclass(frozen=True)
class Verdict:
    """What was measured, of what, by what."""

    subject: dict[str, Any]
    """What was judged: {"kind": "run", "path", "recipe", "seed", "step", "best", "seconds", "command"} or {"kind":
    "samples", "path", "command"}."""
    data: dict[str, Any]
    """The real images: {"name", "checksum", "training": how many, "unseen": how many, "split": test or held-out}."""
    extractor: dict[str, Any]
    """{"name", "sha256", "caveat"}."""
    samples: int
    """How many were judged."""
    seed: int | None
    """Of the samples; None where they were made elsewhere."""
    measures: dict[str, Measure]
    """By the names in `MEASURES`."""
    balance: Balance | None
    memorisation: Memorisation
    discriminator: Discrimination | None
    alarms: tuple[str, ...]
    """What is wrong, in plain words."""
    notices: tuple[str, ...]
    """What one should know of these numbers."""
    modes: Modes | None = None
    """Of stacked MNIST only."""
    asked: Asked | None = None
    """Of conditional generators only."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"format": FORMAT, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Verdict:
        """What `to_json` wrote. Raises `RunError` where that is not what it is."""
        try:
            schemas.check(value, schemas.Measures)
            verdict = schemas.check(value, cls)
            rows = [] if verdict.asked is None else [*dataclasses.astuple(verdict.asked)[-3:], verdict.asked.names]
            if len({len(row) for row in rows}) > 1:
                raise ValueError("the classes that were asked for differ in number")
        except ValueError as error:
            raise RunError(f"the measures are damaged: {error}") from error
        return verdict
