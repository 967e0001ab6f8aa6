"""NEIGHBOURS: held against scikit-learn's neighbours and against cases small enough to be counted by hand."""

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from sparring.evaluation.metrics import neighbours
from sparring.evaluation.metrics.neighbours import K, Overlap, neighbourhood, overlap

Values = NDArray[np.float64]

MEASURES = ("precision", "recall", "density", "coverage")


def drawn(n: int, d: int, seed: int, shift: float = 0.0) -> Values:
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def compared(real: Values, fake: Values, k: int = K) -> Overlap:
    return overlap(neighbourhood(real, k), neighbourhood(fake, k), k)


def line(*places: float) -> Values:
    """Features of one number each."""
    return np.array(places, np.float64)[:, None]


def values(found: Overlap) -> dict[str, float]:
    return {name: getattr(found, name) for name in MEASURES}


def by_scikit_learn(real: Values, fake: Values, k: int) -> dict[str, NDArray[np.float64]]:
    """For each measure, what each image contributes to it."""
    radii = [NearestNeighbors(n_neighbors=k + 1).fit(x).kneighbors(x)[0][:, k] for x in (real, fake)]
    distances = cdist(real, fake)
    in_real, in_fake = distances <= radii[0][:, None], distances <= radii[1]
    return {
        "precision": in_real.any(axis=0).astype(np.float64),
        "recall": in_fake.any(axis=1).astype(np.float64),
        "density": in_real.sum(axis=0) / k,
        "coverage": in_real.any(axis=1).astype(np.float64),
    }


@pytest.mark.parametrize(
    ("n", "m", "d", "k", "shift"),
    [(6, 6, 1, 5, 0.0), (400, 300, 2, 5, 0.5), (300, 400, 16, 3, 0.3), (501, 1001, 128, 5, 0.02), (40, 50, 3, 1, 1.0)],
)
def test_all_four_are_those_by_scikit_learn(n: int, m: int, d: int, k: int, shift: float) -> None:
    real, fake = drawn(n, d, seed=1), drawn(m, d, seed=2, shift=shift)
    found, expected = compared(real, fake, k), by_scikit_learn(real, fake, k)
    assert values(found) == pytest.approx({name: each.mean() for name, each in expected.items()}, rel=1e-6)
    for name in ("precision", "density"):
        assert found.errors[name] == pytest.approx(expected[name].std() / np.sqrt(len(expected[name])), rel=1e-6)


@pytest.mark.parametrize("block", [1, 7, 300, 301])
def test_blocks_change_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = drawn(300, 4, seed=1), drawn(200, 4, seed=2, shift=0.5)
    whole = compared(real, fake)
    monkeypatch.setattr(neighbours, "BLOCK", block)
    found = compared(real, fake)
    assert values(found) == values(whole)
    assert found.errors == whole.errors


def test_a_ball_reaches_to_the_kth_neighbour_itself_not_counted() -> None:
    places = line(0, 1, 3, 7, 20)
    np.testing.assert_array_equal(neighbourhood(places, 1).radii, [1, 1, 4, 16, 169])
    np.testing.assert_array_equal(neighbourhood(places, 3).radii, [49, 36, 16, 49, 361])


def test_equal_features_are_neighbours() -> None:
    np.testing.assert_array_equal(neighbourhood(line(1, 1, 1, 5), 2).radii, [0, 0, 0, 16])


def test_fakes_far_from_all_reals_score_nothing() -> None:
    real = drawn(200, 8, seed=1)
    assert values(compared(real, real + 1000)) == dict.fromkeys(MEASURES, 0.0)


def test_fakes_equal_to_the_reals_score_all() -> None:
    """Each lies in its own ball and in those that end at it, k on average."""
    real = drawn(700, 8, seed=1)
    expected = {"precision": 1.0, "recall": 1.0, "density": (K + 1) / K, "coverage": 1.0}
    assert values(compared(real, real)) == pytest.approx(expected, rel=1e-12)


def test_a_lost_mode_lowers_recall_and_coverage_alone() -> None:
    left, right = drawn(300, 4, seed=1), drawn(300, 4, seed=2, shift=100)
    real, fake = np.concatenate([left, right]), drawn(600, 4, seed=3)
    whole = compared(left, fake)
    found = compared(real, fake)
    assert found.precision == whole.precision > 0.9
    assert found.density == whole.density > 0.9
    assert found.recall == whole.recall / 2
    assert found.coverage == whole.coverage / 2 > 0.4


def test_fakes_in_the_wide_ball_of_an_outlier_count_little_in_density() -> None:
    """With k = 2 the real image at 20 has a ball from 2 to 38; the fakes have balls of 2, 1 and 2."""
    found = compared(line(0, 1, 2, 3, 20), line(30, 31, 32), k=2)
    assert values(found) == {"precision": 1.0, "recall": 0.0, "density": 0.5, "coverage": 0.2}


def test_an_outlier_among_the_fakes_helps_recall_but_not_coverage() -> None:
    """With k = 2 the fake at 10 has a ball from -10 to 30, which holds all real images; no real ball reaches a fake."""
    found = compared(line(0, 1, 2, 3, 4), line(10, 29, 30), k=2)
    assert values(found) == {"precision": 0.0, "recall": 1.0, "density": 0.0, "coverage": 0.0}


def test_dense_places_hold_more_than_one_density() -> None:
    """With k = 2 the real balls are -2..2, 0..2, 0..4 and the three fakes lie in all, with k neighbours each."""
    found = compared(line(0, 1, 2), line(0.9, 1, 1.1), k=2)
    assert found.density == 1.5
    assert found.errors["density"] == 0


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0])
def test_the_errors_are_the_spread_over_many_draws(shift: float) -> None:
    real = neighbourhood(drawn(400, 6, seed=0))
    found = [overlap(real, neighbourhood(drawn(250, 6, seed, shift))) for seed in range(1, 101)]
    for name in ("precision", "density", "recall", "coverage"):
        spread = np.std([getattr(one, name) for one in found])
        assert 0.7 < np.mean([one.errors[name] for one in found]) / spread < 1.6, name  # coverage's is on the safe side


@pytest.mark.parametrize("n", [1, 4, 5])
def test_too_few_features_for_k_neighbours_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match=f"{n} features have no 5 neighbours each"):
        neighbourhood(drawn(n, 3, seed=1))
    assert len(neighbourhood(drawn(6, 3, seed=1)).radii) == 6


def test_no_whole_matrix_of_distances_is_kept() -> None:
    values = np.random.default_rng(0).normal(size=(4000, 4))
    tracemalloc.start()
    try:
        neighbourhood(values)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.7 * 8 * 4000**2
