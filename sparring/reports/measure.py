"""MEASURING: the judge's verdict on a run, or on samples made elsewhere; and side by side with others'.

run -> generator, discriminator -> samples, logits \\
samples made elsewhere -> samples                   -> protocol -> verdict -> measures.json, report.html
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.data import AS_THEY_ARE, NAMES, Shaping, has_pictures, shaping_of
from sparring.data.arrays.npz import as_images
from sparring.data.arrays.ranges import ValueRange, range_words
from sparring.data.classes import Labels
from sparring.data.samples import read_samples
from sparring.data.selection import ManyImages
from sparring.errors import CheckpointError, DamageWarning, DataError, DiskError, RunError, UsageError
from sparring.evaluation import protocol
from sparring.evaluation.features import Extractor, choose_extractor
from sparring.evaluation.metrics.discriminator import Discrimination, discrimination, logits_of
from sparring.evaluation.protocol import FEW_UNSEEN, SAMPLES, SEED, RealImages, Samples
from sparring.evaluation.verdict import Verdict
from sparring.files import checksummed, marks
from sparring.images import Images, some_places
from sparring.recipes import arguments
from sparring.recipes.checks import parse_range
from sparring.recipes.recipe import HELD_OUT, Channels, Recipe
from sparring.reports import report
from sparring.runs import generator as sampling
from sparring.runs.checkpoint import newest_step, read_manifest
from sparring.runs.run import Run, read_json
from sparring.runs.run_images import load_again
from sparring.runs.trained import load_trained
from sparring.system import extras
from sparring.system.numerics import fixed
from sparring.terminal.output import shell_joined
from sparring.terminal.progress import ReportProgress, silent

DISCRIMINATED = 5_000
"""Images of each kind that the discriminator is asked about."""


@fixed()
def measure(
    subject: str | Path | Run | NDArray[Any],
    *,
    data: str | None = None,
    count: int = SAMPLES,
    seed: int = SEED,
    best: bool = False,
    extractor: str | Path | None = None,
    force: bool = False,
    range: str | None = None,
    follow_links: bool = False,
    tell: ReportProgress = silent,
    not_kept: Callable[[str], None] | None = None,
) -> Verdict:
    """Judge a run, or samples made elsewhere (an `.npz`, a folder of pictures, or an array), and write a report.

    A run is judged by `count` samples of that seed, of its last state or of its `best` one; samples against the `data`
    that they should be like ("mnist" if none is said). The extractor is the shipped judge of the data, or one that is
    trained on their labels, or, given the path of an ONNX file, that network. `range`, such as "0,1", says which
    numbers of the samples are black and white; `follow_links` lets their folder hold links to elsewhere. The verdict
    and the page go into the run (`measures.json`, `report.html`), or beside the samples, where files that Sparring did
    not make are replaced only with `force`; of an array nothing is written. Where they cannot be written (a run may be
    read-only), `not_kept` is told why, without it a `DamageWarning`, and the verdict is returned all the same.

    An array is (N, H, W) or (N, H, W, C), N at least 20. `count` lies between 20 and 10,000. `tell` is called with what
    is being done, and how much of it.

    Raises `UsageError`, `RunError`, `DataError`, `OverwriteError` or `MissingExtra` with one sentence.
    """
    not_kept = not_kept or _warn
    count = arguments.whole("count", count, protocol.LEAST_SAMPLES, SAMPLES)
    seed, best, force = arguments.seed(seed), arguments.flag("best", best), arguments.flag("force", force)
    data = None if data is None else str(arguments.path("data", data))
    onnx = None if extractor is None else arguments.path("extractor", extractor)
    if onnx is not None:
        extras.load("onnxruntime", "onnx", "--extractor")
    if range is not None and not isinstance(range, str):
        raise UsageError(f'range should be a text such as "0,1", not {arguments.shown(range)}')
    numbers = None if range is None else parse_range(range)
    if getattr(subject, "shape", ()) != ():
        return _measure_array(np.asarray(subject), data or "mnist", onnx, tell, numbers, follow_links)
    path = arguments.path("subject", subject)
    if Run(path).exists():
        if range is not None:
            raise UsageError(f"{path} is a run, and its recipe says how its images are read: --range is for samples")
        return _measure_run(Run(path), data, count, seed, best, onnx, tell, not_kept)
    return _measure_samples(path, data or "mnist", onnx, force, tell, not_kept, numbers, follow_links)


def saved_verdict(run: Run) -> Verdict | None:
    """What was last measured of the run; None if that is nothing, or the last state of a run that has gone on since."""
    if not os.path.lexists(run.measures):
        return None
    try:
        saved = Verdict.from_json(read_json(run.measures, run.path))
        if saved.subject["kind"] != "run" or saved.subject.get("run") != run.id:
            raise RunError("they are of something else than this run")
    except RunError as error:
        words = str(error) if str(run.measures) in str(error) else f"{run.measures} is damaged: {error}"
        warnings.warn(f"{words}; {run.path} counts as not measured", DamageWarning, stacklevel=2)
        return None
    if not saved.subject["best"] and saved.subject["step"] < newest_step(run.checkpoints, run.identity):
        return None
    return replace(saved, subject=saved.subject | {"path": str(run.path)})


def _measure_run(
    run: Run,
    data: str | None,
    count: int,
    seed: int,
    best: bool,
    onnx: Path | None,
    tell: ReportProgress,
    not_kept: Callable[[str], None],
) -> Verdict:
    tell("real images")
    recipe, trained_on = run.recipe(), run.environment()["data"]
    if data is None:
        real = _own_images(run, recipe)
    else:
        shaping = shaping_of(recipe)
        if data != recipe.data:
            shaping = replace(shaping, range=None)  # which says how the run's own images are read
        real = protocol.real_images(data, recipe.held_out, shaping)
    if data is None and real.checksum != trained_on["checksum"]:
        raise DataError(
            f"{run.path} was trained on other images than {recipe.data} is now (checksum "
            f"{trained_on['checksum'][:12]}, now {real.checksum[:12]}); say with --data what to judge it against"
        )
    elsewhere = real.checksum != trained_on["checksum"]
    if elsewhere:
        real = _with_own(real, run, recipe, trained_on["checksum"])
    tell("samples")
    generator = sampling.load(run.path, best)
    drawn = protocol.samples_to_draw(real, count)
    samples, labels = generator.sample(drawn, seed), generator.usual_labels(drawn)
    step = int(generator.description["trained"]["step"])
    subject = {
        "kind": "run",
        "path": str(run.path),
        "run": run.id,
        "recipe": recipe.name,
        "seed": recipe.seed,
        "step": step,
        "best": best,
        "seconds": _training_seconds(run, step),
        "command": _command(run.path, data, onnx, count=count, seed=seed, best=best),
    }
    protocol.check_samples(samples, real)
    foreign = generator.classes and list(generator.classes) != list(real.training.class_names)
    known = real.own is not None or not (elsewhere or foreign)
    told = _ask_discriminator(run, best, step, real, samples, labels) if known else None
    extractor, asked = _extractor(real, onnx, tell), None if foreign else labels
    verdict = protocol.judge(Samples(samples, subject, seed, asked), real, extractor, told, tell)
    tell("report")
    with _keeping(not_kept):
        checksummed.write(run.measures, verdict.to_json())
        report.write_report(run.report, verdict, samples, real, run)
    return verdict


@contextlib.contextmanager
def _keeping(not_kept: Callable[[str], None]) -> Iterator[None]:
    """Say where the numbers cannot be written, instead of losing them."""
    try:
        yield
    except DiskError as error:
        not_kept(f"the numbers could not be kept: {error}")


def _warn(text: str) -> None:
    warnings.warn(text, DamageWarning, stacklevel=2)


def _own_images(run: Run, recipe: Recipe) -> RealImages:
    """What the run was trained on."""
    load = partial(protocol.real_images, held_out=recipe.held_out, shaping=shaping_of(recipe))
    real = load_again(run, recipe.data, load, lambda real: real.checksum)
    return real if real.name in NAMES else replace(real, name=str(run.environment()["data"].get("name", real.name)))


def _with_own(real: RealImages, run: Run, recipe: Recipe, checksum: str) -> RealImages:
    """These images, to be judged against, with those that the run was trained on, for the question of copies."""
    with contextlib.suppress(DataError):
        own = _own_images(run, recipe)
        if own.checksum == checksum and own.training.images.shape[1:] == real.training.images.shape[1:]:
            told = f"copies, and what D knows, are of the {len(own.training.images):,} images that it was trained on"
            if len(own.unseen.images) < FEW_UNSEEN:
                told += f", beside only {len(own.unseen.images)} that it was not"
            return replace(real, own=own, own_notice=told)
    told = f"what it was trained on ({recipe.data}) cannot be had, so copies are looked for among images of {real.name}"
    return replace(real, own_notice=told)


def _beside(path: Path, ending: str) -> Path:
    """A file beside the samples: for "." and ".." beside the folder that this is."""
    named = path if path.name not in ("", "..") else path.resolve()
    if not named.name:
        raise DataError(f"{path} is the root of a disk; give the folder of the run or of the pictures")
    return named.with_name(f"{named.name}.{ending}")


def _measure_samples(
    path: Path,
    data: str,
    onnx: Path | None,
    force: bool,
    tell: ReportProgress,
    not_kept: Callable[[str], None],
    numbers: ValueRange | None,
    follow_links: bool,
) -> Verdict:
    measures, page = (_beside(path, ending) for ending in ("measures.json", "report.html"))
    claims = [marks.claim(each, force) for each in (measures, page)]
    tell("samples")
    samples, note = read_samples(path, numbers, follow_links)
    subject = {
        "kind": "samples",
        "path": str(path),
        "command": _command(path, data, onnx, range=numbers, follow_links=follow_links),
    }
    verdict, real = _judge_samples(samples, note, data, onnx, tell, follow_links, subject)
    tell("report")
    with _keeping(not_kept):
        checksummed.write(measures, verdict.to_json(), claims[0])
        report.write_report(page, verdict, samples, real, None, claims[1])
    return verdict


def _measure_array(
    array: NDArray[Any],
    data: str,
    onnx: Path | None,
    tell: ReportProgress,
    numbers: ValueRange | None,
    follow_links: bool,
) -> Verdict:
    samples, note = as_images("the array", array, numbers)
    subject = {"kind": "samples", "path": "array", "command": "sparring.measure(array)"}
    return _judge_samples(samples, note, data, onnx, tell, follow_links, subject)[0]


def _judge_samples(
    samples: Images,
    note: str | None,
    data: str,
    onnx: Path | None,
    tell: ReportProgress,
    follow_links: bool,
    subject: Any,
) -> tuple[Verdict, RealImages]:
    tell("real images")
    shaping = _shaping_like(samples) if has_pictures(data) else AS_THEY_ARE
    real = protocol.real_images(data, HELD_OUT, replace(shaping, follow_links=follow_links))
    protocol.check_samples(samples, real)
    verdict = protocol.judge(Samples(samples, subject), real, _extractor(real, onnx, tell), None, tell)
    return replace(verdict, notices=(note, *verdict.notices)) if note else verdict, real


def _shaping_like(samples: Images) -> Shaping:
    """How pictures, which have no size of their own, become as large as these samples."""
    _, height, width, depth = samples.shape
    channels: dict[int, Channels] = {1: "gray", 3: "color", 4: "alpha"}
    return Shaping(height if height == width else None, channels=channels[depth])


def report_of(verdict: Verdict) -> Path:
    """Where the page of a verdict lies."""
    path = Path(verdict.subject["path"])
    return Run(path).report if verdict.subject["kind"] == "run" else _beside(path, "report.html")


def _extractor(real: RealImages, onnx: Path | None, tell: ReportProgress) -> Extractor:
    return choose_extractor(real.training, onnx, tell)


def _ask_discriminator(
    run: Run, best: bool, step: int, real: RealImages, samples: Images, labels: Labels | None
) -> Discrimination | None:
    """What the discriminator says of training images, unseen ones and the samples; None if its state is not there.

    `labels` are those of the samples, where it is told them.
    """
    folder = run.best if best else run.checkpoints
    if newest_step(folder, run.identity) != step:
        if (place := folder / f"{step:08d}").exists():
            try:
                read_manifest(place, run.identity)
            except CheckpointError as error:
                warnings.warn(f"{place}: {error}; what D says is left out", DamageWarning, stacklevel=2)
        return None
    trained = load_trained(run, best)
    logits = partial(
        logits_of(trained.game.discriminator), trained.state.discriminator, trained.state.discriminator_statistics
    )

    def some(images: ManyImages, shown: Labels | None) -> Any:
        places = some_places(len(images), DISCRIMINATED)
        return logits(images[places], None if labels is None or shown is None else shown[places])

    training, unseen = (some(part.images, part.labels) for part in (real.trained_on.training, real.trained_on.unseen))
    return discrimination(training, unseen, some(samples, labels))


def _training_seconds(run: Run, step: int) -> float | None:
    """How long the run had been trained at that step."""
    reached = [event["seconds"] for event in run.events() if event["step"] <= step and "seconds" in event]
    return max(reached, default=None)


def _command(path: Path, data: str | None, onnx: Path | None, **options: Any) -> str:
    """What to type for the same numbers again; options that are as usual are left out."""
    words = ["sparring", "measure", str(path)]
    words += ["--data", data] if data else []
    words += ["--extractor", str(onnx)] if onnx else []
    words += ["--count", str(options["count"])] if options.get("count", SAMPLES) != SAMPLES else []
    words += ["--seed", str(options["seed"])] if options.get("seed", SEED) != SEED else []
    words += ["--best"] if options.get("best") else []
    words += ["--range", range_words(options["range"])] if options.get("range") else []
    words += ["--follow-links"] if options.get("follow_links") else []
    return shell_joined(words)
