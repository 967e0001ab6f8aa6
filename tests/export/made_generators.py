"""Generators of every architecture with random params and batch_stats."""

import functools
from typing import Any

import jax
import numpy as np

from sparring.gan.gan import make_gan
from sparring.gan.state import init_state
from sparring.recipes import named_recipe
from sparring.recipes.recipe import Recipe
from sparring.runs.generator import Generator, describe

Shape = tuple[int, int, int]
NARROW: dict[str, dict[str, Any]] = {
    "mlp-128": {"generator.hidden": (8,)},
    "mlp-sgd": {"generator.hidden": (8, 6)},
    "dcgan-tanh": {"generator.dense": 8, "generator.channels": (6, 4)},
    "dcgan": {"generator.channels": 8},
    "quick": {"generator.dense": 8, "generator.channels": 16},
}
"""A recipe of each architecture, the second with BatchNorm."""
MADE: list[tuple[str, Shape, bool]] = [
    *(
        (name, (28, 28, 1), conditional)
        for name in ("mlp-128", "mlp-sgd", "dcgan-tanh")
        for conditional in (False, True)
    ),
    ("dcgan", (30, 17, 3), False),
    ("dcgan", (28, 28, 1), True),
    ("quick", (28, 28, 1), False),
    ("quick", (33, 50, 4), True),
]
"""(recipe, shape of its images, whether it is conditional)."""


@functools.cache
def made_generator(name: str, shape: Shape, conditional: bool) -> Generator:
    """Return the generator of a recipe, narrow, with random params and batch_stats."""
    recipe: Recipe = named_recipe(name).replace(conditional=conditional, latent_size=5, **NARROW[name])
    classes = {"cat": 2, "dog": 3, "fish": 4}
    state = init_state(make_gan(recipe, shape, len(classes)), jax.random.key(0))
    random = np.random.default_rng(1)
    weights = jax.tree.map(lambda x: np.asarray(x) + random.normal(0, 0.1, x.shape).astype("f"), state.generator.params)
    statistics = jax.tree.map(lambda x: random.uniform(0.05, 0.5, x.shape).astype("f"), state.generator.batch_stats)
    return Generator(describe(recipe, shape, classes, {}), weights, statistics)
