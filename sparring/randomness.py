"""RANDOMNESS is a function of seed, purpose and place (a step, an epoch, a sample); no generator's state is kept."""

import jax
from jax import Array

IMPLEMENTATION = "threefry2x32"
"""The generator, named, so that a change of JAX's usual one changes no run."""

PURPOSES = ("weights", "steps", "permutations", "grid", "samples", "glances")
"""What randomness is for. Their order is part of what a seed means: add at the end."""


def random_key(seed: int, purpose: str) -> Array:
    """The source of all randomness of that purpose; `jax.random.fold_in` takes it to a place."""
    return jax.random.fold_in(jax.random.key(seed, impl=IMPLEMENTATION), PURPOSES.index(purpose))
