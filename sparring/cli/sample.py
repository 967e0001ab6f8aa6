"""`sparring sample`: draw images from a trained generator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from sparring.cli.parsing import MAX_SEED, Flag, check_range, optional, parse
from sparring.errors import UsageError
from sparring.runs.run import Run
from sparring.terminal.output import print_line, shell_quoted

if TYPE_CHECKING:
    from sparring.data.classes import Counts
    from sparring.images import Images
    from sparring.runs.generator import Generator

GRID_COLUMNS, MAX_COLUMNS = 8, 32
"""Columns of a grid with one class in each row: the default and the maximum."""
DEFAULT_COUNT, DEFAULT_LATENTS = 64, 2
MAX_IMAGES = 1_000_000
SUFFIXES = ("", ".png", ".npz", ".gif")


@dataclass(frozen=True)
class SampleOptions:
    """Draw images from a trained generator. The same seed gives the same images.

    Images of chosen classes: a conditional generator makes them directly. Otherwise rejection sampling draws images
    until the judge has found enough of each class, and the number of draws is printed."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """Folder of a run, or a generator.safetensors with its generator.json beside it."""
    count: Annotated[int | None, optional("INT")] = None
    """Number of images (default: 64, or 8 of each class), or of latents on a walk (default: 2)."""
    seed: int = 0
    """Seed for the latents."""
    label: Annotated[tuple[str, ...], optional("CLASS ...")] = ()
    """Draw only these classes, and the same number of each."""
    balance: Annotated[Literal["training", "uniform"] | None, optional("training|uniform")] = None
    """Draw each class as often as in the training images (the default of a conditional generator), or equally often."""
    counts: Annotated[tuple[str, ...], optional("CLASS=INT ...")] = ()
    """Number of images of each of these classes."""
    interpolate: Annotated[int | None, optional("INT")] = None
    """Walk through random latents, with this many images from one latent to the next. A .gif loops."""
    best: Flag = False
    """Use the state with the best score during training instead of the last one."""
    out: Path = Path("grid.png")
    """`.png`: a grid. `.npz`: `images`, uint8, N x H x W x C. `.gif`: an animation. No ending: a folder of PNGs."""
    force: Flag = False
    """Replace an existing file even if Sparring did not make it."""


def run(words: list[str]) -> int:
    """Run `sparring sample RUN [OPTIONS]`."""
    given = parse(SampleOptions, words, "sparring sample")
    _check(given)

    from sparring import images

    images.claim(given.out, given.force)

    from sparring.runs import generator as generators

    generator = generators.load(given.run, given.best)
    if given.interpolate is not None:
        made = _walk(given, generator, given.interpolate)
        images.save_images(given.out, made, given.interpolate, force=given.force)
    elif generator.classes or given.label or given.balance or given.counts:
        made, classes, columns = _sample_classes(given, generator)
        images.save_images(given.out, made, columns, classes, given.force)
    else:
        count = given.count or DEFAULT_COUNT
        columns = images.square_columns(count)
        _check_size(given, generator, count, columns)
        made = generator.sample(count, given.seed)
        images.save_images(given.out, made, columns, force=given.force)
    print_line(f"{len(made)} images in {given.out}")
    return 0


def _check(given: SampleOptions) -> None:
    """Raise `UsageError` for options that do not fit together, before anything is loaded."""
    kind = given.out.suffix.lower()
    if kind not in SUFFIXES:
        raise UsageError(f"{given.out} has an unknown ending; use .png, .npz, .gif, or none for a folder")
    if kind == ".gif" and given.interpolate is None:
        raise UsageError("a .gif shows a walk: add --interpolate 8, for example, for 8 images between two latents")
    check_range("--count", given.count, 1 if given.interpolate is None else 2, MAX_IMAGES)
    check_range("--interpolate", given.interpolate, 2, 10_000)
    check_range("--seed", given.seed, 0, MAX_SEED)
    if sum(map(bool, (given.label, given.balance, given.counts))) > 1:
        raise UsageError("use only one of --label, --balance and --counts")
    if given.counts and given.count is not None:
        raise UsageError("use only one of --counts and --count")


def _check_size(given: SampleOptions, generator: Generator, count: int, columns: int) -> None:
    """Raise `UsageError` for more images than memory or the file format can hold."""
    from sparring import images
    from sparring.training import memory

    check_range("the number of images", count, 1, MAX_IMAGES)
    size, free = count * math.prod(generator.image_shape), memory.free_here()
    if free is not None and size > free:
        raise UsageError(f"{count:,} images take {size / 1e6:,.0f} MB of memory, and {free / 1e6:,.0f} MB are free")
    images.refuse_huge(given.out, count, generator.image_shape, columns)


def _walk(given: SampleOptions, generator: Generator, steps: int) -> Images:
    count = given.count or DEFAULT_LATENTS
    _check_size(given, generator, count * steps, steps)
    closed = given.out.suffix.lower() == ".gif"
    return generator.interpolate(count, steps, given.seed, closed=closed, label=_walk_label(given, generator))


def _walk_label(given: SampleOptions, generator: Generator) -> int | None:
    """The class of a walk; None for a generator that is not conditional."""
    from sparring.data.classes import place_of

    if not generator.classes:
        if given.label or given.balance or given.counts:
            raise UsageError("this generator is not conditional, so a walk cannot stay within a class")
        return None
    if len(given.label) != 1:
        example = shell_quoted(next(iter(generator.classes)))
        raise UsageError(f"a walk stays within one class: choose it, for example with --label {example}")
    return place_of(list(generator.classes), given.label[0])


def _sample_classes(given: SampleOptions, generator: Generator) -> tuple[Images, list[str], int]:
    """Draw images by class. Returns (images, the class of each, columns of a grid)."""
    from sparring import images
    from sparring.data import classes
    from sparring.evaluation import rejection_sampling

    training = None if generator.classes else rejection_sampling.training_images(Run(given.run))
    frequencies = generator.classes if training is None else training.class_counts
    names = tuple(frequencies)
    counts = _class_counts(given, frequencies)
    each = set(counts[counts > 0].tolist())
    is_row_each = len(each) == 1 and max(each) <= MAX_COLUMNS and (counts > 0).sum() > 1
    total = int(counts.sum())
    columns = each.pop() if is_row_each else images.square_columns(total)
    _check_size(given, generator, total, columns)
    if training is None:
        labels = classes.labels_of(counts)
        made = generator.images(generator.draw_latents(len(labels), given.seed), labels)
    else:
        from sparring.terminal import progress

        with progress.shown(str(given.run)) as report:
            judge = rejection_sampling.classifier_for(training, report)
        chosen = rejection_sampling.choose(generator, counts, names, judge, given.seed)
        made, labels = chosen.images, chosen.labels
        print_line(
            f"this generator is not conditional: rejection sampling kept {len(made):,} of {chosen.drawn:,} images "
            f"by the classes that the judge assigns ({judge.name})"
        )
    return made, [names[label] for label in labels], columns


def _class_counts(given: SampleOptions, frequencies: dict[str, int]) -> Counts:
    """How many images of each class to draw."""
    from sparring.data import classes

    names = tuple(frequencies)
    if given.counts:
        for number in (word.rpartition("=")[2] for word in given.counts):
            if number.isdecimal() and (len(number) > len(str(MAX_IMAGES)) or int(number) > MAX_IMAGES):
                raise UsageError(f"--counts takes numbers up to {MAX_IMAGES:,}, not {number}")
        return classes.counted(names, given.counts)
    is_row_each = not (given.label or given.count) and len(names) <= classes.GRID_CLASSES
    count = GRID_COLUMNS * len(names) if is_row_each else given.count or DEFAULT_COUNT
    if given.label:
        return classes.of_classes(count, names, given.label)
    return classes.balanced(count, frequencies, given.balance or ("uniform" if is_row_each else "training"))
