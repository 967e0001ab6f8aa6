"""STACKED MNIST: three digits of MNIST as the color channels of one image, which gives 1,000 classes.

It is used to count the modes that a generator misses: the protocol of Lin et al. 2018 (PacGAN), section 4.2, after Metz
et al. 2017 and Srivastava et al. 2017. 128,000 training images are made of MNIST's training digits, 26,000 test images
of its test digits. The digits are drawn independently with replacement. (PacGAN's authors draw from all 70,000.) The
draw depends on the seed of the split only, so the images are always the same.

Training images share digits, so validation images are new triples of digits that were trained on. Only the test images
have unseen digits.
"""

from __future__ import annotations

import numpy as np

from sparring.data.arrays.idx import Split
from sparring.data.image_set import ImageSet
from sparring.data.named.sets import load_named

STACKED = "stacked-mnist"
"""The name of the set."""
CHANNELS = 3
COUNTS: dict[Split, int] = {"train": 128_000, "test": 26_000}
SEEDS: dict[Split, int] = {"train": 0, "test": 1}
CLASS_NAMES = tuple(f"{triple:03d}" for triple in range(10**CHANNELS))
"""The digits of the first, second and third channel: "042" is a red 0, a green 4 and a blue 2."""
BLOCK = 1000
"""Images that are stacked at once; what comes out does not depend on it."""


def load_stacked(split: Split = "train") -> ImageSet:
    """One split of the set, (128,000 or 26,000, 28, 28, 3), made of that split of MNIST.

    Raises `DataError` where MNIST is not to be had.
    """
    return stack(load_named("mnist", split), COUNTS[split], SEEDS[split])


def stack(digits: ImageSet, count: int, seed: int) -> ImageSet:
    """`count` images (count, H, W, 3), each of three of the gray `digits` (N, H, W, 1) with labels from 0 to 9."""
    assert digits.labels is not None and digits.images.shape[-1] == 1
    raw = np.random.PCG64(seed).random_raw((count, CHANNELS))  # the same numbers in every version of NumPy
    places = (raw % np.uint64(len(digits.images))).astype(np.intp)
    gray = digits.images[..., 0]
    images = np.empty((count, *gray.shape[1:], CHANNELS), np.uint8)
    for start in range(0, count, BLOCK):
        for channel in range(CHANNELS):
            images[start : start + BLOCK, ..., channel] = gray[places[start : start + BLOCK, channel]]
    labels = digits.labels[places] @ np.array([100, 10, 1], np.int32)
    return ImageSet(
        name=STACKED,
        images=images,
        labels=labels.astype(np.int32),
        class_names=CLASS_NAMES,
        source=f"{len(digits.images):,} digits from {digits.source}, three an image, drawn with seed {seed}",
        notice=digits.notice,
    )
