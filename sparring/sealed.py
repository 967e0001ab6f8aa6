"""SEALED JSON: an object with a checksum of itself, in a file or on a line, so that what was changed later is noticed.

What older versions wrote has no checksum and is read as it is. Damage does not make one into the other: a sealed object
has two marks, and whoever finds one of them looks for the other.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from pathlib import Path
from typing import Any

from sparring import atomic
from sparring.atomic import MayReplace
from sparring.plain import LARGEST_JSON, read_plain

Object = dict[str, Any]

SEALED, CHECKSUM = "sealed", "sha256"
"""The two marks of a file."""
LINE = re.compile(r'(\{.*), "crc32": "([0-9a-f]{8})"\}')
"""What a sealed line looks like."""


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
    return opened(json.loads(read_plain(path, LARGEST_JSON)), always)


def digest(value: Object) -> str:
    """SHA-256 of the object as JSON, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


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
            value = json.loads(text if found is None else found[1] + "}")
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


def _sum(text: str) -> str:
    return f"{zlib.crc32(text.encode(errors='replace')):08x}"
