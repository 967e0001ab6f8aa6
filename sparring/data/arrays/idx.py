"""IDX FILES, the format of MNIST and related sets, gzipped or not.

An IDX file is two zero bytes, one byte for the type of the items, one byte for the rank, a big-endian 32-bit size for
each dimension, and the items. Only unsigned bytes (type 0x08) are read. The header is not trusted: memory is allocated
only for bytes that are there.
"""

import gzip
import hashlib
import math
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparring.data.arrays.formats import LOOKED_AT, advice, kind_of
from sparring.data.arrays.unpacked import LARGE, keep, refuse_bomb
from sparring.data.image_set import ImageSet
from sparring.data.selection import pieces
from sparring.errors import DataError, reason

Split = Literal["train", "test"]
Stream = BufferedReader | zipfile.ZipExtFile | gzip.GzipFile

SPLIT_FILES: dict[Split, tuple[str, str]] = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
"""The images file and the labels file of each split, as named by MNIST and related sets."""

MAX_RANK = 8
GZIP_MAGIC = b"\x1f\x8b"

_UNSIGNED_BYTE = 0x08
_CHUNK = 1 << 20
_CONTENTS = {1: "labels (rank 1)", 3: "images (rank 3)"}


def read_idx(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read the array in an IDX file. A large file that is not gzipped is mapped from disk.

    Args:
        path: The file. Its first bytes decide whether it is gzipped, not its name.

    Raises:
        DataError: The file is missing, empty, not IDX, not of unsigned bytes, cut short, too long, or damaged.
    """
    path = Path(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path} is not a file")
        if status.st_size == 0:
            raise DataError(f"{path} is empty, expected an IDX file")
        with path.open("rb") as raw:
            return read_idx_stream(raw, path, status.st_size, status.st_size, mapped=path)
    except FileNotFoundError:
        raise DataError(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or reason(error)}") from None


def read_idx_stream(
    raw: BufferedReader | zipfile.ZipExtFile, name: object, size: int, packed: int, mapped: Path | None = None
) -> NDArray[np.uint8]:
    """Read the array in an open IDX file, gzipped or not.

    Args:
        raw: The file, at its beginning.
        name: Its name in errors.
        size: Bytes of the stream.
        packed: Bytes on disk: fewer than `size` in an archive.
        mapped: The path of the file on disk, if it is not in an archive.

    Raises `DataError` as `read_idx` does.
    """
    try:
        if raw.peek(2)[:2] != GZIP_MAGIC:
            return _read_array(raw, name, size, packed, mapped)
        with gzip.GzipFile(fileobj=raw) as unzipped:
            return _read_array(unzipped, name, None, min(size, packed), None)
    except EOFError:
        raise DataError(f"{name} is cut short: its gzip data end before the IDX header does") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{name} is damaged: its gzip data cannot be unpacked ({reason(error)})") from None


def images_from_idx(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read the images in an IDX file of rank 3, (N, H, W), as (N, H, W, 1).

    Raises:
        DataError: The file cannot be read (see `read_idx`) or holds something else.
    """
    return _of_rank(3, path)[..., np.newaxis]


def labels_from_idx(path: str | os.PathLike[str]) -> NDArray[np.int32]:
    """Read the labels in an IDX file of rank 1, (N,).

    Raises:
        DataError: The file cannot be read (see `read_idx`) or holds something else.
    """
    return _of_rank(1, path).astype(np.int32)


def idx_sha256(array: NDArray[np.uint8]) -> str:
    """SHA-256, in hexadecimal, of the uncompressed IDX file of `array`.

    The array determines every byte of that file, so arrays from IDX files and from other formats have the same value.
    """
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, _UNSIGNED_BYTE, array.ndim, *array.shape)
    digest = hashlib.sha256(header)
    for piece in pieces(array):
        digest.update(np.ascontiguousarray(piece).data)
    return digest.hexdigest()


def find_idx(folder: Path, file: str) -> Path | None:
    """Find `file` in `folder`, also spelled with a dot before "idx" or with ".gz"; None if it is missing."""
    for spelling in (file, file.replace("-idx", ".idx")):
        for suffix in ("", ".gz"):
            path = folder / f"{spelling}{suffix}"
            if is_file(path):
                return path
    return None


def is_file(path: Path) -> bool:
    """Whether `path` is a file; False without permission to look."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder; False without permission to look."""
    try:
        return path.is_dir()
    except OSError:
        return False


