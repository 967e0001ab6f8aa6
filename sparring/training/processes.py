"""PROCESSES that train together, each on its own devices: how they meet, agree, and end together.

All run the same program on the same data. Process 0 alone writes files, reports progress, and decides what depends on a
clock. This uses `jax.distributed`; a single process does not.
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

Message = dict[str, Any]
"""JSON values that a process sends to all others; "failed" is the reason for which it ends."""

JOIN_SECONDS = 300
"""Timeout for the processes to meet."""
NOTICE_SECONDS = 10.0
"""A process that waits longer than this prints a notice."""
HEARTBEAT_SECONDS = 60
"""All processes end if one sends no heartbeat for this long."""
SHUTDOWN_SECONDS = 10
"""Timeout for the processes to end together."""
ROOM = 8192
"""Bytes of one message; all have this size, because they are sent as arrays."""


# ------------------------------------------------------------------------------------------------ meeting


def join(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> None:
    """Connect to the other processes. Call this before any other function of JAX.

    `coordinator` is the "host:port" of process 0; this one is `process` of `processes`. Without these, JAX finds them
    from Slurm, Open MPI, Kubernetes, or another launcher that it supports. JAX ends a process that waits longer than
    `JOIN_SECONDS`.

    Raises `ProcessError` for impossible numbers, and if JAX finds no launcher.
    """
    given = (coordinator, processes, process)
    if given != (None, None, None):
        _check_place(*given)
    # JAX's preemption service would replace our handler of SIGTERM.
    jax.config.update("jax_enable_preemption_service", False)  # type: ignore[no-untyped-call]
    where = coordinator or "the address from the launcher"
    waiting = threading.Timer(NOTICE_SECONDS, _report_waiting, (where,))
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
                "no launcher was found that says which processes train together (Slurm, Open MPI, Kubernetes); "
                "give --coordinator HOST:PORT --processes N --process K"
            ) from error
        raise ProcessError(f"the processes cannot meet at {where}: {error}") from error
    finally:
        waiting.cancel()
    exchange({})  # connect now: later some processes load data or compile


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


def _report_waiting(where: str) -> None:
    print_line(f"waiting for the other processes at {where}; giving up after {JOIN_SECONDS} s", stderr=True)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end the process at once: Python runs no signal handler until JAX returns."""
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
    """The number of processes; 1 without `join`."""
    return jax.process_count() if jax.distributed.is_initialized() else 1


def leads() -> bool:
    """Whether this is process 0."""
    return count() == 1 or jax.process_index() == 0


def exchange(message: Message) -> list[Message]:
    """Send a message to all processes, and return those of all, process 0 first. Waits for all.

    Raises `ProcessError` if another process failed, or `ProcessLost` if it ended.
    """
    if count() == 1:
        return [message]
    with reaching_others():
        rows = multihost_utils.process_allgather(_to_row(message))
    messages: list[Message] = [json.loads(row.tobytes().rstrip(b" ")) for row in rows]
    for process, other in enumerate(messages):
        if "failed" in other and "failed" not in message:
            raise ProcessError(f"process {process} failed: {other['failed']}")
    return messages


@contextmanager
def together() -> Iterator[None]:
    """Run a block in every process: all wait at its end, and if one fails, all fail."""
    try:
        yield
    except ProcessError:  # the others know, or cannot be reached
        raise
    except (SparringError, OSError) as error:
        exchange({"failed": str(error)[: ROOM // 16]})
        raise
    exchange({})


def refuse_different(what: str, value: str) -> None:
    """Raise `ProcessError` in every process if they have different values (of up to 64 characters)."""
    if len({message["value"] for message in exchange({"value": value})}) > 1:
        raise ProcessError(f"the processes have different {what}; all must be started alike")


def from_leader(tree: Any) -> Any:
    """The arrays of process 0, bit for bit, as NumPy arrays. The others pass arrays or shapes of the same structure."""
    if count() == 1:
        return tree
    own = leads()
    with reaching_others():
        sent = multihost_utils.broadcast_one_to_all(jax.tree.map(partial(_to_bytes, own), tree))
    return jax.tree.map(lambda leaf, row: np.asarray(row).view(leaf.dtype).reshape(leaf.shape), tree, sent)


@contextmanager
def reaching_others() -> Iterator[None]:
    """Run a block that computes with all processes. Raises `ProcessLost` if another process ended."""
    try:
        yield
    except (ValueError, jax.errors.JaxRuntimeError) as error:
        if count() == 1:
            raise
        raise ProcessLost(
            "another of the processes has ended or cannot be reached; the same command on all of them goes on from the "
            f"newest checkpoint ({str(error).splitlines()[0]})"
        ) from error


def _to_row(message: Message) -> NDArray[np.uint8]:
    content = json.dumps(message).encode()
    if len(content) > ROOM:
        raise ValueError(f"a message takes {len(content)} bytes, but at most {ROOM} fit")
    return np.frombuffer(content.ljust(ROOM), np.uint8)


def _to_bytes(own: bool, leaf: Any) -> NDArray[np.uint8]:
    """A leaf as bytes; the other processes give zeros, so the sum is exact."""
    size = int(np.prod(leaf.shape)) * np.dtype(leaf.dtype).itemsize
    return np.frombuffer(np.asarray(leaf).tobytes(), np.uint8) if own else np.zeros(size, np.uint8)
