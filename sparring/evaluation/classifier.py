"""THE JUDGE: a classifier of the data's classes, by whose features and answers images are measured.

Two come with the package, for MNIST and for Fashion-MNIST, made by `tools/train_judge.py`; `train_judge` makes one for
any other images with labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from sparring import networks
from sparring.data import ImageSet
from sparring.errors import DataError
from sparring.gan.gan import ImageShape
from sparring.gan.randomness import random_key
from sparring.networks.features import FEATURES
from sparring.runs import checkpoint
from sparring.terminal.progress import Count

BATCH = 128
CHUNK = 50
"""Steps of one compiled call."""


@dataclass(frozen=True)
class Augmentation:
    """How training images are varied, so that a judge learns what a class is instead of its images by heart."""

    pixels: float
    """Greatest shift, as a share of the side."""
    degrees: float = 0.0
    """Greatest rotation either way."""
    scale: float = 0.0
    """Greatest enlargement or reduction: .1 for 90% to 110%."""
    flip: bool = False
    """Whether left and right may change places."""


@dataclass(frozen=True, eq=False)
class Judge:
    """A trained classifier: features of images, and their classes' probabilities."""

    image_shape: ImageShape
    weights: networks.Weights
    """{"network", "statistics", "head": {"kernel" (128, K), "bias" (K,)}}."""

    def features(self, images: Array) -> Array:
        """Images (N, H, W, C), uint8 -> (N, 128)."""
        network = networks.features(self.image_shape)
        scaled = images.astype(jnp.float32) / 127.5 - 1
        return network.apply(self.weights["network"], self.weights["statistics"], scaled, train=False)[0]

    def logits(self, features: Array) -> Array:
        """Features (N, 128) -> logits of the classes (N, K)."""
        return _head(self.weights["head"], features)


def read_judge(path: Path, expected: dict[str, Any], image_shape: ImageShape, classes: int) -> Judge:
    """The judge in a file that `pack_judge` made. Raises `CheckpointError` where size, checksum or shapes differ."""
    template = jax.eval_shape(partial(_first_weights, image_shape, classes), jax.random.key(0))
    return Judge(image_shape, checkpoint.read(path, expected, template))


def pack_judge(judge: Judge) -> tuple[bytes, dict[str, Any]]:
    """The bytes of a judge's file, and {"bytes", "sha256"}, by which it is known."""
    return checkpoint.pack(judge.weights)


def train_judge(
    images: ImageSet, *, seed: int, epochs: int, augmentation: Augmentation, progress: Count | None = None
) -> Judge:
    """A judge of these images' labels: cross-entropy, AdamW (Loshchilov & Hutter 2019) under a one-cycle rate.

    Deterministic on one machine. Raises `DataError` where there are no labels, or of one class only.
    """
    if images.labels is None or len(np.unique(images.labels)) < 2:
        raise DataError(f"{images.name} has no labels of two or more classes for a judge to learn")
    _, height, width, channels = images.images.shape
    image_shape = (height, width, channels)
    network, classes = networks.features(image_shape, in_loop=True), len(images.class_names)
    steps = max(1, math.ceil(epochs * len(images.images) / BATCH))
    rate = optax.cosine_onecycle_schedule(max(steps, 4), peak_value=4e-3, pct_start=0.2)
    optimizer = optax.adamw(rate, weight_decay=1e-3)
    weights = _first_weights(image_shape, classes, random_key(seed, "weights"))
    trained = {"network": weights["network"], "head": weights["head"]}
    steps_key = random_key(seed, "steps")

    def objective(trained: Any, statistics: Any, batch: Array, labels: Array) -> tuple[Array, Any]:
        features, statistics = network.apply(trained["network"], statistics, batch, train=True)
        losses = optax.softmax_cross_entropy_with_integer_labels(_head(trained["head"], features), labels)
        return losses.mean(), statistics

    def keys_of(step: Array) -> Array:
        return jax.random.split(jax.random.fold_in(steps_key, step))

    @jax.jit
    def places_of(start: Array) -> Array:
        """The images of the steps of a chunk (CHUNK, BATCH)."""
        return jax.vmap(lambda step: jax.random.randint(keys_of(step)[0], (BATCH,), 0, len(images.images)))(
            start + jnp.arange(CHUNK)
        )

    @partial(jax.jit, donate_argnums=0)
    def chunk(carry: Any, start: Array, end: Array, chunk_images: Array, chunk_labels: Array) -> Any:
        def body(step: Array, carry: Any) -> Any:
            trained, statistics, state = carry
            how = keys_of(step)[1]
            batch = _vary(how, chunk_images[step - start].astype(jnp.float32) / 127.5 - 1, augmentation)
            labels = chunk_labels[step - start]
            gradients, statistics = jax.grad(objective, has_aux=True)(trained, statistics, batch, labels)
            updates, state = optimizer.update(gradients, state, trained)
            return optax.apply_updates(trained, updates), statistics, state

        return jax.lax.fori_loop(start, end, body, carry)

    carry = (trained, weights["statistics"], optimizer.init(trained))
    for start in range(0, steps, CHUNK):
        end = min(start + CHUNK, steps)
        places = np.asarray(places_of(jnp.int32(start)))
        carry = chunk(carry, jnp.int32(start), jnp.int32(end), images.images[places], images.labels[places])
        if progress is not None:
            jax.tree.map(np.asarray, carry[0]["head"])  # waits until it is done
            progress(end, steps)
    trained, statistics, _ = carry
    return Judge(image_shape, jax.tree.map(np.asarray, trained | {"statistics": statistics}))


