"""LOSSES: pure functions of the discriminator's logits, above zero for "real".

The cross-entropies are computed from logits: the same function as from probabilities, without the clipping.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array
from jax.nn import softplus

DiscriminatorLoss = Callable[[Array, Array], Array]
"""(logits of real images (N,), logits of fakes (M,)) -> scalar."""
GeneratorLoss = Callable[[Array], Array]
"""Logits of fakes (N,) -> scalar."""


def real_cross_entropy(real: Array, fake: Array) -> Array:
    """-log D(x), the mean over the real images: the first half of Goodfellow et al. 2014, eq. 1."""
    return jnp.mean(softplus(-real))


def fake_cross_entropy(real: Array, fake: Array) -> Array:
    """-log(1 - D(G(z))), the mean over the fakes: the second half of Goodfellow et al. 2014, eq. 1."""
    return jnp.mean(softplus(fake))


def cross_entropy(real: Array, fake: Array) -> Array:
    """The mean of both halves; for as many real images as fakes, the cross-entropy of the mixed batch."""
    return (real_cross_entropy(real, fake) + fake_cross_entropy(real, fake)) / 2


def non_saturating(fake: Array) -> Array:
    """-log D(G(z)): Goodfellow et al. 2014, section 3, the form that gives strong gradients early on."""
    return jnp.mean(softplus(-fake))
