"""Marks of files that Sparring made: such a file may be replaced, and is not used as a training image.

Pictures and NPZ files carry a comment, ONNX files the name of their producer, and JSON files a checksum. Texts (HTML,
Markdown) end with a comment that holds the SHA-256 of the text above. A text or a JSON file that was changed belongs to
the user.
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
"""Mark of a picture with one image."""
SHEET = "Made by Sparring from many images"
"""Mark of a grid, a contact sheet, an animation or a plot, which are not training images."""
PRODUCER = "sparring"
"""The producer in an ONNX file."""
PICTURES = (b"\x89PNG\r\n\x1a\n", b"GIF8", b"RIFF")
"""The first bytes of PNG, GIF and WebP files."""
ENDS = 4096
"""Bytes at the beginning and at the end of a file in which the mark lies."""
SOFTWARE = 0x0131
"""Exif tag of the program that made a picture."""
SIGNATURE = re.compile(rb"\n<!-- Made by Sparring. SHA-256 of the above: ([0-9a-f]{64}) -->\n\Z")
LARGEST_TEXT = 1 << 28
"""Maximum size of a text with a signature, in bytes."""


# ------------------------------------------------------------------------------------------------ writing marks


def save_options(kind: str, mark: str) -> dict[str, Any]:
    """Return Pillow's arguments to save a "PNG", "GIF" or "WEBP" with a mark."""
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
    """Append the signature to a text of HTML or Markdown."""
    return text + f"\n<!-- Made by Sparring. SHA-256 of the above: {hashlib.sha256(text).hexdigest()} -->\n".encode()


# ------------------------------------------------------------------------------------------------ finding marks


def is_sheet(content: bytes) -> bool:
    """Return whether Sparring made this picture as a grid, an animation or a plot."""
    mark = SHEET.encode()
    return content.startswith(PICTURES) and (mark in content[:ENDS] or mark in content[-ENDS:])


def is_ours(path: Path) -> bool:
    """Return whether Sparring wrote this file and it is unchanged. False if it cannot be read."""
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
        return tail.endswith(MADE.encode())  # the comment is at the end; the archive may hold a marked picture
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


def _fits_description(params: Path) -> bool:
    """Return whether the description beside a generator.safetensors holds its SHA-256."""
    info = checksummed.read(params.with_suffix(".json"), always=True).get("weights")
    with open_plain(params) as file:
        return isinstance(info, dict) and hashlib.sha256(file.read()).hexdigest() == info.get("sha256")


# ------------------------------------------------------------------------------------------------ checking in advance


def claim(path: Path, force: bool = False) -> MayReplace:
    """Check in advance that a file may be written to `path`. Returns the same check for the moment of writing.

    A symlink is replaced, and its target stays. Raises `UsageError` if `path` is a folder, and `OverwriteError` if it
    is a file that Sparring did not make, unless `force`.
    """
    if path.is_dir() and not path.is_symlink():
        raise UsageError(f"{path} is a folder, but a file is needed; choose another name with --out")

    def may_replace(target: Path) -> bool:
        return force or target.is_symlink() or is_ours(target)

    if os.path.lexists(path) and not may_replace(path):
        raise OverwriteError(
            f"{path} exists, and Sparring did not make it or it was changed; choose another name with --out, or add "
            "--force to replace it"
        )
    return may_replace
