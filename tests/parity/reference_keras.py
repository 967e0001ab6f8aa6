"""THE KERAS REFERENCE: four of the tutorials' systems made of Keras' own layers, losses, optimisers and trainer.

Sizes and rates stand here as the texts give them and are not read from our recipes. Layers that have weights carry
our names, so that an array has the same name on both sides.

What the texts leave to Keras 2 is spelt out for Keras 3. Keras 2 noted at `compile` which weights are trainable; Keras
3 looks at every update, so that a discriminator frozen before the stacked model is compiled would never learn:
here it is frozen only while the generator learns. `decay` became a schedule, and each model has an optimiser object
of its own.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import pytest

os.environ["KERAS_BACKEND"] = "jax"

import keras
from agreement import IMAGE_SHAPE, Array, Arrays, Batch, Record, Report
from keras import layers
from keras.src.backend.common import dtypes

Model = Any
"""A `keras.Sequential`; Keras has no types for mypy."""


@contextmanager
def double_precision() -> Iterator[None]:
    """JAX and Keras compute in float64 inside; the process is as it was afterwards.

    On JAX, Keras takes float32 for the type of a sum or a mean of float64 numbers, because JAX has no float64 by
    default. Here it has, so the table that says so is told.
    """
    narrowed = dtypes.BIT64_TO_BIT32_DTYPE
    with jax.enable_x64(True), pytest.MonkeyPatch.context() as patch:
        patch.setitem(narrowed, "float64", "float64")
        before = keras.config.floatx()
        keras.config.set_floatx("float64")
        try:
            yield
        finally:
            keras.config.set_floatx(before)


# ------------------------------------------------------------------------------------------------ the systems


@dataclass(frozen=True)
class System:
    """One tutorial's choices."""

    generator: Callable[[], Model]
    discriminator: Callable[[], Model]
    optimizer: Callable[[], Any]
    """Both networks' optimiser."""
    mixed: bool
    """One update of the discriminator on real images and fakes mixed; else one on each, the real ones first."""
    real_images: int
    """Real images, and as many fakes, in the discriminator's updates of one iteration."""
    generator_images: int
    """Fakes in the generator's update."""
    latent_std: float = 1.0


def small_generator() -> Model:
    return keras.Sequential(
        [
            keras.Input((100,)),
            layers.Dense(128, name="hidden.0"),
            layers.LeakyReLU(negative_slope=0.01),
            layers.Dense(784, activation="tanh", name="output"),
            layers.Reshape(IMAGE_SHAPE),
        ]
    )


def small_discriminator() -> Model:
    return keras.Sequential(
        [
            keras.Input(IMAGE_SHAPE),
            layers.Flatten(),
            layers.Dense(128, name="hidden.0"),
            layers.LeakyReLU(negative_slope=0.01),
            layers.Dense(1, activation="sigmoid", name="output"),
        ]
    )


