"""PICTURES of the user's own, from files to an `ImageSet`: listed, looked at, arranged, and decoded once.

listing -> what each file is (index) -> classes and splits (labels) -> one size (shaping) -> pixels (store)

Arrays that come from elsewhere go the last two steps of the same way.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from sparring.data.arrays.formats import kinds_words
from sparring.data.arrays.idx import Split
from sparring.data.arrays.ranges import BYTES, SIXTEEN, UNIT, Numbers, ValueRange, choose_range, numbers_of, together
from sparring.data.image_set import ImageSet
from sparring.data.pictures.decode import MAX_BYTES, USUAL, Ranges, Unreadable, decode, quiet
from sparring.data.pictures.index import SHEET, Found, find_pictures
from sparring.data.pictures.label_file import read_label_file
from sparring.data.pictures.labels import arrange
from sparring.data.pictures.listing import File, Listing, Problem
from sparring.data.pictures.parallel import DECODING, in_order
from sparring.data.pictures.shaping import DEPTHS, Pixels, Shaping, Size, choose_size, shape
from sparring.data.pictures.store import CHUNK_BYTES, Failed, Shape, Stored, key_of, stored
from sparring.data.selection import ManyImages, pieces
from sparring.data.splits import Part
from sparring.errors import DataError
from sparring.recipes.settings import Channels
from sparring.terminal.output import shell_quoted

MOST_NAMED = 5
"""Files that a note names."""
Row = Pixels | str
"""One shaped picture (H, W, C), or why there is none."""


@dataclass(frozen=True, eq=False)
class Collection:
    """What a source holds, and what becomes of it."""

    name: str
    """The source as it was given."""
    images: ImageSet | None
    """What can be trained on; None if nothing can be read."""
    names: tuple[str, ...]
    """The file of each image; empty where the images are no files."""
    sizes: Counter[Size]
    """How many pictures have which size in their files."""
    problems: tuple[Problem, ...]
    """What was skipped, and why."""
    ignored: int
    """Files that are no pictures and do not look as if they were."""
    notes: tuple[str, ...]
    """What the user should know of how the others are taken, one line each."""
    parts: tuple[Part, ...] = ()
    """The splits of the source, where it has any."""
    hint: str = ""
    """Of a source without pictures: what its files are instead, and what to do with them."""

    @property
    def count(self) -> int:
        """Images that can be trained on."""
        return 0 if self.images is None else len(self.images.images)


def collect_pictures(path: Path, listing: Listing, name: str, split: Split, shaping: Shaping) -> Collection:
    """The pictures among the files of a folder or an archive. Raises `DataError` where there is no such split."""
    files = listing.files
    with quiet():
        found = find_pictures(files, path)
        reasons = {i: one.reason for i, one in enumerate(found) if one.reason is not None}
        good = [i for i, one in enumerate(found) if one.sha256 and i not in reasons]
        ignored = listing.ignored + len(found) - len(good) - len(reasons)
        sheet_note = _take_sheets(reasons, files)
        ranges, range_notes, refused = choose_ranges({i: found[i].numbers for i in good}, shaping.range)
        reasons |= refused
        good = [i for i in good if i not in refused]
        taken = None
        while good:
            taken = _arranged(good, files, found, name, split, shaping)
            kept, bytes_note = _decoded([(files[i], found[i]) for i in taken.order], taken.size, shaping, ranges)
            failed = {taken.order[place]: reason for place, reason in kept.failed.items()}
            if not failed:
                break
            # What is broken must not decide about classes and sizes, and is often found out only now.
            reasons |= failed
            good = [i for i in good if i not in failed]
            before, taken = taken, _arranged(good, files, found, name, split, shaping) if good else None
            if taken is not None and (taken.size, set(taken.order)) == (before.size, set(before.order) - set(failed)):
                taken = dataclasses.replace(taken, order=[i for i in before.order if i not in failed])
                break
    problems = [*listing.skipped, *(Problem(files[i].name, reason) for i, reason in reasons.items())]
    problems.sort(key=lambda problem: problem.name)
    if taken is None:
        hint = kinds_words([(file.name, file.read) for file in files])
        return Collection(name, None, (), Counter(), tuple(problems), ignored, sheet_note, hint=hint)
    notes = (*sheet_note, *taken.notes, *range_notes, *((bytes_note,) if bytes_note else ()))
    total = len(good) + len(problems)
    says_why = f"`sparring data check {shell_quoted(name)}` says why"
    skipped = (f"{len(problems):,} of {total:,} pictures could not be read: {says_why}",) if problems else ()
    images = ImageSet(
        name=name,
        images=kept.pixels,
        labels=None if taken.labels is None else np.array([taken.labels[i] for i in taken.order], np.int32),
        class_names=taken.class_names,
        source=str(path),
        notice="; ".join((*skipped, *notes)) or None,
    )
    names = tuple(files[i].name for i in taken.order)
    sizes = Counter(found[i].size for i in taken.order)
    return Collection(name, images, names, sizes, tuple(problems), ignored, notes, taken.parts)


def _take_sheets(reasons: dict[int, str], files: list[File]) -> tuple[str, ...]:
    """Take our own sheets out of the pictures that cannot be read: a note that counts them."""
    sheets = [i for i, reason in reasons.items() if reason == SHEET]
    for i in sheets:
        del reasons[i]
    if not sheets:
        return ()
    names = ", ".join(files[i].name for i in sheets[:MOST_NAMED]) + (" ..." if len(sheets) > MOST_NAMED else "")
    what = "picture is" if len(sheets) == 1 else "pictures are"
    return (
        f"{len(sheets):,} {what} left out, because Sparring made {'it' if len(sheets) == 1 else 'them'} from many "
        f"images: {names}",
    )


@dataclass(frozen=True)
class _Taken:
    """What is made of the pictures that can be read; each is known by its place among the files."""

    order: list[int]
    """Those of the split, in the order in which they are stored."""
    labels: dict[int, int] | None
    class_names: tuple[str, ...]
    size: Size
    notes: tuple[str, ...]
    parts: tuple[Part, ...]


def _arranged(
    good: list[int], files: list[File], found: list[Found], name: str, split: Split, shaping: Shaping
) -> _Taken:
    pictures = [files[i] for i in good]
    folders, names = [file.parts[:-1] for file in pictures], [file.parts[-1] for file in pictures]
    arranged = arrange(folders, split, name, names, read_label_file(files, pictures))
    size, why = choose_size(shaping, [found[i].size for i in good])
    order = [good[place] for place in arranged.places]
    labels = None if arranged.labels is None else dict(zip(order, arranged.labels.tolist(), strict=True))
    notes = (*((why,) if why else ()), *arranged.notes)
    return _Taken(order, labels, arranged.class_names, size, notes, arranged.parts)


def choose_ranges(
    numbers: dict[int, Numbers | None], given: ValueRange | None
) -> tuple[Ranges, list[str], dict[int, str]]:
    """(black and white in these pictures, what the user should know of that, the pictures that could mean several
    things and why). One decision for all pictures of a kind."""
    deep = {i: one for i, one in numbers.items() if one is not None}
    chosen: dict[bool, ValueRange] = {True: SIXTEEN, False: UNIT}
    notes: list[str] = []
    refused: dict[int, str] = {}
    for whole in chosen:
        some = {i: one for i, one in deep.items() if one.is_whole == whole}
        if not some:
            continue
        try:
            reading = choose_range(together(some.values()), given, "numbers of the pictures of more than 8 bits")
        except DataError as error:
            refused |= dict.fromkeys(some, str(error))
            continue
        chosen[whole] = reading.range
        notes += [reading.note] if reading.note else []
    bytes_range = BYTES if given is None or deep else given
    return Ranges(bytes_range, chosen[True], chosen[False]), notes, refused


def collect_array(images: ImageSet, name: str, shaping: Shaping) -> Collection:
    """Images that came as an array from the source of that name, shaped where that is asked for."""
    height, width = images.images.shape[1:3]
    sizes = Counter({(height, width): len(images.images)})
    notes = () if images.notice is None else (images.notice,)
    return Collection(name, _shaped(images, shaping), (), sizes, (), 0, notes)


def whole_set(collection: Collection, strict: bool) -> ImageSet:
    """The images of a collection. Raises `DataError` where there are none, or, if `strict`, where any is left out."""
    if collection.problems and (strict or collection.images is None):
        first = collection.problems[0]
        many = f"{len(collection.problems):,} pictures, the first one" if len(collection.problems) > 1 else "a picture"
        raise DataError(f"{collection.name} holds {many} that cannot be trained on: {first.name}, {first.reason}")
    if collection.images is None:
        others = f", but {collection.ignored:,} other files" if collection.ignored else ""
        raise DataError(f"{collection.name} holds no pictures{others}{collection.hint}")
    return collection.images


# ------------------------------------------------------------------------------------------------ pixels


def _decoded(
    pictures: list[tuple[File, Found]], size: Size, shaping: Shaping, ranges: Ranges
) -> tuple[Stored, str | None]:
    """(these pictures, a note where their bytes are not as usual). Masks often hold 0 and 1 only."""
    kept = _decoded_as(pictures, size, shaping, ranges)
    if shaping.range is not None or not len(kept.pixels):
        return kept, None
    reading = choose_range(numbers_of(pieces(kept.pixels), thorough=False), None, "the pictures' numbers")
    if reading.range == BYTES:
        return kept, reading.note
    return _decoded_as(pictures, size, shaping, dataclasses.replace(ranges, bytes=reading.range)), reading.note


def _decoded_as(pictures: list[tuple[File, Found]], size: Size, shaping: Shaping, ranges: Ranges) -> Stored:
    """These pictures from the store, or decoded."""
    unusual = () if ranges == USUAL else (dataclasses.astuple(ranges),)
    key = key_of("pictures", size, shaping.fit, shaping.channels, [found.sha256 for _, found in pictures], *unusual)

    def row(picture: tuple[File, Found]) -> Row:
        file, found = picture
        try:
            with DECODING.take(file.stamp[0] + math.prod(found.size)):
                content = file.read(MAX_BYTES + 1)
                if hashlib.sha256(content).hexdigest() != found.sha256:
                    return "it changed while it was read"
                return shape(decode(content, max(size), ranges), size, shaping.fit, shaping.channels)
        except (Unreadable, MemoryError) as error:
            return str(error) or "it does not fit into memory"

    rows = partial(in_order, row, pictures, "decoding the pictures")
    return _kept(key, rows, len(pictures), size, shaping.channels)


def _shaped(images: ImageSet, shaping: Shaping) -> ImageSet:
    """The same images in the size and the channels that are asked for."""
    count, height, width, depth = images.images.shape
    size = (height, width) if shaping.size is None else (shaping.size, shaping.size)
    same_depth = depth == DEPTHS[shaping.channels] != 4 or (shaping.channels == "auto" and depth == 1)
    if size == (height, width) and same_depth and not (shaping.channels == "auto" and _all_gray(images.images)):
        return images
    digest = hashlib.sha256()
    for piece in pieces(images.images):
        digest.update(np.ascontiguousarray(piece).data)
    key = key_of("array", size, shaping.fit, shaping.channels, images.images.shape, digest.hexdigest())

    def row(place: int) -> Row:
        image = images.images[place]
        picture = Image.fromarray(np.ascontiguousarray(image[..., 0] if depth == 1 else image))
        return shape(picture, size, shaping.fit, shaping.channels)

    rows = partial(in_order, row, range(count), f"scaling {images.name}")
    kept = _kept(key, rows, count, size, shaping.channels).pixels
    words = [f"at {size[1]} x {size[0]}"] if size != (height, width) else []
    words += [DEPTH_WORDS[kept.shape[-1]]] if kept.shape[-1] != depth else []
    return dataclasses.replace(images, name=" ".join([images.name, *words]), images=kept)


DEPTH_WORDS = {1: "in gray", 3: "in color", 4: "with alpha"}


def _all_gray(images: ManyImages) -> bool:
    if images.shape[-1] == 1:
        return False  # of one channel already
    return all(_is_gray(piece) for piece in pieces(images))


def _is_gray(image: Pixels) -> bool:
    return bool((image[..., :1] == image[..., 1:3]).all())


def _kept(key: str, rows: Callable[[], Iterable[Row]], count: int, size: Size, channels: Channels) -> Stored:
    """The rows from the store, or computed."""
    depth = DEPTHS[channels]

    def write(file: BinaryIO) -> tuple[Shape, Failed]:
        failed: Failed = {}
        gray = channels == "auto"
        for place, row in enumerate(rows()):
            if isinstance(row, str):
                failed[place] = row
                continue
            gray = gray and _is_gray(row)
            file.write(np.ascontiguousarray(row).data)
        if gray:
            _keep_one_channel(file, depth)
        return (count - len(failed), *size, 1 if gray else depth), failed

    return stored(key, count * size[0] * size[1] * depth, write)


def _keep_one_channel(file: BinaryIO, depth: int) -> None:
    """Of pixels of `depth` equal channels the first, in the same file."""
    done, chunk, file_size = 0, CHUNK_BYTES // depth * depth, file.tell()
    for start in range(0, file_size, chunk):
        file.seek(start)
        pixels = np.frombuffer(file.read(min(chunk, file_size - start)), np.uint8)
        file.seek(done)
        done += file.write(pixels[::depth].tobytes())
    file.truncate(done)
