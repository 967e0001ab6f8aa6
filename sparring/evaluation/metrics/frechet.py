"""FRECHET DISTANCE between two sets of features, modelled as normal distributions (Dowson & Landau 1982, eq. 16).

d^2 = |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)). With features of the Inception network this is the FID (Heusel et al.
2017). With features of another classifier it is a different number and is never called FID here. The distance falls
with the number of samples, so only equal numbers are compared, and the distance of real images is shown beside it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Mean (d,) and unbiased covariance (d, d) of n features, in float64."""

    n: int
    mean: Values
    covariance: Values


def moments(features: NDArray[np.floating[Any]]) -> Moments:
    """Compute the moments of features (N, d), N at least 2."""
    values = features.astype(np.float64)
    mean = values.mean(axis=0)
    centred = values - mean
    return Moments(len(values), mean, centred.T @ centred / (len(values) - 1))


def frechet_distance(a: Moments, b: Moments) -> float:
    """Compute the squared distance d^2.

    The trace of (C1 C2)^(1/2) is the sum of the square roots of the eigenvalues of S C2 S with S = C1^(1/2). These
    matrices are symmetric, so singular covariances are no problem.
    """
    root = _root(a.covariance)
    eigenvalues = np.linalg.eigvalsh(root @ b.covariance @ root)
    shift = a.mean - b.mean
    traces = np.trace(a.covariance) + np.trace(b.covariance)
    return float(shift @ shift + traces - 2 * np.sqrt(np.clip(eigenvalues, 0, None)).sum())


def frechet_error(features: NDArray[np.floating[Any]], reference: Moments, groups: int = 20) -> float:
    """Standard error of the distance of features (N, d) from the reference, from drawing the samples at random.

    A jackknife (Efron & Stein 1981) that leaves out one group at a time; a group is every groups-th sample. All
    distances have nearly the same number of samples, so their bias cancels.
    """
    groups = min(groups, len(features) // 2)
    if groups < 2:
        return float("nan")
    values = features.astype(np.float64)
    places = np.arange(len(values)) % groups
    origin = values.mean(axis=0)
    parts = [values[places == i] - origin for i in range(groups)]
    sums = np.stack([part.sum(axis=0) for part in parts])
    products = np.stack([part.T @ part for part in parts])
    distances = []
    for i in range(groups):
        n = len(values) - len(parts[i])
        mean = (sums.sum(axis=0) - sums[i]) / n
        covariance = (products.sum(axis=0) - products[i] - n * np.outer(mean, mean)) / (n - 1)
        distances.append(frechet_distance(Moments(n, origin + mean, covariance), reference))
    return float(np.sqrt((groups - 1) * np.var(distances)))


def _root(matrix: Values) -> Values:
    """The symmetric square root of a positive semi-definite matrix."""
    eigenvalues, vectors = np.linalg.eigh(matrix)
    root: Values = (vectors * np.sqrt(np.clip(eigenvalues, 0, None))) @ vectors.T
    return root
