"""GRADIENT PENALTIES on the discriminator: R1, R2 and WGAN-GP.

They penalise the input gradient: the gradient of an image's logit with respect to its H x W x C pixels. With BatchNorm
a logit depends on the whole batch, so a discriminator with BatchNorm cannot be penalised.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

Logits = Callable[[Array], Array]
"""Images (N, H, W, C) -> logits (N,), each a function of its image alone."""


def input_gradients(logits: Logits, images: Array) -> Array:
    """Squared norms (N,) of the input gradients at images (N, H, W, C). Can be differentiated again."""
    gradients = jax.grad(lambda images: jnp.sum(logits(images)))(images)
    return jnp.sum(gradients**2, axis=(1, 2, 3))


def zero_centred(squared: Array, weight: Array) -> Array:
    """weight / 2 times the mean: R1 at real images (Mescheder et al. 2018, eq. 9), R2 at fakes (eq. 10)."""
    return weight / 2 * jnp.mean(squared)


def one_centred(logits: Logits, real: Array, fake: Array, share: Array, weight: Array) -> Array:
    """WGAN-GP (Gulrajani et al. 2017, eq. 3): weight times the mean square of (norm - 1).

    It is taken between the images: `share` (N,) is 0 at the fake and 1 at the real image.
    """
    share = share[:, None, None, None]
    squared = input_gradients(logits, share * real + (1 - share) * fake)
    norms = jnp.sqrt(squared + 1e-12)  # the root has no gradient at zero
    return weight * jnp.mean((norms - 1) ** 2)
