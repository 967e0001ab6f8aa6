"""ATOMIC WRITES: after a crash a file is the old one or the new one, whole; never half of one. After a write that fails
(on a full disk, say), the old file is still there, and one sentence says which file had no room.

Every file that Sparring writes goes through here. A link at the path, symbolic or hard, is replaced and never followed:
who sends a run, or plants a link in a folder, cannot make us write elsewhere.
"""

import contextlib
import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from sparring import interrupts
from sparring.errors import DiskError, OverwriteError
from sparring.files.untrusted import open_plain

LARGEST_APPENDED = 1 << 30
"""Bytes of a file that is copied before something is appended to it."""

MayReplace = Callable[[Path], bool]
"""Whether the file at this path may be replaced."""

PARTIAL = re.compile(r"\.partial-[0-9]+-.+")
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""The errors for which it matters how much is free."""


def write_bytes(path: Path, content: bytes, may_replace: MayReplace | None = None) -> None:
    """Put `content` at `path`. Raises `DiskError`, `OverwriteError`."""
    write_file(path, lambda file: file.write(content), len(content), may_replace)


def write_json(path: Path, value: Any, may_replace: MayReplace | None = None) -> None:
    """Put `value` at `path` as indented JSON. Raises `DiskError`, `OverwriteError`."""
    write_bytes(path, (json.dumps(value, indent=2) + "\n").encode(), may_replace)


def write_file(
    path: Path,
    write: Callable[[BinaryIO], object],
    size: int | None = None,
    may_replace: MayReplace | None = None,
) -> None:
    """Let `write` fill a new file beside `path`, flush it to the disk, then rename it to `path`.

    `size` is its size in bytes, where that is known. `may_replace` is asked about a file that is at `path` already;
    without it any file is replaced. Raises `DiskError`, `OverwriteError`.
    """
    partial = partial_beside(path)
    try:
        with interrupts.temporary(partial), reporting(path, size, partial):
            with partial.open("x+b") as file:  # "x" follows no link and opens no file of somebody else
                write(file)
            sync(partial)
            _rename(partial, path, may_replace)
            sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def is_partial(path: Path) -> bool:
    """Whether a file has the name that `write_file` gives while it writes, and not only one that looks like it."""
    return PARTIAL.fullmatch(path.name) is not None and path.is_file() and not path.is_symlink()


def partial_beside(path: Path) -> Path:
    """A new name beside `path`, for what is not finished yet. Nobody can guess it and plant a link there."""
    return path.with_name(f".partial-{os.getpid()}-{os.urandom(8).hex()}")


def _rename(partial: Path, path: Path, may_replace: MayReplace | None) -> None:
    if may_replace is not None:
        try:
            os.link(partial, path)  # takes the name only where nobody has it
            return
        except FileExistsError:
            allowed = may_replace(path)
        except OSError:  # this file system has no hard links
            allowed = not os.path.lexists(path) or may_replace(path)
        if not allowed:
            raise OverwriteError(f"{path} appeared while it was being made, and Sparring did not write it; it is kept")
    partial.replace(path)


def append(path: Path, content: bytes) -> None:
    """Add `content` at the end of the file, all of it or nothing. Raises `DiskError`."""
    with reporting(path, len(content)):
        if (before := _content_of_linked(path)) is not None:
            write_bytes(path, before + content)
            return
        with open(path, "ab", buffering=0, opener=_open_no_link) as file:  # Path.open takes no opener
            end, left = file.seek(0, os.SEEK_END), content
            try:
                while left:
                    left = left[file.write(left) :]
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(end)
                raise


def _content_of_linked(path: Path) -> bytes | None:
    """What a symbolic link leads to, or what a file of several names holds; None where `path` is a file of its own."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
        return None
    try:
        with open_plain(path, LARGEST_APPENDED, links=True) as file:
            return file.read()
    except FileNotFoundError:
        return b""


def _open_no_link(path: str, flags: int) -> int:
    """Open a plain file. A link that appeared just now is refused, and nobody waits for the reader of a pipe."""
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(path, flags, 0o666)


@contextlib.contextmanager
def reporting(path: Path, size: int | None, partial: Path | None = None) -> Iterator[None]:
    """Say of what goes wrong with the disk at which path, and with how many bytes; where that is not known beforehand,
    how many `partial` had come to. Raises `DiskError`."""
    try:
        yield
    except DiskError:
        raise  # who was called has said more
    except OSError as error:
        if size is None:
            done = partial.stat().st_size if partial is not None and partial.is_file() else 0
            how = f"after {done:,} bytes"
        else:
            how = f"with its {size:,} bytes"
        free = ""
        if error.errno in FULL:
            with contextlib.suppress(OSError):
                free = f" ({shutil.disk_usage(path.parent).free:,} bytes are free there)"
        reason = error.strerror or str(error) or type(error).__name__
        raise DiskError(f"{path} could not be written {how}: {reason}{free}") from error


def sync(path: Path) -> None:
    """Have the disk hold what was written to that file or folder."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders and keeps renames in order by itself
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
