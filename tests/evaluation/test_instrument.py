"""THE INSTRUMENT on real digits: every flaw moves what it should, more of it moves more, and two judges agree.

The flaws are put into MNIST's test images. The first judge is the one that comes with the package. The second has the
same architecture and other first weights, and saw the training images in another order; it was made by
`python tools/train_judge.py mnist --seed 1 --out tests/metrics/second-judge.safetensors`.
"""

from collections.abc import Callable, Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
from numpy.typing import NDArray
from real_mnist import mnist, needs_real_mnist

from sparring.evaluation.classifier import read_classifier
from sparring.evaluation.features import Extractor, Features, classifier_extractor, shipped_classifier
from sparring.evaluation.metrics.balance import Balance, balance, class_frequencies
from sparring.evaluation.metrics.frechet import frechet_distance, moments
from sparring.evaluation.metrics.kernel import KernelDistance, kernel_distance
from sparring.evaluation.metrics.neighbours import Overlap, neighbourhood, overlap
from sparring.images import Images

pytestmark = needs_real_mnist

N = 1000
"""Images of each set with a flaw; the reference and the real images beside it are twice as many.

So many of each, from the front, have their neighbours looked up."""
SECOND_JUDGE = "31297afeea5dbe3f2cbfc24715537e5a051dede80a6d29168582afc16f945482"


# ---------------------------------------------------------------------------------------------------- sets with flaws


def shuffled(digits: Iterable[int] = range(10)) -> Images:
    """The test images of these digits, by chance: MNIST's own order puts cleaner ones first."""
    images, labels = mnist("test").images, np.asarray(mnist("test").labels)
    order = np.random.default_rng(0).permutation(len(images))
    return np.asarray(images[order[np.isin(labels[order], list(digits))]])


def reference() -> Images:
    return shuffled()[: 2 * N]


@cache
def real() -> Images:
    return shuffled()[2 * N : 4 * N]


def some() -> Images:
    return real()[:N]


def to_bytes(images: NDArray[np.floating[Any]]) -> Images:
    return np.asarray(np.clip(np.rint(images), 0, 255), np.uint8)


@cache
def noise(deviation: float) -> Images:
    return to_bytes(some() + np.random.default_rng(1).normal(0, deviation, some().shape))


@cache
def blur(radius: float) -> Images:
    return to_bytes(scipy.ndimage.gaussian_filter(some().astype(np.float64), (0, radius, radius, 0)))


@cache
def shift(pixels: float) -> Images:
    """Down and to the right; what enters is black, as the edge of a digit is."""
    return np.asarray(scipy.ndimage.shift(some(), (0, pixels, pixels, 0), order=0))


def classes(digits: float) -> Images:
    return shuffled(range(int(digits)))[-N:]


def distinct(images: float) -> Images:
    """Few images, each repeated often."""
    return some()[np.arange(N) % int(images)]


@cache
def contrast(factor: float) -> Images:
    return to_bytes(some() * factor)


Flaw = Callable[[float], Images]

FLAWS: dict[Flaw, list[float]] = {
    noise: [10, 20, 40],
    blur: [0.6, 0.8, 1.2],
    shift: [1, 2, 4],
    classes: [8, 6, 4],
    distinct: [500, 100, 20],
    contrast: [0.7, 0.5, 0.3],
}
"""Each with its grades, from a little to much."""


def mirrored() -> Images:
    return some()[:, :, ::-1]


