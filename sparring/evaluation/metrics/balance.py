"""CLASS BALANCE: is each class as frequent among the samples as in the data, according to a classifier?"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.data import ImageSet

CONFIDENT = 0.9
DRAWS = 4000
"""Simulated sets of perfectly balanced samples, to compute the bands."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Balance:
    """The distribution of the samples over the classes."""

    histogram: tuple[int, ...]
    """Samples of each class: the classifier's most probable class."""
    frequencies: tuple[float, ...]
    """Share of each class in the data."""
    variation: float
    """Total variation distance of the two: the share of samples that would have to change class, 0 to 1."""
    variation_band: float
    """The 95% quantile of `variation` for the same number of perfectly balanced samples."""
    class_bands: tuple[tuple[float, float], ...]
    """For each class, the 95% interval of its share for the same number of perfectly balanced samples."""
    confident: float
    """Share of samples that the classifier assigns to a class with a probability of at least 90%."""
    score: float
    """The inception score with this classifier (Salimans et al. 2016, section 4): exp of the mean KL divergence of the
    class probabilities from their mean. 1 to the number of classes; high if images are clear and all classes occur."""
    errors: dict[str, float]
    """Standard errors of `confident` and `score`, from drawing the samples at random."""


def balance(probabilities: NDArray[np.floating[Any]], frequencies: Values) -> Balance:
    """The balance of samples with these class probabilities (N, K), compared with the data's frequencies (K,)."""
    answers = probabilities.astype(np.float64)
    n, classes = answers.shape
    histogram = np.bincount(answers.argmax(axis=1), minlength=classes)
    confident = clear(answers)
    chance = bands(n, frequencies)
    return Balance(
        histogram=tuple(histogram.tolist()),
        frequencies=tuple(frequencies.tolist()),
        variation=float(variation(histogram / n, frequencies)),
        variation_band=chance.variation,
        class_bands=chance.classes,
        confident=float(confident.mean()),
        score=score(answers),
        errors={"confident": float(confident.std() / np.sqrt(n)), "score": _score_error(answers)},
    )


@dataclass(frozen=True)
class Bands:
    """95% bands of perfectly balanced samples."""

    variation: float
    """Upper bound of the total variation distance."""
    classes: tuple[tuple[float, float], ...]
    """Bounds of each class's share."""


def bands(samples: int, frequencies: Values) -> Bands:
    """The bands of `samples` samples, drawn with these frequencies (K,)."""
    draws = np.random.Generator(np.random.PCG64(0)).multinomial(samples, frequencies / frequencies.sum(), DRAWS)
    low, high = np.quantile(draws / samples, [0.025, 0.975], axis=0)
    return Bands(
        variation=float(np.quantile(variation(draws / samples, frequencies), 0.95)),
        classes=tuple(zip(low.tolist(), high.tolist(), strict=True)),
    )


def clear(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Which samples (N,) with these probabilities (N, K) belong to a class with at least 90% probability."""
    sure: NDArray[np.bool_] = probabilities.max(axis=1) >= CONFIDENT
    return sure


def class_frequencies(images: ImageSet) -> Values | None:
    """Share of each class (K,) among the images; None if they have no labels."""
    if images.labels is None:
        return None
    return np.bincount(images.labels, minlength=len(images.class_names)) / len(images.labels)


def variation(shares: Values, frequencies: Values) -> Values:
    """Total variation distance of shares (..., K) and frequencies (K,): (...)."""
    distances: Values = np.abs(shares - frequencies).sum(axis=-1) / 2
    return distances


def score(answers: Values) -> float:
    """exp of the mean over samples of KL(p(y|x) || p(y)), from probabilities (N, K) in float64."""
    return float(np.exp(np.mean(_entropy_terms(answers)) - _entropy_terms(answers.mean(axis=0)[None])[0]))


def _entropy_terms(answers: Values) -> Values:
    """The sum over the classes of p log p, with 0 log 0 = 0: (N, K) -> (N,)."""
    terms: Values = (answers * np.log(np.where(answers > 0, answers, 1))).sum(axis=1)
    return terms


def _score_error(answers: Values, groups: int = 20) -> float:
    """Standard error of the score, by a jackknife over groups of samples."""
    groups = min(groups, len(answers))
    if groups < 2:
        return float("nan")
    places = np.arange(len(answers)) % groups
    scores = [score(answers[places != i]) for i in range(groups)]
    return float(np.sqrt((groups - 1) * np.var(scores)))
