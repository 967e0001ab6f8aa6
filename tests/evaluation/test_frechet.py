"""FRECHET DISTANCE: held against scipy's root of a matrix, and against closed forms where covariances are singular."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from numpy.typing import NDArray

from sparring.evaluation.metrics.frechet import frechet_distance, frechet_error, moments

Values = NDArray[np.float64]


def drawn(n: int, d: int, seed: int) -> Values:
    """Features whose directions depend on each other, none of them of mean zero."""
    random = np.random.default_rng(seed)
    return np.asarray(random.normal(size=(n, d)) @ random.normal(size=(d, d)) / np.sqrt(d) + random.normal(size=d))


def distance(a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]) -> float:
    return frechet_distance(moments(a), moments(b))


def distance_by_sqrtm(a: Values, b: Values) -> float:
    shift = a.mean(axis=0) - b.mean(axis=0)
    ours, theirs = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    return float(shift @ shift + np.trace(ours + theirs - 2 * scipy.linalg.sqrtm(ours @ theirs).real))


def distance_by_singular_values(a: Values, b: Values) -> float:
    """The trace of (C1 C2)^(1/2) as the sum of the singular values of A B^T, C1 = A^T A and C2 = B^T B: of any rank."""
    shift = a.mean(axis=0) - b.mean(axis=0)
    ours, theirs = ((x - x.mean(axis=0)) / np.sqrt(len(x) - 1) for x in (a, b))
    spread = (ours**2).sum() + (theirs**2).sum()
    return float(shift @ shift + spread - 2 * scipy.linalg.svdvals(ours @ theirs.T).sum())


@pytest.mark.parametrize(("n", "m", "d"), [(40, 50, 1), (10, 11, 3), (200, 300, 16), (1000, 700, 128)])
def test_the_distance_is_that_by_the_root_of_the_product(n: int, m: int, d: int) -> None:
    a, b = drawn(n, d, seed=1), drawn(m, d, seed=2)
    assert distance(a, b) == pytest.approx(distance_by_sqrtm(a, b), rel=1e-6)


@pytest.mark.parametrize(("n", "m", "d"), [(2, 2, 64), (20, 30, 128), (40, 400, 128), (128, 129, 128)])
def test_covariances_without_full_rank_do_no_harm(n: int, m: int, d: int) -> None:
    a, b = drawn(n, d, seed=1), drawn(m, d, seed=2)
    assert distance(a, b) == pytest.approx(distance_by_singular_values(a, b), rel=1e-6)


def test_covariances_with_equal_directions_have_a_closed_form() -> None:
    """Each direction of an orthonormal base is on its own: the difference of the two deviations along it, squared."""
    d, ranks = 64, (20, 30)
    random = np.random.default_rng(0)
    base = scipy.linalg.qr(random.normal(size=(d, d)))[0]
    deviations = np.zeros((2, d))
    deviations[0, : ranks[0]], deviations[1, 10 : 10 + ranks[1]] = (
        random.uniform(0.5, 3, 20),
        random.uniform(0.5, 3, 30),
    )
    shift = random.normal(size=d)
    sets = []
    for own in deviations:
        points = np.concatenate([base * own[:, None], -base * own[:, None]])  # +- the deviation along each direction
        sets.append(points * np.sqrt((len(points) - 1) / 2))
    expected = shift @ shift + ((deviations[0] - deviations[1]) ** 2).sum()
    assert distance(sets[0], sets[1] + shift) == pytest.approx(expected, rel=1e-6)


def test_a_shift_alone_costs_its_square() -> None:
    a = drawn(300, 8, seed=1)
    assert distance(a, a + 3) == pytest.approx(8 * 9, rel=1e-9)


def test_twice_as_wide_costs_the_variance() -> None:
    a = drawn(300, 8, seed=1)
    a -= a.mean(axis=0)
    assert distance(a, 2 * a) == pytest.approx(np.var(a, axis=0, ddof=1).sum(), rel=1e-9)


@pytest.mark.parametrize(("n", "d"), [(2, 5), (30, 128), (500, 128), (500, 1)])
def test_the_distance_of_a_set_from_itself_is_zero(n: int, d: int) -> None:
    a = drawn(n, d, seed=1)
    assert distance(a, a) == pytest.approx(0, abs=1e-6 * np.trace(moments(a).covariance))


@pytest.mark.parametrize(("n", "m", "d"), [(30, 50, 128), (500, 300, 16)])
def test_the_distance_is_symmetric(n: int, m: int, d: int) -> None:
    a, b = drawn(n, d, seed=1), drawn(m, d, seed=2)
    assert distance(a, b) == pytest.approx(distance(b, a), rel=1e-7)


def test_the_order_of_the_features_does_not_count() -> None:
    a, b = drawn(300, 16, seed=1), drawn(200, 16, seed=2)
    other = np.random.default_rng(0).permutation(a)
    assert distance(other, b) == pytest.approx(distance(a, b), rel=1e-10)


def test_moments_are_computed_in_double_precision() -> None:
    features = (drawn(500, 8, seed=1) + 1000).astype(np.float32)
    found = moments(features)
    assert found.n == 500
    np.testing.assert_allclose(found.mean, features.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(features.astype(np.float64), rowvar=False), rtol=1e-9)


# ---------------------------------------------------------------------------------------------------------- the error


@pytest.mark.parametrize("n", [400, 407, 23, 9])
def test_the_error_is_the_jackknife_over_every_twentieth_sample(n: int) -> None:
    a, reference = drawn(n, 6, seed=1) + 100, moments(drawn(900, 6, seed=2))
    groups = min(20, n // 2)
    left = [frechet_distance(moments(np.delete(a, np.s_[i::groups], axis=0)), reference) for i in range(groups)]
    expected = math.sqrt((groups - 1) / groups * sum((value - np.mean(left)) ** 2 for value in left))
    assert frechet_error(a, reference) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("shift", [0.0, 0.1, 1.0])
def test_the_error_is_the_spread_over_many_draws(shift: float) -> None:
    random = np.random.default_rng(0)
    reference = moments(random.normal(size=(20_000, 8)))
    draws = [random.normal(size=(400, 8)) * (1 + shift) + shift for _ in range(200)]
    spread = np.std([frechet_distance(moments(draw), reference) for draw in draws])
    errors = [frechet_error(draw, reference) for draw in draws]
    assert 0.7 < np.mean(errors) / spread < 1.45


@pytest.mark.parametrize("n", [2, 3])
def test_three_samples_are_too_few_for_an_error(n: int) -> None:
    assert math.isnan(frechet_error(drawn(n, 4, seed=1), moments(drawn(10, 4, seed=2))))
