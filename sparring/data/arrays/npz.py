"""NPZ AND NPY FILES of images. Headers are checked before memory is allocated."""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sparring.data.arrays.idx import Split
from sparring.data.arrays.ranges import BYTES, Reading, ValueRange, choose_range, numbers_of, scaled
from sparring.data.arrays.unpacked import LARGE, in_blocks, is_large, keep, refuse_bomb
from sparring.data.pictures.listing import shown
from sparring.data.selection import PIECE_BYTES, pieces
from sparring.data.splits import Part, Role, split_name, words_of
from sparring.errors import DataError, reason
from sparring.images import Images

KEYS = ("images", "samples", "x", "arr_0")
"""Names of the images in an NPZ file. Any name is accepted for a single array or a single one of 3 or 4 dimensions."""
IMAGE_WORDS = ("images", "image", "x", "data", "samples", "imgs", "pixels", "features")
LABEL_WORDS = ("labels", "label", "y", "targets", "target", "classes", "class")
"""Words in the names of arrays of images or labels, perhaps with a split: `x_train`, `test_labels`."""
ALPHA_CHANNELS = 4
NPY_MAGIC = b"\x93NUMPY"
MAX_HEADER = 1 << 14
"""Largest header in bytes. NumPy accepts no more than 10,000 but would read any size."""
LOCAL_HEADER = "<26x2H"
"""The local header in a zip file; its last two numbers are the lengths of the name and of the extra field."""

Array = NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Arrays:
    """The arrays of one split in an NPZ file."""

    images: Images
    """(N, H, W, C), uint8."""
    labels: Array | None
    """As in the file."""
    training_labels: Array | None
    """Labels of the training images."""
    note: str | None
    """Remarks for the user about the range of the numbers and about unused splits."""
    parts: tuple[Part, ...]
    """The splits, if there are any."""


def read_npz(path: Path, split: Split = "train", given: ValueRange | None = None) -> Arrays:
    """Read one split of an NPZ file. Its images are (N, H, W), (N, H, W, C) or (N, C, H, W), of any usual range.

    All images are training data unless there are names such as `x_train` and `x_test`. The training images decide the
    range of all splits.

    Raises `DataError` for anything else.
    """
    with opened_npz(path) as archive:
        headers = {name: _header(archive, name) for name in _names(archive)}
        splits = _splits(headers)
        if split != "train" and split not in splits:
            raise DataError(f"{path} has no test split: it holds no arrays such as x_train and x_test")
        chosen = splits[split] if splits else _chosen(path, headers)
        images = read_array(path, archive, chosen)
        label_name = _labels_of(chosen, headers)
        labels = training_labels = None if label_name is None else read_array(path, archive, label_name)
        decisive = images
        if split != "train":
            decisive = read_array(path, archive, splits["train"])
            label_name = _labels_of(splits["train"], headers)
            training_labels = None if label_name is None else read_array(path, archive, label_name)
    reading = _reading(path, _as_nhwc(path, decisive), given)
    parts = tuple(Part(name, role, headers[name][0]) for role, name in splits.items())
    unused = [
        f"{part.name} ({part.images:,} images) is not used" for part in parts if part.role not in ("train", "test")
    ]
    note = "; ".join([*([reading.note] if reading.note else []), *unused]) or None
    return Arrays(_scaled(path, _as_nhwc(path, images), reading.range), labels, training_labels, note, parts)


def read_npy(path: Path) -> Array:
    """Read the array in an NPY file, mapped from disk if it is large. Raises `DataError`."""
    with _damage_of(path):
        with path.open("rb") as file:
            shape, dtype, _, header = _read_header(file)
        if dtype.hasobject:
            raise DataError(f"{path} holds Python objects, which could be code: save it as an array of plain numbers")
        promised, held = math.prod(shape) * dtype.itemsize, path.stat().st_size - header
        if promised != held:
            raise DataError(f"{path} is damaged: it promises {promised:,} bytes of values and holds {held:,}")
        mode: Any = "r" if promised >= LARGE else None
        return np.asanyarray(np.load(path, mmap_mode=mode, allow_pickle=False))


