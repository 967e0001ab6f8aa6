"""LISTINGS of the files in a folder or an archive, before they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sparring.terminal.output import printable

MAX_FILES = 5_000_000
"""Largest number of files in a folder or an archive."""


LONGEST_SHOWN = 400
"""Largest number of characters shown of a name. In an archive, a name may have 65,535."""


@dataclass(frozen=True, eq=False)
class File:
    """One file, not read yet."""

    parts: tuple[str, ...]
    """The folders below the source and the file's name, as given by the system."""
    stamp: tuple[int, ...]
    """Numbers that change with the file: size and times. The second one is the time of the last change in ns."""
    read: Callable[[int], bytes]
    """A function that reads the first n bytes. Raises `Unreadable` or `OSError`."""

    @property
    def name(self) -> str:
        """The name shown to people."""
        return shown("/".join(self.parts))


@dataclass(frozen=True)
class Problem:
    """A file that cannot be used, and the reason in a few words."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Listing:
    """The files of a source, sorted by name."""

    files: list[File]
    skipped: list[Problem]
    """Files that are not read because of their names or places."""
    ignored: int
    """Number of hidden files and folders."""


def shown(name: str) -> str:
    """Make a name printable: escape unprintable characters and shorten long names in the middle."""
    if len(name) > LONGEST_SHOWN:
        name = f"{name[: LONGEST_SHOWN // 2]}...{name[-LONGEST_SHOWN // 2 :]}"
    return printable(name)


def is_hidden(name: str) -> bool:
    """Whether it is a hidden file or a system file."""
    return name.startswith(".") or name == "__MACOSX" or name.lower() in ("thumbs.db", "desktop.ini")
