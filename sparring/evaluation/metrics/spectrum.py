"""THE SPECTRUM of samples: at which frequencies do they have more or less power than real images?

- By radius, as in Durall et al. 2020 ("Watch your up-convolution", section 3): less power at high frequencies is blur,
  more is noise.
- At the frequencies of a grid, u/p and v/p cycles a pixel for a period of p pixels: a network that draws in patches or
  up-samples leaves a pattern that repeats every p pixels (Odena et al. 2016, "Deconvolution and checkerboard
  artifacts"). A grid stands out if these frequencies exceed their neighbours more than in real images, so blur and
  noise are none.
"""

from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray

from sparring.data.selection import ManyImages
from sparring.images import Images, some_places

IMAGES = 1_000
"""At most this many images of a set are looked at."""
BLOCK = 250
"""Images transformed at once. Does not affect results."""
PERIODS = range(2, 9)
"""Periods of the grids that are looked for, in pixels."""
BANDS = 12
"""Bands of the radius, of equal width, from 0 to `CORNER`."""
CORNER = 0.5**0.5
"""The largest radius, in cycles a pixel."""
FINE = 0.25
"""Frequencies from here on, in cycles a pixel, are fine details: half of the highest one along a side."""
ROUNDING = 1 / 12
"""Variance of rounding to 256 values. It is added to all powers, so that nothing is divided by nothing."""
STANDS_OUT = 1.5
"""A grid stands out if its frequencies exceed their neighbours this many times as much as in real images."""
CERTAIN = 4.0
"""Standard errors by which they must exceed that, because many frequencies are looked at."""
NEIGHBOURS = ((1, 0), (-1, 0), (0, 1), (0, -1))

Values = NDArray[np.float64]
Size = tuple[int, int]


@dataclass(frozen=True)
class Power:
    """The mean power of images at each frequency (H, W), in squared gray levels, and its standard error (H, W)."""

    mean: Values
    error: Values


@dataclass(frozen=True)
class Spectrum:
    """The power of samples, divided by that of real images."""

    radial: tuple[float, ...]
    """By radius, in bands of equal width."""
    grids: dict[str, float]
    """At the frequencies of each grid, by its period in pixels."""
    period: int
    """The period, in pixels, of the grid that stands out most."""
    grid: float
    """The value of that grid in `grids`."""
    fine: float
    """The mean of `radial` from `FINE` on."""
    errors: dict[str, float]
    """Standard errors of `grid` and `fine`, from drawing the samples at random."""
    alarm: bool
    """Whether that grid lies over the samples."""


def powers(images: ManyImages) -> dict[Size, Power]:
    """The power of images (N, H, W, C), uint8, sides from 8 pixels, the mean over channels.

    Returned for the whole images, and for the largest part of them that each grid of `PERIODS` fills: by its size.
    """
    chosen = images[some_places(len(images), min(len(images), IMAGES))]
    sizes = {chosen.shape[1:3], *(_filled(chosen.shape[1:3], period) for period in _periods(chosen.shape[1:3]))}
    return {size: _power(chosen[:, : size[0], : size[1]]) for size in sizes}


def grid_frequencies(period: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The frequencies u/p and v/p, in cycles a pixel, that no smaller grid has, without those that mirror others."""
    found = [
        (u, v)
        for u in range(period)
        for v in range(period)
        if gcd(u, v, period) == 1 and (u, v) <= (-u % period, -v % period)
    ]
    u, v = np.array(found).T
    return u, v


def spectrum(samples: dict[Size, Power], real: dict[Size, Power]) -> Spectrum:
    """Compare the power of samples with that of real images of the same size."""
    size = max(real)
    radial, radial_errors = _by_radius(samples[size], real[size])
    grids = {period: _grid(samples, real, size, period) for period in _periods(size)}
    over = [period for period, (_, _, excess) in grids.items() if excess > STANDS_OUT]
    top = max(grids, key=lambda period: grids[period][2])
    period = max((each for each in over if each % top == 0), default=top)  # a grid's harmonics are those of finer grids
    fine = int(_band(np.array(FINE), len(radial)))
    return Spectrum(
        radial=tuple(radial.tolist()),
        grids={str(each): ratio for each, (ratio, _, _) in grids.items()},
        period=period,
        grid=grids[period][0],
        fine=float(radial[fine:].mean()),
        errors={"grid": grids[period][1], "fine": _mean_error(radial_errors[fine:])},
        alarm=bool(over),
    )


def _periods(size: Size) -> list[int]:
    """The periods that fit into an image at least twice."""
    return [period for period in PERIODS if min(size) >= 2 * period]


def _filled(size: Size, period: int) -> Size:
    height, width = size
    return height // period * period, width // period * period


def _power(images: Images) -> Power:
    count, height, width, _ = images.shape
    found = []
    for start in range(0, count, BLOCK):
        transformed = np.fft.fft2(images[start : start + BLOCK].astype(np.float32), axes=(1, 2))
        found.append((np.abs(transformed) ** 2).mean(axis=3) / (height * width) + ROUNDING)
    each = np.concatenate(found).astype(np.float64)
    return Power(each.mean(axis=0), each.std(axis=0) / np.sqrt(count))


def _by_radius(samples: Power, real: Power) -> tuple[Values, Values]:
    """The ratio of the powers in each band of the radius, and its standard error: (bands,) each."""
    height, width = real.mean.shape
    bands = min(BANDS, min(height, width) // 2)
    band = _band(np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)), bands)
    band[0, 0] = bands  # the mean of an image belongs to none
    where = [band == i for i in range(bands)]
    ratios = [samples.mean[part].sum() / real.mean[part].sum() for part in where]
    errors = [np.linalg.norm(samples.error[part]) / real.mean[part].sum() for part in where]
    return np.array(ratios), np.array(errors)


def _band(radius: Values, bands: int) -> NDArray[np.int64]:
    """The band of each radius in cycles a pixel."""
    return np.minimum((radius / CORNER * bands).astype(np.int64), bands - 1)


def _grid(samples: dict[Size, Power], real: dict[Size, Power], size: Size, period: int) -> tuple[float, float, float]:
    """The ratio of the powers at a grid's frequencies, its standard error, and by how much they surely stand out."""
    height, width = filled = _filled(size, period)
    ours, theirs = samples[filled], real[filled]
    u, v = grid_frequencies(period)
    place = u * height // period, v * width // period
    ratios, errors = ours.mean[place] / theirs.mean[place], ours.error[place] / theirs.mean[place]
    excess = _over_neighbours(ours.mean)[place] / _over_neighbours(theirs.mean)[place]
    doubt = CERTAIN * _mean_error(errors / ratios * excess)
    return float(ratios.mean()), _mean_error(errors), float(excess.mean()) - doubt


def _over_neighbours(power: Values) -> Values:
    """Each power, divided by the geometric mean of those of the four neighbouring frequencies: (H, W) -> (H, W)."""
    around = np.mean([np.log(np.roll(power, shift, axis=(0, 1))) for shift in NEIGHBOURS], axis=0)
    ratios: Values = power / np.exp(around)
    return ratios


def _mean_error(errors: Values) -> float:
    """Standard error of the mean of independent values with these errors (k,)."""
    return float(np.linalg.norm(errors) / len(errors))
