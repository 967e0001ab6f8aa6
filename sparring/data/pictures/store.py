"""THE STORE: decoded pixels in the user's cache folder, mapped into memory.

    images/KEY/pixels       uint8, (N, H, W, C), nothing else
    images/KEY/about.json   {"shape", "failed", "sha256" of these two and the pixels}

The key depends on everything that determines the pixels. Folders are created atomically, so several processes may do it
at once. Damage is detected by the checksum and repaired.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sparring import interrupts
from sparring.data.selection import pieces
from sparring.errors import DataError
from sparring.files import atomic, ownership
from sparring.files.cache_folder import cache_folder

VERSION = 1
"""Part of every key. Increase it if the same files give other pixels than before."""
DEAD_SECONDS = 2 * 86_400.0
"""An unfinished folder of this age is left over from a dead process."""
UNFINISHED = "unfinished-"
CHUNK_BYTES = 16 << 20

Shape = tuple[int, int, int, int]
Failed = dict[int, str]
"""Index of a picture -> the reason why it could not be decoded."""


@dataclass(frozen=True, eq=False)
class Stored:
    """The entry of a key."""

    pixels: NDArray[np.uint8]
    """(N, H, W, C), read-only, mapped from disk; N may be 0."""
    failed: Failed
    """The pictures that are missing in `pixels`."""


Write = Callable[[BinaryIO], tuple[Shape, Failed]]
"""Writes pixels to a file that it may also read. Returns their shape and the failed pictures."""


def key_of(*words: object) -> str:
    """A key that is unique for these values."""
    return hashlib.sha256(json.dumps([VERSION, *words]).encode()).hexdigest()[:32]


def stored(key: str, largest: int, write: Write) -> Stored:
    """Get the entry of `key`. If it is missing, let `write` make it, with at most `largest` bytes.

    Raises `DataError` if the cache folder cannot be written or is full.
    """
    folder = cache_folder() / "images" / key
    if (found := _opened(folder)) is not None:
        return found
    try:
        ownership.make_folder(folder.parent)
        _clear_dead(folder.parent)
        made = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder.parent))
    except OSError as error:
        raise DataError(
            f"the decoded pictures cannot be kept in {folder.parent} ({error.strerror}); "
            "set SPARRING_CACHE to a folder that can be written"
        ) from None
    try:
        with interrupts.temporary(made):
            _check_room(folder.parent, largest)
            _fill(made, write)
            _put(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    if (found := _opened(folder)) is None:
        raise DataError(f"what was just written to {folder} cannot be read back; is the disk damaged?")
    return found


def _opened(folder: Path) -> Stored | None:
    """Read a folder of the store; None if it is missing, damaged, or owned by another user."""
    try:
        if ownership.fault(folder):
            return None
        about: Any = json.loads((folder / "about.json").read_bytes())
        shape: Any = tuple(about["shape"])
        failed = {int(place): str(reason) for place, reason in about["failed"]}
        if len(shape) != 4 or not all(isinstance(side, int) and side >= 0 for side in shape):
            return None
        path = folder / "pixels"
        if path.stat().st_size != math.prod(shape):
            return None
        pixels = np.memmap(path, np.uint8, "r", shape=shape) if math.prod(shape) else np.zeros(shape, np.uint8)
        digest = _about(about["shape"], about["failed"])
        for piece in pieces(pixels):
            digest.update(piece.data)
        if digest.hexdigest() != about["sha256"]:
            return None
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return Stored(pixels, failed)


def _fill(folder: Path, write: Write) -> None:
    path = folder / "pixels"
    with path.open("w+b") as file:
        shape, failed = write(file)
    digest = _about(shape, sorted(failed.items()))
    with path.open("rb") as file:
        hashlib.file_digest(file, lambda: digest)
    atomic.sync(path)
    about = {"shape": shape, "failed": sorted(failed.items()), "sha256": digest.hexdigest()}
    atomic.write_json(folder / "about.json", about)


def _about(shape: Any, failed: Any) -> Any:
    """The checksum of everything except the pixels."""
    return hashlib.sha256(json.dumps([shape, failed]).encode())


def _put(made: Path, folder: Path) -> None:
    """Give the new folder its final name, unless another process was faster."""
    for _ in range(2):
        with contextlib.suppress(OSError):
            made.rename(folder)
            atomic.sync(folder.parent)
            return
        if _opened(folder) is not None:
            return
        damaged = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder.parent))
        with contextlib.suppress(OSError):  # another process has just removed it
            folder.rename(damaged / "damaged")
        shutil.rmtree(damaged, ignore_errors=True)


def _check_room(folder: Path, largest: int) -> None:
    free = shutil.disk_usage(folder).free
    if largest > free:
        raise DataError(
            f"the decoded pictures take up to {largest / 1e9:,.1f} GB, but {folder} has {free / 1e9:,.1f} GB left; "
            "choose a smaller --size, or set SPARRING_CACHE to another disk"
        )


def _clear_dead(images: Path) -> None:
    for folder in images.glob(f"{UNFINISHED}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > DEAD_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
