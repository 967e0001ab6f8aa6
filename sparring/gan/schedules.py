"""SCHEDULES of learning rates and penalties, as functions of the step."""

from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

RAMP = 0.05
"""The EMA's half-life is at most this share of the steps done, so that the EMA forgets the initial params."""


@dataclass(frozen=True)
class Schedule:
    """A factor that falls from 1 to `end` over `steps` steps, as half a cosine, and stays there; 1 if `steps` is 0."""

    steps: int
    end: float
    scale: float = 1.0
    """Multiplies the factor."""

    def __call__(self, step: Array) -> Array:
        """The factor after `step` steps (scalar): Loshchilov & Hutter 2017, eq. 5, without restarts."""
        if self.steps == 0:
            return jnp.full((), self.scale)
        share = jnp.minimum(step / self.steps, 1.0)
        return self.scale * (self.end + (1 - self.end) * (1 + jnp.cos(jnp.pi * share)) / 2)


def ema_decay(step: Array, half_life: float) -> Array:
    """The EMA's decay after `step` steps (scalar), for a half-life in steps."""
    return 0.5 ** (1 / jnp.minimum(half_life, RAMP * (step + 1)))
