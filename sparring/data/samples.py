"""SAMPLES of other programs: read an `.npz` or `.npy` file or a folder of pictures, to judge them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sparring.data.arrays.formats import ENDINGS, kinds_words
from sparring.data.arrays.npz import as_images, read_npy, read_npz
from sparring.data.arrays.ranges import ValueRange
from sparring.data.pictures.collection import choose_ranges
from sparring.data.pictures.decode import HEAD, MAX_BYTES, Ranges, Unreadable, decode, is_picture, look_numbers, quiet
from sparring.data.pictures.folder import list_folder
from sparring.data.pictures.listing import File
from sparring.errors import DataError
from sparring.files import marks
from sparring.images import Images

Result = TypeVar("Result")


def read_samples(path: Path, given: ValueRange | None = None, follow_links: bool = False) -> tuple[Images, str | None]:
    """Read (images (N, H, W, C) uint8, a note about unusual numbers or None).

    The pictures of a folder are sorted by name and must have one size. `given` is the range from black to white.
    Raises `DataError` for anything else, because all samples are judged as they are.
    """
    if path.is_dir():
        with quiet():
            return _read_folder(path, given, follow_links)
    if not path.exists():
        raise DataError(f"{path} does not exist; expected a run, an .npz or .npy file or a folder of pictures")
    if path.suffix.lower() not in (".npz", ".npy") or not path.is_file():  # opening a pipe would block
        raise DataError(f"{path} is neither a run, nor an .npz or .npy file, nor a folder of pictures{_instead(path)}")
    if path.suffix.lower() == ".npy":
        return as_images(path, read_npy(path), given)
    found = read_npz(path, given=given)
    return found.images, found.note


def _instead(path: Path) -> str:
    """The kind of a file, as the end of a sentence."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return kinds_words([(path.name, file.read)])


def _read_folder(path: Path, given: ValueRange | None, follow_links: bool) -> tuple[Images, str | None]:
    listing = list_folder(path, follow_links)
    pictures = [
        file
        for file in listing.files
        if (_found_in(path, file, is_picture, HEAD) or file.parts[-1].lower().endswith(ENDINGS))
        and not _found_in(path, file, marks.is_sheet)
    ]
    if not pictures:
        first = f"; {listing.skipped[0].name} is left out: {listing.skipped[0].reason}" if listing.skipped else ""
        raise DataError(f"{path} is neither a run nor a folder of pictures{first}")
    ranges, notes, refused = choose_ranges(
        {i: _found_in(path, file, look_numbers) for i, file in enumerate(pictures)}, given
    )
    for place, reason in refused.items():
        raise DataError(f"{path / pictures[place].name}: {reason}")
    images: list[NDArray[np.uint8]] = []
    for file in pictures:
        images.append(_found_in(path, file, partial(_pixels, ranges)))
        if images[-1].shape != images[0].shape:
            expected, other = (" x ".join(map(str, image.shape)) for image in (images[0], images[-1]))
            raise DataError(f"{file.name} is {other}, but {pictures[0].name} is {expected} (height x width x channels)")
    whole, note = as_images(path, np.stack(images))
    return whole, "; ".join([*notes, *([note] if note else [])]) or None


def _found_in(path: Path, file: File, look: Callable[[bytes], Result], most: int = MAX_BYTES) -> Result:
    """Apply a function to the first bytes of a file. Raises `DataError` if they cannot be read as a picture."""
    try:
        return look(file.read(most))
    except Unreadable as unreadable:
        raise DataError(f"{path / file.name} cannot be read as a picture ({unreadable})") from None


def _pixels(ranges: Ranges, content: bytes) -> NDArray[np.uint8]:
    """Pixels (H, W, C): one channel for gray, three for color, four with alpha."""
    pixels = np.asarray(decode(content, ranges=ranges))
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
