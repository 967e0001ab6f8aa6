"""THE DIGEST of a recipe: a checkpoint has that of the recipe it was trained with."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from sparring.recipes import roles
from sparring.recipes.recipe import Recipe
from sparring.recipes.renamed import with_old_names


def digest_of(recipe: Recipe) -> str:
    """SHA-256 of the settings with a role in `DIGESTED`.

    Settings that have their default are left out, so that the digest stays the same when a version adds settings;
    a renamed one counts by its old name.
    """
    names = roles.names_of(Recipe, *roles.DIGESTED)
    counted = {name: value for name, value in _set(recipe, "") if name.partition(".")[0] in names}
    return hashlib.sha256(json.dumps(with_old_names(counted), sort_keys=True).encode()).hexdigest()


def _set(part: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of each setting that is not its default; every number as a float."""
    if prefix:
        yield f"{prefix}kind", part.kind
    for setting in dataclasses.fields(part):
        value, name = getattr(part, setting.name), prefix + setting.name
        if dataclasses.is_dataclass(value):
            yield from _set(value, f"{name}.")
        elif setting.default is dataclasses.MISSING or value != setting.default:
            yield name, _as_float(value)


def _as_float(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_as_float(item) for item in value]
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
