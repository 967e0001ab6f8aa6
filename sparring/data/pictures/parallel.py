"""PARALLEL: apply a function to many items in threads, with results in order and a progress bar.

Threads instead of processes: Pillow and hashlib release the GIL, threads start fast, and a process forked beside JAX
may hang.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from sparring.system.machine import free_here
from sparring.terminal.progress import shown

AT_ONCE = 1 << 27
"""Largest sum of pixels and file bytes of the pictures that are decoded at once in all threads: 128 Mi. A picture takes
up to 20 bytes per pixel, so they take up to 2.5 GiB."""
A_PIXEL = 20

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 8
"""Results per thread that may wait, which limits memory."""


def in_order(function: Callable[[Item], Result], items: Sequence[Item], label: str) -> Iterator[Result]:
    """Yield `function(item)` for each item in order. `label` is shown with the progress."""
    workers = _processors()
    waiting: deque[Future[Result]] = deque()
    with shown() as report, ThreadPoolExecutor(workers) as pool:
        try:
            for started, item in enumerate(items, 1):
                waiting.append(pool.submit(function, item))
                if len(waiting) > AHEAD * workers:
                    yield waiting.popleft().result()
                    report(label, started - len(waiting), len(items))
            while waiting:
                yield waiting.popleft().result()
                report(label, len(items) - len(waiting), len(items))
        finally:
            pool.shutdown(cancel_futures=True)


class Budget:
    """A budget shared by threads. A thread that takes more than is left waits."""

    def __init__(self, whole: int) -> None:
        self.whole = self.left = whole
        self.changed = threading.Condition()

    @contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Hold this amount, at most the whole budget."""
        amount = min(amount, self.whole)
        with self.changed:
            self.changed.wait_for(lambda: amount <= self.left)
            self.left -= amount
        try:
            yield
        finally:
            with self.changed:
                self.left += amount
                self.changed.notify_all()


def at_once() -> int:
    """Pixels to decode at once, using at most half of the free memory. A larger picture is decoded alone."""
    free = free_here()
    return AT_ONCE if free is None else max(1, min(AT_ONCE, free // (2 * A_PIXEL)))


DECODING = Budget(at_once())


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
