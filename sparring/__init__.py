"""Sparring trains generative adversarial networks fast.

import sparring

run = sparring.train("mlp-256", data="mnist")
images = sparring.load(run.path).sample(64, seed=0)  # uint8 (64, 28, 28, 1)
"""

TYPE_CHECKING = False  # not from `typing`, for that takes long to import
if TYPE_CHECKING:
    from typing import Any

    from sparring.data import ImageSet
    from sparring.errors import SparringError
    from sparring.measuring import measure
    from sparring.metrics.verdict import Verdict
    from sparring.recipe import Recipe
    from sparring.recipes import RECIPES, named_recipe
    from sparring.run import Run
    from sparring.sampling import Generator, load
    from sparring.sweeping import sweep
    from sparring.sweeps.space import Range
    from sparring.training import resume, train

__all__ = [
    "RECIPES",
    "Generator",
    "ImageSet",
    "Range",
    "Recipe",
    "Run",
    "SparringError",
    "Verdict",
    "load",
    "measure",
    "named_recipe",
    "resume",
    "sweep",
    "train",
]

_HOMES = {
    "RECIPES": "recipes",
    "Generator": "sampling",
    "ImageSet": "data",
    "Range": "sweeps.space",
    "Recipe": "recipe",
    "Run": "run",
    "SparringError": "errors",
    "Verdict": "metrics.verdict",
    "load": "sampling",
    "measure": "measuring",
    "named_recipe": "recipes",
    "resume": "training",
    "sweep": "sweeping",
    "train": "training",
}


def __getattr__(name: str) -> "Any":
    """Public names are fetched when first used, so that `sparring --help` does not wait for JAX."""
    if name not in _HOMES:
        raise AttributeError(f"module 'sparring' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"sparring.{_HOMES[name]}"), name)
