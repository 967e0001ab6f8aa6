"""Multi-layer perceptrons: the networks of `mlp-128`, `mlp-sgd`, `mlp-adam` and `mlp-256`."""

import math

import jax.numpy as jnp
from flax import nnx
from jax import Array

from sparring.networks.layers import Featured, dense

EPSILON = 1e-3
"""Epsilon of BatchNorm (Ioffe & Szegedy 2015), as in Keras."""


class Generator(nnx.Module):
    """Latents (N, latent_size) -> images (N, H, W, C) in [-1, 1]: hidden layers, then a dense layer and tanh.

    After each hidden layer's LeakyReLU comes BatchNorm where a momentum is given.
    """

    def __init__(
        self,
        *,
        latent_size: int,
        image_shape: tuple[int, int, int],
        hidden: tuple[int, ...],
        negative_slope: float,
        initialization: str,
        batch_norm_momentum: float | None,
        rngs: nnx.Rngs,
    ) -> None:
        self.image_shape = image_shape
        self.negative_slope = negative_slope
        widths = (latent_size, *hidden)
        self.hidden = nnx.List([dense(a, b, initialization, rngs=rngs) for a, b in zip(widths, hidden, strict=False)])
        self.norms = nnx.List(
            [nnx.BatchNorm(width, momentum=batch_norm_momentum, epsilon=EPSILON, rngs=rngs) for width in hidden]
            if batch_norm_momentum is not None
            else []
        )
        self.output = dense(widths[-1], math.prod(image_shape), initialization, rngs=rngs)

    def __call__(self, z: Array, *, train: bool) -> Array:
        x = z
        for i, layer in enumerate(self.hidden):
            x = nnx.leaky_relu(layer(x), self.negative_slope)
            if self.norms:
                x = self.norms[i](x, use_running_average=not train)
        return jnp.tanh(self.output(x)).reshape(-1, *self.image_shape)


class Discriminator(Featured):
    """Images (N, H, W, C) in [-1, 1] -> logits (N,), positive for real images."""

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        hidden: tuple[int, ...],
        negative_slope: float,
        initialization: str,
        rngs: nnx.Rngs,
    ) -> None:
        self.negative_slope = negative_slope
        widths = (math.prod(image_shape), *hidden)
        self.hidden = nnx.List([dense(a, b, initialization, rngs=rngs) for a, b in zip(widths, hidden, strict=False)])
        self.output = dense(widths[-1], 1, initialization, rngs=rngs)

    def features(self, images: Array, *, train: bool) -> Array:
        """Inputs of the last layer (N, features)."""
        x = images.reshape(len(images), -1)
        for layer in self.hidden:
            x = nnx.leaky_relu(layer(x), self.negative_slope)
        return x
