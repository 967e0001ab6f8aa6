"""CHECKS of settings: each raises `RecipeError`, in one sentence that names the setting and says what it should be."""

import math

from sparring.errors import RecipeError


def check_count(name: str, value: int) -> None:
    if not isinstance(value, int) or value < 1:
        raise RecipeError(f"{name} must be a whole number of 1 or more, not {value!r}")


def check_widths(name: str, value: tuple[int, ...], length: int | None = None) -> None:
    if not isinstance(value, tuple) or not value or (length is not None and len(value) != length):
        raise RecipeError(f"{name} must be {length or 'one or more'} whole numbers, not {value!r}")
    for width in value:
        check_count(name, width)


def check_positive(name: str, value: float) -> None:
    if not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise RecipeError(f"{name} must be a number above 0, not {value!r}")


def check_fraction(name: str, value: float) -> None:
    if not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise RecipeError(f"{name} must be 0 or more and below 1, not {value!r}")


def check_not_negative(name: str, value: float) -> None:
    if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise RecipeError(f"{name} must be a number of 0 or more, not {value!r}")
