"""FUZZING of all that reads data: hostile files, made from good ones by chance, must end as images or as one sentence.

    python benchmarks/fuzz_loaders.py                                       # every loader, ten minutes each
    python benchmarks/fuzz_loaders.py --seconds 60 --loaders zip,npz --seed 3
    python benchmarks/fuzz_loaders.py --loaders zip --seed 3 --first 712 --inputs 1     # one input again

Each loader runs in a process of its own that has 1 GiB more address space (RLIMIT_AS) than it needed to read good
pictures, and an empty home. Input number N of a loader follows from its name, the seed and N alone. A finding is

- any error but a `SparringError` of one line; memory or time (a minute an input) that runs out; a process that dies;
- a file that is written, renamed or removed outside the cache folder;
- a good picture that is lost beside a hostile file, or a damaged cache that changes what is loaded.

Findings are printed and kept, with their input, in the folder `--keep`; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import faulthandler
import gzip
import io
import itertools
import json
import lzma
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faults
import numpy as np
from PIL import Image
from rich.console import Console

from sparring import data
from sparring.data import check
from sparring.data.arrays.idx import SPLIT_FILES, idx_sha256
from sparring.data.named import sets as named
from sparring.data.pictures import index
from sparring.errors import SparringError
from sparring.recipes import named_recipe
from sparring.recipes.recipe import Recipe
from sparring.runs.run import Inside

ROOM = 1 << 30
"""Bytes of address space that a process has beyond what it needed for good pictures."""
SECONDS_AN_INPUT = 60.0
GOOD = ("good/1.png", "good/2.jpg")
"""Pictures that must be loaded whatever lies beside them."""
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
HUGE = (2**31, 2**32 - 1, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
WRONG = (*faults.WRONG, "0" * 64, [[0, "b"]])
"""What a value in a JSON file may become."""
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
Chance = random.Random


@dataclass(frozen=True)
class Attempt:
    """A hostile source, and what must come of it all the same."""

    source: str
    good: tuple[str, ...] = ()
    """Pictures that must be among those that are loaded."""
    may_be_refused: bool = True
    checksum: str | None = None
    """Of the images, if any are loaded."""
    shaping: data.Shaping | None = None
    """By default any."""


@dataclass
class Tally:
    """What became of a loader's inputs."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    peak: int = 0
    """MiB of memory, at most."""
    limit: int = 0
    """MiB of address space."""
    slowest: float = 0.0
    """Seconds, at most."""

    @property
    def inputs(self) -> int:
        """How many were tried."""
        return self.outcomes.total()


Maker = Callable[[Chance], Attempt]
"""What makes an input by chance, and puts it where it belongs."""


class Lost(AssertionError):
    """An import was stopped, or lost or changed what is good."""


# ------------------------------------------------------------------------------------------------ damage to bytes


