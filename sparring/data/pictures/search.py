"""SEARCHING a folder for pictures: not for ever where there are hardly any.

Folders full of pictures may have any size. Who names the root of a disk by mistake hears so after a minute at most.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

from sparring.data.arrays.formats import ENDINGS
from sparring.data.pictures.decode import HEAD, Unreadable, is_picture
from sparring.data.pictures.listing import File, shown
from sparring.errors import DataError
from sparring.system.mounts import refuse_pseudo

FREE, FREE_SECONDS = 100_000, 60.0
"""Files and folders that are gone through, and for how long, before there must be any pictures among them."""
SPARSE = 20
"""After that at least one of so many must be a picture."""
ASKED, ENOUGH = 200, 0.1
"""Before a search ends, so many files, and so many folders that are still to come, are looked into. It goes on where
this share of them are pictures."""


class Place(Protocol):
    """A folder."""

    @property
    def path(self) -> str: ...


class Search:
    """Whether a walk through a folder is worth going on."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.seen = self.pictures = 0
        self.free, self.free_until = FREE, time.monotonic() + FREE_SECONDS
        self.began = time.monotonic()
        refuse_pseudo(root)

    def see(self, name: str, files: Sequence[File], folders: Sequence[Place]) -> None:
        """There is something called so, beside the `files` up to now; `folders` are still to be searched.

        Raises `DataError` where hardly any are pictures.
        """
        self.seen += 1
        self.pictures += name.lower().endswith(ENDINGS)
        if self.seen % 256 or self.seen < SPARSE * (self.pictures + 1):
            return
        if self.seen < self.free + SPARSE * self.pictures and time.monotonic() < self.free_until:
            return
        if not (_unnamed_pictures(files) or _pictures_to_come(folders)):
            self._give_up()
        self.free, self.free_until = self.seen + FREE, time.monotonic() + FREE_SECONDS

    def _give_up(self) -> None:
        found = f"only {self.pictures:,} are" if self.pictures else "none is"
        raise DataError(
            f"{shown(str(self.root))} is no folder of pictures: of the first {self.seen:,} files and folders in it "
            f"({time.monotonic() - self.began:.0f} s) {found} called like one. Give the folder that holds the pictures"
        )


def _unnamed_pictures(files: Sequence[File]) -> bool:
    """Whether many of the files that are not called pictures are some."""
    others = [file for file in files if not file.parts[-1].lower().endswith(ENDINGS)]
    some = random.Random(0).sample(others, min(ASKED, len(others)))
    return sum(map(_holds_picture, some)) > ENOUGH * len(some)


def _holds_picture(file: File) -> bool:
    try:
        return is_picture(file.read(HEAD))
    except (Unreadable, OSError):
        return False


def _pictures_to_come(folders: Sequence[Place]) -> bool:
    """Whether many of the files in the next folders are called pictures."""
    names = [
        name for folder in random.Random(0).sample(folders, min(ASKED, len(folders))) for name in _first(folder.path)
    ]
    return sum(name.lower().endswith(ENDINGS) for name in names) > ENOUGH * len(names)


def _first(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in islice(entries, ASKED)]
    except OSError:
        return []