def deep_generator() -> Model:
    hidden: list[Any] = []
    for i, width in enumerate((256, 512, 1024)):
        hidden += [
            layers.Dense(width, name=f"hidden.{i}"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.BatchNormalization(momentum=0.8, name=f"norms.{i}"),
        ]
    output = [layers.Dense(784, activation="tanh", name="output"), layers.Reshape(IMAGE_SHAPE)]
    return keras.Sequential([keras.Input((100,)), *hidden, *output])


def deep_discriminator(first: int, second: int) -> Model:
    return keras.Sequential(
        [
            keras.Input(IMAGE_SHAPE),
            layers.Flatten(),
            layers.Dense(first, name="hidden.0"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Dense(second, name="hidden.1"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Dense(1, activation="sigmoid", name="output"),
        ]
    )


def convolutional_generator() -> Model:
    return keras.Sequential(
        [
            keras.Input((100,)),
            layers.Dense(1024, activation="tanh", name="dense_1"),
            layers.Dense(7 * 7 * 128, name="dense_2"),
            layers.BatchNormalization(name="norm"),
            layers.Activation("tanh"),
            layers.Reshape((7, 7, 128)),
            layers.UpSampling2D(2),
            layers.Conv2D(64, 5, padding="same", activation="tanh", name="conv_1"),
            layers.UpSampling2D(2),
            layers.Conv2D(1, 5, padding="same", activation="tanh", name="conv_2"),
        ]
    )


def convolutional_discriminator() -> Model:
    return keras.Sequential(
        [
            keras.Input(IMAGE_SHAPE),
            layers.Conv2D(64, 5, padding="same", activation="tanh", name="conv_1"),
            layers.MaxPooling2D(2),
            layers.Conv2D(128, 5, activation="tanh", name="conv_2"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(1024, activation="tanh", name="dense"),
            layers.Dense(1, activation="sigmoid", name="output"),
        ]
    )


def slowing_adam() -> Any:
    """Adam whose rate before update t is 0.0002 / (1 + 8e-9 t), Keras 2's `decay`."""
    rate = keras.optimizers.schedules.InverseTimeDecay(0.0002, decay_steps=1, decay_rate=8e-9)
    return keras.optimizers.Adam(rate)


SYSTEMS = {
    "mlp-128": System(
        small_generator,
        small_discriminator,
        keras.optimizers.Adam,
        mixed=False,
        real_images=128,
        generator_images=128,
    ),
    "mlp-sgd": System(
        deep_generator,
        lambda: deep_discriminator(512, 256),
        keras.optimizers.SGD,
        mixed=False,
        real_images=32,
        generator_images=32,
    ),
    "mlp-adam": System(
        deep_generator,
        lambda: deep_discriminator(784, 392),
        slowing_adam,
        mixed=True,
        real_images=16,
        generator_images=32,
    ),
    "dcgan-tanh": System(
        convolutional_generator,
        convolutional_discriminator,
        lambda: keras.optimizers.SGD(0.0005, momentum=0.9, nesterov=True),
        mixed=True,
        real_images=64,
        generator_images=64,
        latent_std=0.3,
    ),
}


# ------------------------------------------------------------------------------------------------ the training


@dataclass(frozen=True)
class Models:
    """The discriminator, and the generator alone and under the discriminator, compiled for training."""

    generator: Model
    discriminator: Model
    stacked: Model


def compiled(system: System) -> Models:
    """The system's networks, with deterministic weights."""
    generator, discriminator = system.generator(), system.discriminator()
    set_weights(generator, seed=1)
    set_weights(discriminator, seed=2)
    discriminator.compile(loss="binary_crossentropy", optimizer=system.optimizer(), metrics=["accuracy"])
    stacked = keras.Sequential([generator, discriminator])
    stacked.compile(loss="binary_crossentropy", optimizer=system.optimizer())
    return Models(generator, discriminator, stacked)


def train(system: System, batches: Sequence[Batch]) -> Record:
    """Iterations on those batches."""
    models = compiled(system)
    reports, snapshots = [], [arrays_of(models)]
    for batch in batches:
        reports.append(iterate(models, batch, mixed=system.mixed))
        snapshots.append(arrays_of(models))
    return Record(batches, reports, snapshots)


def iterate(models: Models, batch: Batch, *, mixed: bool) -> Report:
    """One update or two of the discriminator, then one of the generator, as the texts order them."""
    fakes = models.generator.predict(batch.discriminator_noise, verbose=0)
    models.discriminator.trainable = True
    if mixed:
        images, labels = np.concatenate([batch.real, fakes]), np.concatenate([_ones(batch.real), 0 * _ones(fakes)])
        d_loss, accuracy = models.discriminator.train_on_batch(images, labels)
    else:
        on_real = models.discriminator.train_on_batch(batch.real, _ones(batch.real))
        on_fakes = models.discriminator.train_on_batch(fakes, 0 * _ones(fakes))
        d_loss, accuracy = np.mean([on_real, on_fakes], axis=0)
    models.discriminator.trainable = False
    g_loss = models.stacked.train_on_batch(batch.generator_noise, _ones(batch.generator_noise))
    return {"d_loss": float(d_loss), "g_loss": float(g_loss), "accuracy": float(accuracy)}


def _ones(rows: Array) -> Array:
    return np.ones((len(rows), 1))


def outputs(model: Model, inputs: Array, *, training: bool) -> Array:
    """What the network makes of the inputs, in that mode."""
    return np.array(keras.ops.convert_to_numpy(model(inputs, training=training)), np.float64)


def updates(optimizer: Any, gradients: Sequence[Array], *, updates_before: int = 0) -> list[Array]:
    """What a Keras optimiser adds to the weights for each gradient in turn; it believes in that many updates before."""
    added = []
    for_zeros = keras.Variable(np.zeros_like(gradients[0]))
    optimizer.build([for_zeros])
    optimizer.iterations.assign(updates_before)
    for gradient in gradients:
        for_zeros.assign(np.zeros_like(gradient))
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [for_zeros])
        added.append(_values(for_zeros))
    return added


# ------------------------------------------------------------------------------------------------ the weights


OUR_NAMES = {"gamma": "scale", "beta": "bias", "moving_mean": "mean", "moving_variance": "var"}
"""BatchNorm's names for its arrays, and ours; kernels and biases have the same name on both sides."""


def arrays_of(models: Models) -> Arrays:
    """All weights and moving statistics by our names."""
    return network_arrays(models.generator, "generator") | network_arrays(models.discriminator, "discriminator")


def network_arrays(model: Model, network: str) -> Arrays:
    """The weights and moving statistics of one network by our names."""
    arrays = {}
    for layer in model.layers:
        for variable in layer.variables:
            part = f"{network}_statistics" if variable.name.startswith("moving_") else network
            arrays[f"{part}.{layer.name}.{OUR_NAMES.get(variable.name, variable.name)}"] = _values(variable)
    return arrays


def set_weights(model: Model, seed: int) -> None:
    """Random values everywhere, so that no array that starts as zeros or ones hides a mistake."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        for variable in layer.variables:
            variable.assign(_random(rng, variable.name, tuple(variable.shape)))


def _random(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> Array:
    if name == "kernel":
        return rng.normal(scale=math.prod(shape[:-1]) ** -0.5, size=shape)
    if name == "moving_variance":
        return rng.uniform(0.5, 1.5, size=shape)
    return 0.1 * rng.normal(size=shape) + (name == "gamma")


def _values(variable: Any) -> Array:
    return np.array(keras.ops.convert_to_numpy(variable.value), np.float64)
