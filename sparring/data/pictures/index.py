"""THE INDEX of a source: what was found in its files, so that unchanged files are not read again.

    images/index/SOURCE.json in the cache folder: {"version": 2, "sha256": ..., "files": {name: [stamp, found]}}

The index only saves time. A file counts as unchanged by its size and times; its content has a checksum. A damaged index
is ignored.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparring.data.arrays.formats import ENDINGS, READ
from sparring.data.arrays.ranges import Numbers
from sparring.data.pictures.decode import HEAD, MAX_BYTES, Unreadable, is_picture, look, look_numbers, may_be_deep
from sparring.data.pictures.listing import File
from sparring.data.pictures.parallel import DECODING, in_order
from sparring.files import atomic, marks, ownership
from sparring.files.cache_folder import cache_folder

SHEET = "Sparring made it from many images"
"""The reason to skip a contact sheet, a grid or an animation of Sparring."""
VERSION = 2
SMALL = 16 << 10
"""Bytes of a file that are read first. A smaller file is opened only once."""
YOUNG_NANOSECONDS = 2_000_000_000
"""A file changed this shortly before it was read may change again with the same time, so it is read again."""


@dataclass(frozen=True)
class Found:
    """What was found in a file: a picture, an unreadable picture, or something else."""

    sha256: str = ""
    """SHA-256 of its bytes; empty if it is not a picture."""
    size: tuple[int, int] = (0, 0)
    """Height and width of the upright picture."""
    reason: str | None = None
    """The reason why a picture cannot be read."""
    numbers: Numbers | None = None
    """Summary of its numbers, if they have more than 8 bits."""


def find_pictures(files: list[File], source: Path) -> list[Found]:
    """Examine the files of a source. Only new and changed files are read."""
    where = _where(source)
    known = _load(where)
    new = [file for file in files if _key(file) not in known or known[_key(file)][0] != file.stamp]
    now = time.time_ns()
    # By file, not by name: an archive may have two files of one name.
    fresh = dict(zip(new, in_order(_examine, new, "looking at the files"), strict=True))
    found = [fresh[file][0] if file in fresh else known[_key(file)][1] for file in files]
    if new or len(known) != len(files):
        young = now - YOUNG_NANOSECONDS
        lasting = (
            (file, one)
            for file, one in zip(files, found, strict=True)
            if file.stamp[1] < young and not fresh.get(file, (one, False))[1]
        )
        _save(where, lasting)
    return found


def _examine(file: File) -> tuple[Found, bool]:
    """Examine a file. The flag is True if the result may differ next time although the file does not change."""
    try:
        head = file.read(SMALL)
        if not is_picture(head[:HEAD]):
            return (Found(reason=_no_picture(file)) if file.parts[-1].lower().endswith(ENDINGS) else Found()), False
        with DECODING.take(file.stamp[0]):
            content = head if len(head) < SMALL else file.read(MAX_BYTES + 1)
            found = _look(content)
        if found.reason is None and may_be_deep(content):
            with DECODING.take(file.stamp[0] + math.prod(found.size)):
                found = _with_numbers(found, content)
        return found, False
    except Unreadable as unreadable:
        return Found(reason=str(unreadable)), True
    except MemoryError:
        return Found(reason="it does not fit into memory"), True


def _look(content: bytes) -> Found:
    """Examine the content of a file with the first bytes of a picture."""
    if len(content) > MAX_BYTES:
        return Found(reason=f"it is larger than the {MAX_BYTES >> 20} MiB that are read")
    if marks.is_sheet(content):
        return Found(reason=SHEET)
    digest = hashlib.sha256(content).hexdigest()
    try:
        return Found(digest, look(content))
    except Unreadable as unreadable:
        return Found(digest, reason=str(unreadable))


def _with_numbers(found: Found, content: bytes) -> Found:
    try:
        return dataclasses.replace(found, numbers=look_numbers(content))
    except Unreadable as unreadable:
        return dataclasses.replace(found, reason=str(unreadable))


def _no_picture(file: File) -> str:
    ending = "." + file.parts[-1].lower().rpartition(".")[2]
    if file.stamp[0] == 0:
        return "it is empty"
    return "it is not a picture" if ending in READ else f"{ending[1:].upper()} is not read"


def _key(file: File) -> str:
    return "/".join(file.parts)


def _where(source: Path) -> Path:
    name = hashlib.sha256(os.fsencode(os.path.realpath(source))).hexdigest()[:32]
    return cache_folder() / "images" / "index" / f"{name}.json"


def _load(path: Path) -> dict[str, tuple[tuple[int, ...], Found]]:
    """Read the index; empty if there is none or it is damaged."""
    try:
        saved: Any = json.loads(path.read_bytes())
        if saved["version"] != VERSION or saved["sha256"] != _sha256(saved["files"]):
            return {}
        return {name: (tuple(stamp), _from_json(found)) for name, (stamp, found) in saved["files"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _save(path: Path, found: Iterable[tuple[File, Found]]) -> None:
    files = {_key(file): [file.stamp, _to_json(one)] for file, one in found}
    saved = {"version": VERSION, "sha256": _sha256(files), "files": files}
    content = json.dumps(saved, separators=(",", ":")).encode()
    with contextlib.suppress(OSError):  # it only saves time
        ownership.make_folder(path.parent)
        atomic.write_bytes(path, content)


def _sha256(files: Any) -> str:
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def _to_json(one: Found) -> list[Any]:
    numbers = None if one.numbers is None else list(dataclasses.astuple(one.numbers))
    return [one.sha256, *one.size, one.reason, numbers]


def _from_json(value: Any) -> Found:
    sha256, height, width, reason, numbers = value
    if not (isinstance(sha256, str) and isinstance(height, int) and isinstance(width, int)):
        raise TypeError("not what an index holds")
    if not (reason is None or isinstance(reason, str)):
        raise TypeError("not what an index holds")
    if numbers is None:
        return Found(sha256, (height, width), reason)
    kind, low, high, negative, count = numbers
    return Found(
        sha256, (height, width), reason, Numbers(str(kind), float(low), float(high), float(negative), int(count))
    )
