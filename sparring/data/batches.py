"""The images of a batch: indices as a function of (seed, step) only."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array


def replacement(key: Array, step: Array, permutation: Array, count: int, batch: int) -> Array:
    """Random images with replacement."""
    return jax.random.randint(key, (batch,), 0, count)


def neighbours(key: Array, step: Array, permutation: Array, count: int, batch: int) -> Array:
    """Consecutive images from a random start. As in the tutorial, the last image is never drawn."""
    return jax.random.randint(key, (), 0, max(count - batch, 1)) + jnp.arange(batch)


def sequential(key: Array, step: Array, permutation: Array, count: int, batch: int) -> Array:
    """Full batches in the order of the data, again and again."""
    return step % (count // batch) * batch + jnp.arange(batch)


def shuffled(key: Array, step: Array, permutation: Array, count: int, batch: int) -> Array:
    """Full batches in the order of the epoch's permutation."""
    return permutation[step % (count // batch) * batch + jnp.arange(batch)]


def in_window(key: Array, step: Array, first: Array, count: int, batch: int) -> Array:
    """The index () of a batch in a window (steps, batch, ...) whose first batch is that of the step `first`."""
    return step - first


DRAWS: dict[str, Callable[[Array, Array, Array, int, int], Array]] = {
    "replacement": replacement,
    "slice": neighbours,
    "sequential": sequential,
    "shuffle": shuffled,
}
"""(key of the step, step, permutation of the epoch, number of images, batch size) -> indices (batch,)."""


@partial(jax.jit, static_argnums=2)
def permutation(key: Array, epoch: int, count: int) -> Array:
    """The order of the data in an epoch (count,), from the key and the epoch only."""
    return jax.random.permutation(jax.random.fold_in(key, epoch), count)
