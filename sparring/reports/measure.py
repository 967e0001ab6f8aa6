"""`sparring measure`: evaluate a run, or samples made elsewhere, and write the report.

run -> generator, discriminator -> samples, logits \\
samples made elsewhere -> samples                   -> protocol -> verdict -> measures.json, report.html
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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
from sparring.recipes.recipe import Recipe
from sparring.recipes.settings import VALIDATION_SHARE, Channels
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

DEFAULT_DATA = "mnist"
"""Samples are compared with these images by default."""
MAX_DISCRIMINATED = 5_000
"""Images of each kind on which the discriminator is evaluated."""


@dataclass(frozen=True)
class _Options:
    """The options of `measure`, checked."""

    data: str | None
    count: int
    seed: int
    best: bool
    onnx: Path | None
    """The file of another feature extractor."""
    range: ValueRange | None
    follow_links: bool
    force: bool
    tell: ReportProgress
    not_kept: Callable[[str], None]


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
    """Evaluate a run, or samples made elsewhere (an `.npz`, a folder of pictures, or an array), and write a report.

    Of a run, `count` samples with that seed are evaluated, from its last checkpoint or its `best` one. Samples are
    compared with `data` ("mnist" by default). The feature extractor is the shipped classifier of the data, or one
    trained on their labels, or the network in the ONNX file `extractor`.

    `range`, such as "0,1", gives the values of black and white in the samples. `follow_links` follows links in their
    folder. The verdict and the report go into the run (`measures.json`, `report.html`), or beside the samples. Files
    there that Sparring did not write are replaced only with `force`. For an array nothing is written. If the files
    cannot be written (a run may be read-only), `not_kept` gets the reason, by default as a `DamageWarning`.

    An array is (N, H, W) or (N, H, W, C) with N at least 20. `count` is between 20 and 10,000. `tell` reports progress.

    Raises `UsageError`, `RunError`, `DataError`, `OverwriteError` or `MissingExtra`.
    """
    count = arguments.whole("count", count, protocol.LEAST_SAMPLES, SAMPLES)
    seed, best, force = arguments.seed(seed), arguments.flag("best", best), arguments.flag("force", force)
    data = None if data is None else str(arguments.path("data", data))
    onnx = None if extractor is None else arguments.path("extractor", extractor)
    if onnx is not None:
        extras.load("onnxruntime", "onnx", "--extractor")
    if range is not None and not isinstance(range, str):
        raise UsageError(f'range should be a text such as "0,1", not {arguments.shown(range)}')
    values = None if range is None else parse_range(range)
    options = _Options(data, count, seed, best, onnx, values, follow_links, force, tell, not_kept or _warn)
    if getattr(subject, "shape", ()) != ():
        return _measure_array(np.asarray(subject), options)
    path = arguments.path("subject", subject)
    if not Run(path).exists():
        return _measure_samples(path, options)
    if range is not None:
        raise UsageError(f"{path} is a run, and its recipe sets the range of its images; --range is for samples")
    return _measure_run(Run(path), options)


def saved_verdict(run: Run) -> Verdict | None:
    """Return the saved verdict of a run. None without one, or if the run was trained further since."""
    if not os.path.lexists(run.measures):
        return None
    try:
        saved = Verdict.from_json(read_json(run.measures, run.path))
        if saved.subject["kind"] != "run" or saved.subject.get("run") != run.id:
            raise RunError("it belongs to another run")
    except RunError as error:
        words = str(error) if str(run.measures) in str(error) else f"{run.measures} is damaged: {error}"
        warnings.warn(f"{words}; {run.path} counts as not measured", DamageWarning, stacklevel=2)
        return None
    if not saved.subject["best"] and saved.subject["step"] < newest_step(run.checkpoints, run.identity):
        return None
    return replace(saved, subject=saved.subject | {"path": str(run.path)})


def _measure_run(run: Run, options: _Options) -> Verdict:
    options.tell("real images")
    recipe, checksum = run.recipe(), run.environment()["data"]["checksum"]
    real = _real_images(run, recipe, options.data)
    trained_elsewhere = real.checksum != checksum
    if trained_elsewhere:
        if options.data is None:
            raise DataError(
                f"{run.path} was trained on other images than {recipe.data} now contains (checksum "
                f"{checksum[:12]}, now {real.checksum[:12]}); choose the images to compare with by --data"
            )
        real = _with_own(real, run, recipe, checksum)
    options.tell("samples")
    generator = sampling.load(run.path, options.best)
    drawn = protocol.samples_to_draw(real, options.count)
    samples, labels = generator.sample(drawn, options.seed), generator.usual_labels(drawn)
    protocol.check_samples(samples, real)
    step = int(generator.description["trained"]["step"])
    foreign_classes = generator.classes and list(generator.classes) != list(real.training.class_names)
    comparable = real.own is not None or not (trained_elsewhere or foreign_classes)
    discriminated = _discriminate(run, options.best, step, real, samples, labels) if comparable else None
    subject = _subject(run, recipe, step, options)
    judged = Samples(samples, subject, options.seed, None if foreign_classes else labels)
    verdict = protocol.judge(judged, real, _extractor(real, options.onnx, options.tell), discriminated, options.tell)
    options.tell("report")
    with _reporting_disk_errors(options):
        checksummed.write(run.measures, verdict.to_json())
        report.write_report(run.report, verdict, samples, real, run)
    return verdict


def _subject(run: Run, recipe: Recipe, step: int, options: _Options) -> dict[str, Any]:
    """Return what was measured, for the verdict of a run."""
    return {
        "kind": "run",
        "path": str(run.path),
        "run": run.id,
        "recipe": recipe.name,
        "seed": recipe.seed,
        "step": step,
        "best": options.best,
        "seconds": _training_seconds(run, step),
        "command": _command(run.path, options),
    }


def _real_images(run: Run, recipe: Recipe, data: str | None) -> RealImages:
    """Load the images to compare with: `data`, or those that the run was trained on."""
    if data is None:
        return _own_images(run, recipe)
    shaping = shaping_of(recipe)
    if data != recipe.data:
        shaping = replace(shaping, range=None)  # the recipe's range is that of its own images
    return protocol.real_images(data, recipe.validation, shaping)


@contextlib.contextmanager
def _reporting_disk_errors(options: _Options) -> Iterator[None]:
    """Report a disk error instead of raising it, because the verdict is still returned."""
    try:
        yield
    except DiskError as error:
        options.not_kept(f"the verdict could not be written: {error}")


def _warn(text: str) -> None:
    warnings.warn(text, DamageWarning, stacklevel=2)


def _own_images(run: Run, recipe: Recipe) -> RealImages:
    """Load the images that the run was trained on."""
    load = partial(protocol.real_images, validation_share=recipe.validation, shaping=shaping_of(recipe))
    real = load_again(run, recipe.data, load, lambda real: real.checksum)
    return real if real.name in NAMES else replace(real, name=str(run.environment()["data"].get("name", real.name)))


def _with_own(real: RealImages, run: Run, recipe: Recipe, checksum: str) -> RealImages:
    """Add the images that the run was trained on, to look for copies and overfitting among them."""
    with contextlib.suppress(DataError):
        own = _own_images(run, recipe)
        if own.checksum == checksum and own.training.images.shape[1:] == real.training.images.shape[1:]:
            notice = f"copies and overfitting of D refer to the {len(own.training.images):,} images of the training"
            if len(own.unseen.images) < FEW_UNSEEN:
                notice += f", compared with only {len(own.unseen.images)} unseen ones"
            return replace(real, own=own, own_notice=notice)
    notice = f"its training images ({recipe.data}) are not available, so copies are searched among {real.name}"
    return replace(real, own_notice=notice)


def _beside(path: Path, ending: str) -> Path:
    """Return the path of a file beside the samples. "." and ".." are resolved first."""
    named = path if path.name not in ("", "..") else path.resolve()
    if not named.name:
        raise DataError(f"{path} is the root of a disk; give the folder of the run or of the pictures")
    return named.with_name(f"{named.name}.{ending}")


def _measure_samples(path: Path, options: _Options) -> Verdict:
    measures, page = (_beside(path, ending) for ending in ("measures.json", "report.html"))
    claims = [marks.claim(each, options.force) for each in (measures, page)]
    options.tell("samples")
    samples, note = read_samples(path, options.range, options.follow_links)
    options = replace(options, data=options.data or DEFAULT_DATA)
    verdict, real = _judge_samples(samples, note, str(path), _command(path, options), options)
    options.tell("report")
    with _reporting_disk_errors(options):
        checksummed.write(measures, verdict.to_json(), claims[0])
        report.write_report(page, verdict, samples, real, None, claims[1])
    return verdict


def _measure_array(array: NDArray[Any], options: _Options) -> Verdict:
    samples, note = as_images("the array", array, options.range)
    return _judge_samples(samples, note, "array", "sparring.measure(array)", options)[0]


def _judge_samples(
    samples: Images, note: str | None, path: str, command: str, options: _Options
) -> tuple[Verdict, RealImages]:
    options.tell("real images")
    data = options.data or DEFAULT_DATA
    shaping = _shaping_like(samples) if has_pictures(data) else AS_THEY_ARE
    real = protocol.real_images(data, VALIDATION_SHARE, replace(shaping, follow_links=options.follow_links))
    protocol.check_samples(samples, real)
    judged = Samples(samples, {"kind": "samples", "path": path, "command": command})
    verdict = protocol.judge(judged, real, _extractor(real, options.onnx, options.tell), None, options.tell)
    return replace(verdict, notices=(note, *verdict.notices)) if note else verdict, real


def _shaping_like(samples: Images) -> Shaping:
    """Return the shaping that gives pictures the size and channels of these samples."""
    _, height, width, depth = samples.shape
    channels: dict[int, Channels] = {1: "gray", 3: "color", 4: "alpha"}
    return Shaping(height if height == width else None, channels=channels[depth])


def report_of(verdict: Verdict) -> Path:
    """Return the path of a verdict's report."""
    path = Path(verdict.subject["path"])
    return Run(path).report if verdict.subject["kind"] == "run" else _beside(path, "report.html")


