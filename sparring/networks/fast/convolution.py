"""CONVOLUTIONS with gradients of any order that are fast inside a compiled loop, on a CPU as on a GPU."""

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from sparring.networks.fast.products import product
from sparring.networks.fast.winograd import saving, winograd
from sparring.networks.layers import depth_to_space

Padding = Literal["same", "valid"]

LEAST_CHANNELS, LEAST_SAVING = 16, 2.0
"""Least number of channels, and least saving of multiplications, for which Winograd's algorithm is fastest."""
FEW_OUTPUTS = 4
"""Least ratio of input to output channels for which adding up the taps is faster than collecting patches."""


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
    """The function that NNX's Conv calls: stride 1, no dilation, one group; see `convolve`."""
    return convolve(x, kernel, padding)


def plainly() -> bool:
    """Whether to use XLA's own convolutions: yes, except on a CPU, where they are slow inside a compiled loop."""
    return jax.default_backend() != "cpu"


def convolve(x: Array, kernel: Array, padding: str) -> Array:
    """The stride-1 convolution of x (N,H,W,C) and kernel (h,w,C,F): (N,H',W',F). Equals `lax.conv`.

    What is fast on a CPU depends on the shapes (`docs/log.md` has the times).
    """
    if plainly():
        return _lax_convolve(x, kernel, padding.upper())
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


def _lax_convolve(x: Array, kernel: Array, padding: Any, *, stride: int = 1, spread: int = 1) -> Array:
    """XLA's own, with the inputs `spread` places apart."""
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        padding,
        lhs_dilation=(spread, spread),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def strided_convolve(x: Array, kernel: Array) -> Array:
    """A convolution of stride 2 with padding 2: x (N,H,W,C), kernel (5,5,C,F) -> (N, H/2, W/2, F), sides rounded up.

    On a CPU the image is split into its even and odd rows and columns first: then no slice, and no gradient of one,
    has gaps.
    """
    if plainly():
        return _lax_convolve(x, kernel, ((2, 2), (2, 2)), stride=2)
    n, height, width, c = x.shape
    rows, columns = -(-height // 2), -(-width // 2)
    x = jnp.pad(x, ((0, 0), (2, 2 * rows - height + 2), (2, 2 * columns - width + 2), (0, 0)))
    x = x.reshape(n, rows + 2, 2, columns + 2, 2, c)
    parts = [[x[:, :, i, :, j] for j in range(2)] for i in range(2)]
    taps = [(i, j) for i in range(5) for j in range(5)]
    slices = [parts[i % 2][j % 2][:, i // 2 : i // 2 + rows, j // 2 : j // 2 + columns] for i, j in taps]
    patches = jnp.concatenate(slices, axis=-1)  # (N, rows, columns, 25 C)
    return product(patches.reshape(-1, 25 * c), kernel.reshape(25 * c, -1)).reshape(n, rows, columns, -1)


def transposed_convolve(x: Array, kernel: Array) -> Array:
    """The transpose of a convolution of stride 2 with padding 2: x (N,H,W,C), kernel (5,5,C,F) -> (N,2H,2W,F).

    Output o adds up input i under tap o - 2 i + 2, on each axis. On a CPU: each of the four phases of the output sees
    3 x 3 inputs at most, which is a 3x3 convolution to 4 F channels, and then depth goes to space.
    """
    if plainly():
        return _lax_convolve(x, kernel[::-1, ::-1], ((2, 3), (2, 3)), spread=2)
    return depth_to_space(convolve(x, transposed_in_phases(kernel), "same"), 2)


def transposed_in_phases(kernel: Array) -> Array:
    """The kernel (5,5,C,F) of a transposed convolution as that of a 3x3 one to the four phases: (3,3,C,4F)."""
    c, f = kernel.shape[2:]
    taps = jnp.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0))).reshape(3, 2, 3, 2, c, f)
    taps = taps[::-1, :, ::-1]  # the input before an output sees the later taps
    return taps.transpose(0, 2, 4, 1, 3, 5).reshape(3, 3, c, 4 * f)


def upsample_convolve(x: Array, kernel: Array) -> Array:
    """Nearest up-sampling by 2 and then a "same" convolution, in one convolution on the small image.

    x (N,H,W,C), kernel (5,5,C,F) -> (N,2H,2W,F). Each of the four phases of the output sees 3 x 3 small pixels,
    under sums of the kernel's taps (the same function, 2.8 times fewer multiplications): taps that fall on the same
    small pixel are added up, then depth goes to space.
    """
    c, f = kernel.shape[2:]
    taps = jnp.asarray(_PHASE_TAPS, kernel.dtype)
    small = jnp.einsum("pas,qbt,stcf->abcpqf", taps, taps, kernel)  # (3, 3, C, 2, 2, F)
    y = convolve(x, small.reshape(3, 3, c, 4 * f), "same")  # (N, H, W, 4F)
    return depth_to_space(y, 2)


_PHASE_TAPS = (
    ((1, 1, 0, 0, 0), (0, 0, 1, 1, 0), (0, 0, 0, 0, 1)),
    ((1, 0, 0, 0, 0), (0, 1, 1, 0, 0), (0, 0, 0, 1, 1)),
)
"""[phase][small pixel][tap]: which taps of a 5-tap kernel fall on which of the 3 small pixels."""
