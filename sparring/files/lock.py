"""The lock of a run, held by the process that trains it. The operating system releases it when the process ends."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparring.errors import RunError
from sparring.files.untrusted import open_descriptor, special_kind

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}
"""Errors that mean: another process holds the lock."""
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
"""Errors that mean: the file system has no locks."""


@contextmanager
def lock(file: Path) -> Iterator[str | None]:
    """Hold the lock on a file, which is created if it is missing.

    Yields a notice for the user if the file system has no locks, otherwise None. Raises `RunError` if another process
    holds the lock, or if the file is not a regular file or cannot be used.
    """
    descriptor = _open(file)
    try:
        yield _take(descriptor, file)
    finally:
        os.close(descriptor)


def _open(file: Path) -> int:
    try:
        kind = special_kind(file.lstat().st_mode)
    except OSError:  # it does not exist yet
        kind = None
    if kind is not None:
        raise RunError(f"{file} is a {kind}, but should be a regular file; remove it")
    try:
        return open_descriptor(file, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise RunError(f"the lock {file} cannot be opened: {error.strerror}") from error


def _take(descriptor: int, file: Path) -> str | None:
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in HELD:
            raise RunError(f"another process is training {file.parent}") from error
        if error.errno in NO_LOCKS:
            return f"the file system of {file.parent} has no locks, so do not start a second training there"
        raise RunError(f"the lock {file} cannot be taken: {error.strerror}") from error
    return None
