"""A recipe in a file: the `recipe.json` that a run wrote, or one made of it."""

from pathlib import Path

from sparring.errors import RecipeError
from sparring.files import checksummed
from sparring.recipes.recipe import Recipe

ENDING = ".json"
RUN_ID = "run"
"""The id of the run that wrote the file stands there by this name."""


def read_recipe(path: Path) -> Recipe:
    """The recipe in a file. Raises `RecipeError` if it cannot be read, is damaged, or holds another thing.

    A file that was changed by hand is damaged unless its "sealed" and "sha256" are taken out.
    """
    try:
        value = checksummed.read(path)
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RecipeError(
            f'{checksummed.damaged(path, error)} (of one that you changed, remove "sealed" and "sha256")'
        ) from error
    try:
        return Recipe.from_json({name: part for name, part in value.items() if name != RUN_ID})
    except RecipeError as error:
        raise RecipeError(f"{path} holds no recipe of this version: {checksummed.shortened(str(error))}") from error