def _extractor(real: RealImages, onnx: Path | None, tell: ReportProgress) -> Extractor:
    return choose_extractor(real.training, onnx, tell)


def _discriminate(
    run: Run, best: bool, step: int, real: RealImages, samples: Images, labels: Labels | None
) -> Discrimination | None:
    """Evaluate the discriminator on training images, unseen images and samples. None without its checkpoint.

    `labels` are those of the samples, for a conditional discriminator.
    """
    folder = run.best if best else run.checkpoints
    if newest_step(folder, run.identity) != step:
        if (place := folder / f"{step:08d}").exists():
            try:
                read_manifest(place, run.identity)
            except CheckpointError as error:
                warnings.warn(f"{place}: {error}; the discriminator is not evaluated", DamageWarning, stacklevel=2)
        return None
    trained = load_trained(run, best)
    discriminator = trained.state.discriminator
    logits = partial(logits_of(trained.gan.discriminator), discriminator.params, discriminator.batch_stats)

    def some(images: ManyImages, shown: Labels | None) -> Any:
        places = some_places(len(images), MAX_DISCRIMINATED)
        return logits(images[places], None if labels is None or shown is None else shown[places])

    training, unseen = (some(part.images, part.labels) for part in (real.trained_on.training, real.trained_on.unseen))
    return discrimination(training, unseen, some(samples, labels))


def _training_seconds(run: Run, step: int) -> float | None:
    """Return the training time up to that step."""
    reached = [event["seconds"] for event in run.events() if event["step"] <= step and "seconds" in event]
    return max(reached, default=None)


def _command(path: Path, options: _Options) -> str:
    """Return the shell command that repeats the measurement. Default options are left out."""
    words = ["sparring", "measure", str(path)]
    words += ["--data", options.data] if options.data else []
    words += ["--extractor", str(options.onnx)] if options.onnx else []
    if Run(path).exists():
        words += ["--count", str(options.count)] if options.count != SAMPLES else []
        words += ["--seed", str(options.seed)] if options.seed != SEED else []
        words += ["--best"] if options.best else []
    else:
        words += ["--range", range_words(options.range)] if options.range else []
        words += ["--follow-links"] if options.follow_links else []
    return shell_joined(words)
