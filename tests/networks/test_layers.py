"""The fast layers are the plain ones: forward, gradients, and gradients of gradients."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from sparring.networks.layers import INITIALIZATIONS, convolve, dense, max_pool, upsample_convolve


def plain_convolution(x: Array, kernel: Array, padding: str) -> Array:
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), padding.upper(), dimension_numbers=("NHWC", "HWIO", "NHWC"), precision="highest"
    )


def plain_upsample_convolution(x: Array, kernel: Array) -> Array:
    return plain_convolution(x.repeat(2, axis=1).repeat(2, axis=2), kernel, "same")


def arrays(*shapes: tuple[int, ...]) -> list[Array]:
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]


def assert_same_to_second_order(
    ours: Callable[[Array, Array], Array], plain: Callable[[Array, Array], Array], x: Array, kernel: Array
) -> None:
    """Equal values, gradients by both arguments, and gradients of the gradients' size (as in a gradient penalty)."""

    def to_second_order(function: Callable[[Array, Array], Array]) -> list[Array]:
        def loss(x: Array, kernel: Array) -> Array:
            return jnp.sum(jnp.sin(function(x, kernel)))

        def penalty(x: Array, kernel: Array) -> Array:
            return jnp.sum(jax.grad(loss)(x, kernel) ** 2)

        return [function(x, kernel), *jax.grad(loss, (0, 1))(x, kernel), *jax.grad(penalty, (0, 1))(x, kernel)]

    results = jax.jit(lambda: (to_second_order(ours), to_second_order(plain)))()
    for mine, theirs in zip(*results, strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-4 * float(jnp.abs(theirs).max()))


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (1, 7, 9, 1)])
@pytest.mark.parametrize("size", [(5, 5), (3, 3), (2, 4)])
def test_convolve_is_the_convolution(padding: str, shape: tuple[int, ...], size: tuple[int, int]) -> None:
    x, kernel = arrays(shape, (*size, shape[-1], 4))
    assert_same_to_second_order(
        lambda x, k: convolve(x, k, padding), lambda x, k: plain_convolution(x, k, padding), x, kernel
    )


@pytest.mark.parametrize("shape", [(2, 7, 7, 3), (1, 4, 5, 1)])
@pytest.mark.parametrize("outputs", [1, 4])
def test_upsample_convolve_is_upsampling_and_convolution(shape: tuple[int, ...], outputs: int) -> None:
    x, kernel = arrays(shape, (5, 5, shape[-1], outputs))
    assert_same_to_second_order(upsample_convolve, plain_upsample_convolution, x, kernel)


def test_max_pool_takes_the_largest_of_each_block() -> None:
    (x,) = arrays((2, 5, 7, 3))
    pooled = np.asarray(max_pool(x))
    assert pooled.shape == (2, 2, 3, 3)
    for i in range(2):
        for j in range(3):
            block = np.asarray(x)[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            np.testing.assert_array_equal(pooled[:, i, j], block.max(axis=(1, 2)))


def test_first_weights() -> None:
    from flax import nnx

    glorot = dense(300, 100, "glorot-uniform", rngs=nnx.Rngs(0))
    torch = dense(300, 100, "torch-uniform", rngs=nnx.Rngs(0))
    assert glorot.bias is not None
    assert torch.bias is not None
    for values, bound in [
        (glorot.kernel[...], (6 / 400) ** 0.5),
        (torch.kernel[...], 300**-0.5),
        (torch.bias[...], 300**-0.5),
    ]:
        assert 0.9 * bound < float(jnp.abs(values).max()) <= bound
    assert not np.any(glorot.bias[...])
    assert set(INITIALIZATIONS) == {"glorot-uniform", "torch-uniform"}
