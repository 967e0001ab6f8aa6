"""PROGRESS of what takes long and is no training: a bar on a terminal, lines elsewhere, both on standard error."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from sparring.terminal.output import plain_console, printable

if TYPE_CHECKING:
    from rich.console import Console

QUIET_SECONDS, LINE_SECONDS = 5.0, 10.0
"""How long no line is written at first; and how often one is while a stage takes long."""


class ReportProgress(Protocol):
    """Is told what is being done now and, where that can be counted, how much of it is done."""

    def __call__(self, what: str, done: int = 0, total: int = 0) -> None: ...


Count = Callable[[int, int], None]
"""Is told (done, in all) of one stage."""


def silent(what: str, done: int = 0, total: int = 0) -> None:
    """Shows nothing."""


_shown: ReportProgress | None = None


@contextmanager
def shown(subject: str = "") -> Iterator[ReportProgress]:
    """Show for as long as the block takes what is told: the stage of the work on `subject`, and the time left of it.

    On a terminal it is a bar that goes away. Elsewhere, once it has taken `QUIET_SECONDS`, there is a line for each
    stage, and a line every `LINE_SECONDS`. Within another such block, what is told is shown there.
    """
    global _shown
    if _shown is not None:
        yield _shown
        return
    console = plain_console(stderr=True)
    show = _bar if console.is_terminal else _lines
    with show(console, f"{printable(subject)}: " if subject else "") as _shown:
        try:
            yield _shown
        finally:
            _shown = None


def counting(tell: ReportProgress, what: str) -> Count:
    """Tells how much of that stage is done."""
    return lambda done, total: tell(what, done, total)


def duration(seconds: float) -> str:
    """Seconds in words for people: "50 s", "3 min", "5.2 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


@contextmanager
def _bar(console: Console, subject: str) -> Iterator[ReportProgress]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        bar, stage = bars.add_task(f"{subject}starting", total=None), ""

        def tell(what: str, done: int = 0, total: int = 0) -> None:
            nonlocal stage
            if what != stage:
                stage = what
                bars.reset(bar)
            count = f" {done:,}/{total:,}" if total else ""
            bars.update(bar, description=f"{subject}{printable(what)}{count}", completed=done, total=total or None)

        yield tell


class Stage:
    """What is being done, since when, and how far it is."""

    def __init__(self, what: str) -> None:
        self.what, self.done, self.total = what, 0, 0
        self.began, self.written = time.monotonic(), float("-inf")

    def words(self) -> str:
        """For a line."""
        spent = time.monotonic() - self.began
        if self.done:
            left = spent * (self.total - self.done) / self.done
            return f"{self.what}: {self.done:,} of {self.total:,}, {duration(left)} left"
        return self.what if self.written < self.began else f"{self.what}, for {duration(spent)}"


@contextmanager
def _lines(console: Console, subject: str) -> Iterator[ReportProgress]:
    stage, began, ended = Stage(""), time.monotonic(), threading.Event()

    def tell(what: str, done: int = 0, total: int = 0) -> None:
        nonlocal stage
        if what != stage.what:
            stage = Stage(what)
        stage.done, stage.total = done, total

    def write() -> None:
        while not ended.wait(LINE_SECONDS / 50):
            now, current = time.monotonic(), stage
            if current.what and now - began >= QUIET_SECONDS and now - current.written >= LINE_SECONDS:
                console.print(printable(f"{subject}{current.words()}"), soft_wrap=True)
                current.written = now

    writer = threading.Thread(target=write, name="progress", daemon=True)
    writer.start()
    try:
        yield tell
    finally:
        ended.set()
        writer.join()
