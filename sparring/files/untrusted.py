"""Safe opening of files that anybody may have made.

A pipe or a device may never end, a symlink may lead to any file, and a file may be larger than the memory.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

LARGEST_JSON = 64 << 20
"""Maximum size of a JSON file, in bytes."""
LARGEST_PICTURE = 1 << 28
"""Maximum size of a picture, in pixels."""
SPECIAL = {
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "pipe",
    stat.S_IFDIR: "folder",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
    stat.S_IFSOCK: "socket",
}


def special_kind(mode: int) -> str | None:
    """Return what a file is ("pipe", "folder", ...), from its mode; None for a regular file."""
    return None if stat.S_ISREG(mode) else SPECIAL.get(stat.S_IFMT(mode), "special file")


def open_descriptor(path: str | Path, flags: int, links: bool = False) -> int:
    """Open a file without waiting for the other end of a pipe and, without `links`, without following a symlink.

    Raises `OSError`.
    """
    no_follow = 0 if links else getattr(os, "O_NOFOLLOW", 0)
    return os.open(path, flags | no_follow | getattr(os, "O_NONBLOCK", 0), 0o666)


def open_plain(path: Path, most: int | None = None, links: bool = False) -> BinaryIO:
    """Open a regular file of at most `most` bytes for reading. A symlink is followed only with `links`.

    Raises `OSError`.
    """
    file = os.fdopen(open_descriptor(path, os.O_RDONLY, links), "rb")
    found = os.fstat(file.fileno())
    if special_kind(found.st_mode) is None and (most is None or found.st_size <= most):
        return file
    file.close()
    raise OSError(errno.EINVAL, "is not a regular file, or too large", str(path))


def read_plain(path: Path, most: int) -> bytes:
    """Read a regular file of at most `most` bytes. A symlink is followed. Raises `OSError`."""
    with open_plain(path, most, links=True) as file:
        return file.read(most)
