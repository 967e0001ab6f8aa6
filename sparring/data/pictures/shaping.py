"""SHAPING: convert pictures of any size and mode to one size and one number of channels."""

from __future__ import annotations

import statistics
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sparring.data.arrays.ranges import ValueRange
from sparring.recipes.checks import parse_range
from sparring.recipes.recipe import Recipe
from sparring.recipes.settings import Channels, Fit

SIDES = (16, 28, 32, 48, 64, 96, 128)
"""Sides in pixels. Pictures of several sizes get the largest of these that half of them have."""
LARGEST_OWN = 256
"""Pictures of one size keep it up to this side in pixels. Larger ones are reduced unless --size is given."""
REDUCING_GAP = 3.0
"""Larger reductions are done in two steps, the first one fast (see Pillow's `reducing_gap`)."""

Pixels = NDArray[np.uint8]
Size = tuple[int, int]
"""Height and width, in pixels."""

DEPTHS: dict[Channels, int] = {"auto": 3, "gray": 1, "color": 3, "alpha": 4}
"""Channels of a shaped picture. With "auto", three channels are reduced to one if all pictures are gray."""


@dataclass(frozen=True)
class Shaping:
    """How images are read: a part of the recipe."""

    size: int | None = None
    fit: Fit = "crop"
    channels: Channels = "auto"
    range: ValueRange | None = None
    """Black and white in the files; None to choose it by the numbers."""
    follow_links: bool = False


def shaping_of(recipe: Recipe) -> Shaping:
    """The shaping of a recipe."""
    numbers = None if recipe.range is None else parse_range(recipe.range)
    return Shaping(recipe.size, recipe.fit, recipe.channels, numbers, recipe.follow_links)


def choose_size(shaping: Shaping, sizes: Collection[Size]) -> tuple[Size, str | None]:
    """Choose the size for pictures of these sizes: (size, reason or None if it is given or all have it)."""
    if shaping.size is not None:
        return (shaping.size, shaping.size), None
    distinct = set(sizes)
    (height, width) = next(iter(distinct))
    if len(distinct) == 1 and max(height, width) <= LARGEST_OWN:
        return (height, width), None
    middle = statistics.median(min(size) for size in sizes)
    side = max((side for side in SIDES if side <= middle), default=SIDES[0])
    what = "the pictures have many sizes" if len(distinct) > 1 else f"the pictures are {width} x {height}"
    return (side, side), f"{what} and are trained on at {side} x {side}; --size sets another size"


def shape(picture: Image.Image, size: Size, fit: Fit, channels: Channels) -> Pixels:
    """Convert a picture of mode L, RGB or RGBA to (height, width, channels).

    It is scaled with premultiplied alpha, so that invisible colors leave no trace. Then it is put on white. With the
    channels "alpha" it keeps its alpha, and transparent pixels are black.
    """
    if channels == "alpha" and picture.mode != "RGBA":
        picture = picture.convert("RGBA")
    if picture.mode == "RGBA":
        picture = picture.convert("RGBa")
    fitted = FITS[fit](picture, size)
    if channels == "alpha":
        return _with_alpha(fitted)
    if fitted.mode == "RGBa":
        fitted = _on_white(fitted)
    pixels = np.asarray(fitted.convert("L" if channels == "gray" else "RGB"))
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels


def _crop(picture: Image.Image, size: Size) -> Image.Image:
    """Crop the largest centered part with the right aspect ratio."""
    height, width = size
    scale = min(picture.width / width, picture.height / height)
    across, down = min(width * scale, picture.width), min(height * scale, picture.height)
    left, top = (picture.width - across) / 2, (picture.height - down) / 2
    box = (left, top, min(left + across, picture.width), min(top + down, picture.height))
    return _scaled(picture, width, height, box)


def _pad(picture: Image.Image, size: Size) -> Image.Image:
    """Fit the whole picture, centered on black, or on transparent if it has alpha."""
    height, width = size
    scale = min(width / picture.width, height / picture.height)
    across, down = (
        min(most, max(1, round(side * scale))) for side, most in ((picture.width, width), (picture.height, height))
    )
    canvas = Image.new(picture.mode, (width, height))
    canvas.paste(_scaled(picture, across, down), ((width - across) // 2, (height - down) // 2))
    return canvas


def _stretch(picture: Image.Image, size: Size) -> Image.Image:
    """Scale the whole picture, changing its aspect ratio."""
    height, width = size
    return _scaled(picture, width, height)


FITS = {"crop": _crop, "pad": _pad, "stretch": _stretch}


def _scaled(
    picture: Image.Image, width: int, height: int, box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    """Scale the picture or a box of it. Pixels are unchanged if the size is the same."""
    if picture.size == (width, height) and box in (None, (0.0, 0.0, *picture.size)):
        return picture
    return picture.resize((width, height), Image.Resampling.LANCZOS, box, REDUCING_GAP)


def _on_white(premultiplied: Image.Image) -> Image.Image:
    pixels = np.asarray(premultiplied).astype(np.int16)
    return Image.fromarray(np.minimum(pixels[..., :3] + (255 - pixels[..., 3:]), 255).astype(np.uint8))


def _with_alpha(premultiplied: Image.Image) -> Pixels:
    pixels = np.array(premultiplied.convert("RGBA"))
    pixels[pixels[..., 3] == 0] = 0
    return pixels