def damaged(chance: Chance, content: bytes, others: list[bytes]) -> bytes:
    """The same with one to four faults."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        content = chance.choice(FAULTS)(chance, content, others)
    return content


def _flip(chance: Chance, content: bytes, others: list[bytes]) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 3, 20))):
        if changed:
            changed[_place(chance, changed)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _extreme(chance: Chance, content: bytes, others: list[bytes]) -> bytes:
    """A number somewhere becomes the largest, or nothing, or nearly so."""
    width = chance.choice((1, 2, 4, 4, 8))
    number = chance.choice(HUGE if width == 8 else EXTREMES) & ((1 << 8 * width) - 1)
    place = _place(chance, content)
    return content[:place] + number.to_bytes(width, chance.choice(("little", "big"))) + content[place + width :]


def _cut(chance: Chance, content: bytes, others: list[bytes]) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _drop(chance: Chance, content: bytes, others: list[bytes]) -> bytes:
    place = _place(chance, content)
    return content[:place] + content[place + chance.choice((1, 2, 16, 100)) :]


def _repeat(chance: Chance, content: bytes, others: list[bytes]) -> bytes:
    place, size = _place(chance, content), chance.choice((1, 4, 12, 100, 1000))
    return content[:place] + content[place : place + size] * chance.choice((2, 3, 50, 2000)) + content[place:]


def _splice(chance: Chance, content: bytes, others: list[bytes]) -> bytes:
    other = chance.choice(others)
    return content[: _place(chance, content)] + other[_place(chance, other) :]


def _place(chance: Chance, content: bytes | bytearray) -> int:
    """Often in the head, where the sizes are."""
    size = max(1, len(content))
    return chance.randrange(chance.choice((min(64, size), size)))


FAULTS = (_flip, _flip, _extreme, _extreme, _cut, _drop, _repeat, _splice)


# ------------------------------------------------------------------------------------------------ pictures


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """The picture as the bytes of a file."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def good_pictures() -> list[bytes]:
    """Small pictures of every format that is read, and of every way to store one that decoders know."""
    small = np.random.default_rng(0).integers(0, 256, (4, 4, 4), np.uint8)
    clear = Image.fromarray(small, "RGBA").resize((20, 14), Image.Resampling.BICUBIC)
    colour, gray, palette = clear.convert("RGB"), clear.convert("L"), clear.convert("RGB").quantize(16)
    deep = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    floats = Image.fromarray(np.asarray(gray).astype(np.float32) / 255)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a" * 40
    some: list[tuple[Image.Image, str, dict[str, Any]]] = [
        *((picture, "PNG", {}) for picture in (clear, colour, gray, palette, deep, gray.convert("1"))),
        (colour, "PNG", {"exif": exif, "icc_profile": bytes(200)}),
        (palette, "PNG", {"transparency": 3}),
        *((colour, "JPEG", {"progressive": one, "exif": exif, "restart_marker_rows": 1}) for one in (False, True)),
        (gray, "JPEG", {}),
        (colour.convert("CMYK"), "JPEG", {"comment": "hello"}),
        (palette, "GIF", {"save_all": True, "append_images": [palette] * 2, "comment": b"hello"}),
        (gray, "GIF", {"transparency": 0}),
        *((picture, "BMP", {}) for picture in (colour, gray, clear, palette)),
        *((picture, "PPM", {}) for picture in (colour, gray, deep, floats, gray.convert("1"))),
        *((clear, "WEBP", {"lossless": one, "exif": exif}) for one in (False, True)),
        (colour, "WEBP", {"save_all": True, "append_images": [gray.convert("RGB")]}),
        *((picture, "TIFF", {}) for picture in (colour, clear, deep, floats, palette)),
        *((colour, "TIFF", {"compression": one}) for one in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits")),
        (gray.convert("1"), "TIFF", {"compression": "group4"}),
        (colour, "TIFF", {"big_tiff": True}),
    ]
    plain = [b"P1\n3 2\n1 0 1 0 1 0\n", b"P2\n3 2\n255\n1 2 3 4 5 6\n", b"P3\n1 2\n255\n1 2 3 4 5 6\n"]
    return [*(encoded(picture, kind, **options) for picture, kind, options in some), *plain]


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def mended(content: bytes) -> bytes:
    """A PNG with right checksums, so that a decoder goes on to what was damaged."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content
    whole, place = content[:8], 8
    while place + 12 <= len(content):
        end = place + 8 + int.from_bytes(content[place : place + 4], "big")
        if end + 4 > len(content):
            break
        whole += chunk(content[place + 4 : place + 8], content[place + 8 : end])
        place = end + 4
    return whole + content[place:]


def png(width: int, height: int, depth: int = 8, colour: int = 2, content: bytes = b"") -> bytes:
    """A PNG that says that it is so large."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(content)) + chunk(b"IEND", b"")


def tiff(tags: dict[int, int], content: bytes, kinds: dict[int, tuple[int, int]] | None = None) -> bytes:
    """A gray TIFF of 40 x 30 with these tags; the content begins at `TIFF_CONTENT`. Of some the kind and the number of
    their values are said."""
    tags = {256: 40, 257: 30, 258: 8, 259: 1, 262: 1, 277: 1} | tags
    of = dict.fromkeys(tags, (4, 1)) | (kinds or {})
    entries = b"".join(struct.pack("<HHII", tag, *of[tag], value) for tag, value in sorted(tags.items()))
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    return head.ljust(TIFF_CONTENT, b"\0") + content


TIFF_CONTENT = 512


def jpeg_of_many_scans(scans: int, side: int) -> bytes:
    """A progressive JPEG that says the same again and again: each time all of it must be gone through."""
    whole = encoded(Image.new("L", (side, side)), "JPEG", progressive=True)
    return whole[:-2] + whole[whole.rindex(b"\xff\xda") : -2] * scans + b"\xff\xd9"


def jpeg_of_many_segments(count: int) -> bytes:
    """A JPEG with so many empty segments before its pixels."""
    whole = encoded(Image.new("L", (16, 16)), "JPEG")
    return whole[:2] + b"\xff\xe5\0\2" * count + whole[2:]


def png_of_many_chunks(count: int) -> bytes:
    """A PNG with so many empty chunks before its pixels."""
    whole = png(2, 2, colour=0, content=bytes(6))
    return whole[:33] + chunk(b"prVt", b"") * count + whole[33:]


def tiff_of_a_huge_tile(side: int) -> bytes:
    """A small TIFF that is one tile of so many pixels in width and height."""
    packed = zlib.compress(bytes(side * side), 1)
    return tiff({259: 8, 322: side, 323: side, 324: TIFF_CONTENT, 325: len(packed)}, packed)


def tiff_of_many_strips(count: int) -> bytes:
    """A small TIFF with so many strips of one row, named in a byte each."""
    tags = {273: TIFF_CONTENT, 278: 1, 279: 40}
    return tiff(tags, b"\x08" * count, {273: (1, count)})


def trap(chance: Chance) -> bytes:
    """A picture that promises far too much, or keeps a decoder busy for hours."""
    side = chance.choice((9459, 16384, 30000, 65535, 2**31 - 1))
    content = b"II*\0" + bytes(20)
    made: list[Callable[[], bytes]] = [
        lambda: png(side, side),
        lambda: png(chance.choice((1, side)), side, 16, 6, bytes(10**5)),
        lambda: tiff({256: side, 257: side, 273: TIFF_CONTENT, 278: side, 279: 100}, content),
        lambda: tiff({322: side, 323: side, 324: TIFF_CONTENT, 325: 20, 259: chance.choice((5, 8, 32773))}, content),
        lambda: b"P5\n%d %d\n255\n" % (side, side),
        lambda: b"P1\n%d 1\n" % side + b"1" * 10**5,
        lambda: b"BM" + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, side, -side, 1, 24, 0, 0, 0, 0, 0, 0),
        lambda: (
            b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b"," + struct.pack("<HHHHBB", *[65535] * 4, 0, 8)
        ),
        lambda: b"RIFF\x64\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0" + b"\xff\x3f\0" * 2 + bytes(70),
    ]
    rare: list[Callable[[], bytes]] = [
        lambda: jpeg_of_many_scans(3000, 2000),
        lambda: jpeg_of_many_segments(2**20),
        lambda: png_of_many_chunks(2**20),
        lambda: tiff_of_a_huge_tile(12000),
        lambda: tiff_of_many_strips(2**20),
        lambda: encoded(Image.new("RGBA", (9000, 9000)), "PNG", compress_level=1),
    ]
    return chance.choice(rare if chance.random() < 0.02 else made)()


