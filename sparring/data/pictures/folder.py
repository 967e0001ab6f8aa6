"""A FOLDER of pictures: its files, and those in its sub-folders; links out of it are followed only if that is asked."""

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
"""What lies in every run of Sparring."""


def is_run(folder: Path) -> bool:
    """Whether the folder is a run of Sparring."""
    return all((folder / name).is_file() for name in RUN_FILES)


MOST_LINKED = 100_000
"""Folders outside that links lead to, or that lie below such a folder. With more, a link leads to half a disk."""


def list_folder(folder: Path, follow: bool = False) -> Listing:
    """The files in a folder and below it. Unless `follow`, links that lead out of it are left out; with it, each file
    and each folder outside is taken once. Raises `DataError` where it cannot be opened, or holds far too many."""
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
"""How a file was reached, the best way first."""
Inode = tuple[int, int]
"""A device, and the number of a file or a folder on it."""


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

    def __init__(self, root: Path, follow: bool) -> None:
        self.root, self.follow = root, follow
        self.linked: set[Inode] = set()
        """The folders that links led to."""
        self.ways: dict[Inode, list[tuple[int, File]]] = {}
        """If links are followed: each file by all names that lead to it, and how good each name is."""
        self.outside = 0
        """Folders that were reached by a link out of the root."""
        self.files: list[File] = []
        self.skipped: list[Problem] = []
        self.ignored = 0
        self.waiting: list[_Inside] = []
        self.search = Search(root)

    def enter(self, folder: _Inside) -> None:
        """Take what lies in a folder below the root, unless it is none of pictures, or cannot be opened."""
        try:
            if is_pseudo(folder.real):
                self._skip(folder.parts, "no folder of a disk: the system describes itself there")
            elif is_run(Path(folder.path)):
                self._skip(folder.parts, "a run of Sparring, not pictures to train on")
            else:
                self.go(folder)
        except OSError as error:
            self._skip(folder.parts, f"cannot be opened: {error.strerror}")

    def go(self, folder: _Inside) -> None:
        """Take the files that lie in a folder; the folders in it wait."""
        with os.scandir(folder.path) as scanned:
            entries: Iterable[os.DirEntry[str]] = scanned
            if self.follow:
                entries = sorted(scanned, key=lambda entry: os.fsencode(entry.name))  # who comes first is taken
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
            # What is no link is not looked up once more: of folders in folders that would take the cube of their depth.
            real = os.path.realpath(entry.path) if link else os.path.join(folder.real, entry.name)  # noqa: PTH118
            self._count_outside(entry.path, folder.linked or link)
            self.waiting.append(_Inside(entry.path, real, parts, above, folder.linked or link))
            return
        status = entry.stat()
        if not stat.S_ISREG(status.st_mode):
            self._skip(parts, "no ordinary file")
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
        """Why a link is not followed; `linked` says whether another one led here."""
        target = os.path.realpath(link.path)
        within = Path(target).is_relative_to(self.root)
        if not within and not self.follow:
            return "a link out of the folder; --follow-links follows such links"
        if not os.path.lexists(target):
            return "a link to nothing"
        if target in above or (not within and self.root.is_relative_to(target)):
            return "a link back to a folder that it lies in"
        if self.follow and link.is_dir():
            status = link.stat()
            if (status.st_dev, status.st_ino) in self.linked:
                return "a link to a folder that another link has led to"
            self.linked.add((status.st_dev, status.st_ino))
        if linked and link.is_dir() and not self.follow:
            return "a link to a folder, reached by another such link"  # of which there can be 2 ** 40 ways
        return None

    def drop_repeated(self) -> None:
        """Of the names of a file keep the best: a link to it, as subsets and caches have them, then its own."""
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
        with open_plain(Path(path), links=True) as file:  # it may be a pipe by now
            return file.read(most)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from None
