"""THE PLAYER: a run's two networks at its newest checkpoint, to play with: pictures, opinions, the nearest picture.

It computes on the CPU and takes turns: a page never asks for two things at once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from numpy.typing import NDArray
from PIL import Image

from sparring.data.classes import Labels, grid_labels, usual_labels
from sparring.files.untrusted import open_plain
from sparring.gan.gan import Latents as Latent
from sparring.gan.randomness import random_key
from sparring.images import Images, grid_scale, to_uint8
from sparring.networks import Network, Weights
from sparring.networks.batched import batched
from sparring.runs import checkpoint
from sparring.runs.run import Run
from sparring.runs.trained import Trained, load_trained

FEW, MANY = 1, 16
"""Pictures that are computed at once: a moved slider asks for one, a new sheet for sixteen."""
COMPARED = 256
"""Samples that an opinion is compared with, and from which the search for the nearest picture begins."""
DIRECTIONS = 8
SLOPES_AT, SLOPE_STEP = 8, 0.05
"""Latents at which the slope of the picture is taken, for the directions; and how far to go for it, in deviations."""
STARTS, SEARCH_STEPS, SEARCH_RATE = 8, 20, 0.05
SEARCH_SECONDS, LONGEST_SEARCH = 1.2, 400
"""The search for the nearest picture ends after so many seconds or steps, whichever comes first."""
PRIOR = 1e-4
"""How much the search is held near usual latents, beside the mean square difference."""

LARGEST_REAL = 1 << 26
"""Pixels of a grid of real images that is still looked at."""

Latents = NDArray[np.float32]


@dataclass(frozen=True)
class Opinion:
    """What the discriminator finds of an image."""

    logit: float
    label: int
    """The class that it was shown as."""
    above_samples: float
    """Share of the generator's samples that it finds less real."""
    above_real: float | None
    """The same share of the real images of the run's grid, where these can be read."""
    slope: NDArray[np.float32]
    """(H, W): how much more real it would find the image if this pixel were brighter, 1 being the most of any."""


@dataclass(frozen=True)
class Found:
    """The nearest picture that the generator was found to make."""

    latent: Latents
    image: NDArray[np.uint8]
    """(H, W, C)."""
    difference: float
    """Root mean square, in gray levels of 255."""


