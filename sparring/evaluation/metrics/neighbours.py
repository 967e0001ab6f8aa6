"""NEIGHBOURS: are the samples like real images, and are all real images represented? In the space of features.

Precision and recall: Kynkaanniemi et al. 2019, eq. 1 and 2. Density and coverage: Naeem et al. 2020, eq. 4 and 5. A
feature's ball reaches to its k-th nearest neighbour in its own set, itself not counted; all balls are closed.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

K = 5
GROUPS = 20
"""Parts of the samples that are left out in turn, for the errors of recall and coverage."""
BLOCK = 500
"""Rows of a matrix of distances that are held at once; no result depends on it."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Neighbourhood:
    """Features (N, d) with the squared radius of each one's ball (N,)."""

    features: Values
    radii: Values


@dataclass(frozen=True)
class Overlap:
    """How two sets of features lie in each other, with standard errors for the chance in drawing the samples."""

    precision: float
    """Share of samples within the ball of a real image: are they like real ones?"""
    recall: float
    """Share of real images within the ball of a sample: can the generator make them?"""
    density: float
    """Real balls that a sample lies in, over k: precision where an outlier's wide ball counts little. May exceed 1."""
    coverage: float
    """Share of real images whose ball holds a sample: like recall, but outliers among the samples do not help."""
    errors: dict[str, float]


def neighbourhood(features: NDArray[np.floating[Any]], k: int = K) -> Neighbourhood:
    """The balls of features (N, d). Needs more than k of them."""
    if len(features) <= k:
        raise ValueError(f"{len(features)} features have no {k} neighbours each")
    values = features.astype(np.float64)
    radii = [
        np.partition(_without_itself(block, start), k - 1, axis=1)[:, k - 1].copy()  # so that the block goes
        for start, block in _squares(values, values)
    ]
    return Neighbourhood(values, np.concatenate(radii))


def overlap(real: Neighbourhood, fake: Neighbourhood, k: int = K) -> Overlap:
    """Precision, recall, density and coverage of the fakes against the real ones."""
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
    """Whether a real image has any sample of each group to it: (rows, M) -> (rows, GROUPS); a group is every 20th."""
    return np.stack([within[:, i::GROUPS].any(axis=1) for i in range(GROUPS)], axis=1)


def _jackknife(hits: NDArray[np.bool_]) -> float:
    """Standard error of the share of real images (rows,) that have a sample, leaving out one group at a time. That the
    samples' own balls would be a little wider without the group is passed over."""
    without = [(hits.sum(axis=1) - hits[:, i] > 0).mean() for i in range(GROUPS)]
    return float(np.sqrt((GROUPS - 1) * np.var(without)))


def _squares(a: Values, b: Values) -> Any:
    """(first row, squared distances (rows, M)) of the rows of a (N, d) from all of b (M, d), block by block."""
    lengths = (b * b).sum(axis=1)
    for start in range(0, len(a), BLOCK):
        rows = a[start : start + BLOCK]
        yield start, np.maximum((rows * rows).sum(axis=1)[:, None] + lengths - 2 * rows @ b.T, 0)


def _without_itself(block: Values, start: int) -> Values:
    """The distances of a set from itself, those from a feature to itself taken out."""
    rows = np.arange(len(block))
    block[rows, start + rows] = np.inf
    return block
