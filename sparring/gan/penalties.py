"""PENALTIES on the slope of the discriminator, which keep it from running away from the generator.

The slope at an image is the gradient of its logit for the image's pixels, H x W x C numbers. Whatever averages over a
batch makes it a slope at many images at once, so no discriminator with BatchNorm is penalised.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

Logits = Callable[[Array], Array]
"""Images (N, H, W, C) -> logits (N,), each of its image alone."""


def squared_slopes(logits: Logits, images: Array) -> Array:
    """The squared length of the slope at each of the images (N, H, W, C): (N,). Can be differentiated again."""
    slopes = jax.grad(lambda images: jnp.sum(logits(images)))(images)
    return jnp.sum(slopes**2, axis=(1, 2, 3))


def zero_centred(squared: Array, weight: Array) -> Array:
    """weight / 2 times the mean square: R1 at real images (Mescheder et al. 2018, eq. 9), R2 at fakes (eq. 10)."""
    return weight / 2 * jnp.mean(squared)


def one_centred(logits: Logits, real: Array, fake: Array, where: Array, weight: Array) -> Array:
    """weight times the mean square of (length - 1), at places (N,) from 0, the fake, to 1, the real image.

    Gulrajani et al. 2017, eq. 3.
    """
    share = where[:, None, None, None]
    squared = squared_slopes(logits, share * real + (1 - share) * fake)
    lengths = jnp.sqrt(squared + 1e-12)  # the root has no gradient at zero
    return weight * jnp.mean((lengths - 1) ** 2)