class Player:
    """Two networks of a run, ready to be asked. Making it takes some seconds: everything is compiled."""

    def __init__(self, run: Run) -> None:
        """Raises `RunError` where the run has no whole checkpoint."""
        self.trained: Trained = load_trained(run)
        recipe = run.recipe()
        self.size, self.std = recipe.latent_size, recipe.latent_std
        self.classes = self.trained.classes if recipe.conditional else {}
        state, game = self.trained.state, self.trained.game
        self._generator = (state.sampled, state.generator_statistics)
        self._discriminator = (state.discriminator, state.discriminator_statistics)
        self._apply, self._judge = _plain(game.generator), _plain(game.discriminator)
        self._make, self._logits = jax.jit(self._apply), jax.jit(self._judge)
        self._slope = jax.jit(jax.value_and_grad(self._one_logit, argnums=1))
        self._latents = np.asarray(Latent(self.size, self.std).draw(random_key(0, "page"), COMPARED))
        self._labels = usual_labels(COMPARED, self.classes) if self.classes else None
        self._samples = self._values(self._latents, self._labels)
        self._said = np.sort(self._say(self._samples, self._labels))
        real = _real_images(run.real_grid, self.trained.image_shape)
        shown = grid_labels(len(self.classes), recipe.grid_columns) if self.classes else None
        self.background = _background(to_uint8(self._samples) if real is None else real)
        """The pixel (C,) that most edges of the images have."""
        self._said_real = None if real is None else np.sort(self._say(_values_of(real), shown))
        self.directions, self.strengths = self._principal()
        self._search = jax.jit(self._descend, donate_argnums=0)
        empty = np.zeros(self.trained.image_shape, np.uint8)
        self.pictures(self._latents[:1], self._same(0, 1))
        self.opinion(empty, 0)
        self.nearest(empty, 0)

    def pictures(self, latents: Latents, labels: Labels | None) -> Images:
        """The images (N, H, W, C) of latents (N, latent size), and of labels (N,) of a conditional generator."""
        return to_uint8(self._values(latents, labels))

    def opinion(self, image: NDArray[np.uint8], label: int | None = None) -> Opinion:
        """What the discriminator finds of an image (H, W, C), shown as one of that class where it is told classes; by
        default as one of `likeliest`."""
        value = _values_of(image)
        label = self.likeliest(image) if label is None else label
        logit, slope = self._slope(self._discriminator, value, self._same(label, 1))
        slope = np.asarray(slope, np.float32).sum(axis=-1)
        return Opinion(
            logit=float(logit),
            label=label,
            above_samples=_share_below(self._said, float(logit)),
            above_real=None if self._said_real is None else _share_below(self._said_real, float(logit)),
            slope=slope / max(float(np.abs(slope).max()), 1e-12),
        )

    def likeliest(self, image: NDArray[np.uint8]) -> int:
        """The class as one of which the discriminator finds an image most real; 0 where it is told none."""
        if not self.classes:
            return 0
        labels = np.arange(len(self.classes), dtype=np.int32)
        same = np.broadcast_to(_values_of(image), (len(labels), *image.shape))
        return int(self._say(same, labels).argmax())

    def nearest(self, image: NDArray[np.uint8], label: int | None = None) -> Found:
        """Search the latents for the picture nearest to an image (H, W, C), by the slope of the difference.

        It begins at the nearest of some samples, and several of them, for the slope leads each into its own valley.
        """
        goal = _values_of(image)
        label = self.likeliest(image) if label is None else label
        samples = self._samples if not self.classes else self._values(self._latents, self._same(label, COMPARED))
        differences = ((samples - goal) ** 2).mean(axis=(1, 2, 3))
        best = np.argsort(differences, kind="stable")[:STARTS]
        latents = jnp.asarray(self._latents[best] / self.std)
        state = (latents, _search_optimizer().init(latents), jnp.zeros((), jnp.int32))
        end = time.monotonic() + SEARCH_SECONDS
        while int(state[2]) < LONGEST_SEARCH and time.monotonic() < end:
            state = self._search(state, self._generator, goal, self._same(label, STARTS))
        found = np.asarray(state[0]) * np.float32(self.std)
        made = self._values(found, self._same(label, STARTS))
        differences = ((made - goal) ** 2).mean(axis=(1, 2, 3))
        place = int(differences.argmin())
        return Found(
            latent=found[place],
            image=to_uint8(made[place]),
            difference=float(np.sqrt(differences[place]) * 127.5),
        )

    # -------------------------------------------------------------------------------------------- the networks

    def _one_logit(self, weights: Any, image: Array, label: Labels | None) -> Array:
        logit: Array = self._judge(weights, (image[None], label))[0]
        return logit

    def _values(self, latents: Latents, labels: Labels | None) -> NDArray[np.float32]:
        made: NDArray[np.float32] = batched(
            partial(self._make, self._generator),
            (np.asarray(latents, np.float32), labels),
            FEW if len(latents) == FEW else MANY,
        )
        return made

    def _say(self, values: NDArray[np.float32], labels: Labels | None) -> NDArray[np.float32]:
        said: NDArray[np.float32] = batched(partial(self._logits, self._discriminator), (values, labels), MANY)
        return said

    def _principal(self) -> tuple[Latents, NDArray[np.float32]]:
        """The directions (K, latent size), of length one, along which the picture changes most, and how much each does.

        They are the leading eigenvectors of the mean of J^T J, where J is the slope of the picture at a latent, taken
        as the difference of two pictures: moving along one by a small t changes the picture by t times its strength
        (root mean square over the latents, length over all pixels).
        """
        steps = np.eye(self.size, dtype=np.float32) * np.float32(SLOPE_STEP * self.std)
        squares = np.zeros((self.size, self.size))
        for i, latent in enumerate(self._latents[:SLOPES_AT]):
            labels = None if self._labels is None else np.full(self.size, self._labels[i], np.int32)
            change = self._values(latent + steps, labels) - self._values(latent - steps, labels)
            slope = change.reshape(self.size, -1).astype(np.float64) / (2 * SLOPE_STEP * self.std)
            squares += slope @ slope.T / SLOPES_AT
        values, vectors = np.linalg.eigh(squares)
        order = np.argsort(values)[::-1][:DIRECTIONS]
        return vectors.T[order].astype(np.float32), np.sqrt(np.maximum(values[order], 0)).astype(np.float32)

    def _descend(self, state: Any, generator: Any, goal: Array, labels: Labels | None) -> Any:
        """Some steps of the search: (latents (S, size) over their deviation, the optimiser's state, steps done)."""

        def far(latents: Array) -> Array:
            made = self._apply(generator, (latents * self.std, labels))
            return jnp.sum(jnp.mean((made - goal) ** 2, axis=(1, 2, 3)) + PRIOR * jnp.mean(latents**2, axis=1))

        def step(_: Any, carried: Any) -> Any:
            latents, optimizer, done = carried
            updates, optimizer = _search_optimizer().update(jax.grad(far)(latents), optimizer)
            return optax.apply_updates(latents, updates), optimizer, done + 1

        return jax.lax.fori_loop(0, SEARCH_STEPS, step, state)

    def _same(self, label: int, count: int) -> Labels | None:
        return np.full(count, label, np.int32) if self.classes else None


