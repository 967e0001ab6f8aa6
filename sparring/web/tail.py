"""The tail of a run's events file: every read continues where the last one stopped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sparring.files.checksummed import Lines
from sparring.files.untrusted import open_plain
from sparring.runs.events import is_event

Event = dict[str, Any]
MAX_READ_BYTES = 64 << 20
"""Read at a time. The next read continues."""
MAX_FILE_BYTES = 512 << 20
"""Events beyond this position are ignored."""


class Tail:
    """The events of one file so far."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reset(0)

    def read(self) -> list[Event]:
        """Return all events so far. Incomplete lines wait for the next read; lines that are no events are skipped.

        A file that was truncated or replaced is read from its start. A resumed run, for example, removes the events
        after its checkpoint.
        """
        try:
            file = open_plain(self._path)
        except OSError:
            self._reset(0)
            return self.events
        with file:
            status = os.fstat(file.fileno())
            if status.st_ino != self._inode or status.st_size < self._position:
                self._reset(status.st_ino)
            file.seek(self._position)
            chunk = file.read(min(MAX_READ_BYTES, MAX_FILE_BYTES - self._position))
        complete, newline, rest = chunk.rpartition(b"\n")
        if len(rest) == MAX_READ_BYTES:  # longer than any event
            complete, newline = b"", rest
        self._position += len(complete) + len(newline)
        lines = complete.decode(errors="replace").split("\n")
        self.events += [event for line in lines if is_event(event := self._lines.read(line))]
        return self.events

    def _reset(self, inode: int) -> None:
        self.events: list[Event] = []
        self._lines, self._inode, self._position = Lines(), inode, 0
