"""JSON objects with a checksum, in a file or on a line, so that later changes are detected.

Files of older versions have no checksum and are read unchecked. Damage cannot make a file look like one of those: an
object with a checksum has two marks, and either one requires the other.
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
"""The two keys that mark a file with a checksum."""
LONGEST_INTEGER = 20
"""Maximum digits of a whole number in JSON. Counts have at most 16."""
LONGEST_REASON = 200
"""Maximum characters of the reason in a message."""
LINE = re.compile(r'(\{.*), "crc32": "([0-9a-f]{8})"\}')
"""A line with a checksum."""


class OtherFormat(ValueError):
    """A file has a format that this version cannot read."""


def damaged(path: Path, error: ValueError) -> str:
    """Return the message for a damaged file."""
    return f"{path} {error}" if isinstance(error, OtherFormat) else f"{path} is damaged: {shortened(str(error))}"


def shortened(text: str) -> str:
    """Shorten a text: a value in a damaged file may have any length."""
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]} ..."


def write(path: Path, value: Object, may_replace: MayReplace | None = None) -> None:
    """Write the object to `path`, with a checksum."""
    marked = {SEALED: True} | value
    atomic.write_json(path, marked | {CHECKSUM: digest(marked)}, may_replace)


def opened(value: Any, always: bool = False) -> Object:
    """Verify the checksum and return the object without it.

    Raises `ValueError` if the object was changed or is not an object; with `always` also if it has no checksum.
    """
    if not isinstance(value, dict):
        raise ValueError("it should be a JSON object")
    if SEALED not in value and CHECKSUM not in value and not always:
        return value  # written by an older version
    claimed = value.pop(CHECKSUM, None)
    if claimed != digest(value):
        raise ValueError("its checksum does not match its content")
    return {name: part for name, part in value.items() if name != SEALED}


def read(path: Path, always: bool = False) -> Object:
    """Read and verify the object in a file. Raises `OSError`, or `ValueError` if it is damaged."""
    return opened(parse(read_plain(path, LARGEST_JSON)), always)


def parse(text: str | bytes) -> Any:
    """Parse JSON strictly: numbers are finite, and names in an object are unique. Raises `ValueError`."""
    try:
        return json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_number, parse_float=_finite, parse_int=_short
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def digest(value: Object) -> str:
    """Return the SHA-256 of the object as JSON with sorted keys. Raises `ValueError`."""
    try:
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def line(value: Object) -> str:
    """Return the object as one line with a checksum."""
    text = json.dumps(value)[:-1]
    return f'{text}, "crc32": "{_sum(text)}"}}\n'


class Lines:
    """Reads the lines of one file in order."""

    def __init__(self) -> None:
        self._all_sealed = False

    def read(self, text: str) -> Object | None:
        """Return the object on a line; None if the line was cut short or changed.

        After the first line with a checksum, a line without one is damaged.
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
        raise ValueError("an object in it has a duplicate name")
    return made


def _no_number(text: str) -> Any:
    raise ValueError(f"it holds {text}, which is not a JSON number")


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError("it holds a number that is too large")
    return number


def _short(text: str) -> int:
    if len(text) > LONGEST_INTEGER:
        raise ValueError("it holds a number that is too large")
    return int(text)