def hostile_picture(chance: Chance, good: list[bytes]) -> bytes:
    """The bytes of one file."""
    if chance.random() < 0.05:
        return trap(chance)
    content = damaged(chance, chance.choice(good), good)
    return mended(content) if chance.random() < 0.7 else content


# ------------------------------------------------------------------------------------------------ archives


@dataclass
class Member:
    """A member of a zip archive, as its two headers have it."""

    name: bytes
    content: bytes
    method: int = 8
    changes: dict[str, int] = field(default_factory=dict)
    """Fields of both headers that lie."""
    extra: bytes = b""


FIELDS = ("made", "needed", "flags", "method", "time", "crc", "packed", "size", "comment", "disk", "mode", "offset")


def zip_of(members: list[Member], **ends: int) -> bytes:
    """An archive of these members; `ends` are numbers of its last record that lie."""
    whole, directory = b"", b""
    for one in members:
        packed = _packed(one.content, one.method)
        says: dict[str, int] = dict.fromkeys(FIELDS, 0) | {
            "made": 0x314, "needed": 20, "flags": 0x800 if one.name.isascii() else 0, "method": one.method,
            "crc": zlib.crc32(one.content), "packed": len(packed), "size": len(one.content), "offset": len(whole),
        } | one.changes  # fmt: skip
        shared = struct.pack("<HII", says["method"], says["time"], says["crc"])
        shared += struct.pack("<IIHH", says["packed"], says["size"], len(one.name), len(one.extra))
        whole += b"PK\3\4" + struct.pack("<HH", says["needed"], says["flags"]) + shared + one.name + one.extra + packed
        directory += b"PK\1\2" + struct.pack("<HHH", says["made"], says["needed"], says["flags"]) + shared
        directory += struct.pack("<HHHII", 0, says["disk"], 0, says["mode"], says["offset"]) + one.name + one.extra
    says = {"count": len(members), "size": len(directory), "offset": len(whole)} | ends
    return (
        whole
        + directory
        + b"PK\5\6"
        + struct.pack("<4H2IH", 0, 0, says["count"] % 65536, says["count"] % 65536, says["size"], says["offset"], 0)
    )


def _packed(content: bytes, method: int) -> bytes:
    if method == 8:
        packer = zlib.compressobj(1, zlib.DEFLATED, -15)
        return packer.compress(content) + packer.flush()
    if method == 14:
        filters = [{"id": lzma.FILTER_LZMA1, "dict_size": 4096}]
        return b"\x09\4\5\0\x5d\0\x10\0\0" + lzma.compress(content, lzma.FORMAT_RAW, filters=filters)
    return content


NAMES = (
    b"../up.png", b"/etc/up.png", b"C:up.png", b"a\\..\\up.png", b"a/../../up.png", b"bad/a.png", b"bad/a.png",
    b"bad//a.png", b"./bad/a.png", b"a\0b.png", b"\xff\xfe.png", "\u202egnp.\u732b".encode(), b"\xed\xa0\x80.png",
    b"n" * 60000 + b".png", b"d/" * 3000 + b"a.png", b"", b"/", b".", b"..", b"a.zip", b"tab\there\nand\x1b[31m.png",
    b"images.npy", b"con.png", b"bad/", b"good/1.png/inside.png",
)  # fmt: skip


