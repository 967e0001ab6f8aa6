"""ARRAYS of images in an NPZ file. Its headers are held against what is allowed before any memory is taken."""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sparring.data.files import shown
from sparring.data.unpacked import LARGE, in_blocks, is_large, keep, refuse_bomb
from sparring.errors import DataError, reason
from sparring.images import Images, to_uint8
from sparring.selection import PIECE_BYTES, pieces

KEYS = ("images", "samples", "x", "arr_0")
"""Names under which an `.npz` may hold its images; or under any, if it holds one array only, or one of 3 or 4
dimensions."""
LABELS = "labels"
MAX_HEADER = 1 << 14
"""Bytes of an array's header; NumPy itself believes no more than 10,000, but reads as many as it is told."""
LOCAL_HEADER = "<26x2H"
"""What stands in a zip file before a name: the last two numbers are the lengths of the name and of what comes after."""

Array = NDArray[Any]
Shape = tuple[int, ...]


def read_npz(path: Path) -> tuple[Images, Array | None]:
    """(the images of an NPZ file (N, H, W, C), uint8; its array `labels` as it is, or None).

    The images are (N, H, W), (N, H, W, C) or (N, C, H, W); uint8, or floats in [0, 1] or [-1, 1].

    Raises `DataError`, in one sentence, for anything else.
    """
    with opened_npz(path) as archive:
        headers = {name: _header(archive, name) for name in _names(archive)}
        chosen = _chosen(path, headers)
        images = read_array(path, archive, chosen)
        labels = read_array(path, archive, LABELS) if LABELS in headers and chosen != LABELS else None
    return as_images(path, images), labels


@contextmanager
def opened_npz(path: Path) -> Iterator[zipfile.ZipFile]:
    """An NPZ file to `read_array` from. Whatever goes wrong with it inside becomes a `DataError`."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except DataError:
        raise
    except MemoryError:
        raise DataError(f"{path} does not fit into memory") from None
    except Exception as error:  # NumPy and zipfile raise whatever damaged bytes lead them to
        raise DataError(f"{path} is damaged or no archive of plain arrays ({reason(error)})") from None


def is_npz(names: list[str]) -> bool:
    """Whether a zip file with these members is an NPZ file."""
    return bool(names) and all(name.endswith(".npy") for name in names)


def as_images(path: Path, array: Array) -> Images:
    """An array of images of any usual form as (N, H, W, C), uint8. Raises `DataError` for another one."""
    if array.ndim == 3:
        array = array[..., np.newaxis]
    if array.ndim != 4:
        raise DataError(f"{path}: images should have the shape N x H x W or N x H x W x C, not {array.shape}")
    if array.shape[-1] not in (1, 3, 4) and array.shape[1] in (1, 3, 4):
        array = np.moveaxis(array, 1, -1)  # N x C x H x W, as PyTorch has them
    if array.shape[-1] not in (1, 3, 4):
        raise DataError(f"{path}: images should have 1, 3 or 4 channels; their shape is {array.shape}")
    if array.size == 0:
        raise DataError(f"{path} holds no images: its shape is {array.shape}")
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"{path}: images should be uint8 or floats, not {array.dtype}")
    if unusable := sum(np.count_nonzero(~np.isfinite(part)) for part in pieces(array)):
        raise DataError(f"{path}: {unusable:,} values are not finite numbers")
    low, high = (min(float(part.min()) for part in pieces(array)), max(float(part.max()) for part in pieces(array)))
    if low < -1 or high > 1:
        raise DataError(f"{path}: floats should lie in [0, 1] or [-1, 1], but they run from {low:.4g} to {high:.4g}")

    def in_bytes() -> Iterator[memoryview]:
        for part in pieces(array):
            values = part.astype(np.float64)
            yield from in_blocks(to_uint8(values if low < 0 else values * 2 - 1))

    return keep(path, in_bytes(), array.size).reshape(array.shape)


def class_labels(path: Path, labels: Array, count: int) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """(labels (count,), the names of the classes) from whole numbers or texts, (count,) or (count, 1)."""
    if labels.shape not in ((count,), (count, 1)):
        raise DataError(f"{path}: labels should have the shape ({count},), one an image, not {labels.shape}")
    if not (np.issubdtype(labels.dtype, np.integer) or labels.dtype.kind == "U"):
        raise DataError(f"{path}: labels should be whole numbers or texts, not {labels.dtype}")
    names, indices = np.unique(labels.reshape(-1), return_inverse=True)
    try:
        return indices.astype(np.int32), tuple(shown(str(name)) for name in names)
    except (ValueError, SystemError):  # the latter from NumPy
        raise DataError(f"{path}: some labels are texts of characters that there are not") from None


def _names(archive: zipfile.ZipFile) -> list[str]:
    return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def _chosen(path: Path, headers: dict[str, Shape]) -> str:
    """The name of the array with the images."""
    pictures = [name for name, shape in headers.items() if len(shape) in (3, 4)]
    others = [names[0] for names in (list(headers), pictures) if len(names) == 1]
    chosen = next((name for name in (*KEYS, *others) if name in headers), None)
    if chosen is None:
        raise DataError(
            f"{path} should hold its images under the key 'images'; it holds {', '.join(headers) or 'nothing'}"
        )
    return chosen


def _header(archive: zipfile.ZipFile, name: str) -> Shape:
    with archive.open(f"{name}.npy") as member:
        return _read_header(member)[0]


def _read_header(member: IO[bytes]) -> tuple[Shape, np.dtype[Any], bool, int]:
    """(shape, type, whether the first axis changes fastest, where the values begin)."""
    head = io.BytesIO(member.read(MAX_HEADER))
    version = np.lib.format.read_magic(head)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(head)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(head)
    else:
        raise ValueError(f"an array of the unknown version {version}")
    return shape, dtype, fortran, head.tell()


def read_array(path: Path, archive: zipfile.ZipFile, name: str) -> Array:
    """The array of that name: in memory, or mapped from the disk if it is large."""
    about = archive.getinfo(f"{name}.npy")
    with archive.open(about) as member:
        shape, dtype, fortran, header = _read_header(member)
    promised = math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and promised > about.file_size:
        raise DataError(f"{path} is damaged: it promises {promised:,} bytes of {name} and holds fewer")
    if promised >= LARGE and not dtype.hasobject and about.compress_type == zipfile.ZIP_STORED:
        _check_sum(archive, about)
        return np.memmap(path, dtype, "r", _begin(path, about) + header, shape, "F" if fortran else "C")
    refuse_bomb(path, promised, min(about.compress_size, path.stat().st_size))
    with archive.open(about) as member:
        if dtype.hasobject or not is_large(promised):
            return np.asarray(np.lib.format.read_array(member, allow_pickle=False))
        member.read(header)
        values = keep(path, iter(partial(member.read, PIECE_BYTES), b""), promised)
    return values[:promised].view(dtype).reshape(shape, order="F" if fortran else "C")


def _check_sum(archive: zipfile.ZipFile, about: zipfile.ZipInfo) -> None:
    """Raise `BadZipFile` where the content is not what it was when it was put in."""
    with archive.open(about) as member:
        while member.read(PIECE_BYTES):
            pass


def _begin(path: Path, about: zipfile.ZipInfo) -> int:
    """Where the content of something that is not compressed begins in the archive."""
    with path.open("rb") as file:
        file.seek(about.header_offset)
        name, extra = struct.unpack(LOCAL_HEADER, file.read(struct.calcsize(LOCAL_HEADER)))
    return about.header_offset + struct.calcsize(LOCAL_HEADER) + int(name) + int(extra)
