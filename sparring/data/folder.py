"""A FOLDER of pictures: its files, and those in its sub-folders; links out of it are not followed."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sparring import sample_folder
from sparring.data.decode import Unreadable
from sparring.data.files import MAX_FILES, File, Listing, Problem, is_hidden, shown
from sparring.errors import DataError

RUN_FILES = ("recipe.json", "environment.json")
"""What lies in every run of Sparring."""


def is_run(folder: Path) -> bool:
    """Whether the folder is a run of Sparring."""
    return all((folder / name).is_file() for name in RUN_FILES)


def list_folder(folder: Path) -> Listing:
    """The files in a folder and below it. Raises `DataError` where it cannot be opened, or holds far too many."""
    walk = _Walk(Path(os.path.realpath(folder)))
    try:
        walk.go(_Inside(str(walk.root), str(walk.root), (), frozenset(), linked=False))
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be read: {error.strerror}") from None
    while walk.waiting:
        walk.enter(walk.waiting.pop())
    return Listing(sorted(walk.files, key=lambda file: tuple(map(os.fsencode, file.parts))), walk.skipped, walk.ignored)


@dataclass(frozen=True)
class _Inside:
    """A folder on the way."""

    path: str
    real: str
    """The same without links."""
    parts: tuple[str, ...]
    """The names by which it is reached."""
    above: frozenset[str]
    """The real folders that it lies in."""
    linked: bool
    """Whether a link led here."""


class _Walk:
    """One way through a folder. Folders wait in a list, because they may lie in each other deeper than calls can."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: list[File] = []
        self.skipped: list[Problem] = []
        self.ignored = 0
        self.waiting: list[_Inside] = []

    def enter(self, folder: _Inside) -> None:
        """Take what lies in a folder below the root, unless it is none of pictures, or cannot be opened."""
        try:
            if is_run(Path(folder.path)):
                self._skip(folder.parts, "a run of Sparring, not pictures to train on")
            else:
                self.go(folder)
        except OSError as error:
            self._skip(folder.parts, f"cannot be opened: {error.strerror}")

    def go(self, folder: _Inside) -> None:
        """Take the files that lie in a folder; the folders in it wait."""
        with os.scandir(folder.path) as entries:
            for entry in entries:
                place = (*folder.parts, entry.name)
                try:
                    self._take(entry, place, folder)
                except OSError as error:
                    self._skip(place, f"cannot be read: {error.strerror}")

    def _take(self, entry: os.DirEntry[str], parts: tuple[str, ...], folder: _Inside) -> None:
        if entry.name == sample_folder.MANIFEST:
            if sample_folder.is_unfinished(Path(entry.path)):
                raise DataError(
                    f"{folder.path} holds samples that were half replaced; draw them again: sparring sample"
                )
            return
        if is_hidden(entry.name):
            self.ignored += 1
            return
        above, link = folder.above | {folder.real}, entry.is_symlink()
        if link and (reason := self._refused(entry, above, folder.linked)):
            self._skip(parts, reason)
            return
        if entry.is_dir():
            # What is no link is not looked up once more: of folders in folders that would take the cube of their depth.
            real = os.path.realpath(entry.path) if link else os.path.join(folder.real, entry.name)  # noqa: PTH118
            self.waiting.append(_Inside(entry.path, real, parts, above, folder.linked or link))
            return
        status = entry.stat()
        if not stat.S_ISREG(status.st_mode):
            self._skip(parts, "no ordinary file")
            return
        if len(self.files) >= MAX_FILES:
            raise DataError(f"{self.root} holds more than {MAX_FILES:,} files")
        stamp = (status.st_size, max(status.st_mtime_ns, status.st_ctime_ns), status.st_mtime_ns)
        self.files.append(File(parts, stamp, partial(_read, entry.path)))

    def _refused(self, link: os.DirEntry[str], above: frozenset[str], linked: bool) -> str | None:
        """Why a link is not followed; `linked` says whether another one led here."""
        target = os.path.realpath(link.path)
        if not Path(target).is_relative_to(self.root):
            return "a link out of the folder"
        if not os.path.lexists(target):
            return "a link to nothing"
        if target in above:
            return "a link back to a folder that it lies in"
        if linked and link.is_dir():
            return "a link to a folder, reached by another such link"  # of which there can be 2 ** 40 ways
        return None

    def _skip(self, parts: tuple[str, ...], reason: str) -> None:
        self.skipped.append(Problem(shown("/".join(parts)), reason))


def _read(path: str, most: int) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 (a name that is no proper text is no trouble here)
            return file.read(most)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from None
