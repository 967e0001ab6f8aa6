"""The held-out slice: training images that no network is trained on, by which decisions are made while it trains.

The test images stay untouched until the report: who chooses by them has trained on them.
"""

import numpy as np

from sparring.data.image_set import ImageSet


def held_out_count(count: int, share: float) -> int:
    """How many of `count` images are held out."""
    return min(int(share * count), count - 1)


def hold_out(images: ImageSet, share: float) -> tuple[ImageSet, ImageSet | None]:
    """(the images to train on, the held-out ones or None where the share comes to none), each in the data's order.

    Which ones is chance, but follows from the number of images alone: the same for every seed and every recipe.
    """
    count = len(images.images)
    held = np.zeros(count, bool)
    held[np.random.Generator(np.random.PCG64(0)).permutation(count)[: held_out_count(count, share)]] = True
    if not held.any():
        return images, None
    return images.only(~held), images.only(held)
