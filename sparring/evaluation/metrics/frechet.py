"""FRECHET DISTANCE between two sets of features, taken for normal distributions (Dowson & Landau 1982, eq. 16).

d^2 = |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), as Heusel et al. 2017 use it with Inception's features. With a
classifier's features it is another number, which we never call FID. It falls with the size of the samples: compare only
equal ones, and beside the floor, what as many real images get.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Mean (d,) and covariance (d, d), with n - 1 in the denominator, of n features, in float64."""

    n: int
    mean: Values
    covariance: Values


def moments(features: NDArray[np.floating[Any]]) -> Moments:
    """The moments of features (N, d), N at least 2."""
    values = features.astype(np.float64)
    mean = values.mean(axis=0)
    centred = values - mean
    return Moments(len(values), mean, centred.T @ centred / (len(values) - 1))


def frechet_distance(a: Moments, b: Moments) -> float:
    """The squared distance d^2. The trace of (C1 C2)^(1/2) is the sum of the roots of the eigenvalues of S C2 S with
    S = C1^(1/2): symmetric matrices only, so that singular covariances do no harm."""
    root = _root(a.covariance)
    eigenvalues = np.linalg.eigvalsh(root @ b.covariance @ root)
    shift = a.mean - b.mean
    traces = np.trace(a.covariance) + np.trace(b.covariance)
    return float(shift @ shift + traces - 2 * np.sqrt(np.clip(eigenvalues, 0, None)).sum())


def frechet_error(features: NDArray[np.floating[Any]], reference: Moments, groups: int = 20) -> float:
    """Standard error of these features' (N, d) distance from the reference, for the chance in drawing the samples.

    The jackknife that leaves out one of `groups` parts at a time (Efron & Stein 1981); a part is every groups-th
    sample. Each distance is of almost as many samples, so that its bias cancels.
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
    """The symmetric root of a symmetric matrix without negative eigenvalues."""
    eigenvalues, vectors = np.linalg.eigh(matrix)
    root: Values = (vectors * np.sqrt(np.clip(eigenvalues, 0, None))) @ vectors.T
    return root
