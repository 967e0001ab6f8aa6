"""A folder of samples: a set of PNG files that is written, and replaced, as a whole.

    0000.png, or CLASS/0000.png   the pictures, each with the name of its set and a SHA-256 of itself
    .sparring-samples.json        exists only while one set replaces another; readers refuse the folder until then

New pictures are written into a hidden folder inside. Then the old set is removed, and the new one is moved into its
place. Pictures of other sets and changed pictures belong to the user: they are kept, and an error names them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from sparring import interrupts
from sparring.errors import OverwriteError, UsageError
from sparring.files import atomic, checksummed
from sparring.files.marks import MADE

UNFINISHED = ".sparring-samples.json"
"""File with the names of the new set and of the one that it replaces."""
HEADER = 33
"""Bytes of a PNG before the chunk with the mark."""
MARK = re.compile(rb"....tEXtSoftware\0" + MADE.encode() + rb" of set ([0-9a-f]{16}), SHA-256 ([0-9a-f]{64})....", re.S)


# ------------------------------------------------------------------------------------------------ one picture


def marked(png: bytes, set_name: str) -> bytes:
    """Add a mark to a PNG file: the name of its set, and the SHA-256 of the rest."""
    text = f"tEXtSoftware\0{MADE} of set {set_name}, SHA-256 {hashlib.sha256(png).hexdigest()}".encode()
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    return png[:HEADER] + chunk + png[HEADER:]


def set_of(content: bytes) -> str | None:
    """Return the set of a PNG file; None if Sparring did not write it, or it was changed."""
    found = MARK.match(content, HEADER)
    if found is None:
        return None
    rest = content[:HEADER] + content[found.end() :]
    return found[1].decode() if hashlib.sha256(rest).hexdigest().encode() == found[2] else None


# ------------------------------------------------------------------------------------------------ the folder


def is_unfinished(folder: Path) -> bool:
    """Return whether the program was killed while one set replaced another."""
    return bool(_unfinished_sets(folder))


def claim(folder: Path, force: bool = False) -> None:
    """Check in advance that a set may be written into `folder`.

    Raises `UsageError` if it is a file, and `OverwriteError` if it holds anything but one set of samples, unless
    `force`.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise UsageError(f"{folder} is a file, but a folder for pictures is needed; choose another --out")
    if not force and folder.is_dir():
        _old_pictures(folder)


def write(folder: Path, pictures: Sequence[tuple[str, bytes]], force: bool = False) -> None:
    """Write PNG files (name, content) into `folder` and remove the set that was there. Other files stay with `force`.

    Raises the errors of `claim`, and `DiskError`.
    """
    claim(folder, force)
    digest = hashlib.sha256()
    for name, content in pictures:
        digest.update(f"{name} {len(content)} ".encode() + content)
    set_name = digest.hexdigest()[:16]
    with atomic.reporting(folder, None):
        folder.mkdir(parents=True, exist_ok=True)
        _clear_dead(folder)
        staging = atomic.partial_beside(folder / UNFINISHED)
        staging.mkdir()
        try:
            with interrupts.temporary(staging):
                for name, content in pictures:
                    (staging / name).parent.mkdir(exist_ok=True)
                    atomic.write_bytes(staging / name, marked(content, set_name))
                _exchange(folder, staging, [name for name, _ in pictures], set_name, force)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _exchange(folder: Path, staging: Path, names: Sequence[str], set_name: str, force: bool) -> None:
    old = _old_pictures(folder, force)
    checksummed.write(folder / UNFINISHED, {"sets": sorted({set_name, *old.values(), *_unfinished_sets(folder)})})
    for path in old:
        path.unlink()
        if path.parent != folder:
            with contextlib.suppress(OSError):  # it is not empty
                path.parent.rmdir()
    for name in names:
        target = folder / name
        if target.parent != folder and target.parent.is_symlink():
            raise OverwriteError(f"{target.parent} is a symlink to another folder; Sparring writes only below {folder}")
        target.parent.mkdir(exist_ok=True)
        (staging / name).replace(target)
    atomic.sync(folder)
    (folder / UNFINISHED).unlink(missing_ok=True)


def _old_pictures(folder: Path, force: bool = False) -> dict[Path, str]:
    """Return the pictures of the one set in a folder with its name; with `force` those of all sets.

    Raises `OverwriteError` if the folder holds anything else, unless `force`.
    """
    unfinished = _unfinished_sets(folder)
    found: dict[Path, str] = {}
    for path in _files(folder):
        is_picture = path.suffix == ".png" and path.is_file() and not path.is_symlink()
        set_name = set_of(path.read_bytes()) if is_picture else None
        ours = unfinished or list(found.values())[:1]
        if set_name is not None and (force or not ours or set_name in ours):
            found[path] = set_name
        elif not force:
            raise OverwriteError(
                f"{folder} holds {path.relative_to(folder)}, which Sparring did not write or which was changed; choose "
                "another folder with --out, or add --force to write the new pictures beside it"
            )
    return found


def _files(folder: Path) -> Iterator[Path]:
    """Yield all files and symlinks below a folder, except hidden ones, which are not training data."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted([*files, *(name for name in folders if (Path(place) / name).is_symlink())]):
            if not name.startswith("."):
                yield Path(place) / name


def _unfinished_sets(folder: Path) -> list[str]:
    """Return the sets that were being exchanged when the program was killed; empty if there are none."""
    try:
        found = checksummed.read(folder / UNFINISHED, always=True)["sets"]
        return [str(name) for name in found]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def _clear_dead(folder: Path) -> None:
    """Remove the temporary folders of killed processes."""
    for path in folder.glob(".partial-*"):
        process = atomic.partial_process(path)
        if process is not None and path.is_dir() and not path.is_symlink() and not _is_running(process):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(process: int) -> bool:
    if os.name == "nt":  # `kill` would send Ctrl-C there
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
