"""A FOLDER OF SAMPLES: a set of pictures that is written, and replaced, as a whole.

    0000.png, or CLASS/0000.png   the pictures
    .sparring-samples.json        the SHA-256 of each, and whether the set is whole

New pictures are made in a hidden folder inside. Then the old set goes, and the new one is moved into its place; until
that is done, the manifest says that the set is not whole, and nothing reads it. What the manifest does not name stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from sparring import atomic, interrupts, sealed
from sparring.errors import OverwriteError, UsageError

MANIFEST = ".sparring-samples.json"
STAGING = re.compile(r"\.partial-([0-9]{1,9})-[0-9a-f]{16}")

Digests = dict[str, list[str]]
"""The SHA-256 that a file of that name may have."""


def is_unfinished(manifest: Path) -> bool:
    """Whether a manifest says that its set was being replaced when the program was killed."""
    try:
        return sealed.read(manifest, always=True).get("whole") is False
    except (OSError, ValueError, RecursionError):
        return False


def claim(folder: Path, force: bool = False) -> None:
    """Check, before any work is done, that a set may be written into `folder`.

    Raises `UsageError` where it is a file, `OverwriteError` where it holds something that Sparring did not write there,
    unless `force`.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise UsageError(f"{folder} is a file, and a folder of pictures is to be written there; choose another --out")
    if force or not folder.is_dir():
        return
    known = _known(folder)
    for name, path in _files(folder):
        if not _is_known(path, known.get(name, [])):
            raise OverwriteError(
                f"{folder} holds {name}, which is not as Sparring wrote it there; choose another folder with --out, or "
                "add --force to write the new pictures beside it"
            )


def write(folder: Path, pictures: Iterable[tuple[str, bytes]], force: bool = False) -> None:
    """Write these files (name, content) into `folder`, in place of the set that was written there before.

    Raises as `claim` does, and `DiskError`.
    """
    claim(folder, force)
    with atomic.reporting(folder, None):
        folder.mkdir(parents=True, exist_ok=True)
        _clear_dead(folder)
        staging = atomic.partial_beside(folder / MANIFEST)
        staging.mkdir()
        try:
            with interrupts.temporary(staging):
                new = {name: [_stage(staging / name, content)] for name, content in pictures}
                _exchange(folder, staging, new)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _stage(path: Path, content: bytes) -> str:
    path.parent.mkdir(exist_ok=True)
    atomic.write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def _exchange(folder: Path, staging: Path, new: Digests) -> None:
    old = _known(folder)
    both = {name: old.get(name, []) + new.get(name, []) for name in old | new}
    sealed.write(folder / MANIFEST, {"whole": False, "files": both})
    for name, path in list(_files(folder)):
        if _is_known(path, old.get(name, [])):
            path.unlink()
            if path.parent != folder:
                with contextlib.suppress(OSError):  # something else is in it
                    path.parent.rmdir()
    for name in new:
        target = folder / name
        if target.parent.is_symlink():
            raise OverwriteError(f"{target.parent} is a link to another folder, and nothing is written behind links")
        target.parent.mkdir(exist_ok=True)
        (staging / name).replace(target)
    sealed.write(folder / MANIFEST, {"whole": True, "files": new})


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """(name, path) of all that lies in a folder, and links; but nothing hidden, which nobody trains on."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in (*files, *links):
            if not name.startswith("."):
                path = Path(place) / name
                yield path.relative_to(folder).as_posix(), path


def _is_known(path: Path, digests: list[str]) -> bool:
    if not digests or path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() in digests


def _known(folder: Path) -> Digests:
    """What was written there before, by its manifest; nothing where there is none, or it is damaged."""
    try:
        files = sealed.read(folder / MANIFEST, always=True)["files"]
        return {str(name): [str(digest) for digest in digests] for name, digests in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _clear_dead(folder: Path) -> None:
    """Remove what a killed process was making there."""
    for path in folder.glob(".partial-*"):
        found = STAGING.fullmatch(path.name)
        if found and not path.is_symlink() and path.is_dir() and not _is_running(int(found[1])):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
