"""Handling of Ctrl-C, SIGTERM and a closed terminal, from the first line of the program to its last.

Python runs signal handlers only in the main thread and between two instructions: not while XLA compiles, and not while
a library waits. An exception from a handler can interrupt any line of any library, and hang or crash it. Therefore a
separate thread waits for signals here, and raises nothing.

During a training (`first_signal_stops`) the first signal requests a stop, and the training saves everything. Otherwise
the program ends at once: it removes temporary files, prints one sentence, and exits without the clean-up of Python and
JAX. All files are written so that they survive this.

Only the program listens (`sparring.__main__`). A Python program that imports Sparring keeps its own signal handlers.
This module imports nothing slow, because it runs before all other modules of the package.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import NoReturn, Protocol

    class Stoppable(Protocol):
        """Something that can be asked to stop."""

        requested: bool


SIGNALS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
SENTENCES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
"""Messages by signal. SIGHUP has none, because the terminal is gone."""
EXIT_STATUS = 130
"""Of a training that was stopped before its end, as shells report it for Ctrl-C."""
REMOVALS, REMOVAL_SECONDS = 20, 0.02
"""Maximum number of attempts to remove temporary files, and the pause between them."""
SHOW_CURSOR = "\033[?25h"
"""Escape sequence that shows the cursor again, which progress bars hide."""


_ending = threading.Lock()
"""Held for ever by the thread that ends the process, so that no other work begins."""
_temporary: dict[str, None] = {}
_stoppable: Stoppable | None = None
_terminals: list[int] = []
_ctrl_c_is_normal = False
_listening = False
_end_requested = False


def listen() -> None:
    """Start the thread that waits for signals. Signals that the process ignores from its start (`nohup`) stay ignored.

    Does nothing on Windows, where Ctrl-C ends the program directly.
    """
    global _listening, _terminals
    if os.name == "nt" or _listening or threading.current_thread() is not threading.main_thread():
        return
    _listening, _terminals = True, terminals()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    threading.Thread(target=_wait_for_signals, args=(reader,), name="interrupts", daemon=True).start()
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _ignore)


def listening() -> bool:
    """Return whether this module handles signals. Otherwise the caller has to."""
    return _listening


def end_requested() -> bool:
    """Return whether SIGTERM or SIGHUP arrived. They end the program; Ctrl-C ends only its current work."""
    return _end_requested


@contextmanager
def first_signal_stops(stop: Stoppable) -> Iterator[None]:
    """Within the block, let the first signal set `stop.requested`, and the second one end the program.

    SIGHUP never counts as the second signal: the shell and the system may both send it, also after SIGTERM.
    """
    global _stoppable
    before, _stoppable = _stoppable, stop
    try:
        yield
    finally:
        _stoppable = before


@contextmanager
def ctrl_c_ends_normally() -> Iterator[None]:
    """Within the block, let Ctrl-C end the program normally: without a message, and with status 0."""
    global _ctrl_c_is_normal
    before, _ctrl_c_is_normal = _ctrl_c_is_normal, True
    try:
        yield
    finally:
        _ctrl_c_is_normal = before


@contextmanager
def temporary(path: Path) -> Iterator[None]:
    """Within the block, register a file or a folder that is removed if a signal ends the program."""
    name = str(path)
    with _ending:
        _temporary[name] = None
    try:
        yield
    finally:
        _temporary.pop(name, None)


def remove_at_end(path: Path) -> None:
    """Register a file or a folder to be removed when the program ends by a signal or by `leave`."""
    with _ending:
        _temporary[str(path)] = None


def finish() -> None:
    """Run the exit handlers, then return signals to the system, so that none shows a traceback while Python exits.

    Waits for ever if a signal is ending the program."""
    if not _listening:
        return
    atexit._run_exitfuncs()
    with _ending:
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            if signal.getsignal(number) == _ignore:
                signal.signal(number, signal.SIG_DFL)


def wait_if_ending() -> None:
    """Wait for ever if a signal is ending the program. An error at that time is a consequence of it."""
    with _ending:
        pass


def leave(status: int) -> NoReturn:
    """End the process without the clean-up of Python and JAX, which may wait for running threads."""
    _ending.acquire()
    _remove_temporary()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _ignore(number: int, frame: object) -> None:
    """Do nothing, because the thread handles the signal. An ignored signal would not reach the thread."""


def _wait_for_signals(reader: int) -> None:
    global _end_requested
    while word := os.read(reader, 1):
        number = signal.Signals(word[0])
        hang_up = number not in SENTENCES
        stoppable = _stoppable
        _end_requested |= number in SIGNALS and number != signal.SIGINT
        if number not in SIGNALS or (hang_up and stoppable is not None and stoppable.requested):
            continue
        if stoppable is None or stoppable.requested:
            _end(number)
        if hang_up:
            silence(_terminals)
        stoppable.requested = True


def _end(number: signal.Signals) -> NoReturn:
    _ending.acquire()
    _remove_temporary()
    if _ctrl_c_is_normal and number == signal.SIGINT:
        os._exit(0)
    cursor = SHOW_CURSOR + "\n" if 2 in _terminals else ""
    with suppress(OSError, ValueError):
        if number in SENTENCES and select.select([], [2], [], 0)[1]:  # writing could block
            os.write(2, f"{cursor}sparring: {SENTENCES[number]}\n".encode())
    os._exit(128 + number)


def _remove_temporary() -> None:
    """Remove temporary files, several times because other threads may still write into a folder."""
    for _ in range(REMOVALS):
        for name in reversed(list(_temporary)):
            _remove(name)
        if not any(os.path.lexists(name) for name in list(_temporary)):
            return
        time.sleep(REMOVAL_SECONDS)


def _remove(name: str) -> None:
    if os.path.islink(name) or not os.path.isdir(name):  # noqa: PTH112, PTH114 - pathlib takes long to import
        _try(os.unlink, name)
        return
    for folder, folders, files in os.walk(name, topdown=False):
        for file in files:
            _try(os.unlink, f"{folder}/{file}")
        for inner in folders:
            _try(os.unlink if os.path.islink(f"{folder}/{inner}") else os.rmdir, f"{folder}/{inner}")  # noqa: PTH114
    _try(os.rmdir, name)


def _try(remove: Callable[[str], None], name: str) -> None:
    with suppress(OSError):
        remove(name)


def terminals() -> list[int]:
    """Return which of standard output (1) and standard error (2) are terminals."""
    found = []
    for output in (1, 2):
        with suppress(OSError):
            found += [output] if os.isatty(output) else []
    return found


def silence(outputs: list[int]) -> None:
    """Discard everything printed to these outputs from now on: the terminal is gone."""
    for output in outputs:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
