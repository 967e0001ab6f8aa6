"""ATOMIC WRITES: after a crash a file is the old one or the new one, whole; never half of one. So it is after a write
that fails: on a full disk, say, what was there is there still, and one sentence says what had no room.
"""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sparring import interrupts
from sparring.errors import DiskError

PARTIAL = re.compile(r"\.partial-[0-9]+-.+")


def write_bytes(path: Path, content: bytes) -> None:
    """Put `content` at `path`. Raises `DiskError`."""
    write_file(path, lambda partial: partial.write_bytes(content), len(content))


def write_json(path: Path, value: Any) -> None:
    """Put `value` at `path` as indented JSON. Raises `DiskError`."""
    write_bytes(path, (json.dumps(value, indent=2) + "\n").encode())


def write_file(path: Path, write: Callable[[Path], object], size: int | None = None) -> None:
    """Let `write` make the file under a name of its own beside `path`, make sure of it, then give it its name.

    The other name keeps the ending, by which image libraries choose the format. `size` is how many bytes that will be,
    where it is known. Raises `DiskError`.
    """
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        with interrupts.temporary(partial), reporting(path, size, partial):
            write(partial)
            sync(partial)
            partial.replace(path)
            sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def is_partial(path: Path) -> bool:
    """Whether a file has the name that `write_file` gives while it writes, and not only one that looks like it."""
    return PARTIAL.fullmatch(path.name) is not None and path.is_file() and not path.is_symlink()


def append(path: Path, content: bytes) -> None:
    """Put `content` behind what is in the file, all of it or nothing. Raises `DiskError`."""
    with reporting(path, len(content)), path.open("ab", buffering=0) as file:
        before, left = file.seek(0, os.SEEK_END), content
        try:
            while left:
                left = left[file.write(left) :]
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(before)
            raise


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
