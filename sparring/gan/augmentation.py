"""AUGMENTATION of the discriminator's images, real and fake, so that it does not overfit to few images.

DiffAugment (Zhao et al. 2020): since fakes are augmented as well, the generator does not learn the augmentations. Each
of the three is applied with a probability, the strength. If adaptive, the strength rises while the discriminator
overfits and falls while it does not (Karras et al. 2020, section 3). Images are never mirrored here.
"""

import jax
import jax.numpy as jnp
from jax import Array

SHIFT = 1 / 8
"""Largest translation, as a share of the side."""
CUT = 1 / 2
"""Side of the cut-out square, as a share of the image's side."""
TARGET = 0.6
"""The strength rises if D's share of right answers on real images, minus its share of wrong ones, is above this."""
RAMP_IMAGES = 20_000
"""Real images in which the strength rises from 0 to 1."""


def augmented(images: Array, strength: Array, key: Array) -> Array:
    """Images (N, H, W, C) in [-1, 1], each with each augmentation at the probability `strength` (scalar).

    Values outside of [-1, 1] are not clipped, because clipping has no gradient.
    """
    changes = (recolor, translate, cut)
    for change, own in zip(changes, jax.random.split(key, len(changes)), strict=True):
        which, how = jax.random.split(own)
        chosen = jax.random.bernoulli(which, strength, (len(images), 1, 1, 1))
        images = jnp.where(chosen, change(images, how), images)
    return images


def recolor(images: Array, key: Array) -> Array:
    """Random brightness, saturation and contrast; alpha is unchanged."""
    colours, alpha = images[..., :3], images[..., 3:]
    brightness, saturation, contrast = jax.random.uniform(key, (3, len(images), 1, 1, 1))
    colours = colours + brightness - 0.5
    gray = colours.mean(axis=3, keepdims=True)
    colours = gray + (colours - gray) * 2 * saturation
    middle = colours.mean(axis=(1, 2, 3), keepdims=True)
    colours = middle + (colours - middle) * (contrast + 0.5)
    return jnp.concatenate([colours, alpha], axis=3)


def translate(images: Array, key: Array) -> Array:
    """Translated by whole pixels, at most an eighth of the side, padded with zeros.

    As matrix products, because their gradients are products as well, and those of a gather are slow.
    """
    count, height, width, _ = images.shape
    keys = jax.random.split(key)
    down = _shifts(keys[0], count, height)
    right = _shifts(keys[1], count, width)
    return jnp.einsum("nyi,nijc,nxj->nyxc", down, images, right)


def _shifts(key: Array, count: int, side: int) -> Array:
    """Matrices (count, side, side) that translate a column of pixels."""
    most = int(side * SHIFT + 0.5)
    by = jax.random.randint(key, (count, 1, 1), -most, most + 1)
    place = jnp.arange(side)
    return (place[None, :, None] - by == place[None, None, :]).astype(jnp.float32)


def cut(images: Array, key: Array) -> Array:
    """Cutout: a square of half the side is set to zero, around any pixel."""
    count, height, width, _ = images.shape
    keys = jax.random.split(key)
    rows, columns = _inside(keys[0], count, height), _inside(keys[1], count, width)
    hidden = rows[:, :, None, None] & columns[:, None, :, None]
    return jnp.where(hidden, 0.0, images)


def _inside(key: Array, count: int, side: int) -> Array:
    """Which pixels of a side (count, side) are inside the cut-out half."""
    length = int(side * CUT + 0.5)
    start = jax.random.randint(key, (count, 1), 0, side + 1 - length % 2) - length // 2
    place = jnp.arange(side)
    return (place >= start) & (place < start + length)


def adapted(strength: Array, right: Array, images: int) -> Array:
    """The strength (scalar) after a step with `images` real images, the share `right` of them classified right."""
    step = jnp.sign(2 * right - 1 - TARGET) * (images / RAMP_IMAGES)
    return jnp.clip(strength + step, 0.0, 1.0)
