"""PRODUCTS: the plain product, its gradients, and gradients of those."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from sparring.networks.fast.products import product


def test_product_is_the_product_to_third_order() -> None:
    rng = np.random.default_rng(0)
    a, b = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((4, 3), (3, 5)))

    def orders(multiply: object) -> list[Array]:
        def loss(a: Array, b: Array) -> Array:
            return jnp.sum(jnp.sin(multiply(a, b)))  # type: ignore[operator]

        def penalty(a: Array, b: Array) -> Array:
            return sum((jnp.sum(g**2) for g in jax.grad(loss, (0, 1))(a, b)), jnp.zeros(()))

        def third(a: Array, b: Array) -> Array:
            return sum((jnp.sum(g**2) for g in jax.grad(penalty, (0, 1))(a, b)), jnp.zeros(()))

        return [g for function in (loss, penalty, third) for g in jax.grad(function, (0, 1))(a, b)]

    for ours, plain in zip(orders(product), orders(jnp.matmul), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-4 * float(jnp.abs(plain).max()))
