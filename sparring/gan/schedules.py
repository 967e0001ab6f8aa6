"""THE SCHEDULE: how rates and penalties change while a run goes on, a function of the step alone."""

from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

RAMP = 0.05
"""The half-life of the moving average is at most this share of the steps done, so that it forgets the beginning."""


@dataclass(frozen=True)
class Schedule:
    """Half a cosine from 1 to an end over `steps` steps (0 for never), where it stays."""

    steps: int
    end: float
    scale: float = 1.0
    """What all of it is multiplied by."""

    def __call__(self, step: Array) -> Array:
        """The factor after so many steps (scalar): Loshchilov & Hutter 2017, eq. 5, without restarts."""
        if self.steps == 0:
            return jnp.full((), self.scale)
        share = jnp.minimum(step / self.steps, 1.0)
        return self.scale * (self.end + (1 - self.end) * (1 + jnp.cos(jnp.pi * share)) / 2)


def kept(step: Array, half_life: float) -> Array:
    """The share of a moving average that is kept in the update that follows `step` steps (scalar)."""
    return 0.5 ** (1 / jnp.minimum(half_life, RAMP * (step + 1)))
