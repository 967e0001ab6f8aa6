"""Atomic writes: after a crash a file is completely old or completely new. A write that fails, for example on a full
disk, leaves the old file in place.

Sparring writes every file through this module. A symlink or a hard link at the path is replaced and never followed, so
that a link in a run from somebody else cannot redirect a write.
"""

import contextlib
import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from sparring import interrupts
from sparring.errors import DiskError, OverwriteError
from sparring.files.untrusted import open_descriptor, open_plain, special_kind

LARGEST_APPENDED = 1 << 30
"""Maximum size of a linked file that `append` copies, in bytes."""

MayReplace = Callable[[Path], bool]
"""Returns whether the file at a path may be replaced."""

PARTIAL = re.compile(r"\.partial-([0-9]+)-.+")
"""The name of a temporary file or folder, with the ID of its process."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Errors that mean: there is no space left."""


def write_bytes(path: Path, content: bytes, may_replace: MayReplace | None = None) -> None:
    """Write `content` to `path`. Raises `DiskError`, `OverwriteError`."""
    write_file(path, lambda file: file.write(content), len(content), may_replace)


def write_json(path: Path, value: Any, may_replace: MayReplace | None = None) -> None:
    """Write `value` to `path` as indented JSON. Raises `DiskError`, `OverwriteError`."""
    write_bytes(path, (json.dumps(value, indent=2) + "\n").encode(), may_replace)


def write_file(
    path: Path,
    write: Callable[[BinaryIO], object],
    size: int | None = None,
    may_replace: MayReplace | None = None,
) -> None:
    """Create a temporary file beside `path`, let `write` fill it, flush it to the disk, and rename it to `path`.

    Args:
        path: The file.
        write: Writes the content into an open file.
        size: Size of the content in bytes, if known.
        may_replace: Decides whether an existing file may be replaced. By default any file may.

    Raises:
        DiskError: the file could not be written.
        OverwriteError: `may_replace` returned False.
    """
    partial = partial_beside(path)
    try:
        with interrupts.temporary(partial), reporting(path, size, partial):
            with partial.open("x+b") as file:  # "x" opens no existing file and follows no link
                write(file)
            sync(partial)
            _rename(partial, path, may_replace)
            sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def is_partial(path: Path) -> bool:
    """Return whether this is a temporary file that `write_file` did not finish."""
    return partial_process(path) is not None and path.is_file() and not path.is_symlink()


def partial_process(path: Path) -> int | None:
    """Return the ID of the process that made a temporary file or folder; None for any other name."""
    found = PARTIAL.fullmatch(path.name)
    return None if found is None else int(found[1])


def partial_beside(path: Path) -> Path:
    """Return a random name for a temporary file in the folder of `path`, which nobody can guess."""
    return path.with_name(f".partial-{os.getpid()}-{os.urandom(8).hex()}")


def _rename(partial: Path, path: Path, may_replace: MayReplace | None) -> None:
    if may_replace is not None:
        try:
            os.link(partial, path)  # fails if the name exists
            return
        except FileExistsError:
            allowed = may_replace(path)
        except OSError:  # this file system has no hard links
            allowed = not os.path.lexists(path) or may_replace(path)
        if not allowed:
            raise OverwriteError(f"another program wrote {path} in the meantime; its file is kept")
    partial.replace(path)


def append(path: Path, content: bytes) -> None:
    """Append `content` to a file, completely or not at all. Raises `DiskError`."""
    with reporting(path, len(content)):
        if (before := _content_of_linked(path)) is not None:
            write_bytes(path, before + content)
            return
        with open(path, "ab", buffering=0, opener=open_descriptor) as file:  # Path.open takes no opener
            end, left = file.seek(0, os.SEEK_END), content
            try:
                while left:
                    left = left[file.write(left) :]
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(end)
                raise


def _content_of_linked(path: Path) -> bytes | None:
    """Return the content behind a symlink, or of a file with several hard links; None for any other path."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if special_kind(found.st_mode) is None and found.st_nlink == 1:
        return None
    try:
        with open_plain(path, LARGEST_APPENDED, links=True) as file:
            return file.read()
    except FileNotFoundError:
        return b""


@contextlib.contextmanager
def reporting(path: Path, size: int | None, partial: Path | None = None) -> Iterator[None]:
    """Turn any `OSError` of the block into a `DiskError` that names the path and the size: `size` if it is known,
    otherwise the bytes that `partial` holds so far."""
    try:
        yield
    except DiskError:
        raise  # it has more details
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
    """Flush a file or a folder to the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open folders, and keeps renames in order
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
