"""RECIPES: functions that return a typed `Recipe`; the dictionaries below list them.

recipe.py       the recipe: its checks, changes, and to and from JSON
recipe_file.py  a recipe in a JSON file
settings.py     its settings, in groups
roles.py        what each setting decides
renamed.py      settings by their old names
digest.py       the checksum of the settings that a checkpoint was trained with
parts.py        the settings of networks and optimizers
checks.py       checks of settings
arguments.py    checks of the arguments of public functions
ours.py         quick, good, best
classics.py     four papers
tutorials.py    the five tutorials
"""

from collections.abc import Callable
from pathlib import Path

from sparring.errors import RecipeError, UsageError
from sparring.recipes import classics, ours, tutorials
from sparring.recipes.arguments import shown
from sparring.recipes.recipe import Recipe
from sparring.recipes.recipe_file import ENDING, read_recipe

OURS: dict[str, Callable[[], Recipe]] = {
    "quick": ours.quick,
    "good": ours.good,
    "best": ours.best,
}
CLASSICS: dict[str, Callable[[], Recipe]] = {
    "dcgan": classics.dcgan,
    "lsgan": classics.lsgan,
    "wgan-gp": classics.wgan_gp,
    "sngan": classics.sngan,
}
TUTORIALS: dict[str, Callable[[], Recipe]] = {
    "mlp-128": tutorials.mlp_128,
    "mlp-sgd": tutorials.mlp_sgd,
    "mlp-adam": tutorials.mlp_adam,
    "dcgan-tanh": tutorials.dcgan_tanh,
    "mlp-256": tutorials.mlp_256,
}
RECIPES = OURS | CLASSICS | TUTORIALS

DEFAULT = "quick"
"""The recipe of `sparring train` without a name: the best of those under two minutes on two cores."""


def recipe_called(recipe: Recipe | str) -> Recipe:
    """A recipe, or the one of that name or in that file. Raises `UsageError` for anything else."""
    if isinstance(recipe, Recipe):
        return recipe
    if not isinstance(recipe, str):
        raise UsageError(f"recipe should be a recipe or the name of one, not {shown(recipe)}")
    return named_recipe(recipe)


def named_recipe(name: str = DEFAULT) -> Recipe:
    """The recipe of that name, or in that JSON file, such as a run's `recipe.json`.

    Raises `RecipeError` for an unknown name, with the nearest known one, and for a file that holds no recipe.
    """
    if not isinstance(name, str):
        raise UsageError(f"a recipe is called by its name, not by {shown(name)}; known are {', '.join(RECIPES)}")
    if name.endswith(ENDING):
        return read_recipe(Path(name))
    if name not in RECIPES:
        import difflib  # here, for `--help` does not need it

        near = difflib.get_close_matches(name, RECIPES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(RECIPES)}"
        raise RecipeError(f"there is no recipe {name!r}; {hint}")
    return RECIPES[name]()
