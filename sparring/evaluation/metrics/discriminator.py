"""THE DISCRIMINATOR on training images, unseen real ones, and fakes: has it learnt what is real, or by heart?"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from sparring.data.classes import Labels
from sparring.data.selection import ManyImages
from sparring.gan.batch import Examples
from sparring.networks import Network, Weights
from sparring.networks.batched import batched

BATCH = 250
"""Images that go through the discriminator at once."""

Logits = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Discrimination:
    """What the discriminator says of three sets of images."""

    d_training: float
    """Mean D(x) of training images."""
    d_unseen: float
    """Mean D(x) of real images that it was not trained on."""
    d_fake: float
    """Mean D(G(z))."""
    right_unseen: float
    """Share of the unseen real images that it takes for real."""
    right_fake: float
    """Share of the fakes that it takes for fakes."""
    memorising: float
    """Chance that it finds a training image more real than an unseen one: .5 if it cannot tell them apart, 1 if it
    knows its training images by heart. The area under the curve of Hanley & McNeil 1982."""
    error: float
    """Standard error of `memorising` where it is .5."""
    alarm: bool
    """Whether it knows its training images: `memorising` is .6 or more, and that beyond four standard errors."""


def logits_of(discriminator: Network) -> Callable[[Weights, Weights, ManyImages, Labels | None], Logits]:
    """(weights, statistics, images (N, H, W, C), uint8, labels (N,) of a conditional one) -> its logits (N,)."""

    @jax.jit
    def apply(weights: Weights, statistics: Weights, part: Examples) -> Array:
        images = part.images.astype(jnp.float32) / 127.5 - 1
        return discriminator.apply(weights, statistics, images, part.labels, train=False)[0]

    def logits(weights: Weights, statistics: Weights, images: ManyImages, labels: Labels | None) -> Logits:
        found: Logits = batched(partial(apply, weights, statistics), Examples(images, labels), BATCH)
        return found

    return logits


def discrimination(training: Logits, unseen: Logits, fake: Logits) -> Discrimination:
    """From the logits of training images (N,), unseen real images (M,) and fakes (L,)."""
    memorising = _chance_to_be_above(training, unseen)
    n, m = len(training), len(unseen)
    error = float(np.sqrt((n + m + 1) / (12 * n * m)))
    return Discrimination(
        d_training=_mean_probability(training),
        d_unseen=_mean_probability(unseen),
        d_fake=_mean_probability(fake),
        right_unseen=float(np.mean(unseen > 0)),
        right_fake=float(np.mean(fake <= 0)),
        memorising=memorising,
        error=error,
        alarm=memorising >= 0.6 and memorising - 0.5 > 4 * error,
    )


def _chance_to_be_above(a: Logits, b: Logits) -> float:
    """The chance that one of a is above one of b, a draw counting half."""
    order = np.sort(b)
    below = np.searchsorted(order, a, side="left") + np.searchsorted(order, a, side="right")
    return float(below.sum() / (2 * len(a) * len(b)))


def _mean_probability(logits: Logits) -> float:
    return float(np.mean(np.exp(-np.logaddexp(0, -logits.astype(np.float64)))))
