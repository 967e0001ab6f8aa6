"""BEING STOPPED: Ctrl-C, SIGTERM and a closed terminal as a request, so that a training ends in good order and at once.

In the program signals are heard by `sparring.interrupts`; elsewhere (in a notebook, say) by handlers of our own."""

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
"""How often is looked whether somebody asked to stop."""
LEFT_ALONE = "left alone once a stop is asked for"

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
    if interrupts.listening():
        with interrupts.first_signal_stops(stop):
            yield stop
        return
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread hears signals
        return
    known = {number: signal.getsignal(number) for number in interrupts.SIGNALS}
    before = {number: handler for number, handler in known.items() if handler != signal.SIG_IGN}
    terminals = interrupts.terminals()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: it is not Python's

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
    """What `work` returns; None as soon as somebody asks to stop.

    No signal is heard while XLA compiles, so it does that in a thread, which is then left to itself (`is_left_alone`).
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
    """Whether something still works that nobody waits for: then Python would not end before it does."""
    return any(thread.name == LEFT_ALONE for thread in threading.enumerate())


class Heard:
    """Tells somebody who may go away. Of a pipe that is closed, as in `sparring train | head`, that is a request to
    stop; a terminal that is gone without a signal wanted the training to go on. Whatever else fails in telling costs no
    training: a warning says it once."""

    def __init__(self, told: Any, stop: Stop) -> None:
        self._told, self._stop, self._gone = told, stop, False

    def __getattr__(self, name: str) -> Callable[..., None]:
        method = getattr(self._told, name)

        def tell(*values: Any, **named: Any) -> None:
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

        return tell
