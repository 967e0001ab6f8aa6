"""The dull layers: first weights, pooling, patches of pixels."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparring.networks.fast.convolution import convolve
from sparring.networks.layers import INITIALIZATIONS, dense, depth_to_space, max_pool, without_checkerboard


def test_max_pool_takes_the_largest_of_each_block() -> None:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 7, 3)), jnp.float32)
    pooled = np.asarray(max_pool(x))
    assert pooled.shape == (2, 2, 3, 3)
    for i in range(2):
        for j in range(3):
            block = np.asarray(x)[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            np.testing.assert_array_equal(pooled[:, i, j], block.max(axis=(1, 2)))


@pytest.mark.parametrize("shape", [(2, 4, 6, 3), (1, 5, 7, 2)])
def test_the_gradient_of_max_pool_is_that_of_the_plain_maximum(shape: tuple[int, ...]) -> None:
    n, height, width, c = shape
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)

    def plain(x: jax.Array) -> jax.Array:
        blocks = x[:, : height // 2 * 2, : width // 2 * 2].reshape(n, height // 2, 2, width // 2, 2, c)
        return blocks.max(axis=(2, 4))

    def penalty(pool: Any) -> Any:
        def loss(x: jax.Array) -> jax.Array:
            return jnp.sum(jnp.sin(pool(x)))

        return lambda x: jnp.sum(jax.grad(loss)(x) ** 2)

    for order in (lambda pool: lambda x: jnp.sum(jnp.sin(pool(x))), penalty):
        ours, theirs = (jax.grad(order(pool))(x) for pool in (max_pool, plain))
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_of_equal_largest_the_first_gets_the_gradient() -> None:
    x = jnp.asarray([[0, 1, 2, 2], [1, 1, 2, 2]], jnp.float32).reshape(1, 2, 4, 1)
    gradient = jax.grad(lambda x: jnp.sum(max_pool(x)))(x).reshape(2, 4)
    np.testing.assert_array_equal(gradient, [[0, 1, 1, 0], [0, 0, 0, 0]])


def test_without_a_checkerboard_even_ground_stays_even_and_pixels_still_differ() -> None:
    """In two colours, by patches of 3 x 3 pixels."""
    keys = jax.random.split(jax.random.key(0), 3)
    kernel, bias = jax.random.normal(keys[0], (3, 3, 5, 18)), jax.random.normal(keys[1], (18,))
    even, mean = without_checkerboard(kernel, bias, 3)

    def pixels(x: Any, kernel: Any, bias: Any) -> Any:
        return depth_to_space(convolve(x, kernel, "valid") + bias, 3)

    ground = jnp.broadcast_to(jnp.arange(5.0), (1, 4, 4, 5))
    assert float(pixels(ground, kernel, bias).std((1, 2)).min()) > 1
    assert float(pixels(ground, even, mean).std((1, 2)).max()) < 1e-5
    picture = jax.random.normal(keys[2], (1, 4, 4, 5))
    assert float(pixels(picture, even, mean)[:, :3, :3].std((1, 2)).min()) > 1
    np.testing.assert_allclose(
        even.sum((0, 1)).reshape(5, 9, 2).mean(1), kernel.sum((0, 1)).reshape(5, 9, 2).mean(1), atol=1e-5
    )
    np.testing.assert_allclose(without_checkerboard(even, mean, 3)[0], even, atol=1e-5)


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
    he = dense(300, 100, "he-normal", rngs=nnx.Rngs(0))
    assert float(he.kernel[...].std()) == pytest.approx((2 / 300) ** 0.5, rel=0.02)
    assert he.bias is not None
    assert not np.any(glorot.bias[...]) and not np.any(he.bias[...])
    assert set(INITIALIZATIONS) == {"glorot-uniform", "torch-uniform", "he-normal"}
