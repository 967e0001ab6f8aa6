"""EXAMPLES: images of a batch or of a whole set and, where it matters, of which class each is."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

Rows = Any
"""An array of JAX's or NumPy's."""


class Examples(NamedTuple):
    """A pytree; networks take `*examples`."""

    images: Rows
    """(N, H, W, C): numbers in [-1, 1], or of a whole set its bytes."""
    labels: Rows | None = None
    """(N,) int32; None where classes do not matter."""

    def one_in(self, count: int) -> Examples:
        """The first of every `count`."""
        return Examples(*jax.tree.map(lambda rows: rows[::count], tuple(self)))

    def part(self, k: int, parts: int) -> Examples:
        """Every parts-th from the k-th on: all devices have some of each part."""
        return Examples(*jax.tree.map(lambda rows: part(rows, k, parts), tuple(self)))


def part(rows: Array, k: int, parts: int) -> Array:
    """Every parts-th of the rows (N, ...) from the k-th on."""
    return rows if parts == 1 else rows.reshape(-1, parts, *rows.shape[1:])[:, k]


def pairs(real: Examples, fake: Examples) -> Examples:
    """Both as one batch, a real image and a fake in turn: both of a pair lie on one device, and nothing has to move."""

    def in_turn(a: Array, b: Array) -> Array:
        return jnp.stack([a, b], axis=1).reshape(-1, *a.shape[1:])

    return Examples(*jax.tree.map(in_turn, tuple(real), tuple(fake)))


def parted(values: Array) -> tuple[Array, Array]:
    """Of values (2 N,) of such a batch those of the real images and those of the fakes."""
    real, fake = values.reshape(-1, 2).T
    return real, fake
