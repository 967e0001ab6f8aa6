"""THE VERDICT: all measures of one set of samples, and how they were measured; to and from JSON."""

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
from sparring.evaluation.metrics.spectrum import Spectrum
from sparring.runs import schemas

FORMAT = schemas.Measures.FORMAT


OLD_SPLIT = "held-out"
"""What older versions called the split "validation"."""


@dataclass(frozen=True)
class Measure:
    """One number."""

    value: float
    error: float | None
    """Standard error from drawing the samples at random; None if unknown."""
    real: float | None
    """The floor: the same measure of the same number of training images. None if there is none."""


@dataclass(frozen=True)
class MetricInfo:
    """Description of a measure, for tables and the report."""

    title: str
    better: str
    """"lower", "higher", or empty if neither is better."""
    meaning: str
    """One sentence for newcomers."""
    share: bool = False
    """Whether it is shown in percent."""
    count: bool = False
    """Whether it is a count, shown without decimals."""


MEASURES: dict[str, MetricInfo] = {
    "frechet_ratio": MetricInfo(
        "distance / floor",
        "lower",
        "Distance from unseen real images, divided by that of other real images; 1 would be perfect.",
    ),
    "frechet": MetricInfo(
        "Frechet classifier distance", "lower", "Distance of the samples' features from those of unseen images."
    ),
    "kernel": MetricInfo("kernel distance", "lower", "An unbiased distance: prefer it for few samples."),
    "precision": MetricInfo(
        "precision", "higher", "Share of samples that lie among real images: are they realistic?", True
    ),
    "recall": MetricInfo(
        "recall", "higher", "Share of real images that lie among the samples: is nothing missing?", True
    ),
    "density": MetricInfo("density", "higher", "Like precision, but robust to outliers; about 1 for real images."),
    "coverage": MetricInfo(
        "coverage", "higher", "Share of real images with a sample nearby: like recall, but robust to outliers.", True
    ),
    "fine": MetricInfo(
        "fine details",
        "",
        "Power at high frequencies over that of real images: less is blur, more is noise.",
    ),
    "grid": MetricInfo("grid", "", "Power at the frequencies of a grid of 2 to 8 pixels over that of real images."),
    "modes": MetricInfo(
        "modes", "higher", "How many of the 1,000 triples of digits have at least one sample.", count=True
    ),
    "mode_divergence": MetricInfo(
        "divergence of modes",
        "lower",
        "How unevenly the samples are distributed over the modes: KL(samples || uniform) in nats.",
    ),
    "variation": MetricInfo(
        "class variation", "lower", "Share of samples that would have to change class to be balanced.", True
    ),
    "confident": MetricInfo(
        "clear pictures",
        "higher",
        "Share of samples that the classifier assigns to a class with at least 90% probability.",
        True,
    ),
    "score": MetricInfo(
        "class score",
        "higher",
        "Inception score with this classifier, 1 to the number of classes: clear pictures of all classes.",
    ),
    "recognised": MetricInfo(
        "recognised", "higher", "Share of samples that the classifier assigns to the class that was asked for.", True
    ),
    "copies": MetricInfo(
        "copies",
        "",
        "Share of samples that are copies: much closer to a training image than unseen real images are.",
        True,
    ),
    "memorising": MetricInfo(
        "D overfits",
        "",
        "How often D rates a training image as more real than an unseen one; 50% is chance.",
        True,
    ),
}
"""In the order of all tables."""


@dataclass(frozen=True)
class Verdict:
    """All measures of one set of samples."""

    subject: dict[str, Any]
    """What was judged: {"kind": "run", "path", "recipe", "seed", "step", "best", "seconds", "command"} or {"kind":
    "samples", "path", "command"}."""
    data: dict[str, Any]
    """The real images: {"name", "checksum", "training": how many, "unseen": how many, "split": test or validation}."""
    extractor: dict[str, Any]
    """{"name", "sha256", "caveat"}."""
    samples: int
    """Number of samples that were judged."""
    seed: int | None
    """Seed of the samples; None if another program made them."""
    measures: dict[str, Measure]
    """By the names in `MEASURES`."""
    balance: Balance | None
    memorisation: Memorisation
    discriminator: Discrimination | None
    alarms: tuple[str, ...]
    """Problems of the samples."""
    notices: tuple[str, ...]
    """Remarks about the numbers."""
    modes: Modes | None = None
    """Only for stacked MNIST."""
    asked: Asked | None = None
    """Only for conditional generators."""
    spectrum: Spectrum | None = None
    """None in verdicts of older versions."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"format": FORMAT, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Verdict:
        """Read what `to_json` wrote. Raises `RunError` for anything else."""
        try:
            if schemas.check(value, schemas.Measures).data.split == OLD_SPLIT:
                value = value | {"data": value["data"] | {"split": "validation"}}
            verdict = schemas.check(value, cls)
            rows = [] if verdict.asked is None else [*dataclasses.astuple(verdict.asked)[-3:], verdict.asked.names]
            if len({len(row) for row in rows}) > 1:
                raise ValueError("the classes that were asked for differ in number")
        except ValueError as error:
            raise RunError(f"the measures are damaged: {error}") from error
        return verdict
