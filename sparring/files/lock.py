"""THE LOCK of a run: whoever trains the run holds it. The operating system lets go of it when the process ends."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparring.errors import RunError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}
"""What the system answers where another process holds the lock."""
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
"""What it answers where the file system has no locks."""
KINDS = {
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "pipe",
    stat.S_IFDIR: "folder",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
    stat.S_IFSOCK: "socket",
}


@contextmanager
def lock(file: Path) -> Iterator[str | None]:
    """Hold the lock on a file, which is made if need be; what the user should know where there are no locks.

    Only a plain file is opened: no symlink is followed and no pipe is waited for. Raises `RunError` where another
    process holds the lock, or the file cannot be used.
    """
    descriptor = _open(file)
    try:
        yield _take(descriptor, file)
    finally:
        os.close(descriptor)


def _open(file: Path) -> int:
    _refuse_special(file)
    careful = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT | careful, 0o666)
    except OSError as error:
        raise RunError(f"the lock {file} cannot be opened: {error.strerror}") from error


def _refuse_special(file: Path) -> None:
    try:
        kind = stat.S_IFMT(file.lstat().st_mode)
    except OSError:  # it is not there yet
        return
    if kind != stat.S_IFREG:
        raise RunError(f"{file} is a {KINDS.get(kind, 'special file')}, but should be a plain file; remove it")


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
            return f"the file system of {file.parent} has no locks, so start no second training there"
        raise RunError(f"the lock {file} cannot be taken: {error.strerror}") from error
    return None
