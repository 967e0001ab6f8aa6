"""STOPPING: Ctrl-C, SIGTERM and a closed terminal request a stop, after which a training saves everything and ends.

In the command line `sparring.interrupts` handles the signals; elsewhere, as in a notebook, this module does.
"""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from sparring import interrupts
from sparring.errors import DamageWarning, SparringError, reason
from sparring.system.numerics import in_thread

LOOK_SECONDS = 0.05
"""Seconds between two checks for a requested stop."""
LEFT_ALONE = "left alone once a stop is asked for"

Result = TypeVar("Result")


class Stop:
    """Whether a stop was requested."""

    requested = False


@contextmanager
def stop_requests() -> Iterator[Stop]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a request to stop; the second has its usual effect.

    SIGHUP is sent when the terminal is closed; later output is discarded. With `nohup` it is
    ignored.
    """
    stop = Stop()
    if interrupts.listening():
        with interrupts.first_signal_stops(stop):
            yield stop
        return
    if threading.current_thread() is not threading.main_thread():
        yield stop  # Python handles signals in the main thread only
        return
    known = {number: signal.getsignal(number) for number in interrupts.SIGNALS}
    before = {number: handler for number, handler in known.items() if handler != signal.SIG_IGN}
    terminals = interrupts.terminals()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: not a handler of Python

    def request(number: int, frame: object) -> None:
        if number not in (signal.SIGINT, signal.SIGTERM):
            interrupts.silence(terminals)
        stop.requested = True
        restore()

    for number in before:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        restore()


def unless_stopped(stop: Stop, work: Callable[[], Result]) -> Result | None:
    """Run `work` in a thread and return its result; None as soon as a stop is requested.

    Python handles no signal while XLA compiles. After a stop, the thread is abandoned (`is_left_alone`).
    """
    done: Future[Result] = Future()

    def run() -> None:
        try:
            done.set_result(in_thread(work)())
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
    """Whether an abandoned thread still runs: Python would wait for it at exit."""
    return any(thread.name == LEFT_ALONE for thread in threading.enumerate())


class SafeReporter:
    """A reporter that cannot end a training by failing.

    A closed pipe, as in `sparring train | head`, requests a stop. After any other error nothing more is reported; a
    warning says so, unless the terminal is gone.
    """

    def __init__(self, reporter: Any, stop: Stop) -> None:
        self._reporter, self._stop, self._gone = reporter, stop, False

    def __getattr__(self, name: str) -> Callable[..., None]:
        method = getattr(self._reporter, name)

        def report(*values: Any, **named: Any) -> None:
            if self._gone:
                return
            try:
                method(*values, **named)
            except SparringError:
                raise
            except OSError as error:
                self._gone = True
                self._stop.requested |= isinstance(error, BrokenPipeError)
            except Exception as error:
                self._gone = True
                warnings.warn(f"nothing more is reported: {reason(error)}", DamageWarning, stacklevel=2)

        return report
