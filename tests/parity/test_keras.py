"""The four Keras recipes against Keras itself, on its JAX backend and in float64: iterations, networks, optimisers."""

import dataclasses
import functools
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from slow import later

os.environ["KERAS_BACKEND"] = "jax"
keras = pytest.importorskip("keras")

import agreement  # noqa: E402
import reference_keras  # noqa: E402
from agreement import Record, our_gan, seen_to_differ  # noqa: E402

from sparring import networks  # noqa: E402
from sparring.recipes import RECIPES  # noqa: E402
from sparring.recipes.parts import SGD, Adam, Optimizer  # noqa: E402

pytestmark = pytest.mark.parity

SYSTEMS = reference_keras.SYSTEMS
NAMES = list(SYSTEMS)


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    """Every test here computes in float64, and leaves the process in float32."""
    with reference_keras.double_precision():
        yield


def test_the_reference_is_keras_on_jax_in_float64() -> None:
    assert keras.backend.backend() == "jax"
    assert keras.ops.mean(keras.ops.ones(3)).dtype == "float64"


# ------------------------------------------------------------------------------------------------ whole iterations


@functools.cache
def keras_record(name: str) -> Record:
    """Keras' iterations of a system; fewer and smaller ones of the convolutional system, to be quick."""
    system, convolutional = SYSTEMS[name], name == "dcgan-tanh"
    batches = [
        agreement.make_batch(
            seed,
            real=4 if convolutional else system.real_images,
            fakes=5 if convolutional else system.generator_images,
            latent_size=100,
            latent_std=system.latent_std,
        )
        for seed in range(2 if convolutional else 3)
    ]
    return reference_keras.train(system, batches)


@pytest.mark.parametrize("name", later(NAMES, "dcgan-tanh"))
def test_iterations_agree(name: str) -> None:
    agreement.assert_agrees(our_gan(name), keras_record(name))


TRIALS: list[tuple[str, dict[str, Any]]] = [
    ("mlp-128", {"discriminator_updates": "joint"}),
    ("mlp-128", {"generator.negative_slope": 0.011}),
    ("mlp-128", {"discriminator.negative_slope": 0.011}),
    ("mlp-128", {"generator_optimizer.epsilon_hat": False}),
    ("mlp-128", {"discriminator_optimizer.epsilon": 1e-8}),
    ("mlp-sgd", {"discriminator_fakes": "training"}),
    ("mlp-sgd", {"generator_optimizer.learning_rate": 0.0101}),
    ("mlp-adam", {"discriminator_updates": "separate"}),
    ("mlp-adam", {"discriminator_fakes": "training"}),
    ("mlp-adam", {"generator.batch_norm_momentum": 0.81}),
    ("mlp-adam", {"discriminator.negative_slope": 0.21}),
    ("dcgan-tanh", {"discriminator_updates": "separate"}),
    ("dcgan-tanh", {"discriminator_fakes": "training"}),
    ("dcgan-tanh", {"generator.batch_norm_momentum": 0.98}),
    ("dcgan-tanh", {"generator_optimizer.nesterov": False}),
]
LONG = [trial for trial in TRIALS if trial[0] == "dcgan-tanh"]
"""Each compiles the convolutional system anew; what they change is tried above with another one, or below by itself."""


@pytest.mark.parametrize(
    ("name", "changes"),
    [pytest.param(*trial, marks=[pytest.mark.long] if trial in LONG else []) for trial in TRIALS],
    ids=str,
)
def test_iterations_of_a_changed_recipe_differ(name: str, changes: dict[str, Any]) -> None:
    with seen_to_differ():
        agreement.assert_agrees(our_gan(name, **changes), keras_record(name))


def test_iterations_that_learn_the_fakes_first_differ() -> None:
    gan = our_gan("mlp-128")
    with seen_to_differ():
        fakes_first = dataclasses.replace(gan, discriminator_losses=gan.discriminator_losses[::-1])
        agreement.assert_agrees(fakes_first, keras_record("mlp-128"))


@pytest.mark.parametrize("name", NAMES)
def test_batches_and_noise_have_the_texts_sizes(name: str) -> None:
    recipe, system = RECIPES[name](), SYSTEMS[name]
    assert (recipe.real_batch_size, recipe.batch_size) == (system.real_images, system.generator_images)
    assert (recipe.latent_size, recipe.latent_std) == (100, system.latent_std)


# ------------------------------------------------------------------------------------------------ networks


@pytest.mark.parametrize("name", NAMES)
def test_parameter_counts_agree(name: str) -> None:
    gan, system = our_gan(name), SYSTEMS[name]
    assert networks.count(gan.generator) == system.generator().count_params()
    assert networks.count(gan.discriminator) == system.discriminator().count_params()


