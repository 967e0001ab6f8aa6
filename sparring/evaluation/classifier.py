"""CLASSIFIERS whose features and class probabilities are used to measure images.

The package ships classifiers for MNIST and Fashion-MNIST, made by `tools/train_judge.py`. `train_classifier` trains one
for any other labelled images.
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
from sparring.images import from_uint8
from sparring.networks.features import FEATURES
from sparring.runs import checkpoint
from sparring.terminal.progress import Count

BATCH = 128
CHUNK = 50
"""Steps in one compiled call."""


@dataclass(frozen=True)
class Augmentation:
    """Random changes of the training images, so that the classifier does not overfit."""

    pixels: float
    """Largest shift, as a fraction of the side."""
    degrees: float = 0.0
    """Largest rotation in either direction."""
    scale: float = 0.0
    """Largest change of size: 0.1 for 90% to 110%."""
    flip: bool = False
    """Whether images may be mirrored horizontally."""


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained classifier: images -> features -> logits of the classes."""

    image_shape: ImageShape
    weights: networks.Params
    """{"network": params, "statistics": batch_stats, "head": {"kernel" (128, K), "bias" (K,)}}."""

    def features(self, images: Array) -> Array:
        """Images (N, H, W, C), uint8 -> features (N, 128)."""
        network = networks.features(self.image_shape)
        scaled = from_uint8(images)
        return network.apply(self.weights["network"], self.weights["statistics"], scaled, train=False)[0]

    def logits(self, features: Array) -> Array:
        """Features (N, 128) -> logits of the classes (N, K)."""
        return _head(self.weights["head"], features)


def read_classifier(path: Path, expected: dict[str, Any], image_shape: ImageShape, classes: int) -> Classifier:
    """Read a file that `pack_classifier` made. Raises `CheckpointError` if its size, checksum or shapes differ."""
    template = jax.eval_shape(partial(_first_weights, image_shape, classes), jax.random.key(0))
    return Classifier(image_shape, checkpoint.read(path, expected, template))


def pack_classifier(classifier: Classifier) -> tuple[bytes, dict[str, Any]]:
    """The content of a classifier's file, and its {"bytes", "sha256"}."""
    return checkpoint.pack(classifier.weights)


def train_classifier(
    images: ImageSet, *, seed: int, epochs: int, augmentation: Augmentation, progress: Count | None = None
) -> Classifier:
    """Train a classifier of these images: cross-entropy, AdamW (Loshchilov & Hutter 2019), one-cycle learning rate.

    Deterministic on one machine. Raises `DataError` if the images do not have labels of two or more classes.
    """
    if images.labels is None or len(np.unique(images.labels)) < 2:
        raise DataError(f"{images.name} has no labels of two or more classes, so no classifier can be trained")
    _, height, width, channels = images.images.shape
    image_shape = (height, width, channels)
    network, classes = networks.features(image_shape, in_loop=True), len(images.class_names)
    steps = max(1, math.ceil(epochs * len(images.images) / BATCH))
    rate = optax.cosine_onecycle_schedule(max(steps, 4), peak_value=4e-3, pct_start=0.2)
    optimizer = optax.adamw(rate, weight_decay=1e-3)
    weights = _first_weights(image_shape, classes, random_key(seed, "weights"))
    trained = {"network": weights["network"], "head": weights["head"]}
    steps_key = random_key(seed, "steps")

    def objective(trained: Any, batch_stats: Any, batch: Array, labels: Array) -> tuple[Array, Any]:
        features, batch_stats = network.apply(trained["network"], batch_stats, batch, train=True)
        losses = optax.softmax_cross_entropy_with_integer_labels(_head(trained["head"], features), labels)
        return losses.mean(), batch_stats

    def keys_of(step: Array) -> Array:
        return jax.random.split(jax.random.fold_in(steps_key, step))

    @jax.jit
    def places_of(start: Array) -> Array:
        """Indices of the images in each step of a chunk (CHUNK, BATCH)."""
        return jax.vmap(lambda step: jax.random.randint(keys_of(step)[0], (BATCH,), 0, len(images.images)))(
            start + jnp.arange(CHUNK)
        )

    @partial(jax.jit, donate_argnums=0)
    def chunk(carry: Any, start: Array, end: Array, chunk_images: Array, chunk_labels: Array) -> Any:
        def body(step: Array, carry: Any) -> Any:
            trained, batch_stats, state = carry
            how = keys_of(step)[1]
            batch = _vary(how, from_uint8(chunk_images[step - start]), augmentation)
            labels = chunk_labels[step - start]
            gradients, batch_stats = jax.grad(objective, has_aux=True)(trained, batch_stats, batch, labels)
            updates, state = optimizer.update(gradients, state, trained)
            return optax.apply_updates(trained, updates), batch_stats, state

        return jax.lax.fori_loop(start, end, body, carry)

    carry = (trained, weights["statistics"], optimizer.init(trained))
    for start in range(0, steps, CHUNK):
        end = min(start + CHUNK, steps)
        places = np.asarray(places_of(jnp.int32(start)))
        carry = chunk(carry, jnp.int32(start), jnp.int32(end), images.images[places], images.labels[places])
        if progress is not None:
            jax.tree.map(np.asarray, carry[0]["head"])  # wait until the chunk is done
            progress(end, steps)
    trained, batch_stats, _ = carry
    return Classifier(image_shape, jax.tree.map(np.asarray, trained | {"statistics": batch_stats}))


def accuracy(classifier: Classifier, images: ImageSet, batch: int = 500) -> float:
    """Share of labelled images that are classified correctly."""
    assert images.labels is not None
    answer = jax.jit(lambda part: jnp.argmax(classifier.logits(classifier.features(part)), axis=1))
    answers = [np.asarray(answer(images.images[i : i + batch])) for i in range(0, len(images.images), batch)]
    return float(np.mean(np.concatenate(answers) == images.labels))


def _first_weights(image_shape: ImageShape, classes: int, key: Array) -> dict[str, Any]:
    network, batch_stats = networks.features(image_shape).init(key)
    head = {"kernel": jnp.zeros((FEATURES, classes)), "bias": jnp.zeros(classes)}
    return {"network": network, "statistics": batch_stats, "head": head}


def _head(head: dict[str, Array], features: Array) -> Array:
    return features @ head["kernel"] + head["bias"]


def _vary(key: Array, images: Array, how: Augmentation) -> Array:
    """Randomly rotate, scale, shift and mirror images (N, H, W, C). The edge pixels are repeated outside the image."""
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

        return jax.vmap(plane, in_axes=2, out_axes=2)(image)

    return jax.vmap(one)(images, angle, scale, shift, flip)
