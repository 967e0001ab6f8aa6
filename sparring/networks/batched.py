"""A compiled function over many rows, in batches of one size; the last batch is padded with copies.

So the output for a row depends neither on the other rows nor on their number.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray


def batched(
    apply: Callable[[Any], Any], rows: Any, size: int, progress: Callable[[int, int], None] | None = None
) -> Any:
    """Apply a function to rows (N, ...), `size` at a time.

    `rows` is an array or a pytree of arrays. `apply` maps (size, ...) to an array or pytree (size, ...). Returns
    (N, ...) in NumPy. `progress` is called with (rows done, rows in all).
    """
    outputs = []
    count = len(jax.tree.leaves(rows)[0])
    for start in range(0, max(count, 1), size):
        padded = jax.tree.map(partial(_padded, start, size), rows)
        outputs.append(jax.tree.map(partial(_first, min(count - start, size)), apply(padded)))
        if progress is not None:
            progress(min(start + size, count), count)
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *outputs)


def _padded(start: int, size: int, rows: NDArray[Any]) -> NDArray[Any]:
    part = rows[start : start + size]
    padded = np.zeros((size, *rows.shape[1:]), rows.dtype)
    padded[:] = part[0] if len(part) else 0
    padded[: len(part)] = part
    return padded


def _first(count: int, array: Any) -> NDArray[Any]:
    return np.asarray(array)[:count]