@contextmanager
def opened_npz(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an NPZ file for `read_array`. Errors inside the block become a `DataError`."""
    with _damage_of(path), zipfile.ZipFile(path) as archive:
        yield archive


@contextmanager
def _damage_of(path: Path) -> Iterator[None]:
    """Turn any error inside the block into a `DataError`."""
    try:
        yield
    except DataError:
        raise
    except MemoryError:
        raise DataError(f"{path} does not fit into memory") from None
    except Exception as error:  # NumPy and zipfile raise exceptions of many types for damaged files
        raise DataError(f"{path} is damaged or no archive of plain arrays ({reason(error)})") from None


def is_npz(names: list[str]) -> bool:
    """Whether a zip file with these members is an NPZ file."""
    return bool(names) and all(name.endswith(".npy") for name in names)


def as_images(path: Path | str, array: Array, given: ValueRange | None = None) -> tuple[Images, str | None]:
    """Convert an array of images of any usual shape and range to ((N, H, W, C) uint8, a note or None).

    `path` is its name in errors; `given` is the range from black to white. Raises `DataError` for another shape and for
    an ambiguous range.
    """
    array = _as_nhwc(path, array)
    reading = _reading(path, array, given)
    return _scaled(path, array, reading.range), reading.note


def _as_nhwc(path: Path | str, array: Array) -> Array:
    if array.ndim == 3:
        array = array[..., np.newaxis]
    if array.ndim != 4:
        raise DataError(f"{path}: images should have the shape N x H x W or N x H x W x C, not {array.shape}")
    if array.shape[-1] not in (1, 3, 4) and array.shape[1] in (1, 3, 4):
        array = np.moveaxis(array, 1, -1)  # N x C x H x W, as in PyTorch
    if array.shape[-1] not in (1, 3, 4):
        raise DataError(f"{path}: images should have 1, 3 or 4 channels; their shape is {array.shape}")
    if array.size == 0:
        raise DataError(f"{path} holds no images: its shape is {array.shape}")
    if array.dtype.kind not in "biuf":
        raise DataError(f"{path}: images should be whole numbers or floats, not {array.dtype}")
    return array


def _reading(path: Path | str, array: Array, given: ValueRange | None) -> Reading:
    try:
        return choose_range(numbers_of(pieces(array), thorough=given is not None), given)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _scaled(path: Path | str, array: Array, chosen: ValueRange) -> Images:
    if array.dtype == np.uint8 and chosen == BYTES:
        return array

    def in_bytes() -> Iterator[memoryview]:
        for part in pieces(array):
            values = scaled(part, chosen)
            if array.dtype == np.uint8 and array.shape[-1] == ALPHA_CHANNELS:
                values[..., -1] = part[..., -1]  # alpha is not scaled
            yield from in_blocks(values)

    return keep(path, in_bytes(), array.size).reshape(array.shape)


def class_labels(
    path: Path, labels: Array, count: int, training: Array | None = None
) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Convert labels to (indices (count,), class names).

    Labels are integers or texts, (count,) or (count, 1), or one-hot rows (count, classes). The `training` labels add
    their classes.
    """
    labels = _plain_labels(labels)
    known = labels if training is None else _plain_labels(training)
    if labels.shape not in ((count,), (count, 1)):
        raise DataError(f"{path}: labels should have the shape ({count},), one an image, not {labels.shape}")
    if not (np.issubdtype(labels.dtype, np.integer) or labels.dtype.kind in "bU"):
        raise DataError(f"{path}: labels should be whole numbers or texts, not {labels.dtype}")
    names, indices = np.unique(np.concatenate([labels.reshape(-1), known.reshape(-1)]), return_inverse=True)
    try:
        return indices[:count].astype(np.int32), tuple(shown(str(name)) for name in names)
    except (ValueError, SystemError):  # NumPy raises SystemError
        raise DataError(f"{path}: some labels are texts with invalid characters") from None


def _plain_labels(labels: Array) -> Array:
    """Convert whole floats to integers, bytes to texts, and one-hot rows to indices."""
    if labels.dtype.kind == "S":
        return np.char.decode(labels, "utf-8", "backslashreplace")
    if labels.dtype.kind == "f" and labels.size and np.isfinite(labels).all() and (labels == np.rint(labels)).all():
        labels = labels.astype(np.int64)
    if labels.ndim == 2 and labels.shape[1] > 1 and labels.dtype.kind in "biu":
        ones = np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()
        return labels.argmax(axis=1) if ones else labels
    return labels


def _names(archive: zipfile.ZipFile) -> list[str]:
    return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def _splits(headers: dict[str, Shape]) -> dict[Role, str]:
    """The names of the arrays of images by split; empty without training images."""
    found: dict[Role, str] = {}
    for name, shape in headers.items():
        named = split_name(name)
        if named and len(shape) in (3, 4) and not set(words_of(name)) & set(LABEL_WORDS):
            found.setdefault(named.role, name)
    return found if "train" in found else {}


def _labels_of(images: str, headers: dict[str, Shape]) -> str | None:
    """The name of the array with the labels of these images."""
    named = split_name(images)
    for name, shape in sorted(headers.items(), key=lambda header: header[0] != "labels"):
        of = split_name(name)
        same_split = (of and of.role) == (named and named.role)
        is_list = name == "labels" or len(shape) <= 2
        if name != images and same_split and is_list and set(words_of(name)) & set(LABEL_WORDS):
            return name
    return None


def _chosen(path: Path, headers: dict[str, Shape]) -> str:
    """The name of the array with the images."""
    pictures = [name for name, shape in headers.items() if len(shape) in (3, 4)]
    called = [name for name in pictures if set(words_of(name)) & set(IMAGE_WORDS)]
    others = [names[0] for names in (list(headers), pictures, called) if len(names) == 1]
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
    """(shape, type, whether the order is Fortran's, offset of the values)."""
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
    """Read the array of that name, mapped from disk if it is large."""
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
    """Raise `BadZipFile` if the checksum of the content is wrong."""
    with archive.open(about) as member:
        while member.read(PIECE_BYTES):
            pass


def _begin(path: Path, about: zipfile.ZipInfo) -> int:
    """The offset of an uncompressed member in the archive."""
    with path.open("rb") as file:
        file.seek(about.header_offset)
        name, extra = struct.unpack(LOCAL_HEADER, file.read(struct.calcsize(LOCAL_HEADER)))
    return about.header_offset + struct.calcsize(LOCAL_HEADER) + int(name) + int(extra)
