"""PARALLEL: a function over many items in threads, the results in order, and progress that shows how far it is.

Threads, not processes: Pillow and hashlib let others run while they work, threads start at once, and a process that is
forked beside JAX may hang.
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
"""The pixels of the pictures that are decoded at once, and the bytes of their files, come to no more than this, however
many threads there are: 128 Mi. A picture takes up to 20 bytes a pixel, so all of them together take 2.5 GiB."""
A_PIXEL = 20

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 8
"""Items that a thread may be ahead of whoever takes the results, so that these do not pile up."""


def in_order(function: Callable[[Item], Result], items: Sequence[Item], label: str) -> Iterator[Result]:
    """`function` of each item, in their order; what is called `label` shows how many are done."""
    workers = _processors()
    waiting: deque[Future[Result]] = deque()
    with _bar(label, len(items)) as advance, ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > AHEAD * workers:
                    yield waiting.popleft().result()
                    advance()
            while waiting:
                yield waiting.popleft().result()
                advance()
        finally:
            pool.shutdown(cancel_futures=True)


class Budget:
    """A number that threads share: who takes more of it than is left waits for the others."""

    def __init__(self, whole: int) -> None:
        self.whole = self.left = whole
        self.changed = threading.Condition()

    @contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Hold so much of it, or all if that is more than there is."""
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
    """How many pixels that are, where at most half of the free memory is used: a larger picture is decoded alone."""
    free = free_here()
    return AT_ONCE if free is None else max(1, min(AT_ONCE, free // (2 * A_PIXEL)))


DECODING = Budget(at_once())


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _bar(label: str, total: int) -> Iterator[Callable[[], None]]:
    done = 0
    with shown() as tell:

        def advance() -> None:
            nonlocal done
            done += 1
            tell(label, done, total)

        yield advance
