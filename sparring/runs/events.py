"""EVENTS: one line each in `events.jsonl`, with a checksum and the run's id, appended while the run trains."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from sparring.errors import RunError
from sparring.files import atomic, checksummed
from sparring.files.untrusted import open_plain
from sparring.runs import identity

LARGEST_EVENTS, LONGEST_LINE = 1 << 30, 1 << 24
"""Characters that are read of the file, and of one line."""

Event = dict[str, Any]


@dataclass(frozen=True)
class EventLog:
    """The events of one run."""

    path: Path
    run: str | None
    """Id of the run; events of another run are left out."""

    def read(self) -> Iterator[Event]:
        """The events so far. Lines that are incomplete, damaged, or of another run are left out."""
        return (event for event in self._lines() if is_event(event) and event.get(identity.KEY) == self.run)

    def add(self, event: str, step: int, **values: Any) -> None:
        """Append one event, with the time of day."""
        about = {"event": event, "step": step, "time": round(time.time(), 3)}
        atomic.append(self.path, checksummed.line(about | values | identity.mark(self.run)).encode())

    def keep(self, is_kept: Callable[[Event], bool]) -> None:
        """Remove all other events."""
        lines = map(checksummed.line, filter(is_kept, self.read()))
        atomic.write_bytes(self.path, "".join(lines).encode())

    def damages(self) -> Iterator[str]:
        """One sentence each: lines that cannot be read, and lines of another run."""
        lost = foreign = 0
        for event in self._lines():
            lost += not is_event(event)
            foreign += is_event(event) and event.get(identity.KEY) != self.run
        if lost:
            yield (
                f"{self.path}: {lost} line{'s' if lost > 1 else ''} cannot be read and are left out: cut short by a "
                "kill, or damaged since"
            )
        if foreign:
            yield f"{self.path}: {foreign} line{'s' if foreign > 1 else ''} belong to another run and are left out"

    def _lines(self) -> Iterator[Event | None]:
        read, left = checksummed.Lines().read, LARGEST_EVENTS
        try:
            file = open_plain(self.path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise RunError(f"{self.path} cannot be read: {error.strerror}") from error
        with io.TextIOWrapper(file, encoding="utf-8", errors="replace") as lines:
            while left > 0 and (line := lines.readline(LONGEST_LINE)):
                left -= len(line)
                yield read(line)


def is_event(value: Event | None) -> TypeGuard[Event]:
    """Whether a value has the schema of an event."""
    from sparring.runs import schemas  # here, because msgspec is slow to import

    return schemas.is_event(value)
