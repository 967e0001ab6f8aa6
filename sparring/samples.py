"""SAMPLES MADE ELSEWHERE: an `.npz` file or a folder of pictures, as images to be judged."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sparring.data.named import NPZ_ERRORS
from sparring.errors import DataError
from sparring.images import Images, to_uint8

KEYS = ("images", "samples", "x", "arr_0")
"""Names under which an `.npz` may hold its images; or under any, if it holds one array only."""
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def read_samples(path: Path) -> Images:
    """The images in an `.npz` (N x H x W or N x H x W x C; uint8, or floats in [0, 1] or [-1, 1]) or in a folder of
    pictures of one size (sorted by name): (N, H, W, C), uint8.

    Raises `DataError`, in one sentence, for anything else.
    """
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        raise DataError(f"{path} does not exist; expected a run, an .npz file or a folder of pictures")
    if path.suffix.lower() != ".npz":
        raise DataError(f"{path} is neither a run, nor an .npz file, nor a folder of pictures")
    return _as_images(path, _read_npz(path))


def _read_npz(path: Path) -> NDArray[Any]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            names = list(archive)
            chosen = next((key for key in KEYS if key in names), names[0] if len(names) == 1 else None)
            if chosen is None:
                raise DataError(
                    f"{path} should hold its images under the key 'images'; it holds {', '.join(names) or 'nothing'}"
                )
            return np.asarray(archive[chosen])
    except DataError:
        raise
    except NPZ_ERRORS as error:
        raise DataError(f"{path} is damaged or no archive of plain arrays ({error})") from None


def _as_images(path: Path, array: NDArray[Any]) -> Images:
    if array.ndim == 3:
        array = array[..., np.newaxis]
    if array.ndim != 4:
        raise DataError(f"{path}: images should have the shape N x H x W or N x H x W x C, not {array.shape}")
    if array.shape[-1] not in (1, 3, 4) and array.shape[1] in (1, 3, 4):
        array = np.moveaxis(array, 1, -1)  # N x C x H x W, as PyTorch has them
    if array.shape[-1] not in (1, 3, 4):
        raise DataError(f"{path}: images should have 1, 3 or 4 channels; their shape is {array.shape}")
    if array.size == 0:
        raise DataError(f"{path} holds no images: its shape is {array.shape}")
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"{path}: images should be uint8 or floats, not {array.dtype}")
    if not np.isfinite(array).all():
        raise DataError(f"{path}: {np.count_nonzero(~np.isfinite(array)):,} values are not finite numbers")
    low, high = float(array.min()), float(array.max())
    if low < -1 or high > 1:
        raise DataError(f"{path}: floats should lie in [0, 1] or [-1, 1], but they run from {low:.4g} to {high:.4g}")
    return to_uint8(array if low < 0 else array * 2 - 1)


def _read_folder(path: Path) -> Images:
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES and not file.name.startswith("."))
    if not files:
        raise DataError(f"{path} is neither a run nor a folder of pictures ({', '.join(PICTURES)})")
    images = []
    for file in files:
        try:
            with Image.open(file) as picture:
                images.append(_pixels(picture))
        except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise DataError(f"{file} cannot be read as a picture ({error})") from None
        if images[-1].shape != images[0].shape:
            first, other = (" x ".join(map(str, image.shape)) for image in (images[0], images[-1]))
            raise DataError(f"{file} is {other}, but {files[0].name} is {first} (height x width x channels)")
    return np.stack(images)


def _pixels(picture: Image.Image) -> NDArray[np.uint8]:
    """(H, W, C): gray for pictures without colour, else three channels, four with alpha."""
    alpha = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
    mode = "RGBA" if alpha else "L" if picture.mode in ("1", "L") else "RGB"
    pixels = np.asarray(picture.convert(mode))
    return pixels[..., np.newaxis] if mode == "L" else pixels
