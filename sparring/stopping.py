"""BEING STOPPED: Ctrl-C, SIGTERM and a closed terminal as a request, so that a training ends in good order and at once;
and no Ctrl-C is lost."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from sparring.errors import DiskError

AGAIN_SECONDS = 0.02
"""After so long a signal that could not be heard is sent again."""
LOOK_SECONDS = 0.05
"""How often is looked whether somebody asked to stop."""
LEFT_ALONE = "left alone once a stop is asked for"
REQUESTS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]

Result = TypeVar("Result")


class Stop:
    """Whether somebody asked the training to stop."""

    requested = False


@contextmanager
def stop_requests() -> Iterator[Stop]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a request to stop; the second does what it always did.

    SIGHUP comes when the terminal is closed: what is printed to it from then on goes nowhere. Who ignores it (`nohup`)
    trains on.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread hears signals
        return
    before = {number: signal.getsignal(number) for number in REQUESTS if signal.getsignal(number) != signal.SIG_IGN}
    terminals = [output for output in (1, 2) if _is_terminal(output)]

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: it is not Python's

    def request(number: int, frame: object) -> None:
        if number not in (signal.SIGINT, signal.SIGTERM):
            for output in terminals:
                os.dup2(os.open(os.devnull, os.O_WRONLY), output)
        stop.requested = True
        restore()

    for number in before:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        restore()


def unless_stopped(stop: Stop, work: Callable[[], Result]) -> Result | None:
    """What `work` returns; None as soon as somebody asks to stop.

    No signal is heard while XLA compiles, so it does that in a thread, which is then left to itself (`is_left_alone`).
    """
    done: Future[Result] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    if not stop.requested:
        threading.Thread(target=run, name=LEFT_ALONE, daemon=True).start()
    while not stop.requested:
        wait([done], timeout=LOOK_SECONDS)
        if done.done():
            return done.result()
    return None


def is_left_alone() -> bool:
    """Whether something still works that nobody waits for: then Python would not end before it does."""
    return any(thread.name == LEFT_ALONE for thread in threading.enumerate())


def _is_terminal(output: int) -> bool:
    try:
        return os.isatty(output)
    except OSError:
        return False


class Heard:
    """Tells somebody who may go away. Of a pipe that is closed, as in `sparring train | head`, that is a request to
    stop; a terminal that is gone without a signal wanted the training to go on."""

    def __init__(self, told: Any, stop: Stop) -> None:
        self._told, self._stop, self._gone = told, stop, False

    def __getattr__(self, name: str) -> Callable[..., None]:
        method = getattr(self._told, name)

        def tell(*values: Any, **named: Any) -> None:
            if self._gone:
                return
            try:
                method(*values, **named)
            except DiskError:
                raise
            except OSError as error:
                self._gone = True
                self._stop.requested |= isinstance(error, BrokenPipeError)

        return tell


@contextmanager
def no_interrupt_lost() -> Iterator[None]:
    """Send Ctrl-C again where it falls into a finaliser or a callback of the garbage collector.

    Python drops what these raise. JAX has such a callback, which is busy while a program starts.
    """
    shown, again = sys.unraisablehook, list[threading.Timer]()

    def hook(dropped: sys.UnraisableHookArgs) -> None:
        if dropped.exc_type is not KeyboardInterrupt:
            shown(dropped)
            return
        again.append(threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), signal.SIGINT)))
        again[-1].start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = shown
        for timer in again:
            timer.cancel()
