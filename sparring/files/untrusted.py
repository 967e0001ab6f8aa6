"""Safe reading of files that anybody may have made.

A pipe or a device may never end, a link may lead to any file, and a file may be larger than the memory.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

LARGEST_JSON = 64 << 20
"""Bytes of a JSON file."""
LARGEST_PICTURE = 1 << 28
"""Pixels of a picture."""


def open_plain(path: Path, most: int | None = None, links: bool = False) -> BinaryIO:
    """Open a file to read, unless it is a pipe or a device, has more than `most` bytes or, without `links`, is a link.

    Raises `OSError`.
    """
    nowhere_else = 0 if links else getattr(os, "O_NOFOLLOW", 0)
    file = os.fdopen(os.open(path, os.O_RDONLY | nowhere_else | getattr(os, "O_NONBLOCK", 0)), "rb")
    found = os.fstat(file.fileno())
    if stat.S_ISREG(found.st_mode) and (most is None or found.st_size <= most):
        return file
    file.close()
    raise OSError(errno.EINVAL, "is no plain file, or too large", str(path))


def read_plain(path: Path, most: int) -> bytes:
    """What is in a file, or where a link to one leads, of at most so many bytes. Raises `OSError`."""
    with open_plain(path, most, links=True) as file:
        return file.read(most)
