"""WINOGRAD's convolution: fewer multiplications for 3x3 and 5x5 kernels, as products that a CPU is good at.

Lavin & Gray 2016 (arXiv:1509.09308), eq. 8, for tiles of 2 x 2 outputs:

    image, in tiles of n x n -> transformed tiles -> n * n products with the transformed kernel -> tiles of 2 x 2

A 5x5 kernel takes 36 multiplications for four outputs instead of 100, a 3x3 kernel 16 instead of 36. The function
is the same; in float32 the result differs from the direct sum by some 1e-6 of its size.

The transposes that gradients need are written out, each the other's gradient, for what differentiation would make of
the slices (paddings with gaps, copies) is several times slower. So gradients of any order follow, and stay fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from sparring.networks.fast.products import product

OUTPUT = 2
"""Rows and columns of the outputs of one tile."""
POINTS = {3: (0.0, 1.0, -1.0), 5: (0.0, 1.0, -1.0, 2.0, -2.0)}
"""Kernel size -> where the polynomials are evaluated, besides infinity."""


def saving(height: int, width: int, size: int) -> float:
    """How many times fewer multiplications an image of that size takes than by the direct sum; 1 for other kernels."""
    if size not in POINTS:
        return 1.0
    form = _Form(size, height, width)
    return form.out_height * form.out_width * size**2 / (form.rows * form.columns * form.side**2)


def winograd(x: Array, kernel: Array) -> Array:
    """The "valid" convolution of x (N,H,W,C) with a kernel (r,r,C,F), r 3 or 5: (N,H-r+1,W-r+1,F)."""
    form = _Form(kernel.shape[0], *x.shape[1:3])
    kernels = _spread(kernel, form)  # n * n times (C, F)
    tiles = _cut(x, form)  # n * n times (N, rows, columns, C)
    products = [
        product(tile.reshape(-1, tile.shape[-1]), part).reshape(*tile.shape[:3], -1)
        for tile, part in zip(tiles, kernels, strict=True)
    ]
    outputs: Array = _join(products, form)
    return outputs


# ------------------------------------------------------------------------------------------------ the form


@dataclass(frozen=True)
class _Form:
    """How an image of that size is cut into tiles for a kernel of that size."""

    size: int
    height: int
    width: int

    @property
    def side(self) -> int:
        """Rows and columns of a tile, n."""
        return OUTPUT + self.size - 1

    @property
    def out_height(self) -> int:
        return self.height - self.size + 1

    @property
    def out_width(self) -> int:
        return self.width - self.size + 1

    @property
    def rows(self) -> int:
        """Tiles from top to bottom, the last perhaps beyond the edge."""
        return -(-self.out_height // OUTPUT)

    @property
    def columns(self) -> int:
        """Tiles from left to right."""
        return -(-self.out_width // OUTPUT)

    @property
    def reach(self) -> int:
        """How many 2 x 2 blocks a tile is wide; n is even."""
        return self.side // OUTPUT

    @property
    def transforms(self) -> _Transforms:
        """The matrices for kernels of that size."""
        return _transforms(self.size)


class _Transforms(NamedTuple):
    """The matrices of the paper."""

    kernel: NDArray[Any]
    """(n, r): G."""
    image: NDArray[Any]
    """(n, n): B^T."""
    output: NDArray[Any]
    """(2, n): A^T."""


@cache
def _transforms(size: int) -> _Transforms:
    """The matrices for a kernel size, from evaluating polynomials at `POINTS` and at infinity (Toom and Cook)."""
    side = OUTPUT + size - 1

    def powers(count: int) -> NDArray[Any]:
        infinity = np.eye(count)[-1:]
        return np.concatenate([np.vander(POINTS[size], count, increasing=True), infinity])

    image = np.linalg.inv(powers(side)).T
    scale = np.ones((side, 1))
    scale[:-1, 0] = [np.prod([p - q for q in POINTS[size] if q != p]) for p in POINTS[size]]
    return _Transforms(powers(size) / scale, np.rint(image * scale), powers(OUTPUT).T)


# ------------------------------------------------------- kernel -> transformed kernel, and the transpose of that


def _spread_plainly(kernel: Array, form: _Form) -> list[Array]:
    transform = form.transforms.kernel
    rows = [[_sum(weights, list(kernel[:, j])) for j in range(form.size)] for weights in transform]
    return [_sum(weights, row) for row in rows for weights in transform]


def _gather_plainly(parts: list[Array], form: _Form) -> Array:
    transform, side = form.transforms.kernel.T, form.side  # (r, n)
    rows = [[_sum(weights, parts[q::side]) for q in range(side)] for weights in transform]
    return jnp.stack([jnp.stack([_sum(weights, row) for weights in transform]) for row in rows])


# -------------------------------------------------------- image -> transformed tiles, and the transpose of that


def _cut_plainly(x: Array, form: _Form) -> list[Array]:
    n, channels = len(x), x.shape[3]
    down, across = form.rows + form.reach - 1, form.columns + form.reach - 1
    x = jnp.pad(x, ((0, 0), (0, OUTPUT * down - form.height), (0, OUTPUT * across - form.width), (0, 0)))
    blocks = x.reshape(n, down, OUTPUT, across, OUTPUT, channels)
    rows = [_row(blocks, i, form.rows) for i in range(form.side)]  # of all tiles: (N, rows, across, 2, C)
    mixed = [_sum(weights, rows) for weights in form.transforms.image]
    return [
        _sum(weights, [_column(row, j, form.columns) for j in range(form.side)])
        for row in mixed
        for weights in form.transforms.image
    ]


def _row(blocks: Array, i: int, count: int) -> Array:
    return blocks[:, i // OUTPUT : i // OUTPUT + count, i % OUTPUT]


def _column(row: Array, j: int, count: int) -> Array:
    return row[:, :, j // OUTPUT : j // OUTPUT + count, j % OUTPUT]


def _uncut_plainly(tiles: list[Array], form: _Form) -> Array:
    """The transpose of `_cut_plainly`: tiles overlap, so their shares are added up."""
    n, channels = len(tiles[0]), tiles[0].shape[3]
    down, across = form.rows + form.reach - 1, form.columns + form.reach - 1
    edge = form.reach - 1
    wide = [jnp.pad(tile, ((0, 0), (0, 0), (edge, edge), (0, 0))) for tile in tiles]
    mixed = [
        jnp.stack(
            [_overlap(form, wide[p * form.side : (p + 1) * form.side], b, 2, across) for b in range(OUTPUT)], axis=3
        )
        for p in range(form.side)
    ]  # (N, rows, across, 2, C)
    tall = [jnp.pad(row, ((0, 0), (edge, edge), (0, 0), (0, 0), (0, 0))) for row in mixed]
    blocks = jnp.stack([_overlap(form, tall, a, 1, down) for a in range(OUTPUT)], axis=2)
    return blocks.reshape(n, OUTPUT * down, OUTPUT * across, channels)[:, : form.height, : form.width]


def _overlap(form: _Form, parts: list[Array], place: int, axis: int, count: int) -> Array:
    """What all tiles give to the pixels at that place (0 or 1) of every block."""
    weights, shifted = [], []
    for k in range(form.reach):
        start = form.reach - 1 - k
        for part, row in zip(parts, form.transforms.image, strict=True):
            weights.append(row[OUTPUT * k + place])
            shifted.append(jax.lax.slice_in_dim(part, start, start + count, axis=axis))
    return _sum(weights, shifted)


# ------------------------------------------------------------ products -> outputs, and the transpose of that


def _join_plainly(products: list[Array], form: _Form) -> Array:
    n, outputs = len(products[0]), products[0].shape[3]
    transform, side = form.transforms.output, form.side
    mixed = [[_sum(weights, products[q::side]) for q in range(side)] for weights in transform]
    blocks = jnp.stack([jnp.stack([_sum(weights, row) for weights in transform], axis=3) for row in mixed], axis=2)
    return blocks.reshape(n, OUTPUT * form.rows, OUTPUT * form.columns, outputs)[:, : form.out_height, : form.out_width]


def _unjoin_plainly(y: Array, form: _Form) -> list[Array]:
    """The transpose of `_join_plainly`."""
    n, outputs = len(y), y.shape[3]
    down, across = OUTPUT * form.rows - form.out_height, OUTPUT * form.columns - form.out_width
    y = jnp.pad(y, ((0, 0), (0, down), (0, across), (0, 0)))
    blocks = y.reshape(n, form.rows, OUTPUT, form.columns, OUTPUT, outputs)
    transform = form.transforms.output.T  # (n, 2)
    places = [[blocks[:, :, a, :, b] for a in range(OUTPUT)] for b in range(OUTPUT)]
    mixed = [[_sum(weights, column) for column in places] for weights in transform]
    return [_sum(weights, row) for row in mixed for weights in transform]


# ------------------------------------------------------------------------------------------------ the pairs


def _pair(there: Any, back: Any) -> Any:
    """The linear map `there(value, form)`, with `back` as its gradient, and the other way round."""
    forth = jax.custom_vjp(there, nondiff_argnums=(1,))
    backward = jax.custom_vjp(back, nondiff_argnums=(1,))
    forth.defvjp(lambda value, form: (forth(value, form), None), lambda form, _, given: (backward(given, form),))
    backward.defvjp(lambda value, form: (backward(value, form), None), lambda form, _, given: (forth(given, form),))
    return forth


_spread = _pair(_spread_plainly, _gather_plainly)
"""A kernel (r,r,C,F) -> the n * n transformed kernels, each (C,F)."""
_cut = _pair(_cut_plainly, _uncut_plainly)
"""An image (N,H,W,C) -> the n * n transformed pixels of all tiles, each (N, rows, columns, C)."""
_join = _pair(_join_plainly, _unjoin_plainly)
"""The n * n products, each (N, rows, columns, F) -> the outputs (N,H',W',F)."""


def _sum(weights: Sequence[float] | NDArray[Any], values: Sequence[Array]) -> Array:
    """The weighted sum; zeros are left out."""
    terms = [value * float(weight) for weight, value in zip(weights, values, strict=True) if weight != 0]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
