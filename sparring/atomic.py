"""ATOMIC WRITES: after a crash a file is the old one or the new one, whole; never half of one."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_bytes(path: Path, content: bytes) -> None:
    """Put `content` at `path`. Raises `OSError` where the disk does."""
    write_file(path, lambda partial: partial.write_bytes(content))


def write_json(path: Path, value: Any) -> None:
    """Put `value` at `path` as indented JSON."""
    write_bytes(path, (json.dumps(value, indent=2) + "\n").encode())


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make the file under a name of its own beside `path`, make sure of it, then give it its name.

    The other name keeps the ending, by which image libraries choose the format.
    """
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        write(partial)
        sync(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Have the disk hold what was written to that file or folder."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders and keeps renames in order by itself
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
