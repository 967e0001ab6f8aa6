"""Progress of long work other than training: a bar on a terminal, lines elsewhere, both on standard error."""

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
"""Seconds before the first line, and seconds between lines of a long stage."""


class ReportProgress(Protocol):
    """Reports the current stage and, if it can be counted, how much of it is done."""

    def __call__(self, what: str, done: int = 0, total: int = 0) -> None: ...


Count = Callable[[int, int], None]
"""Reports the progress of one stage: (done, total)."""


def silent(what: str, done: int = 0, total: int = 0) -> None:
    """Report nothing."""


_shown: ReportProgress | None = None


@contextmanager
def shown(subject: str = "") -> Iterator[ReportProgress]:
    """Show progress within the block: the stage of the work on `subject`, and the time left.

    On a terminal it is a bar that disappears at the end. Elsewhere it is a line for each stage and a line every
    `LINE_SECONDS`, after the first `QUIET_SECONDS`. A nested block uses the display of the outer one.
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


def counting(report: ReportProgress, what: str) -> Count:
    """Return a function that reports the progress of one stage."""
    return lambda done, total: report(what, done, total)


def duration(seconds: float) -> str:
    """Format a duration: "50 s", "3 min", "5.2 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


@contextmanager
def _bar(console: Console, subject: str) -> Iterator[ReportProgress]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        bar, stage = bars.add_task(f"{subject}starting", total=None), ""

        def report(what: str, done: int = 0, total: int = 0) -> None:
            nonlocal stage
            if what != stage:
                stage = what
                bars.reset(bar)
            count = f" {done:,}/{total:,}" if total else ""
            bars.update(bar, description=f"{subject}{printable(what)}{count}", completed=done, total=total or None)

        yield report


class Stage:
    """A stage of the work: its name, its start, and its progress."""

    def __init__(self, what: str) -> None:
        self.what, self.done, self.total = what, 0, 0
        self.began, self.written = time.monotonic(), float("-inf")

    def words(self) -> str:
        """Return the text of a line."""
        spent = time.monotonic() - self.began
        if self.done:
            left = spent * (self.total - self.done) / self.done
            return f"{self.what}: {self.done:,} of {self.total:,}, {duration(left)} left"
        return self.what if self.written < self.began else f"{self.what}, for {duration(spent)}"


@contextmanager
def _lines(console: Console, subject: str) -> Iterator[ReportProgress]:
    stage, began, ended = Stage(""), time.monotonic(), threading.Event()

    def report(what: str, done: int = 0, total: int = 0) -> None:
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
        yield report
    finally:
        ended.set()
        writer.join()
