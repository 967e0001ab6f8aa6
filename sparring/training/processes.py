"""THE PROCESSES that train together, each on its own devices: how they meet, agree, and end together.

All of them run the same program on the same data. Process 0 leads: it alone writes, shows how it goes, and decides what
depends on a clock. The work is JAX's own (`jax.distributed`); one process alone never gets there.
"""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from numpy.typing import NDArray

from sparring import interrupts
from sparring.errors import ProcessError, ProcessLost, SparringError
from sparring.terminal.output import print_line

Word = dict[str, Any]
"""What a process tells all others, as JSON values; "failed" is why it cannot go on."""

JOIN_SECONDS = 300
"""How long the processes wait for one another when they start."""
PATIENCE_SECONDS = 10.0
"""Who waits longer than this says so."""
HEARTBEAT_SECONDS = 60
"""A process that was not heard of for so long is taken for dead, and all end."""
SHUTDOWN_SECONDS = 10
"""How long a process that is done waits for the others to be done."""
ROOM = 8192
"""Bytes of one word; all are of this size, for they travel as arrays."""


# ------------------------------------------------------------------------------------------------ meeting


def join(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> None:
    """Meet the other processes; to be called before anything else of JAX.

    `coordinator` is the "host:port" of process 0, where all meet; this one is `process` of `processes`. Without all
    three, Slurm, Open MPI, Kubernetes or what else JAX knows is asked. Whoever waits for the others for more than
    `JOIN_SECONDS` is ended by JAX, with a message of its own.

    Raises `ProcessError` for impossible numbers, and where JAX finds no such surroundings.
    """
    given = (coordinator, processes, process)
    if given != (None, None, None):
        _check_place(*given)
    # JAX's own watch for SIGTERM would take it away from us.
    jax.config.update("jax_enable_preemption_service", False)  # type: ignore[no-untyped-call]
    where = coordinator or "the place that the surroundings name"
    waiting = threading.Timer(PATIENCE_SECONDS, _say_waiting, (where,))
    waiting.daemon = True
    waiting.start()
    try:
        with _interruptible():
            jax.distributed.initialize(
                *given,
                cluster_detection_method=None if coordinator is None else "deactivate",
                initialization_timeout=JOIN_SECONDS,
                heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
                shutdown_timeout_seconds=SHUTDOWN_SECONDS,
            )
    except (ValueError, RuntimeError, KeyError, OSError) as error:
        if "be defined" in str(error):
            raise ProcessError(
                "nothing here says which processes train together (no Slurm, Open MPI or Kubernetes was found); "
                "give --coordinator HOST:PORT --processes N --process K"
            ) from error
        raise ProcessError(f"the processes cannot meet at {where}: {error}") from error
    finally:
        waiting.cancel()
    exchange({})  # now that all are here, and not when some of them load data or compile


def _check_place(coordinator: str | None, processes: int | None, process: int | None) -> None:
    if coordinator is None or processes is None or process is None:
        raise ProcessError("--coordinator, --processes and --process go together; give all three or none")
    host, _, port = coordinator.rpartition(":")
    if not host or re.fullmatch("[0-9]{1,5}", port) is None or not 0 < int(port) < 65536:
        raise ProcessError(f"--coordinator should be HOST:PORT, such as node1:12345, not {coordinator!r}")
    if processes < 1:
        raise ProcessError(f"--processes must be 1 or more, not {processes}")
    if not 0 <= process < processes:
        raise ProcessError(f"--process must lie between 0 and {processes - 1}, not {process}")


def _say_waiting(where: str) -> None:
    print_line(f"waiting for the other processes at {where}; giving up after {JOIN_SECONDS} s", stderr=True)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end the process at once: Python would not hear it before JAX comes back."""
    if interrupts.listening() or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


# ------------------------------------------------------------------------------------------------ agreeing


def count() -> int:
    """How many train together; 1 for a process alone."""
    return jax.process_count() if jax.distributed.is_initialized() else 1


def leads() -> bool:
    """Whether this is process 0, which writes and decides."""
    return count() == 1 or jax.process_index() == 0


def exchange(word: Word) -> list[Word]:
    """What every process said, process 0 first; all wait until all have said something.

    Raises `ProcessError` where one of the others says that it failed, or is gone (`ProcessLost`).
    """
    if count() == 1:
        return [word]
    with reaching_others():
        said = multihost_utils.process_allgather(_to_row(word))
    words: list[Word] = [json.loads(row.tobytes().rstrip(b" ")) for row in said]
    for process, other in enumerate(words):
        if "failed" in other and "failed" not in word:
            raise ProcessError(f"process {process} failed: {other['failed']}")
    return words


@contextmanager
def together() -> Iterator[None]:
    """What every process does for itself: all wait at the end, and where one fails, all do."""
    try:
        yield
    except ProcessError:  # all know it already, or cannot be told
        raise
    except (SparringError, OSError) as error:
        exchange({"failed": str(error)[: ROOM // 16]})
        raise
    exchange({})


def refuse_different(what: str, value: str) -> None:
    """Raise `ProcessError` in every process where not all of them have the same `value` (up to 64 characters)."""
    if len({word["value"] for word in exchange({"value": value})}) > 1:
        raise ProcessError(f"the processes have different {what}; all must be started alike")


def from_leader(tree: Any) -> Any:
    """The arrays of process 0, bit for bit, as NumPy's; the others give arrays, or shapes, of the same structure."""
    if count() == 1:
        return tree
    own = leads()
    with reaching_others():
        sent = multihost_utils.broadcast_one_to_all(jax.tree.map(partial(_to_bytes, own), tree))
    return jax.tree.map(lambda leaf, row: np.asarray(row).view(leaf.dtype).reshape(leaf.shape), tree, sent)


@contextmanager
def reaching_others() -> Iterator[None]:
    """Where something is computed together: raises `ProcessLost` where another process is gone."""
    try:
        yield
    except (ValueError, jax.errors.JaxRuntimeError) as error:
        if count() == 1:
            raise
        raise ProcessLost(
            "another of the processes has ended or cannot be reached; the same command on all of them goes on from the "
            f"newest checkpoint ({str(error).splitlines()[0]})"
        ) from error


def _to_row(word: Word) -> NDArray[np.uint8]:
    content = json.dumps(word).encode()
    if len(content) > ROOM:
        raise ValueError(f"a word takes {len(content)} bytes, and there is room for {ROOM}")
    return np.frombuffer(content.ljust(ROOM), np.uint8)


def _to_bytes(own: bool, leaf: Any) -> NDArray[np.uint8]:
    """A leaf as bytes, which add up exactly with the others' zeros."""
    size = int(np.prod(leaf.shape)) * np.dtype(leaf.dtype).itemsize
    return np.frombuffer(np.asarray(leaf).tobytes(), np.uint8) if own else np.zeros(size, np.uint8)
