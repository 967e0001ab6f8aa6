"""THE PROTOCOL of an evaluation: how many samples are compared with which real images, and what the floor is.

- Samples: 10,000 of seed 0. There are never more samples than training images, so that the floor can have as many. The
  modes of stacked MNIST are counted in 26,000 samples (`modes.py`); all other measures use the first 10,000 of them.
- Real images: the test images, which were used neither for training nor to choose between runs. Without test images,
  the validation images take their place, and a notice says so. At most 10,000 of them are used, chosen at random.
- Floor: the same measure of the same number of training images, chosen at random with a fixed seed.
- While a run trains, decisions use the validation images only (`validation_judge.py`).
- Published numbers are means of three training seeds, with their standard deviation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sparring import data
from sparring.data import AS_THEY_ARE, ImageSet, Shaping
from sparring.data.classes import Labels
from sparring.data.named.stacked import STACKED
from sparring.data.validation import split_images
from sparring.errors import DataError
from sparring.evaluation.alarms import DOMINATION, copies_words, grid_words, overfitting_words
from sparring.evaluation.features import Extractor, Features
from sparring.evaluation.metrics import modes
from sparring.evaluation.metrics.asked import Asked, asked_for
from sparring.evaluation.metrics.balance import Balance, balance, class_frequencies
from sparring.evaluation.metrics.discriminator import Discrimination
from sparring.evaluation.metrics.frechet import frechet_distance, frechet_error, moments
from sparring.evaluation.metrics.kernel import kernel_distance
from sparring.evaluation.metrics.memorisation import Memorisation, lookup, memorisation
from sparring.evaluation.metrics.modes import Modes
from sparring.evaluation.metrics.neighbours import K, neighbourhood, overlap
from sparring.evaluation.metrics.spectrum import Spectrum, powers, spectrum
from sparring.evaluation.verdict import Measure, Verdict
from sparring.images import Images, some_places
from sparring.terminal.progress import ReportProgress, counting

SAMPLES = 10_000
SEED = 0
TRAINING_SEEDS = (0, 1, 2)
"""Seeds of the training runs that a published number is the mean of."""
LEAST_SAMPLES = 20
FEW_SAMPLES = 2_000
"""With fewer samples, the Frechet distance is mostly bias."""

FEW_UNSEEN = 500
"""With fewer unseen images, the random choice of these images matters more than the errors that are given."""


@dataclass(frozen=True, eq=False)
class RealImages:
    """The real images that samples are compared with."""

    name: str
    checksum: str
    """Checksum of the whole data set, as in a run's `environment.json`."""
    training: ImageSet
    unseen: ImageSet
    """Images that were not trained on. The samples are compared with these."""
    split: str
    """Which images `unseen` are: "test" or "validation"."""
    notice: str | None
    """Why `unseen` are not test images."""
    own: RealImages | None = None
    """The images that the run was trained on, if these are others."""
    own_notice: str | None = None
    """A remark about `own` for the user."""

    @property
    def about(self) -> dict[str, Any]:
        """`data` of a verdict."""
        return {
            "name": self.name,
            "checksum": self.checksum,
            "training": len(self.training.images),
            "unseen": len(self.unseen.images),
            "split": self.split,
        }

    @property
    def trained_on(self) -> RealImages:
        """The images that may have been memorised."""
        return self.own or self


@dataclass(frozen=True, eq=False)
class Samples:
    """Generated images to be judged."""

    images: Images
    """(N, H, W, C), uint8, N at least 20."""
    subject: dict[str, Any]
    """`subject` of the verdict."""
    seed: int | None = None
    """The seed they were drawn with; None where another program made them."""
    labels: Labels | None = None
    """The classes (N,) that a conditional generator was asked for."""


def real_images(source: str, validation_share: float, shaping: Shaping = AS_THEY_ARE) -> RealImages:
    """Load the data set `source`, of which a share are validation images.

    Raises `DataError` if the data cannot be loaded, or if all of them are training images.
    """
    whole = data.load(source, shaping=shaping)
    images, notice = split_images(whole, validation_share), None
    training, validation = images.training, images.validation
    try:
        unseen, split = data.load(source, "test", shaping), "test"
    except DataError as error:
        if validation is None:
            raise DataError(f"there are no unseen images to judge by: no validation images, and {error}") from error
        unseen, split = validation, "validation"
        notice = f"judged against {len(unseen.images):,} validation images, because there are no test images ({error})"
    if unseen.images.shape[1:] != training.images.shape[1:]:
        raise DataError(f"the test images of {source} have another shape than its training images")
    if len(unseen.images) <= K:
        raise DataError(f"{len(unseen.images)} unseen images are too few to judge by; at least {K + 1} are needed")
    if len(unseen.images) > SAMPLES:
        unseen = unseen.only(some_places(len(unseen.images), SAMPLES))
    return RealImages(whole.name, whole.checksum(), training, unseen, split, notice)


