"""THE IDENTITY of a run: which run a file belongs to, and with which recipe a checkpoint was trained.

A run gets a random id when it begins. Its recipe, environment, manifests, generator, events and measures have the id.
Runs of versions without ids have none, also after they resume.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from sparring.errors import RecipeError, RunError
from sparring.files import checksummed
from sparring.files.checksummed import shortened
from sparring.recipes.digest import digest_of
from sparring.recipes.recipe import Recipe, differences
from sparring.recipes.recipe_file import RUN_ID
from sparring.recipes.roles import DIGESTED

KEY = RUN_ID
"""The key of the id in every file."""
DECISIVE = ("versions", "device", "processes", "threads", "xla_flags")
DECISIVE_DATA = ("shape", "checksum", "classes")
"""Keys of `environment.json` that must be equal in its copy."""

Place = tuple[str, int, int, int]
"""A path, with the inode, size and time of the file, which change with its content."""


class Identity(NamedTuple):
    """What the manifest of a checkpoint must hold to belong to a run."""

    run: str | None
    recipe: str
    """`digest_of` the recipe."""


def new_id() -> str:
    """A new random id."""
    return os.urandom(16).hex()


def mark(own: str | None) -> dict[str, str]:
    """The id as a JSON item; empty for a run without an id."""
    return {} if own is None else {KEY: own}


def id_of(paths: Sequence[Path]) -> str | None:
    """The id in these files of one run. Raises `RunError` if they have different ids.

    Missing and damaged files are ignored.
    """
    return _id_of(tuple(found for path in paths if (found := _place(path)) is not None))


def _place(path: Path) -> Place | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return str(path), found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=256)
def _id_of(places: tuple[Place, ...]) -> str | None:
    from sparring.runs import schemas  # here, for it takes its time to load

    ids: dict[Any, list[str]] = {}
    for path, *_ in places:
        with contextlib.suppress(OSError, ValueError, RecipeError):  # damaged files are ignored
            value = checksummed.read(Path(path))
            found = value.pop(KEY, None)
            if Path(path).name.startswith("recipe"):
                Recipe.from_json(value)
            else:
                schemas.check(value, schemas.Environment)
            if found is None or isinstance(found, str):
                ids.setdefault(found, []).append(path)
    if len(ids) > 1:
        usual, odd = sorted(ids.values(), key=len)[-1], sorted(ids.values(), key=len)[0]
        raise RunError(
            f"{' and '.join(odd)} belong{'s' if len(odd) == 1 else ''} to another run than {' and '.join(usual)}; "
            "put back the file of this run"
        )
    return next(iter(ids), None)


def refuse_different_recipes(path: Path, copy: Path, recipes: Sequence[Recipe], checkpoints: Path) -> None:
    """Raise `RunError` if a recipe and its copy, both whole, differ in settings that the digest has."""
    first, second = recipes
    changed = differences(first, second, DIGESTED)
    if not changed:
        return
    named = "; ".join(_difference(*change) for change in changed)
    trained, hint = _newest_digest(checkpoints), ""
    for place, recipe in zip((path, copy), recipes, strict=True):
        if trained is not None and digest_of(recipe) == trained:
            hint = f" (the newest checkpoint was trained with {place.name})"
    raise RunError(
        f"{path} and {copy} differ, and both are whole: {named}{hint}; copy the right one over the wrong one"
    )


def _difference(name: str, ours: Any, theirs: Any) -> str:
    return f"{name} is {shortened(repr(ours))} in the first and {shortened(repr(theirs))} in the second"


def refuse_different_environments(path: Path, copy: Path, found: Sequence[dict[str, Any]]) -> None:
    """Raise `RunError` if an environment and its copy, both whole, differ in a decisive value."""
    ours, theirs = (
        {name: one.get(name) for name in DECISIVE} | {f"data.{name}": one["data"].get(name) for name in DECISIVE_DATA}
        for one in found
    )
    for name in ours:
        if ours[name] != theirs[name]:
            raise RunError(
                f"{path} and {copy} differ, and both are whole: {_difference(name, ours[name], theirs[name])}; "
                "copy the right one over the wrong one"
            )


def _newest_digest(checkpoints: Path) -> str | None:
    """The recipe's digest in the newest manifest that can be read."""
    for path in sorted(checkpoints.glob("[0-9]*/manifest.json"), reverse=True):
        try:
            found = checksummed.read(path, always=True).get("recipe")
        except (OSError, ValueError):
            continue
        return found if isinstance(found, str) else None
    return None
