"""Recipes: checked when made, changed by dotted names, written as JSON and read back."""

import json
from typing import Any

import pytest

from sparring.errors import RecipeError
from sparring.recipes import DEFAULT, RECIPES, named_recipe
from sparring.recipes.parts import SGD, Adam, DCGANTanhGenerator, MLPGenerator
from sparring.recipes.recipe import Recipe, differences, settings_of

ALL = sorted(RECIPES)


@pytest.mark.parametrize("name", ALL)
def test_json_and_back(name: str) -> None:
    recipe = named_recipe(name)
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_a_recipe_is_read_back_without_the_function_that_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    written = named_recipe("mlp-adam").replace(batch_size=64).to_json()
    monkeypatch.setattr("sparring.recipes.RECIPES", {})
    assert Recipe.from_json(written).batch_size == 64


@pytest.mark.parametrize("name", ALL)
def test_a_recipe_is_named_as_it_is_listed(name: str) -> None:
    assert named_recipe(name).name == name
    assert (RECIPES[name].__doc__ or "").count(f"sparring train {name}") == 1


def test_the_default_is_a_recipe() -> None:
    assert named_recipe().name == DEFAULT


def test_replace_reaches_into_parts() -> None:
    changed = named_recipe("mlp-adam").replace(batch_size=64, **{"generator_optimizer.learning_rate": 1e-4})
    assert (changed.batch_size, changed.real_batch_size) == (64, 32)
    assert isinstance(changed.generator_optimizer, Adam)
    assert changed.generator_optimizer.learning_rate == 1e-4
    assert changed.generator_optimizer.decay == 8e-9
    assert changed.discriminator_optimizer == named_recipe("mlp-adam").discriminator_optimizer


def test_replace_takes_a_whole_part_and_a_setting_of_it_together() -> None:
    changed = named_recipe("mlp-sgd").replace(
        generator_optimizer=Adam(learning_rate=1e-3), **{"generator_optimizer.beta1": 0.5}
    )
    assert changed.generator_optimizer == Adam(learning_rate=1e-3, beta1=0.5)


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"batch_size": 0}, "batch_size must be a whole number of 1 or more, not 0"),
    ({"batch_size": 31}, "batch_size must be even where the discriminator sees half of it, not 31"),
    ({"batch_size": "64"}, "batch_size cannot be '64'; it should be a whole number"),
    ({"batch_size": 2.5}, "batch_size cannot be 2.5; it should be a whole number"),
    ({"steps": -1}, "steps must be a whole number of 1 or more, not -1"),
    ({"steps": True}, "steps cannot be True; it should be a whole number"),
    ({"log_every": 1001}, "log_every must be at most 1000, not 1001"),
    ({"latent_std": 0.0}, "latent_std must be a number above 0, not 0.0"),
    ({"latent_std": float("nan")}, "latent_std must be a number above 0, not nan"),
    ({"seed": -1}, "seed must lie between 0 and 4294967295, not -1"),
    ({"seed": 2**32}, "seed must lie between 0 and 4294967295, not 4294967296"),
    ({"generator_noise": "old"}, "generator_noise cannot be 'old'; it should be one of fresh, reuse"),
    ({"colour": 1}, "the recipe has no setting 'colour'"),
    ({"generator.hiden": (3,)}, "generator has no setting 'hiden'"),
    ({"generator.hidden": ()}, "generator.hidden must be one or more whole numbers, not ()"),
    ({"generator.hidden": (0,)}, "generator.hidden must be a whole number of 1 or more, not 0"),
    ({"generator.negative_slope": -0.1}, "generator.negative_slope must be a number of 0 or more, not -0.1"),
    ({"generator.batch_norm_momentum": 1.0}, "generator.batch_norm_momentum must be 0 or more and below 1, not 1.0"),
    ({"generator_optimizer.learning_rate": 0}, "learning_rate must be a number above 0, not 0"),
    ({"generator_optimizer.beta1": 1}, "beta1 must be 0 or more and below 1, not 1"),
    ({"generator_optimizer.epsilon": -1e-8}, "epsilon must be a number above 0, not -1e-08"),
    ({"generator_optimizer.decay": -1.0}, "decay must be a number of 0 or more, not -1.0"),
    ({"generator_optimizer": "adam"}, "generator_optimizer cannot be 'adam'; it should be Adam | SGD"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), IMPOSSIBLE)
def test_an_impossible_setting_is_refused_in_words(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as raised:
        named_recipe("mlp-adam").replace(**changes)
    assert str(raised.value) == message


def test_impossible_parts_are_refused() -> None:
    with pytest.raises(RecipeError, match="nesterov needs a momentum above 0"):
        SGD(learning_rate=0.1, nesterov=True)
    with pytest.raises(RecipeError, match=r"generator.channels must be 2 whole numbers"):
        DCGANTanhGenerator(channels=(1, 2, 3))  # type: ignore[arg-type]


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"optimiser": {}}, "recipe has the unknown setting 'optimiser'"),
    ({"generator": {"kind": "stylegan"}}, "recipe.generator has the unknown kind 'stylegan'"),
    ({"generator": 5}, "recipe.generator has the unknown kind None"),
    ({"generator_optimizer": {"kind": "adam"}}, "recipe.generator_optimizer lacks the setting 'learning_rate'"),
    ({"batch_size": "32"}, "batch_size cannot be '32'"),
]


@pytest.mark.parametrize(("changes", "message"), BROKEN)
def test_a_broken_file_is_refused_in_words(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe.from_json(named_recipe("mlp-256").to_json() | changes)


def test_a_missing_setting_is_named() -> None:
    written = named_recipe("mlp-256").to_json()
    del written["batch_size"]
    with pytest.raises(RecipeError, match="recipe lacks the setting 'batch_size'"):
        Recipe.from_json(written)


def test_differences_name_every_deciding_setting_and_no_other() -> None:
    old = named_recipe("mlp-256")
    new = old.replace(steps=5, milliseconds_per_step=9.0, seed=7, **{"generator.hidden": (9,)})
    assert differences(old, new) == [("generator.hidden", [256], [9]), ("seed", 0, 7)]
    assert differences(old, old) == []


def test_another_kind_of_part_is_a_difference() -> None:
    old = named_recipe("mlp-256")
    named = [name for name, _, _ in differences(old, old.replace(generator_optimizer=SGD(learning_rate=0.01)))]
    assert "generator_optimizer.kind" in named
    assert "generator_optimizer.momentum" in named


def test_settings_are_flat() -> None:
    settings = settings_of(named_recipe("mlp-256"))
    assert settings["generator.kind"] == MLPGenerator.kind
    assert settings["generator_optimizer.learning_rate"] == 3e-4
    assert not any(isinstance(value, dict) for value in settings.values())
