"""CHECKS of settings: each raises `RecipeError`, in one sentence that names the setting and says what it should be."""

import itertools
from typing import Any

from sparring.errors import RecipeError

LARGEST_COUNT = 2**31 - 1
"""JAX counts in int32."""
LARGEST_NUMBER = 3e38
"""JAX computes in float32, which ends a little above."""
LARGEST_WIDTH, LARGEST_CHANNELS, MOST_LAYERS = 65_536, 4096, 100
"""Neurons or channels of a layer, and layers. Memory gives up long before."""
MOST_WEIGHTS = 2**28
"""Between two layers: 1 GB, and optimisers keep two more of it."""


def check_count(name: str, value: int, most: int = LARGEST_COUNT) -> None:
    if not isinstance(value, int) or value < 1:
        raise RecipeError(f"{name} must be a whole number of 1 or more, not {value!r}")
    if value > most:
        raise RecipeError(f"{name} must be at most {most}, not {value}")


def check_count_or_zero(name: str, value: int) -> None:
    if not 0 <= value <= LARGEST_COUNT:
        raise RecipeError(f"{name} must lie between 0 and {LARGEST_COUNT}, not {value}")


def check_widths(name: str, value: tuple[int, ...], length: int | None = None, largest: int = LARGEST_WIDTH) -> None:
    if not isinstance(value, tuple) or not value or (length is not None and len(value) != length):
        raise RecipeError(f"{name} must be {length or 'one or more'} whole numbers, not {value!r}")
    if len(value) > MOST_LAYERS:
        raise RecipeError(f"{name} must be at most {MOST_LAYERS} whole numbers, not {len(value):,}")
    for width in value:
        check_count(name, width, largest)
    for before, after in itertools.pairwise(value):
        if before * after > MOST_WEIGHTS:
            raise RecipeError(
                f"{name} has layers of {before:,} and {after:,} neurons, so {before * after:,} weights between them; "
                f"{MOST_WEIGHTS:,} are the most"
            )


def check_positive(name: str, value: float) -> None:
    if not _is_number(value) or value <= 0:
        raise RecipeError(f"{name} must be a number above 0, not {value!r}")
    _check_size(name, value)


def check_fraction(name: str, value: float) -> None:
    if not _is_number(value) or not 0 <= value < 1:
        raise RecipeError(f"{name} must be 0 or more and below 1, not {value!r}")


def check_not_negative(name: str, value: float) -> None:
    if not _is_number(value) or value < 0:
        raise RecipeError(f"{name} must be a number of 0 or more, not {value!r}")
    _check_size(name, value)


def parse_range(text: str) -> tuple[float, float]:
    """The numbers that are black and white, from "0,1". Raises `RecipeError` for anything else."""
    try:
        low, high = (float(end) for end in text.split(","))
    except ValueError:
        low, high = 0.0, 0.0
    if not low < high or abs(low) > LARGEST_NUMBER or abs(high) > LARGEST_NUMBER:
        raise RecipeError(
            f"range must be two numbers, black and white, such as 0,1 or -1,1, the lower first; not {text!r}"
        )
    return low, high


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) < float("inf")


def _check_size(name: str, value: float) -> None:
    if value > LARGEST_NUMBER:
        raise RecipeError(f"{name} must be at most {LARGEST_NUMBER:g}, not {value!r}")
