"""FILES among which there are pictures: what a folder or an archive lists of itself before anything is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MAX_FILES = 5_000_000
"""No folder or archive with more files than this is gone through."""


LONGEST_SHOWN = 400
"""Characters; in an archive a name may have 65,535."""


@dataclass(frozen=True, eq=False)
class File:
    """One file, not read yet."""

    parts: tuple[str, ...]
    """The folders that it lies in below the source, and its own name, as the system has them."""
    stamp: tuple[int, ...]
    """Numbers that change when the file does: its size, its times. The second one is when it was changed, in ns."""
    read: Callable[[int], bytes]
    """Its first bytes, at most so many. Raises `Unreadable` or `OSError`."""

    @property
    def name(self) -> str:
        """What it is called, for people."""
        return shown("/".join(self.parts))


@dataclass(frozen=True)
class Problem:
    """A file that cannot be trained on, and why, in a few words."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Listing:
    """The files of a source in the order of their names."""

    files: list[File]
    skipped: list[Problem]
    """Those that are not looked at, because of what they are called or where they lie."""
    ignored: int
    """Hidden files and folders, which nobody means to train on."""


def shown(name: str) -> str:
    """A name that can be printed anywhere: what is no proper character is written as a number, and the middle of a long
    one is left out."""
    if len(name) > LONGEST_SHOWN:
        name = f"{name[: LONGEST_SHOWN // 2]}...{name[-LONGEST_SHOWN // 2 :]}"
    text = name.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def is_hidden(name: str) -> bool:
    """Whether systems keep such a file or folder for themselves."""
    return name.startswith(".") or name == "__MACOSX" or name.lower() in ("thumbs.db", "desktop.ini")
