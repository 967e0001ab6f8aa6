"""Images as arrays: uint8 to [-1, 1] and back, grids, PNG files and animations."""

import io
import math
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sparring.errors import RunError, UsageError
from sparring.files import atomic, marks, sample_folder
from sparring.files.atomic import MayReplace
from sparring.files.untrusted import LARGEST_PICTURE, open_plain

Images = NDArray[np.uint8]
"""(N, H, W, C), 0 to 255; C is 1 (gray), 3 (colour) or 4 (colour and alpha)."""


LEVELS_PER_UNIT = 127.5
"""Gray levels of a difference of 1 between values in [-1, 1]."""


def from_uint8(images: Any) -> Any:
    """Scale 0..255 to float32 in [-1, 1]. Takes an array of NumPy or JAX and returns the same kind."""
    return images.astype(np.float32) / LEVELS_PER_UNIT - 1


def to_uint8(images: NDArray[np.floating[Any]]) -> Images:
    """Scale [-1, 1] to 0..255, rounded."""
    rounded: Images = np.clip(np.rint((images + 1) * LEVELS_PER_UNIT), 0, 255).astype(np.uint8)
    return rounded


def grid(images: Images, rows: int, columns: int, scale: int = 1, gap: int = 1) -> NDArray[np.uint8]:
    """Arrange images in rows: (N, H, W, C) -> (rows (H + gap) + gap, columns (W + gap) + gap, C) times `scale`.

    Empty places are black. Images with alpha are drawn on a checkerboard, and C becomes 3.
    """
    images = on_squares(images)
    _, h, w, c = images.shape
    sheet = np.zeros((rows * (h + gap) + gap, columns * (w + gap) + gap, c), np.uint8)
    for i, image in enumerate(images[: rows * columns]):
        y, x = gap + i // columns * (h + gap), gap + i % columns * (w + gap)
        sheet[y : y + h, x : x + w] = image
    return sheet.repeat(scale, axis=0).repeat(scale, axis=1)


def on_squares(images: Images) -> Images:
    """Draw images with alpha on a checkerboard: (N, H, W, 3). Other images are returned unchanged."""
    _, h, w, c = images.shape
    if c != 4:
        return images
    y, x = np.indices((h, w)) // max(1, max(h, w) // SQUARES)
    ground = np.where((y + x) % 2, *SQUARE_GRAYS)[..., np.newaxis]
    alpha = images[..., 3:] / np.float32(255)
    return np.rint(images[..., :3] * alpha + ground * (1 - alpha)).astype(np.uint8)


def some_places(count: int, wanted: int) -> NDArray[np.int64]:
    """Choose at most `wanted` of `count` indices at random, in ascending order. The choice depends on `count` only.

    Evenly spaced indices would be biased, because data may be ordered, as MNIST's test images are.
    """
    places: NDArray[np.int64] = np.random.Generator(np.random.PCG64(0)).permutation(count)[:wanted]
    return np.sort(places)


