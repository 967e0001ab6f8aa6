"""THE TAIL of a run's events: read on from where it last stopped, whatever happens to the file meanwhile."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

Event = dict[str, Any]
MOST_STEPS = 1 << 53
MOST_BYTES = 64 << 20
"""So much is read at once; the rest the next time."""


class Tail:
    """The events of one file so far."""

    def __init__(self, path: Path) -> None:
        self.events: list[Event] = []
        self._path, self._inode, self._read = path, 0, 0

    def read(self) -> list[Event]:
        """All events so far. A line that is still being written is read when it is whole; one that is none is left out.

        A file that became shorter or another one is read from its start: a run that goes on forgets what comes after
        its checkpoint.
        """
        try:
            file = open_plain(self._path)
        except OSError:
            self.events, self._inode, self._read = [], 0, 0
            return self.events
        with file:
            found = os.fstat(file.fileno())
            if found.st_ino != self._inode or found.st_size < self._read:
                self.events, self._inode, self._read = [], found.st_ino, 0
            file.seek(self._read)
            whole, newline, _ = file.read(MOST_BYTES).rpartition(b"\n")
        self._read += len(whole) + len(newline)
        self.events += [event for line in whole.split(b"\n") if (event := _event(line))]
        return self.events


def open_plain(path: Path) -> BinaryIO:
    """Open a file to read, unless it is a link, which may lead to anything, or a pipe or device, which may never end.

    Raises `OSError`.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "is no plain file", str(path))
    return file


def _event(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    known = isinstance(event, dict) and isinstance(event.get("event"), str) and type(event.get("step")) is int
    return event if known and 0 <= event["step"] < MOST_STEPS else None
