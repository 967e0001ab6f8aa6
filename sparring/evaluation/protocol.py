"""THE PROTOCOL of a judgement: how many samples, against which real images, beside which floor.

- 10,000 samples of seed 0, or as many as there are; never more than training images, so that the floor has as many.
  The modes of stacked MNIST are counted in 26,000 (`modes.py`), of which the first 10,000 serve for all else.
- Against the test images, which nothing was trained on or chosen by; where there are none, against the held-out slice
  of the training images, and the verdict says so. Of more than 10,000 such images, as many chosen by chance.
- The floor of each measure is the same measure of as many training images, chosen by chance, but always the same.
- While training, decisions use the held-out slice only (`validation_judge.py`).
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
from sparring.evaluation.alarms import DOMINATION, copying, knowing
from sparring.evaluation.features import Extractor, Features
from sparring.evaluation.metrics import modes
from sparring.evaluation.metrics.asked import asked_for
from sparring.evaluation.metrics.balance import Balance, balance, class_frequencies
from sparring.evaluation.metrics.discriminator import Discrimination
from sparring.evaluation.metrics.frechet import Moments, frechet_distance, frechet_error, moments
from sparring.evaluation.metrics.kernel import KernelDistance, kernel_distance
from sparring.evaluation.metrics.memorisation import Memorisation, lookup, memorisation
from sparring.evaluation.metrics.modes import Modes
from sparring.evaluation.metrics.neighbours import K, Neighbourhood, Overlap, neighbourhood, overlap
from sparring.evaluation.verdict import Measure, Verdict
from sparring.images import Images, some_places
from sparring.terminal.progress import ReportProgress, counting

SAMPLES = 10_000
SEED = 0
TRAINING_SEEDS = (0, 1, 2)
"""Of the trainings that a published number is the mean of."""
LEAST_SAMPLES = 20
FEW_SAMPLES = 2_000
"""With fewer samples the Frechet distance is mostly bias."""

FEW_UNSEEN = 500
"""With fewer unseen images the chance in which ones they are outweighs the errors that are given."""


@dataclass(frozen=True, eq=False)
class RealImages:
    """The real side of a judgement."""

    name: str
    checksum: str
    """Of the whole data, as in a run's `environment.json`."""
    training: ImageSet
    unseen: ImageSet
    """What the samples are compared with; nothing was trained on it."""
    split: str
    """Which images those are: "test" or "held-out"."""
    notice: str | None
    """Why they are not test images."""
    own: RealImages | None = None
    """What the run was trained on, where that is something else."""
    own_notice: str | None = None
    """What there is to say of that."""

    @property
    def shown(self) -> RealImages:
        """What may have been learnt by heart, and what was not."""
        return self.own or self


def real_images(source: str, held_out: float, shaping: Shaping = AS_THEY_ARE) -> RealImages:
    """The data called `source`, shaped so, of which that share was held out of the training.

    Raises `DataError` where the data are not to be had, or leave nothing unseen.
    """
    whole = data.load(source, shaping=shaping)
    images, notice = split_images(whole, held_out), None
    training, validation = images.training, images.validation
    try:
        unseen, split = data.load(source, "test", shaping), "test"
    except DataError as error:
        if validation is None:
            raise DataError(f"there are no unseen images to judge by, for none were held out, and {error}") from error
        unseen, split = validation, "held-out"
        notice = f"judged against {len(validation.images):,} validation images, for there are no test images ({error})"
    if unseen.images.shape[1:] != training.images.shape[1:]:
        raise DataError(f"the test images of {source} have another shape than its training images")
    if len(unseen.images) <= K:
        raise DataError(f"{len(unseen.images)} unseen images are too few to judge by; {K + 1} are the least")
    if len(unseen.images) > SAMPLES:
        unseen = unseen.only(some_places(len(unseen.images), SAMPLES))
    return RealImages(whole.name, whole.checksum(), training, unseen, split, notice)


