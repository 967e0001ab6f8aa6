"""Which images a step learns from: indices as a function of (seed, step), never of what ran before."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array


def replacement(key: Array, step: Array, permutation: Array, count: int, batch: int) -> Array:
    """Any image, as often as chance has it."""
    return jax.random.randint(key, (batch,), 0, count)


def neighbours(key: Array, step: Array, permutation: Array, count: int, batch: int) -> Array:
    """A run of neighbours at a random place; as in the tutorial, the very last image is never drawn."""
    return jax.random.randint(key, (), 0, max(count - batch, 1)) + jnp.arange(batch)


def sequential(key: Array, step: Array, permutation: Array, count: int, batch: int) -> Array:
    """One batch after the other in the data's order, whole batches only, then from the front again."""
    return step % (count // batch) * batch + jnp.arange(batch)


def shuffled(key: Array, step: Array, permutation: Array, count: int, batch: int) -> Array:
    """One batch after the other in the order of the epoch's permutation, whole batches only."""
    return permutation[step % (count // batch) * batch + jnp.arange(batch)]


def in_window(key: Array, step: Array, first: Array, count: int, batch: int) -> Array:
    """Of a window (steps, batch, ...) that begins with the step `first`, where each batch lies as it is used: ()."""
    return step - first


DRAWS: dict[str, Callable[[Array, Array, Array, int, int], Array]] = {
    "replacement": replacement,
    "slice": neighbours,
    "sequential": sequential,
    "shuffle": shuffled,
}
"""(key of the step, step, permutation of the epoch, images in all, images in a batch) -> indices (batch,)."""


@partial(jax.jit, static_argnums=2)
def permutation(key: Array, epoch: int, count: int) -> Array:
    """The order of the data in an epoch, (count,), from the key and the epoch alone."""
    return jax.random.permutation(jax.random.fold_in(key, epoch), count)
