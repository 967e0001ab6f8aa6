"""Batches: which images a step sees, as a function of seed and step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparring.data import batches

COUNT, BATCH = 103, 10
KEY = jax.random.key(3)


def draw(order: str, step: int, permutation: jax.Array | None = None) -> list[int]:
    key = jax.random.fold_in(KEY, step)
    order_of_epoch = jnp.arange(COUNT) if permutation is None else permutation
    return [int(i) for i in batches.DRAWS[order](key, jnp.int32(step), order_of_epoch, COUNT, BATCH)]


@pytest.mark.parametrize("order", batches.DRAWS)
def test_indices_are_in_range_and_follow_from_the_step(order: str) -> None:
    for step in (0, 1, 9, 10, 1000):
        drawn = draw(order, step)
        assert len(drawn) == BATCH
        assert all(0 <= i < COUNT for i in drawn)
        assert drawn == draw(order, step)


def test_replacement_reaches_every_image_evenly() -> None:
    seen = np.bincount([i for step in range(400) for i in draw("replacement", step)], minlength=COUNT)
    assert seen.min() > 15
    assert seen.max() < 75


def test_a_slice_is_a_run_of_neighbours_at_any_place_but_the_very_end() -> None:
    starts = set()
    for step in range(600):
        drawn = draw("slice", step)
        assert drawn == list(range(drawn[0], drawn[0] + BATCH))
        starts.add(drawn[0])
    assert min(starts) == 0
    assert max(starts) == COUNT - BATCH - 1
    assert len(starts) > 85


def test_sequential_walks_whole_batches_and_starts_again() -> None:
    assert draw("sequential", 0) == list(range(10))
    assert draw("sequential", 9) == list(range(90, 100))
    assert draw("sequential", 10) == draw("sequential", 0)


def test_shuffle_shows_each_image_once_an_epoch() -> None:
    permutation = batches.permutation(KEY, 0, COUNT)
    epoch = [i for step in range(10) for i in draw("shuffle", step, permutation)]
    assert epoch == permutation[:100].tolist()
    assert len(set(epoch)) == 100


def test_every_epoch_has_a_permutation_of_its_own() -> None:
    first, again, second = (batches.permutation(KEY, epoch, COUNT) for epoch in (0, 0, 1))
    assert sorted(first.tolist()) == list(range(COUNT))
    assert first.tolist() == again.tolist() != second.tolist()
    assert first.tolist() != batches.permutation(jax.random.key(4), 0, COUNT).tolist()
