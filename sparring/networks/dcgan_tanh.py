"""The convolutional networks of `dcgan-tanh`: 5x5 convolutions, up-sampling and max-pooling, tanh everywhere."""

import jax.numpy as jnp
from flax import nnx
from jax import Array

from sparring.errors import RecipeError
from sparring.networks.fast.convolution import convolution, upsample_convolve
from sparring.networks.layers import Featured, dense, max_pool

EPSILON = 1e-3
"""Epsilon of BatchNorm, as in Keras."""


class Generator(nnx.Module):
    """Latents (N, latent_size) -> images (N, H, W, C) in [-1, 1]; H and W are multiples of 4."""

    def __init__(
        self,
        *,
        latent_size: int,
        image_shape: tuple[int, int, int],
        dense: int,
        channels: tuple[int, int],
        batch_norm_momentum: float,
        rngs: nnx.Rngs,
    ) -> None:
        height, width, colours = image_shape
        if height % 4 or width % 4:
            raise RecipeError(f"dcgan-tanh makes images whose sides are multiples of 4, not {height} x {width}")
        self.small_shape = (height // 4, width // 4, channels[0])
        features = height // 4 * (width // 4) * channels[0]
        self.dense_1 = _dense(latent_size, dense, rngs)
        self.dense_2 = _dense(dense, features, rngs)
        self.norm = nnx.BatchNorm(features, momentum=batch_norm_momentum, epsilon=EPSILON, rngs=rngs)
        self.conv_1 = convolution(channels[0], channels[1], 5, "same", rngs=rngs)
        self.conv_2 = convolution(channels[1], colours, 5, "same", rngs=rngs)

    def __call__(self, z: Array, *, train: bool) -> Array:
        x = jnp.tanh(self.dense_1(z))  # (N, 1024)
        x = jnp.tanh(self.norm(self.dense_2(x), use_running_average=not train))  # (N, 6272)
        x = x.reshape(-1, *self.small_shape)  # (N, 7, 7, 128)
        x = jnp.tanh(_upsample(self.conv_1, x))  # (N, 14, 14, 64)
        return jnp.tanh(_upsample(self.conv_2, x))  # (N, 28, 28, 1)


class Discriminator(Featured):
    """Images (N, H, W, C) in [-1, 1] -> logits (N,), positive for real images.

    tanh rises, so the tanh of the largest equals the largest tanh: pooling first is the same function on a quarter of
    the numbers.
    """

    def __init__(
        self, *, image_shape: tuple[int, int, int], channels: tuple[int, int], dense: int, rngs: nnx.Rngs
    ) -> None:
        height, width, colours = image_shape
        rows, columns = (height // 2 - 4) // 2, (width // 2 - 4) // 2
        if rows < 1 or columns < 1:
            raise RecipeError(f"dcgan-tanh needs images of at least 12 x 12 pixels, not {height} x {width}")
        self.conv_1 = convolution(colours, channels[0], 5, "same", rngs=rngs)
        self.conv_2 = convolution(channels[0], channels[1], 5, "valid", rngs=rngs)
        self.dense = _dense(rows * columns * channels[1], dense, rngs)
        self.output = _dense(dense, 1, rngs)

    def features(self, images: Array, *, train: bool) -> Array:
        """Inputs of the last layer (N, features)."""
        x = jnp.tanh(max_pool(self.conv_1(images)))  # (N, 14, 14, 64)
        x = jnp.tanh(max_pool(self.conv_2(x)))  # (N, 5, 5, 128)
        return jnp.tanh(self.dense(x.reshape(len(x), -1)))  # (N, 1024)


def _dense(inputs: int, outputs: int, rngs: nnx.Rngs) -> nnx.Linear:
    return dense(inputs, outputs, "glorot-uniform", rngs=rngs)


def _upsample(conv: nnx.Conv, x: Array) -> Array:
    """Nearest up-sampling by 2, then the convolution: (N,H,W,C) -> (N,2H,2W,F)."""
    assert conv.bias is not None
    return upsample_convolve(x, conv.kernel[...]) + conv.bias[...]
