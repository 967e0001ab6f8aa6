"""PRECISION AND RECALL: are the samples like real images, and are all real images represented, in feature space?

Precision and recall: Kynkaanniemi et al. 2019, eq. 1 and 2. Density and coverage: Naeem et al. 2020, eq. 4 and 5. Each
feature has a closed ball that reaches to its k-th nearest neighbour in its own set, not counting itself.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

K = 5
GROUPS = 20
"""Groups of samples in the jackknife errors of recall and coverage."""
BLOCK = 500
"""Rows of the distance matrix computed at once. Does not affect results."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Neighbourhood:
    """Features (N, d) and the squared radius of each feature's ball (N,)."""

    features: Values
    radii: Values


@dataclass(frozen=True)
class Overlap:
    """The overlap of two sets of features, with standard errors from drawing the samples at random."""

    precision: float
    """Share of samples in the ball of a real image: are they realistic?"""
    recall: float
    """Share of real images in the ball of a sample: can the generator make them?"""
    density: float
    """Mean number of real balls that a sample lies in, over k: like precision, but robust to outliers. May exceed 1."""
    coverage: float
    """Share of real images whose ball holds a sample: like recall, but robust to outliers among the samples."""
    errors: dict[str, float]


def neighbourhood(features: NDArray[np.floating[Any]], k: int = K) -> Neighbourhood:
    """Compute the balls of features (N, d), N above k."""
    if len(features) <= k:
        raise ValueError(f"{len(features)} features have no {k} neighbours each")
    values = features.astype(np.float64)
    radii = [
        np.partition(_without_itself(block, start), k - 1, axis=1)[:, k - 1].copy()  # a view would keep the whole block
        for start, block in _squares(values, values)
    ]
    return Neighbourhood(values, np.concatenate(radii))


def overlap(real: Neighbourhood, fake: Neighbourhood, k: int = K) -> Overlap:
    """Compute precision, recall, density and coverage of fakes against real images."""
    inside = np.zeros(len(fake.features))
    recalled, covered = [], []
    for start, block in _squares(real.features, fake.features):
        own = block <= real.radii[start : start + len(block), None]
        inside += own.sum(axis=0)
        covered.append(_hits(own))
        recalled.append(_hits(block <= fake.radii[None]))
    of_samples: dict[str, Values] = {"precision": (inside > 0).astype(np.float64), "density": inside / k}
    of_reals = {"recall": np.concatenate(recalled), "coverage": np.concatenate(covered)}
    means = {name: float(np.mean(share)) for name, share in of_samples.items()}
    means |= {name: float(np.mean(hits.any(axis=1))) for name, hits in of_reals.items()}
    errors = {name: float(np.std(share) / np.sqrt(len(share))) for name, share in of_samples.items()}
    errors |= {name: _jackknife(hits) for name, hits in of_reals.items()}
    return Overlap(**means, errors=errors)


def _hits(within: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a real image is hit by any sample of each group: (rows, M) -> (rows, GROUPS); a group is every 20th."""
    return np.stack([within[:, i::GROUPS].any(axis=1) for i in range(GROUPS)], axis=1)


def _jackknife(hits: NDArray[np.bool_]) -> float:
    """Standard error of the share of real images (rows,) that are hit, leaving out one group at a time.

    Ignores that the samples' balls would be slightly larger without the group.
    """
    without = [(hits.sum(axis=1) - hits[:, i] > 0).mean() for i in range(GROUPS)]
    return float(np.sqrt((GROUPS - 1) * np.var(without)))


def _squares(a: Values, b: Values) -> Any:
    """Yield (first row, squared distances (rows, M)) of the rows of a (N, d) from all rows of b (M, d), by blocks."""
    lengths = (b * b).sum(axis=1)
    for start in range(0, len(a), BLOCK):
        rows = a[start : start + BLOCK]
        yield start, np.maximum((rows * rows).sum(axis=1)[:, None] + lengths - 2 * rows @ b.T, 0)


def _without_itself(block: Values, start: int) -> Values:
    """Set the distance of each feature to itself to infinity."""
    rows = np.arange(len(block))
    block[rows, start + rows] = np.inf
    return block
