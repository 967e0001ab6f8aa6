"""Batches of one size: what becomes of a row depends on nothing but itself."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

from sparring.networks.batched import batched


@pytest.mark.parametrize("count", [0, 1, 4, 5, 13])
def test_every_row_comes_back_in_its_place(count: int) -> None:
    rows = np.arange(3 * count, dtype=np.float32).reshape(count, 3)
    assert np.array_equal(batched(lambda part: 2 * part, rows, 4), 2 * rows)


def test_the_function_always_gets_whole_batches_padded_with_copies() -> None:
    seen: list[NDArray[Any]] = []

    def apply(part: NDArray[Any]) -> NDArray[Any]:
        seen.append(part)
        return part

    batched(apply, np.arange(12, dtype=np.uint8).reshape(6, 2), 4)
    assert [part.shape for part in seen] == [(4, 2), (4, 2)]
    assert [part.dtype for part in seen] == [np.uint8, np.uint8]
    assert seen[1].tolist() == [[8, 9], [10, 11], [8, 9], [8, 9]]


def test_several_outputs_and_missing_ones() -> None:
    rows = np.arange(5.0)
    first, nothing, second = batched(lambda part: (jnp.asarray(part), None, part[:, None] + 1), rows, 2)
    assert np.array_equal(first, rows) and nothing is None and second.shape == (5, 1)
