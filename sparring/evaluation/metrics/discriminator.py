"""OVERFITTING of the discriminator: its logits of training images, unseen real images and fakes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array
from numpy.typing import NDArray

from sparring.data.classes import Labels
from sparring.data.selection import ManyImages
from sparring.gan.batch import Batch
from sparring.images import from_uint8
from sparring.networks import Network, Params
from sparring.networks.batched import batched

BATCH = 250
"""Images in a batch."""

Logits = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Discrimination:
    """What the discriminator predicts for three sets of images."""

    d_training: float
    """Mean D(x) of training images."""
    d_unseen: float
    """Mean D(x) of real images that were not trained on."""
    d_fake: float
    """Mean D(G(z))."""
    right_unseen: float
    """Share of unseen real images classified as real."""
    right_fake: float
    """Share of fakes classified as fake."""
    memorising: float
    """Probability that a training image has a higher logit than an unseen one: 0.5 without overfitting, 1 if the
    discriminator memorised its training images. The area under the ROC curve (Hanley & McNeil 1982)."""
    error: float
    """Standard error of `memorising` at 0.5."""
    alarm: bool
    """Whether it overfits: `memorising` is at least 0.6 and more than four standard errors above 0.5."""


def logits_of(discriminator: Network) -> Callable[[Params, Params, ManyImages, Labels | None], Logits]:
    """A function (params, batch_stats, images (N, H, W, C) uint8, labels (N,) or None) -> logits (N,)."""

    @jax.jit
    def apply(params: Params, batch_stats: Params, part: Batch) -> Array:
        return discriminator.apply(params, batch_stats, from_uint8(part.images), part.labels, train=False)[0]

    def logits(params: Params, batch_stats: Params, images: ManyImages, labels: Labels | None) -> Logits:
        found: Logits = batched(partial(apply, params, batch_stats), Batch(images, labels), BATCH)
        return found

    return logits


def discrimination(training: Logits, unseen: Logits, fake: Logits) -> Discrimination:
    """Compare the logits of training images (N,), unseen real images (M,) and fakes (L,)."""
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
    """The probability that a random element of a is larger than one of b. Equal ones count half."""
    order = np.sort(b)
    below = np.searchsorted(order, a, side="left") + np.searchsorted(order, a, side="right")
    return float(below.sum() / (2 * len(a) * len(b)))


def _mean_probability(logits: Logits) -> float:
    return float(np.mean(np.exp(-np.logaddexp(0, -logits.astype(np.float64)))))
