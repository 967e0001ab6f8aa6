"""THE WRITER: a thread that writes files, one after the other, during the training."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Queue
from types import TracebackType

from sparring.system.numerics import in_thread

Job = Callable[[], object]

MOST_WAITING = 64
"""The most jobs in the queue. Adding another one waits, because queued jobs hold memory."""


class Writer:
    """Runs jobs in order. After a job fails, no other is run.

    Leaving the context waits for all jobs.
    """

    def __init__(self) -> None:
        self._jobs: Queue[Job | None] = Queue(MOST_WAITING)
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def do(self, job: Job) -> None:
        """Add a job. Raises the error of an earlier job."""
        self._raise()
        if self._thread is None:
            self._thread = threading.Thread(target=in_thread(self._work), name="writer", daemon=True)
            self._thread.start()
        self._jobs.put(job)

    def finish(self) -> None:
        """Wait for all jobs. Raises the error of a job."""
        self._jobs.join()
        self._raise()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._jobs.join()
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
        if kind is None:
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                if self._error is None:
                    job()
            except BaseException as error:
                self._error = error
            finally:
                self._jobs.task_done()
        self._jobs.task_done()
