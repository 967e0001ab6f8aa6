"""KERNEL DISTANCE between two sets of features: the unbiased squared maximum mean discrepancy (MMD).

Gretton et al. 2012, eq. 3, with the kernel (x.y / d + 1)^3 of Binkowski et al. 2018, section 4. With features of the
Inception network this is the KID. Its mean does not depend on the number of samples: prefer it for few samples.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Features = NDArray[np.floating[Any]]

BLOCK = 1000
"""Rows computed at once. Affects results only by rounding."""


@dataclass(frozen=True)
class KernelDistance:
    """The squared MMD; near 0, perhaps slightly negative, if the distributions are equal."""

    value: float
    error: float
    """Standard error from drawing the samples (of a) at random, to first order."""


def kernel_distance(a: Features, b: Features) -> KernelDistance:
    """Compute the distance of features a (N, d) from b (M, d), N and M at least 2."""
    ours, theirs = a.astype(np.float64), b.astype(np.float64)
    within_a, within_b = _mean_kernels_within(ours), _mean_kernels_within(theirs)
    between = _sums_of_kernels(ours, theirs) / len(theirs)
    influence = 2 * (within_a - between)  # of each sample on the value
    return KernelDistance(
        value=float(within_a.mean() + within_b.mean() - 2 * between.mean()),
        error=float(influence.std() / np.sqrt(len(ours))),
    )


def _mean_kernels_within(values: Values) -> Values:
    """For each row (N, d), the mean of the kernel with all others (N,)."""
    own = _kernel((values * values).sum(axis=1), values.shape[1])
    return (_sums_of_kernels(values, values) - own) / (len(values) - 1)


def _sums_of_kernels(a: Values, b: Values) -> Values:
    """For each row of a (N, d), the sum of the kernel with all rows of b (M, d): (N,)."""
    blocks = range(0, len(a), BLOCK)
    return np.concatenate([_kernel(a[i : i + BLOCK] @ b.T, a.shape[1]).sum(axis=1) for i in blocks])


def _kernel(products: Values, dimensions: int) -> Values:
    """(x.y / d + 1)^3, computed in place to save memory."""
    products /= dimensions
    products += 1
    cubes: Values = products * products
    cubes *= products
    return cubes
