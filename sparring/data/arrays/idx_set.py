"""SETS OF IDX FILES in a folder or a zip file: which of them are the images and the labels of a split.

The names are those of MNIST, or have more words before them (`emnist-letters-train-images-idx3-ubyte.gz`); the files
lie beside each other, or in folders of their own, as Kaggle and torchvision have them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipExtFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from sparring.data.arrays.formats import ENDINGS
from sparring.data.arrays.idx import Split, read_idx, read_idx_stream, set_of
from sparring.data.image_set import ImageSet
from sparring.data.pictures.archive import members
from sparring.data.pictures.listing import is_hidden, shown
from sparring.errors import DataError, reason

DEPTH, MOST = 3, 1_000
"""Folders below the one that is given, and files in all, among which IDX files are looked for."""
Parts = tuple[str, ...]

_NAME = re.compile(r"(.*?)[-_. ]?(images|labels)[-_. ]idx([13])[-_. ]ubyte(\.gz)?", re.I)
_SPLIT = re.compile(r"(?:^|[-_. ])(train(?:ing)?|t10k|test(?:ing)?|valid(?:ation)?|val)$", re.I)
_ROLES = {"tr": "train", "t1": "test", "te": "test", "va": "validation"}


@dataclass(frozen=True)
class Named:
    """What the name of an IDX file says."""

    parts: Parts
    what: str
    """"images" or "labels"."""
    prefix: str
    """The words before the split: "emnist-letters"."""
    role: str
    """"train", "test" or "validation"; "" if it does not say."""


@dataclass(frozen=True)
class IdxSet:
    """The IDX files that there are, none of them read yet."""

    where: str
    files: tuple[Named, ...]
    read: Callable[[Parts], NDArray[np.uint8]]

    def load(self, split: Split, name: str) -> ImageSet:
        """One split. Raises `DataError` where there is none, or several sets."""
        images = [file for file in self.files if file.what == "images"]
        prefixes = sorted({file.prefix for file in images})
        if len(prefixes) > 1:
            sets = ", ".join(shown(one) or "one without a name" for one in prefixes)
            example = shown("/".join(images[0].parts))
            raise DataError(
                f"{self.where} holds several sets of IDX files ({sets}); give one file of images, such as {example}"
            )
        roles = {file.role for file in images}
        role = split if split in roles or roles != {""} else ""
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
        """The file that is meant: a copy may lie deeper, or be gzipped, or not."""
        first, *others = sorted(files, key=lambda file: (len(file.parts), file.parts[-1].endswith(".gz"), file.parts))
        for other in others:
            if len(other.parts) == len(first.parts) and other.parts[:-1] != first.parts[:-1]:
                both = " and ".join(shown("/".join(file.parts)) for file in (first, other))
                raise DataError(f"{self.where} holds {both}: give the folder of one of them")
        return first


def idx_in_folder(folder: Path) -> IdxSet | None:
    """The IDX files in a folder; None where there are none, or pictures, or very many files."""
    names = _listed(folder)
    found = None if names is None else _named(names)
    return None if found is None else IdxSet(str(folder), found, lambda parts: read_idx(folder.joinpath(*parts)))


def idx_in_zip(path: Path) -> IdxSet | None:
    """The IDX files in a zip file; None where there are none, or pictures. Raises `DataError` where it is damaged."""
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
        except Exception as error:  # zipfile raises whatever damaged bytes lead it to
            raise DataError(f"{path}/{shown(member)} cannot be unpacked ({reason(error)})") from None

    return None if found is None else IdxSet(str(path), found, read)


def _named(names: Sequence[Parts]) -> tuple[Named, ...] | None:
    """What their names say, if there are images among them, and no pictures."""
    seen = [parts for parts in names if not any(map(is_hidden, parts))]
    if any(parts[-1].lower().endswith(ENDINGS) for parts in seen):
        return None
    found = [file for file in map(_parsed, seen) if file is not None]
    return tuple(found) if any(file.what == "images" for file in found) else None


def _parsed(parts: Parts) -> Named | None:
    name = _NAME.fullmatch(parts[-1])
    if name is None or (name[2].lower(), name[3]) not in (("images", "3"), ("labels", "1")):
        return None
    split = _SPLIT.search(name[1])
    prefix = name[1] if split is None else name[1][: split.start()]
    return Named(parts, name[2].lower(), prefix, "" if split is None else _ROLES[split[1][:2].lower()])


def _listed(folder: Path) -> list[Parts] | None:
    """The files in a folder, as names from there on; None where they are too many."""
    found: list[Parts] = []
    waiting: list[Parts] = [()]
    count = 0
    while waiting:
        above = waiting.pop()
        try:
            with os.scandir(folder.joinpath(*above)) as entries:
                for entry in entries:
                    count += 1
                    if count > MOST:
                        return None
                    place = (*above, entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        if len(place) <= DEPTH and not is_hidden(entry.name):
                            waiting.append(place)
                    elif entry.is_file():
                        found.append(place)
        except OSError:  # not to be entered
            continue
    return found
