"""THE TAIL of a run's events: read on from where it last stopped, whatever happens to the file meanwhile."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sparring.files.checksummed import Lines
from sparring.files.untrusted import open_plain
from sparring.runs.run import is_event

Event = dict[str, Any]
MOST_BYTES = 64 << 20
"""So much is read at once; the rest the next time."""
LARGEST = 512 << 20
"""Bytes of a file; what stands behind them is left out."""


class Tail:
    """The events of one file so far."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._forget(0)

    def read(self) -> list[Event]:
        """All events so far. A line that is still being written is read when it is whole; one that is none is left out.

        A file that became shorter or another one is read from its start: a run that goes on forgets what comes after
        its checkpoint.
        """
        try:
            file = open_plain(self._path)
        except OSError:
            self._forget(0)
            return self.events
        with file:
            found = os.fstat(file.fileno())
            if found.st_ino != self._inode or found.st_size < self._read:
                self._forget(found.st_ino)
            file.seek(self._read)
            piece = file.read(min(MOST_BYTES, LARGEST - self._read))
        whole, newline, rest = piece.rpartition(b"\n")
        if len(rest) == MOST_BYTES:  # no event is so long
            whole, newline = b"", rest
        self._read += len(whole) + len(newline)
        lines = whole.decode(errors="replace").split("\n")
        self.events += [event for line in lines if is_event(event := self._lines.read(line))]
        return self.events

    def _forget(self, inode: int) -> None:
        self.events: list[Event] = []
        self._lines, self._inode, self._read = Lines(), inode, 0
