"""MEMORISATION: are samples copies of training images? Distances of pixels, beside those of unseen real images.

A copy is much nearer to one training image than to any other. The training images are dealt out into 50 parts; a
sample's usual distance r is the median of its distances to the nearest of each part, and the other distances below r
say how many dimensions n the images have around there (Levina & Bickel 2004, eq. 8, without the nearest five, which
may be copies, too). Its *closeness* to the nearest of all, at distance d, is n log(r / d): the logarithm of how many
times smaller the ball is that reaches it. So it depends neither on how crowded a place is nor on how many ways lead out
of it, and a plain digit, which is near to many, is not taken for a copy.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from sparring.batched import batched
from sparring.images import Images

PARTS = 50
ROWS = 250
"""Images that are looked up at once."""
LARGEST_SIDE = 32
"""Larger images are compared after averaging blocks of pixels down to this."""
UNSEEN_QUANTILE = 0.01
"""A sample counts as a copy if it is closer than all but this share of the unseen real images."""
LEAST_DISTANCE = 0.01
"""Gray levels; images that are nearer count as being so far apart, that the logarithm stays finite."""
LEAST_ALARM = 0.03
"""Fewer copies are no alarm: unseen digits of some classes have up to 2.7%, as a writer repeats himself."""
PAIRS = 16

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Nearest:
    """For each of N images its nearest training image."""

    places: NDArray[np.int64]
    """Index of the training image (N,)."""
    distances: Values
    """Root mean square difference of the two, in gray levels of 255 (N,)."""
    closeness: Values
    """How much nearer that is than usual (N,); see the head of this file."""


@dataclass(frozen=True)
class Pair:
    """A sample and the training image that it is suspiciously close to."""

    sample: int
    training: int
    distance: float
    closeness: float


@dataclass(frozen=True)
class Memorisation:
    """How the samples stand to the training images, and how unseen real images do."""

    copies: float
    """Share of samples that are closer to a training image than 99% of the unseen real images."""
    copies_unseen: float
    """The same share of the unseen real images: about .01 by construction."""
    threshold: float
    """The closeness above which an image counts as a copy."""
    distance: float
    """Median distance of a sample to its nearest training image, in gray levels of 255."""
    distance_unseen: float
    """The same of the unseen real images."""
    error: float
    """Standard error of `copies`, for the chance in drawing the samples."""
    alarm: bool
    """Whether so many copies cannot be chance."""
    closest: tuple[Pair, ...]
    """The closest pairs, no training image twice."""


Lookup = Callable[[Images], Nearest]
"""Images (N, H, W, C) -> their nearest training images."""


def lookup(training: Images) -> Lookup:
    """Looks up images among training images (M, H, W, C), M at least 2, which are put on the device once."""
    small = _reduced(training)
    parts = min(PARTS, len(small))
    each = -(-len(small) // parts)
    flat = np.zeros((parts * each, small[0].size), np.uint8)
    flat[: len(small)] = small.reshape(len(small), -1)
    dealt = jnp.asarray(flat.reshape(each, parts, -1))
    there = jnp.asarray((np.arange(parts * each) < len(small)).reshape(each, parts))

    def find(images: Images) -> Nearest:
        rows = _reduced(images).reshape(len(images), -1)
        squares, within = batched(lambda part: _nearest_in_parts(part, dealt, there), rows, ROWS)
        squares = squares.astype(np.float64)
        part = squares.argmin(axis=1)
        places = within[np.arange(len(rows)), part].astype(np.int64) * parts + part
        distances = _differences(rows, flat, places)
        others = np.sqrt(np.sort(squares, axis=1) / rows.shape[1]) * 127.5  # the last bits of a product of matrices
        return Nearest(places, distances, _closeness(distances, others))

    return find


def memorisation(samples: Nearest, unseen: Nearest) -> Memorisation:
    """Compare the samples with real images that were not trained on.

    The alarm is raised where at least 3% of the samples are closer than all but 1% of the unseen images, and where that
    is beyond four standard errors of both shares.
    """
    threshold = float(np.quantile(unseen.closeness, 1 - UNSEEN_QUANTILE))
    copies = samples.closeness > threshold
    share, real = float(copies.mean()), float((unseen.closeness > threshold).mean())
    expected = max(UNSEEN_QUANTILE, 1 / (len(unseen.closeness) + 1))
    doubt = 4 * np.sqrt(expected * (1 - expected) * (1 / len(copies) + 1 / len(unseen.closeness)))
    return Memorisation(
        copies=share,
        copies_unseen=real,
        threshold=threshold,
        distance=float(np.median(samples.distances)),
        distance_unseen=float(np.median(unseen.distances)),
        error=float(copies.std() / np.sqrt(len(copies))),
        alarm=bool(share >= LEAST_ALARM and share > expected + doubt),
        closest=_closest(samples),
    )


def _closeness(distances: Values, others: Values) -> Values:
    """n log(r / d) of the distances d (N,), from the distances to the nearest of each part (N, P), ascending.

    The nearest few have no say in how many dimensions there are, because they may be copies, too.
    """
    parts = others.shape[1]
    middle = min(max(parts // 2 - 1, 1), parts - 1)
    first = min(max(parts // 10, 1), middle)
    usual = np.maximum(others[:, middle], LEAST_DISTANCE)
    logarithms = np.log(usual[:, None] / np.maximum(others[:, first:middle], LEAST_DISTANCE))
    dimensions = 1 / np.maximum(logarithms.mean(axis=1), 1e-3) if first < middle else 1.0
    closeness: Values = dimensions * np.log(usual / np.maximum(distances, LEAST_DISTANCE))
    return closeness


def _closest(samples: Nearest) -> tuple[Pair, ...]:
    pairs: dict[int, Pair] = {}
    for i in np.argsort(-samples.closeness, kind="stable"):
        place = int(samples.places[i])
        if place not in pairs:
            pairs[place] = Pair(int(i), place, float(samples.distances[i]), float(samples.closeness[i]))
        if len(pairs) == PAIRS:
            break
    return tuple(pairs.values())


@jax.jit
def _nearest_in_parts(rows: Array, parts: Array, there: Array) -> tuple[Array, Array]:
    """Squared distances (N, P) of rows (N, D) uint8 to the nearest in each part, and its place in there (N, P).

    Part p are the images p, p + P, p + 2 P ... (E, P, D), so that neighbours in the data fall into different parts.
    """
    scaled = rows.astype(jnp.float32) / 127.5 - 1
    lengths = jnp.sum(scaled * scaled, axis=1)

    def one(p: Array) -> tuple[Array, Array]:
        part = parts[:, p].astype(jnp.float32) / 127.5 - 1
        squares = lengths[:, None] + jnp.sum(part * part, axis=1) - 2 * scaled @ part.T
        squares = jnp.where(there[:, p], jnp.maximum(squares, 0), jnp.inf)
        return squares.min(axis=1), squares.argmin(axis=1)

    squares, places = jax.lax.map(one, jnp.arange(parts.shape[1]))
    return squares.T, places.T


def _differences(rows: NDArray[np.uint8], training: NDArray[np.uint8], places: NDArray[np.int64]) -> Values:
    """Root mean square difference of each row (N, D) from its training image: exact, where a sum of products is not."""
    found = [
        np.sqrt(np.mean((row.astype(np.float64) - training[place]) ** 2))
        for row, place in zip(rows, places, strict=True)
    ]
    return np.array(found, np.float64)


def _reduced(images: Images) -> Images:
    """Images of sides above 32 as the means of blocks of pixels."""
    n, h, w, c = images.shape
    block = -(-max(h, w) // LARGEST_SIDE)
    if block == 1:
        return images
    high, wide = min(block, h), min(block, w)
    rows, columns = h // high, w // wide
    blocks = images[:, : rows * high, : columns * wide].reshape(n, rows, high, columns, wide, c)
    means: Images = np.rint(blocks.mean(axis=(2, 4))).astype(np.uint8)
    return means
