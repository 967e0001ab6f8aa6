"""CONVOLUTIONS that are fast on a CPU, inside a compiled loop and with gradients of any order, and on a GPU alike."""

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from sparring.networks.products import product
from sparring.networks.winograd import saving, winograd

Padding = Literal["same", "valid"]

LEAST_CHANNELS, LEAST_SAVING = 16, 2.0
"""With so many channels on both sides, and so many times fewer multiplications, Winograd's way is the fastest."""
FEW_OUTPUTS = 4
"""With so many times fewer channels out than in, adding up what each tap gives is faster than collecting patches."""


def convolution(
    inputs: int,
    outputs: int,
    size: int,
    padding: Padding,
    *,
    in_loop: bool = True,
    first_weights: nnx.Initializer | None = None,
    rngs: nnx.Rngs,
) -> nnx.Conv:
    """A size x size convolution, N,H,W,inputs -> N,H',W',outputs; fast on CPU, GPU and TPU alike.

    Its weights start as `first_weights` says, Glorot-uniform without.

    `in_loop` says that it is used inside a compiled loop, and with gradients; outside of one, and forwards only, XLA's
    own convolution is the fast one on a CPU, too.
    """
    return nnx.Conv(
        inputs,
        outputs,
        kernel_size=(size, size),
        padding=padding.upper(),
        kernel_init=first_weights or nnx.initializers.glorot_uniform(),
        conv_general_dilated=_conv_general_dilated if in_loop else jax.lax.conv_general_dilated,
        rngs=rngs,
    )


def _conv_general_dilated(x: Array, kernel: Array, strides: Any, padding: Any, **rest: Any) -> Array:
    """What NNX's Conv calls: stride 1, no dilation, one group; see `convolve`."""
    return convolve(x, kernel, padding)


def convolve(x: Array, kernel: Array, padding: str) -> Array:
    """The stride-1 convolution of x (N,H,W,C) and kernel (h,w,C,F): (N,H',W',F). Equals `lax.conv`.

    On a CPU, XLA's own convolution falls on a slow path inside a compiled loop. What is fast there depends on the
    shapes (`docs/log.md` has the times).
    """
    if jax.default_backend() != "cpu":
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), padding.upper(), dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    h, w, c, f = kernel.shape
    if padding.upper() == "SAME":
        x = jnp.pad(x, ((0, 0), ((h - 1) // 2, h // 2), ((w - 1) // 2, w // 2), (0, 0)))
    if min(c, f) >= LEAST_CHANNELS and h == w and saving(x.shape[1], x.shape[2], h) >= LEAST_SAVING:
        return winograd(x, kernel)
    return _by_taps(x, kernel) if f * FEW_OUTPUTS <= c else _by_patches(x, kernel)


def _by_patches(x: Array, kernel: Array) -> Array:
    """The patches of the image, as rows of h*w*C numbers, times the kernel."""
    h, w, c, f = kernel.shape
    rows, columns = x.shape[1] - h + 1, x.shape[2] - w + 1
    patches = jnp.concatenate([x[:, i : i + rows, j : j + columns] for i in range(h) for j in range(w)], axis=-1)
    return product(patches.reshape(-1, h * w * c), kernel.reshape(h * w * c, f)).reshape(-1, rows, columns, f)


def _by_taps(x: Array, kernel: Array) -> Array:
    """The image times every tap of the kernel at once, shifted and added up: less to move where F is far below C."""
    h, w, c, f = kernel.shape
    n, height, width, _ = x.shape
    rows, columns = height - h + 1, width - w + 1
    taps = product(x.reshape(-1, c), kernel.transpose(2, 0, 1, 3).reshape(c, h * w * f))
    taps = taps.reshape(n, height, width, h, w, f)
    parts = [taps[:, i : i + rows, j : j + columns, i, j] for i in range(h) for j in range(w)]
    return functools.reduce(jnp.add, parts)


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
