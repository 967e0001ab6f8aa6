"""A SELECTION of images by their indices. Images are read when needed and not copied before."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

PIECE_BYTES = 16 << 20
"""Bytes in memory at once in an iteration over all images."""
RELEASED, PIECES_KEPT = 128 << 20, 8
"""Arrays mapped from disk that have at least this many bytes are released after this many pieces."""
ALIGNMENT = 64
"""Bytes. JAX does not copy an array to a CPU device if its address is a multiple of this."""


class Selection:
    """Images `whole[places]` (N, H, W, C), uint8, indexed like an array.

    `some[7]`, `some[10:20]` and `some[places]` read only these images; `np.asarray(some)` reads all.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, whole: NDArray[np.uint8], places: NDArray[Any]) -> None:
        self.whole, self.places = whole, places

    def __len__(self) -> int:
        return len(self.places)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, C)."""
        return (len(self.places), *self.whole.shape[1:])

    @property
    def size(self) -> int:
        """The number of values and of bytes."""
        return len(self.places) * int(np.prod(self.whole.shape[1:]))

    def __getitem__(self, which: Any) -> NDArray[np.uint8]:
        places = self.places[which]
        _expect(self.whole, np.ravel(places))
        found: NDArray[np.uint8] = np.asarray(self.whole)[places]
        return found

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self.whole[place] for place in self.places)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a selection cannot become an array without a copy")
        whole, done = aligned(self.shape), 0
        for piece in pieces(self):
            whole[done : done + len(piece)] = piece
            done += len(piece)
        return whole if dtype is None else whole.astype(dtype, copy=False)


ManyImages = NDArray[np.uint8] | Selection
"""Images (N, H, W, C), 0 to 255: in memory, mapped from disk, or a selection of either."""


def select(images: ManyImages, which: NDArray[Any]) -> Selection:
    """Select images by their indices or by a mask (N,)."""
    places = np.flatnonzero(which) if which.dtype == bool else which
    if isinstance(images, Selection):
        return Selection(images.whole, images.places[places])
    return Selection(images, places)


def _expect(whole: NDArray[np.uint8], places: NDArray[Any]) -> None:
    """Ask the system to read these images ahead if they are mapped from disk.

    It then reads many at once and no neighbours, which is ten times as fast for images not yet in memory.
    """
    mapped = _mapping(whole)
    if mapped is None or not hasattr(mmap, "MADV_WILLNEED"):
        return
    size = whole[0].nbytes
    begin = whole.ctypes.data - np.frombuffer(mapped, np.uint8).ctypes.data
    for first in (begin + size * places.astype(np.int64)).tolist():
        page = first - first % mmap.PAGESIZE
        mapped.madvise(mmap.MADV_WILLNEED, page, first + size - page)


def _release(whole: NDArray[Any]) -> None:
    """Let the system drop the pages of a large mapped array from memory."""
    mapped = _mapping(whole)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED") and whole.nbytes >= RELEASED:
        mapped.madvise(mmap.MADV_DONTNEED)


def _mapping(whole: NDArray[Any]) -> mmap.mmap | None:
    """The memory map of an array, if it is a contiguous, read-only one."""
    mapped = getattr(whole, "_mmap", None)
    return mapped if isinstance(mapped, mmap.mmap) and whole.flags.c_contiguous and not whole.flags.writeable else None


def aligned(shape: tuple[int, ...], dtype: Any = np.uint8) -> NDArray[Any]:
    """An uninitialised array at an aligned address."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % ALIGNMENT
    array: NDArray[Any] = memory[begin : begin + size].view(dtype).reshape(shape)
    return array


def pieces(images: ManyImages | NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Iterate over all images in order, a few megabytes at a time."""
    size = int(np.prod(images.shape[1:])) * images.dtype.itemsize
    count = max(1, PIECE_BYTES // max(1, size))
    whole = images.whole if isinstance(images, Selection) else images
    for start in range(0, len(images), count):
        yield images[start : start + count]
        if start // count % PIECES_KEPT == PIECES_KEPT - 1:
            _release(whole)
    _release(whole)
