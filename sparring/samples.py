"""SAMPLES MADE ELSEWHERE: an `.npz` file or a folder of pictures, as images to be judged."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparring.data.arrays import read_npz
from sparring.data.decode import HEAD, MAX_BYTES, Unreadable, decode, is_picture, quiet
from sparring.data.files import File
from sparring.data.folder import list_folder
from sparring.data.index import ENDINGS
from sparring.errors import DataError
from sparring.images import Images


def read_samples(path: Path) -> Images:
    """The images in an `.npz` (see `sparring.data.arrays`) or in a folder of pictures of one size (sorted by name):
    (N, H, W, C), uint8.

    Raises `DataError`, in one sentence, for anything else: what is judged is all of it, as it is.
    """
    if path.is_dir():
        with quiet():
            return _read_folder(path)
    if not path.exists():
        raise DataError(f"{path} does not exist; expected a run, an .npz file or a folder of pictures")
    if path.suffix.lower() != ".npz" or not path.is_file():  # who opens a pipe waits for somebody to write into it
        raise DataError(f"{path} is neither a run, nor an .npz file, nor a folder of pictures")
    return read_npz(path)[0]


def _read_folder(path: Path) -> Images:
    images: list[NDArray[np.uint8]] = []
    first = None
    for file in list_folder(path).files:
        pixels = _pixels(path, file)
        if pixels is None:
            continue
        first = first or file.name
        images.append(pixels)
        if pixels.shape != images[0].shape:
            expected, other = (" x ".join(map(str, image.shape)) for image in (images[0], pixels))
            raise DataError(f"{file.name} is {other}, but {first} is {expected} (height x width x channels)")
    if not images:
        raise DataError(f"{path} is neither a run nor a folder of pictures")
    return np.stack(images)


def _pixels(path: Path, file: File) -> NDArray[np.uint8] | None:
    """(H, W, C): one channel where there is no colour, else three, four with alpha; None if it is not called a picture
    and is none."""
    try:
        if not is_picture(file.read(HEAD)) and not file.parts[-1].lower().endswith(ENDINGS):
            return None
        pixels = np.asarray(decode(file.read(MAX_BYTES)))
    except Unreadable as unreadable:
        raise DataError(f"{path / file.name} cannot be read as a picture ({unreadable})") from None
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
