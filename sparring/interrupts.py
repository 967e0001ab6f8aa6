"""INTERRUPTS: what Ctrl-C, SIGTERM and a closed terminal do to the program, from its first line to its last.

Python runs signal handlers in the main thread only, between two instructions: not while XLA compiles, and not while a
library waits. What a handler raises can land in any line of any library, and hang or crash it. So a thread of its own
waits for signals here, and nothing is raised. Either a training has asked to be told (`handed_to`): then the first
signal is a request to stop, and the training saves everything. Or the program ends at once: temporary files are
removed, one sentence is printed, and the process exits without Python's and JAX's own clean-up. For the files that is
a crash, and every file is written so that it survives one.

Only the program listens (`sparring.__main__`); a Python program that imports Sparring keeps its own signal handlers.
Nothing here imports anything slow: it runs before all other modules of the package.
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
"""What is printed; after SIGHUP nobody reads it."""
REMOVALS, REMOVAL_SECONDS = 20, 0.02
"""How often temporary files are removed at most, and the pause between."""
SHOW_CURSOR = "\033[?25h"
"""Terminals: bars of progress hide the cursor."""


_ending = threading.Lock()
"""Whoever ends the process holds it for good, so that nothing new begins."""
_temporary: dict[str, None] = {}
_taker: Stoppable | None = None
_terminals: list[int] = []
_quiet = False
_listening = False
_asked_to_end = False


def listen() -> None:
    """Hear signals from now on, in a thread. Signals that the process was started to ignore (`nohup`) stay ignored.

    Windows has no such signals: there Ctrl-C ends the program as the system does.
    """
    global _listening, _terminals
    if os.name == "nt" or _listening or threading.current_thread() is not threading.main_thread():
        return
    _listening, _terminals = True, terminals()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    threading.Thread(target=_hear, args=(reader,), name="interrupts", daemon=True).start()
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _nothing)


def listening() -> bool:
    """Whether signals are heard here; else the caller has to handle them."""
    return _listening


def asked_to_end() -> bool:
    """Whether SIGTERM or SIGHUP was heard: they want the program to end, Ctrl-C only what it does now."""
    return _asked_to_end


@contextmanager
def handed_to(stop: Stoppable) -> Iterator[None]:
    """For as long as the block takes the first signal only sets `stop.requested`; the second one ends the program.

    A closed terminal is never the second one: shells and the system both send SIGHUP, and some send it after SIGTERM.
    """
    global _taker
    before, _taker = _taker, stop
    try:
        yield
    finally:
        _taker = before


@contextmanager
def welcome() -> Iterator[None]:
    """For as long as the block takes Ctrl-C is how the program is meant to end: no sentence, and status 0."""
    global _quiet
    before, _quiet = _quiet, True
    try:
        yield
    finally:
        _quiet = before


@contextmanager
def temporary(path: Path) -> Iterator[None]:
    """A file or a folder that is gone at the end of the block, also where a signal ends the program before that."""
    name = str(path)
    with _ending:
        _temporary[name] = None
    try:
        yield
    finally:
        _temporary.pop(name, None)


def remove_at_end(path: Path) -> None:
    """A file or a folder that is not needed once the program has ended, however it ends."""
    with _ending:
        _temporary[str(path)] = None


def finish() -> None:
    """The program has done its work: run what is registered for its end, then leave signals to the system, so that
    none shows a traceback while Python ends. Waits for ever where a signal is just ending the program."""
    if not _listening:
        return
    atexit._run_exitfuncs()
    with _ending:
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            if signal.getsignal(number) == _nothing:
                signal.signal(number, signal.SIG_DFL)


def hold_if_ending() -> None:
    """Wait for ever where a signal is just ending the program: what fails then fails because of that."""
    with _ending:
        pass


def leave(status: int) -> NoReturn:
    """End the process now, without the clean-up of Python and JAX, which may wait for what works on by itself."""
    _ending.acquire()
    _remove_temporary()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _nothing(number: int, frame: object) -> None:
    """The thread has it already. (An ignored signal would not reach it.)"""


def _hear(reader: int) -> None:
    global _asked_to_end
    while word := os.read(reader, 1):
        number = signal.Signals(word[0])
        hang_up = number not in SENTENCES
        taker = _taker
        _asked_to_end |= number in SIGNALS and number != signal.SIGINT
        if number not in SIGNALS or (hang_up and taker is not None and taker.requested):
            continue
        if taker is None or taker.requested:
            _end(number)
        if hang_up:
            silence(_terminals)
        taker.requested = True


def _end(number: signal.Signals) -> NoReturn:
    _ending.acquire()
    _remove_temporary()
    if _quiet and number == signal.SIGINT:
        os._exit(0)
    cursor = SHOW_CURSOR + "\n" if 2 in _terminals else ""
    with suppress(OSError, ValueError):
        if number in SENTENCES and select.select([], [2], [], 0)[1]:  # nobody may read what is written there
            os.write(2, f"{cursor}sparring: {SENTENCES[number]}\n".encode())
    os._exit(128 + number)


def _remove_temporary() -> None:
    """Other threads may be filling a folder just now, so several times."""
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
    """Which of standard output (1) and standard error (2) are terminals. A lost one does not say so any more."""
    found = []
    for output in (1, 2):
        with suppress(OSError):
            found += [output] if os.isatty(output) else []
    return found


def silence(outputs: list[int]) -> None:
    """What is printed there from now on goes nowhere: the terminal is gone."""
    for output in outputs:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
