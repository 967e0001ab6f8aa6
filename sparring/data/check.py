"""THE CHECK of a data source: what it holds, a contact sheet, and the command to train on it."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rich import box
from rich.console import Console
from rich.table import Table

from sparring.data.arrays.ranges import range_words
from sparring.data.image_set import ImageSet, all_alike
from sparring.data.pictures.collection import Collection
from sparring.data.pictures.listing import shown
from sparring.data.pictures.shaping import SIDES, Shaping
from sparring.data.selection import ManyImages, pieces
from sparring.data.splits import USES, Part
from sparring.data.validation import LEAST_VALIDATION
from sparring.errors import DataError
from sparring.files.atomic import MayReplace
from sparring.images import grid, grid_scale, picture, save_picture, save_png, some_places
from sparring.recipes.recipe import Recipe
from sparring.terminal.output import shell_joined

LISTED = 20
"""Lines of a list in the text; the JSON has all."""
SHEET_COLUMNS, SHEET_ROWS = 12, 20
"""Pictures per class and classes on the contact sheet. Without classes it is square."""
MARGIN = 120
"""Pixels for a class name on the contact sheet."""
LARGEST_SHARE = 0.2
"""The largest share of the images that the suggested command makes validation images."""
EDGES = (*SIDES, 256, 512, 1024, 2048, 4096)
"""Shorter sides in pixels at which a new line of the table of sizes begins."""
CHANNEL_WORDS = {1: "gray", 3: "color", 4: "color with alpha"}


def report(collection: Collection, shaping: Shaping, recipe: Recipe, test: Collection | None = None) -> dict[str, Any]:
    """Describe training images and perhaps test images as JSON values, with the command to train `recipe` on them."""
    images = collection.images
    seen = None if images is None else digests(images.images)
    unseen = None if test is None or test.images is None else digests(test.images.images)
    found: dict[str, Any] = {
        "source": collection.name,
        "images": collection.count,
        "shape": None if images is None else list(images.images.shape[1:]),
        "sizes": [{"width": w, "height": h, "images": n} for (h, w), n in collection.sizes.most_common()],
        "classes": None if images is None else class_counts(images),
        "splits": [dataclasses.asdict(part) for part in parts(collection, test)],
        "test_copies": None if seen is None or unseen is None else int(np.isin(unseen[:, 0], seen[:, 0]).sum()),
        "duplicates": [] if seen is None else duplicates(seen, collection.names),
        "problems": [{"file": problem.name, "reason": problem.reason} for problem in collection.problems],
        "ignored": collection.ignored,
        "notes": list(collection.notes),
    }
    return found | {"command": command(collection, shaping, recipe)}


def refuse_untrainable(collection: Collection) -> ImageSet:
    """The images of a collection. Raises `DataError` unless there are two different ones."""
    images = collection.images
    if images is None:
        first = f": {collection.problems[0].name}, {collection.problems[0].reason}" if collection.problems else ""
        others = f"; {collection.ignored:,} other files are there" if collection.ignored else ""
        raise DataError(f"{collection.name} holds no picture that can be trained on{first}{others}{collection.hint}")
    images.refuse_alike()
    return images


def class_counts(images: ImageSet) -> dict[str, int] | None:
    """Images of each class; None without labels."""
    return {shown(name): count for name, count in images.class_counts.items()} or None


def parts(collection: Collection, test: Collection | None) -> tuple[Part, ...]:
    """The splits of a source; none if all images are training data."""
    if collection.parts or test is None:
        return collection.parts
    return Part("train", "train", collection.count), Part("test", "test", test.count)


Digests = NDArray[np.uint64]
"""The first half of the SHA-256 of each image (N, 2), so that millions fit into memory."""


def digests(images: ManyImages) -> Digests:
    """Compute the digest of each image."""
    some: list[ManyImages] = [images[:1]] if all_alike(images) else [images]
    found = np.empty((len(some[0]), 2), np.uint64)
    place = 0
    for piece in pieces(some[0]):
        for image in piece:
            found[place] = np.frombuffer(hashlib.sha256(np.ascontiguousarray(image).data).digest(), np.uint64, 2)
            place += 1
    return np.broadcast_to(found, (len(images), 2))


def duplicates(seen: Digests, names: Sequence[str]) -> list[list[str | int]]:
    """Groups of identical images, by file name, or by index if there are no files."""
    order = np.lexsort((seen[:, 1], seen[:, 0]))  # stable: equal images keep their order
    begins = np.flatnonzero(np.append(True, (np.diff(seen[order], axis=0) != 0).any(axis=1)))
    lengths = np.diff(np.append(begins, len(order)))
    groups = [order[begins[i] : begins[i] + lengths[i]].tolist() for i in np.flatnonzero(lengths > 1)]
    return [sorted((names[i] if names else i for i in group), key=str) for group in sorted(groups)]


def command(collection: Collection, shaping: Shaping, recipe: Recipe) -> str | None:
    """The command that trains a recipe on the collection; None if there are not enough images."""
    if collection.images is None or collection.count < 2:
        return None
    height, width = collection.images.images.shape[1:3]
    words = ["sparring", "train", recipe.name, "--data", collection.name]
    if shaping.size is not None or (height == width and set(collection.sizes) != {(height, width)}):
        words += ["--size", str(height)]
    words += ["--fit", shaping.fit] if shaping.fit != Shaping().fit else []
    words += ["--channels", shaping.channels] if shaping.channels != Shaping().channels else []
    words += ["--range", range_words(shaping.range)] if shaping.range is not None else []
    words += ["--follow-links"] if shaping.follow_links else []
    share = recipe.validation
    if int(share * collection.count) < LEAST_VALIDATION:
        share = min(LARGEST_SHARE, math.ceil(100 * LEAST_VALIDATION / collection.count) / 100)
        words += ["--validation", f"{share:g}"]
    left = collection.count - int(share * collection.count)
    if left < recipe.reals_per_step:
        fits = (2**i for i in range(19, 0, -1) if recipe.replace(batch_size=2**i).reals_per_step <= left)
        words += ["--batch-size", str(next(fits))]
    return shell_joined(words)


# ------------------------------------------------------------------------------------------------ on the terminal


def print_report(found: dict[str, Any], console: Console) -> None:
    """Print the report as text."""

    def log(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    if found["images"]:
        height, width, depth = found["shape"]
        log(
            f"{shown(found['source'])}: {found['images']:,} images, trained on at {width} x {height} in "
            f"{CHANNEL_WORDS[depth]}"
        )
        for note in found["notes"]:
            log(f"note: {note}")
        console.print(_sizes(found["sizes"]))
        if found["classes"]:
            console.print(_classes(found["classes"]))
        else:
            log("no classes\n")
        _print_duplicates(found["duplicates"], log)
        _print_splits(found, log)
    if found["problems"]:
        log(f"{len(found['problems']):,} left out:")
        for problem in found["problems"][:LISTED]:
            log(f"  {problem['file']}: {problem['reason']}")
        if len(found["problems"]) > LISTED:
            log(f"  and {len(found['problems']) - LISTED:,} more; --json lists all")
    if found["ignored"]:
        log(f"{found['ignored']:,} other files or hidden folders ignored")


def _print_splits(found: dict[str, Any], log: Any) -> None:
    for split in found["splits"]:
        log(f"split {split['name']}: {split['images']:,} images, {USES[split['role']]}")
    if found["test_copies"]:
        log(f"{found['test_copies']:,} of the test images are copies of training images, pixel by pixel")
    elif found["test_copies"] == 0:
        log("no test image is a copy of a training image")


def _print_duplicates(groups: list[list[str | int]], log: Any) -> None:
    extra = sum(len(group) - 1 for group in groups)
    if not extra:
        log("no duplicate images")
        return
    copies = "copies of others, pixel by pixel" if extra > 1 else "a copy of another, pixel by pixel"
    log(f"{extra:,} of the images are {copies}" if extra > 1 else f"1 of the images is {copies}")
    names = [str(name) for name in groups[0][:3]]
    log(f"  the first: {', '.join(names)}{' ...' if len(groups[0]) > 3 else ''}")


def _sizes(sizes: list[dict[str, int]]) -> Table:
    """A table of all sizes if there are few, else of ranges of the shorter side."""
    table = _table("size in pixels" if len(sizes) <= LISTED // 2 else "shorter side", "images")
    if len(sizes) <= LISTED // 2:
        for size in sizes:
            table.add_row(f"{size['width']} x {size['height']}", f"{size['images']:,}")
        return table
    lines: Counter[int] = Counter()
    for size in sizes:
        lines[sum(min(size["width"], size["height"]) >= edge for edge in EDGES)] += size["images"]
    bounds = (1, *EDGES)
    for line in sorted(lines):
        end = f" to {bounds[line + 1] - 1:,}" if line + 1 < len(bounds) else " and more"
        table.add_row(f"{bounds[line]:,}{end}", f"{lines[line]:,}")
    return table


def _classes(classes: dict[str, int]) -> Table:
    table = _table("class", "images")
    for name, count in list(classes.items())[:LISTED]:
        table.add_row(name, f"{count:,}")
    if len(classes) > LISTED:
        table.add_row(f"and {len(classes) - LISTED:,} more", f"{sum(list(classes.values())[LISTED:]):,}")
    return table


def _table(what: str, count: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(what)
    table.add_column(count, justify="right")
    return table


# ------------------------------------------------------------------------------------------------ the contact sheet


def save_sheet(path: Path, images: ImageSet, may_replace: MayReplace | None = None) -> None:
    """Some images as they are trained on, as a PNG: a row a class with its name beside it, or any where there are no
    classes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _, height, width, _ = images.images.shape
    scale = grid_scale(height, width)
    if images.labels is None:
        some = images.images[some_places(len(images.images), SHEET_COLUMNS**2)]
        save_picture(path, grid(some, -(-len(some) // SHEET_COLUMNS), SHEET_COLUMNS, scale), may_replace)
        return
    present = np.unique(images.labels)[:SHEET_ROWS].tolist()
    rows = [_class_row(images, label, scale) for label in present]
    sheet = Image.new(rows[0].mode, (rows[0].width, sum(row.height for row in rows)))
    for i, row in enumerate(rows):
        sheet.paste(row, (0, i * row.height))
    save_png(path, sheet, may_replace)


def _class_row(images: ImageSet, label: int, scale: int) -> Image.Image:
    places = np.flatnonzero(images.labels == label)
    some = images.images[places[some_places(len(places), SHEET_COLUMNS)]]
    pictures = picture(grid(some, 1, SHEET_COLUMNS, scale))
    row = Image.new(pictures.mode, (MARGIN + pictures.width, pictures.height))
    row.paste(pictures, (MARGIN, 0))
    white: Any = 255 if pictures.mode == "L" else (255, 255, 255)
    font = ImageFont.load_default(size=14)
    name = shown(images.class_names[label][:MARGIN])
    while name and font.getlength(name) > MARGIN - 8:
        name = name[:-1]
    ImageDraw.Draw(row).text((4, pictures.height // 2), name, fill=white, font=font, anchor="lm")
    return row