def hostile_member(chance: Chance, good: list[bytes], offset: int) -> Member:
    """A picture, or something else, under any name, with headers that may lie."""
    name = chance.choice(NAMES) if chance.random() < 0.5 else b"bad/%d.png" % chance.randrange(10)
    content = hostile_picture(chance, good) if chance.random() < 0.6 else chance.choice(good)
    one = Member(name, content, chance.choice((0, 8, 8, 8, 12, 14, 93, 97)))
    for _ in range(chance.choice((0, 0, 1, 2))):
        key = chance.choice(FIELDS)
        one.changes[key] = chance.choice(EXTREMES) % (2**16 if key in (*FIELDS[:4], "disk") else 2**32)
    if chance.random() < 0.1:
        one.changes["mode"] = 0o120777 << 16  # a link
        one.content = b"/etc/passwd"
    if chance.random() < 0.1:
        one.changes |= {"size": 2**32 - 1, "packed": 2**32 - 1, "offset": 2**32 - 1}
        numbers = [chance.choice((*HUGE, 50, offset)) for _ in range(3)]
        one.extra = struct.pack("<HHQQQ", 1, 24, *numbers)
    if chance.random() < 0.1:
        one.extra = chance.randbytes(chance.choice((1, 4, 30)))
    if chance.random() < 0.01:
        one.content, one.method = bytes(30 << 20), 8
    return one


# ------------------------------------------------------------------------------------------------ the loaders


def folders(folder: Path) -> Maker:
    """FOLDERS of pictures, with hostile files, links and names in them."""
    good = good_pictures()

    def make(chance: Chance) -> Attempt:
        _write_good(folder, good)
        for i in range(chance.choice((1, 1, 1, 3))):
            path = os.path.join(os.fsencode(folder), b"bad", _file_name(chance, i))  # noqa: PTH118 (bytes)
            os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
            with contextlib.suppress(OSError), open(path, "wb") as file:  # noqa: PTH123
                file.write(hostile_picture(chance, good))
        if chance.random() < 0.1:
            _hostile_tree(chance, folder / "bad")
        return Attempt(str(folder), GOOD, may_be_refused=False)

    return make


def _write_good(folder: Path, good: list[bytes]) -> None:
    (folder / "good").mkdir(parents=True)
    for name, kind in zip(GOOD, (b"\x89PNG", b"\xff\xd8"), strict=True):
        (folder / name).write_bytes(next(content for content in good if content.startswith(kind)))


def _file_name(chance: Chance, number: int) -> bytes:
    if chance.random() < 0.8:
        return b"%d.%s" % (number, chance.choice((b"png", b"jpg", b"txt", b"heic", b"webp")))
    return chance.choice((b"\xff\xfe.png", b"two\nlines.png", b"\x1b[31m.png", b"n" * 250, b".png", b"a/b/c.png", b" "))