def newest_step(run: Run) -> int:
    """The step of the newest checkpoint; -1 where there is none."""
    return checkpoint.newest_step(run.checkpoints, run.identity)


def _plain(network: Network) -> Any:
    """(weights and statistics, (inputs, labels)) -> outputs, as after training."""

    def apply(weights: tuple[Weights, Weights], asked: tuple[Array, Labels | None]) -> Array:
        return network.apply(*weights, *asked, train=False)[0]

    return apply


def _search_optimizer() -> optax.GradientTransformation:
    return optax.adam(SEARCH_RATE)


def _values_of(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return images.astype(np.float32) / np.float32(127.5) - 1


def _background(images: Images) -> NDArray[np.uint8]:
    edges = (images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1])
    pixels = np.concatenate([edge.reshape(-1, images.shape[-1]) for edge in edges])
    found: NDArray[np.uint8] = np.median(pixels, axis=0).astype(np.uint8)
    return found


def _share_below(ordered: NDArray[np.float32], value: float) -> float:
    return float(np.searchsorted(ordered, value) / len(ordered))


def _real_images(path: Path, shape: tuple[int, int, int]) -> Images | None:
    """The images of a grid; None where it cannot be read, or images with alpha lie in it on their squares."""
    height, width, channels = shape
    if channels == 4:
        return None
    scale = grid_scale(height, width)
    try:
        with open_plain(path) as file, Image.open(file, formats=["PNG"]) as opened:
            if opened.width * opened.height > LARGEST_REAL:
                return None
            pixels = np.asarray(opened)[::scale, ::scale]
    except (OSError, SyntaxError, Image.DecompressionBombError):
        return None
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    rows, columns = ((side - 1) // (size + 1) for side, size in zip(pixels.shape[:2], (height, width), strict=True))
    if pixels.shape[2] != channels or not rows or not columns:
        return None
    images = pixels[1 : 1 + rows * (height + 1), 1 : 1 + columns * (width + 1)]
    apart = images.reshape(rows, height + 1, columns, width + 1, channels)[:, :height, :, :width]
    return np.ascontiguousarray(apart.swapaxes(1, 2).reshape(-1, height, width, channels))
