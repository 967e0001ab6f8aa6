"""LOSSES: pure functions of the discriminator's logits (positive for real). `LOSSES` below lists them.

Cross-entropies are computed from logits, so that no probability has to be clipped.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import softplus

LossFunction = Callable[[Array, Array], Array]
"""(logits of real images (N,), logits of fakes (N,)) -> scalar."""


@dataclass(frozen=True)
class Loss:
    """What each network minimises."""

    discriminator: LossFunction
    generator: LossFunction
    relative: bool = False
    """Whether only differences of logits count, so that a logit of zero has no meaning of its own."""


def real_cross_entropy(real: Array, fake: Array) -> Array:
    """-log D(x), the mean over the real images: the first half of Goodfellow et al. 2014, eq. 1."""
    return jnp.mean(softplus(-real))


def fake_cross_entropy(real: Array, fake: Array) -> Array:
    """-log(1 - D(G(z))), the mean over the fakes: the second half of Goodfellow et al. 2014, eq. 1."""
    return jnp.mean(softplus(fake))


def cross_entropy(real: Array, fake: Array) -> Array:
    """The mean of both halves: the cross-entropy of a batch with as many real images as fakes."""
    return (real_cross_entropy(real, fake) + fake_cross_entropy(real, fake)) / 2


def non_saturating(real: Array, fake: Array) -> Array:
    """-log D(G(z)): Goodfellow et al. 2014, section 3, which gives strong gradients early in training."""
    return jnp.mean(softplus(-fake))


def least_squares(real: Array, fake: Array) -> Array:
    """Real images at 1, fakes at -1: Mao et al. 2017, eq. 2 with a = -1 and b = 1."""
    return (jnp.mean((real - 1) ** 2) + jnp.mean((fake + 1) ** 2)) / 2


def least_squares_between(real: Array, fake: Array) -> Array:
    """Fakes at 0: Mao et al. 2017, eq. 2 with c = 0."""
    return jnp.mean(fake**2) / 2


def hinge(real: Array, fake: Array) -> Array:
    """Hinge loss, real images above 1 and fakes below -1: Miyato et al. 2018, eq. 16."""
    return jnp.mean(jax.nn.relu(1 - real)) + jnp.mean(jax.nn.relu(1 + fake))


def high_logits(real: Array, fake: Array) -> Array:
    """Minus the mean logit of the fakes: Miyato et al. 2018, eq. 17; Arjovsky et al. 2017, algorithm 1."""
    return -jnp.mean(fake)


def wasserstein(real: Array, fake: Array) -> Array:
    """The mean logit of the fakes minus that of the real images: Arjovsky et al. 2017, eq. 2 and algorithm 1."""
    return jnp.mean(fake) - jnp.mean(real)


def relativistic(real: Array, fake: Array) -> Array:
    """Relativistic, each real image above a fake: Jolicoeur-Martineau 2018, section 4.1; Huang et al. 2024, eq. 2."""
    return jnp.mean(softplus(fake - real))


def relativistic_back(real: Array, fake: Array) -> Array:
    """The same for the generator, each fake above a real image."""
    return jnp.mean(softplus(real - fake))


LOSSES: dict[str, Loss] = {
    "cross-entropy": Loss(cross_entropy, non_saturating),
    "least-squares": Loss(least_squares, least_squares_between),
    "hinge": Loss(hinge, high_logits),
    "wasserstein": Loss(wasserstein, high_logits, relative=True),
    "relativistic": Loss(relativistic, relativistic_back, relative=True),
}
