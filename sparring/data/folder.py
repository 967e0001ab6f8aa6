"""A FOLDER of pictures: its files, and those in its sub-folders; links out of it are not followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

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
        walk.go(walk.root, (), frozenset(), linked=False)
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be read: {error.strerror}") from None
    return Listing(sorted(walk.files, key=lambda file: tuple(map(os.fsencode, file.parts))), walk.skipped, walk.ignored)


class _Walk:
    """One way through a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: list[File] = []
        self.skipped: list[Problem] = []
        self.ignored = 0

    def go(self, folder: Path, parts: tuple[str, ...], above: frozenset[str], linked: bool) -> None:
        """Take what lies in `folder`, which is reached by these names, and perhaps by a link; `above` are the real
        folders on the way."""
        real = os.path.realpath(folder)
        for entry in self._entries(folder):
            place = (*parts, entry.name)
            if is_hidden(entry.name):
                self.ignored += 1
            elif entry.is_symlink() and (reason := self._refused(entry, {real, *above}, linked)):
                self._skip(place, reason)
            elif entry.is_dir():
                self._enter(Path(entry.path), place, above | {real}, linked or entry.is_symlink())
            else:
                self._take(entry, place)

    def _entries(self, folder: Path) -> Iterator[os.DirEntry[str]]:
        with os.scandir(folder) as entries:
            yield from entries

    def _enter(self, folder: Path, parts: tuple[str, ...], above: frozenset[str], linked: bool) -> None:
        if is_run(folder):
            self._skip(parts, "a run of Sparring, not pictures to train on")
            return
        try:
            self.go(folder, parts, above, linked)
        except OSError as error:
            self._skip(parts, f"cannot be opened: {error.strerror}")

    def _take(self, entry: os.DirEntry[str], parts: tuple[str, ...]) -> None:
        try:
            status = entry.stat()
        except OSError as error:
            self._skip(parts, f"cannot be read: {error.strerror}")
            return
        if not stat.S_ISREG(status.st_mode):
            self._skip(parts, "no ordinary file")
            return
        if len(self.files) >= MAX_FILES:
            raise DataError(f"{self.root} holds more than {MAX_FILES:,} files")
        stamp = (status.st_size, max(status.st_mtime_ns, status.st_ctime_ns), status.st_mtime_ns)
        self.files.append(File(parts, stamp, partial(_read, entry.path)))

    def _refused(self, link: os.DirEntry[str], above: set[str], linked: bool) -> str | None:
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
