"""PICTURES: arrays of images laid out as grids, and put into files."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sparring import atomic
from sparring.errors import RunError, UsageError
from sparring.plain import LARGEST_PICTURE, open_plain

Images = NDArray[np.uint8]
"""(N, H, W, C), 0 to 255; C is 1 (gray), 3 (colour) or 4 (colour and alpha)."""


def to_uint8(images: NDArray[np.floating[Any]]) -> Images:
    """From [-1, 1] to 0..255, rounded."""
    rounded: Images = np.clip(np.rint((images + 1) * 127.5), 0, 255).astype(np.uint8)
    return rounded


def grid(images: Images, rows: int, columns: int, scale: int = 1, gap: int = 1) -> NDArray[np.uint8]:
    """Images side by side, row by row: (N, H, W, C) -> (rows (H + gap) + gap, columns (W + gap) + gap, C) x scale.

    Places for which there is no image stay black. Images with alpha lie on a chequered ground, and C becomes 3.
    """
    images = on_squares(images)
    _, h, w, c = images.shape
    sheet = np.zeros((rows * (h + gap) + gap, columns * (w + gap) + gap, c), np.uint8)
    for i, image in enumerate(images[: rows * columns]):
        y, x = gap + i // columns * (h + gap), gap + i % columns * (w + gap)
        sheet[y : y + h, x : x + w] = image
    return sheet.repeat(scale, axis=0).repeat(scale, axis=1)


def on_squares(images: Images) -> Images:
    """Images with alpha in front of light squares, (N, H, W, 3), so that one sees what is transparent; others as they
    are."""
    _, h, w, c = images.shape
    if c != 4:
        return images
    y, x = np.indices((h, w)) // max(1, max(h, w) // SQUARES)
    ground = np.where((y + x) % 2, *SQUARE_GRAYS)[..., np.newaxis]
    alpha = images[..., 3:] / np.float32(255)
    shown: Images = np.rint(images[..., :3] * alpha + ground * (1 - alpha)).astype(np.uint8)
    return shown


def some_places(count: int, wanted: int) -> NDArray[np.int64]:
    """At most `wanted` places of `count`, ascending; chance that follows from `count` alone.

    By chance and not evenly, because data may lie in an order: MNIST's test images do.
    """
    places: NDArray[np.int64] = np.random.Generator(np.random.PCG64(0)).permutation(count)[:wanted]
    return np.sort(places)


def picture(pixels: NDArray[np.uint8]) -> Image.Image:
    """(H, W, C) as a Pillow image."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def open_picture(path: Path) -> Image.Image:
    """A PNG file of a run. Raises `RunError` where it is none, is damaged, or is larger than anything we write."""
    try:
        with open_plain(path) as file, Image.open(file, formats=["PNG"]) as opened:
            if opened.width * opened.height > LARGEST_PICTURE:
                raise RunError(f"{path} has {opened.width} x {opened.height} pixels, which is too many")
            opened.load()
            return opened.copy()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def save_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """(H, W, C) as a PNG file."""
    atomic.write_file(path, picture(pixels).save)


def save_animation(path: Path, frames: Sequence[Image.Image], milliseconds: int, last_milliseconds: int) -> None:
    """Pictures of one size as an endless animation, the last one for another time: a GIF, WebP or animated PNG, by the
    ending of `path`."""
    durations = [milliseconds] * (len(frames) - 1) + [last_milliseconds]

    def write(partial: Path) -> None:
        frames[0].save(partial, save_all=True, append_images=list(frames[1:]), duration=durations, loop=0)

    atomic.write_file(path, write)


def grid_scale(height: int, width: int) -> int:
    """How much to enlarge images so that a grid of them can be looked at: tiny ones twice, others not."""
    return 2 if max(height, width) <= 64 else 1


def square_columns(count: int) -> int:
    """Columns of a grid of `count` images that is about square, and wider rather than higher."""
    return math.isqrt(count - 1) + 1


def refuse_huge(path: Path, count: int, shape: tuple[int, int, int], columns: int) -> None:
    """Raise `UsageError` where so many images of that shape make a grid or an animation that nobody could open."""
    height, width, _ = shape
    scale, ending = grid_scale(height, width), path.suffix.lower()
    rows = math.ceil(count / columns)
    pixels = {
        ".png": (rows * (height + 1) + 1) * (columns * (width + 1) + 1) * scale**2,
        ".gif": count * height * width * (4 * scale) ** 2,
    }.get(ending, 0)
    if pixels > MOST_PIXELS:
        raise UsageError(
            f"{count:,} images in {path} are {pixels:,} pixels, and {MOST_PIXELS:,} are the most; take fewer, or write "
            "them as .npz or into a folder"
        )


def save_images(path: str | Path, images: Images, columns: int, classes: Sequence[str] | None = None) -> None:
    """Write images by the ending of `path`: `.png` a grid, `.npz` an array (key `images`), `.gif` an animation, none a
    folder of numbered PNGs.

    `classes` are the names of each image's class: they go into the `.npz` (key `labels`), and in the folder each class
    has a folder of its own, so that either can be trained on.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[path.suffix.lower()](path, images, columns, classes)


def _save_grid(path: Path, images: Images, columns: int, classes: Sequence[str] | None) -> None:
    scale = grid_scale(*images.shape[1:3])
    save_picture(path, grid(images, math.ceil(len(images) / columns), columns, scale))


def _save_npz(path: Path, images: Images, columns: int, classes: Sequence[str] | None) -> None:
    arrays = {"images": images} | ({} if classes is None else {"labels": np.array(classes)})
    atomic.write_file(path, lambda partial: np.savez_compressed(partial, allow_pickle=False, **arrays))


def _save_walk(path: Path, images: Images, columns: int, classes: Sequence[str] | None) -> None:
    scale = 4 * grid_scale(*images.shape[1:3])
    frames = [picture(image.repeat(scale, axis=0).repeat(scale, axis=1)) for image in on_squares(images)]
    save_animation(path, frames, WALK_MILLISECONDS, WALK_MILLISECONDS)


def _save_folder(path: Path, images: Images, columns: int, classes: Sequence[str] | None) -> None:
    digits = len(str(len(images) - 1))
    for i, image in enumerate(images):
        folder = path if classes is None else path / _as_folder(classes[i])
        folder.mkdir(exist_ok=True, parents=True)
        save_picture(folder / f"{i:0{digits}d}.png", image)


def _as_folder(name: str) -> str:
    """The name of a class as one of a folder."""
    return "".join("_" if char in '/\\:*?"<>|' or not char.isprintable() else char for char in name).strip(". ") or "_"


MOST_PIXELS = 1 << 28
"""Of a picture or an animation that is written for people to look at."""
SQUARES, SQUARE_GRAYS = 8, (204, 255)
"""So many squares a side lie behind an image with alpha, in turn of these grays."""
WALK_MILLISECONDS = 80
WRITERS: dict[str, Callable[[Path, Images, int, Sequence[str] | None], None]] = {
    ".png": _save_grid,
    ".npz": _save_npz,
    ".gif": _save_walk,
    "": _save_folder,
}