def accuracy(judge: Judge, images: ImageSet, batch: int = 500) -> float:
    """Share of the labelled images whose class it knows."""
    assert images.labels is not None
    answer = jax.jit(lambda part: jnp.argmax(judge.logits(judge.features(part)), axis=1))
    answers = [np.asarray(answer(images.images[i : i + batch])) for i in range(0, len(images.images), batch)]
    return float(np.mean(np.concatenate(answers) == images.labels))


def _first_weights(image_shape: ImageShape, classes: int, key: Array) -> dict[str, Any]:
    network, statistics = networks.features(image_shape).init(key)
    head = {"kernel": jnp.zeros((FEATURES, classes)), "bias": jnp.zeros(classes)}
    return {"network": network, "statistics": statistics, "head": head}


def _head(head: dict[str, Array], features: Array) -> Array:
    logits: Array = features @ head["kernel"] + head["bias"]
    return logits


def _vary(key: Array, images: Array, how: Augmentation) -> Array:
    """Images (N, H, W, C), each turned, scaled, shifted and perhaps flipped by chance; the edge goes on beyond it."""
    n, height, width, _ = images.shape
    turn_key, scale_key, shift_key, flip_key = jax.random.split(key, 4)
    angle = jnp.deg2rad(how.degrees) * jax.random.uniform(turn_key, (n,), minval=-1, maxval=1)
    scale = 1 + how.scale * jax.random.uniform(scale_key, (n,), minval=-1, maxval=1)
    shift = how.pixels * jnp.array([height, width]) * jax.random.uniform(shift_key, (n, 2), minval=-1, maxval=1)
    flip = jnp.where(jax.random.bernoulli(flip_key, shape=(n,)), -1, 1) if how.flip else jnp.ones(n)
    y, x = jnp.meshgrid(jnp.arange(height) - (height - 1) / 2, jnp.arange(width) - (width - 1) / 2, indexing="ij")

    def one(image: Array, angle: Array, scale: Array, shift: Array, flip: Array) -> Array:
        sine, cosine = jnp.sin(angle) / scale, jnp.cos(angle) / scale
        rows = cosine * y - sine * x * flip + shift[0] + (height - 1) / 2
        columns = sine * y + cosine * x * flip + shift[1] + (width - 1) / 2

        def plane(values: Array) -> Array:
            found: Array = jax.scipy.ndimage.map_coordinates(values, [rows, columns], order=1, mode="nearest")
            return found

        moved: Array = jax.vmap(plane, in_axes=2, out_axes=2)(image)
        return moved

    varied: Array = jax.vmap(one)(images, angle, scale, shift, flip)
    return varied
