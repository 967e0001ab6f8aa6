"""PLAIN FILES AND TEXTS: what is opened and printed of a run that anybody may have made.

A pipe or a device may never end, a link may lead to anything, a file may be larger than the memory, and a name may hold
what a terminal obeys.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from rich.console import Console

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


def printable(text: str) -> str:
    """The text on one line, with what terminals obey written out."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def plain_console(stderr: bool = False) -> Console:
    """A console that prints words as they are: a name may look like Rich's markup, or like `:dog:`."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)
