"""DCGAN's networks (Radford et al. 2016): strided 5x5 convolutions down, their transposes up, BatchNorm between.

    generator:     latent -> dense -> smallest map -> [BatchNorm, ReLU, transposed convolution, map of twice the side]
    discriminator: image -> [strided convolution, map of half the side, LeakyReLU(.2)] ... -> dense -> logit

The depth follows from the size, and each map of half the side has twice the channels: 64 x 64 pixels go down to 4 x 4,
as in the paper, 28 x 28 to 7 x 7, as in its authors' code for MNIST. The discriminator's layers are normalised by
BatchNorm (all but the first and the last), spectrally (all), or not at all.
"""

import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from sparring.networks.fast.convolution import strided_convolve, transposed_convolve
from sparring.networks.layers import Featured, halved

SMALLEST = 7
"""Largest side of the smallest feature map."""
FIRST_WEIGHTS = nnx.initializers.normal(0.02)
"""Standard deviation of the initial params: section 4 of the paper."""
SLOPE = 0.2
"""Negative slope of LeakyReLU."""
EPSILON = 1e-5
"""Epsilon of BatchNorm, as in the authors' code."""
MOMENTUM = 0.9
"""Momentum of BatchNorm's batch_stats, which samples use."""


def maps(height: int, width: int) -> list[tuple[int, int]]:
    """The sides of the image and of the maps, at least one, from the largest to the smallest."""
    return [(height, width), *halved(-(-height // 2), -(-width // 2), SMALLEST)]


class Generator(nnx.Module):
    """Latents (N, latent_size) -> images (N, H, W, C) in [-1, 1]."""

    def __init__(self, *, latent_size: int, image_shape: tuple[int, int, int], channels: int, rngs: nnx.Rngs) -> None:
        smallest, *self.larger = reversed(maps(*image_shape[:2]))
        widths = [channels << level for level in reversed(range(len(self.larger)))]
        self.first_map = (*smallest, widths[0])
        self.dense = _dense(latent_size, smallest[0] * smallest[1] * widths[0], bias=False, rngs=rngs)
        self.norms = nnx.List([_batch_norm(width, rngs) for width in widths])
        outputs = [*widths[1:], image_shape[2]]
        self.convolutions = nnx.List(
            [
                _convolution(transposed_convolve, inputs, out, bias=i == len(widths), rngs=rngs)
                for i, (inputs, out) in enumerate(zip(widths, outputs, strict=True), 1)
            ]
        )

    def __call__(self, z: Array, *, train: bool) -> Array:
        x = self.dense(z, train=train).reshape(len(z), *self.first_map)
        for norm, convolution, (rows, columns) in zip(self.norms, self.convolutions, self.larger, strict=True):
            x = nnx.relu(norm(x, use_running_average=not train))
            x = convolution(x, train=train)[:, :rows, :columns]
        return jnp.tanh(x)


class Discriminator(Featured):
    """Images (N, H, W, C) in [-1, 1] -> logits (N,), positive for real images."""

    def __init__(self, *, image_shape: tuple[int, int, int], channels: int, normalization: str, rngs: nnx.Rngs) -> None:
        sides = maps(*image_shape[:2])
        widths = [image_shape[2], *(channels << level for level in range(len(sides) - 1))]
        batch, spectral = normalization == "batch", normalization == "spectral"
        self.convolutions = nnx.List(
            [
                _convolution(strided_convolve, a, b, bias=not batch or i == 0, spectral=spectral, rngs=rngs)
                for i, (a, b) in enumerate(itertools.pairwise(widths))
            ]
        )
        self.norms = nnx.List([_batch_norm(width, rngs) for width in widths[2:]] if batch else [])
        rows, columns = sides[-1]
        self.output = _dense(rows * columns * widths[-1], 1, bias=True, spectral=spectral, rngs=rngs)

    def features(self, images: Array, *, train: bool) -> Array:
        """Inputs of the last layer (N, features)."""
        x = nnx.leaky_relu(self.convolutions[0](images, train=train), SLOPE)
        for i, convolution in enumerate(self.convolutions[1:]):
            x = convolution(x, train=train)
            x = nnx.leaky_relu(self.norms[i](x, use_running_average=not train) if self.norms else x, SLOPE)
        return x.reshape(len(x), -1)

    def logits(self, features: Array, *, train: bool) -> Array:
        """Features (N, features) -> logits (N,)."""
        logits: Array = self.output(features, train=train)[:, 0]
        return logits


# ------------------------------------------------------------------------------------------------ the layers


class _Layer(nnx.Module):
    """A kernel whose last axis is the outputs, perhaps a bias, and what they do: function(x, kernel) + bias.

    `spectral` divides the kernel by its largest singular value first.
    """

    def __init__(
        self,
        function: Callable[[Array, Array], Array],
        shape: tuple[int, ...],
        *,
        bias: bool,
        spectral: bool,
        rngs: nnx.Rngs,
    ) -> None:
        self.function = function
        self.kernel = nnx.Param(FIRST_WEIGHTS(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros(shape[-1])) if bias else None
        self.direction = nnx.BatchStat(jax.random.normal(rngs.params(), shape[-1:])) if spectral else None

    def __call__(self, x: Array, *, train: bool) -> Array:
        kernel = self.kernel[...]
        if self.direction is not None:
            kernel, direction = spectrally_normalised(kernel, self.direction[...])
            if train:
                self.direction[...] = direction
        y = self.function(x, kernel)
        return y if self.bias is None else y + self.bias[...]


def spectrally_normalised(kernel: Array, direction: Array) -> tuple[Array, Array]:
    """The kernel (..., F) divided by its largest singular value, as one step of the power iteration finds it.

    Miyato et al. 2018, algorithm 1 and eq. 8: the kernel counts as a matrix with one column an output. `direction` (F,)
    is the singular vector on the side of the outputs as far as it is known; it comes back a step better. No gradient
    goes through the two vectors, but one through the division.
    """
    matrix = kernel.reshape(-1, kernel.shape[-1])
    fixed = jax.lax.stop_gradient(matrix)
    inputs = _unit(fixed @ direction)
    outputs = _unit(inputs @ fixed)
    return kernel / (inputs @ matrix @ outputs), outputs


def _unit(vector: Array) -> Array:
    return vector * jax.lax.rsqrt(jnp.sum(vector**2) + 1e-24)


def _dense(inputs: int, outputs: int, *, bias: bool, spectral: bool = False, rngs: nnx.Rngs) -> _Layer:
    return _Layer(jnp.dot, (inputs, outputs), bias=bias, spectral=spectral, rngs=rngs)


def _convolution(
    function: Callable[[Array, Array], Array],
    inputs: int,
    outputs: int,
    *,
    bias: bool,
    spectral: bool = False,
    rngs: nnx.Rngs,
) -> _Layer:
    return _Layer(function, (5, 5, inputs, outputs), bias=bias, spectral=spectral, rngs=rngs)


def _batch_norm(width: int, rngs: nnx.Rngs) -> nnx.BatchNorm:
    return nnx.BatchNorm(width, momentum=MOMENTUM, epsilon=EPSILON, rngs=rngs)
