"""The classics: what each paper decides, as facts; one pair of networks; and that they learn."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quickly

from sparring.gan.batch import Batch
from sparring.gan.gan import make_gan
from sparring.gan.state import init_state
from sparring.gan.step import train_step
from sparring.recipes import CLASSICS, named_recipe
from sparring.recipes.recipe import differences, settings_of

FACTS: dict[str, dict[str, Any]] = {
    "dcgan": {
        "loss": "cross-entropy", "discriminator_steps": 1, "discriminator.normalization": "batch",
        "generator_optimizer.learning_rate": 2e-4, "generator_optimizer.beta1": 0.5,
        "generator_optimizer.beta2": 0.999, "gradient_penalty": 0.0,
    },
    "lsgan": {"loss": "least-squares"},
    "wgan-gp": {
        "loss": "wasserstein", "discriminator_steps": 5, "discriminator.normalization": "none",
        "generator_optimizer.learning_rate": 1e-4, "generator_optimizer.beta1": 0.0,
        "generator_optimizer.beta2": 0.9, "gradient_penalty": 10.0,
    },
    "sngan": {
        "loss": "hinge", "discriminator_steps": 5, "discriminator.normalization": "spectral",
        "generator_optimizer.learning_rate": 2e-4, "generator_optimizer.beta1": 0.0,
        "generator_optimizer.beta2": 0.9, "gradient_penalty": 0.0,
    },
}  # fmt: skip
"""LSGAN's others are DCGAN's."""


@pytest.mark.parametrize("name", CLASSICS)
def test_settings_are_the_papers(name: str) -> None:
    settings = settings_of(named_recipe(name))
    facts = FACTS["dcgan"] | FACTS[name]
    assert {key: settings[key] for key in facts} == facts


@pytest.mark.parametrize("name", CLASSICS)
def test_what_differs_is_what_the_papers_changed(name: str) -> None:
    allowed = {"name", *FACTS["dcgan"]}
    allowed |= {setting.replace("generator_", "discriminator_") for setting in allowed}
    assert {setting for setting, *_ in differences(named_recipe("dcgan"), named_recipe(name))} <= allowed


@pytest.mark.parametrize("name", CLASSICS)
def test_each_takes_about_ten_minutes_with_whole_epochs_and_a_grid_at_the_end(name: str) -> None:
    recipe = named_recipe(name)
    assert 400 < recipe.expected_seconds < 800
    assert recipe.steps * recipe.reals_per_step % 57_600 == 0
    assert recipe.steps % recipe.grid_every == recipe.steps % recipe.judge_every == 0


@pytest.mark.parametrize("name", CLASSICS)
def test_fakes_come_to_look_like_the_images(name: str) -> None:
    """Images of one bright half: after 60 steps of tiny networks the mean fake is far nearer to the mean image."""
    recipe = named_recipe(name).replace(
        batch_size=16, latent_size=4, discriminator_steps=1,
        **{f"{network}.channels": 4 for network in ("generator", "discriminator")},
        **{f"{network}_optimizer.learning_rate": 5e-3 for network in ("generator", "discriminator")},
    )  # fmt: skip
    shape = (8, 8, 1)
    gan = make_gan(recipe, shape)
    bright = jnp.where(jnp.arange(8) < 4, 0.8, -0.8)[None, :, None, None] * jnp.ones((16, *shape))
    state = quickly.jit(lambda key: init_state(gan, key))(jax.random.key(0))

    @quickly.jit
    def step(state: Any, key: jax.Array) -> Any:
        noise = jax.random.normal(key, (2, 16, 4))
        return train_step(gan, state, Batch(bright), noise[0], noise[1], key)[0]

    def distance(state: Any) -> float:
        latents = jax.random.normal(jax.random.key(1), (64, 4))
        fakes, _ = gan.generator.apply(state.sampled, state.generator.batch_stats, latents, train=True)
        return float(np.abs(fakes.mean(axis=0) - bright[0]).mean())

    before = distance(state)
    for key in jax.random.split(jax.random.key(2), 60):
        state = step(state, key)
    assert distance(state) < before / 2
