"""REJECTION SAMPLING: images of chosen classes from an unconditional generator. A classifier selects them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparring.data import ImageSet
from sparring.data.classes import Counts, Labels, labels_of
from sparring.errors import ClassError, RunError
from sparring.evaluation.features import Extractor, choose_extractor
from sparring.images import Images
from sparring.runs.generator import Generator
from sparring.runs.run import Run
from sparring.runs.run_images import load_split
from sparring.system.numerics import fixed
from sparring.terminal.progress import ReportProgress

DRAWN = 500
"""Images drawn at once."""
MOST_REJECTED = 20_000
"""Images rejected in a row before the missing classes are given up."""


@dataclass(frozen=True, eq=False)
class Accepted:
    """Images of the classes that were asked for, according to a classifier."""

    images: Images
    """(N, H, W, C), uint8, in the order of their classes."""
    labels: Labels
    """(N,)."""
    drawn: int
    """Number of images that were drawn for these."""


def training_images(run: Run) -> ImageSet:
    """The training images of a run. Raises `RunError` if there is no run, `ClassError` if the images have no labels."""
    if not run.exists():
        raise RunError(f"{run.path} is not a run: rejection sampling needs the training images of the run")
    recipe = run.recipe()
    training = load_split(run, recipe).training
    if training.labels is None:
        raise ClassError(f"the images of {recipe.data} have no classes, so none can be asked for")
    return training


@fixed()
def classifier_for(training: ImageSet, tell: ReportProgress) -> Extractor:
    """A classifier of these images, shipped or trained on them.

    Raises `ClassError` if there is only one class, or if the classifier is no better than chance.
    """
    if training.labels is None or len(np.unique(training.labels)) < 2:
        raise ClassError(f"all images of {training.name} are of one class, so none can be asked for")
    classifier = choose_extractor(training, None, tell)
    if not classifier.has_classes:
        raise ClassError(f"classes of {training.name} cannot be asked for. {classifier.caveat}")
    return classifier


@fixed()
def choose(generator: Generator, counts: Counts, names: tuple[str, ...], classifier: Extractor, seed: int) -> Accepted:
    """Draw images until there are `counts` of each class: the first ones that the classifier assigns to it.

    Raises `ClassError` if `MOST_REJECTED` images in a row are rejected.
    """
    kept: list[list[Images]] = [[] for _ in counts]
    missing, drawn, rejected = counts.copy(), 0, 0
    while missing.any():
        images = generator.images(generator.draw_latents(DRAWN, seed, first=drawn))
        probabilities = classifier(images).probabilities
        assert probabilities is not None
        seen = probabilities.argmax(axis=1)
        before = missing.sum()
        for label in np.flatnonzero(missing):
            found = images[seen == label][: missing[label]]
            kept[label].append(found)
            missing[label] -= len(found)
        drawn += DRAWN
        rejected = 0 if missing.sum() < before else rejected + DRAWN
        if rejected >= MOST_REJECTED:
            wanted = ", ".join(repr(names[label]) for label in np.flatnonzero(missing))
            raise ClassError(
                f"of {drawn:,} images the last {rejected:,} were rejected: the classifier assigned none to {wanted}"
            )
    images = np.concatenate([part for parts in kept for part in parts])
    return Accepted(images, labels_of(counts), drawn)