def picture(pixels: NDArray[np.uint8]) -> Image.Image:
    """Convert (H, W, C) to a Pillow image."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def open_picture(path: Path) -> Image.Image:
    """Read a PNG file of a run. Raises `RunError` if it is damaged, or larger than any that Sparring writes."""
    try:
        with open_plain(path) as file, Image.open(file, formats=["PNG"]) as opened:
            if opened.width * opened.height > LARGEST_PICTURE:
                raise RunError(f"{path} is too large: {opened.width} x {opened.height} pixels")
            opened.load()
            return opened.copy()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def save_picture(
    path: Path, pixels: NDArray[np.uint8], may_replace: MayReplace | None = None, mark: str = marks.SHEET
) -> None:
    """Write (H, W, C) as a PNG file, by default marked as a sheet of several images."""
    save_png(path, picture(pixels), may_replace, mark)


def save_png(path: Path, image: Image.Image, may_replace: MayReplace | None = None, mark: str = marks.SHEET) -> None:
    """Write a Pillow image as a PNG file with that mark."""
    atomic.write_file(
        path, lambda file: image.save(file, "PNG", **marks.save_options("PNG", mark)), may_replace=may_replace
    )


def save_animation(
    path: Path,
    frames: Sequence[Image.Image],
    milliseconds: int,
    last_milliseconds: int,
    may_replace: MayReplace | None = None,
) -> None:
    """Write frames of one size as an endless animation. The last frame has its own duration.

    The extension of `path` selects GIF, WebP or animated PNG.
    """
    durations = [milliseconds] * (len(frames) - 1) + [last_milliseconds]
    kind = path.suffix.lower().removeprefix(".").upper()
    options = marks.save_options(kind, marks.SHEET) | {"save_all": True, "duration": durations, "loop": 0}

    def write(file: BinaryIO) -> None:
        frames[0].save(file, kind, append_images=list(frames[1:]), **options)

    atomic.write_file(path, write, may_replace=may_replace)


def grid_scale(height: int, width: int) -> int:
    """Return the factor by which a grid enlarges images: 2 for small ones, else 1."""
    return 2 if max(height, width) <= 64 else 1


def square_columns(count: int) -> int:
    """Return the columns of a roughly square grid of `count` images, at least as wide as high."""
    return math.isqrt(count - 1) + 1


def refuse_huge(path: Path, count: int, shape: tuple[int, int, int], columns: int) -> None:
    """Raise `UsageError` if a grid or an animation of `count` images would be too large to open."""
    height, width, _ = shape
    scale, ending = grid_scale(height, width), path.suffix.lower()
    rows = math.ceil(count / columns)
    pixels = {
        ".png": (rows * (height + 1) + 1) * (columns * (width + 1) + 1) * scale**2,
        ".gif": count * height * width * (4 * scale) ** 2,
    }.get(ending, 0)
    if pixels > MAX_PIXELS:
        raise UsageError(
            f"{path} would have {pixels:,} pixels for {count:,} images, and the limit is {MAX_PIXELS:,}; "
            "generate fewer, or write an .npz file or a folder"
        )


def claim(path: Path, force: bool = False) -> MayReplace | None:
    """Check in advance that `save_images` may write to `path`.

    Raises `UsageError`, or `OverwriteError` if `path` exists and Sparring did not write it, unless `force`.
    """
    if path.suffix:
        return marks.claim(path, force)
    sample_folder.claim(path, force)
    return None


def save_images(
    path: str | Path,
    images: Images,
    columns: int,
    classes: Sequence[str] | None = None,
    force: bool = False,
) -> None:
    """Write images in the format of the extension of `path`.

    `.png` is a grid, `.npz` an array (key `images`), and `.gif` an animation. Without an extension, a folder of
    numbered PNG files is written. It replaces the images that Sparring wrote there before.

    `classes` are the class names of the images. The `.npz` stores them (key `labels`), and the folder gets a subfolder
    for each class, so that a training can use either.

    Raises `OverwriteError` if `path` exists and Sparring did not write it, unless `force`; `DiskError`.
    """
    path = Path(path)
    if not path.suffix:
        sample_folder.write(path, _numbered(images, classes), force)
        return
    may_replace = marks.claim(path, force)
    path.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[path.suffix.lower()](path, images, columns, classes, may_replace)


def _save_grid(
    path: Path, images: Images, columns: int, classes: Sequence[str] | None, may_replace: MayReplace | None
) -> None:
    scale = grid_scale(*images.shape[1:3])
    save_picture(path, grid(images, math.ceil(len(images) / columns), columns, scale), may_replace)


def _save_npz(
    path: Path, images: Images, columns: int, classes: Sequence[str] | None, may_replace: MayReplace | None
) -> None:
    arrays = {"images": images} | ({} if classes is None else {"labels": np.array(classes)})

    def write(file: BinaryIO) -> None:
        np.savez_compressed(file, allow_pickle=False, **arrays)
        with zipfile.ZipFile(file, "a") as archive:
            archive.comment = marks.MADE.encode()

    atomic.write_file(path, write, may_replace=may_replace)


def _save_walk(
    path: Path, images: Images, columns: int, classes: Sequence[str] | None, may_replace: MayReplace | None
) -> None:
    scale = 4 * grid_scale(*images.shape[1:3])
    frames = [picture(image.repeat(scale, axis=0).repeat(scale, axis=1)) for image in on_squares(images)]
    save_animation(path, frames, WALK_MILLISECONDS, WALK_MILLISECONDS, may_replace)


def _numbered(images: Images, classes: Sequence[str] | None) -> list[tuple[str, bytes]]:
    """Return (name, content) of a PNG file for each image."""
    digits = len(str(len(images) - 1))
    files = []
    for i, image in enumerate(images):
        content = io.BytesIO()
        picture(image).save(content, "PNG")
        folder = "" if classes is None else f"{_as_folder(classes[i])}/"
        files.append((f"{folder}{i:0{digits}d}.png", content.getvalue()))
    return files


def _as_folder(name: str) -> str:
    """Convert the name of a class to a valid folder name."""
    return "".join("_" if char in '/\\:*?"<>|' or not char.isprintable() else char for char in name).strip(". ") or "_"


MAX_PIXELS = 1 << 28
"""Of a grid or an animation."""
SQUARES, SQUARE_GRAYS = 8, (204, 255)
"""Squares on a side of the checkerboard behind images with alpha, and their two grays."""
WALK_MILLISECONDS = 80
WRITERS: dict[str, Callable[[Path, Images, int, Sequence[str] | None, MayReplace | None], None]] = {
    ".png": _save_grid,
    ".npz": _save_npz,
    ".gif": _save_walk,
}
