"""IMAGES: `load` takes the name of a data set or a path and returns an `ImageSet`.

image_set.py   images in memory or on disk, perhaps with labels
selection.py   some of many images, read when needed
arrays/        array files: IDX, NPZ, NPY
named/         data sets with a name
pictures/      the user's own pictures
samples.py     samples of other programs, to be judged
splits.py      the usual names of train, test and validation
classes.py     labels and counts per class
batches.py     the images of a batch, as a function of (seed, step)
validation.py  training and validation images
check.py       `sparring data check`
"""

import dataclasses
import difflib
from contextlib import suppress
from pathlib import Path

import numpy as np

from sparring.data.arrays.idx import SPLIT_FILES, Split, find_idx, is_file, is_folder, load_idx_file, load_idx_folder
from sparring.data.arrays.idx_set import idx_in_folder, idx_in_zip
from sparring.data.arrays.npz import NPY_MAGIC, as_images, class_labels, is_npz, read_npy, read_npz
from sparring.data.image_set import ImageSet
from sparring.data.named.sets import NAMED, NamedSet, load_named, recognised
from sparring.data.named.stacked import STACKED, load_stacked
from sparring.data.pictures import archive, folder
from sparring.data.pictures.collection import Collection, collect_array, collect_pictures, whole_set
from sparring.data.pictures.decode import HEAD, is_picture
from sparring.data.pictures.shaping import Shaping, shaping_of
from sparring.errors import DataError
from sparring.files.cache_folder import below_home

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
    "collect_test",
    "has_pictures",
    "load",
    "shaping_of",
    "whole_set",
]

NAMES = (*NAMED, STACKED)
"""The names that `load` accepts."""
AS_THEY_ARE = Shaping()
"""Keep the size of the images; gray, or color on white."""


def load(source: str, split: Split = "train", shaping: Shaping = AS_THEY_ARE, strict: bool = False) -> ImageSet:
    """Load images, with their labels if there are any.

    Args:
        source: The name of a data set (one of `NAMES`) or a path. A name has priority: write "./mnist" for a folder of
            that name. A path is one of: a folder of pictures, whose sub-folders are classes; a zip file of such a
            folder; an NPZ file with the array `images` or `x_train`; an NPY file with an array of images; an IDX file
            of images, gzipped or not, with its labels in the file of the matching name; or a folder or a zip file of
            IDX files that are named like MNIST's.
        split: The part of the set. Without sub-folders such as "train" and "test", all images are training data, and
            there is no test split; the same applies to arrays (see `sparring.data.splits`).
        shaping: The size and the channels of the images, and how their files are read.
        strict: Whether an unreadable picture is an error. Otherwise it is left out and counted in the notice.

    Raises:
        DataError: `source` is none of these, or it is missing, damaged or invalid.
    """
    image_set = whole_set(collect(source, split, shaping), strict)
    return dataclasses.replace(image_set, name=_shown(source)) if image_set.name == source else image_set


def collect(source: str, split: Split = "train", shaping: Shaping = AS_THEY_ARE) -> Collection:
    """Read `source` and list what cannot be read. Raises `DataError` as `load` does."""
    if split not in ("train", "test"):
        raise DataError(f"there is no split {split!r}, only 'train' and 'test'")
    try:
        return _collect(source, split, shaping)
    except MemoryError:
        raise DataError(f"{source} does not fit into memory") from None


def collect_test(training: Collection, source: str, shaping: Shaping = AS_THEY_ARE) -> Collection | None:
    """The test images of a source whose training images are known; None if there are none or they cannot be read."""
    if training.names and all(part.role != "test" for part in training.parts):
        return None  # of picture files, all splits are known
    with suppress(DataError):
        return collect(source, "test", shaping)
    return None


def _collect(source: str, split: Split, shaping: Shaping) -> Collection:
    if source in NAMES and shaping.range is not None:
        raise DataError(f"{source} is read as it is: --range is for images of your own")
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
        f"folder of such files, or pictures: a folder, a zip, an NPZ or an NPY file{hint}"
    )


def has_pictures(source: str) -> bool:
    """Whether `source` is a folder or a zip file of pictures, which may have any size."""
    path = _path(source)
    if source in NAMES or not source:
        return False
    if is_folder(path):
        return not _holds_idx(path) and idx_in_folder(path) is None
    return is_file(path) and _is_zip(path) and not _is_npz(path) and idx_in_zip(path) is None


def _collect_folder(path: Path, source: str, split: Split, shaping: Shaping) -> Collection:
    if _holds_idx(path):
        return collect_array(_in_range(load_idx_folder(path, split, name=source), shaping), source, shaping)
    if folder.is_run(path):
        raise DataError(
            f"{source} is a run of Sparring, not a folder of pictures: `sparring train --resume` continues it, "
            "`sparring measure` judges it"
        )
    if (idx_set := idx_in_folder(path)) is not None:
        return collect_array(_in_range(idx_set.load(split, source), shaping), source, shaping)
    return collect_pictures(path, folder.list_folder(path, shaping.follow_links), source, split, shaping)


def _collect_file(path: Path, source: str, split: Split, shaping: Shaping) -> Collection:
    if _is_zip(path) and not _is_npz(path):
        if (idx_set := idx_in_zip(path)) is not None:
            return collect_array(_in_range(idx_set.load(split, source), shaping), source, shaping)
        return collect_pictures(path, archive.list_zip(path), source, split, shaping)
    if _is_npz(path):
        return _collect_npz(path, source, split, shaping)
    if split == "test":
        raise DataError(f"{source} is one file and has no test split; give the folder that holds both splits")
    if is_picture(_head(path)):
        raise DataError(f"{source} is one picture; give the folder that holds all of them")
    if _head(path).startswith(NPY_MAGIC):
        pixels, note = as_images(path, read_npy(path), shaping.range)
        return collect_array(ImageSet(source, pixels, None, (), str(path), note), source, shaping)
    return collect_array(_in_range(load_idx_file(path, name=source), shaping), source, shaping)


def _collect_npz(path: Path, source: str, split: Split, shaping: Shaping) -> Collection:
    found = read_npz(path, split, shaping.range)
    images = ImageSet(source, found.images, None, (), str(path), found.note)
    if found.labels is not None:
        labels, names = class_labels(path, found.labels, len(found.images), found.training_labels)
        images = dataclasses.replace(images, labels=labels, class_names=names)
    return dataclasses.replace(collect_array(images, source, shaping), parts=found.parts)


def _in_range(images: ImageSet, shaping: Shaping) -> ImageSet:
    """Images of an IDX file, scaled to 0 to 255 unless they belong to a named data set."""
    known = recognised(images)
    if known is not images:
        return known
    assert isinstance(images.images, np.ndarray)
    pixels, note = as_images(images.name, images.images, shaping.range)
    return dataclasses.replace(images, images=pixels, notice=note)


def _shown(source: str) -> str:
    """The name of images in titles: the source as given, or the name of the folder instead of "."."""
    path = _path(source)
    return source if Path(source).name not in ("", "..", "~") else path.resolve().name or source


def _path(source: str) -> Path:
    return below_home(source) or Path(source)


def _holds_idx(path: Path) -> bool:
    return any(find_idx(path, images) for images, _ in SPLIT_FILES.values())


def _is_zip(path: Path) -> bool:
    return _head(path).startswith(archive.MAGIC)


def _is_npz(path: Path) -> bool:
    """Whether a file is an NPZ file by its content or its name."""
    return path.suffix.lower() == ".npz" or (_is_zip(path) and is_npz(archive.members(path)))


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
