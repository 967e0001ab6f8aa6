"""The convolutional networks: what they refuse, and other sizes than 28 x 28."""

import jax
import jax.numpy as jnp
import pytest
from jax import Array

from sparring import networks
from sparring.errors import RecipeError


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 24, 3), (12, 12, 1)])
def test_shapes(shape: tuple[int, int, int]) -> None:
    sizes = {"dense": 8, "channels": (4, 3)}
    generator = networks.generator(
        "dcgan-tanh", sizes | {"batch_norm_momentum": 0.99}, latent_size=5, image_shape=shape
    )
    discriminator = networks.discriminator("dcgan-tanh", sizes, image_shape=shape)

    def outputs(key: Array) -> tuple[Array, Array]:
        images, _ = generator.apply(*generator.init(key), jnp.ones((2, 5)), train=True)
        logits, _ = discriminator.apply(*discriminator.init(key), images, train=True)
        return images, logits

    images, logits = jax.eval_shape(outputs, jax.random.key(0))
    assert images.shape == (2, *shape)
    assert logits.shape == (2,)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((30, 28, 1), "sides are multiples of 4, not 30 x 28"), ((28, 29, 1), "sides are multiples of 4, not 28 x 29")],
)
def test_a_generator_of_odd_sides_is_refused(shape: tuple[int, int, int], message: str) -> None:
    sizes = {"dense": 8, "channels": (4, 3), "batch_norm_momentum": 0.99}
    with pytest.raises(RecipeError, match=message):
        networks.generator("dcgan-tanh", sizes, latent_size=5, image_shape=shape)


def test_a_discriminator_of_tiny_images_is_refused() -> None:
    with pytest.raises(RecipeError, match="at least 12 x 12 pixels, not 8 x 28"):
        networks.discriminator("dcgan-tanh", {"dense": 8, "channels": (4, 3)}, image_shape=(8, 28, 1))


def test_training_mode_moves_the_statistics_and_inference_mode_does_not() -> None:
    sizes = {"dense": 8, "channels": (4, 3), "batch_norm_momentum": 0.9}
    generator = networks.generator("dcgan-tanh", sizes, latent_size=5, image_shape=(12, 12, 1))
    weights, statistics = generator.init(jax.random.key(0))
    z = jax.random.normal(jax.random.key(1), (7, 5))
    _, trained = generator.apply(weights, statistics, z, train=True)
    _, inferred = generator.apply(weights, statistics, z, train=False)
    assert jnp.any(trained["norm"]["mean"] != statistics["norm"]["mean"])
    assert jnp.all(inferred["norm"]["mean"] == statistics["norm"]["mean"])
