"""UNPACKED DATA is kept in memory if it is small, else in a temporary file.

The file has no name, so it disappears when the program ends. Unpacked data uses less memory than `LARGE` and than a
quarter of the free memory. Free disk space is checked before writing.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from sparring.errors import DataError
from sparring.files import ownership
from sparring.files.cache_folder import cache_folder
from sparring.system.machine import free_here

LARGE = 256 << 20
"""Data of at least this many bytes is mapped from disk."""
MAX_CONTENT = 8 << 30
"""The largest size in bytes to which a compressed file may unpack (8 GiB)."""
ADVICE = "set SPARRING_CACHE to a folder on another disk"
MAX_RATIO, LEAST_SUSPICIOUS = 200, 64 << 20
"""A file that unpacks to more than 64 MiB and to more than 200 times its size is refused. MNIST unpacks to 5 times its
size, simple drawings to 50 times, the shapes of dSprites to 115 times."""


def refuse_bomb(name: object, promised: int, packed: int) -> None:
    """Raise `DataError` if a file of `packed` bytes unpacks to far more than pictures do (a zip bomb)."""
    if promised > MAX_CONTENT:
        raise DataError(
            f"{name} unpacks to {promised:,} bytes, more than the limit of {MAX_CONTENT:,}; unpack it yourself "
            "and give that file"
        )
    if promised > LEAST_SUSPICIOUS and promised > MAX_RATIO * packed:
        raise DataError(
            f"{name} has {packed:,} bytes and unpacks to {promised:,}, more than {MAX_RATIO} times its size; if you "
            "trust it, unpack it yourself and give that file"
        )


def keep(name: object, blocks: Iterable[bytes | memoryview], promised: int) -> NDArray[np.uint8]:
    """Collect the bytes of the blocks (N,), about `promised` in all, in memory or in a file.

    Raises `DataError`, with the `name` of the unpacked file, if there is no room.
    """
    if not is_large(promised):
        memory = bytearray()
        for block in blocks:
            memory += block
        return np.frombuffer(memory, np.uint8)
    return _on_disk(name, blocks, promised)


def is_large(size: int) -> bool:
    """Whether this many bytes are too many for memory."""
    if size < LARGE // 16:
        return False
    free = free_here()
    return size >= LARGE or (free is not None and size > free // 4)


def in_blocks(array: NDArray[np.generic]) -> Iterator[memoryview]:
    """Iterate over the bytes of an array, a few megabytes at a time."""
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return (flat[start : start + (16 << 20)].data for start in range(0, len(flat), 16 << 20))


def _on_disk(name: object, blocks: Iterable[bytes | memoryview], promised: int) -> NDArray[np.uint8]:
    folder = cache_folder()

    @contextmanager
    def written() -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(
                f"{name} unpacks to {promised / 1e9:,.1f} GB, which cannot be kept in {folder} ({error.strerror}): "
                f"{ADVICE}"
            ) from None

    with written():
        ownership.make_folder(folder)
        free = shutil.disk_usage(folder).free
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed below)
    with file:
        if free < promised:
            raise DataError(
                f"{name} unpacks to {promised / 1e9:,.1f} GB, and {folder} has {free / 1e9:,.1f} GB left: {ADVICE}"
            )
        for block in blocks:  # errors of the blocks are not errors of the disk
            with written():
                file.write(block)
        with written():
            file.flush()
            return np.memmap(file, np.uint8, "r") if file.tell() else np.zeros(0, np.uint8)
