"""PATCH NETWORKS: residual 3x3 convolutions on a grid of patches, no normalisation, for images of any size.

    discriminator: image -> patches of 4 x 4 pixels as channels -> [blocks, grid of half the side] ... -> dense -> logit
    generator:     latent -> dense -> smallest grid -> [blocks, grid of twice the side] ... -> patches -> image

The smallest grid has at most 8 x 8 places, so the depth follows from the size: 28 x 28 pixels make one grid of 7 x 7,
64 x 64 two, 128 x 128 three. Cutting patches first does on a small grid what others do on the pixels, where a CPU
spends its time moving memory. Residual branches without normalisation as in R3GAN (Huang et al. 2024, section 4).
"""

import itertools

import jax.numpy as jnp
from flax import nnx
from jax import Array

from sparring.networks.fast.convolution import convolution, convolve
from sparring.networks.layers import (
    Featured,
    dense,
    depth_to_space,
    halved,
    he_normal,
    space_to_depth,
    without_checkerboard,
)

PATCH = 4
"""Side of a patch, in pixels."""
SMALLEST = 8
"""Largest side of the smallest grid."""
LEAST_CHANNELS = 16
SLOPE = 0.2
"""Negative slope of LeakyReLU."""


def grids(height: int, width: int) -> list[tuple[int, int]]:
    """The sides of the grids of an image, from the largest to the smallest; patches may reach beyond its edge."""
    return halved(-(-height // PATCH), -(-width // PATCH), SMALLEST)


def _widths(channels: int, levels: int) -> list[int]:
    """Channels of the grids, from the largest to the smallest."""
    return [max(LEAST_CHANNELS, channels >> level) for level in reversed(range(levels))]


class Generator(nnx.Module):
    """Latents (N, latent_size) -> images (N, H, W, C) in [-1, 1]."""

    def __init__(
        self,
        *,
        latent_size: int,
        image_shape: tuple[int, int, int],
        dense: int,
        channels: int,
        blocks: int,
        checkerboard_free: bool = False,
        rngs: nnx.Rngs,
    ) -> None:
        self.checkerboard_free = checkerboard_free
        self.image_shape = image_shape
        self.sides = tuple(reversed(grids(*image_shape[:2])))
        widths = list(reversed(_widths(channels, len(self.sides))))
        rows, columns = self.sides[0]
        self.dense_1 = _dense(latent_size, dense, rngs)
        self.dense_2 = _dense(dense, rows * columns * widths[0], rngs)
        self.stages = nnx.List([_Stage(width, blocks, rngs=rngs) for width in widths])
        self.doublings = nnx.List(
            [_convolution(small, 4 * large, 2.0, rngs) for small, large in itertools.pairwise(widths)]
        )
        self.output = _convolution(widths[-1], PATCH**2 * image_shape[2], 1.0, rngs)

    def __call__(self, z: Array, *, train: bool) -> Array:
        x = self.dense_2(nnx.leaky_relu(self.dense_1(z), SLOPE))
        x = self.stages[0](x.reshape(len(z), *self.sides[0], -1))
        for doubling, stage, (rows, columns) in zip(self.doublings, self.stages[1:], self.sides[1:], strict=True):
            x = depth_to_space(doubling(nnx.leaky_relu(x, SLOPE)), 2)[:, :rows, :columns]
            x = stage(x)
        height, width, _ = self.image_shape
        x = depth_to_space(self._patches(nnx.leaky_relu(x, SLOPE)), PATCH)
        return jnp.tanh(x[:, :height, :width])

    def _patches(self, x: Array) -> Array:
        if not self.checkerboard_free:
            return self.output(x)
        assert self.output.bias is not None
        kernel, bias = without_checkerboard(self.output.kernel[...], self.output.bias[...], PATCH)
        return convolve(x, kernel, "same") + bias


class Discriminator(Featured):
    """Images (N, H, W, C) in [-1, 1] -> logits (N,), positive for real images."""

    def __init__(
        self, *, image_shape: tuple[int, int, int], dense: int, channels: int, blocks: int, rngs: nnx.Rngs
    ) -> None:
        sides = grids(*image_shape[:2])
        widths = _widths(channels, len(sides))
        rows, columns = sides[-1]
        self.input = _convolution(PATCH**2 * image_shape[2], widths[0], 2.0, rngs)
        self.stages = nnx.List([_Stage(width, blocks, rngs=rngs) for width in widths])
        self.halvings = nnx.List(
            [_convolution(4 * large, small, 2.0, rngs) for large, small in itertools.pairwise(widths)]
        )
        self.dense = _dense(rows * columns * widths[-1], dense, rngs)
        self.output = _dense(dense, 1, rngs)

    def features(self, images: Array, *, train: bool) -> Array:
        """Inputs of the last layer (N, features)."""
        x = self.stages[0](self.input(space_to_depth(images, PATCH)))
        for halving, stage in zip(self.halvings, self.stages[1:], strict=True):
            x = stage(halving(space_to_depth(nnx.leaky_relu(x, SLOPE), 2)))
        x = nnx.leaky_relu(x.reshape(len(x), -1), SLOPE)
        return nnx.leaky_relu(self.dense(x), SLOPE)


class _Stage(nnx.Module):
    """Residual convolutions on one grid: (N, rows, columns, C) -> the same."""

    def __init__(self, channels: int, blocks: int, *, rngs: nnx.Rngs) -> None:
        self.blocks = nnx.List([_convolution(channels, channels, 1.0, rngs) for _ in range(blocks)])

    def __call__(self, x: Array) -> Array:
        for block in self.blocks:
            x = x + block(nnx.leaky_relu(x, SLOPE))
        return x


def _dense(inputs: int, outputs: int, rngs: nnx.Rngs) -> nnx.Linear:
    return dense(inputs, outputs, "he-normal", rngs=rngs)


def _convolution(inputs: int, outputs: int, gain: float, rngs: nnx.Rngs) -> nnx.Conv:
    return convolution(inputs, outputs, 3, "same", first_weights=he_normal(gain), rngs=rngs)
