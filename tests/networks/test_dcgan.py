"""DCGAN's networks: any size, depth from it, and D's layers normalised in three ways."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quickly
from jax import Array

from sparring import networks
from sparring.networks.dcgan import maps, spectrally_normalised

DIGITS = (28, 28, 1)
SHAPES = [DIGITS, (17, 9, 3), (8, 8, 4), (1, 1, 1)]
NORMALIZATIONS = ["batch", "spectral", "none"]


@cache
def generator(shape: tuple[int, int, int]) -> networks.Network:
    return networks.generator("dcgan", {"channels": 4}, latent_size=6, image_shape=shape)


@cache
def discriminator(shape: tuple[int, int, int], normalization: str) -> networks.Network:
    return networks.discriminator("dcgan", {"channels": 4, "normalization": normalization}, image_shape=shape)


def test_maps_go_down_as_in_the_paper_and_in_its_code_for_mnist() -> None:
    assert maps(64, 64) == [(64, 64), (32, 32), (16, 16), (8, 8), (4, 4)]
    assert maps(28, 28) == [(28, 28), (14, 14), (7, 7)]
    assert maps(5, 3) == [(5, 3), (3, 2)]


def test_at_full_width_the_networks_are_as_large_as_worked_out_by_hand() -> None:
    first, second = 5 * 5 * 1 * 64, 5 * 5 * 64 * 128
    norms = 4 * 64, 4 * 128  # scale, offset, moving mean and variance
    generator = networks.generator("dcgan", {"channels": 64}, latent_size=100, image_shape=DIGITS)
    assert networks.count(generator) == 100 * 49 * 128 + norms[1] + second + norms[0] + first + 1
    weights, output = first + 64 + second, 49 * 128 + 1
    for normalization, more in (("batch", norms[1]), ("none", 128), ("spectral", 128 + 64 + 128 + 1)):
        sizes = {"channels": 64, "normalization": normalization}
        found = networks.discriminator("dcgan", sizes, image_shape=DIGITS)
        assert networks.count(found) == weights + output + more


@pytest.mark.parametrize("shape", SHAPES)
def test_the_generator_makes_images_of_that_shape(shape: tuple[int, int, int]) -> None:
    network = generator(shape)
    weights, statistics = quickly.jit(network.init)(jax.random.key(0))
    latents = jax.random.normal(jax.random.key(1), (5, 6))
    images, after = quickly.jit(lambda z: network.apply(weights, statistics, z, train=True))(latents)
    assert images.shape == (5, *shape)
    assert 0 < float(jnp.abs(images).max()) <= 1
    assert float(images.std(axis=0).min()) > 0, "each pixel follows from the latent"
    assert network.normalised
    assert all((a != b).any() for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(statistics), strict=True))


@pytest.mark.parametrize(
    ("shape", "normalization"),
    [*((DIGITS, each) for each in NORMALIZATIONS), *zip(SHAPES[1:], NORMALIZATIONS, strict=True)],
)
def test_the_discriminator_gives_a_logit_an_image(shape: tuple[int, int, int], normalization: str) -> None:
    network = discriminator(shape, normalization)
    weights, statistics = quickly.jit(network.init)(jax.random.key(0))
    images = jax.random.uniform(jax.random.key(1), (3, *shape), minval=-1)
    logits, _ = quickly.jit(lambda x: network.apply(weights, statistics, x, train=True))(images)
    assert logits.shape == (3,)
    assert float(logits.std()) > 0
    assert network.normalised == (normalization == "batch" and max(shape) > 14)
    assert network.one_batch != network.normalised


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_only_batch_norm_lets_images_see_each_other(normalization: str) -> None:
    images = jax.random.uniform(jax.random.key(1), (3, *DIGITS), minval=-1)
    network = discriminator(DIGITS, normalization)
    weights, statistics = quickly.jit(network.init)(jax.random.key(0))

    @quickly.jit
    @jax.grad
    def slopes(images: Array) -> Array:
        """Of the first image's logit, at all pixels."""
        first: Array = network.apply(weights, statistics, images, train=True)[0][0]
        return first

    assert bool((slopes(images)[1:] != 0).any()) == (normalization == "batch")


# ------------------------------------------------------------------------------------------- spectral normalisation


def kernel_of(*shape: int) -> Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def test_steps_of_the_power_iteration_find_the_largest_singular_value() -> None:
    kernel, direction = kernel_of(3, 3, 4, 5), jnp.ones(5)
    for _ in range(60):
        normalised, direction = spectrally_normalised(kernel, direction)
    _, values, right = np.linalg.svd(kernel.reshape(36, 5))
    np.testing.assert_allclose(normalised * values[0], kernel, rtol=1e-4)
    np.testing.assert_allclose(np.abs(direction), np.abs(right[0]), rtol=1e-3, atol=1e-4)


def test_the_gradient_goes_through_the_division_alone() -> None:
    """Miyato et al. 2018, eq. 11: (gradient - <gradient, normalised> times the outer product) / sigma, vectors held."""
    kernel, direction = kernel_of(7, 5), jnp.ones(5)
    wanted = kernel_of(7, 5) + 1

    gradient = jax.grad(lambda kernel: jnp.sum(wanted * spectrally_normalised(kernel, direction)[0]))(kernel)

    normalised, outputs = spectrally_normalised(kernel, direction)
    inputs = kernel @ direction / jnp.linalg.norm(kernel @ direction)
    sigma = inputs @ kernel @ outputs
    expected = (wanted - jnp.sum(wanted * normalised) * jnp.outer(inputs, outputs)) / sigma
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)


def test_training_moves_the_directions_and_judging_does_not() -> None:
    network = discriminator(DIGITS, "spectral")
    weights, statistics = quickly.jit(network.init)(jax.random.key(0))
    images = jax.random.uniform(jax.random.key(1), (3, *DIGITS), minval=-1)
    _, trained = network.apply(weights, statistics, images, train=True)
    _, judged = network.apply(weights, statistics, images, train=False)
    assert len(jax.tree.leaves(statistics)) == 3
    for before, moved, left in zip(*map(jax.tree.leaves, (statistics, trained, judged)), strict=True):
        assert (before != moved).any() or before.shape == (1,)  # a layer of one output has but one direction
        assert (before == left).all()


def test_logits_do_not_follow_the_size_of_the_weights() -> None:
    """Of all kernels four times as large the logits are the same, but for the biases, which are zero at first."""
    network = discriminator(DIGITS, "spectral")
    weights, statistics = quickly.jit(network.init)(jax.random.key(0))
    images = jax.random.uniform(jax.random.key(1), (3, *DIGITS), minval=-1)
    larger = jax.tree.map(lambda weight: 4 * weight, weights)
    first, _ = network.apply(weights, statistics, images, train=True)
    second, _ = network.apply(larger, statistics, images, train=True)
    np.testing.assert_allclose(first, second, rtol=1e-4)