def samples_to_draw(real: RealImages, count: int) -> int:
    """The number of samples to draw for a judgement of `count`: more for stacked MNIST, to count its modes."""
    wanted = modes.SAMPLES if real.name == STACKED and count == SAMPLES else count
    return min(wanted, len(real.training.images))


def judge(
    samples: Samples,
    real: RealImages,
    extractor: Extractor,
    discrimination: Discrimination | None,
    report_progress: ReportProgress,
) -> Verdict:
    """Measure samples. `discrimination` is what the discriminator of the same run makes of them, if there is one."""
    check_samples(samples.images, real)
    used = min(len(samples.images), modes.SAMPLES if extractor.modes else SAMPLES, len(real.training.images))
    count = min(used, SAMPLES)
    like_samples = real.training.only(some_places(len(real.training.images), used))
    report_progress("features")
    compared = real.unseen.images, like_samples.images, samples.images[:used]
    unseen, floor, fake = (
        extractor(images, counting(report_progress, f"features of {what} images"))
        for images, what in zip(compared, ("unseen", "training", "generated"), strict=True)
    )
    counted, counted_real = (_count_modes(features, extractor) for features in (fake, floor))
    labels = None if samples.labels is None else samples.labels[:used]
    asked = asked_for(
        real.training.class_names, (fake, labels), (floor, like_samples.labels), (unseen, real.unseen.labels)
    )
    report_progress("distances")
    reference = _Reference(unseen, class_frequencies(real.training), extractor.modes)
    ours = reference.measure(fake[:count], report_progress)
    theirs = reference.measure(floor[some_places(used, count)], report_progress)
    report_progress("spectrum")
    powers_unseen, powers_floor, powers_fake = map(powers, compared)
    shape, shape_floor = spectrum(powers_fake, powers_unseen), spectrum(powers_floor, powers_unseen)
    report_progress("memorisation")
    find, others = lookup(real.trained_on.training.images), real.trained_on.unseen.images
    copied = memorisation(find(samples.images[:count]), find(others[some_places(len(others), count)]))
    return Verdict(
        subject=samples.subject,
        seed=samples.seed,
        data=real.about,
        extractor={"name": extractor.name, "sha256": extractor.sha256, "caveat": extractor.caveat},
        samples=count,
        measures=_distances(ours, theirs)
        | _spectrum_measures(shape, shape_floor)
        | _mode_measures(counted, counted_real)
        | _other_measures(asked, copied, discrimination),
        balance=ours.balance,
        memorisation=copied,
        discriminator=discrimination,
        alarms=(
            *(modes.missing(counted, counted_real) if counted and counted_real else []),
            *_alarms(ours, shape, copied, discrimination, real.training.class_names),
        ),
        notices=tuple(_notices(count, counted, real)),
        modes=counted,
        asked=asked,
        spectrum=shape,
    )


def check_samples(samples: Images, real: RealImages) -> None:
    """Raise `DataError` if these samples cannot be judged."""
    if len(samples) < LEAST_SAMPLES:
        raise DataError(
            f"{len(samples)} samples are too few to judge; at least {LEAST_SAMPLES} are needed, 10,000 are usual"
        )
    if samples.shape[1:] != real.training.images.shape[1:]:
        ours, theirs = (" x ".join(map(str, images.shape[1:])) for images in (samples, real.training.images))
        raise DataError(
            f"the samples are {ours}, but the images of {real.name} are {theirs} (height x width x channels)"
        )
    if (samples == samples[0]).all():
        raise DataError(
            f"all {len(samples):,} samples are the same image: total mode collapse, so there is nothing to measure"
        )


# ------------------------------------------------------------------------------------------------ one set of images


@dataclass(frozen=True)
class _Measured:
    """The numbers of one set of images."""

    values: dict[str, tuple[float, float | None]]
    """Name -> (value, standard error)."""
    balance: Balance | None


