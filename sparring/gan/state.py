"""THE TRAINING STATE: everything that training changes, in one pytree. Random keys follow from its step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from sparring.gan.gan import GAN
from sparring.networks import Params

OLDER_NAMES = {
    "generator_statistics": "generator/batch_stats",
    "generator_optimizer": "generator/opt_state",
    "generator": "generator/params",
    "average": "ema",
    "discriminator_statistics": "discriminator/batch_stats",
    "discriminator_optimizer": "discriminator/opt_state",
    "discriminator": "discriminator/params",
}
"""The first parts of the names of arrays in checkpoints of older versions, and what they are now."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class NetworkState:
    """What training changes of one network."""

    params: Params
    """Trained by the optimizer."""
    batch_stats: Params
    """Moving mean and variance of BatchNorm; empty without it."""
    opt_state: optax.OptState


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """The state after `step` steps. A run that has it resumes exactly."""

    step: Array
    """Steps done, int32."""
    generator: NetworkState
    discriminator: NetworkState
    ema: Params
    """Exponential moving average of the generator's params; empty if the recipe asks for none."""
    augmentation: Any
    """Strength of the augmentation (scalar, 0 to 1); empty without augmentation."""

    @property
    def sampled(self) -> Params:
        """The generator's params for samples: the EMA if there is one."""
        return self.ema or self.generator.params


def todays_name(name: str) -> str:
    """The name of an array of the state, whichever version wrote the checkpoint."""
    first, _, rest = name.partition("/")
    is_new = first not in OLDER_NAMES or rest.split("/")[0] in ("params", "batch_stats", "opt_state")
    return name if is_new else f"{OLDER_NAMES[first]}/{rest}"


@jax.jit
def is_finite(state: TrainState) -> Array:
    """Whether the state has no NaN and nothing infinite (scalar)."""
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state)]).all()


def stack_states(states: Sequence[TrainState]) -> TrainState:
    """The states of several replicas as one, with a new first axis in every array."""
    stacked: TrainState = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    return stacked


def init_state(gan: GAN, key: Array) -> TrainState:
    """The state before the first step; the initial params follow from the key."""
    generator_key, discriminator_key = jax.random.split(key)
    g_params, g_stats = gan.generator.init(generator_key)
    d_params, d_stats = gan.discriminator.init(discriminator_key)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        generator=NetworkState(g_params, g_stats, gan.generator_optimizer.init(g_params)),
        discriminator=NetworkState(d_params, d_stats, gan.discriminator_optimizer.init(d_params)),
        ema=jax.tree.map(jnp.array, g_params) if gan.ema_half_life else {},
        augmentation={} if gan.augment == "never" else jnp.float32(gan.augment == "always"),
    )
