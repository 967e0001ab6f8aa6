"""BALANCE: counted by hand, held against scipy's entropy and against simulations of perfect balance."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparring.data import ImageSet
from sparring.evaluation.metrics.balance import balance, class_frequencies, score, variation

Values = NDArray[np.float64]

MNIST = np.array([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]) / 60_000
"""Shares of the digits among MNIST's training images."""
EVEN = np.full(10, 0.1)


def answers(n: int, classes: int, seed: int, sureness: float = 5.0) -> Values:
    """Probabilities of classes, for each sample its own."""
    return np.random.default_rng(seed).dirichlet(np.full(classes, 1 / sureness), n)


def score_by_scipy(probabilities: Values) -> float:
    """The mean divergence of each answer from their mean."""
    return float(np.exp(scipy.stats.entropy(probabilities, probabilities.mean(axis=0), axis=1).mean()))


# ---------------------------------------------------------------------------------------------- classes and their band


def test_the_histogram_counts_the_likeliest_answers() -> None:
    given_answers = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.4, 0.35, 0.25], [0.0, 0.0, 1.0]])
    found = balance(given_answers, np.array([0.25, 0.25, 0.5]))
    assert found.histogram == (2, 0, 2)
    assert found.frequencies == (0.25, 0.25, 0.5)
    assert found.variation == 0.25  # one of four samples would have to change from the first class to the second


@pytest.mark.parametrize(
    ("shares", "frequencies", "expected"),
    [([1, 0], [0, 1], 1.0), ([1, 0], [0.5, 0.5], 0.5), ([0.2, 0.3, 0.5], [0.2, 0.3, 0.5], 0.0)],
)
def test_the_variation_is_the_share_that_would_have_to_change(
    shares: list[float], frequencies: list[float], expected: float
) -> None:
    assert variation(np.array(shares), np.array(frequencies)) == expected


def test_many_shares_have_a_variation_each() -> None:
    found = variation(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([0.5, 0.5]))
    np.testing.assert_array_equal(found, [0.5, 0.0])


@pytest.mark.parametrize("n", [500, 10_000])
@pytest.mark.parametrize("frequencies", [MNIST, EVEN, np.array([0.9, 0.1])])
def test_the_band_is_that_of_a_large_simulation(n: int, frequencies: Values) -> None:
    found = balance(np.eye(len(frequencies))[np.zeros(n, int)], frequencies)
    draws = scipy.stats.multinomial(n, frequencies).rvs(40_000, random_state=1) / n
    of_draws = np.abs(draws - frequencies).sum(axis=1) / 2
    assert found.variation_band == pytest.approx(np.quantile(of_draws, 0.95), rel=0.04)
    assert np.mean(of_draws < found.variation_band) == pytest.approx(0.95, abs=0.015)


def test_ten_thousand_balanced_digits_vary_less_than_two_percent() -> None:
    assert balance(np.eye(10)[np.zeros(10_000, int)], MNIST).variation_band == pytest.approx(0.017, abs=0.001)


@pytest.mark.parametrize("n", [400, 10_000])
def test_each_class_has_the_band_of_a_binomial_distribution(n: int) -> None:
    found = balance(np.eye(10)[np.zeros(n, int)], MNIST)
    for band, frequency in zip(found.class_bands, MNIST, strict=True):
        expected = scipy.stats.binom.ppf([0.025, 0.975], n, frequency) / n
        assert band == pytest.approx(expected, abs=0.15 * np.sqrt(frequency * (1 - frequency) / n) + 1 / n)


def test_the_band_is_the_same_every_time() -> None:
    assert balance(answers(50, 10, seed=1), MNIST) == balance(answers(50, 10, seed=1), MNIST)


def test_frequencies_are_the_shares_of_the_labels() -> None:
    images = np.zeros((4, 8, 8, 1), np.uint8)
    labels = np.array([2, 0, 2, 2], np.int32)
    labelled = ImageSet("made-up", images, labels, ("a", "b", "c", "d"), "here")
    np.testing.assert_array_equal(np.asarray(class_frequencies(labelled)), [0.25, 0, 0.75, 0])
    assert class_frequencies(ImageSet("made-up", images, None, (), "here")) is None


# -------------------------------------------------------------------------------------------------------- how clear


def test_confident_is_the_share_of_answers_of_nine_tenths() -> None:
    found = balance(np.array([[0.9, 0.1], [0.89, 0.11], [0.05, 0.95], [0.5, 0.5]]), np.array([0.5, 0.5]))
    assert found.confident == 0.5
    assert found.errors["confident"] == 0.25  # of a share of a half among four


@pytest.mark.parametrize(("n", "classes", "sureness"), [(1, 10, 5.0), (50, 2, 0.5), (1000, 10, 5.0), (300, 10, 100.0)])
def test_the_score_is_that_by_scipy(n: int, classes: int, sureness: float) -> None:
    given_answers = answers(n, classes, seed=1, sureness=sureness)
    assert score(given_answers) == pytest.approx(score_by_scipy(given_answers), rel=1e-9)


@pytest.mark.parametrize("classes", [2, 10])
def test_the_score_of_sure_and_balanced_answers_is_the_number_of_classes(classes: int) -> None:
    sure = np.eye(classes)[np.arange(30 * classes) % classes]
    assert score(sure) == pytest.approx(classes, rel=1e-12)
    assert balance(sure, np.full(classes, 1 / classes)).variation == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("answer", [[1.0, 0.0, 0.0], [0.2, 0.3, 0.5], [1 / 3, 1 / 3, 1 / 3]])
def test_the_score_of_equal_answers_is_one(answer: list[float]) -> None:
    assert score(np.tile(answer, (50, 1))) == pytest.approx(1, rel=1e-12)


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(any), min_size=1, max_size=20))
def test_the_score_lies_between_one_and_the_number_of_classes(rows: list[list[float]]) -> None:
    given_answers = np.array(rows) / np.sum(rows, axis=1, keepdims=True)
    assert 1 - 1e-9 <= score(given_answers) <= 4 + 1e-9


def test_the_score_of_balance_is_that_of_the_answers_in_single_precision() -> None:
    given_answers = answers(500, 10, seed=1).astype(np.float32)
    assert balance(given_answers, EVEN).score == score(given_answers.astype(np.float64))


# --------------------------------------------------------------------------------------------------------- the errors


def test_the_error_of_the_score_is_the_jackknife_over_every_twentieth_sample() -> None:
    given_answers = answers(207, 5, seed=1)
    left = [score_by_scipy(np.delete(given_answers, np.s_[i::20], axis=0)) for i in range(20)]
    expected = math.sqrt(19 / 20 * sum((value - np.mean(left)) ** 2 for value in left))
    assert balance(given_answers, np.full(5, 0.2)).errors["score"] == pytest.approx(expected, rel=1e-6)


def test_the_errors_are_the_spread_over_many_draws() -> None:
    found = [balance(answers(300, 10, seed), EVEN) for seed in range(150)]
    for name in ("confident", "score"):
        spread = np.std([getattr(one, name) for one in found])
        assert 0.7 < np.mean([one.errors[name] for one in found]) / spread < 1.4, name


def test_one_sample_has_no_error_of_the_score() -> None:
    assert math.isnan(balance(answers(1, 10, seed=1), EVEN).errors["score"])
