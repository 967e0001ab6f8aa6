"""DECODING: the bytes of one file as a picture, or the reason why not. Bytes decide, never the name of the file."""

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
"""Of Pillow's readers those for pixels in a plain file. PPM includes PGM, PBM and PFM."""
MAX_BYTES = 256 << 20
"""No file larger than this (256 MiB) is read."""
MAX_PIXELS = 89_478_485
"""No picture that promises more pixels than this, Pillow's own limit, is decoded. It takes up to 20 bytes a pixel."""
MAX_READS = 1_000_000
"""No file is gone on with that is made of so many parts that Pillow has read from it so often."""
MAX_SCANS = 500
"""No JPEG is decoded that goes over its pixels more often than this; usual are 1 to 12 times."""
LARGEST_TILE, MOST_TILES = 1 << 22, 1 << 18
"""Pixels of a tile of a TIFF, unless all of it is larger; and how many tiles, or strips, it may have."""
HEAD = 32
"""Bytes by which `is_picture` tells."""

_ORIENTATION = 0x0112
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_LEAST_TIMES = 3
"""A JPEG is decoded at a fraction of its size, but never smaller than so many times what is wanted of it."""
_JPEG_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
"""Where a segment of a JPEG begins, or all ends."""
_SCAN, _END = 0xDA, 0xD9
_TILE_SIDES, _TILE_PLACES = (322, 323), (273, 324)


class Unreadable(Exception):
    """A file is no picture that can be trained on. The message is the reason, in a few words."""


@dataclass(frozen=True)
class Ranges:
    """Black and white in pictures of each kind."""

    bytes: ValueRange = BYTES
    whole: ValueRange = SIXTEEN
    """In gray pictures of more than 8 bits."""
    floats: ValueRange = UNIT


USUAL = Ranges()


def is_picture(head: bytes) -> bool:
    """Whether a file that begins with these bytes says that it is a picture of a known format."""
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
    """Height and width of the upright picture in a file, from its header. Raises `Unreadable`."""
    with _reasons(), _opened(content) as picture:
        turned = _says_orientation(picture) and picture.getexif().get(_ORIENTATION) in (5, 6, 7, 8)
        return (picture.width, picture.height) if turned else (picture.height, picture.width)


def may_be_deep(content: bytes) -> bool:
    """Whether a file may hold more than 8 bits a channel, by its first bytes."""
    if content.startswith(b"\x89PNG"):
        return content[24:25] == b"\x10"
    return content.startswith((b"II", b"MM")) or (content.startswith(b"P") and content[1:2] in b"25fF")


def look_numbers(content: bytes) -> Numbers | None:
    """The numbers of a picture of more than 8 bits, which has to be decoded for that; None of other ones. Raises
    `Unreadable`."""
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
        # Readers of the same format differ in how many bits they take for 16.
        return (
            numbers
            if picture.mode == "F"
            else dataclasses.replace(numbers, kind="uint16" if numbers.low >= 0 else "int32")
        )


def decode(content: bytes, least: int | None = None, ranges: Ranges = USUAL) -> Image.Image:
    """The picture in a file, upright, as gray ("L"), colour ("RGB") or colour and alpha ("RGBA"); of many frames the
    first. Raises `Unreadable`.

    Args:
        content: The bytes of the file.
        least: The side, in pixels, that is wanted in the end: a JPEG may come out smaller than it is, but larger than
            that. By default it comes out whole.
        ranges: The numbers that are black and white.
    """
    with _reasons(), _opened(content) as picture:
        if least is not None:
            picture.draft(None, (_LEAST_TIMES * least, _LEAST_TIMES * least))
        if picture.format in ("JPEG", "MPO") and _scans(content) > MAX_SCANS:
            raise Unreadable(f"it goes over its pixels more than {MAX_SCANS} times")
        picture.load()
        return _plain(_upright(picture), ranges)


@contextmanager
def quiet() -> Iterator[None]:
    """Neither Pillow nor libtiff writes of what is an `Unreadable` here, or does no harm. To be entered in the main
    thread; it holds for all threads."""
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
    """The libtiff that Pillow has loaded no longer writes to the standard error by itself; Pillow raises an error."""
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
    """Whatever goes wrong inside becomes an `Unreadable`."""
    try:
        yield
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise Unreadable("damaged: its header cannot be read") from None
    except Image.DecompressionBombError:
        raise Unreadable(f"it promises more than the {MAX_PIXELS:,} pixels that are read") from None
    except MemoryError:
        raise Unreadable("it does not fit into memory") from None
    except Exception as error:  # Pillow's readers raise whatever damaged bytes lead them to
        raise Unreadable(f"damaged: {reason(error)}") from None


