"""SETS OF IDX FILES in a folder or a zip file: find the images and the labels of a split.

The files are named like MNIST's, perhaps with a prefix (`emnist-letters-train-images-idx3-ubyte.gz`). They may lie in
one folder or, as in downloads from Kaggle and torchvision, in one folder each.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal
from zipfile import ZipExtFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from sparring.data.arrays.formats import ENDINGS
from sparring.data.arrays.idx import Split, read_idx, read_idx_stream, set_of
from sparring.data.image_set import ImageSet
from sparring.data.pictures.archive import members
from sparring.data.pictures.listing import is_hidden, shown
from sparring.data.splits import WORDS, Role
from sparring.errors import DataError, reason

DEPTH, MOST = 3, 1_000
"""The search for IDX files goes this many folders deep and stops after this many files and folders."""
Parts = tuple[str, ...]

_NAME = re.compile(r"(.*?)[-_. ]?(images|labels)[-_. ]idx([13])[-_. ]ubyte(\.gz)?", re.I)
_LAST_WORD = re.compile(r"(?:^|[-_. ])([a-z0-9]+)$", re.I)


@dataclass(frozen=True)
class Named:
    """An IDX file, as described by its name."""

    parts: Parts
    what: str
    """"images" or "labels"."""
    prefix: str
    """The words before the split: "emnist-letters"."""
    role: Role | Literal[""]
    """"" if the name has no split."""


@dataclass(frozen=True)
class IdxSet:
    """The IDX files of a folder or a zip file, not read yet."""

    where: str
    files: tuple[Named, ...]
    read: Callable[[Parts], NDArray[np.uint8]]

    def load(self, split: Split, name: str) -> ImageSet:
        """Load one split. Raises `DataError` if it does not exist or the files belong to several sets."""
        images = [file for file in self.files if file.what == "images"]
        prefixes = sorted({file.prefix for file in images})
        if len(prefixes) > 1:
            sets = ", ".join(shown(one) or "one without a name" for one in prefixes)
            example = shown("/".join(images[0].parts))
            raise DataError(
                f"{self.where} holds several sets of IDX files ({sets}); give one file of images, such as {example}"
            )
        roles = {file.role for file in images}
        role: Role | Literal[""] = split if split in roles or roles != {""} else ""
        if role not in roles or (role == "" and split == "test"):
            raise DataError(f"{self.where} holds no {split} images, only {', '.join(sorted(roles)) or 'others'}")
        chosen = self._only([file for file in images if file.role == role])
        labels = [f for f in self.files if f.what == "labels" and (f.prefix, f.role) == (chosen.prefix, role)]
        labelled = self._only(labels).parts if labels else None
        return set_of(
            self.read(chosen.parts)[..., np.newaxis],
            None if labelled is None else self.read(labelled).astype(np.int32),
            name,
            f"{self.where}/{'/'.join(chosen.parts)}",
            None if labelled is None else f"{self.where}/{'/'.join(labelled)}",
        )

    def _only(self, files: list[Named]) -> Named:
        """The outermost of several copies of a file, uncompressed if possible."""
        first, *others = sorted(files, key=lambda file: (len(file.parts), file.parts[-1].endswith(".gz"), file.parts))
        for other in others:
            if len(other.parts) == len(first.parts) and other.parts[:-1] != first.parts[:-1]:
                both = " and ".join(shown("/".join(file.parts)) for file in (first, other))
                raise DataError(f"{self.where} holds {both}: give the folder of one of them")
        return first


def idx_in_folder(folder: Path) -> IdxSet | None:
    """The IDX files in a folder; None if there are none, if there are pictures, or if there are too many files."""
    names = _listed(folder)
    found = None if names is None else _named(names)
    return None if found is None else IdxSet(str(folder), found, lambda parts: read_idx(folder.joinpath(*parts)))


def idx_in_zip(path: Path) -> IdxSet | None:
    """The IDX files in a zip file; None if there are none or if there are pictures.

    Raises `DataError` if the zip file is damaged.
    """
    names = members(path)
    places = {tuple(part for part in name.split("/") if part not in ("", ".")): name for name in names}
    found = _named([parts for parts in places if parts])

    def read(parts: Parts) -> NDArray[np.uint8]:
        member = places[parts]
        try:
            with ZipFile(path) as archive, archive.open(member) as file:
                assert isinstance(file, ZipExtFile)
                about = archive.getinfo(member)
                packed = min(about.compress_size, path.stat().st_size)
                return read_idx_stream(file, f"{path}/{shown(member)}", about.file_size, packed)
        except (DataError, MemoryError):
            raise
        except Exception as error:  # zipfile raises exceptions of many types for damaged files
            raise DataError(f"{path}/{shown(member)} cannot be unpacked ({reason(error)})") from None

    return None if found is None else IdxSet(str(path), found, read)


def _named(names: Sequence[Parts]) -> tuple[Named, ...] | None:
    """The IDX files among these; None if there are no IDX images or if there are pictures."""
    seen = [parts for parts in names if not any(map(is_hidden, parts))]
    if any(parts[-1].lower().endswith(ENDINGS) for parts in seen):
        return None
    found = [file for file in map(_parsed, seen) if file is not None]
    return tuple(found) if any(file.what == "images" for file in found) else None


def _parsed(parts: Parts) -> Named | None:
    name = _NAME.fullmatch(parts[-1])
    if name is None or (name[2].lower(), name[3]) not in (("images", "3"), ("labels", "1")):
        return None
    last = _LAST_WORD.search(name[1])
    role = None if last is None else WORDS.get(last[1].lower())
    if last is None or role is None:
        return Named(parts, name[2].lower(), name[1], "")
    return Named(parts, name[2].lower(), name[1][: last.start()], role)


def _listed(folder: Path) -> list[Parts] | None:
    """The files in a folder and its sub-folders, as names relative to it; None if there are too many."""
    found: list[Parts] = []
    waiting: list[Parts] = [()]
    count = 0
    while waiting:
        above = waiting.pop()
        entries = _entries(folder.joinpath(*above))
        count += len(entries)
        if count > MOST:
            return None
        for entry in entries:
            place = (*above, entry.name)
            if not entry.is_dir(follow_symlinks=False):
                found += [place] if _is_file(entry) else []
            elif len(place) <= DEPTH and not is_hidden(entry.name):
                waiting.append(place)
    return found


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, up to one more than `MOST`; nothing if it may not be opened."""
    try:
        with os.scandir(folder) as entries:
            return list(islice(entries, MOST + 1))
    except OSError:
        return []


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False
