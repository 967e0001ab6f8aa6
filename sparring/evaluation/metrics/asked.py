"""ASKED FOR: whether a conditional generator's samples are of the classes that they were asked to be of, and how good
each class is by itself."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.data.classes import Labels
from sparring.evaluation.features import Features
from sparring.evaluation.metrics.frechet import frechet_distance, moments

LEAST = 256
"""Samples, unseen images and training images of a class, with fewer of which it has no distance of its own: twice as
many as there are features."""


@dataclass(frozen=True)
class Asked:
    """What came of what was asked for. Of each class in the data's order, nothing (None) where there is too little."""

    names: tuple[str, ...]
    """Of the classes."""
    recognised: float
    """Share of the samples that the judge takes for the class that was asked for."""
    error: float
    """Its standard error, for the chance in drawing the samples."""
    recognised_real: float
    """The same of as many training images and their labels."""
    shares: tuple[float | None, ...]
    """`recognised` of each class."""
    distances: tuple[float | None, ...]
    """Frechet distance of each class's samples from the unseen images of that class."""
    floors: tuple[float | None, ...]
    """The same of as many training images of that class."""


def asked_for(
    names: tuple[str, ...],
    fake: Features,
    labels: Labels,
    floor: Features,
    floor_labels: Labels,
    unseen: Features,
    unseen_labels: Labels,
) -> Asked | None:
    """Of samples, as many training images, and unseen images, each with labels (N,); None if the judge knows no
    classes."""
    if fake.probabilities is None or floor.probabilities is None:
        return None
    right, right_real = _right(fake.probabilities, labels), _right(floor.probabilities, floor_labels)
    shares: list[float | None] = []
    distances: list[float | None] = []
    floors: list[float | None] = []
    for label in range(len(names)):
        ours, theirs, real = labels == label, floor_labels == label, unseen_labels == label
        shares.append(float(right[ours].mean()) if ours.any() else None)
        if min(ours.sum(), theirs.sum(), real.sum()) < LEAST:
            distances.append(None)
            floors.append(None)
            continue
        reference = moments(unseen.values[real])
        count = min(ours.sum(), theirs.sum())  # with more samples the distance has less bias
        distances.append(frechet_distance(moments(fake.values[ours][:count]), reference))
        floors.append(frechet_distance(moments(floor.values[theirs][:count]), reference))
    return Asked(
        names=names,
        recognised=float(right.mean()),
        error=float(right.std() / np.sqrt(len(right))),
        recognised_real=float(right_real.mean()),
        shares=tuple(shares),
        distances=tuple(distances),
        floors=tuple(floors),
    )


def _right(answers: NDArray[Any], labels: Labels) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = answers.argmax(axis=1) == labels
    return right
