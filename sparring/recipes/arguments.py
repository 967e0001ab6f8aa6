"""ARGUMENTS of the public functions: values of many kinds whose meaning is plain, as Python's own; others are refused.

NumPy's and JAX's numbers are numbers, 1e4 is a whole number, a list is a tuple, a `Path` or a `Run` is a path. A bool
is not a number, nor is a text. Each function raises `UsageError` with the name, what is expected, and the value.
"""

from __future__ import annotations

import os
import re
import reprlib
from pathlib import Path
from typing import Any

from sparring.errors import UsageError

MOST_SEED = 2**32 - 1
LARGEST = 2**63 - 1
SCIENTIFIC = re.compile(r"[+-]?[0-9]+(_[0-9]+)*(\.[0-9]+)?[eE][+]?[0-9]{1,3}")


def plain(value: Any) -> Any:
    """A number of NumPy or JAX as Python's own, of a short float the number that it prints; all else as it is."""
    if type(value).__module__ == "builtins" or getattr(value, "shape", None) != () or not hasattr(value, "item"):
        return value
    short = getattr(value.dtype, "kind", "") == "f" and value.dtype.itemsize < 8
    return float(str(value)) if short else value.item()


def whole_or_same(value: Any) -> Any:
    """A number without a fraction as an int; all else as it is, for the caller to refuse."""
    value = plain(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def whole(name: str, value: Any, least: int, most: int = LARGEST) -> int:
    """A whole number between these."""
    found = whole_or_same(value)
    if not isinstance(found, int) or isinstance(found, bool):
        raise UsageError(f"{name} should be a whole number, not {shown(value)}")
    if not least <= found <= most:
        size = f"{least:,} or more" if most == LARGEST else f"between {least:,} and {most:,}"
        raise UsageError(f"{name} should be {size}, not {found:,}")
    return found


def seed(value: Any, name: str = "seed") -> int:
    """A seed: from 0 to 2**32 - 1."""
    return whole(name, value, 0, MOST_SEED)


def not_negative(name: str, value: Any) -> float:
    """A finite number of 0 or more."""
    found = plain(value)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < float("inf"):
        raise UsageError(f"{name} should be a number of 0 or more, not {shown(value)}")
    return float(found)


def flag(name: str, value: Any) -> bool:
    """True or false."""
    found = plain(value)
    if not isinstance(found, bool):
        raise UsageError(f"{name} should be True or False, not {shown(value)}")
    return found


def path(name: str, value: Any) -> Path:
    """A path: a text, a `Path`, or a run."""
    value = getattr(value, "path", value) if type(value).__module__.startswith("sparring.") else value
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise UsageError(f"{name} should be a path or a run, not {shown(value)}")
    return Path(text)


def folder(name: str, value: Any) -> Path:
    """The path of a folder, which need not exist."""
    found = path(name, value)
    if not found.is_dir() and os.path.lexists(found):
        raise UsageError(f"{name} should be a folder, and {found} is not one")
    return found


def parse_whole(text: str) -> int:
    """A whole number as people write it: 3000, 3_000 or 3e3. Raises `ValueError` with what is expected."""
    if SCIENTIFIC.fullmatch(text.strip()) and (number := float(text)).is_integer():
        return int(number)
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"should be a whole number, such as 3000 or 3e3, not {text!r}") from None


def shown(value: Any) -> str:
    """A value in a message: of an array its shape, of anything long the beginning."""
    if getattr(value, "shape", ()) != ():
        return f"an array of the shape {tuple(value.shape)}"
    return reprlib.repr(value)
