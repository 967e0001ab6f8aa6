"""BEING STOPPED: Ctrl-C and SIGTERM as a request, so that a training ends in good order; and no Ctrl-C is lost."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

AGAIN_SECONDS = 0.02
"""After so long a signal that could not be heard is sent again."""


class Stop:
    """Whether somebody asked the training to stop."""

    requested = False


@contextmanager
def stop_requests() -> Iterator[Stop]:
    """Turn the first SIGINT or SIGTERM into a request to stop; the second does what it always did."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread hears signals
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: it is not Python's

    def request(number: int, frame: object) -> None:
        stop.requested = True
        restore()

    for number in before:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        restore()


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