def samples_to_draw(real: RealImages, count: int) -> int:
    """How many samples to draw where `count` are wanted: as many as the protocol needs if that is its own number."""
    wanted = modes.SAMPLES if real.name == STACKED and count == SAMPLES else count
    return min(wanted, len(real.training.images))


def judge(
    samples: Images,
    real: RealImages,
    extractor: Extractor,
    told: Discrimination | None,
    tell: ReportProgress,
    *,
    subject: dict[str, Any],
    seed: int | None,
    labels: Labels | None = None,
) -> Verdict:
    """Measure samples (N, H, W, C), N at least 20. `told` is what the discriminator of the same run says, if any;
    `subject` and `seed` go into the verdict; `labels` (N,) are the classes that the samples were asked to be of."""
    check_samples(samples, real)
    used = min(len(samples), modes.SAMPLES if extractor.modes else SAMPLES, len(real.training.images))
    count = min(used, SAMPLES)
    like_samples = real.training.only(some_places(len(real.training.images), used))
    tell("features")
    compared = real.unseen.images, like_samples.images, samples[:used]
    unseen, floor, fake = (
        extractor(images, counting(tell, f"features of {what} images"))
        for images, what in zip(compared, ("unseen", "training", "generated"), strict=True)
    )
    counted, counted_real = (_count_modes(features, extractor) for features in (fake, floor))
    asked = None
    if labels is not None and like_samples.labels is not None and real.unseen.labels is not None:
        asked = asked_for(
            like_samples.class_names, fake, labels[:used], floor, like_samples.labels, unseen, real.unseen.labels
        )
    samples, fake, floor = samples[:count], fake[:count], floor[some_places(used, count)]
    tell("distances")
    reference = _Reference(unseen, class_frequencies(real.training), extractor.modes)
    ours, theirs = reference.measure(fake, tell), reference.measure(floor, tell)
    tell("memorisation")
    find, others = lookup(real.shown.training.images), real.shown.unseen.images
    copied = memorisation(find(samples), find(others[some_places(len(others), count)]))
    measures = {name: Measure(value, error, theirs.values[name][0]) for name, (value, error) in ours.values.items()}
    distance, floor_distance = measures["frechet"], theirs.values["frechet"][0]
    ratio = Measure(distance.value / floor_distance, (distance.error or 0.0) / floor_distance, 1.0)
    measures = {"frechet_ratio": ratio} | measures
    alarms = _alarms(ours, copied, told, real.training.class_names)
    if counted is not None and counted_real is not None:
        measures["modes"] = Measure(counted.captured, None, counted_real.captured)
        measures["mode_divergence"] = Measure(counted.divergence, counted.error, counted_real.divergence)
        alarms = [*modes.missing(counted, counted_real), *alarms]
    if asked is not None:
        measures["recognised"] = Measure(asked.recognised, asked.error, asked.recognised_real)
    measures["copies"] = Measure(copied.copies, copied.error, copied.copies_unseen)
    if told is not None:
        measures["memorising"] = Measure(told.memorising, told.error, 0.5)
    return Verdict(
        subject=subject,
        seed=seed,
        data={
            "name": real.name,
            "checksum": real.checksum,
            "training": len(real.training.images),
            "unseen": len(real.unseen.images),
            "split": real.split,
        },
        extractor={"name": extractor.name, "sha256": extractor.sha256, "caveat": extractor.caveat},
        samples=count,
        measures=measures,
        balance=ours.balance,
        memorisation=copied,
        discriminator=told,
        alarms=tuple(alarms),
        notices=tuple(_notices(count, counted, real)),
        modes=counted,
        asked=asked,
    )


def check_samples(samples: Images, real: RealImages) -> None:
    """Raise `DataError` where these samples cannot be judged."""
    if len(samples) < LEAST_SAMPLES:
        raise DataError(f"{len(samples)} samples are too few to judge; {LEAST_SAMPLES} are the least, 10,000 are usual")
    if samples.shape[1:] != real.training.images.shape[1:]:
        ours, theirs = (" x ".join(map(str, images.shape[1:])) for images in (samples, real.training.images))
        raise DataError(
            f"the samples are {ours}, but the images of {real.name} are {theirs} (height x width x channels)"
        )
    if (samples == samples[0]).all():
        raise DataError(
            f"all {len(samples):,} samples are the same image, so there is nothing to measure: total collapse"
        )


