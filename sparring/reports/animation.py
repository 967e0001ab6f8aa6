"""ANIMATIONS of a run: its grids one after the other, or a grid whose images all walk through the latents.

As GIF, WebP or animated PNG, by the ending of the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from sparring.data.classes import grid_labels
from sparring.errors import RunError
from sparring.files.atomic import MayReplace
from sparring.images import grid, grid_scale, open_picture, picture, save_animation
from sparring.runs.generator import Generator, walk
from sparring.runs.run import Run

MOST_FRAMES = 120
FRAME_MILLISECONDS, LAST_MILLISECONDS, WALK_MILLISECONDS = 120, 2500, 80
CAPTION = 16
"""Pixels below a grid in which its step is written."""
WALK_ROWS, WALK_COLUMNS = 4, 8
STOPS, IMAGES = 4, 15
"""Latents that each image of a walking grid visits, and images from one to the next."""
COLOURS = 32


def save_training(
    run: Run,
    path: Path,
    *,
    largest: int | None = None,
    seconds: float | None = None,
    may_replace: MayReplace | None = None,
) -> int:
    """Write the grids of a run up to the step that it reached; the number of frames. Raises `RunError` without grids.

    At most `MOST_FRAMES` are shown, evenly chosen; in `seconds`, or `FRAME_MILLISECONDS` each. `largest` is how many
    pixels the longer side may have; without it the grids stay as they are.
    """
    grids = run.own_grids()
    if not grids:
        raise RunError(f"{run.path} has no grids of samples yet")
    chosen = np.unique(np.linspace(0, len(grids) - 1, min(len(grids), MOST_FRAMES)).round().astype(int))
    frames = [_with_step(step, file, largest) for step, file in (grids[i] for i in chosen)]
    each = FRAME_MILLISECONDS if seconds is None else _each(seconds, len(frames))
    last = LAST_MILLISECONDS if seconds is None else each
    save_animation(path, _lighter(frames, path, largest), each, last, may_replace)
    return len(frames)


def save_walk(
    generator: Generator,
    path: Path,
    *,
    largest: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    may_replace: MayReplace | None = None,
) -> int:
    """Write a grid whose images each go round through latents of their own; the number of frames.

    Of a conditional generator each row stays within a class.
    """
    labels = grid_labels(len(generator.classes), WALK_COLUMNS) if generator.classes else None
    places = WALK_ROWS * WALK_COLUMNS if labels is None else len(labels)
    points = generator.draw_latents(places * STOPS, seed).reshape(places, STOPS, -1)
    latents = np.stack([walk(stops, IMAGES, closed=True) for stops in points], axis=1)  # (frames, places, size)
    scale = grid_scale(*generator.image_shape[:2])
    frames = [
        _sized(picture(grid(generator.images(now, labels), places // WALK_COLUMNS, WALK_COLUMNS, scale)), largest)
        for now in latents
    ]
    each = WALK_MILLISECONDS if seconds is None else _each(seconds, len(frames))
    save_animation(path, _lighter(frames, path, largest), each, each, may_replace)
    return len(frames)


def _each(seconds: float, frames: int) -> int:
    """Milliseconds of a frame; browsers show nothing faster than 50 a second."""
    return max(20, round(1000 * seconds / frames))


def _lighter(frames: list[Image.Image], path: Path, largest: int | None) -> list[Image.Image]:
    """A GIF that is to be small has fewer colours: half the bytes, and nothing that is seen in motion."""
    if largest is None or path.suffix.lower() != ".gif":
        return frames
    return [
        frame.point(_coarse) if frame.mode == "L" else frame.quantize(COLOURS, dither=Image.Dither.NONE)
        for frame in frames
    ]


def _coarse(gray: int) -> int:
    """One of `COLOURS` evenly spaced grays."""
    return round(gray * (COLOURS - 1) / 255) * 255 // (COLOURS - 1)


def _sized(frame: Image.Image, largest: int | None) -> Image.Image:
    """Reduced to so many pixels on the longer side, if it has more."""
    if largest is not None and max(frame.size) > largest:
        share = largest / max(frame.size)
        size = (max(1, round(frame.width * share)), max(1, round(frame.height * share)))
        frame = frame.resize(size, Image.Resampling.LANCZOS)
    return frame


def _with_step(step: int, path: Path, largest: int | None) -> Image.Image:
    """A grid with its step written below."""
    shown = _sized(open_picture(path), largest)
    gray = shown.mode == "L"
    frame = Image.new("L" if gray else "RGB", (shown.width, shown.height + CAPTION))
    frame.paste(shown, (0, 0))
    white: Any = 255 if gray else (255, 255, 255)
    ImageDraw.Draw(frame).text((4, frame.height - CAPTION + 2), f"step {step:,}", fill=white)
    return frame
