"""The five recipes are the five tutorials: what each decides, as facts; parity is in `parity/`."""

from typing import Any

import jax
import numpy as np
import pytest

from sparring.gan.gan import make_gan
from sparring.recipes import named_recipe
from sparring.recipes.recipe import settings_of

FACTS: dict[str, dict[str, Any]] = {
    "mlp-128": {
        "batch_size": 128, "latent_size": 100, "latent_std": 1.0, "data_order": "replacement", "steps": 20_000,
        "grid_every": 1000, "discriminator_updates": "separate", "discriminator_batch": "full",
        "generator_noise": "fresh", "generator_optimizer.learning_rate": 1e-3, "generator_optimizer.epsilon": 1e-7,
        "generator_optimizer.epsilon_hat": True, "generator.negative_slope": 0.01,
    },
    "mlp-sgd": {
        "batch_size": 32, "latent_size": 100, "data_order": "replacement", "steps": 10_000, "grid_every": 200,
        "discriminator_updates": "separate", "discriminator_fakes": "inference", "generator_noise": "fresh",
        "generator_optimizer.kind": "sgd", "generator_optimizer.learning_rate": 0.01,
        "generator_optimizer.momentum": 0.0, "generator.batch_norm_momentum": 0.8, "generator.negative_slope": 0.2,
    },
    "mlp-adam": {
        "batch_size": 32, "latent_size": 100, "data_order": "slice", "steps": 20_000, "grid_every": 200,
        "discriminator_updates": "joint", "discriminator_batch": "half", "discriminator_fakes": "inference",
        "generator_noise": "fresh", "generator_optimizer.learning_rate": 2e-4, "generator_optimizer.decay": 8e-9,
        "generator_optimizer.epsilon": 1e-7, "generator.batch_norm_momentum": 0.8,
    },
    "dcgan-tanh": {
        "batch_size": 64, "latent_size": 100, "latent_std": 0.3, "data_order": "sequential", "steps": 90_000,
        "grid_every": 900, "discriminator_updates": "joint", "discriminator_batch": "full",
        "discriminator_fakes": "inference", "generator_noise": "fresh", "generator_optimizer.kind": "sgd",
        "generator_optimizer.learning_rate": 5e-4, "generator_optimizer.momentum": 0.9,
        "generator_optimizer.nesterov": True, "generator.batch_norm_momentum": 0.99,
    },
    "mlp-256": {
        "batch_size": 32, "latent_size": 64, "data_order": "shuffle", "steps": 50 * 57_600 // 32, "grid_every": 1800,
        "discriminator_updates": "joint", "generator_noise": "reuse", "generator_optimizer.learning_rate": 3e-4,
        "generator_optimizer.epsilon": 1e-8, "generator_optimizer.epsilon_hat": False,
        "generator.initialization": "torch-uniform", "discriminator.initialization": "torch-uniform",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", FACTS)
def test_settings(name: str) -> None:
    settings = settings_of(named_recipe(name))
    assert {key: settings[key] for key in FACTS[name]} == FACTS[name]


@pytest.mark.parametrize("name", FACTS)
def test_both_networks_have_the_same_optimiser(name: str) -> None:
    recipe = named_recipe(name)
    assert recipe.generator_optimizer == recipe.discriminator_optimizer


@pytest.mark.parametrize("name", FACTS)
def test_an_untrained_generator_makes_images_in_range(name: str) -> None:
    recipe = named_recipe(name)
    gan = make_gan(recipe, (28, 28, 1))
    weights, statistics = gan.generator.init(jax.random.key(0))
    z = jax.random.normal(jax.random.key(1), (3, recipe.latent_size))
    images, _ = gan.generator.apply(weights, statistics, z, train=False)
    assert images.shape == (3, 28, 28, 1)
    assert float(np.abs(images).max()) <= 1
    assert float(np.std(images)) > 1e-3