def _hostile_tree(chance: Chance, folder: Path) -> None:
    """Links that lead anywhere, folders in folders, and what is no file at all."""
    names = [f"link{i}" for i in range(4)]
    for name in names:
        target = chance.choice((*names, "..", ".", "/", "/etc/passwd", "none", "../good", "../good/1.png", "a" * 5000))
        with contextlib.suppress(OSError):
            (folder / name).symlink_to(target)
    if chance.random() < 0.3:
        with contextlib.suppress(OSError):
            os.mkfifo(folder / "pipe.png")
    if chance.random() < 0.2:
        name = chance.choice(("a", "deep" * 20))
        deepest = str(folder) + f"/{name}" * min(700, (4094 - len(str(folder))) // (len(name) + 1))
        os.makedirs(deepest)  # noqa: PTH103 (a Path takes long for so many)


def zips(folder: Path) -> Maker:
    """ZIPS of pictures: hostile members in a good archive, and archives that are damaged themselves."""
    good = good_pictures()
    path = folder / "a.zip"

    def make(chance: Chance) -> Attempt:
        members = [Member(name.encode(), content) for name, content in zip(GOOD, (good[0], good[8]), strict=True)]
        some = [hostile_member(chance, good, chance.randrange(4000)) for _ in range(chance.choice((1, 1, 2, 5)))]
        content = zip_of([*members, *some])
        # Python 3.11.8 and later refuse all members that a wrong offset makes overlap.
        whole: tuple[str, ...] = () if any("offset" in one.changes for one in some) else GOOD
        if chance.random() < 0.1:
            content = zip_of([*members, Member(b"bad/a.zip", content, 0)])
        if chance.random() < 0.1:
            ends = {chance.choice(("count", "size", "offset")): chance.choice(EXTREMES)}
            content, whole = zip_of([*members, *some], **ends), ()
        if chance.random() < 0.4:
            content, whole = damaged(chance, content, [content, *good]), ()
        path.write_bytes(content if content.startswith(b"PK") else b"PK\3\4" + content)
        return Attempt(str(path), whole)

    return make


NPY_TYPES = ["|u1", "<f4", ">f8", "<f2", "<f16", "<U3", "|O", "|S3", "<i8", "<M8[s]", "<m8[D]", "|V3", "<U99999999"]


def npy(chance: Chance, pixels: bool) -> bytes:
    """An array of pixels or of labels, whose header may say anything."""
    gray = np.arange(6 * 5 * 4, dtype=np.uint8).reshape(6, 5, 4)
    array: Any = chance.choice(
        (gray, gray, np.random.default_rng(0).random((6, 4, 4, 3), np.float32), gray.reshape(6, 1, 5, 4))
        if pixels
        else (np.array(["cat", "dog", "\u732b"] * 2), np.arange(6), np.arange(6) - 3)
    )
    shape: Any = array.shape
    kind = array.dtype.str
    if chance.random() < 0.1:
        kind = chance.choice(NPY_TYPES)
    if chance.random() < 0.1:
        pool = (-1, 0, 1, 2, 3, 6, 255, 10**4, *HUGE, 10**30)
        shape = tuple(chance.choice(pool) for _ in range(chance.randrange(6)))
    header = f"{{'descr': '{kind}', 'fortran_order': {chance.random() < 0.2}, 'shape': {shape}, }}"
    if chance.random() < 0.1:
        odd = ("{", "(" * 300, "[" * 9000, "\0", "L", "{'descr': [('a', 'u1', (3,))], 'fortran_order': 0, 'shape': 1}")
        header = chance.choice((*odd, header[:-2], header.replace(",", "L,"), header.replace("'", '"""', 1)))
    text = header.encode() + b"\n"
    version = chance.choice(((1, 0),) * 20 + ((2, 0), (3, 0), (9, 9)))
    size = len(text) if chance.random() < 0.95 else chance.choice(EXTREMES)
    length = struct.pack("<H", size % 65536) if version == (1, 0) else struct.pack("<I", size)
    content = np.ascontiguousarray(array).tobytes()
    if chance.random() < 0.2:
        content = damaged(chance, content, [content])
    return b"\x93NUMPY" + bytes(version) + length + text + content


def npzs(folder: Path) -> Maker:
    """NPZ files: arrays whose headers lie, labels of every kind, archives that are damaged themselves."""
    path = folder / "a.npz"

    def make(chance: Chance) -> Attempt:
        names = (b"images.npy", b"labels.npy", b"x.npy", b"images", b"labels.npy")
        methods = (0, 8, 8, 8, 14)
        members = [
            Member(name, npy(chance, pixels=b"labels" not in name), chance.choice(methods))
            for name in names[: chance.choice((1, 2, 3, 5))]
        ]
        if chance.random() < 0.01:
            header = b"\x93NUMPY\2\0" + struct.pack("<I", 2**32 - 1)
            members[0] = Member(b"images.npy", header + bytes(1 << 28))
        if chance.random() < 0.05:
            one = chance.choice(members)
            key = chance.choice(FIELDS)
            one.changes[key] = chance.choice(EXTREMES) % (2**16 if key in (*FIELDS[:4], "disk") else 2**32)
        content = zip_of(members)
        if chance.random() < 0.4:
            content = damaged(chance, content, [content])
        path.write_bytes(content)
        return Attempt(str(path))

    return make


def idx(*shape: int, content: bytes | None = None) -> bytes:
    """An IDX file of unsigned bytes."""
    items = bytes(i * 37 % 251 for i in range(int(np.prod(shape)))) if content is None else content
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + items


def hostile_idx(chance: Chance, content: bytes) -> bytes:
    """The file, damaged before it is gzipped, or after, or both."""
    if chance.random() < 0.6:
        content = damaged(chance, content, [content])
    if chance.random() < 0.01:
        shape = (4096, 1024, 1024)
        return BOMB_HEAD + BOMB_BLOCK * 64 if chance.random() < 0.5 else gzip.compress(idx(*shape, content=b""), 1)
    if chance.random() < 0.5:
        content = gzip.compress(content, 1)
        if chance.random() < 0.5:
            content = damaged(chance, content, [content])
    return content


BOMB_HEAD = gzip.compress(idx(4000, 1000, 1000, content=b""), 1)
BOMB_BLOCK = gzip.compress(bytes(1 << 26), 1)
"""A piece of zeros, gzipped; many one after the other are a file, too."""


def idxs(folder: Path) -> Maker:
    """IDX files of images and of labels, gzipped or not, alone and in a folder."""
    images, labels = idx(6, 5, 4), idx(6, content=b"\0\1\2\0\1\2")

    def make(chance: Chance) -> Attempt:
        images_name, labels_name = SPLIT_FILES["train"]
        zipped = chance.choice(("", ".gz"))
        which = chance.choice(("images", "labels", "both"))
        first = hostile_idx(chance, images) if which != "labels" else images
        second = hostile_idx(chance, labels) if which != "images" else labels
        (folder / (images_name + zipped)).write_bytes(first)
        if chance.random() < 0.8:
            (folder / labels_name).write_bytes(second)
        return Attempt(str(folder if chance.random() < 0.5 else folder / (images_name + zipped)))

    return make


def caches(folder: Path) -> Maker:
    """CACHES that were damaged: what is loaded is the same as before, made anew."""
    index.YOUNG_NANOSECONDS = -(10**18)  # so that the index is believed at once
    good = good_pictures()
    cache = named.cache_folder()
    shaping = data.Shaping(8)
    source, keep = folder.with_name("source"), folder.with_name("whole")
    _write_good(source, good)
    (source / "bad").mkdir()
    (source / "bad" / "cut.png").write_bytes(good[0][:-60])  # can be looked at, but not decoded
    checksum = data.load(str(source), shaping=shaping).checksum()
    shutil.copytree(cache, keep)

    def make(chance: Chance) -> Attempt:
        shutil.rmtree(cache)
        shutil.copytree(keep, cache)
        files = sorted(path for path in cache.rglob("*") if path.is_file())
        for path in chance.sample(files, chance.choice((1, 1, 2))):
            _damage_file(chance, path)
        return Attempt(str(source), GOOD, False, checksum, shaping)

    return make


def _damage_file(chance: Chance, path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    what = chance.random()
    if what < 0.05:
        path.mkdir()
    elif what < 0.1:
        path.symlink_to(chance.choice(("/dev/null", "none", path.name)))
    elif what < 0.4 and path.suffix == ".json":
        path.write_text(json.dumps(faults.change_value(json.loads(content), chance, WRONG)[0]))
    elif what > 0.15:
        path.write_bytes(damaged(chance, content, [content]))


def named_sets(folder: Path) -> Maker:
    """NAMED SETS: files that lie where a set with a name is looked for, in IDX and in Keras's own archive."""
    parts = {"train": 6, "t10k": 3}
    files = {f"{part}-images-idx3-ubyte": idx(count, 5, 4) for part, count in parts.items()}
    files |= {f"{part}-labels-idx1-ubyte": idx(count, content=bytes(range(count))) for part, count in parts.items()}
    arrays = {
        name: np.frombuffer(content[16 if "images" in name else 8 :], np.uint8) for name, content in files.items()
    }
    arrays = {name: array.reshape(-1, 5, 4) if "images" in name else array for name, array in arrays.items()}
    sums = {name: idx_sha256(array) for name, array in arrays.items()}
    named.NAMED["mnist"] = dataclasses.replace(named.NAMED["mnist"], sha256=sums, sample=None)
    keras = [(f"{'xy'[name.find('labels') > 0]}_{'train' if 'train' in name else 'test'}", name) for name in files]
    members = [(f"{key}.npy".encode(), _npy(arrays[name])) for key, name in keras]
    home = Path.home()
    cache = named.cache_folder() / "data" / "mnist"
    places = (home / "data" / "mnist", cache, cache, home / ".keras" / "datasets")
    images, labels = (arrays[name] for name in SPLIT_FILES["train"])
    classes = named.NAMED["mnist"].class_names
    checksum = data.ImageSet("mnist", images[..., None], labels.astype(np.int32), classes, "").checksum()

    def make(chance: Chance) -> Attempt:
        place = chance.choice(places)
        place.mkdir(parents=True, exist_ok=True)
        if place.name == "datasets":
            some = [
                Member(key, npy(chance, pixels=key < b"y") if chance.random() < 0.2 else content)
                for key, content in members
            ]
            content = zip_of(some)
            if chance.random() < 0.01:
                content = zip_of([Member(key, _npy_head((2**32, 28, 28)) + bytes(1 << 28)) for key, _ in members[:1]])
            content = damaged(chance, content, [content]) if chance.random() < 0.7 else content
            (place / "mnist.npz").write_bytes(content)
        else:
            for name, content in files.items():
                if chance.random() < 0.95:
                    (place / name).write_bytes(hostile_idx(chance, content) if chance.random() < 0.3 else content)
        return Attempt("mnist", checksum=checksum, shaping=data.AS_THEY_ARE)

    return make


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _npy_head(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue()


LOADERS = {"folder": folders, "zip": zips, "npz": npzs, "idx": idxs, "cache": caches, "named": named_sets}
"""By name: what prepares a loader, given the folder for its inputs."""


# ------------------------------------------------------------------------------------------------ the child


@dataclass(frozen=True)
class Rooms:
    """The folders of a child."""

    path: Path
    input = Inside("input")
    """Where the hostile input lies."""
    cache = Inside("cache")
    """The only place that may be written to."""
    home = Inside("home")
    """The home folder."""


class Watch:
    """Notes what is written outside of a folder while it is on."""

    EVENTS = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate", "os.chmod")

    def __init__(self, allowed: Path) -> None:
        self.allowed = os.path.realpath(allowed)
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on or not (event == "open" or event in self.EVENTS):
            return
        paths = args[:2] if event in ("os.rename", "os.link") else args[1:2] if event == "os.symlink" else args[:1]
        if event == "open" and not (isinstance(args[2], int) and args[2] & WRITES):
            return
        if event in ("os.rmdir", "os.remove") and args[-1] != -1:
            return  # within a folder that is known by a number: shutil removes trees so
        for path in paths:
            if isinstance(path, (str, bytes, os.PathLike)):
                real = _real(os.fsdecode(path), follow=event == "open")
                if not f"{real}/".startswith(f"{self.allowed}/"):
                    self.seen.append(f"{event} {real}")


def _real(path: str, follow: bool) -> str:
    """The real path of a file, or, unless links are followed, of the link itself."""
    if follow:
        return os.path.realpath(path)
    folder, name = os.path.split(path.rstrip("/"))
    return f"{os.path.realpath(folder)}/{name}"


def child(name: str, given: argparse.Namespace, root: Path) -> None:
    """Try inputs until time or number is up; a letter on standard output says what became of each."""
    import resource  # which Windows has not

    rooms = Rooms(root)
    rooms.input.mkdir()
    recipe = named_recipe()
    make, slowest = LOADERS[name](rooms.input), 0.0
    _read_good(rooms)
    watch = Watch(rooms.cache)
    limit = _peak_address_space() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.fsync = _no_sync
    (root / "limit").write_text(str(limit >> 20))
    end = time.monotonic() + given.seconds
    numbers = itertools.count(given.first) if given.inputs is None else range(given.first, given.first + given.inputs)
    for number in numbers:
        if time.monotonic() > end:
            break
        _clear(rooms)
        chance = Chance(f"{name} {given.seed} {number}")
        attempt = make(chance)
        began = time.monotonic()
        faulthandler.dump_traceback_later(SECONDS_AN_INPUT, exit=True)
        watch.seen, watch.on = [], True
        try:
            outcome = judged(chance, attempt, recipe, rooms)
            if watch.seen:
                raise Lost(f"written outside the cache: {watch.seen[0]}")
        except Exception:
            watch.on = False
            outcome = "F"
            keep(given.keep, name, number, given.seed, rooms, traceback.format_exc())
        watch.on = False
        faulthandler.cancel_dump_traceback_later()
        if time.monotonic() - began > slowest:
            slowest = time.monotonic() - began
            (root / "slowest").write_text(f"{slowest} {number}")
        print(outcome, end="", flush=True)


def _no_sync(fd: Any) -> None:
    """Nothing here must outlive a crash of the machine."""


def judged(chance: Chance, attempt: Attempt, recipe: Recipe, rooms: Rooms) -> str:
    """What becomes of an input: "a" all of it is accepted, "s" some is skipped, "r" it is refused. Anything that is
    raised is a finding."""
    shaping = attempt.shaping or data.Shaping(
        chance.choice((None, 1, 8, 17)),
        chance.choice(("crop", "pad", "stretch")),
        chance.choice(("auto", "gray", "alpha")),
    )
    try:
        collection = data.collect(attempt.source, shaping=shaping)
        if lost := set(attempt.good) - set(collection.names):
            reasons = "; ".join(f"{problem.name}: {problem.reason}" for problem in collection.problems)
            raise Lost(f"{', '.join(sorted(lost))} got lost ({reasons})")
        images = data.whole_set(collection, strict=False)
        if attempt.checksum not in (None, images.checksum()):
            raise Lost(f"other images than before: {images.images.shape}, {collection.problems}")
        if chance.random() < 0.05:
            found = check.report(collection, shaping, recipe)
            json.dumps(found).encode()
            check.print_report(found, Console(file=io.StringIO()))
            check.save_sheet(rooms.cache / "sheet.png", images)
    except SparringError as error:
        if not attempt.may_be_refused:
            raise Lost(f"the import was stopped: {error}") from error
        if not str(error) or "\n" in str(error) or len(str(error).encode()) > 20_000:
            raise Lost(f"no sentence: {error!r}"[:1000]) from error
        return "r"
    return "s" if collection.problems else "a"


def keep(folder: Path, name: str, number: int, seed: int, rooms: Rooms, words: str) -> None:
    """A finding with its input."""
    place = folder / f"{name}-{seed}-{number}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    with contextlib.suppress(shutil.Error, OSError, RecursionError):
        shutil.copytree(rooms.path, place / "rooms", symlinks=True, ignore=shutil.ignore_patterns("pipe.png"))
    (place / "words.txt").write_text(words, errors="backslashreplace")


def _clear(rooms: Rooms) -> None:
    for folder in (rooms.input, rooms.home, rooms.cache):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()


def _read_good(rooms: Rooms) -> None:
    """What an ordinary load takes belongs to the memory that is not counted."""
    source = rooms.path / "ordinary"
    _write_good(source, good_pictures())
    data.load(str(source), shaping=data.Shaping(8))


def _peak_address_space() -> int:
    words = Path("/proc/self/status").read_text().split()
    return 1024 * int(words[words.index("VmPeak:") + 1])


# ------------------------------------------------------------------------------------------------ the parent


def fuzz(name: str, seconds: float, seed: int, keep_in: Path, first: int = 0, inputs: int | None = None) -> Tally:
    """Try a loader in processes of its own; one that dies is a finding, and another one goes on behind its input."""
    tally = Tally()
    end = time.monotonic() + seconds
    last = None if inputs is None else first + inputs
    while (left := end - time.monotonic()) > 0 and (last is None or first < last):
        with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as folder:
            words = ["--seconds", str(left), "--seed", str(seed), "--first", str(first), "--keep", str(keep_in)]
            words += [] if last is None else ["--inputs", str(last - first)]
            first = _run_child(name, words, Path(folder).resolve(), first, seed, keep_in, tally)
    return tally


def _run_child(name: str, words: list[str], root: Path, first: int, seed: int, keep_in: Path, tally: Tally) -> int:
    """The number of the input that comes next."""
    rooms = Rooms(root)
    for folder in (rooms.home, rooms.cache, root / "here"):
        folder.mkdir()
    places = {
        "HOME": rooms.home,
        "SPARRING_CACHE": rooms.cache,
        "SPARRING_DATA": "",
        "XDG_CACHE_HOME": "",
        "KERAS_HOME": "",
    }
    own = {key: str(value) for key, value in places.items()} | {"SPARRING_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    own |= {"OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, str(Path(__file__).resolve()), *words, "--loaders", name, "--child", str(root)]
    with (root / "out").open("wb") as out, (root / "err").open("wb") as err:
        process = subprocess.Popen(command, env=os.environ | own, stdout=out, stderr=err, cwd=root / "here")
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    outcomes = (root / "out").read_text()
    tally.outcomes.update(outcomes)
    tally.peak = max(tally.peak, usage.ru_maxrss >> 10)
    tally.limit = int((root / "limit").read_text()) if (root / "limit").exists() else 0
    if (root / "slowest").exists():
        tally.slowest = max(tally.slowest, float((root / "slowest").read_text().split()[0]))
    tally.findings += [
        f"{name} {first + i}: {(keep_in / f'{name}-{seed}-{first + i}' / 'words.txt').read_text().splitlines()[-1]}"
        for i, outcome in enumerate(outcomes)
        if outcome == "F"
    ]
    done = first + len(outcomes)
    if process.returncode == 0:
        return done if len(outcomes) else done + 1
    said = (root / "err").read_text(errors="replace")
    keep(keep_in, name, done, seed, rooms, f"status {process.returncode}\n{said}")
    what = "took too long" if said.startswith("Timeout") else f"died with status {process.returncode}"
    tally.outcomes.update("F")
    tally.findings.append(f"{name} {done}: the process {what}: {' '.join(said.split())[:300]}")
    return done + 1


def main() -> int:
    """Print a line for each loader."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0, help="for each loader")
    parser.add_argument("--loaders", default=",".join(LOADERS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    parser.add_argument("--inputs", type=int, help="at most so many for each loader")
    parser.add_argument("--keep", type=Path, default=Path("findings"), help="the folder for findings")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    names = given.loaders.split(",")
    if unknown := set(names) - set(LOADERS):
        parser.error(f"there is no loader {min(unknown)!r}, only {', '.join(LOADERS)}")
    if given.child is not None:
        child(names[0], given, given.child)
        return 0
    print("| loader | seconds | inputs | all accepted | some skipped | refused | findings | slowest | peak | limit |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    findings: list[str] = []
    for name in names:
        began = time.monotonic()
        tally = fuzz(name, given.seconds, given.seed, given.keep.resolve(), given.first, given.inputs)
        accepted, skipped, refused = (tally.outcomes[letter] for letter in "asr")
        print(
            f"| {name} | {time.monotonic() - began:.0f} | {tally.inputs:,} | {accepted:,} | {skipped:,} | {refused:,} "
            f"| {len(tally.findings)} | {tally.slowest:.1f} s | {tally.peak:,} MiB | {tally.limit:,} MiB |",
            flush=True,
        )
        findings += tally.findings
    print("\n".join(findings))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
