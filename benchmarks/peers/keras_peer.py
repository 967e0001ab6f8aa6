"""THE KERAS PEER: four of the tutorials' loops on Keras 3 and TensorFlow, as their readers would run them today.

python keras_peer.py mlp-128|mlp-sgd|mlp-adam|dcgan-tanh IMAGES.npy

`predict` makes the fakes and `train_on_batch` does each update, with the texts' batches and types of numbers. `mlp-128`
predicts a second batch that nothing uses, as its text does. What only prints is left out, in Keras' favour.

The texts freeze the discriminator before they compile the stacked model. Keras 2 noted at `compile` what is trainable;
Keras 3 looks when a function is first traced, so a text run as it stands never trains its discriminator. Here the
discriminator is thawed for its update and frozen for the generator's, as the text of `dcgan-tanh` does; that costs
less than a thousandth of a step. A Keras 3 reader needs two optimiser objects where Keras 2 took one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import worker

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
from keras import layers

Model = Any
LATENT = 100
WIDE = ((256, 512, 1024), 0.2, True)
"""The generator of `mlp-sgd` and `mlp-adam`."""


# ------------------------------------------------------------------------------------------------ networks


def dense_generator(widths: tuple[int, ...], slope: float, batch_norm: bool) -> Model:
    """100, the widths, 784."""
    model = keras.Sequential([keras.Input((LATENT,))])
    for width in widths:
        model.add(layers.Dense(width))
        model.add(layers.LeakyReLU(negative_slope=slope))
        if batch_norm:
            model.add(layers.BatchNormalization(momentum=0.8))
    model.add(layers.Dense(784, activation="tanh"))
    model.add(layers.Reshape((28, 28, 1)))
    return model


def dense_discriminator(widths: tuple[int, ...], slope: float) -> Model:
    """784, the widths, 1."""
    model = keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten()])
    for width in widths:
        model.add(layers.Dense(width))
        model.add(layers.LeakyReLU(negative_slope=slope))
    model.add(layers.Dense(1, activation="sigmoid"))
    return model


def convolutional_generator() -> Model:
    """Two dense layers, then twice up-sampling and a convolution; each activation a layer of its own."""
    model = keras.Sequential([keras.Input((LATENT,)), layers.Dense(1024), layers.Activation("tanh")])
    model.add(layers.Dense(6272))
    model.add(layers.BatchNormalization())
    model.add(layers.Activation("tanh"))
    model.add(layers.Reshape((7, 7, 128)))
    for channels in (64, 1):
        model.add(layers.UpSampling2D())
        model.add(layers.Conv2D(channels, 5, padding="same"))
        model.add(layers.Activation("tanh"))
    return model


def convolutional_discriminator() -> Model:
    """Twice a convolution and pooling, then two dense layers."""
    model = keras.Sequential([keras.Input((28, 28, 1))])
    for channels, padding in ((64, "same"), (128, "valid")):
        model.add(layers.Conv2D(channels, 5, padding=padding))
        model.add(layers.Activation("tanh"))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(1024))
    model.add(layers.Activation("tanh"))
    model.add(layers.Dense(1))
    model.add(layers.Activation("sigmoid"))
    return model


@dataclass(frozen=True)
class GAN:
    """The networks of a text, compiled."""

    generator: Model
    discriminator: Model
    stacked: Model


def gan(generator: Model, discriminator: Model, optimizer: Callable[[], Any], metrics: list[str]) -> GAN:
    """Both networks and the stacked model, compiled."""
    discriminator.compile(optimizer=optimizer(), loss="binary_crossentropy", metrics=metrics)
    stacked = keras.Sequential([generator, discriminator])
    stacked.compile(optimizer=optimizer(), loss="binary_crossentropy")
    return GAN(generator, discriminator, stacked)


def noise(rows: int, std: float = 1.0) -> np.ndarray:
    """Normal latents, in float64 as NumPy makes them."""
    return np.random.normal(0, std, (rows, LATENT))


# ------------------------------------------------------------------------------------------------ loops


def two_updates(nets: GAN, images: np.ndarray, batch: int, spare_predict: bool) -> Callable[[int], worker.Losses]:
    """`mlp-128` and `mlp-sgd`: the discriminator learns from real images, then from fakes."""
    ones, zeros = np.ones((batch, 1)), np.zeros((batch, 1))

    def run(steps: int) -> worker.Losses:
        for _ in range(steps):
            real = images[np.random.randint(0, len(images), batch)]
            fakes = nets.generator.predict(noise(batch), verbose=0)
            nets.discriminator.trainable = True
            on_real = nets.discriminator.train_on_batch(real, ones)
            on_fakes = nets.discriminator.train_on_batch(fakes, zeros)
            latents = noise(batch)
            if spare_predict:
                nets.generator.predict(latents, verbose=0)
            nets.discriminator.trainable = False
            g_loss = nets.stacked.train_on_batch(latents, ones)
        return float(on_real[0] + on_fakes[0]) / 2, float(g_loss)

    return run


def mixed_slices(nets: GAN, images: np.ndarray, batch: int) -> Callable[[int], worker.Losses]:
    """`mlp-adam`: half a batch of neighbours and half a batch of fakes, in one update."""
    half = batch // 2

    def run(steps: int) -> worker.Losses:
        for _ in range(steps):
            start = np.random.randint(0, len(images) - half)
            fakes = nets.generator.predict(noise(half), verbose=0)
            mixed = np.concatenate([images[start : start + half], fakes])
            labels = np.concatenate([np.ones((half, 1)), np.zeros((half, 1))])
            nets.discriminator.trainable = True
            d_loss = nets.discriminator.train_on_batch(mixed, labels)
            nets.discriminator.trainable = False
            g_loss = nets.stacked.train_on_batch(noise(batch), np.ones((batch, 1)))
        return float(d_loss[0]), float(g_loss)

    return run


def mixed_in_order(nets: GAN, images: np.ndarray, batch: int) -> Callable[[int], worker.Losses]:
    """`dcgan-tanh`: the data in order, a batch of them and a batch of fakes in one update."""
    place = 0

    def run(steps: int) -> worker.Losses:
        nonlocal place
        for _ in range(steps):
            real = images[place * batch : (place + 1) * batch]
            place = (place + 1) % (len(images) // batch)
            fakes = nets.generator.predict(noise(batch, 0.3), verbose=0)
            mixed = np.concatenate([real, fakes])
            nets.discriminator.trainable = True
            d_loss = nets.discriminator.train_on_batch(mixed, np.array([1] * batch + [0] * batch))
            nets.discriminator.trainable = False
            g_loss = nets.stacked.train_on_batch(noise(batch, 0.3), np.array([1] * batch))
        return float(d_loss), float(g_loss)

    return run


def mlp_128(images: np.ndarray) -> tuple[GAN, Callable[[int], worker.Losses]]:
    """Batches of 128, Adam as Keras has it."""
    discriminator = dense_discriminator((128,), slope=0.01)
    generator = dense_generator((128,), slope=0.01, batch_norm=False)
    nets = gan(generator, discriminator, keras.optimizers.Adam, ["accuracy"])
    return nets, two_updates(nets, images / 127.5 - 1, batch=128, spare_predict=True)


def mlp_sgd(images: np.ndarray) -> tuple[GAN, Callable[[int], worker.Losses]]:
    """Batches of 32, plain SGD."""
    discriminator = dense_discriminator((512, 256), slope=0.2)
    nets = gan(dense_generator(*WIDE), discriminator, keras.optimizers.SGD, ["accuracy"])
    return nets, two_updates(nets, images / 127.5 - 1, batch=32, spare_predict=False)


def mlp_adam(images: np.ndarray) -> tuple[GAN, Callable[[int], worker.Losses]]:
    """16 and 16 mixed for D, 32 for G; Adam whose rate falls."""

    def adam() -> Any:
        return keras.optimizers.Adam(keras.optimizers.schedules.InverseTimeDecay(2e-4, 1, 8e-9))

    nets = gan(dense_generator(*WIDE), dense_discriminator((784, 392), slope=0.2), adam, ["accuracy"])
    return nets, mixed_slices(nets, (images.astype(np.float32) - 127.5) / 127.5, batch=32)


def dcgan_tanh(images: np.ndarray) -> tuple[GAN, Callable[[int], worker.Losses]]:
    """64 and 64 mixed for D, 64 for G; SGD with Nesterov momentum."""

    def sgd() -> Any:
        return keras.optimizers.SGD(5e-4, momentum=0.9, nesterov=True)

    nets = gan(convolutional_generator(), convolutional_discriminator(), sgd, [])
    return nets, mixed_in_order(nets, (images / 255 - 0.5) * 2, batch=64)


RECIPES = {"mlp-128": mlp_128, "mlp-sgd": mlp_sgd, "mlp-adam": mlp_adam, "dcgan-tanh": dcgan_tanh}


def make(recipe: str, images: np.ndarray) -> worker.Loop:
    """The loop of that recipe on those images (N, 28, 28)."""
    nets, run = RECIPES[recipe](images[..., None])
    named = {"generator": nets.generator, "discriminator": nets.discriminator}

    def arrays() -> worker.Arrays:
        return {
            f"{network}.{variable.path}": np.array(keras.ops.convert_to_numpy(variable.value))
            for network, model in named.items()
            for variable in model.weights
            if "seed" not in variable.path
        }

    versions = {"keras": keras.__version__, keras.backend.backend(): _backend_version()}
    return worker.Loop(run, arrays, versions)


def _backend_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    for package in (keras.backend.backend(), f"{keras.backend.backend()}-cpu"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return "unknown"


if __name__ == "__main__":
    name, images_file = sys.argv[1:]
    worker.serve(lambda images: make(name, images), images_file, warm_up=5 if name == "dcgan-tanh" else 20)
