"""DECODING one file to a picture. The bytes decide its format, never the name."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import io
import logging
import math
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from sparring.data.arrays.ranges import BYTES, SIXTEEN, UNIT, Array, Numbers, ValueRange, numbers_of
from sparring.errors import DataError, reason

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
"""The formats that are read, by Pillow's names. PPM includes PGM, PBM and PFM."""
MAX_BYTES = 256 << 20
"""Largest file in bytes (256 MiB)."""
MAX_PIXELS = 89_478_485
"""Largest picture in pixels, Pillow's own limit. Decoding takes up to 20 bytes per pixel."""
MAX_READS = 1_000_000
"""Largest number of reads by Pillow from one file."""
MAX_SCANS = 500
"""Largest number of scans of a JPEG; 1 to 12 are usual."""
LARGEST_TILE, MOST_TILES = 1 << 22, 1 << 18
"""Largest tile of a TIFF in pixels, unless the picture is larger, and largest number of tiles or strips."""
HEAD = 32
"""First bytes needed by `is_picture`."""

_ORIENTATION = 0x0112
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_LEAST_TIMES = 3
"""A JPEG may be decoded at a fraction of its size, but at least at this multiple of the final size."""
_JPEG_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
"""The marker of a segment of a JPEG, or of its end."""
_SCAN, _END = 0xDA, 0xD9
_TILE_SIDES, _TILE_PLACES = (322, 323), (273, 324)


class Unreadable(Exception):
    """A file that cannot be read as a picture. The message is the reason, in a few words."""


@dataclass(frozen=True)
class Ranges:
    """The value range of each kind of picture."""

    bytes: ValueRange = BYTES
    whole: ValueRange = SIXTEEN
    """Of gray pictures of more than 8 bits."""
    floats: ValueRange = UNIT


USUAL = Ranges()


def is_picture(head: bytes) -> bool:
    """Whether a file with these first bytes is a picture of a known format."""
    if head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")):
        return True
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):  # TIFF
        return True
    if head.startswith(b"RIFF"):
        return head[8:12] == b"WEBP"
    if head.startswith(b"BM"):
        return int.from_bytes(head[14:18], "little") in _BMP_HEADERS
    return re.match(rb"P[1-6fF]\s+[0-9#]", head) is not None


def look(content: bytes) -> tuple[int, int]:
    """Read (height, width) of the upright picture from the header of a file. Raises `Unreadable`."""
    with _reasons(), _opened(content) as picture:
        turned = _has_early_orientation(picture) and picture.getexif().get(_ORIENTATION) in (5, 6, 7, 8)
        return (picture.width, picture.height) if turned else (picture.height, picture.width)


def may_be_deep(content: bytes) -> bool:
    """Whether a file may have more than 8 bits per channel, by its first bytes."""
    if content.startswith(b"\x89PNG"):
        return content[24:25] == b"\x10"
    return content.startswith((b"II", b"MM")) or (content.startswith(b"P") and content[1:2] in b"25fF")


def look_numbers(content: bytes) -> Numbers | None:
    """Decode a picture of more than 8 bits and summarise its numbers; None for other pictures.

    Raises `Unreadable`.
    """
    if not may_be_deep(content):
        return None
    with _reasons(), _opened(content) as picture:
        if not _is_deep(picture):
            return None
        picture.load()
        try:
            numbers = numbers_of([np.asarray(picture)])
        except DataError as error:
            raise Unreadable(str(error)) from None
        # Pillow's readers use several modes for 16 bits.
        return (
            numbers
            if picture.mode == "F"
            else dataclasses.replace(numbers, kind="uint16" if numbers.low >= 0 else "int32")
        )


def decode(content: bytes, least: int | None = None, ranges: Ranges = USUAL) -> Image.Image:
    """Decode the picture in a file, upright, to the mode "L" (gray), "RGB" or "RGBA". Of several frames, use the first.

    Args:
        content: The bytes of the file.
        least: The final side in pixels. A JPEG may be decoded at a fraction of its size that is larger than that. By
            default it is decoded in full size.
        ranges: The value ranges from black to white.

    Raises `Unreadable`.
    """
    with _reasons(), _opened(content) as picture:
        if least is not None:
            picture.draft(None, (_LEAST_TIMES * least, _LEAST_TIMES * least))
        if picture.format in ("JPEG", "MPO") and _scans(content) > MAX_SCANS:
            raise Unreadable(f"it has more than {MAX_SCANS} scans")
        picture.load()
        return _plain(_upright(picture), ranges)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings of Pillow and libtiff, whose errors become `Unreadable`.

    Enter it in the main thread; it applies to all threads.
    """
    log = logging.getLogger("PIL")
    level = log.level
    _silence_libtiff()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            log.setLevel(level)


@cache
def _silence_libtiff() -> None:
    """Stop Pillow's libtiff from writing to standard error. Pillow raises exceptions instead."""
    with contextlib.suppress(OSError):
        maps = Path("/proc/self/maps")
        names = re.findall(r"\s(/.*/libtiff[^/]*)$", maps.read_text(), re.M) if maps.exists() else []
        names += map(str, (Path(Image.__file__).parent / ".dylibs").glob("libtiff*"))  # macOS
        for name in sorted(set(names)):
            library = ctypes.CDLL(name)
            library.TIFFSetErrorHandler(None)
            library.TIFFSetWarningHandler(None)


