"""DEADLINES for commands that run in this process, and the place of an error in our code."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


class TooLong(BaseException):
    """The time is over."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise `TooLong` in the block after so many seconds."""
    before = signal.signal(signal.SIGALRM, _over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def where(error: BaseException) -> str:
    """The last line of our code that the error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "sparring" in Path(frame.filename).parts[-3:-1]] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno} {ours[-1].name}"


def _over(number: int, frame: FrameType | None) -> None:
    raise TooLong
