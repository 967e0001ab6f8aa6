"""BATCHES of one size: many rows go through a compiled function so many at a time, the last ones padded with copies.

What becomes of a row then depends neither on its neighbours nor on how many there are.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray


def batched(apply: Callable[[NDArray[Any]], Any], rows: NDArray[Any], size: int) -> Any:
    """`apply` to rows (N, ...), `size` at a time. It gives an array, or a pytree of arrays, (size, ...) for each batch;
    what comes back is (N, ...), in NumPy."""
    outputs = []
    for start in range(0, max(len(rows), 1), size):
        part = rows[start : start + size]
        padded = np.zeros((size, *rows.shape[1:]), rows.dtype)
        padded[:] = part[0] if len(part) else 0
        padded[: len(part)] = part
        outputs.append(jax.tree.map(partial(_first, len(part)), apply(padded)))
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *outputs)


def _first(count: int, array: Any) -> NDArray[Any]:
    return np.asarray(array)[:count]
