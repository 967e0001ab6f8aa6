"""ARRAYS of images in an NPZ file. Its headers are held against what is allowed before any memory is taken."""

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
"""Names under which an `.npz` may hold its images; or under any, if it holds one array only, or one of 3 or 4
dimensions."""
IMAGE_WORDS = ("images", "image", "x", "data", "samples", "imgs", "pixels", "features")
LABEL_WORDS = ("labels", "label", "y", "targets", "target", "classes", "class")
"""Words in the names of arrays that are images or labels, perhaps beside those of a split: `x_train`, `test_labels`."""
ALPHA_CHANNELS = 4
NPY_MAGIC = b"\x93NUMPY"
MAX_HEADER = 1 << 14
"""Bytes of an array's header; NumPy itself believes no more than 10,000, but reads as many as it is told."""
LOCAL_HEADER = "<26x2H"
"""What stands in a zip file before a name: the last two numbers are the lengths of the name and of what comes after."""

Array = NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Arrays:
    """What an NPZ file holds of one split."""

    images: Images
    """(N, H, W, C), uint8."""
    labels: Array | None
    """As they are."""
    training_labels: Array | None
    """Those of the training images."""
    note: str | None
    """What the user should know of how the numbers are read, and of the other splits."""
    parts: tuple[Part, ...]
    """The splits, where there are any."""


def read_npz(path: Path, split: Split = "train", given: ValueRange | None = None) -> Arrays:
    """One split of an NPZ file. Its images are (N, H, W), (N, H, W, C) or (N, C, H, W), of any usual range.

    All is training data unless names such as `x_train` and `x_test` say otherwise. The training images decide how the
    numbers of the others are read.

    Raises `DataError`, in one sentence, for anything else.
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
    """The array in an NPY file, mapped from the disk if it is large. Raises `DataError`."""
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
    """An NPZ file to `read_array` from. Whatever goes wrong with it inside becomes a `DataError`."""
    with _damage_of(path), zipfile.ZipFile(path) as archive:
        yield archive


@contextmanager
def _damage_of(path: Path) -> Iterator[None]:
    """Whatever goes wrong inside becomes a `DataError`."""
    try:
        yield
    except DataError:
        raise
    except MemoryError:
        raise DataError(f"{path} does not fit into memory") from None
    except Exception as error:  # NumPy and zipfile raise whatever damaged bytes lead them to
        raise DataError(f"{path} is damaged or no archive of plain arrays ({reason(error)})") from None


def is_npz(names: list[str]) -> bool:
    """Whether a zip file with these members is an NPZ file."""
    return bool(names) and all(name.endswith(".npy") for name in names)


def as_images(path: Path | str, array: Array, given: ValueRange | None = None) -> tuple[Images, str | None]:
    """(an array of images of any usual form as (N, H, W, C), uint8; a note where its numbers are unusual).

    `path` is what errors call it; `given` are the numbers that are black and white. Raises `DataError` for an array of
    another form, and where the numbers could mean several things.
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
        array = np.moveaxis(array, 1, -1)  # N x C x H x W, as PyTorch has them
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
                values[..., -1] = part[..., -1]  # how opaque an image is, is no brightness
            yield from in_blocks(values)

    return keep(path, in_bytes(), array.size).reshape(array.shape)


def class_labels(
    path: Path, labels: Array, count: int, training: Array | None = None
) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """(labels (count,), the names of the classes) from whole numbers or texts, (count,) or (count, 1), or from rows of
    zeros with a one at the class (count, classes). The classes are also those of the `training` labels."""
    labels = _plain_labels(labels)
    known = labels if training is None else _plain_labels(training)
    if labels.shape not in ((count,), (count, 1)):
        raise DataError(f"{path}: labels should have the shape ({count},), one an image, not {labels.shape}")
    if not (np.issubdtype(labels.dtype, np.integer) or labels.dtype.kind in "bU"):
        raise DataError(f"{path}: labels should be whole numbers or texts, not {labels.dtype}")
    names, indices = np.unique(np.concatenate([labels.reshape(-1), known.reshape(-1)]), return_inverse=True)
    try:
        return indices[:count].astype(np.int32), tuple(shown(str(name)) for name in names)
    except (ValueError, SystemError):  # the latter from NumPy
        raise DataError(f"{path}: some labels are texts of characters that there are not") from None


def _plain_labels(labels: Array) -> Array:
    """Whole floats as whole numbers, bytes as texts, and rows with a single one as its place."""
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
    """The arrays of images by their split; empty unless one holds the training images."""
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
