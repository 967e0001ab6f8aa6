"""BALANCE of the classes: does the generator draw each as often as the data have it? By the answers of a judge."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.data import ImageSet

CONFIDENT = 0.9
DRAWS = 4000
"""Simulated samples of perfect balance, for the band."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Balance:
    """How the samples are spread over the classes."""

    histogram: tuple[int, ...]
    """Samples of each class, by the judge's likeliest answer."""
    frequencies: tuple[float, ...]
    """Share of each class in the data."""
    variation: float
    """Total variation of the two: the share of samples that would have to change class. 0 to 1."""
    variation_band: float
    """What perfectly balanced samples of this number stay below with 95% probability."""
    class_bands: tuple[tuple[float, float], ...]
    """For each class, the shares between which perfectly balanced samples of this number lie with 95% probability."""
    confident: float
    """Share of samples of which the judge is at least 90% sure: a picture of something."""
    score: float
    """exp of the mean divergence of the answers from their mean (Salimans et al. 2016, section 4, with this judge):
    1 to the number of classes, high where each picture is clear and all classes are there."""
    errors: dict[str, float]
    """Standard errors of `confident` and `score`, for the chance in drawing the samples."""


def balance(probabilities: NDArray[np.floating[Any]], frequencies: Values) -> Balance:
    """The balance of samples with these answers (N, K), against the data's frequencies (K,)."""
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
    """What chance leaves of a perfect balance, in 95% of cases."""

    variation: float
    """It stays below this."""
    classes: tuple[tuple[float, float], ...]
    """Each class's share lies between these."""


def bands(samples: int, frequencies: Values) -> Bands:
    """The bands of so many samples, drawn with these frequencies (K,)."""
    draws = np.random.Generator(np.random.PCG64(0)).multinomial(samples, frequencies / frequencies.sum(), DRAWS)
    low, high = np.quantile(draws / samples, [0.025, 0.975], axis=0)
    return Bands(
        variation=float(np.quantile(variation(draws / samples, frequencies), 0.95)),
        classes=tuple(zip(low.tolist(), high.tolist(), strict=True)),
    )


def clear(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Of which samples (N,) with these answers (N, K) the judge is at least 90% sure."""
    sure: NDArray[np.bool_] = probabilities.max(axis=1) >= CONFIDENT
    return sure


def class_frequencies(images: ImageSet) -> Values | None:
    """Share of each class (K,) among the images; None where they have no labels."""
    if images.labels is None:
        return None
    shares: Values = np.bincount(images.labels, minlength=len(images.class_names)) / len(images.labels)
    return shares


def variation(shares: Values, frequencies: Values) -> Values:
    """Total variation of shares (..., K) and frequencies (K,): (...)."""
    distances: Values = np.abs(shares - frequencies).sum(axis=-1) / 2
    return distances


def score(answers: Values) -> float:
    """exp of the mean over samples of KL(p(y|x) || p(y)), answers (N, K) in float64."""
    return float(np.exp(np.mean(_entropy_terms(answers)) - _entropy_terms(answers.mean(axis=0)[None])[0]))


def _entropy_terms(answers: Values) -> Values:
    """The sum over the classes of p log p, 0 log 0 being 0: (N, K) -> (N,)."""
    terms: Values = (answers * np.log(np.where(answers > 0, answers, 1))).sum(axis=1)
    return terms


def _score_error(answers: Values, groups: int = 20) -> float:
    """Standard error of the score by the jackknife that leaves out every groups-th sample."""
    groups = min(groups, len(answers))
    if groups < 2:
        return float("nan")
    places = np.arange(len(answers)) % groups
    scores = [score(answers[places != i]) for i in range(groups)]
    return float(np.sqrt((groups - 1) * np.var(scores)))
