"""THE SETUP: what runs that differ only in their seed share: networks, compiled functions, images and devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
from jax import Array

from sparring.data import ImageSet
from sparring.data.classes import Labels
from sparring.data.validation import SplitImages
from sparring.gan.batch import Batch
from sparring.gan.gan import GAN, ImageShape, make_gan
from sparring.gan.randomness import random_key
from sparring.gan.state import TrainState, init_state
from sparring.recipes.recipe import Recipe
from sparring.training import memory
from sparring.training.devices import Devices
from sparring.training.feed import Feed, Order, ResidentFeed, StreamedFeed, steps_in_window, words
from sparring.training.reporter import Reporter


@dataclass(frozen=True)
class Setup:
    """What runs that differ only in their seed share."""

    gan: GAN
    init: jax.stages.Wrapped
    """Key -> first state, compiled."""
    draw: Callable[[TrainState, Array, Labels | None], Array]
    """State, latents (N, latent_size), labels (N,) or None -> images (N, H, W, C) in [-1, 1], compiled."""
    images: SplitImages
    environment: dict[str, Any]
    """What `environment.json` says of this machine and these images."""
    devices: Devices
    data: Batch | None
    """The training images as bytes on the devices, with labels for conditional networks; None if they are streamed."""
    window_steps: int | None
    """Steps of one window of the images, if they are streamed."""

    @property
    def epoch(self) -> int:
        """Steps of an epoch, whole batches only."""
        return len(self.images.training.images) // self.gan.batches.real

    def feed(self, seed: int | Sequence[int], steps: int) -> Feed:
        """The feed of a run of `steps` steps, or of several replicas at once."""
        order = Order(self.gan.batches, len(self.images.training.images), seed)
        if self.data is not None:
            return ResidentFeed(self.data, order, self.devices)
        assert self.window_steps is not None
        return StreamedFeed(_examples(self.images.training, self.gan), order, self.window_steps, steps, self.devices)


def make_setup(
    images: SplitImages,
    recipe: Recipe,
    environment: dict[str, Any],
    devices: Devices,
    reporter: Reporter,
    window: int | None = None,
    replicas: int = 1,
) -> Setup:
    """Build the networks of a recipe, and place the training images on the devices.

    Images that take more than `window` MiB there are streamed; None is as much as there is room for. Raises
    `OutOfMemory` if the networks do not fit.
    """
    training = images.training
    gan = make_gan(recipe, image_shape(training), len(training.class_names))
    memory.refuse_to_compile()
    init = jax.jit(partial(init_state, gan))
    memory.refuse_too_large(jax.eval_shape(init, random_key(recipe.seed, "weights")), devices, replicas)

    def draw(state: TrainState, noise: Array, labels: Labels | None) -> Array:
        return gan.generator.apply(state.sampled, state.generator.batch_stats, noise, labels, train=False)[0]

    batch = replicas * gan.batches.real
    steps = steps_in_window(training.images, batch, recipe.steps, devices, window)
    if steps is not None:
        reporter.print(words(training.images, batch, steps))
    return Setup(
        gan=gan,
        init=init,
        draw=jax.jit(draw),
        images=images,
        environment=environment,
        devices=devices,
        data=devices.put(_examples(training, gan)) if steps is None else None,
        window_steps=steps,
    )


def _examples(training: ImageSet, gan: GAN) -> Batch:
    """The training images, with labels for conditional networks."""
    return Batch(training.images, training.labels if gan.classes else None)


def image_shape(image_set: ImageSet) -> ImageShape:
    """Height, width and channels."""
    _, height, width, channels = image_set.images.shape
    return height, width, channels
