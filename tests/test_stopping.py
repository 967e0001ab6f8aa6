"""BEING STOPPED: no Ctrl-C is lost, wherever it falls."""

import gc
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sparring.stopping import AGAIN_SECONDS, no_interrupt_lost


@contextmanager
def ctrl_c_while_collecting(times: int) -> Iterator[list[str]]:
    """Ctrl-C in the next collections of garbage, so many of them, each in a function that a callback calls."""
    pressed: list[str] = []

    def press() -> None:
        if len(pressed) < times:
            pressed.append("ctrl-c")
            signal.raise_signal(signal.SIGINT)

    def callback(phase: str, info: dict[str, Any]) -> None:
        press()

    gc.callbacks.append(callback)
    try:
        yield pressed
    finally:
        gc.callbacks.remove(callback)


@pytest.mark.parametrize("times", [1, 3])
def test_ctrl_c_in_a_callback_of_the_garbage_collector_interrupts_soon_after(times: int) -> None:
    with ctrl_c_while_collecting(times) as pressed, no_interrupt_lost(), pytest.raises(KeyboardInterrupt):
        for _ in range(times):
            gc.collect()
        assert len(pressed) == times
        time.sleep(10)
    time.sleep(3 * AGAIN_SECONDS)  # and not once more


def test_other_dropped_errors_are_shown_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[type[BaseException] | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: shown.append(dropped.exc_type))

    class Broken:
        def __del__(self) -> None:
            raise ZeroDivisionError

    with no_interrupt_lost():
        Broken()
    Broken()
    assert shown == [ZeroDivisionError] * 2