class _Reference:
    """The unseen images' side of every measure, computed once."""

    def __init__(self, unseen: Features, frequencies: Any, modes: bool) -> None:
        self._features = unseen
        self._frequencies = frequencies
        self._modes = modes
        self._moments = moments(unseen.values)
        self._neighbourhood = neighbourhood(unseen.values)

    def measure(self, features: Features, report_progress: ReportProgress) -> _Measured:
        """Compute all measures of a set of images from their features."""
        values: dict[str, tuple[float, float | None]] = {}
        distance = frechet_distance(moments(features.values), self._moments)
        values["frechet"] = (distance, frechet_error(features.values, self._moments))
        report_progress("kernel distance")
        kernel = kernel_distance(features.values, self._features.values)
        values["kernel"] = (kernel.value, kernel.error)
        report_progress("neighbours")
        found = overlap(self._neighbourhood, neighbourhood(features.values))
        values |= {name: (getattr(found, name), error) for name, error in found.errors.items()}
        if features.probabilities is None or self._frequencies is None:
            return _Measured(values, None)
        spread = balance(features.probabilities, self._frequencies)
        values |= {name: (getattr(spread, name), error) for name, error in spread.errors.items()}
        if self._modes:
            return _Measured(values, None)
        values["variation"] = (spread.variation, None)
        return _Measured(values, spread)


def _distances(ours: _Measured, floor: _Measured) -> dict[str, Measure]:
    """The measures that compare features, each beside its floor."""
    measures = {name: Measure(value, error, floor.values[name][0]) for name, (value, error) in ours.values.items()}
    distance, floor_distance = measures["frechet"], floor.values["frechet"][0]
    ratio = Measure(distance.value / floor_distance, (distance.error or 0.0) / floor_distance, 1.0)
    return {"frechet_ratio": ratio} | measures


def _spectrum_measures(ours: Spectrum, floor: Spectrum) -> dict[str, Measure]:
    return {
        "fine": Measure(ours.fine, ours.errors["fine"], floor.fine),
        "grid": Measure(ours.grid, ours.errors["grid"], floor.grids[str(ours.period)]),
    }


def _mode_measures(counted: Modes | None, real: Modes | None) -> dict[str, Measure]:
    if counted is None or real is None:
        return {}
    return {
        "modes": Measure(counted.captured, None, real.captured),
        "mode_divergence": Measure(counted.divergence, counted.error, real.divergence),
    }


def _other_measures(
    asked: Asked | None, copied: Memorisation, discrimination: Discrimination | None
) -> dict[str, Measure]:
    measures = {}
    if asked is not None:
        measures["recognised"] = Measure(asked.recognised, asked.error, asked.recognised_real)
    measures["copies"] = Measure(copied.copies, copied.error, copied.copies_unseen)
    if discrimination is not None:
        measures["memorising"] = Measure(discrimination.memorising, discrimination.error, 0.5)
    return measures


def _count_modes(features: Features, extractor: Extractor) -> Modes | None:
    return modes.modes(features.probabilities) if extractor.modes and features.probabilities is not None else None


def _alarms(
    ours: _Measured,
    shape: Spectrum,
    copied: Memorisation,
    discrimination: Discrimination | None,
    names: tuple[str, ...],
) -> list[str]:
    found = [] if ours.balance is None else _class_alarms(ours.balance, names)
    if shape.alarm:
        found.append(grid_words(shape.period, shape.grid))
    if copied.alarm:
        found.append(f"memorisation: {copies_words(copied.copies)}")
    if discrimination is not None and discrimination.alarm:
        found.append(overfitting_words(discrimination.memorising))
    if discrimination is not None and min(discrimination.right_unseen, discrimination.right_fake) >= DOMINATION:
        found.append(
            f"the discriminator classifies more than {DOMINATION:.0%} of real images and of samples correctly, so the "
            "generator learns little from it"
        )
    return found


def _class_alarms(spread: Balance, names: tuple[str, ...]) -> list[str]:
    total = sum(spread.histogram)
    shares = [count / total for count in spread.histogram]
    if max(shares) >= 0.5 and len(names) > 2:
        top = shares.index(max(shares))
        return [f"mode collapse: {shares[top]:.0%} of the samples are {names[top]!r}"]
    scarce = [name for name, share, due in zip(names, shares, spread.frequencies, strict=True) if share < due / 4]
    if not scarce:
        return []
    listed = ", ".join(map(repr, scarce))
    return [f"missing classes: {listed} are less than a quarter as frequent among the samples as in the data"]


def _notices(count: int, counted: Modes | None, real: RealImages) -> list[str]:
    found = [notice for notice in (real.notice, real.own_notice) if notice]
    if counted is not None and (drawn := sum(counted.histogram)) != modes.SAMPLES:
        found.append(
            f"the modes are counted in {drawn:,} samples: compare them only with those of real images here, because "
            f"published numbers use {modes.SAMPLES:,} samples"
        )
    if len(real.unseen.images) < FEW_UNSEEN:
        found.append(
            f"{len(real.unseen.images)} unseen images are few, so all numbers are rough; a larger --validation helps"
        )
    if count < FEW_SAMPLES:
        found.append(
            f"{count:,} samples are few, and the Frechet distance is mostly bias then: prefer the kernel distance and "
            "the ratio to the floor"
        )
    return found
