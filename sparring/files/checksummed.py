"""SEALED JSON: an object with a checksum of itself, in a file or on a line, so that what was changed later is noticed.

What older versions wrote has no checksum and is read as it is. Damage does not make one into the other: a sealed object
has two marks, and whoever finds one of them looks for the other.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import zlib
from pathlib import Path
from typing import Any

from sparring.files import atomic
from sparring.files.atomic import MayReplace
from sparring.files.untrusted import LARGEST_JSON, read_plain

Object = dict[str, Any]

SEALED, CHECKSUM = "sealed", "sha256"
"""The two marks of a file."""
LONGEST_INTEGER = 20
"""Digits of a number in JSON; a count has no more than 16."""
LONGEST_REASON = 200
"""Characters of what is wrong with a file."""
LINE = re.compile(r'(\{.*), "crc32": "([0-9a-f]{8})"\}')
"""What a sealed line looks like."""


class OtherFormat(ValueError):
    """A file is of a format that this version does not read."""


def damaged(path: Path, error: ValueError) -> str:
    """The sentence about a file that is not what it should be."""
    return f"{path} {error}" if isinstance(error, OtherFormat) else f"{path} is damaged: {shortened(str(error))}"


def shortened(text: str) -> str:
    """The text, or its beginning: a value in a damaged file may have any length."""
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]} ..."


def write(path: Path, value: Object, may_replace: MayReplace | None = None) -> None:
    """Put the object at `path`, sealed."""
    marked = {SEALED: True} | value
    atomic.write_json(path, marked | {CHECKSUM: digest(marked)}, may_replace)


def opened(value: Any, always: bool = False) -> Object:
    """The object as it was written. Raises `ValueError` where it was changed since, or is no object; if `always`, also
    where it has no checksum."""
    if not isinstance(value, dict):
        raise ValueError("it should hold an object")
    if SEALED not in value and CHECKSUM not in value and not always:
        return value  # of an older version
    claimed = value.pop(CHECKSUM, None)
    if claimed != digest(value):
        raise ValueError("it is not as it was written: its checksum does not fit")
    return {name: part for name, part in value.items() if name != SEALED}


def read(path: Path, always: bool = False) -> Object:
    """The object in a file. Raises `OSError` where it cannot be read, `ValueError` where it is damaged."""
    return opened(parse(read_plain(path, LARGEST_JSON)), always)


def parse(text: str | bytes) -> Any:
    """The JSON value of a text: finite numbers, no name twice in an object. Raises `ValueError`."""
    try:
        return json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_number, parse_float=_finite, parse_int=_short
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def digest(value: Object) -> str:
    """SHA-256 of the object as JSON, whatever the order of its keys. Raises `ValueError`."""
    try:
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def line(value: Object) -> str:
    """The object as one sealed line."""
    text = json.dumps(value)[:-1]
    return f'{text}, "crc32": "{_sum(text)}"}}\n'


class Lines:
    """Reads the lines of one file, one after the other."""

    def __init__(self) -> None:
        self._all_sealed = False

    def read(self, text: str) -> Object | None:
        """The object on the line as it was written, and None where it was cut short or changed since.

        After the first sealed line all are: one without a checksum has lost it.
        """
        found = LINE.fullmatch(text.rstrip("\n"))
        if found is None and (self._all_sealed or '"crc32"' in text):
            return None
        self._all_sealed |= found is not None
        if found is not None and found[2] != _sum(found[1]):
            return None
        try:
            value = parse(text if found is None else found[1] + "}")
        except ValueError:
            return None
        return value if isinstance(value, dict) else None


def _sum(text: str) -> str:
    return f"{zlib.crc32(text.encode(errors='replace')):08x}"


def _object(pairs: list[tuple[str, Any]]) -> Object:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("an object in it has the same name twice")
    return made


def _no_number(text: str) -> Any:
    raise ValueError(f"it holds {text}, which is no number")


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError("it holds a number that is too large")
    return number


def _short(text: str) -> int:
    if len(text) > LONGEST_INTEGER:
        raise ValueError("it holds a number that is too large")
    return int(text)
