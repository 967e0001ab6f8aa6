"""AUGMENTATION: changes of images that both real ones and fakes go through before the discriminator, by chance.

With few images the discriminator learns them by heart. Where it never sees the same one twice that takes it longer, and
since fakes are changed in the same way, the generator does not learn the changes: DiffAugment (Zhao et al. 2020), each
of its three changes made with a probability, the strength, that rises as the discriminator learns by heart and falls
when it does not (Karras et al. 2020, section 3). Nothing is ever mirrored.
"""

import jax
import jax.numpy as jnp
from jax import Array

SHIFT = 1 / 8
"""The most that an image is moved, of its side."""
CUT = 1 / 2
"""Side of the square that is cut out, of the image's."""
TARGET = 0.6
"""The strength rises where D is right about more real images than this: share right minus share wrong."""
RAMP_IMAGES = 20_000
"""Real images that D has to see for the strength to go from 0 to 1."""


def augmented(images: Array, strength: Array, key: Array) -> Array:
    """Images (N, H, W, C) in [-1, 1], each with each of the changes at the probability `strength` (scalar).

    What leaves [-1, 1] stays so: to cut it off would take gradients away.
    """
    changes = (recoloured, moved, cut)
    for change, own in zip(changes, jax.random.split(key, len(changes)), strict=True):
        which, how = jax.random.split(own)
        chosen = jax.random.bernoulli(which, strength, (len(images), 1, 1, 1))
        images = jnp.where(chosen, change(images, how), images)
    return images


def recoloured(images: Array, key: Array) -> Array:
    """Other brightness, saturation and contrast; transparency as it is."""
    colours, alpha = images[..., :3], images[..., 3:]
    brightness, saturation, contrast = jax.random.uniform(key, (3, len(images), 1, 1, 1))
    colours = colours + brightness - 0.5
    gray = colours.mean(axis=3, keepdims=True)
    colours = gray + (colours - gray) * 2 * saturation
    middle = colours.mean(axis=(1, 2, 3), keepdims=True)
    colours = middle + (colours - middle) * (contrast + 0.5)
    return jnp.concatenate([colours, alpha], axis=3)


def moved(images: Array, key: Array) -> Array:
    """Moved by whole pixels, at most an eighth of the side; zeros come in.

    By products with zeros and ones, because their gradients are products, too, and those of a gathering are slow.
    """
    count, height, width, _ = images.shape
    keys = jax.random.split(key)
    down = _shifts(keys[0], count, height)
    right = _shifts(keys[1], count, width)
    return jnp.einsum("nyi,nijc,nxj->nyxc", down, images, right)


def _shifts(key: Array, count: int, side: int) -> Array:
    """Matrices (count, side, side) that move a column of pixels."""
    most = int(side * SHIFT + 0.5)
    by = jax.random.randint(key, (count, 1, 1), -most, most + 1)
    place = jnp.arange(side)
    return (place[None, :, None] - by == place[None, None, :]).astype(jnp.float32)


def cut(images: Array, key: Array) -> Array:
    """A square of half the side is zero; its middle lies anywhere."""
    count, height, width, _ = images.shape
    keys = jax.random.split(key)
    rows, columns = _inside(keys[0], count, height), _inside(keys[1], count, width)
    hidden = rows[:, :, None, None] & columns[:, None, :, None]
    return jnp.where(hidden, 0.0, images)


def _inside(key: Array, count: int, side: int) -> Array:
    """Which places of a side (count, side) lie within a stretch of half of it."""
    length = int(side * CUT + 0.5)
    start = jax.random.randint(key, (count, 1), 0, side + 1 - length % 2) - length // 2
    place = jnp.arange(side)
    return (place >= start) & (place < start + length)


def adapted(strength: Array, right: Array, images: int) -> Array:
    """The strength after a step in which D saw so many real images and was right about that share of them (scalar)."""
    step = jnp.sign(2 * right - 1 - TARGET) * (images / RAMP_IMAGES)
    return jnp.clip(strength + step, 0.0, 1.0)
