"""WHAT several architectures share: dense layers and their initial params, pooling, a discriminator in two parts."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array


def dense(inputs: int, outputs: int, initialization: str, *, rngs: nnx.Rngs) -> nnx.Linear:
    """A dense layer, initialised as the named library does it.

    "glorot-uniform": U(-a, a) with a = sqrt(6 / (inputs + outputs)), biases zero (Glorot & Bengio 2010, eq. 16;
    the default of Keras). "torch-uniform": weights and biases U(-b, b) with b = 1 / sqrt(inputs), the default of
    PyTorch's Linear. "he-normal": N(0, 2 / inputs), biases zero.
    """
    kernel_init, bias_init = INITIALIZATIONS[initialization](inputs)
    return nnx.Linear(inputs, outputs, kernel_init=kernel_init, bias_init=bias_init, rngs=rngs)


def _glorot_uniform(inputs: int) -> tuple[Any, Any]:
    return nnx.initializers.glorot_uniform(), nnx.initializers.zeros_init()


def _torch_uniform(inputs: int) -> tuple[Any, Any]:
    bound = inputs**-0.5

    def uniform(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32, **_: Any) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return uniform, uniform


def he_normal(gain: float) -> nnx.Initializer:
    """N(0, gain / inputs): of gain 2 what keeps the size of values behind a ReLU (He et al. 2015, eq. 10)."""
    return nnx.initializers.variance_scaling(gain, "fan_in", "normal")


def _he_normal(inputs: int) -> tuple[Any, Any]:
    return he_normal(2.0), nnx.initializers.zeros_init()


INITIALIZATIONS: dict[str, Callable[[int], tuple[Any, Any]]] = {
    "glorot-uniform": _glorot_uniform,
    "torch-uniform": _torch_uniform,
    "he-normal": _he_normal,
}


class Featured(nnx.Module):
    """A discriminator in two parts: the features, and `output`, the dense layer to the logit."""

    output: Any

    def features(self, images: Array, *, train: bool) -> Array:
        """Images (N, H, W, C) -> inputs of the last layer (N, features)."""
        raise NotImplementedError

    def logits(self, features: Array, *, train: bool) -> Array:
        """Inputs of the last layer (N, features) -> logits (N,)."""
        logits: Array = self.output(features)[:, 0]
        return logits

    def __call__(self, images: Array, *, train: bool) -> Array:
        return self.logits(self.features(images, train=train), train=train)


@jax.custom_vjp
def max_pool(x: Array) -> Array:
    """The largest of each 2 x 2 block, an odd last row or column dropped: (N,H,W,C) -> (N,H//2,W//2,C).

    The gradient goes to the first of equal largest, as in Keras and PyTorch. (That of `jnp.max` goes to all of them in
    equal parts, and takes three times as long.)
    """
    return _largest(x)[0]


def _largest(x: Array) -> tuple[Array, Array]:
    """The largest of each block, and its place in there: 0 to 3."""
    n, height, width, c = x.shape
    blocks = x[:, : height // 2 * 2, : width // 2 * 2].reshape(n, height // 2, 2, width // 2, 2, c)
    first, second, third, fourth = (blocks[:, :, i, :, j] for i in range(2) for j in range(2))
    largest = jnp.maximum(jnp.maximum(first, second), jnp.maximum(third, fourth))
    later = jnp.where(second == largest, 1, jnp.where(third == largest, 2, 3))
    place = jnp.where(first == largest, 0, later)
    return largest, place.astype(jnp.uint8)


def _max_pool_forward(x: Array) -> tuple[Array, tuple[Array, Array]]:
    largest, place = _largest(x)
    return largest, (place, jnp.zeros((0, *x.shape[1:3])))  # the empty array keeps the size of the image


def _max_pool_backward(saved: tuple[Array, Array], g: Array) -> tuple[Array]:
    place, image = saved
    n, rows, columns, c = g.shape
    height, width = image.shape[1:]
    here = jnp.arange(4, dtype=jnp.uint8).reshape(1, 1, 2, 1, 2, 1)
    blocks = jnp.where(place[:, :, None, :, None] == here, g[:, :, None, :, None], 0)
    spread = blocks.reshape(n, 2 * rows, 2 * columns, c)
    return (jnp.pad(spread, ((0, 0), (0, height - 2 * rows), (0, width - 2 * columns), (0, 0))),)


max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def halved(height: int, width: int, smallest: int) -> list[tuple[int, int]]:
    """These sides, and those of each map of half the side, rounded up, until both are at most `smallest`."""
    sides = [(height, width)]
    while max(sides[-1]) > smallest:
        sides.append((-(-sides[-1][0] // 2), -(-sides[-1][1] // 2)))
    return sides


def space_to_depth(x: Array, side: int = 2) -> Array:
    """Blocks of side x side pixels as channels: (N,H,W,C) -> (N, H / side, W / side, side^2 C).

    The new sides are rounded up, with zeros beyond the edge.
    """
    n, height, width, c = x.shape
    rows, columns = -(-height // side), -(-width // side)
    x = jnp.pad(x, ((0, 0), (0, side * rows - height), (0, side * columns - width), (0, 0)))
    blocks = x.reshape(n, rows, side, columns, side, c)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(n, rows, columns, side**2 * c)


def depth_to_space(x: Array, side: int) -> Array:
    """The way back: (N,H,W,C) -> (N, side H, side W, C / side^2)."""
    n, rows, columns, c = x.shape
    blocks = x.reshape(n, rows, columns, side, side, c // side**2)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(n, side * rows, side * columns, c // side**2)


def without_checkerboard(kernel: Array, bias: Array, side: int) -> tuple[Array, Array]:
    """The kernel and bias of a convolution before `depth_to_space`, changed so that equal inputs give equal pixels.

    Each of a patch's side^2 pixels has a kernel of its own. If their sums differ, even ground becomes a checkerboard.
    Here the kernels (h, w, C, side^2 * F) of all pixels of a patch are given the mean of their sums, and the biases
    (side^2 * F) their mean: the condition of Sugawara, Shiota & Kiya (2019, "Checkerboard artifacts free convolutional
    neural networks", section III), met without a filter that would blur.
    """
    h, w, c, _ = kernel.shape
    taps = kernel.reshape(h, w, c, side**2, -1)
    sums = taps.sum((0, 1), keepdims=True)
    even = taps - (sums - sums.mean(3, keepdims=True)) / (h * w)
    return even.reshape(kernel.shape), jnp.tile(bias.reshape(side**2, -1).mean(0), side**2)
