"""THE IMAGES OF A RUN: found at their place, or where they were moved with the run, by their checksum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from sparring import data
from sparring.data import NAMES, ImageSet
from sparring.data.validation import SplitImages, split_images
from sparring.errors import DataError
from sparring.recipes.recipe import Recipe
from sparring.runs.run import Run

Loaded = TypeVar("Loaded")


def load_again(run: Run, given: str, load: Callable[[str], Loaded], checksum: Callable[[Loaded], str]) -> Loaded:
    """Load the images of a run, which may have been moved since. `given` is their name or path in the recipe.

    If no place has images with the run's checksum, those of the first place with any images are returned, so that the
    caller can report the difference. If `given` is not that of the run's recipe, no other place is searched. Raises
    `DataError` if no place has images.
    """
    recorded = run.environment()["data"]
    if given != run.recipe().data:
        return load(given)
    elsewhere = list(_other_places(given, recorded.get("path"), run.path))
    if not elsewhere and (given in NAMES or Path(given).exists()):
        return load(given)
    found: list[Loaded] = []
    problems: list[str] = []
    for place in [given, *elsewhere]:
        try:
            found.append(load(place))
        except DataError as error:
            problems.append(str(error))
        else:
            if checksum(found[-1]) == recorded["checksum"]:
                return found[-1]
    if found:
        return found[0]
    raise DataError(f"{problems[0]}; say with --data where the images of {run.path} are now")


def load_split(run: Run, recipe: Recipe, strict: bool = False) -> SplitImages:
    """The training and validation images of a run, found as `load_again` finds them."""
    load = partial(data.load, shaping=data.shaping_of(recipe), strict=strict)
    images = load_again(run, recipe.data, load, ImageSet.checksum)
    if images.name not in NAMES:  # the images may have another path now, but keep their name
        images = replace(images, name=str(run.environment()["data"].get("name", images.name)))
    return split_images(images, recipe.validation)


def place_of(given: str, folder: Path) -> str:
    """The place of the images of a sweep in `folder`: as `given` when it began, or beside the folder."""
    return given if Path(given).exists() else next(_other_places(given, None, folder), given)


def _other_places(given: str, recorded: str | None, folder: Path) -> Iterator[str]:
    """Other existing places for images of a relative path: the recorded one, and beside each parent of the run."""
    path = Path(given)
    if given in NAMES or not given or given.startswith("~"):
        return
    beside = [] if path.is_absolute() else [parent / path for parent in folder.absolute().parents]
    seen = [path]
    for place in [*([Path(recorded)] if recorded else []), *beside]:
        with suppress(OSError):
            if place.exists() and not any(other.exists() and place.samefile(other) for other in seen):
                seen.append(place)
                yield str(place)
