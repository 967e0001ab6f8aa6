"""`mlp-256` against PyTorch itself, in float64: iterations, networks, optimiser."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

import agreement  # noqa: E402
import reference_torch  # noqa: E402
from agreement import Record, our_gan, seen_to_differ  # noqa: E402

from sparring import networks  # noqa: E402
from sparring.recipes import RECIPES  # noqa: E402
from sparring.recipes.parts import Adam  # noqa: E402

pytestmark = pytest.mark.parity

DRAWS = 20
"""First weights are drawn so often, because one of the biases is a single number."""


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    """Every test here computes in float64, and leaves the process in float32."""
    with jax.enable_x64(True):
        yield


# ------------------------------------------------------------------------------------------------ whole iterations


@functools.cache
def torch_record() -> Record:
    """Three iterations in PyTorch, where the generator's update judges the discriminator's fakes again."""
    batches = [agreement.make_batch(seed, real=32, fakes=32, latent_size=64, latent_std=1.0) for seed in range(3)]
    return reference_torch.train(
        [dataclasses.replace(batch, generator_noise=batch.discriminator_noise) for batch in batches]
    )


def test_iterations_agree() -> None:
    agreement.assert_agrees(our_gan("mlp-256"), torch_record())


TRIALS: list[dict[str, Any]] = [
    {"discriminator_updates": "separate"},
    {"generator.negative_slope": 0.011},
    {"discriminator.negative_slope": 0.011},
    {"generator_optimizer.epsilon_hat": True},
    {"generator_optimizer.learning_rate": 3.01e-4},
    {"discriminator_optimizer.epsilon": 1e-7},
    {"discriminator_optimizer.learning_rate": 3.01e-4},
]


@pytest.mark.parametrize("changes", TRIALS, ids=str)
def test_iterations_of_a_changed_recipe_differ(changes: dict[str, Any]) -> None:
    with seen_to_differ():
        agreement.assert_agrees(our_gan("mlp-256", **changes), torch_record())


def test_iterations_with_fresh_noise_for_the_generator_differ() -> None:
    record = torch_record()
    fresh = agreement.make_batch(9, real=32, fakes=32, latent_size=64, latent_std=1.0).generator_noise
    batches = [dataclasses.replace(batch, generator_noise=fresh) for batch in record.batches]
    with seen_to_differ():
        agreement.assert_agrees(our_gan("mlp-256"), dataclasses.replace(record, batches=batches))


def test_batches_and_noise_have_the_texts_sizes() -> None:
    recipe = RECIPES["mlp-256"]()
    assert (recipe.real_batch_size, recipe.batch_size) == (32, 32)
    assert (recipe.latent_size, recipe.latent_std) == (64, 1.0)
    assert recipe.generator_noise == "reuse"


# ------------------------------------------------------------------------------------------------ networks


def test_parameter_counts_agree() -> None:
    gan, models = our_gan("mlp-256"), reference_torch.build(seed=0)
    assert networks.count(gan.generator) == reference_torch.parameter_count(models.generator)
    assert networks.count(gan.discriminator) == reference_torch.parameter_count(models.discriminator)


def test_outputs_agree() -> None:
    batch = agreement.make_batch(5, real=4, fakes=4, latent_size=64, latent_std=1.0)
    gan, models = our_gan("mlp-256"), reference_torch.build(seed=0)
    state = agreement.state_from(gan, reference_torch.arrays_of(models))
    their_images = reference_torch.outputs(models.generator, batch.generator_noise)
    their_probabilities = reference_torch.outputs(models.discriminator, batch.real)[:, 0]
    for train in (False, True):
        images, probabilities = agreement.outputs(gan, state, batch, train=train)
        agreement.assert_close([images.reshape(4, 784), probabilities], [their_images, their_probabilities])


@functools.cache
def torch_first_arrays() -> agreement.Arrays:
    """PyTorch's first weights by our names: (DRAWS, ...) each."""
    draws = [reference_torch.arrays_of(reference_torch.build(seed)) for seed in range(DRAWS)]
    return {name: np.stack([arrays[name] for arrays in draws]) for name in draws[0]}


def assert_same_first_weights(**changes: Any) -> None:
    """Kernels and biases come from the same distributions."""
    ours = agreement.first_arrays(our_gan("mlp-256", **changes), DRAWS)
    assert ours.keys() == torch_first_arrays().keys()
    for name, values in torch_first_arrays().items():
        agreement.assert_same_distribution(name, ours[name], values)


def test_first_weights_agree() -> None:
    assert_same_first_weights()


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_first_weights_of_another_initialization_differ(network: str) -> None:
    with pytest.raises(AssertionError, match=r"the bound is|the standard deviation is"):
        assert_same_first_weights(**{f"{network}.initialization": "glorot-uniform"})


# ------------------------------------------------------------------------------------------------ the optimiser


ADAM = Adam(learning_rate=3e-4)


def assert_same_updates(settings: Adam, scale: float) -> None:
    """Five updates in a row agree with PyTorch's Adam, for gradients of about that size."""
    gradients = agreement.gradients_like(3, scale)
    theirs = reference_torch.updates(lambda weights: torch.optim.Adam(weights, lr=3e-4), gradients)
    agreement.assert_close(agreement.our_updates(settings, gradients), theirs)


@pytest.mark.parametrize("scale", [1e-9, 1e-8, 1e-7, 1e-5, 1.0])
def test_adam_agrees_however_small_the_gradients(scale: float) -> None:
    assert_same_updates(ADAM, scale)


@pytest.mark.parametrize(
    ("settings", "scale"),
    [
        (dataclasses.replace(ADAM, epsilon=1e-7), 1e-5),
        (dataclasses.replace(ADAM, epsilon=1.01e-8), 1e-7),
        (dataclasses.replace(ADAM, epsilon_hat=True), 1e-5),
        (dataclasses.replace(ADAM, beta1=0.901), 1e-5),
        (dataclasses.replace(ADAM, beta2=0.9991), 1e-5),
    ],
    ids=str,
)
def test_a_changed_adam_differs(settings: Adam, scale: float) -> None:
    with seen_to_differ():
        assert_same_updates(settings, scale)
