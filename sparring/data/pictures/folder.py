"""A FOLDER of pictures and its sub-folders. Symbolic links out of it are followed only with --follow-links."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sparring.data.pictures.decode import Unreadable
from sparring.data.pictures.listing import MAX_FILES, File, Listing, Problem, is_hidden, shown
from sparring.data.pictures.search import Search
from sparring.errors import DataError
from sparring.files import sample_folder
from sparring.files.untrusted import open_plain
from sparring.system.mounts import is_pseudo
from sparring.terminal.progress import shown as shown_progress

RUN_FILES = ("recipe.json", "environment.json")
"""Files of every run of Sparring."""


def is_run(folder: Path) -> bool:
    """Whether the folder is a run of Sparring."""
    return all((folder / name).is_file() for name in RUN_FILES)


MOST_LINKED = 100_000
"""Largest number of folders reached by links out of the folder."""


def list_folder(folder: Path, follow: bool = False) -> Listing:
    """List the files in a folder and its sub-folders.

    Unless `follow`, links out of the folder are skipped. With `follow`, each file and folder outside is listed once.
    Raises `DataError` if the folder cannot be opened or has too many files.
    """
    walk = _Walk(Path(os.path.realpath(folder)), follow)
    try:
        walk.go(_Inside(str(walk.root), str(walk.root), (), frozenset(), linked=False))
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be read: {error.strerror}") from None
    with shown_progress() as tell:
        tell(f"looking through {shown(str(folder))} for pictures")
        while walk.waiting:
            walk.enter(walk.waiting.pop())
    walk.drop_repeated()
    return Listing(sorted(walk.files, key=lambda file: tuple(map(os.fsencode, file.parts))), walk.skipped, walk.ignored)


BY_LINK, BY_NAME, BY_FOLDER_LINK = range(3)
"""How a file was reached; the first one is preferred."""
Inode = tuple[int, int]
"""Device and inode of a file or a folder."""


@dataclass(frozen=True)
class _Inside:
    """A folder to be listed."""

    path: str
    real: str
    """The path with symbolic links resolved."""
    parts: tuple[str, ...]
    """The names of the folders from the root to it."""
    above: frozenset[str]
    """The real paths of the folders above it."""
    linked: bool
    """Whether it was reached by a symbolic link."""


class _Walk:
    """A walk through a folder. A list of waiting folders replaces recursion, because folders may be nested too deep."""

    def __init__(self, root: Path, follow: bool) -> None:
        self.root, self.follow = root, follow
        self.linked: set[Inode] = set()
        """Folders reached by symbolic links."""
        self.ways: dict[Inode, list[tuple[int, File]]] = {}
        """If links are followed: all names of each file, and how each was reached."""
        self.outside = 0
        """Number of folders outside of the root."""
        self.files: list[File] = []
        self.skipped: list[Problem] = []
        self.ignored = 0
        self.waiting: list[_Inside] = []
        self.search = Search(root)

    def enter(self, folder: _Inside) -> None:
        """List a folder below the root, unless it is a run, a pseudo file system, or cannot be opened."""
        try:
            if is_pseudo(folder.real):
                self._skip(folder.parts, "a pseudo file system, not a folder on disk")
            elif is_run(Path(folder.path)):
                self._skip(folder.parts, "a run of Sparring, not pictures to train on")
            else:
                self.go(folder)
        except OSError as error:
            self._skip(folder.parts, f"cannot be opened: {error.strerror}")

    def go(self, folder: _Inside) -> None:
        """Take the files of a folder, and put its sub-folders on the list."""
        with os.scandir(folder.path) as scanned:
            entries: Iterable[os.DirEntry[str]] = scanned
            if self.follow:
                entries = sorted(scanned, key=lambda entry: os.fsencode(entry.name))  # the first name of a file is used
            for entry in entries:
                self.search.see(entry.name, self.files, self.waiting)
                place = (*folder.parts, entry.name)
                try:
                    self._take(entry, place, folder)
                except OSError as error:
                    self._skip(place, f"cannot be read: {error.strerror}")

    def _take(self, entry: os.DirEntry[str], parts: tuple[str, ...], folder: _Inside) -> None:
        if entry.name == sample_folder.UNFINISHED and sample_folder.is_unfinished(Path(folder.path)):
            raise DataError(f"{folder.path} holds samples that were half replaced; draw them again: sparring sample")
        if is_hidden(entry.name):
            self.ignored += 1
            return
        above, link = folder.above | {folder.real}, entry.is_symlink()
        if link and (reason := self._refused(entry, above, folder.linked)):
            self._skip(parts, reason)
            return
        if entry.is_dir():
            # `realpath` only for links: for all nested folders it would take time cubic in their depth.
            real = os.path.realpath(entry.path) if link else os.path.join(folder.real, entry.name)  # noqa: PTH118
            self._count_outside(entry.path, folder.linked or link)
            self.waiting.append(_Inside(entry.path, real, parts, above, folder.linked or link))
            return
        status = entry.stat()
        if not stat.S_ISREG(status.st_mode):
            self._skip(parts, "not a regular file")
            return
        if len(self.files) >= MAX_FILES:
            raise DataError(f"{self.root} holds more than {MAX_FILES:,} files")
        stamp = (status.st_size, max(status.st_mtime_ns, status.st_ctime_ns), status.st_mtime_ns)
        file = File(parts, stamp, partial(_read, entry.path))
        if self.follow:
            way = BY_FOLDER_LINK if folder.linked else BY_LINK if link else BY_NAME
            self.ways.setdefault((status.st_dev, status.st_ino), []).append((way, file))
        self.files.append(file)

    def _refused(self, link: os.DirEntry[str], above: frozenset[str], linked: bool) -> str | None:
        """The reason not to follow a link, or None. `linked`: whether its folder was reached by another link."""
        target = os.path.realpath(link.path)
        within = Path(target).is_relative_to(self.root)
        if not within and not self.follow:
            return "a link out of the folder; --follow-links follows such links"
        if not os.path.lexists(target):
            return "a link to nothing"
        if target in above or (not within and self.root.is_relative_to(target)):
            return "a link to a folder above it"
        if self.follow and link.is_dir():
            status = link.stat()
            if (status.st_dev, status.st_ino) in self.linked:
                return "a link to a folder that was reached by another link"
            self.linked.add((status.st_dev, status.st_ino))
        if linked and link.is_dir() and not self.follow:
            return "a link to a folder, in a folder reached by a link"  # there may be 2 ** 40 such paths
        return None

    def drop_repeated(self) -> None:
        """Keep the preferred name of each file: a link to it, as in subsets and caches, then its own name."""
        dropped: set[File] = set()
        for names in self.ways.values():
            best = min(way for way, _ in names)
            kept = [file for way, file in names if way == best]
            kept = kept if best == BY_NAME else sorted(kept, key=lambda file: file.parts)[:1]
            dropped |= {file for _, file in names} - set(kept)
        self.files = [file for file in self.files if file not in dropped]
        self.ignored += len(dropped)

    def _count_outside(self, path: str, linked: bool) -> None:
        self.outside += self.follow and linked
        if self.outside > MOST_LINKED:
            raise DataError(f"links in {self.root} lead to more than {MOST_LINKED:,} folders, the last one {path}")

    def _skip(self, parts: tuple[str, ...], reason: str) -> None:
        self.skipped.append(Problem(shown("/".join(parts)), reason))


def _read(path: str, most: int) -> bytes:
    try:
        with open_plain(Path(path), links=True) as file:  # it may have become a pipe
            return file.read(most)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from None
