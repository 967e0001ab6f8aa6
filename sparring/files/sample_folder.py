"""A FOLDER OF SAMPLES: a set of PNG files that is written, and replaced, as a whole.

    0000.png, or CLASS/0000.png   the pictures; each says which set it belongs to, and has a SHA-256 of itself
    .sparring-samples.json        there only while the set is put in its place; until it is gone, nobody reads it

New pictures are made in a hidden folder inside. Then the old set goes, and the new one is moved into its place. What is
of another set, or was changed since, is the user's: it is kept, and named.
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
"""Names the set that is put in its place, and the one that it replaces."""
STAGING = re.compile(r"\.partial-([0-9]{1,9})-[0-9a-f]{16}")
HEADER = 33
"""Bytes of a PNG before the chunk with our mark."""
MARK = re.compile(rb"....tEXtSoftware\0" + MADE.encode() + rb" of set ([0-9a-f]{16}), SHA-256 ([0-9a-f]{64})....", re.S)


# ------------------------------------------------------------------------------------------------ one picture


def marked(png: bytes, set_name: str) -> bytes:
    """A PNG file, with a mark that names its set and holds the SHA-256 of all else."""
    text = f"tEXtSoftware\0{MADE} of set {set_name}, SHA-256 {hashlib.sha256(png).hexdigest()}".encode()
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    return png[:HEADER] + chunk + png[HEADER:]


def set_of(content: bytes) -> str | None:
    """The set that a PNG file belongs to; None where we did not write it, or it was changed since."""
    found = MARK.match(content, HEADER)
    if found is None:
        return None
    rest = content[:HEADER] + content[found.end() :]
    return found[1].decode() if hashlib.sha256(rest).hexdigest().encode() == found[2] else None


# ------------------------------------------------------------------------------------------------ the folder


def is_unfinished(folder: Path) -> bool:
    """Whether one set was replacing another when the program was killed."""
    return bool(_unfinished_sets(folder))


def claim(folder: Path, force: bool = False) -> None:
    """Check, before any work is done, that a set may be written into `folder`.

    Raises `UsageError` where it is a file, `OverwriteError` where it holds something else than one set of ours, unless
    `force`.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise UsageError(f"{folder} is a file, and a folder of pictures is to be written there; choose another --out")
    if not force and folder.is_dir():
        _old_pictures(folder)


def write(folder: Path, pictures: Sequence[tuple[str, bytes]], force: bool = False) -> None:
    """Write these PNG files (name, content) into `folder`, in place of the set that was written there before. With
    `force`, what else is there stays.

    Raises as `claim` does, and `DiskError`.
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
            with contextlib.suppress(OSError):  # something else is in it
                path.parent.rmdir()
    for name in names:
        target = folder / name
        if target.parent != folder and target.parent.is_symlink():
            raise OverwriteError(f"{target.parent} is a link to another folder, and nothing is written behind links")
        target.parent.mkdir(exist_ok=True)
        (staging / name).replace(target)
    atomic.sync(folder)
    (folder / UNFINISHED).unlink(missing_ok=True)


def _old_pictures(folder: Path, force: bool = False) -> dict[Path, str]:
    """The pictures of the one set in a folder, and its name; with `force` of all sets, and nothing else is looked at.

    Raises `OverwriteError` where something else is there.
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
                f"{folder} holds {path.relative_to(folder)}, which Sparring did not write there, or not as it is now; "
                "choose another folder with --out, or add --force to write the new pictures beside it"
            )
    return found


def _files(folder: Path) -> Iterator[Path]:
    """All that lies in a folder, and links; but nothing hidden, which nobody trains on."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted([*files, *(name for name in folders if (Path(place) / name).is_symlink())]):
            if not name.startswith("."):
                yield Path(place) / name


def _unfinished_sets(folder: Path) -> list[str]:
    """The sets of which one was replacing the other when the program was killed; empty where none was."""
    try:
        found = checksummed.read(folder / UNFINISHED, always=True)["sets"]
        return [str(name) for name in found]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def _clear_dead(folder: Path) -> None:
    """Remove what a killed process was making there."""
    for path in folder.glob(".partial-*"):
        found = STAGING.fullmatch(path.name)
        if found and not path.is_symlink() and path.is_dir() and not _is_running(int(found[1])):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(process: int) -> bool:
    if os.name == "nt":  # there this call would be a Ctrl-C
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