def load_idx_file(path: Path, name: str) -> ImageSet:
    """Read the images in one IDX file, with the labels of the matching file beside it, if there is one.

    Args:
        path: The images file. The labels of "…images-idx3…" are in "…labels-idx1…", gzipped or not.
        name: The name of the set.

    Raises:
        DataError: A file cannot be read, or the numbers of images and labels differ.
    """
    images, labels_path = images_from_idx(path), _labels_beside(path)
    labels = None if labels_path is None else labels_from_idx(labels_path)
    return set_of(images, labels, name, str(path), str(labels_path))


def set_of(
    images: NDArray[np.uint8], labels: NDArray[np.int32] | None, name: str, source: str, labelled_by: str | None
) -> ImageSet:
    """An image set of images (N, H, W, 1) from the file `source` and labels (N,) from the file `labelled_by`.

    Raises `DataError` if their numbers differ.
    """
    if labels is None:
        return ImageSet(name=name, images=images, labels=None, class_names=(), source=source)
    if len(labels) != len(images):
        raise DataError(f"{labelled_by} holds {len(labels)} labels, but {source} holds {len(images)} images")
    class_names = tuple(str(label) for label in range(int(labels.max()) + 1))
    return ImageSet(name=name, images=images, labels=labels, class_names=class_names, source=source)


def load_idx_folder(folder: Path, split: Split, name: str) -> ImageSet:
    """One split from a folder that holds IDX files under MNIST's file names.

    Raises:
        DataError: the folder does not hold the split's images, or a file cannot be read.
    """
    file, _ = SPLIT_FILES[split]
    path = find_idx(folder, file)
    if path is None:
        raise DataError(f"the folder {folder} holds neither {file} nor {file}.gz")
    return load_idx_file(path, name)


def _read_array(stream: Stream, name: object, size: int | None, packed: int, mapped: Path | None) -> NDArray[np.uint8]:
    """The array in an open IDX stream; `size` is the length of the whole stream where it is known beforehand."""
    shape = _read_shape(stream, name)
    promised, header = math.prod(shape), 4 + 4 * len(shape)
    if promised == 0:
        raise DataError(f"{name} holds no items: its header names the shape {shape}")
    if size is not None:
        _check_length(name, promised, found=size - header)
    if mapped is not None and promised >= LARGE:
        return np.memmap(mapped, np.uint8, "r", header, shape)
    refuse_bomb(name, promised, packed)
    content = keep(name, _blocks(stream, name, promised), promised)
    _check_length(name, promised, found=len(content))
    return content.reshape(shape)


def _blocks(stream: Stream, name: object, promised: int) -> Iterator[bytes]:
    """Read the rest of the stream in blocks, at most one byte more than promised."""
    found = 0
    try:
        while found <= promised and (block := stream.read1(min(_CHUNK, promised + 1 - found))):
            found += len(block)
            yield block
    except EOFError:
        raise DataError(
            f"{name} is cut short: its gzip data end early, expected {promised} bytes inside, found {found}"
        ) from None


def _read_shape(stream: Stream, name: object) -> tuple[int, ...]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:3] != bytes([0, 0, _UNSIGNED_BYTE]):
        kind = kind_of(str(name).lower().removesuffix(".gz"), magic + stream.read(LOOKED_AT))
        if kind is not None:
            raise DataError(f"{name} is {advice(kind)}")
        if len(magic) == 4 and magic[:2] == b"\0\0":
            raise DataError(f"{name} holds items of IDX type 0x{magic[2]:02x}, expected unsigned bytes (0x08)")
        found = magic.hex(" ") or "nothing"
        raise DataError(f"{name} is not an IDX file: expected it to begin with 00 00 08, found {found}")
    rank = magic[3]
    if not 1 <= rank <= MAX_RANK:
        raise DataError(f"{name} names the rank {rank} in its header, expected 1 to {MAX_RANK}")
    sizes = stream.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise DataError(f"{name} is cut short: expected a header of {4 + 4 * rank} bytes, found {4 + len(sizes)}")
    return struct.unpack(f">{rank}I", sizes)


def _check_length(name: object, promised: int, found: int) -> None:
    if found < promised:
        raise DataError(f"{name} is cut short: expected {promised} bytes after its header, found {found}")
    if found > promised:
        raise DataError(f"{name} is too long: expected {promised} bytes after its header, found at least {found}")


def _of_rank(rank: Literal[1, 3], path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    array = read_idx(path)
    if array.ndim != rank:
        found = _CONTENTS.get(array.ndim, f"an array of rank {array.ndim}")
        raise DataError(f"{path} holds {found}, expected {_CONTENTS[rank]}")
    return array


def _labels_beside(images_path: Path) -> Path | None:
    name = images_path.name.removesuffix(".gz").replace("images.idx3", "images-idx3")
    if "images-idx3" not in name:
        return None
    return find_idx(images_path.parent, name.replace("images-idx3", "labels-idx1"))
