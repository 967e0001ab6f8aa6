"""THE SPECTRUM: held against the transform's definition, and against patterns whose grid is known."""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from sparring.evaluation.metrics import spectrum as module
from sparring.evaluation.metrics.spectrum import (
    BANDS,
    CORNER,
    ROUNDING,
    Spectrum,
    grid_frequencies,
    powers,
    spectrum,
)
from sparring.images import Images


@cache
def clouds(count: int, shape: tuple[int, int, int], seed: int = 0) -> Images:
    """Images with little power at high frequencies, as photographs have."""
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.normal(size=(count, *shape)), (0, 2, 2, 0)) * 6
    return rounded(128 + 40 * (smooth + 0.1 * random.normal(size=(count, *shape))))


def rounded(values: NDArray[np.floating]) -> Images:
    made: Images = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return made


def with_lines(images: Images, pixels: int, strength: float) -> Images:
    """A bright line every so many pixels, in both directions."""
    down, across = (np.arange(side) % pixels == 0 for side in images.shape[1:3])
    return rounded(images + strength * (down[:, None] | across)[None, :, :, None])


def compared(samples: Images, real: Images) -> Spectrum:
    return spectrum(powers(samples), powers(real))


def direct(image: NDArray[np.float64], u: float, v: float) -> float:
    """The power of an image (H, W) at a frequency in cycles a pixel, by the definition of the transform."""
    height, width = image.shape
    y, x = np.indices(image.shape)
    return float(abs((image * np.exp(-2j * np.pi * (u * y + v * x))).sum()) ** 2 / (height * width))


def test_power_is_that_of_the_transform() -> None:
    image = clouds(1, (16, 24, 1))
    found = powers(image)
    assert set(found) == {(16, 24), (15, 24), (15, 20), (12, 24), (14, 21)}
    for (height, width), power in found.items():
        cut = image[0, :height, :width, 0].astype(np.float64)
        expected = [[direct(cut, u / height, v / width) for v in range(width)] for u in range(height)]
        assert power.mean == pytest.approx(np.array(expected) + ROUNDING, rel=1e-3, abs=1e-2)
    many = powers(np.concatenate([image, 2 * (image // 4)]))
    assert many[16, 24].error[1, 1] == pytest.approx(
        np.std([powers(each[None])[16, 24].mean[1, 1] for each in (image[0], 2 * (image[0] // 4))]) / np.sqrt(2)
    )


def test_bands_are_sums_over_rings() -> None:
    samples, real = clouds(20, (16, 24, 3)), clouds(20, (16, 24, 3), 1)
    ours, theirs = (powers(images)[16, 24].mean for images in (samples, real))
    sums = np.zeros((2, 8))  # the shorter side has eight frequencies
    for i, u in enumerate(np.fft.fftfreq(16)):
        for j, v in enumerate(np.fft.fftfreq(24)):
            if (u, v) != (0, 0):
                sums[:, min(7, int(np.hypot(u, v) / CORNER * 8))] += ours[i, j], theirs[i, j]
    assert compared(samples, real).radial == pytest.approx(tuple(sums[0] / sums[1]))


def test_each_grid_has_its_own_frequencies_and_no_mirrored_ones() -> None:
    seen: set[tuple[float, float]] = set()
    for period in module.PERIODS:
        for u, v in zip(*(each / period for each in grid_frequencies(period)), strict=True):
            assert (u, v) not in seen and ((-u % 1, -v % 1) == (u, v) or (-u % 1, -v % 1) not in seen)
            seen.add((u, v))
    assert len(grid_frequencies(4)[0]) == 6  # of 15, 3 are those of two pixels, and of the others half are mirrored


@pytest.mark.parametrize(("pixels", "channels"), [(pixels, 1) for pixels in module.PERIODS] + [(4, 3)])
def test_a_grid_is_found_named_and_ordered_by_its_strength(pixels: int, channels: int) -> None:
    real, others = (clouds(300, (32, 32, channels), seed) for seed in (1, 2))
    found = [compared(with_lines(others, pixels, strength), real) for strength in (0, 8, 16, 32)]
    assert [each.alarm for each in found] == [False, True, True, True]
    assert all(each.period == pixels for each in found[2:])
    ratios = [each.grids[str(pixels)] for each in found]
    assert ratios == sorted(ratios) and ratios[0] == pytest.approx(1, abs=0.1)
    assert found[-1].grid == ratios[-1]


def test_blur_is_below_one_and_noise_above_and_neither_is_a_grid() -> None:
    real, others = (clouds(300, (28, 28, 1), seed) for seed in (1, 2))
    random = np.random.default_rng(3)
    blurred = [rounded(ndimage.gaussian_filter(others.astype(float), (0, s, s, 0))) for s in (0.5, 1, 2)]
    noisy = [rounded(others + random.normal(0, strength, others.shape)) for strength in (4, 16, 48)]
    found = [compared(each, real) for each in (*blurred[::-1], others, *noisy)]
    assert not any(each.alarm for each in found)
    fine = [each.fine for each in found]
    assert fine == sorted(fine) and fine[2] < 0.8 and fine[3] == pytest.approx(1, abs=0.05) and fine[4] > 1.1


@pytest.mark.parametrize("count", [20, 100, 500])
def test_real_images_raise_no_alarm(count: int) -> None:
    real = powers(clouds(500, (32, 32, 1), seed=1))
    for seed in range(2, 12):
        found = spectrum(powers(clouds(count, (32, 32, 1), seed)), real)
        assert not found.alarm
        assert abs(found.fine - 1) < 5 * np.hypot(found.errors["fine"], 0.02)


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 30, 4), (16, 128, 3)])
def test_every_shape_and_images_of_one_colour(shape: tuple[int, int, int]) -> None:
    flat = np.full((20, *shape), 7, np.uint8)
    found = compared(flat, flat)
    assert set(found.radial) == {1.0} and len(found.radial) == min(BANDS, shape[0] // 2)
    assert set(found.grids.values()) == {1.0} and max(map(int, found.grids)) == min(8, shape[0] // 2)
    noise = np.random.default_rng(0).integers(0, 256, flat.shape, np.uint8)
    assert np.isfinite([*compared(noise, flat).radial, *compared(flat, noise).radial]).all()