@pytest.mark.parametrize("name", later(NAMES, "mlp-sgd", "dcgan-tanh"))
def test_outputs_agree(name: str) -> None:
    batch = agreement.make_batch(5, real=4, fakes=4, latent_size=100, latent_std=1.0)
    gan, models = our_gan(name), reference_keras.compiled(SYSTEMS[name])
    state = agreement.state_from(gan, reference_keras.arrays_of(models))
    for train in (False, True):
        images, probabilities = agreement.outputs(gan, state, batch, train=train)
        their_images = reference_keras.outputs(models.generator, batch.generator_noise, training=train)
        their_probabilities = reference_keras.outputs(models.discriminator, batch.real, training=train)[:, 0]
        agreement.assert_close([images, probabilities], [their_images, their_probabilities])


def assert_same_first_weights(name: str, **changes: Any) -> None:
    """Kernels come from the same distribution; all else starts as the same constants."""
    keras.utils.set_random_seed(0)
    system = SYSTEMS[name]
    theirs = reference_keras.network_arrays(system.generator(), "generator")
    theirs |= reference_keras.network_arrays(system.discriminator(), "discriminator")
    ours = agreement.first_arrays(our_gan(name, **changes), draws=1)
    assert ours.keys() == theirs.keys()
    for array, values in theirs.items():
        if array.endswith("kernel"):
            agreement.assert_same_distribution(array, ours[array][0], values)
        else:
            assert np.array_equal(ours[array][0], values), f"{array}: other constants"


@pytest.mark.parametrize("name", later(NAMES, "mlp-sgd", "dcgan-tanh"))
def test_first_weights_agree(name: str) -> None:
    assert_same_first_weights(name)


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_first_weights_of_another_initialization_differ(network: str) -> None:
    with pytest.raises(AssertionError, match=r"the bound is|the standard deviation is|other constants"):
        assert_same_first_weights("mlp-128", **{f"{network}.initialization": "torch-uniform"})


# ------------------------------------------------------------------------------------------------ optimisers


ADAM = Adam(learning_rate=2e-4, epsilon=1e-7, epsilon_hat=True)
NESTEROV = SGD(learning_rate=5e-4, momentum=0.9, nesterov=True)


def assert_same_updates(settings: Optimizer, optimizer: Any, scale: float, updates_before: int = 0) -> None:
    """Five updates in a row agree, for gradients of about that size."""
    gradients = agreement.gradients_like(3, scale)
    agreement.assert_close(
        agreement.our_updates(settings, gradients, updates_before=updates_before),
        reference_keras.updates(optimizer, gradients, updates_before=updates_before),
    )


def keras_adam() -> Any:
    return keras.optimizers.Adam(2e-4)


def keras_nesterov() -> Any:
    return keras.optimizers.SGD(5e-4, momentum=0.9, nesterov=True)


@pytest.mark.parametrize("scale", [1e-8, 1e-7, 1e-6, 1e-5, 1.0])
def test_adam_agrees_however_small_the_gradients(scale: float) -> None:
    assert_same_updates(ADAM, keras_adam(), scale)


@pytest.mark.parametrize("scale", [1e-8, 1.0])
def test_sgd_agrees(scale: float) -> None:
    assert_same_updates(SGD(learning_rate=0.01), keras.optimizers.SGD(), scale)
    assert_same_updates(NESTEROV, keras_nesterov(), scale)
    plain = keras.optimizers.SGD(5e-4, momentum=0.9)
    assert_same_updates(dataclasses.replace(NESTEROV, nesterov=False), plain, scale)


@pytest.mark.parametrize(
    ("settings", "scale"),
    [
        (dataclasses.replace(ADAM, epsilon=1e-8), 1e-5),
        (dataclasses.replace(ADAM, epsilon=1.01e-7), 1e-7),
        (dataclasses.replace(ADAM, epsilon_hat=False), 1e-5),
        (dataclasses.replace(ADAM, beta1=0.901), 1e-5),
        (dataclasses.replace(ADAM, beta2=0.9991), 1e-5),
    ],
    ids=str,
)
def test_a_changed_adam_differs(settings: Adam, scale: float) -> None:
    with seen_to_differ():
        assert_same_updates(settings, keras_adam(), scale)


@pytest.mark.parametrize(
    "settings",
    [dataclasses.replace(NESTEROV, nesterov=False), dataclasses.replace(NESTEROV, momentum=0.901)],
    ids=str,
)
def test_a_changed_nesterov_differs(settings: SGD) -> None:
    with seen_to_differ():
        assert_same_updates(settings, keras_nesterov(), 1.0)


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_the_rate_of_mlp_adam_falls_as_its_text_says(network: str) -> None:
    settings = getattr(RECIPES["mlp-adam"](), f"{network}_optimizer")
    a_million = 1_000_000  # The rate is then 0.8% lower.
    assert_same_updates(settings, reference_keras.slowing_adam(), 1e-3, updates_before=a_million)
    with seen_to_differ():
        steady = dataclasses.replace(settings, decay=0.0)
        assert_same_updates(steady, reference_keras.slowing_adam(), 1e-3, updates_before=a_million)
