"""THE SEARCH of a folder for pictures ends early if there are hardly any.

Folders of pictures may have any size. The root of a disk, given by mistake, is refused after at most a minute.
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
"""Files and folders, and seconds, before some of the files must be pictures."""
SPARSE = 20
"""After that, at least one file in this many must be a picture."""
ASKED, ENOUGH = 200, 0.1
"""Before a search ends, this many files and remaining folders are examined. It continues if this share are pictures."""


class Place(Protocol):
    """A folder."""

    @property
    def path(self) -> str: ...


class Search:
    """Decides whether to continue a walk through a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.seen = self.pictures = 0
        self.free, self.free_until = FREE, time.monotonic() + FREE_SECONDS
        self.began = time.monotonic()
        refuse_pseudo(root)

    def see(self, name: str, files: Sequence[File], folders: Sequence[Place]) -> None:
        """Count a file or folder called `name`. `files` were found before; `folders` are still to be searched.

        Raises `DataError` if hardly any are pictures.
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
            f"{shown(str(self.root))} is not a folder of pictures: of the first {self.seen:,} files and folders in it "
            f"({time.monotonic() - self.began:.0f} s) {found} named like a picture. Give the folder with the pictures"
        )


def _unnamed_pictures(files: Sequence[File]) -> bool:
    """Whether many files are pictures without the ending of one."""
    others = [file for file in files if not file.parts[-1].lower().endswith(ENDINGS)]
    some = random.Random(0).sample(others, min(ASKED, len(others)))
    return sum(map(_holds_picture, some)) > ENOUGH * len(some)


def _holds_picture(file: File) -> bool:
    try:
        return is_picture(file.read(HEAD))
    except (Unreadable, OSError):
        return False


def _pictures_to_come(folders: Sequence[Place]) -> bool:
    """Whether many files in the next folders have the ending of a picture."""
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
