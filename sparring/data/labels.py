"""LABELS from folders: the first folder that a picture lies in is its class, where all lie in one of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparring.data.files import shown
from sparring.data.idx import Split
from sparring.errors import DataError

SPLITS: dict[str, Split | None] = {
    "train": "train", "test": "test", "val": None, "valid": None, "validation": None,
}  # fmt: skip
"""Folders of these names are the parts of a set, where one of them is called "train". Some are not used."""

Folders = tuple[str, ...]
"""The folders that a picture lies in, from the outside in."""


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Which pictures are in a split, in which order, and of which class each is."""

    places: NDArray[np.int64]
    """(N,), among the pictures that were given; in an order that is chance, but always the same, because folders lie
    class by class and a recipe may read its data in order."""
    labels: NDArray[np.int32] | None
    """(N,), or None."""
    class_names: tuple[str, ...]
    notice: str | None
    """What the user should know about it."""


def arrange(folders: Sequence[Folders], split: Split, name: str) -> Arrangement:
    """The arrangement of pictures that lie in these folders, one or more.

    A folder that holds all the others, and no picture itself, says nothing. Folders called "train" and "test" are the
    two splits. Where all pictures lie in two or more folders, these are classes; where some lie beside the folders,
    there are no labels.

    Raises `DataError` where there is no such split.
    """
    folders, ours = _without_common(folders), np.ones(len(folders), bool)
    parts = {(place[0].lower() if place else "") for place in folders}
    if "train" in parts and parts <= set(SPLITS):
        splits = [SPLITS[place[0].lower()] for place in folders]
        ours = np.array([one == split for one in splits])
        folders = [place[1:] if one else () for place, one in zip(folders, splits, strict=True)]
        known = [place for place, one in zip(folders, splits, strict=True) if one]
    else:
        known = list(folders)
        if split == "test":
            raise DataError(f"{name} has no test split: it holds no folders called train and test")
    if not ours.any():
        raise DataError(f"{name} has no {split} split: it holds no folder called {split}")
    places = np.flatnonzero(ours)[np.random.Generator(np.random.PCG64(0)).permutation(int(ours.sum()))]
    outside = sum(not place for place in known)
    classes = sorted({place[0] for place in known if place})
    notice = None
    if outside and classes:
        notice = f"{outside:,} pictures lie beside the folders, so these are not taken for classes"
    if outside or len(classes) < 2:
        return Arrangement(places, None, (), notice)
    index = {name: i for i, name in enumerate(classes)}
    labels = np.array([index[folders[place][0]] for place in places], np.int32)
    return Arrangement(places, labels, tuple(map(shown, classes)), None)


def _without_common(folders: Sequence[Folders]) -> list[Folders]:
    """The same without the folders that all have in common, unless that is a split."""
    first, last = min(folders), max(folders)  # what these two begin with, all others do
    common = 0
    while common < len(first) and first[common] == last[common] and first[common].lower() not in SPLITS:
        common += 1
    return [place[common:] for place in folders]
