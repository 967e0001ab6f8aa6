"""MODES: how many of the 1,000 triples of digits of stacked MNIST does a generator cover, and how evenly?

The protocol of Lin et al. 2018 (PacGAN), section 4.2: a classifier names the mode of each of 26,000 samples. A mode is
captured if at least one sample belongs to it. The divergence from a uniform distribution is KL(samples || uniform), the
sum of p log(p / q) over the modes, in nats, with 0 log 0 = 0. Random sampling alone gives about (modes - 1) / (2
samples) = 0.019, and the data are not quite uniform, which adds 0.004. So the value of the same number of real images
is shown beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLES = 26_000
"""Samples in which the modes are counted."""
SCARCE = 0.9
"""Alarm: the samples have less than this share of the modes of real images."""


@dataclass(frozen=True)
class Modes:
    """The distribution of samples over the modes."""

    histogram: tuple[int, ...]
    """Samples of each mode: the classifier's most probable class."""
    captured: int
    """Modes with at least one sample."""
    divergence: float
    """KL(samples || uniform) in nats, from 0 to log(modes)."""
    error: float
    """Standard error of the divergence, from drawing the samples at random."""


def modes(probabilities: NDArray[np.floating[Any]]) -> Modes:
    """Count the modes of samples with these class probabilities (N, K), N at least 1."""
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
    """The alarm that the samples lack modes of real images; empty if they do not."""
    if samples.captured >= SCARCE * real.captured:
        return []
    return [
        f"missing modes: the samples have {samples.captured:,} of {len(samples.histogram):,}, the same number of real "
        f"images has {real.captured:,}"
    ]


def protocol_words(counted: Modes) -> str:
    """How the modes were counted: everything that decides the numbers except for the classifier."""
    return (
        f"{sum(counted.histogram):,} samples, classified one by one; one sample is enough for one of the "
        f"{len(counted.histogram):,} modes; the divergence is KL(samples || uniform) with the natural logarithm; "
        "the real images are the same number of training images, classified by the same network"
    )


def _error(counts: NDArray[np.integer[Any]], variance: float) -> float:
    """Standard error of the divergence, from the counts and the variance of log(p / q) among the samples.

    To first order, the squared error is variance / n. For a uniform distribution this vanishes; the second order is the
    variance of a chi-square with K - 1 degrees of freedom over 2 n, where K is the number of captured modes. The
    variance among the samples is too large by (K - 1) / n.
    """
    n = int(counts.sum())
    second = (len(counts) - 1) / (2 * n * n)
    return float(np.sqrt(max(variance / n - second, second)))
