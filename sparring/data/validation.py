"""The validation images: a random share of the training images on which no network is trained.

Decisions made while a run trains, and the ranking of runs, use these images. The test images are used for the report
only, because numbers are too good on images that were used to choose between runs.
"""

from dataclasses import dataclass

import numpy as np

from sparring.data.image_set import ImageSet

LEAST_VALIDATION = 50
"""The fewest validation images by which a run is judged."""


@dataclass(frozen=True, eq=False)
class SplitImages:
    """An image set and its two parts, each in the order of the data."""

    whole: ImageSet
    training: ImageSet
    validation: ImageSet | None
    """None where the share is less than one image."""

    @property
    def validation_count(self) -> int:
        """The number of validation images."""
        return len(self.whole.images) - len(self.training.images)

    @property
    def can_judge(self) -> bool:
        """Whether there are enough validation images to judge a run."""
        return self.validation_count >= LEAST_VALIDATION


def validation_count(count: int, share: float) -> int:
    """How many of `count` images are validation images."""
    return min(int(share * count), count - 1)


def split_images(images: ImageSet, share: float) -> SplitImages:
    """Split off a share of the images for validation.

    The choice is random but depends only on the number of images: it is the same for every seed and every recipe.
    """
    count = len(images.images)
    chosen = np.zeros(count, bool)
    chosen[np.random.Generator(np.random.PCG64(0)).permutation(count)[: validation_count(count, share)]] = True
    if not chosen.any():
        return SplitImages(images, images, None)
    return SplitImages(images, images.only(~chosen), images.only(chosen))
