"""LOSSES: pure functions of the discriminator's logits, above zero for "real". The dictionary below shows all.

The cross-entropies are computed from logits: the same function as from probabilities, without the clipping.
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
    """What each network makes small."""

    discriminator: LossFunction
    generator: LossFunction
    relative: bool = False
    """Whether only differences of logits count, so that zero lies nowhere in particular between real and fake."""


def real_cross_entropy(real: Array, fake: Array) -> Array:
    """-log D(x), the mean over the real images: the first half of Goodfellow et al. 2014, eq. 1."""
    return jnp.mean(softplus(-real))


def fake_cross_entropy(real: Array, fake: Array) -> Array:
    """-log(1 - D(G(z))), the mean over the fakes: the second half of Goodfellow et al. 2014, eq. 1."""
    return jnp.mean(softplus(fake))


def cross_entropy(real: Array, fake: Array) -> Array:
    """The mean of both halves; for as many real images as fakes, the cross-entropy of the mixed batch."""
    return (real_cross_entropy(real, fake) + fake_cross_entropy(real, fake)) / 2


def non_saturating(real: Array, fake: Array) -> Array:
    """-log D(G(z)): Goodfellow et al. 2014, section 3, the form that gives strong gradients early on."""
    return jnp.mean(softplus(-fake))


def least_squares(real: Array, fake: Array) -> Array:
    """Real images at 1, fakes at -1: Mao et al. 2017, eq. 2 with a = -1 and b = 1."""
    return (jnp.mean((real - 1) ** 2) + jnp.mean((fake + 1) ** 2)) / 2


def least_squares_between(real: Array, fake: Array) -> Array:
    """Fakes in the middle between both: Mao et al. 2017, eq. 2 with c = 0."""
    return jnp.mean(fake**2) / 2


def hinge(real: Array, fake: Array) -> Array:
    """Real images above 1, fakes below -1, no more than that: Miyato et al. 2018, eq. 16."""
    return jnp.mean(jax.nn.relu(1 - real)) + jnp.mean(jax.nn.relu(1 + fake))


def high_logits(real: Array, fake: Array) -> Array:
    """Fakes as high as can be: Miyato et al. 2018, eq. 17; Arjovsky et al. 2017, algorithm 1."""
    return -jnp.mean(fake)


def wasserstein(real: Array, fake: Array) -> Array:
    """How much lower fakes stand than real images, negated: Arjovsky et al. 2017, eq. 2 and algorithm 1."""
    return jnp.mean(fake) - jnp.mean(real)


def relativistic(real: Array, fake: Array) -> Array:
    """Each real image above a fake: Jolicoeur-Martineau 2018, section 4.1; Huang et al. 2024, eq. 2."""
    return jnp.mean(softplus(fake - real))


def relativistic_back(real: Array, fake: Array) -> Array:
    """Each fake above a real image: the same with the sides changed."""
    return jnp.mean(softplus(real - fake))


LOSSES: dict[str, Loss] = {
    "cross-entropy": Loss(cross_entropy, non_saturating),
    "least-squares": Loss(least_squares, least_squares_between),
    "hinge": Loss(hinge, high_logits),
    "wasserstein": Loss(wasserstein, high_logits, relative=True),
    "relativistic": Loss(relativistic, relativistic_back, relative=True),
}
