"""The patch networks: depth from the size, any size, every pixel made and seen."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quickly
from jax import Array
from slow import later

from sparring import networks
from sparring.networks.patch import grids

SIZES = {"dense": 24, "channels": 32, "blocks": 1}
SHAPES = [(28, 28, 1), (45, 37, 4), (128, 128, 1)]
"""Of one, two and three grids."""


@cache
def pair(shape: tuple[int, int, int]) -> tuple[networks.Network, networks.Network]:
    return (
        networks.generator("patch", SIZES, latent_size=6, image_shape=shape),
        networks.discriminator("patch", SIZES, image_shape=shape),
    )


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((28, 28), [(7, 7)]),
        ((32, 32), [(8, 8)]),
        ((64, 64), [(16, 16), (8, 8)]),
        ((128, 128), [(32, 32), (16, 16), (8, 8)]),
        ((45, 37), [(12, 10), (6, 5)]),
        ((3, 70), [(1, 18), (1, 9), (1, 5)]),
    ],
)
def test_the_depth_follows_from_the_size(size: tuple[int, int], expected: list[tuple[int, int]]) -> None:
    assert grids(*size) == expected


@pytest.mark.parametrize("shape", SHAPES)
def test_the_generator_makes_images_of_that_shape_and_every_pixel_follows_the_latent(
    shape: tuple[int, int, int],
) -> None:
    generator, _ = pair(shape)
    weights, statistics = quickly.jit(generator.init)(jax.random.key(0))
    latents = jax.random.normal(jax.random.key(1), (5, 6))
    images, _ = quickly.jit(lambda z: generator.apply(weights, statistics, z, train=True))(latents)
    assert images.shape == (5, *shape)
    assert float(jnp.abs(images).max()) <= 1
    assert float(images.std(axis=0).min()) > 1e-5


@pytest.mark.parametrize("shape", later(SHAPES, *SHAPES[1:]))
def test_the_discriminator_sees_every_pixel_and_each_image_alone(shape: tuple[int, int, int]) -> None:
    _, discriminator = pair(shape)
    weights, statistics = quickly.jit(discriminator.init)(jax.random.key(0))
    images = jax.random.uniform(jax.random.key(1), (3, *shape), minval=-1, maxval=1)

    def logits(images: Array) -> Array:
        return discriminator.apply(weights, statistics, images, train=True)[0]

    assert logits(images).shape == (3,)
    slopes = np.asarray(quickly.jit(jax.grad(lambda images: logits(images)[0]))(images))
    assert (slopes[0] != 0).all()
    assert (slopes[1:] == 0).all()


@pytest.mark.parametrize("shape", later([(28, 28, 1), (64, 64, 3)], (64, 64, 3)))
def test_logits_begin_neither_tiny_nor_huge(shape: tuple[int, int, int]) -> None:
    _, discriminator = pair(shape)
    spreads = []
    for seed in range(8):
        weights, statistics = quickly.jit(discriminator.init)(jax.random.key(seed))
        images = jax.random.normal(jax.random.key(seed + 100), (64, *shape))
        spreads.append(float(discriminator.apply(weights, statistics, images, train=True)[0].std()))
    assert 0.3 < np.median(spreads) < 10


def test_neither_is_normalised_and_both_halves_may_be_one_batch() -> None:
    generator, discriminator = pair((28, 28, 1))
    assert not generator.normalised and not discriminator.normalised
    assert discriminator.one_batch and not generator.one_batch


def test_more_blocks_and_channels_are_more_weights() -> None:
    counts = [
        networks.count(networks.discriminator("patch", SIZES | changes, image_shape=(28, 28, 1)))
        for changes in ({}, {"blocks": 2}, {"channels": 48})
    ]
    assert counts[1] - counts[0] == 9 * 32 * 32 + 32
    assert counts[2] > counts[0]