# ------------------------------------------------------------------------------------------------ one set of images


@dataclass(frozen=True)
class _Measured:
    """The numbers of one set: name -> (value, standard error)."""

    values: dict[str, tuple[float, float | None]]
    balance: Balance | None


class _Reference:
    """The unseen images' side of every measure, computed once."""

    def __init__(self, unseen: Features, frequencies: Any, modes: bool) -> None:
        self._features = unseen
        self._frequencies = frequencies
        self._modes = modes
        self._moments: Moments = moments(unseen.values)
        self._neighbourhood: Neighbourhood = neighbourhood(unseen.values)

    def measure(self, features: Features, tell: ReportProgress) -> _Measured:
        """All measures of a set of images by their features."""
        values: dict[str, tuple[float, float | None]] = {}
        distance = frechet_distance(moments(features.values), self._moments)
        values["frechet"] = (distance, frechet_error(features.values, self._moments))
        tell("kernel distance")
        kernel: KernelDistance = kernel_distance(features.values, self._features.values)
        values["kernel"] = (kernel.value, kernel.error)
        tell("neighbours")
        found: Overlap = overlap(self._neighbourhood, neighbourhood(features.values))
        values |= {name: (getattr(found, name), error) for name, error in found.errors.items()}
        if features.probabilities is None or self._frequencies is None:
            return _Measured(values, None)
        spread = balance(features.probabilities, self._frequencies)
        values |= {name: (getattr(spread, name), error) for name, error in spread.errors.items()}
        if self._modes:
            return _Measured(values, None)
        values["variation"] = (spread.variation, None)
        return _Measured(values, spread)


def _count_modes(features: Features, extractor: Extractor) -> Modes | None:
    return modes.modes(features.probabilities) if extractor.modes and features.probabilities is not None else None


def _alarms(ours: _Measured, copied: Memorisation, told: Discrimination | None, names: tuple[str, ...]) -> list[str]:
    found = []
    if ours.balance is not None:
        total = sum(ours.balance.histogram)
        shares = [count / total for count in ours.balance.histogram]
        scarce = [
            name for name, share, due in zip(names, shares, ours.balance.frequencies, strict=True) if share < due / 4
        ]
        if max(shares) >= 0.5 and len(names) > 2:
            top = shares.index(max(shares))
            found.append(f"collapse: {shares[top]:.0%} of the samples are {names[top]!r}")
        elif scarce:
            found.append(
                f"missing classes: fewer than a quarter of what the data have of {', '.join(map(repr, scarce))}"
            )
    if copied.alarm:
        found.append(f"memorisation: {copying(copied.copies)}")
    if told is not None and told.alarm:
        found.append(knowing(told.memorising))
    if told is not None and min(told.right_unseen, told.right_fake) >= DOMINATION:
        found.append(
            f"the discriminator is right about more than {DOMINATION:.0%} of real images and of samples: "
            "G learns little"
        )
    return found


def _notices(count: int, counted: Modes | None, real: RealImages) -> list[str]:
    found = [notice for notice in (real.notice, real.own_notice) if notice]
    if counted is not None and (drawn := sum(counted.histogram)) != modes.SAMPLES:
        found.append(
            f"the modes are counted in {drawn:,} samples: compare them with nothing but real images, for published "
            f"numbers are of {modes.SAMPLES:,}"
        )
    if len(real.unseen.images) < FEW_UNSEEN:
        found.append(
            f"{len(real.unseen.images)} unseen images are few, so all numbers are rough; see --held-out of train"
        )
    if count < FEW_SAMPLES:
        found.append(
            f"{count:,} samples are few: the Frechet distance is mostly bias then; look at the kernel distance and at "
            "the ratio to the floor"
        )
    return found
