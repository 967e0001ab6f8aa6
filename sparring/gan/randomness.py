"""RANDOMNESS is a function of seed, purpose and place (a step, an epoch, a sample); no generator's state is kept."""

import jax
import numpy as np
from jax import Array
from numpy.typing import NDArray

IMPLEMENTATION = "threefry2x32"
"""The generator, named, so that a change of JAX's usual one changes no run."""

PURPOSES = ("weights", "steps", "permutations", "grid", "samples", "glances", "page")
"""What randomness is for. Their order is part of what a seed means: add at the end."""


OTHER_CHANCES = 3
"""What is folded into a step's key for all that is neither data nor noise."""


def random_key(seed: int, purpose: str) -> Array:
    """The source of all randomness of that purpose; `jax.random.fold_in` takes it to a place."""
    return jax.random.fold_in(jax.random.key(seed, impl=IMPLEMENTATION), PURPOSES.index(purpose))


def steps_key(seed: int) -> NDArray[np.uint32]:
    """The source of the randomness of all steps, as key data."""
    return np.asarray(jax.random.key_data(random_key(seed, "steps")))


def step_keys(seed_key: Array, step: Array) -> tuple[Array, Array, Array, Array]:
    """What decides a step's data, its first noise, its second noise, and all other randomness; from `steps_key`."""
    key = jax.random.fold_in(jax.random.wrap_key_data(seed_key, impl=IMPLEMENTATION), step)
    data, first, second = jax.random.split(key, 3)
    return data, first, second, jax.random.fold_in(key, OTHER_CHANCES)
