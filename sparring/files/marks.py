"""MARKS: how a file says that Sparring made it, so that it may be replaced, and is not taken for a user's picture.

Pictures carry a comment, NPZ files a comment of the archive, ONNX files their producer's name, JSON files their own
SHA-256, and texts (HTML, Markdown) end with a comment that holds the SHA-256 of what is above. A text or a JSON file
that a person has changed since is that person's.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sparring.errors import OverwriteError, UsageError
from sparring.files import checksummed
from sparring.files.atomic import MayReplace
from sparring.files.untrusted import open_plain

MADE = "Made by Sparring as an image"
"""What a picture with one image says."""
SHEET = "Made by Sparring from many images"
"""What a grid, a contact sheet, an animation or a plot says: nobody wants to train on it."""
PRODUCER = "sparring"
"""The producer that an ONNX file names."""
PICTURES = (b"\x89PNG\r\n\x1a\n", b"GIF8", b"RIFF")
"""How the formats of our pictures begin."""
ENDS = 4096
"""The mark lies within so many bytes from the beginning or from the end."""
SOFTWARE = 0x0131
"""Exif's tag for the program that made a picture."""
SIGNATURE = re.compile(rb"\n<!-- Made by Sparring. SHA-256 of the above: ([0-9a-f]{64}) -->\n\Z")
LARGEST_TEXT = 1 << 28
"""Bytes of a text whose signature is verified."""


# ------------------------------------------------------------------------------------------------ leaving a mark


def save_options(kind: str, mark: str) -> dict[str, Any]:
    """Arguments that have Pillow save a "PNG", "GIF" or "WEBP" with that mark."""
    if kind == "PNG":
        info = PngInfo()
        info.add_text("Software", mark)
        return {"pnginfo": info}
    if kind == "GIF":
        return {"comment": mark.encode()}
    exif = Image.Exif()
    exif[SOFTWARE] = mark
    return {"exif": exif.tobytes()}


def signed(text: bytes) -> bytes:
    """A text of HTML or Markdown with its signature below."""
    return text + f"\n<!-- Made by Sparring. SHA-256 of the above: {hashlib.sha256(text).hexdigest()} -->\n".encode()


# ------------------------------------------------------------------------------------------------ finding it again


def is_sheet(content: bytes) -> bool:
    """Whether the bytes of a picture say that it shows many images, or curves, and that Sparring made it."""
    mark = SHEET.encode()
    return content.startswith(PICTURES) and (mark in content[:ENDS] or mark in content[-ENDS:])


def is_ours(path: Path) -> bool:
    """Whether Sparring wrote this file, and nobody has changed it since. False where it cannot be read."""
    try:
        if path.suffix == ".json":
            checksummed.read(path, always=True)
            return True
        if path.suffix == ".safetensors":
            return _fits_description(path)
        if path.suffix.lower() in (".html", ".md"):
            return _is_signed(path)
        return _has_mark(path)
    except (OSError, ValueError, RecursionError):
        return False


def _has_mark(path: Path) -> bool:
    with open_plain(path) as file:
        head = file.read(ENDS)
        file.seek(max(0, os.fstat(file.fileno()).st_size - ENDS))
        tail = file.read(ENDS)
    if head.startswith(b"PK"):
        return tail.endswith(MADE.encode())  # the comment is the end; a picture of ours may lie inside
    if head.startswith(PICTURES):
        return any(mark.encode() in part for part in (head, tail) for mark in (MADE, SHEET))
    return head.startswith(b"\x08") and b"\x12" + bytes([len(PRODUCER)]) + PRODUCER.encode() in head[:32]


def _is_signed(path: Path) -> bool:
    with open_plain(path, LARGEST_TEXT) as file:
        content = file.read()
    found = SIGNATURE.search(content[-ENDS:])
    if found is None:
        return False
    text = content[: len(content) - len(found[0])]
    return hashlib.sha256(text).hexdigest().encode() == found[1]


def _fits_description(weights: Path) -> bool:
    """Whether the description beside a file of weights holds its SHA-256."""
    about = checksummed.read(weights.with_suffix(".json"), always=True).get("weights")
    with open_plain(weights) as file:
        return isinstance(about, dict) and hashlib.sha256(file.read()).hexdigest() == about.get("sha256")


# ------------------------------------------------------------------------------------------------ asking before


def claim(path: Path, force: bool = False) -> MayReplace:
    """Check, before any work is done, that a file may be written at `path`; the answer is for the moment of writing.

    A link is replaced, and what it leads to stays. Raises `UsageError` where `path` is a folder, `OverwriteError` where
    it is a file that Sparring did not make, unless `force`.
    """
    if path.is_dir() and not path.is_symlink():
        raise UsageError(f"{path} is a folder, and a file is to be written there; choose another name with --out")

    def may_replace(target: Path) -> bool:
        return force or target.is_symlink() or is_ours(target)

    if os.path.lexists(path) and not may_replace(path):
        raise OverwriteError(
            f"{path} is there already, and Sparring did not make it, or it was changed since; choose another name with "
            "--out, or add --force to replace it"
        )
    return may_replace
