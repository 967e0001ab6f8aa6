"""MEMORISATION: are samples copies of training images? Pixel distances, compared with those of unseen real images.

A copy is much nearer to one training image than to any other. The *closeness* of a sample is its distance to the
nearest training image, divided by its usual distance: the training images are divided into 50 parts, and the usual
distance is the median of the distances to the nearest image of each part. (Carlini et al. 2023, section 4.2, divide by
distances to nearby images for the same reason: a simple digit is near to many.) Closeness is near 1 for new images
and 0 for copies. A sample counts as a copy if its closeness is below 3/4 of the 1% quantile of unseen real images. A
few unseen images are that close by chance, so a pair is called suspicious only where unseen images explain less than a
tenth of the pairs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from sparring.data.selection import ManyImages, aligned, pieces, select
from sparring.evaluation.alarms import COPIES_SHARE
from sparring.images import LEVELS_PER_UNIT, Images, from_uint8
from sparring.networks.batched import batched

PARTS = 50
ROWS = 250
"""Images looked up at once."""
KEPT_BYTES, BLOCK_BYTES = 512 << 20, 64 << 20
"""Training images stay on the device up to the first size; more are sent in blocks of about the second size."""
LARGEST_SIDE = 32
"""Larger images are first reduced to this side by averaging blocks of pixels."""
UNSEEN_QUANTILE, MARGIN = 0.01, 0.75
"""The threshold of a copy is this quantile of the unseen images' closeness, times this margin. The margin allows for
classes whose images are more alike than those of others."""
EXPLAINED = 0.1
"""Unseen real images explain at most this share of suspicious pairs."""
ALARM_COUNT = 5
"""The least number of copies for an alarm."""
PAIRS = 16

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Nearest:
    """The nearest training image of each of N images."""

    places: NDArray[np.int64]
    """Index of the training image (N,)."""
    distances: Values
    """Root mean square difference of the pixels, 0 to 255 (N,)."""
    closeness: Values
    """The distance divided by the usual distance of the image (N,)."""


@dataclass(frozen=True)
class Pair:
    """A sample and its nearest training image."""

    sample: int
    training: int
    distance: float
    closeness: float
    suspicious: bool = False
    """Whether it is closer than unseen real images explain."""


@dataclass(frozen=True)
class Memorisation:
    """Distances of samples and of unseen real images to the training images."""

    copies: float
    """Share of samples that count as copies."""
    copies_unseen: float
    """The same share of unseen real images."""
    threshold: float
    """The closeness below which an image counts as a copy."""
    distance: float
    """Median distance of a sample to its nearest training image, 0 to 255."""
    distance_unseen: float
    """The same for unseen real images."""
    error: float
    """Standard error of `copies`, from drawing the samples at random."""
    alarm: bool
    """Whether there are too many copies."""
    closest: tuple[Pair, ...]
    """The closest pairs, each with another training image."""


Lookup = Callable[[Images], Nearest]
"""Images (N, H, W, C) -> their nearest training images."""


def lookup(training: ManyImages) -> Lookup:
    """Return a function that finds the nearest of the training images (M, H, W, C), M at least 2.

    The training images are put on the device once. More than `KEPT_BYTES` of them are sent in blocks at each call.
    """
    count, values = len(training), _reduced(training[:1]).size
    parts = min(PARTS, count)
    kept = count * values <= KEPT_BYTES
    each = -(-count // parts) if kept else max(1, BLOCK_BYTES // (parts * values))

    def block(first: int) -> tuple[Array, Array]:
        """The images from `first` on, divided into parts (each, parts, D), and a mask of the padding (each, parts)."""
        padded = aligned((parts * each, values))
        here = select(training, np.arange(first, min(first + parts * each, count)))
        done = 0
        for piece in pieces(here):
            padded[done : done + len(piece)] = _reduced(piece).reshape(len(piece), -1)
            done += len(piece)
        padded[done:] = 0
        there = np.arange(parts * each) < done
        return jax.device_put(padded.reshape(each, parts, -1)), jax.device_put(there.reshape(each, parts))

    only = block(0) if kept else None

    def find(images: Images) -> Nearest:
        rows = _reduced(images).reshape(len(images), -1)
        squares = np.full((len(rows), parts), np.inf)
        nearest = np.zeros((len(rows), parts), np.int64)
        for first in range(0, count, parts * each):
            apply = partial(_nearest_in_parts, block=only or block(first))
            found, within = batched(apply, rows, ROWS)
            nearer = found < squares
            squares = np.where(nearer, found, squares)
            nearest = np.where(nearer, first + within.astype(np.int64) * parts + np.arange(parts), nearest)
        part = squares.argmin(axis=1)
        places = nearest[np.arange(len(rows)), part]
        distances = _differences(rows, training, places)
        usual = np.sqrt(np.median(squares, axis=1) / rows.shape[1]) * LEVELS_PER_UNIT
        return Nearest(places, distances, distances / np.maximum(usual, 1e-9))

    return find


def memorisation(samples: Nearest, unseen: Nearest) -> Memorisation:
    """Compare the samples with real images that were not trained on."""
    threshold = MARGIN * float(np.quantile(unseen.closeness, UNSEEN_QUANTILE))
    copies = samples.closeness < threshold
    share, real = float(copies.mean()), float((unseen.closeness < threshold).mean())
    return Memorisation(
        copies=share,
        copies_unseen=real,
        threshold=threshold,
        distance=float(np.median(samples.distances)),
        distance_unseen=float(np.median(unseen.distances)),
        error=float(copies.std() / np.sqrt(len(copies))),
        alarm=bool(share >= COPIES_SHARE and copies.sum() >= ALARM_COUNT),
        closest=_closest(samples, _suspicious_up_to(samples, unseen, threshold)),
    )


def _suspicious_up_to(samples: Nearest, unseen: Nearest, threshold: float) -> float:
    """The closeness up to which samples are suspicious; below 0 where none is.

    As many unseen images, were they closer by the margin, would make at most a tenth of the samples that are as close.
    """
    ordered, real = np.sort(samples.closeness), np.sort(MARGIN * unseen.closeness)
    close = ordered[ordered < threshold]
    found, expected = (np.searchsorted(x, close, side="right") / len(x) for x in (ordered, real))
    return float(close[expected <= EXPLAINED * found].max(initial=-1.0))


def _closest(samples: Nearest, suspicious: float) -> tuple[Pair, ...]:
    pairs: dict[int, Pair] = {}
    for i in np.argsort(samples.closeness, kind="stable"):
        place = int(samples.places[i])
        if place not in pairs:
            closeness = float(samples.closeness[i])
            pairs[place] = Pair(int(i), place, float(samples.distances[i]), closeness, closeness <= suspicious)
        if len(pairs) == PAIRS:
            break
    return tuple(pairs.values())


@jax.jit
def _nearest_in_parts(rows: Array, block: tuple[Array, Array]) -> tuple[Array, Array]:
    """Squared distances (N, P) of rows (N, D) uint8 to the nearest image of each part, and its index there (N, P).

    Part p holds the images p, p + P, p + 2 P ... (E, P, D), so that neighbours in the data are in different parts.
    """
    parts, there = block
    scaled = from_uint8(rows)
    lengths = jnp.sum(scaled * scaled, axis=1)

    def one(p: Array) -> tuple[Array, Array]:
        part = from_uint8(parts[:, p])
        squares = lengths[:, None] + jnp.sum(part * part, axis=1) - 2 * scaled @ part.T
        squares = jnp.where(there[:, p], jnp.maximum(squares, 0), jnp.inf)
        return squares.min(axis=1), squares.argmin(axis=1)

    squares, places = jax.lax.map(one, jnp.arange(parts.shape[1]))
    return squares.T, places.T


def _differences(rows: NDArray[np.uint8], training: ManyImages, places: NDArray[np.int64]) -> Values:
    """Root mean square difference of each row (N, D) from its training image, without rounding errors of products."""
    found = [
        np.sqrt(np.mean((row.astype(np.float64) - _reduced(training[place : place + 1]).reshape(-1)) ** 2))
        for row, place in zip(rows, places, strict=True)
    ]
    return np.array(found, np.float64)


def _reduced(images: Images) -> Images:
    """Reduce images with sides above 32 by averaging blocks of pixels."""
    n, h, w, c = images.shape
    block = -(-max(h, w) // LARGEST_SIDE)
    if block == 1:
        return images
    high, wide = min(block, h), min(block, w)
    rows, columns = h // high, w // wide
    blocks = images[:, : rows * high, : columns * wide].reshape(n, rows, high, columns, wide, c)
    sums = np.zeros((n, rows, columns, c), np.uint32)
    for i, j in np.ndindex(high, wide):  # 5 times as fast as `mean`
        sums += blocks[:, :, i, :, j]
    means: Images = np.rint(sums / (high * wide)).astype(np.uint8)
    return means
