"""CONDITIONAL SAMPLES: does the classifier recognise the classes that were asked for, and how good is each class?"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.data.classes import Labels
from sparring.evaluation.features import Features
from sparring.evaluation.metrics.frechet import frechet_distance, moments

LEAST = 256
"""The fewest samples, unseen images and training images from which a class's distance is computed: twice the number of
features."""


@dataclass(frozen=True)
class Asked:
    """Results for each class, in the order of the data. A value is None where there are too few images."""

    names: tuple[str, ...]
    """Names of the classes."""
    recognised: float
    """Share of samples that the classifier assigns to the class that was asked for."""
    error: float
    """Standard error of `recognised`, from drawing the samples at random."""
    recognised_real: float
    """The same share of the same number of training images with their labels."""
    shares: tuple[float | None, ...]
    """`recognised` of each class."""
    distances: tuple[float | None, ...]
    """Frechet distance between each class's samples and its unseen images."""
    floors: tuple[float | None, ...]
    """The same distance of the same number of training images of the class."""


Labelled = tuple[Features, Labels | None]
"""Features of N images and their labels (N,), if they have any."""


def asked_for(names: tuple[str, ...], samples: Labelled, training: Labelled, unseen: Labelled) -> Asked | None:
    """Compare samples, as many training images and unseen images by class.

    None if one of them has no labels, or the extractor no classes.
    """
    (fake, labels), (floor, floor_labels), (real, real_labels) = samples, training, unseen
    if labels is None or floor_labels is None or real_labels is None:
        return None
    if fake.probabilities is None or floor.probabilities is None:
        return None
    right, right_real = _right(fake.probabilities, labels), _right(floor.probabilities, floor_labels)
    shares: list[float | None] = []
    distances: list[float | None] = []
    floors: list[float | None] = []
    for label in range(len(names)):
        ours, theirs, others = labels == label, floor_labels == label, real_labels == label
        shares.append(float(right[ours].mean()) if ours.any() else None)
        if min(ours.sum(), theirs.sum(), others.sum()) < LEAST:
            distances.append(None)
            floors.append(None)
            continue
        reference = moments(real.values[others])
        count = min(ours.sum(), theirs.sum())  # the bias of both distances depends on the number of samples
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


def _right(probabilities: NDArray[Any], labels: Labels) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = probabilities.argmax(axis=1) == labels
    return right
