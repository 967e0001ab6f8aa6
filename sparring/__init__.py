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
    from sparring.evaluation.verdict import Verdict
    from sparring.recipes import RECIPES, named_recipe
    from sparring.recipes.recipe import Recipe
    from sparring.reports.measure import measure
    from sparring.runs.generator import Generator, load
    from sparring.runs.run import Run
    from sparring.sweeps.space import Range
    from sparring.sweeps.study import sweep
    from sparring.training.train import resume, train

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
    "Generator": "runs.generator",
    "ImageSet": "data",
    "Range": "sweeps.space",
    "Recipe": "recipes.recipe",
    "Run": "runs.run",
    "SparringError": "errors",
    "Verdict": "evaluation.verdict",
    "load": "runs.generator",
    "measure": "reports.measure",
    "named_recipe": "recipes",
    "parts": "recipes",
    "resume": "training.train",
    "sweep": "sweeps.study",
    "train": "training.train",
}


def __getattr__(name: str) -> "Any":
    """Public names are fetched when first used, so that `sparring --help` does not wait for JAX."""
    if name not in _HOMES:
        raise AttributeError(f"module 'sparring' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"sparring.{_HOMES[name]}"), name)
