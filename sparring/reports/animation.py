"""Animations of a run: its grids in order, or a grid in which every image walks through the latents.

The file extension selects GIF, WebP or animated PNG.
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

MAX_FRAMES = 120
FRAME_MILLISECONDS, LAST_MILLISECONDS, WALK_MILLISECONDS = 120, 2500, 80
CAPTION = 16
"""Height in pixels of the caption with the step."""
WALK_ROWS, WALK_COLUMNS = 4, 8
STOPS, IMAGES = 4, 15
"""Latents that each image of the grid visits, and frames from one to the next."""
COLOURS = 32


def save_training(
    run: Run,
    path: Path,
    *,
    largest: int | None = None,
    seconds: float | None = None,
    may_replace: MayReplace | None = None,
) -> int:
    """Write the grids of a run up to its current step. Returns the number of frames.

    At most `MAX_FRAMES` evenly spaced grids are shown, in `seconds` or for `FRAME_MILLISECONDS` each. `largest` limits
    the pixels of the longer side. Raises `RunError` without grids.
    """
    grids = run.own_grids()
    if not grids:
        raise RunError(f"{run.path} has no grids of samples yet")
    chosen = np.unique(np.linspace(0, len(grids) - 1, min(len(grids), MAX_FRAMES)).round().astype(int))
    frames = [_with_step(step, file, largest) for step, file in (grids[i] for i in chosen)]
    each = FRAME_MILLISECONDS if seconds is None else _each(seconds, len(frames))
    last = LAST_MILLISECONDS if seconds is None else each
    save_animation(path, _with_fewer_colours(frames, path, largest), each, last, may_replace)
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
    """Write a grid in which each image walks in a loop through its own latents. Returns the number of frames.

    For a conditional generator, each row is one class.
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
    save_animation(path, _with_fewer_colours(frames, path, largest), each, each, may_replace)
    return len(frames)


def _each(seconds: float, frames: int) -> int:
    """Return the milliseconds of a frame. Browsers show at most 50 frames per second."""
    return max(20, round(1000 * seconds / frames))


def _with_fewer_colours(frames: list[Image.Image], path: Path, largest: int | None) -> list[Image.Image]:
    """Reduce the colours of a GIF with limited size. This halves its bytes with no visible loss in motion."""
    if largest is None or path.suffix.lower() != ".gif":
        return frames
    return [
        frame.point(_coarse) if frame.mode == "L" else frame.quantize(COLOURS, dither=Image.Dither.NONE)
        for frame in frames
    ]


def _coarse(gray: int) -> int:
    """Round to one of `COLOURS` evenly spaced grays."""
    return round(gray * (COLOURS - 1) / 255) * 255 // (COLOURS - 1)


def _sized(frame: Image.Image, largest: int | None) -> Image.Image:
    """Reduce a frame to at most `largest` pixels on the longer side."""
    if largest is not None and max(frame.size) > largest:
        share = largest / max(frame.size)
        size = (max(1, round(frame.width * share)), max(1, round(frame.height * share)))
        frame = frame.resize(size, Image.Resampling.LANCZOS)
    return frame


def _with_step(step: int, path: Path, largest: int | None) -> Image.Image:
    """Return a grid with its step in a caption below."""
    shown = _sized(open_picture(path), largest)
    gray = shown.mode == "L"
    frame = Image.new("L" if gray else "RGB", (shown.width, shown.height + CAPTION))
    frame.paste(shown, (0, 0))
    white: Any = 255 if gray else (255, 255, 255)
    ImageDraw.Draw(frame).text((4, frame.height - CAPTION + 2), f"step {step:,}", fill=white)
    return frame
