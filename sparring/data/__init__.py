"""Data sets: `load` takes a name or a path and gives an `ImageSet`."""

import dataclasses
import difflib
from contextlib import suppress
from pathlib import Path

from sparring.data import archive, folder
from sparring.data.arrays import class_labels, is_npz, read_npz
from sparring.data.decode import HEAD, is_picture
from sparring.data.idx import SPLIT_FILES, Split, find_idx, is_file, is_folder, load_idx_file, load_idx_folder
from sparring.data.images import ImageSet
from sparring.data.named import NAMED, NamedSet, load_named, recognised
from sparring.data.pictures import Collection, collect_array, collect_pictures, whole_set
from sparring.data.shaping import Shaping, shaping_of
from sparring.data.stacked import STACKED, load_stacked
from sparring.errors import DataError

__all__ = [
    "AS_THEY_ARE",
    "NAMED",
    "NAMES",
    "Collection",
    "ImageSet",
    "NamedSet",
    "Shaping",
    "Split",
    "collect",
    "has_pictures",
    "load",
    "shaping_of",
    "whole_set",
]

NAMES = (*NAMED, STACKED)
"""Every name that `load` knows."""
AS_THEY_ARE = Shaping()
"""Images of their own size; gray, or in color on white."""


def load(source: str, split: Split = "train", shaping: Shaping = AS_THEY_ARE, strict: bool = False) -> ImageSet:
    """The images that `source` stands for, with their labels where there are any.

    Args:
        source: The name of a data set (one of `NAMES`), which comes first: write "./mnist" for a folder of that name;
            or a path: a folder of pictures, whose sub-folders are classes; a zip file of such a folder; an NPZ file
            with the array `images`; an IDX file with images, gzipped or not, whose labels are taken from the file
            beside it that is named alike; or a folder that holds IDX files under MNIST's file names.
        split: Which part of the set. A single file, or a folder without the sub-folders "train" and "test", is all
            training data and has no test split.
        shaping: The size and the channels that they shall have.
        strict: Whether a picture that cannot be read is an error; else it is left out, and the notice counts it.

    Raises:
        DataError: `source` is none of these, or what it stands for is missing, damaged, or not what it should be.
    """
    image_set = whole_set(collect(source, split, shaping), strict)
    return dataclasses.replace(image_set, name=_shown(source)) if image_set.name == source else image_set


def collect(source: str, split: Split = "train", shaping: Shaping = AS_THEY_ARE) -> Collection:
    """What `source` holds, and what cannot be read of it. Raises `DataError` as `load` does."""
    if split not in ("train", "test"):
        raise DataError(f"there is no split {split!r}, only 'train' and 'test'")
    try:
        return _collect(source, split, shaping)
    except MemoryError:
        raise DataError(f"{source} does not fit into memory") from None


def _collect(source: str, split: Split, shaping: Shaping) -> Collection:
    if source in NAMED:
        return collect_array(load_named(source, split), source, shaping)
    if source == STACKED:
        return collect_array(load_stacked(split), source, shaping)
    path = _path(source)
    if source and is_folder(path):
        return _collect_folder(path, source, split, shaping)
    if is_file(path):
        return _collect_file(path, source, split, shaping)
    near = difflib.get_close_matches(source.lower(), NAMES, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise DataError(
        f"{source!r} is not a data set: expected a name ({', '.join(NAMES)}), the path of an IDX file with images, a "
        f"folder of such files, or pictures: a folder, a zip or an NPZ file{hint}"
    )


def has_pictures(source: str) -> bool:
    """Whether `source` is a folder or a zip file of pictures, which have no size before one is chosen."""
    path = _path(source)
    if source in NAMES or not source:
        return False
    return (is_folder(path) and not _holds_idx(path)) or (is_file(path) and _is_zip(path) and not _is_npz(path))


def _collect_folder(path: Path, source: str, split: Split, shaping: Shaping) -> Collection:
    if _holds_idx(path):
        return collect_array(recognised(load_idx_folder(path, split, name=source)), source, shaping)
    if folder.is_run(path):
        raise DataError(
            f"{source} is a run of Sparring, not a folder of pictures: `sparring train --resume` goes on with it, "
            "`sparring measure` judges it"
        )
    return collect_pictures(path, folder.list_folder(path), source, split, shaping)


def _collect_file(path: Path, source: str, split: Split, shaping: Shaping) -> Collection:
    if _is_zip(path) and not _is_npz(path):
        return collect_pictures(path, archive.list_zip(path), source, split, shaping)
    if split == "test":
        raise DataError(f"{source} is one file and has no test split; give the folder that holds both splits")
    if _is_npz(path):
        images, labels = read_npz(path)
        classes, names = (None, ()) if labels is None else class_labels(path, labels, len(images))
        return collect_array(ImageSet(source, images, classes, names, str(path)), source, shaping)
    if is_picture(_head(path)):
        raise DataError(f"{source} is one picture; give the folder that holds all of them")
    return collect_array(recognised(load_idx_file(path, name=source)), source, shaping)


def _shown(source: str) -> str:
    """What images are called in titles: as they were given, and "." by the name of the folder that it is."""
    path = _path(source)
    return source if Path(source).name not in ("", "..", "~") else path.resolve().name or source


def _path(source: str) -> Path:
    path = Path(source)
    with suppress(RuntimeError):  # "~" where no home folder is known
        path = path.expanduser()
    return path


def _holds_idx(path: Path) -> bool:
    return any(find_idx(path, images) for images, _ in SPLIT_FILES.values())


def _is_zip(path: Path) -> bool:
    return _head(path).startswith(archive.MAGIC)


def _is_npz(path: Path) -> bool:
    """Whether a file is an NPZ file, or calls itself one."""
    return path.suffix.lower() == ".npz" or (_is_zip(path) and is_npz(archive.members(path)))


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
