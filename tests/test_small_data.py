"""SMALL DATA: few images are augmented if a recipe leaves that open; such runs go on exactly; mirrored when asked."""

import json
from pathlib import Path

import numpy as np
import pytest
from recorder import Lines

from sparring.recipes import named_recipe
from sparring.recipes.recipe import Recipe
from sparring.recipes.settings import FEW_IMAGES, STRONG_PENALTY_BELOW
from sparring.runs.run import Run
from sparring.training import train as training
from sparring.training.reporter import Silence


def trained(recipe: Recipe, out: Path, **changes: object) -> Run:
    return training.train(recipe.replace(**changes), out=out, reporter=Silence())


def weights_of(run: Run) -> bytes:
    return run.generator_weights.read_bytes()


def test_our_own_recipes_augment_few_images_and_penalise_more_and_the_others_do_not() -> None:
    quick, tutorial = named_recipe("quick"), named_recipe("mlp-256")
    assert quick.fitted(FEW_IMAGES, {}).augment == "never"
    assert quick.fitted(FEW_IMAGES - 1, {}).augment == "adaptive"
    assert quick.fitted(STRONG_PENALTY_BELOW, {}).r1 == quick.fitted(STRONG_PENALTY_BELOW, {}).r2 == 0.1
    assert quick.fitted(STRONG_PENALTY_BELOW - 1, {}).r1 == quick.fitted(STRONG_PENALTY_BELOW - 1, {}).r2 == 1
    assert quick.replace(r1=0.5).fitted(10, {}).r1 == 0.5
    assert tutorial.fitted(10, {"a": 50, "b": 50}) == tutorial and tutorial.augment == "never"
    assert quick.replace(augment="always").fitted(10, {}).augment == "always"


@pytest.mark.ci
def test_a_run_says_and_keeps_what_was_decided_and_goes_on_exactly(tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = tiny_recipe.replace(augment="auto", r1=None, steps=12, ema_half_life=3.0)
    reporter = Lines()
    whole = training.train(recipe, out=tmp_path / "whole", reporter=reporter)
    assert sum("D sees them augmented" in text for text in reporter.lines) == 1
    assert sum("gradient penalties" in text and "--r1" in text for text in reporter.lines) == 1
    kept = json.loads(whole.recipe_file.read_bytes())
    assert (kept["augment"], kept["r1"], kept["r2"]) == ("adaptive", 1, 0)
    trained(recipe, tmp_path / "parts", steps=7)
    parts = trained(recipe, tmp_path / "parts")
    assert weights_of(parts) == weights_of(whole)
    assert weights_of(trained(recipe, tmp_path / "never", augment="never")) != weights_of(whole)


@pytest.mark.parametrize("symmetric", [True, False])
def test_images_are_mirrored_where_that_is_asked(symmetric: bool, tiny_recipe: Recipe, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 6, 1), np.uint8)
    if symmetric:
        images = np.concatenate([images[:, :, :3], images[:, :, 2::-1]], axis=2)
    np.savez(tmp_path / "images.npz", images=images)
    recipe = tiny_recipe.replace(data=str(tmp_path / "images.npz"), steps=3)
    plain, mirrored = (trained(recipe, tmp_path / str(mirror), mirror=mirror) for mirror in (False, True))
    assert (weights_of(plain) == weights_of(mirrored)) == symmetric
