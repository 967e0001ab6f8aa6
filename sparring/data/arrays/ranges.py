"""VALUE RANGES: which number in a file is black and which is white. Decided once for all images of a set.

Files hold bytes, 12 of 16 bits, floats in [0, 1], [-1, 1] or [-0.5, 0.5], and more. A usual range is accepted, an
unusual one is accepted with a note, and an ambiguous one is refused with a hint at `--range`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.errors import DataError
from sparring.images import Images, to_uint8

Array = NDArray[Any]
ValueRange = tuple[float, float]
"""The number that is black, and the number that is white."""

BYTES: ValueRange = (0, 255)
UNIT: ValueRange = (0, 1)
SYMMETRIC: ValueRange = (-1, 1)
HALF: ValueRange = (-0.5, 0.5)
SIXTEEN: ValueRange = (0, 65535)

BITS = (8, 10, 12, 14, 16)
"""Bits of cameras and scanners. Integers are read with the smallest of these that holds them."""
ROUNDING = 1 / 510
"""Half a gray level of [0, 1]."""
OVERSHOOT = 0.1
"""Resampling leaves values outside of a range by up to this fraction of it. They are clipped."""
FEW_NEGATIVE = 0.005
"""With a smaller share of negative values, floats are not read as [-1, 1]."""
DARK = 0.25
"""Images look black if their largest value is below this fraction of the range."""


@dataclass(frozen=True)
class Numbers:
    """A summary of the numbers of some images."""

    kind: str
    """The NumPy type."""
    low: float
    high: float
    negative: float
    """The share of negative numbers, except for rounding."""
    count: int

    @property
    def is_whole(self) -> bool:
        """Whether the type is an integer or a bool."""
        return not self.kind.startswith("float")


@dataclass(frozen=True)
class Reading:
    """The range of some numbers."""

    range: ValueRange
    note: str | None
    """A remark for the user."""


def numbers_of(parts: Iterable[Array], thorough: bool = True) -> Numbers:
    """Summarise one or more arrays of one type. Unless `thorough`, stop as soon as bytes are known to be usual.

    Raises `DataError` if some are NaN or infinite.
    """
    kind, low, high, negative, count, unusable = "", np.inf, -np.inf, 0, 0, 0
    for part in parts:
        kind = part.dtype.name
        if part.dtype.kind == "f":
            unusable += int(np.count_nonzero(~np.isfinite(part)))
        low, high = min(low, float(part.min())), max(high, float(part.max()))
        count += part.size
        if part.dtype.kind not in "bu":
            negative += int(np.count_nonzero(part < -ROUNDING))
        if kind == "uint8" and high >= DARK * 255 and not thorough:
            break
    if unusable:
        raise DataError(f"{unusable:,} values are NaN or infinite")
    return Numbers(kind, low, high, negative / max(count, 1), count)


def together(numbers: Iterable[Numbers]) -> Numbers:
    """Combine the summaries of one or more files of one type."""
    every = list(numbers)
    count = sum(one.count for one in every)
    return Numbers(
        every[0].kind,
        min(one.low for one in every),
        max(one.high for one in every),
        sum(one.negative * one.count for one in every) / count,
        count,
    )


def choose_range(numbers: Numbers, given: ValueRange | None, what: str = "the numbers") -> Reading:
    """Choose the range of these numbers, unless it is `given`. Raises `DataError` if it is ambiguous."""
    if given is not None:
        return Reading(given, _cut_off(numbers, given, what))
    if numbers.kind == "bool":
        return Reading(UNIT, None)
    return _choose_whole(numbers, what) if numbers.is_whole else _choose_floats(numbers, what)


def scaled(values: Array, chosen: ValueRange) -> Images:
    """Convert numbers of a range to bytes, rounded and clipped."""
    if values.dtype == np.uint8 and chosen == BYTES:
        return values
    low, high = chosen
    numbers = values.astype(np.float64)
    return to_uint8(numbers if chosen == SYMMETRIC else (numbers - low) / (high - low) * 2 - 1)


def range_words(chosen: ValueRange) -> str:
    """A range as written for `--range`."""
    return ",".join(f"{end:.6g}" for end in chosen)


# ------------------------------------------------------------------------------------------------ decisions


def _choose_whole(numbers: Numbers, what: str) -> Reading:
    low, high, kind = numbers.low, numbers.high, numbers.kind
    if low < 0:
        if (low, high) in ((-1, 0), (-1, 1)):
            return Reading(SYMMETRIC, _read_as(numbers, SYMMETRIC, what))
        raise _refusal(numbers, what, "negative whole numbers are ambiguous")
    if (low, high) == (0, 1):
        return Reading(UNIT, _read_as(numbers, UNIT, what))
    if kind == "uint8" or high == low:
        return Reading(BYTES, _dark(numbers, BYTES, what))
    bits = next((bits for bits in BITS if high < 2**bits), None)
    if bits is None:
        raise _refusal(numbers, what, "that is more than 16 bits")
    if high < 128:
        raise _refusal(numbers, what, "white may be the highest of them, or 255")
    chosen = (0, 2**bits - 1)
    return Reading(chosen, None if (kind, bits) == ("uint16", 16) else _read_as(numbers, chosen, what))


def _choose_floats(numbers: Numbers, what: str) -> Reading:
    low, high = numbers.low, numbers.high
    if low >= -ROUNDING and high <= 1 + ROUNDING:
        return Reading(UNIT, _dark(numbers, UNIT, what))
    if low >= -OVERSHOOT and 0.5 < high <= 1 + OVERSHOOT:
        return Reading(UNIT, _cut_off(numbers, UNIT, what))
    if low >= -1 - 2 * OVERSHOOT and high <= 1 + 2 * OVERSHOOT and low < -ROUNDING:
        return _choose_symmetric(numbers, what)
    if low >= -OVERSHOOT * 255 and 128 <= high <= (1 + OVERSHOOT) * 255:
        outside = low < -0.5 or high > 255.5
        return Reading(BYTES, _cut_off(numbers, BYTES, what) if outside else _read_as(numbers, BYTES, what))
    if -10 < low < -ROUNDING and high < 20:
        raise _refusal(numbers, what, "they look standardised (mean 0, deviation 1): save them before that step")
    raise _refusal(numbers, what, "floats should lie in [0, 1], [-1, 1] or [0, 255]")


def _choose_symmetric(numbers: Numbers, what: str) -> Reading:
    """Choose the range of floats within [-1, 1], some of them negative."""
    low, high = numbers.low, numbers.high
    if numbers.negative < FEW_NEGATIVE and high > 0.5:
        if low > -0.99:
            return Reading(UNIT, _cut_off(numbers, UNIT, what))
        return Reading(SYMMETRIC, f"{_read_as(numbers, SYMMETRIC, what)}; only {numbers.negative:.2%} are negative")
    if low >= HALF[0] * 1.1 and high <= HALF[1] * 1.1:
        if low > HALF[0] * 0.9 and high < HALF[1] * 0.9:
            raise _refusal(numbers, what, "black and white may be -1 and 1, or -0.5 and 0.5")
        return Reading(HALF, _read_as(numbers, HALF, what))
    outside = low < -1 - 2 * ROUNDING or high > 1 + 2 * ROUNDING
    if outside:
        return Reading(SYMMETRIC, _cut_off(numbers, SYMMETRIC, what))
    return Reading(SYMMETRIC, _read_as(numbers, SYMMETRIC, what) if low > -0.9 else None)


# ------------------------------------------------------------------------------------------------ words

ADVICE = "--range LOW,HIGH sets black and white"


def _from_to(numbers: Numbers, what: str) -> str:
    kind = "0 and 1 only" if (numbers.low, numbers.high) == (0, 1) and numbers.is_whole else ""
    return f"{what} ({numbers.kind}) {f'are {kind}' if kind else f'run from {numbers.low:.6g} to {numbers.high:.6g}'}"


def _read_as(numbers: Numbers, chosen: ValueRange, what: str) -> str:
    low, high = chosen
    return f"{_from_to(numbers, what)}; {low:g} is read as black and {high:g} as white ({ADVICE})"


def _cut_off(numbers: Numbers, chosen: ValueRange, what: str) -> str | None:
    """A note if numbers are outside of the range, except for rounding."""
    low, high = chosen
    if numbers.kind == "bool" or (
        numbers.low >= low - (high - low) * ROUNDING and numbers.high <= high + (high - low) * ROUNDING
    ):
        return _dark(numbers, chosen, what)
    return f"{_read_as(numbers, chosen, what)}; numbers outside are clipped"


def _dark(numbers: Numbers, chosen: ValueRange, what: str) -> str | None:
    low, high = chosen
    if numbers.high == numbers.low or numbers.high >= low + DARK * (high - low):
        return None
    brighter = range_words((low, numbers.high))
    return f"{_read_as(numbers, chosen, what)}; the images look black; --range {brighter} makes them brighter"


def _refusal(numbers: Numbers, what: str, why: str) -> DataError:
    suggestion = range_words((min(numbers.low, 0) if numbers.is_whole else numbers.low, numbers.high))
    return DataError(
        f"{_from_to(numbers, what)}, and {why}; set black and white with --range LOW,HIGH, "
        f"for example --range {suggestion}"
    )
