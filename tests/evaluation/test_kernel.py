"""KERNEL DISTANCE: held against scikit-learn's kernel, with loops that take out each feature's kernel with itself."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics.pairwise import polynomial_kernel

from sparring.evaluation.metrics import kernel
from sparring.evaluation.metrics.kernel import kernel_distance

Features = NDArray[np.floating[Any]]


def drawn(n: int, d: int, seed: int, shift: float = 0.0) -> Features:
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def naive(a: Features, b: Features) -> float:
    """The three means of equation 3, pair by pair."""

    def mean(x: Features, y: Features) -> float:
        products = polynomial_kernel(x, y, degree=3, gamma=1 / x.shape[1], coef0=1)
        pairs = [(i, j) for i in range(len(x)) for j in range(len(y)) if x is not y or i != j]
        return sum(float(products[pair]) for pair in pairs) / len(pairs)

    return mean(a, a) + mean(b, b) - 2 * mean(a, b)


@pytest.mark.parametrize(("n", "m", "d"), [(2, 2, 1), (2, 40, 3), (40, 2, 3), (60, 50, 128)])
def test_the_distance_is_that_by_loops(n: int, m: int, d: int) -> None:
    a, b = drawn(n, d, seed=1, shift=0.5), drawn(m, d, seed=2)
    assert kernel_distance(a, b).value == pytest.approx(naive(a, b), rel=1e-9)


def test_the_kernel_is_the_cube_of_the_mean_product_and_one() -> None:
    a, b = np.array([[1.0, 1.0], [1.0, 0.0]]), np.array([[0.0, 0.0], [0.0, 2.0]])
    within_a, within_b, between = 1.5**3, 1, (1 + 2**3 + 1 + 1) / 4
    assert kernel_distance(a, b).value == pytest.approx(within_a + within_b - 2 * between, rel=1e-12)


def test_the_distance_is_symmetric_and_knows_no_order() -> None:
    a, b = drawn(70, 8, seed=1, shift=0.5), drawn(50, 8, seed=2)
    value = kernel_distance(a, b).value
    assert kernel_distance(b, a).value == pytest.approx(value, rel=1e-10)
    assert kernel_distance(a[::-1], b[::-1]).value == pytest.approx(value, rel=1e-10)


def test_features_in_single_precision_are_computed_with_in_double() -> None:
    a, b = (drawn(200, 32, seed, shift=3).astype(np.float32) for seed in (1, 2))
    assert kernel_distance(a, b).value == kernel_distance(a.astype(np.float64), b.astype(np.float64)).value


def test_its_mean_over_draws_of_one_distribution_is_zero() -> None:
    values = [kernel_distance(drawn(8, 4, 2 * i), drawn(9, 4, 2 * i + 1)).value for i in range(3000)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
    assert min(values) < 0


@pytest.mark.parametrize("block", [1, 7, 60, 61])
def test_blocks_change_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = drawn(60, 8, seed=1, shift=0.5), drawn(50, 8, seed=2)
    whole = kernel_distance(a, b)
    monkeypatch.setattr(kernel, "BLOCK", block)
    found = kernel_distance(a, b)
    assert found.value == pytest.approx(whole.value, rel=1e-10)
    assert found.error == pytest.approx(whole.error, rel=1e-10)


@pytest.mark.parametrize("shift", [0.0, 0.1, 1.0])
def test_the_error_is_the_spread_over_many_draws(shift: float) -> None:
    reference = drawn(300, 8, seed=0)
    found = [kernel_distance(drawn(100, 8, seed, shift), reference) for seed in range(1, 151)]
    assert 0.7 < np.mean([one.error for one in found]) / np.std([one.value for one in found]) < 1.4


def test_four_times_as_many_samples_halve_the_error() -> None:
    reference = drawn(500, 8, seed=0)
    few, many = (kernel_distance(drawn(n, 8, seed=1, shift=1), reference).error for n in (1000, 4000))
    assert 0.4 < many / few < 0.6