def half_mirrored() -> Images:
    return np.concatenate([some()[: N // 2], mirrored()[N // 2 :]])


def half_ones() -> Images:
    """Half of them ones, five times as many as there should be."""
    return np.concatenate([some()[: N // 2], np.repeat(shuffled([1])[-N // 4 :], 2, axis=0)])


RANKED: dict[str, tuple[Any, ...]] = {
    "real": (real,),
    "slightly noisy": (noise, 10),
    "slightly blurred": (blur, 0.6),
    "a little pale": (contrast, 0.75),
    "half of them mirrored": (half_mirrored,),
    "seven classes": (classes, 7),
    "three pixels aside": (shift, 3),
    "half of them ones": (half_ones,),
    "mirrored": (mirrored,),
    "strongly blurred": (blur, 2),
}
"""Sets that are wrong in quite different ways, as a function and what it is given."""


# -------------------------------------------------------------------------------------------------- what measures them


class Instrument:
    """All measures of a set of images, with one extractor, against the reference; each computed once."""

    def __init__(self, extractor: Extractor) -> None:
        self.extractor = extractor
        self.reference = extractor(reference()).values
        self.moments = moments(self.reference)
        self.neighbourhood = neighbourhood(self.reference[:N])
        self.features = cache(self._features)
        self.frechet = cache(self._frechet)
        self.kernel = cache(self._kernel)
        self.overlap = cache(self._overlap)
        self.balance = cache(self._balance)

    def by_grade(self, measure: str, flaw: Flaw) -> NDArray[np.float64]:
        """A measure of real images, and of a little to much of a flaw."""
        return np.array([self.value(measure, *given) for given in [(real,), *((flaw, x) for x in FLAWS[flaw])]])

    def value(self, measure: str, *given: Any) -> float:
        if measure == "frechet":
            return self.frechet(*given)
        if measure == "kernel":
            return self.kernel(*given).value
        if measure in ("precision", "recall", "density", "coverage"):
            return float(getattr(self.overlap(*given), measure))
        return float(getattr(self.balance(*given), measure))

    def _features(self, make: Callable[..., Images], *grade: float) -> Features:
        return self.extractor(make(*grade))

    def _frechet(self, make: Callable[..., Images], *grade: float) -> float:
        return frechet_distance(moments(self.features(make, *grade).values), self.moments)

    def _kernel(self, make: Callable[..., Images], *grade: float) -> KernelDistance:
        return kernel_distance(self.features(make, *grade).values, self.reference)

    def _overlap(self, make: Callable[..., Images], *grade: float) -> Overlap:
        return overlap(self.neighbourhood, neighbourhood(self.features(make, *grade).values[:N]))

    def _balance(self, make: Callable[..., Images], *grade: float) -> Balance:
        probabilities, frequencies = self.features(make, *grade).probabilities, class_frequencies(mnist("train"))
        assert probabilities is not None
        assert frequencies is not None
        return balance(probabilities, frequencies)


@pytest.fixture(scope="session")
def first() -> Instrument:
    return Instrument(shipped_classifier("mnist"))


@pytest.fixture(scope="session")
def second() -> Instrument:
    path = Path(__file__).parent / "second-judge.safetensors"
    judge = read_classifier(path, {"bytes": 755_680, "sha256": SECOND_JUDGE}, (28, 28, 1), 10)
    return Instrument(classifier_extractor(judge, "the second judge", SECOND_JUDGE, "for tests"))


@pytest.fixture(params=["first", "second"])
def instrument(request: pytest.FixtureRequest) -> Instrument:
    found: Instrument = request.getfixturevalue(request.param)
    return found


def name(value: object) -> str:
    """What a test's parameter is called."""
    return str(getattr(value, "__name__", value))


# ------------------------------------------------------------------------------------------------------------ the tests


def test_the_two_judges_are_not_the_same(first: Instrument, second: Instrument) -> None:
    ours, theirs = (one.features(real).values for one in (first, second))
    correlations = np.corrcoef(ours, theirs, rowvar=False)[: ours.shape[1], ours.shape[1] :]
    assert np.abs(np.diagonal(correlations)).mean() < 0.5


def test_unseen_digits_are_found_to_be_real(instrument: Instrument) -> None:
    """And so the numbers of flawed ones mean something."""
    assert instrument.frechet(real) < 1
    assert abs(instrument.kernel(real).value) < 0.02
    found = instrument.overlap(real)
    assert min(found.precision, found.recall, found.coverage) > 0.9
    assert found.density == pytest.approx(1, abs=0.1)
    balanced = instrument.balance(real)
    assert balanced.variation < balanced.variation_band
    assert balanced.confident > 0.98
    assert balanced.score > 9.7


@pytest.mark.parametrize("flaw", FLAWS, ids=name)
def test_the_frechet_distance_grows_with_every_grade(flaw: Flaw, instrument: Instrument) -> None:
    found = instrument.by_grade("frechet", flaw)
    assert all(more > 1.3 * less for less, more in pairwise(found)), found


RISES, FALLS, STAYS = 1, -1, 0
MOVES: dict[str, dict[Flaw, int]] = {
    "kernel": {noise: RISES, blur: RISES, shift: RISES, classes: RISES, distinct: RISES, contrast: RISES},
    "precision": {noise: FALLS, shift: FALLS, classes: STAYS, distinct: STAYS},
    "recall": {noise: FALLS, blur: FALLS, shift: FALLS, classes: FALLS, distinct: FALLS, contrast: FALLS},
    "density": {noise: FALLS, shift: FALLS, classes: STAYS},
    "coverage": {noise: FALLS, blur: FALLS, shift: FALLS, classes: FALLS, distinct: FALLS, contrast: FALLS},
    "variation": {classes: RISES, distinct: RISES},
    "confident": {noise: FALLS, blur: FALLS, contrast: FALLS, classes: STAYS, distinct: STAYS},
    "score": {noise: FALLS, blur: FALLS, classes: FALLS, contrast: FALLS},
}
"""What grades of each flaw do to a measure. Left out is where they need not do the same at every grade: a slight blur
or paleness makes a digit more typical, and so more precise; far from all digits a judge's classes mean nothing."""
STILL = {"precision": 0.06, "density": 0.1, "confident": 0.02}
"""How far a measure that stays may move."""


@pytest.mark.parametrize(
    ("measure", "flaw", "direction"),
    [(measure, flaw, way) for measure, moves in MOVES.items() for flaw, way in moves.items()],
    ids=name,
)
def test_each_measure_sees_what_it_is_for(measure: str, flaw: Flaw, direction: int, instrument: Instrument) -> None:
    found = instrument.by_grade(measure, flaw)
    if direction == STAYS:
        assert np.abs(found - found[0]).max() < STILL[measure], found
    else:
        moved = direction * (found[-1] - found[0])
        assert moved > 0.1 * np.abs(found).max(), found
        assert (direction * np.diff(found) > -0.01 * moved).all(), found


@pytest.mark.parametrize("digits", [8, 6, 4])
def test_the_score_is_about_the_number_of_classes_that_are_left(digits: float, instrument: Instrument) -> None:
    assert instrument.balance(classes, digits).score == pytest.approx(digits, rel=0.02)


@pytest.mark.parametrize("digits", [8, 6, 4])
def test_the_variation_is_the_share_of_the_classes_that_are_lost(digits: float, instrument: Instrument) -> None:
    lost = np.mean(np.asarray(mnist("train").labels) >= digits)
    assert instrument.balance(classes, digits).variation == pytest.approx(lost, abs=0.02)


@pytest.mark.parametrize(("flaw", "grade"), [(noise, 10.0), (blur, 0.6), (shift, 2.0), (contrast, 0.7)], ids=name)
def test_flaws_of_each_image_leave_the_classes_in_balance(flaw: Flaw, grade: float, instrument: Instrument) -> None:
    found = instrument.balance(flaw, grade)
    assert found.variation < found.variation_band


@pytest.mark.parametrize("distance", ["frechet", pytest.param("kernel", marks=pytest.mark.long)])
def test_two_judges_rank_quite_different_sets_alike(distance: str, first: Instrument, second: Instrument) -> None:
    by_judge = []
    for instrument in (first, second):
        found = {name: instrument.value(distance, *given) for name, given in RANKED.items()}
        by_judge.append(sorted(found, key=lambda name: found[name]))
    assert by_judge[0] == by_judge[1]
    assert by_judge[0][0] == "real"
    assert by_judge[0][-1] == "strongly blurred"


def test_two_judges_rank_all_sets_nearly_alike(first: Instrument, second: Instrument) -> None:
    """Flaws of quite different kinds may be equally bad: there they need not agree."""
    distances = [np.concatenate([one.by_grade("frechet", flaw)[1:] for flaw in FLAWS]) for one in (first, second)]
    assert scipy.stats.spearmanr(*distances).statistic > 0.97
