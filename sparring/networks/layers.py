"""The dull parts that several architectures share: first weights, convolutions that are fast on a CPU, pooling.

Everything here is made of ordinary differentiable operations, so gradients of any order follow.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

Padding = Literal["same", "valid"]


def dense(inputs: int, outputs: int, initialization: str, *, rngs: nnx.Rngs) -> nnx.Linear:
    """A dense layer whose weights start as the named library starts them.

    "glorot-uniform": U(-a, a) with a = sqrt(6 / (inputs + outputs)), biases zero (Glorot & Bengio 2010, eq. 16;
    the default of Keras). "torch-uniform": weights and biases U(-b, b) with b = 1 / sqrt(inputs), the default of
    PyTorch's Linear.
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


INITIALIZATIONS: dict[str, Callable[[int], tuple[Any, Any]]] = {
    "glorot-uniform": _glorot_uniform,
    "torch-uniform": _torch_uniform,
}


def convolution(
    inputs: int, outputs: int, size: int, padding: Padding, *, in_loop: bool = True, rngs: nnx.Rngs
) -> nnx.Conv:
    """A size x size convolution, N,H,W,inputs -> N,H',W',outputs, Glorot-uniform; fast on CPU, GPU and TPU alike.

    `in_loop` says that it is used inside a compiled loop, and with gradients; outside of one, and forwards only, XLA's
    own convolution is the fast one on a CPU, too.
    """
    return nnx.Conv(
        inputs,
        outputs,
        kernel_size=(size, size),
        padding=padding.upper(),
        kernel_init=nnx.initializers.glorot_uniform(),
        conv_general_dilated=_conv_general_dilated if in_loop else jax.lax.conv_general_dilated,
        rngs=rngs,
    )


def _conv_general_dilated(x: Array, kernel: Array, strides: Any, padding: Any, **rest: Any) -> Array:
    """What NNX's Conv calls: stride 1, no dilation, one group; see `convolve`."""
    return convolve(x, kernel, padding)


def convolve(x: Array, kernel: Array, padding: str) -> Array:
    """The stride-1 convolution of x (N,H,W,C) and kernel (h,w,C,F): (N,H',W',F). Equals `lax.conv`.

    On a CPU, XLA's own convolution falls on a slow path inside a compiled loop, so there it is a matrix product
    with the image's patches (`docs/log.md` has the times).
    """
    if jax.default_backend() != "cpu":
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), padding.upper(), dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    h, w, c, f = kernel.shape
    if padding.upper() == "SAME":
        x = jnp.pad(x, ((0, 0), ((h - 1) // 2, h // 2), ((w - 1) // 2, w // 2), (0, 0)))
    return _columns(x, h, w) @ kernel.reshape(h * w * c, f)


def _columns(x: Array, h: int, w: int) -> Array:
    """Every h x w patch of x (N,H,W,C) as a row of numbers: (N, H-h+1, W-w+1, h*w*C), in the kernel's order."""
    rows, columns = x.shape[1] - h + 1, x.shape[2] - w + 1
    return jnp.concatenate([x[:, i : i + rows, j : j + columns] for i in range(h) for j in range(w)], axis=-1)


def upsample_convolve(x: Array, kernel: Array) -> Array:
    """Nearest up-sampling by 2 and then a "same" convolution, in one convolution on the small image.

    x (N,H,W,C), kernel (5,5,C,F) -> (N,2H,2W,F). Each of the four phases of the output sees 3 x 3 small pixels,
    under sums of the kernel's taps (the same function, 2.8 times fewer multiplications): taps that fall on the same
    small pixel are added up, then depth goes to space.
    """
    n, height, width, _ = x.shape
    c, f = kernel.shape[2:]
    taps = jnp.asarray(_PHASE_TAPS, kernel.dtype)
    small = jnp.einsum("pas,qbt,stcf->abcpqf", taps, taps, kernel)  # (3, 3, C, 2, 2, F)
    y = convolve(x, small.reshape(3, 3, c, 4 * f), "same")  # (N, H, W, 4F)
    return y.reshape(n, height, width, 2, 2, f).transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * height, 2 * width, f)


_PHASE_TAPS = (
    ((1, 1, 0, 0, 0), (0, 0, 1, 1, 0), (0, 0, 0, 0, 1)),
    ((1, 0, 0, 0, 0), (0, 1, 1, 0, 0), (0, 0, 0, 1, 1)),
)
"""[phase][small pixel][tap]: which taps of a 5-tap kernel fall on which of the 3 small pixels."""


def max_pool(x: Array) -> Array:
    """The largest of each 2 x 2 block, an odd last row or column dropped: (N,H,W,C) -> (N,H//2,W//2,C)."""
    n, height, width, c = x.shape
    blocks = x[:, : height // 2 * 2, : width // 2 * 2].reshape(n, height // 2, 2, width // 2, 2, c)
    return blocks.max(axis=(2, 4))


def space_to_depth(x: Array) -> Array:
    """Blocks of 2 x 2 pixels as channels: (N,H,W,C) -> (N, H/2, W/2, 4C), sides rounded up, zeros beyond the edge."""
    n, height, width, c = x.shape
    x = jnp.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
    blocks = x.reshape(n, (height + 1) // 2, 2, (width + 1) // 2, 2, c)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(n, (height + 1) // 2, (width + 1) // 2, 4 * c)
