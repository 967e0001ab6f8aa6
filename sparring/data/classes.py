"""CLASSES: how many images of each class to generate, and the labels of a grid with one class per row."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparring.errors import ClassError

GRID_CLASSES = 16
"""The largest number of classes in a grid."""

Balance = Literal["training", "uniform"]
"""Frequencies of the classes: those of the training images, or uniform."""
Labels = NDArray[np.int32]
Counts = NDArray[np.int64]
"""Images of each class (classes,)."""


def grid_labels(classes: int, columns: int) -> Labels:
    """One class per row, evenly chosen if there are too many: (rows * columns,)."""
    shown: Labels = np.linspace(0, classes - 1, min(classes, GRID_CLASSES)).round().astype(np.int32)
    return shown.repeat(columns)


def labels_of(counts: Counts) -> Labels:
    """`counts[i]` labels of each class i, in the order of the classes: (sum of the counts,)."""
    return np.arange(len(counts), dtype=np.int32).repeat(counts)


def usual_labels(count: int, frequencies: Mapping[str, int]) -> Labels:
    """`count` labels with the frequencies of the training images, in a random order of a fixed seed."""
    labels = labels_of(balanced(count, frequencies, "training"))
    return np.random.Generator(np.random.PCG64(0)).permutation(labels)


def balanced(count: int, frequencies: Mapping[str, int], balance: Balance) -> Counts:
    """Divide `count` images among the classes, whose numbers of training images are `frequencies`.

    Each class gets its share rounded down. The rest goes to the largest remainders; ties are broken at random with a
    fixed seed.
    """
    relative = np.ones(len(frequencies)) if balance == "uniform" else np.array(list(frequencies.values()), np.float64)
    shares = count * relative / relative.sum()
    counts: Counts = np.floor(shares + 1e-9).astype(np.int64)
    chance = np.random.Generator(np.random.PCG64(0)).permutation(len(counts))
    first = np.lexsort((chance, counts - shares))[: count - counts.sum()]
    counts[first] += 1
    return counts


def of_classes(count: int, names: Sequence[str], labels: Sequence[str]) -> Counts:
    """Divide `count` images evenly among some classes. Raises `ClassError` for an unknown class."""
    counts = np.zeros(len(names), np.int64)
    for i, label in enumerate(labels):
        counts[place_of(names, label)] += count // len(labels) + (i < count % len(labels))
    return counts


def counted(names: Sequence[str], words: Sequence[str]) -> Counts:
    """Parse words such as "7=100". Raises `ClassError` for anything else and for an unknown class."""
    counts = np.zeros(len(names), np.int64)
    for word in words:
        label, equals, number = word.rpartition("=")
        if not equals or re.fullmatch("[0-9]{1,9}", number) is None:
            raise ClassError(f"{word!r} should be a class and a number of images, such as {names[0]}=100")
        counts[place_of(names, label)] += int(number)
    if not counts.any():
        raise ClassError("the counts add up to no image")
    return counts


def place_of(names: Sequence[str], label: str) -> int:
    """The index of a class. Raises `ClassError` for an unknown one."""
    if label in names:
        return list(names).index(label)
    close = difflib.get_close_matches(label, names, 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    known = ", ".join(names) if len(names) <= GRID_CLASSES else f"{len(names):,} others, from {names[0]} to {names[-1]}"
    raise ClassError(f"there is no class {label!r}{hint} (known are {known})")
