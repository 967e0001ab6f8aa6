"""BATCHES: images and, for conditional networks, their labels."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

Rows = Any
"""An array of JAX or NumPy."""


class Batch(NamedTuple):
    """Images and labels, a pytree; networks take `*batch`."""

    images: Rows
    """(N, H, W, C): float32 in [-1, 1], or the uint8 images of a data set."""
    labels: Rows | None = None
    """(N,) int32; None for unconditional networks."""

    def one_in(self, count: int) -> Batch:
        """Every `count`-th."""
        return Batch(*jax.tree.map(lambda rows: rows[::count], tuple(self)))

    def part(self, k: int, parts: int) -> Batch:
        """Every parts-th from the k-th on, so that every device has some of each part."""
        return Batch(*jax.tree.map(lambda rows: part(rows, k, parts), tuple(self)))


def part(rows: Array, k: int, parts: int) -> Array:
    """Every parts-th of the rows (N, ...) from the k-th on."""
    return rows if parts == 1 else rows.reshape(-1, parts, *rows.shape[1:])[:, k]


def pairs(real: Batch, fake: Batch) -> Batch:
    """Both as one batch, real images and fakes alternating, so that each pair is on one device and nothing moves."""

    def in_turn(a: Array, b: Array) -> Array:
        return jnp.stack([a, b], axis=1).reshape(-1, *a.shape[1:])

    return Batch(*jax.tree.map(in_turn, tuple(real), tuple(fake)))


def split_pairs(values: Array) -> tuple[Array, Array]:
    """Values (2 N,) of a batch that `pairs` made -> those of the real images (N,) and of the fakes (N,)."""
    real, fake = values.reshape(-1, 2).T
    return real, fake