def _opened(content: bytes) -> Image.Image:
    if not content:
        raise Unreadable("it is empty")
    if content.startswith((b"II", b"MM")) and (tiles := _tiles(content)) > MOST_TILES:
        raise Unreadable(f"it has {tiles:,} tiles or strips, more than the {MOST_TILES:,} that are read")
    file = _Counted(content)
    picture = Image.open(file, formats=FORMATS)
    if picture.format in ("BMP", "PPM"):
        file.left = len(content)  # their readers go from pixel to pixel
    if picture.width * picture.height > MAX_PIXELS:
        size = f"{picture.width:,} x {picture.height:,}"
        raise Unreadable(f"it promises {size} pixels, more than the {MAX_PIXELS:,} that are read")
    if picture.width < 1 or picture.height < 1:
        raise Unreadable("it has no pixels")
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        tile = math.prod(picture.tag_v2.get(side, 0) for side in _TILE_SIDES)
        if tile > max(picture.width * picture.height, LARGEST_TILE):
            raise Unreadable(f"it has tiles of {tile:,} pixels, more than it has itself")
    return picture


class _Counted(io.BytesIO):
    """The bytes of a file, which can be read from so often."""

    left = MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file."""
        self.left -= 1
        if self.left < 0:
            raise Unreadable("it is made of far too many parts")
        return super().read(size)


def _tiles(content: bytes) -> int:
    """How many tiles or strips a TIFF names, for each of which Pillow takes some 200 bytes at once."""
    order = "<" if content.startswith(b"II") else ">"
    start, step, head, entry = ("8xQ", 20, "Q", "H2xQ") if content[2] == 43 else ("4xI", 12, "H", "H2xI")
    (begin,) = struct.unpack_from(order + start, content)
    (count,) = struct.unpack_from(order + head, content, begin)
    begin += struct.calcsize(order + head)
    places = range(begin, min(begin + count * step, len(content) - step + 1), step)
    entries = (struct.unpack_from(order + entry, content, place) for place in places)
    return max((number for tag, number in entries if tag in _TILE_PLACES), default=0)


def _scans(content: bytes) -> int:
    """How often a JPEG goes over its pixels, or a number that is too large."""
    place, scans = 0, 0
    for _ in range(MAX_READS):
        found = _JPEG_MARKER.search(content, place)
        if found is None or scans > MAX_SCANS or (found[1][0] == _END and scans):
            return scans
        scans += found[1][0] == _SCAN
        place = found.end() + max(2, int.from_bytes(content[found.end() : found.end() + 2], "big"))
    return MAX_SCANS + 1


def _says_orientation(picture: Image.Image) -> bool:
    """Whether the orientation can be asked for without decoding: a PNG's may come after its pixels."""
    return picture.format != "PNG" or "exif" in picture.info


def _upright(picture: Image.Image) -> Image.Image:
    with contextlib.suppress(Exception):  # what damaged Exif data lead to: then nothing is known of a rotation
        return ImageOps.exif_transpose(picture)
    return picture


def _is_deep(picture: Image.Image) -> bool:
    return picture.mode in ("I", "F") or picture.mode.startswith("I;16")


def _plain(picture: Image.Image, ranges: Ranges) -> Image.Image:
    """As L, RGB or RGBA."""
    if _is_deep(picture):
        return _from_numbers(picture, ranges.floats if picture.mode == "F" else ranges.whole)
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        return _stretched(picture.convert("RGBA"), ranges.bytes)
    if picture.mode == "1":
        return picture.convert("L")
    return _stretched(picture.convert("L" if picture.mode == "L" else "RGB"), ranges.bytes)


def _stretched(picture: Image.Image, chosen: ValueRange) -> Image.Image:
    """A picture of bytes, of which those of that range become 0 to 255; alpha stays as it is."""
    if chosen == BYTES:
        return picture
    table = _gray(np.arange(256), chosen).tolist()
    channels = len(picture.getbands()) - (picture.mode == "RGBA")
    return picture.point(table * channels + list(range(256)) * (picture.mode == "RGBA"))


def _gray(values: Array, chosen: ValueRange) -> Array:
    low, high = chosen
    return np.clip(np.rint((values - low) * (255 / (high - low))), 0, 255).astype(np.uint8)


def _from_numbers(picture: Image.Image, chosen: ValueRange) -> Image.Image:
    """Gray of more than 8 bits."""
    values = np.asarray(picture)
    if picture.mode == "F" and not np.isfinite(values).all():
        raise Unreadable("some of its numbers are NaN or infinite")
    plain = Image.fromarray(_gray(values, chosen))
    hidden = picture.info.get("transparency")
    if not isinstance(hidden, int):
        return plain
    plain.putalpha(Image.fromarray(np.where(values == hidden, 0, 255).astype(np.uint8)))
    return plain.convert("RGBA")
