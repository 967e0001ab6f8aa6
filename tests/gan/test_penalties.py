"""The penalties against formulas that can be written down: a discriminator whose slope is known everywhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from sparring.gan.penalties import input_gradients, one_centred, zero_centred

RANDOM = np.random.default_rng(0)
IMAGES = jnp.asarray(RANDOM.normal(size=(5, 4, 3, 2)))
OTHERS = jnp.asarray(RANDOM.normal(size=(5, 4, 3, 2)))


def bowl(scale: Array | float, images: Array) -> Array:
    """Logits whose slope is scale * image."""
    return scale * jnp.sum(images**2, axis=(1, 2, 3)) / 2


def test_a_slope_is_the_gradient_of_the_images_own_logit() -> None:
    found = input_gradients(lambda images: bowl(3.0, images), IMAGES)
    np.testing.assert_allclose(found, 9 * np.sum(np.asarray(IMAGES) ** 2, axis=(1, 2, 3)), rtol=1e-5)


def test_zero_centred_is_half_the_weighted_mean_square_and_teaches_the_weights() -> None:
    def penalty(scale: Array) -> Array:
        return zero_centred(input_gradients(lambda images: bowl(scale, images), IMAGES), jnp.asarray(0.5))

    mean_square = float(np.mean(np.sum(np.asarray(IMAGES) ** 2, axis=(1, 2, 3))))
    value, gradient = jax.value_and_grad(penalty)(jnp.asarray(3.0))
    assert value == pytest.approx(0.25 * 9 * mean_square, rel=1e-5)
    assert gradient == pytest.approx(0.25 * 2 * 3 * mean_square, rel=1e-5)


@pytest.mark.parametrize("where", [0.0, 0.25, 1.0])
def test_one_centred_asks_between_both_images(where: float) -> None:
    def penalty(scale: Array) -> Array:
        places = jnp.full(len(IMAGES), where)
        return one_centred(lambda images: bowl(scale, images), IMAGES, OTHERS, places, jnp.asarray(10.0))

    between = where * np.asarray(IMAGES) + (1 - where) * np.asarray(OTHERS)
    lengths = np.sqrt(np.sum(between**2, axis=(1, 2, 3)))
    value, gradient = jax.value_and_grad(penalty)(jnp.asarray(2.0))
    assert value == pytest.approx(10 * np.mean((2 * lengths - 1) ** 2), rel=1e-5)
    assert gradient == pytest.approx(20 * np.mean((2 * lengths - 1) * lengths), rel=1e-5)


def test_a_flat_discriminator_has_a_finite_gradient() -> None:
    def penalty(scale: Array) -> Array:
        return one_centred(lambda images: bowl(scale, images), IMAGES, OTHERS, jnp.ones(5), jnp.asarray(10.0))

    value, gradient = jax.value_and_grad(penalty)(jnp.asarray(0.0))
    assert value == pytest.approx(10.0, rel=1e-4)
    assert jnp.isfinite(gradient)
