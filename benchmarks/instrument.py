"""THE INSTRUMENT held to account: do an extractor's distances order what is worse after what is better?

python benchmarks/instrument.py flaws DATA                   # real images with a flaw, in five strengths of a kind
python benchmarks/instrument.py checkpoints DATA --out RUN   # one training, as the strong judge orders its states

The strong judge is a classifier of the data set's labels, the shipped one or one trained here; without labels only the
flaws are looked at. All images are validation images and training images: the test images decide nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import spearmanr

from sparring import data
from sparring.data import Shaping
from sparring.data.validation import split_images
from sparring.evaluation.features import Extractor, choose_extractor, general_features
from sparring.evaluation.metrics.frechet import frechet_distance, moments
from sparring.evaluation.metrics.spectrum import powers, spectrum
from sparring.images import Images, some_places
from sparring.recipes import named_recipe
from sparring.runs import generator
from sparring.training import train as training

COUNT = 2_000
"""Samples of each set, validation images and training images."""
STEPS = (200, 400, 800, 1_200, 1_600, 2_000, 2_600, 3_200, 4_000)
"""The checkpoints of one training that are ordered."""


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["flaws", "checkpoints"])
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, help="folder of the run")
    parser.add_argument("--size", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    images = data.load(given.data, shaping=Shaping(given.size))
    split = split_images(images, 0.1 if len(images.images) >= 10 * COUNT else 0.5)
    assert split.validation is not None
    _, height, width, channels = images.images.shape
    extractors = {"general": general_features((height, width, channels))}
    if images.labels is not None:
        extractors["strong"] = choose_extractor(split.training)
    unseen = split.validation.only(some_places(len(split.validation.images), COUNT))
    like_samples = split.training.only(some_places(len(split.training.images), COUNT))
    reference = np.asarray(unseen.images[:])
    measures = {name: distance_from(reference, extractor) for name, extractor in extractors.items()}
    real = np.asarray(like_samples.images[:])
    floors = {name: measure(real) for name, measure in measures.items()}
    if given.what == "flaws":
        print_flaws(flaws(real, like_samples.labels), measures, floors)
    else:
        print_checkpoints(checkpoints(given.data, given.out, given.seed, given.size), measures, floors, reference)


def distance_from(reference: Images, extractor: Extractor) -> Callable[[Images], float]:
    """The Frechet distance of images from these."""
    known = moments(extractor(reference).values)
    return lambda images: frechet_distance(moments(extractor(images).values), known)


# ------------------------------------------------------------------------------------------------ flaws


def flaws(real: Images, labels: NDArray[np.int32] | None) -> dict[str, list[Images]]:
    """For each kind of flaw, images with five strengths of it, the weakest first."""
    random = np.random.default_rng(0)
    values = real.astype(np.float32)
    down, across = (np.arange(side) % 4 == 0 for side in real.shape[1:3])
    lines = (down[:, None] | across)[None, :, :, None]
    found = {
        "noise": [values + random.normal(0, s, values.shape) for s in (4, 8, 16, 32, 64)],
        "blur": [ndimage.gaussian_filter(values, (0, s, s, 0)) for s in (0.4, 0.6, 0.8, 1.2, 2.0)],
        "shift": [np.roll(values, s, 2) for s in (1, 2, 4, 6, 8)],
        "contrast": [(values - values.mean()) * s + values.mean() for s in (0.9, 0.8, 0.6, 0.4, 0.2)],
        "grid of 4": [values + s * lines for s in (4, 8, 16, 32, 64)],
        "repeated": [values[random.integers(0, n, len(values))] for n in (len(values) // 2, 300, 100, 30, 10)],
    }
    if real.shape[-1] == 3:
        found["cast"] = [values + np.array([s, 0, -s], np.float32) for s in (4, 8, 16, 32, 64)]
    if labels is not None:
        classes = int(labels.max()) + 1
        found["classes missing"] = [values[labels < classes - k] for k in (1, 2, 4, 6, 8)]
    return {kind: [np.clip(np.rint(each), 0, 255).astype(np.uint8) for each in sets] for kind, sets in found.items()}


def print_flaws(
    sets: dict[str, list[Images]], measures: dict[str, Callable[[Images], float]], floors: dict[str, float]
) -> None:
    print("| flaw | extractor | distance / floor, weakest to strongest | ordered |\n| --- | --- | --- | --- |")
    for kind, images in sets.items():
        for name, measure in measures.items():
            ratios = [measure(each) / floors[name] for each in images]
            ordered = "yes" if ratios == sorted(ratios) and ratios[0] > 1 else "no"
            print(f"| {kind} | {name} | {', '.join(f'{ratio:.2f}' for ratio in ratios)} | {ordered} |", flush=True)


# ------------------------------------------------------------------------------------------------ one training


def checkpoints(source: str, run: Path, seed: int, size: int | None) -> dict[int, Images]:
    """Samples of one training after each of `STEPS`."""
    recipe = named_recipe("good").replace(data=source, seed=seed, schedule_steps=STEPS[-1], size=size, judge_every=0)
    found = {}
    for step in STEPS:
        kept = run.with_name(f"{run.name}-{step}.npz")
        if not kept.exists():
            training.train(recipe.replace(steps=step), out=run)
            np.savez(kept, images=generator.load(run).sample(COUNT, 0))
        found[step] = np.load(kept)["images"]
    return found


def print_checkpoints(
    samples: dict[int, Images],
    measures: dict[str, Callable[[Images], float]],
    floors: dict[str, float],
    reference: Images,
) -> None:
    real = powers(reference)
    columns = {
        name: [measure(images) / floors[name] for images in samples.values()] for name, measure in measures.items()
    }
    grids = [spectrum(powers(images), real) for images in samples.values()]
    print(f"| step | {' | '.join(measures)} | fine details | grid |\n|{' --- |' * (len(measures) + 3)}")
    for i, step in enumerate(samples):
        ratios = " | ".join(f"{column[i]:.1f}" for column in columns.values())
        print(f"| {step:,} | {ratios} | {grids[i].fine:.2f} | {grids[i].grid:.2f} ({grids[i].period} pixels) |")
    for name, column in columns.items():
        print(f"{name}: rank correlation with the strong judge {spearmanr(column, columns['strong'])[0]:.3f}")


if __name__ == "__main__":
    main()
