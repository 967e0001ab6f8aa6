"""UNPACKED DATA: where the values go that a file holds: into memory if they are few, else into a file on the disk.

That file has no name: it is gone with the program, however this ends. So what a file unpacks to takes no more memory
than `LARGE` and a quarter of what is free, and the disk is asked for room before it is written to.
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
"""Values of so many bytes or more are not read into memory but mapped from the disk."""
MAX_CONTENT = 8 << 30
"""No packed file that promises more bytes than this (8 GiB) is read. What is not packed may have any size."""
ADVICE = "set SPARRING_CACHE to a folder on another disk"
MAX_RATIO, LEAST_SUSPICIOUS = 200, 64 << 20
"""No file is unpacked that promises more than 64 MiB, and more than 200 times its size. MNIST unpacks to 5 times its
size, drawings of a few strokes to 50 times, the shapes of dSprites to 115 times."""


def refuse_bomb(name: object, promised: int, packed: int) -> None:
    """Raise `DataError` where a file of `packed` bytes promises to unpack to far more than pictures do."""
    if promised > MAX_CONTENT:
        raise DataError(
            f"{name} promises {promised:,} bytes, more than the {MAX_CONTENT:,} that are unpacked; unpack it yourself "
            "and give that file"
        )
    if promised > LEAST_SUSPICIOUS and promised > MAX_RATIO * packed:
        raise DataError(
            f"{name} has {packed:,} bytes and unpacks to {promised:,}, more than {MAX_RATIO} times its size; if it is "
            "no trap, unpack it yourself and give that file"
        )


def keep(name: object, blocks: Iterable[bytes | memoryview], promised: int) -> NDArray[np.uint8]:
    """All bytes of the blocks (N,), which should come to `promised`: in memory, or mapped from the disk.

    Raises `DataError`, with the `name` of what is unpacked, where neither has room.
    """
    if not is_large(promised):
        memory = bytearray()
        for block in blocks:
            memory += block
        return np.frombuffer(memory, np.uint8)
    return _on_disk(name, blocks, promised)


def is_large(size: int) -> bool:
    """Whether so many bytes are too many for memory."""
    if size < LARGE // 16:
        return False
    free = free_here()
    return size >= LARGE or (free is not None and size > free // 4)


def in_blocks(array: NDArray[np.generic]) -> Iterator[memoryview]:
    """The bytes of an array, a few megabytes at a time."""
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
        for block in blocks:  # what goes wrong with these is no fault of the disk
            with written():
                file.write(block)
        with written():
            file.flush()
            return np.memmap(file, np.uint8, "r") if file.tell() else np.zeros(0, np.uint8)
