"""CHOOSING: images of classes from a generator that is told none: the judge looks, and what was asked for is kept."""

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
"""Images that are drawn at once."""
PATIENCE = 20_000
"""So many images without one to keep, and the class is given up."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """Images of the classes that were asked for, as the judge sees them."""

    images: Images
    """(N, H, W, C), uint8, in the order of their classes."""
    labels: Labels
    """(N,)."""
    drawn: int
    """How many images were drawn for them."""


def training_images(run: Run) -> ImageSet:
    """What a run was trained on. Raises `RunError` where it is no run, `ClassError` where the images have no labels."""
    if not run.exists():
        raise RunError(f"{run.path} is no run: to choose images by class, the data of the run are needed")
    recipe = run.recipe()
    training = load_split(run, recipe).training
    if training.labels is None:
        raise ClassError(f"the images of {recipe.data} have no classes, so none can be asked for")
    return training


@fixed()
def class_judge(training: ImageSet, tell: ReportProgress) -> Extractor:
    """The judge that knows the classes of these images; where none is shipped, it is trained.

    Raises `ClassError` where there is nothing to tell apart.
    """
    if training.labels is None or len(np.unique(training.labels)) < 2:
        raise ClassError(f"all images of {training.name} are of one class, so none can be asked for")
    judge = choose_extractor(training, None, tell)
    if not judge.has_classes:
        raise ClassError(f"classes of {training.name} cannot be asked for. {judge.caveat}")
    return judge


@fixed()
def choose(generator: Generator, counts: Counts, names: tuple[str, ...], judge: Extractor, seed: int) -> Chosen:
    """So many images of each class: of all that are drawn, the first ones that the judge takes for it.

    Raises `ClassError` where `PATIENCE` images in a row hold none that is still wanted.
    """
    kept: list[list[Images]] = [[] for _ in counts]
    missing, drawn, useless = counts.copy(), 0, 0
    while missing.any():
        images = generator.images(generator.draw_latents(DRAWN, seed, first=drawn))
        answers = judge(images).probabilities
        assert answers is not None
        seen = answers.argmax(axis=1)
        before = missing.sum()
        for label in np.flatnonzero(missing):
            found = images[seen == label][: missing[label]]
            kept[label].append(found)
            missing[label] -= len(found)
        drawn += DRAWN
        useless = 0 if missing.sum() < before else useless + DRAWN
        if useless >= PATIENCE:
            wanted = ", ".join(repr(names[label]) for label in np.flatnonzero(missing))
            raise ClassError(f"of {drawn:,} images the last {useless:,} held none that the judge takes for {wanted}")
    images = np.concatenate([part for parts in kept for part in parts])
    return Chosen(images, labels_of(counts), drawn)
