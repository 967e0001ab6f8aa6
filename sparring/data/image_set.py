"""`ImageSet`: images in memory or mapped from disk, perhaps with labels."""

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.data.selection import ManyImages, pieces, select
from sparring.errors import DataError
from sparring.recipes.arguments import shown


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of one size, validated on construction.

    Raises:
        DataError: The arrays do not have the documented types and shapes, or the labels do not match the images.
    """

    name: str
    """The name of the set ("mnist") or the path as given."""

    images: ManyImages
    """(N, H, W, C), 0 to 255, N at least 1."""

    labels: NDArray[np.int32] | None
    """Indices (N,) into `class_names`; None if the images have no labels."""

    class_names: tuple[str, ...]
    """Names of the classes; empty if there are no labels."""

    source: str
    """Where the images were found, for people."""

    notice: str | None = None
    """One line for the user, such as that only a sample is used."""

    def __post_init__(self) -> None:
        for name, value in (("images", self.images), *([] if self.labels is None else [("labels", self.labels)])):
            if not all(hasattr(value, attribute) for attribute in ("dtype", "shape", "ndim")):
                raise DataError(f"{self.name}: the {name} must be an array, not {shown(value)}")
        if self.images.dtype != np.uint8:
            raise DataError(f"{self.name}: the images must be of type uint8, found {self.images.dtype}")
        if self.images.ndim != 4:
            raise DataError(f"{self.name}: the images must have the shape (N, H, W, C), found {self.images.shape}")
        if self.images.size == 0:
            raise DataError(f"{self.name} holds no images: its shape is {self.images.shape}")
        if self.labels is None:
            if self.class_names:
                raise DataError(f"{self.name} names {len(self.class_names)} classes but has no labels")
            return
        if self.labels.dtype != np.int32:
            raise DataError(f"{self.name}: the labels must be of type int32, found {self.labels.dtype}")
        if self.labels.shape != self.images.shape[:1]:
            raise DataError(
                f"{self.name}: expected one label an image, shape {self.images.shape[:1]}, found {self.labels.shape}"
            )
        lowest, highest = int(self.labels.min()), int(self.labels.max())
        if lowest < 0 or highest >= len(self.class_names):
            raise DataError(
                f"{self.name}: the labels run from {lowest} to {highest}, but there are {len(self.class_names)} classes"
            )

    @property
    def class_counts(self) -> dict[str, int]:
        """The number of images of each class; empty if there are no labels."""
        if self.labels is None:
            return {}
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        return dict(zip(self.class_names, counts.tolist(), strict=True))

    def only(self, which: NDArray[Any]) -> "ImageSet":
        """Some of the images and their labels, by indices or by a mask (N,). Images are not copied."""
        labels = None if self.labels is None else self.labels[which]
        return dataclasses.replace(self, images=select(self.images, which), labels=labels)

    def refuse_alike(self) -> None:
        """Raise `DataError` unless there are two different images."""
        if all_alike(self.images):
            count = len(self.images)
            how_many = "one picture" if count == 1 else f"the same picture {count:,} times"
            raise DataError(f"{self.name} holds {how_many}, but a GAN needs at least two different ones")

    def checksum(self) -> str:
        """SHA-256, in hexadecimal, of the shape, the images and the labels.

        Name, source and class names do not count, so the same data in two places have the same checksum.
        """
        digest = hashlib.sha256(f"images {self.images.shape} labels {self.labels is not None}\n".encode())
        for piece in pieces(self.images):
            digest.update(np.ascontiguousarray(piece).data)
        if self.labels is not None:
            digest.update(np.ascontiguousarray(self.labels, dtype="<i4").data)
        return digest.hexdigest()


def all_alike(images: ManyImages) -> bool:
    """Whether all images are the same."""
    return all((piece == images[0]).all() for piece in pieces(images))
