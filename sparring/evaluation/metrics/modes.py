"""MODES: how many of stacked MNIST's 1,000 triples of digits does a generator draw at all, and how evenly?

The protocol of Lin et al. 2018 (PacGAN), section 4.2: a judge names the mode of each of 26,000 samples. A mode is
captured if one sample at least is of it. The divergence of the samples from an even spread is KL(samples || uniform),
the sum of p log(p / q) over the modes, in nats (natural logarithm), 0 log 0 being 0. By chance alone it is about
(modes - 1) / (2 samples), .019 there; the data are not quite even, which adds .004. So it stands beside what as many
real images get.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLES = 26_000
"""How many are counted."""
SCARCE = 0.9
"""With fewer modes than this share of what real images have, modes are missing."""


@dataclass(frozen=True)
class Modes:
    """How a set of samples is spread over the modes."""

    histogram: tuple[int, ...]
    """Samples of each mode, by the judge's likeliest answer."""
    captured: int
    """Modes of which there is a sample."""
    divergence: float
    """KL(samples || uniform) in nats, from 0 to log(modes)."""
    error: float
    """Standard error of the divergence, for the chance in drawing the samples."""


def modes(probabilities: NDArray[np.floating[Any]]) -> Modes:
    """The modes of samples with these answers (N, K), N at least 1."""
    histogram = np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1])
    there = histogram[histogram > 0]
    shares = there / there.sum()
    ratios = np.log(shares * len(histogram))
    return Modes(
        histogram=tuple(histogram.tolist()),
        captured=len(there),
        divergence=float(shares @ ratios),
        error=_error(there, float(shares @ (ratios - shares @ ratios) ** 2)),
    )


def missing(samples: Modes, real: Modes) -> list[str]:
    """The alarm that samples lack modes which as many real images have; empty where they do not."""
    if samples.captured >= SCARCE * real.captured:
        return []
    return [
        f"missing modes: {samples.captured:,} of {len(samples.histogram):,} are among the samples, "
        f"{real.captured:,} among as many real images"
    ]


def protocol_words(counted: Modes) -> str:
    """How it was counted, with every figure that decides the numbers but for the judge."""
    return (
        f"{sum(counted.histogram):,} samples, each named by the judge; one sample is enough for one of the "
        f"{len(counted.histogram):,} modes; the divergence is KL(samples || uniform) with the natural logarithm; "
        "real images are as many training images, named alike"
    )


def _error(counts: NDArray[np.integer[Any]], variance: float) -> float:
    """Standard error of the divergence of samples with these counts, and this variance of log(p / q) among them.

    To first order the error's square is variance / n. Where the spread is even that vanishes, and what is left is that
    of a chi-square with K - 1 degrees of freedom over 2 n, K being the modes that are there. The variance as the
    samples have it is too large by (K - 1) / n, their own chance.
    """
    n = int(counts.sum())
    second = (len(counts) - 1) / (2 * n * n)
    return float(np.sqrt(max(variance / n - second, second)))