@contextmanager
def _reasons() -> Iterator[None]:
    """Turn any error inside the block into an `Unreadable`."""
    try:
        yield
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise Unreadable("damaged: its header cannot be read") from None
    except Image.DecompressionBombError:
        raise Unreadable(f"it has more pixels than the limit of {MAX_PIXELS:,}") from None
    except MemoryError:
        raise Unreadable("it does not fit into memory") from None
    except Exception as error:  # Pillow raises exceptions of many types for damaged files
        raise Unreadable(f"damaged: {reason(error)}") from None


def _opened(content: bytes) -> Image.Image:
    if not content:
        raise Unreadable("it is empty")
    if content.startswith((b"II", b"MM")) and (tiles := _tiles(content)) > MOST_TILES:
        raise Unreadable(f"it has {tiles:,} tiles or strips, more than the limit of {MOST_TILES:,}")
    file = _Counted(content)
    picture = Image.open(file, formats=FORMATS)
    if picture.format in ("BMP", "PPM"):
        file.left = len(content)  # their readers read pixel by pixel
    if picture.width * picture.height > MAX_PIXELS:
        size = f"{picture.width:,} x {picture.height:,}"
        raise Unreadable(f"it has {size} pixels, more than the limit of {MAX_PIXELS:,}")
    if picture.width < 1 or picture.height < 1:
        raise Unreadable("it has no pixels")
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        tile = math.prod(picture.tag_v2.get(side, 0) for side in _TILE_SIDES)
        if tile > max(picture.width * picture.height, LARGEST_TILE):
            raise Unreadable(f"its tiles of {tile:,} pixels are larger than the picture")
    return picture


class _Counted(io.BytesIO):
    """The bytes of a file, with a limited number of reads."""

    left = MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, and count the reads."""
        self.left -= 1
        if self.left < 0:
            raise Unreadable("it has far too many parts")
        return super().read(size)


def _tiles(content: bytes) -> int:
    """The number of tiles or strips of a TIFF. Pillow allocates about 200 bytes for each."""
    order = "<" if content.startswith(b"II") else ">"
    start, step, head, entry = ("8xQ", 20, "Q", "H2xQ") if content[2] == 43 else ("4xI", 12, "H", "H2xI")
    (begin,) = struct.unpack_from(order + start, content)
    (count,) = struct.unpack_from(order + head, content, begin)
    begin += struct.calcsize(order + head)
    places = range(begin, min(begin + count * step, len(content) - step + 1), step)
    entries = (struct.unpack_from(order + entry, content, place) for place in places)
    return max((number for tag, number in entries if tag in _TILE_PLACES), default=0)


def _scans(content: bytes) -> int:
    """The number of scans of a JPEG, or a number above `MAX_SCANS`."""
    place, scans = 0, 0
    for _ in range(MAX_READS):
        found = _JPEG_MARKER.search(content, place)
        if found is None or scans > MAX_SCANS or (found[1][0] == _END and scans):
            return scans
        scans += found[1][0] == _SCAN
        place = found.end() + max(2, int.from_bytes(content[found.end() : found.end() + 2], "big"))
    return MAX_SCANS + 1


def _has_early_orientation(picture: Image.Image) -> bool:
    """Whether the orientation is known without decoding. In a PNG it may follow the pixels."""
    return picture.format != "PNG" or "exif" in picture.info


def _upright(picture: Image.Image) -> Image.Image:
    with contextlib.suppress(Exception):  # damaged Exif data: ignore the rotation
        return ImageOps.exif_transpose(picture)
    return picture


def _is_deep(picture: Image.Image) -> bool:
    return picture.mode in ("I", "F") or picture.mode.startswith("I;16")


def _plain(picture: Image.Image, ranges: Ranges) -> Image.Image:
    """Convert to the mode L, RGB or RGBA."""
    if _is_deep(picture):
        return _from_numbers(picture, ranges.floats if picture.mode == "F" else ranges.whole)
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        return _stretched(picture.convert("RGBA"), ranges.bytes)
    if picture.mode == "1":
        return picture.convert("L")
    return _stretched(picture.convert("L" if picture.mode == "L" else "RGB"), ranges.bytes)


def _stretched(picture: Image.Image, chosen: ValueRange) -> Image.Image:
    """Scale a range of bytes to 0 to 255. Alpha is unchanged."""
    if chosen == BYTES:
        return picture
    table = _gray(np.arange(256), chosen).tolist()
    channels = len(picture.getbands()) - (picture.mode == "RGBA")
    return picture.point(table * channels + list(range(256)) * (picture.mode == "RGBA"))


def _gray(values: Array, chosen: ValueRange) -> Array:
    low, high = chosen
    return np.clip(np.rint((values - low) * (255 / (high - low))), 0, 255).astype(np.uint8)


def _from_numbers(picture: Image.Image, chosen: ValueRange) -> Image.Image:
    """Convert gray of more than 8 bits."""
    values = np.asarray(picture)
    if picture.mode == "F" and not np.isfinite(values).all():
        raise Unreadable("some of its numbers are NaN or infinite")
    plain = Image.fromarray(_gray(values, chosen))
    hidden = picture.info.get("transparency")
    if not isinstance(hidden, int):
        return plain
    plain.putalpha(Image.fromarray(np.where(values == hidden, 0, 255).astype(np.uint8)))
    return plain.convert("RGBA")
