"""Our own recipes: one system in three lengths, and that it learns."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import sparring
from sparring.metrics import features
from sparring.recipe import DESCRIPTIVE, differences
from sparring.recipes import DEFAULT, named_recipe

LENGTH = {"name", "grid_every", "schedule_steps", *DESCRIPTIVE}


def test_good_and_best_are_one_system_and_quick_has_a_higher_rate_and_smaller_batches() -> None:
    quick, good, best = (named_recipe(name) for name in ("quick", "good", "best"))
    assert {name for name, *_ in differences(good, best)} <= LENGTH
    rates = {"generator_optimizer.learning_rate", "discriminator_optimizer.learning_rate"}
    assert {name for name, *_ in differences(quick, good)} - LENGTH == rates | {"batch_size"}
    assert quick.steps < good.steps < best.steps


@pytest.mark.parametrize("name", ["quick", "good", "best"])
def test_the_schedule_ends_with_the_run(name: str) -> None:
    recipe = named_recipe(name)
    assert recipe.schedule_steps == recipe.steps
    assert recipe.steps % recipe.grid_every == 0


def test_quick_is_the_default() -> None:
    assert DEFAULT == "quick"


def test_a_hundred_steps_bring_the_samples_nearer(digits: Path, tmp_path: Path) -> None:
    """The distance of the features' means falls to less than half, of that between noise and the data."""
    recipe = named_recipe("quick").replace(data=str(digits), steps=100, batch_size=32, grid_every=100, held_out=0.0)
    run = sparring.train(recipe, out=tmp_path / "run")
    images = sparring.load(run.path).sample(200, seed=0)
    first = sparring.train(replace(recipe, steps=1), out=tmp_path / "first")
    noise = sparring.load(first.path).sample(200, seed=0)
    real = features.ready_extractor(sparring.data.load(str(digits)))
    target = real(sparring.data.load(str(digits)).images).values.mean(axis=0)
    near, far = (float(np.linalg.norm(real(x).values.mean(axis=0) - target)) for x in (images, noise))
    assert near < far / 2
