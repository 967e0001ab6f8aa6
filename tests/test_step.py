"""The step's own rewritings change nothing; what a step should do is held against the originals in `parity`."""

import dataclasses

import jax
import numpy as np
import pytest
from jax import Array

from sparring.game import Game, game_of
from sparring.recipes import RECIPES, named_recipe
from sparring.state import TrainState, first_state
from sparring.step import train_step

IMAGE = (28, 28, 1)


def stepped(game: Game, name: str) -> tuple[TrainState, Array]:
    """The state after one step of a recipe's game, and what the step reports, in float64."""
    recipe = named_recipe(name)
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(1), 3)
        state = jax.tree.map(lambda x: x.astype("float64") if x.dtype.kind == "f" else x, first_state(game, keys[0]))
        real = jax.random.uniform(keys[1], (recipe.real_batch_size, *IMAGE), "float64", -1, 1)
        noise = jax.random.normal(keys[2], (recipe.batch_size, recipe.latent_size), "float64")
        step = jax.jit(lambda state: train_step(game, state, real, noise[: recipe.real_batch_size], noise))
        trained: tuple[TrainState, Array] = step(state)
        return trained


@pytest.mark.parametrize("name", ["mlp-adam", "mlp-256"])
def test_reals_and_fakes_in_one_batch_teach_what_two_batches_teach(name: str) -> None:
    game = game_of(named_recipe(name), IMAGE)
    assert game.discriminator.dense
    in_two = dataclasses.replace(game, discriminator=dataclasses.replace(game.discriminator, dense=False))
    for one, two in zip(jax.tree.leaves(stepped(game, name)), jax.tree.leaves(stepped(in_two, name)), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)


def test_only_discriminators_of_dense_layers_see_one_batch() -> None:
    assert [name for name in RECIPES if game_of(named_recipe(name), IMAGE).discriminator.dense] == [
        name for name in RECIPES if name.startswith("mlp-")
    ]
