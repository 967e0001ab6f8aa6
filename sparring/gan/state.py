"""THE STATE: everything that training changes, in one pytree. Whoever holds it can go on exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from sparring.gan.gan import Game
from sparring.networks import Weights


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Weights are trained; statistics are BatchNorm's moving ones. Randomness is not in here: it follows from step."""

    step: Array
    """Steps done so far, int32."""
    generator: Weights
    generator_statistics: Weights
    generator_optimizer: optax.OptState
    average: Weights
    """The moving average of the generator's weights; empty where none is kept."""
    augmentation: Any
    """Strength of the augmentation (scalar, 0 to 1); empty where there is none."""
    discriminator: Weights
    discriminator_statistics: Weights
    discriminator_optimizer: optax.OptState

    @property
    def sampled(self) -> Weights:
        """The generator's weights that samples are made with."""
        return self.average or self.generator


@jax.jit
def is_finite(state: TrainState) -> Array:
    """Whether all of it are finite numbers (scalar)."""
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state)]).all()


def stack_states(states: Sequence[TrainState]) -> TrainState:
    """The states of several replicas as one, with a new first axis in every array."""
    stacked: TrainState = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    return stacked


def first_state(game: Game, key: Array) -> TrainState:
    """The state before the first step; the first weights follow from the key."""
    generator_key, discriminator_key = jax.random.split(key)
    generator, generator_statistics = game.generator.init(generator_key)
    discriminator, discriminator_statistics = game.discriminator.init(discriminator_key)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        generator=generator,
        generator_statistics=generator_statistics,
        generator_optimizer=game.generator_optimizer.init(generator),
        average=jax.tree.map(jnp.array, generator) if game.average_half_life else {},
        augmentation={} if game.augment == "never" else jnp.float32(game.augment == "always"),
        discriminator=discriminator,
        discriminator_statistics=discriminator_statistics,
        discriminator_optimizer=game.discriminator_optimizer.init(discriminator),
    )
