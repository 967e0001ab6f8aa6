"""The explorer: the two networks of a run's newest checkpoint, for the explore view.

It computes on the CPU and handles one request at a time.
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
from sparring.gan.gan import Latents as LatentPrior
from sparring.gan.randomness import random_key
from sparring.images import LEVELS_PER_UNIT, Images, from_uint8, grid_scale, to_uint8
from sparring.networks import Network, Params
from sparring.networks.batched import batched
from sparring.runs import checkpoint
from sparring.runs.run import Run
from sparring.runs.trained import Trained, load_trained

BATCH_SIZES = 1, 16
"""Images that are generated at once: one for a slider, sixteen for a new sheet."""
COMPARED = 256
"""Samples to compare the discriminator's output with. The search for the nearest image starts from them as well."""
DIRECTIONS = 8
GRADIENT_LATENTS, GRADIENT_STEP = 8, 0.05
"""Latents at which the directions are estimated, and the finite-difference step in standard deviations."""
STARTS, SEARCH_STEPS, SEARCH_RATE = 8, 20, 0.05
"""Starting points of the search, Adam steps per call, and learning rate."""
SEARCH_SECONDS, MAX_SEARCH_STEPS = 1.2, 400
"""The search for the nearest image ends at whichever comes first."""
PRIOR = 1e-4
"""Weight of the latents' mean square in the search, beside the mean square difference of the images."""
MAX_GRID_PIXELS = 1 << 26
"""A larger grid of real images is not read."""

Latents = NDArray[np.float32]


@dataclass(frozen=True)
class DiscriminatorOutput:
    """The discriminator's output for an image."""

    logit: float
    label: int
    """The class that the image was judged as."""
    above_samples: float
    """Share of the generator's samples with a lower logit."""
    above_real: float | None
    """Share of the real images in the run's grid with a lower logit. None if the grid cannot be read."""
    gradient: NDArray[np.float32]
    """(H, W): gradient of the logit with respect to each pixel, scaled to a largest absolute value of 1."""


@dataclass(frozen=True)
class Nearest:
    """The nearest generated image that the search found."""

    latent: Latents
    image: NDArray[np.uint8]
    """(H, W, C)."""
    difference: float
    """Root mean square difference, in gray levels from 0 to 255."""


class Explorer:
    """The networks of a run, compiled. The constructor takes some seconds."""

    def __init__(self, run: Run) -> None:
        """Raises `RunError` if the run has no undamaged checkpoint."""
        self.trained: Trained = load_trained(run)
        recipe = run.recipe()
        self.size, self.std = recipe.latent_size, recipe.latent_std
        self.classes = self.trained.classes if recipe.conditional else {}
        state, gan = self.trained.state, self.trained.gan
        self._generator = (state.sampled, state.generator.batch_stats)
        self._discriminator = (state.discriminator.params, state.discriminator.batch_stats)
        self._apply_generator, self._apply_discriminator = _inference(gan.generator), _inference(gan.discriminator)
        self._generate, self._discriminate = jax.jit(self._apply_generator), jax.jit(self._apply_discriminator)
        self._logit_and_gradient = jax.jit(jax.value_and_grad(self._logit, argnums=1))
        self._latents = np.asarray(LatentPrior(self.size, self.std).draw(random_key(0, "page"), COMPARED))
        self._labels = usual_labels(COMPARED, self.classes) if self.classes else None
        self._samples = self._values(self._latents, self._labels)
        self._sample_logits = np.sort(self._logits(self._samples, self._labels))
        real = _real_images(run.real_grid, self.trained.image_shape)
        shown = grid_labels(len(self.classes), recipe.grid_columns) if self.classes else None
        self.background = _background(to_uint8(self._samples) if real is None else real)
        """The median pixel (C,) of the images' edges."""
        self._real_logits = None if real is None else np.sort(self._logits(from_uint8(real), shown))
        self.directions, self.strengths = self._principal_directions()
        self._search = jax.jit(self._search_steps, donate_argnums=0)
        empty = np.zeros(self.trained.image_shape, np.uint8)  # compiles everything before the first request
        self.images(self._latents[:1], self._repeated(0, 1))
        self.discriminate(empty, 0)
        self.nearest(empty, 0)

    def images(self, latents: Latents, labels: Labels | None) -> Images:
        """Generate images (N, H, W, C) from latents (N, latent size). A conditional generator needs labels (N,)."""
        return to_uint8(self._values(latents, labels))

    def discriminate(self, image: NDArray[np.uint8], label: int | None = None) -> DiscriminatorOutput:
        """Run the discriminator on an image (H, W, C). Without a label it is judged as its `likeliest_class`."""
        value = from_uint8(image)
        label = self.likeliest_class(image) if label is None else label
        logit, gradient = self._logit_and_gradient(self._discriminator, value, self._repeated(label, 1))
        gradient = np.asarray(gradient, np.float32).sum(axis=-1)
        return DiscriminatorOutput(
            logit=float(logit),
            label=label,
            above_samples=_share_below(self._sample_logits, float(logit)),
            above_real=None if self._real_logits is None else _share_below(self._real_logits, float(logit)),
            gradient=gradient / max(float(np.abs(gradient).max()), 1e-12),
        )

    def likeliest_class(self, image: NDArray[np.uint8]) -> int:
        """Return the class with the highest logit for this image, or 0 if the networks are unconditional."""
        if not self.classes:
            return 0
        labels = np.arange(len(self.classes), dtype=np.int32)
        repeated = np.broadcast_to(from_uint8(image), (len(labels), *image.shape))
        return int(self._logits(repeated, labels).argmax())

    def nearest(self, image: NDArray[np.uint8], label: int | None = None) -> Nearest:
        """Search the latents with Adam for the generated image nearest to `image` (H, W, C).

        The search starts from several of the nearest samples, because the difference has local minima.
        """
        target = from_uint8(image)
        label = self.likeliest_class(image) if label is None else label
        samples = self._samples if not self.classes else self._values(self._latents, self._repeated(label, COMPARED))
        differences = ((samples - target) ** 2).mean(axis=(1, 2, 3))
        best = np.argsort(differences, kind="stable")[:STARTS]
        latents = jnp.asarray(self._latents[best] / self.std)
        state = (latents, _search_optimizer().init(latents), jnp.zeros((), jnp.int32))
        end = time.monotonic() + SEARCH_SECONDS
        while int(state[2]) < MAX_SEARCH_STEPS and time.monotonic() < end:
            state = self._search(state, self._generator, target, self._repeated(label, STARTS))
        found = np.asarray(state[0]) * np.float32(self.std)
        made = self._values(found, self._repeated(label, STARTS))
        differences = ((made - target) ** 2).mean(axis=(1, 2, 3))
        place = int(differences.argmin())
        return Nearest(
            latent=found[place],
            image=to_uint8(made[place]),
            difference=float(np.sqrt(differences[place]) * LEVELS_PER_UNIT),
        )

    # -------------------------------------------------------------------------------------------- the networks

    def _logit(self, params: Any, image: Array, label: Labels | None) -> Array:
        logit: Array = self._apply_discriminator(params, (image[None], label))[0]
        return logit

    def _values(self, latents: Latents, labels: Labels | None) -> NDArray[np.float32]:
        one, many = BATCH_SIZES
        made: NDArray[np.float32] = batched(
            partial(self._generate, self._generator),
            (np.asarray(latents, np.float32), labels),
            one if len(latents) == one else many,
        )
        return made

    def _logits(self, values: NDArray[np.float32], labels: Labels | None) -> NDArray[np.float32]:
        apply = partial(self._discriminate, self._discriminator)
        logits: NDArray[np.float32] = batched(apply, (values, labels), BATCH_SIZES[-1])
        return logits

    def _principal_directions(self) -> tuple[Latents, NDArray[np.float32]]:
        """Return the unit directions (K, latent size) along which the image changes most, and their strengths (K,).

        They are the leading eigenvectors of the mean of J^T J. J is the Jacobian of the image at a latent, estimated by
        central differences. A small step t along a direction changes the image by t times its strength (root mean
        square over the latents, Euclidean length over the pixels).
        """
        steps = np.eye(self.size, dtype=np.float32) * np.float32(GRADIENT_STEP * self.std)
        squares = np.zeros((self.size, self.size))
        for i, latent in enumerate(self._latents[:GRADIENT_LATENTS]):
            labels = None if self._labels is None else np.full(self.size, self._labels[i], np.int32)
            change = self._values(latent + steps, labels) - self._values(latent - steps, labels)
            jacobian = change.reshape(self.size, -1).astype(np.float64) / (2 * GRADIENT_STEP * self.std)
            squares += jacobian @ jacobian.T / GRADIENT_LATENTS
        values, vectors = np.linalg.eigh(squares)
        order = np.argsort(values)[::-1][:DIRECTIONS]
        return vectors.T[order].astype(np.float32), np.sqrt(np.maximum(values[order], 0)).astype(np.float32)

    def _search_steps(self, state: Any, generator: Any, target: Array, labels: Labels | None) -> Any:
        """Take `SEARCH_STEPS` steps of the search.

        `state` is (latents (S, size) in standard deviations, the optimiser's state, the number of steps taken).
        """

        def loss(latents: Array) -> Array:
            made = self._apply_generator(generator, (latents * self.std, labels))
            return jnp.sum(jnp.mean((made - target) ** 2, axis=(1, 2, 3)) + PRIOR * jnp.mean(latents**2, axis=1))

        def step(_: Any, carry: Any) -> Any:
            latents, optimizer, count = carry
            updates, optimizer = _search_optimizer().update(jax.grad(loss)(latents), optimizer)
            return optax.apply_updates(latents, updates), optimizer, count + 1

        return jax.lax.fori_loop(0, SEARCH_STEPS, step, state)

    def _repeated(self, label: int, count: int) -> Labels | None:
        return np.full(count, label, np.int32) if self.classes else None


def newest_step(run: Run) -> int:
    """Return the step of the newest checkpoint, or -1 if there is none."""
    return checkpoint.newest_step(run.checkpoints, run.identity)


def _inference(network: Network) -> Any:
    """Return the network in inference mode: ((params, batch_stats), (inputs, labels)) -> outputs."""

    def apply(variables: tuple[Params, Params], inputs: tuple[Array, Labels | None]) -> Array:
        return network.apply(*variables, *inputs, train=False)[0]

    return apply


def _search_optimizer() -> optax.GradientTransformation:
    return optax.adam(SEARCH_RATE)


def _background(images: Images) -> NDArray[np.uint8]:
    edges = (images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1])
    pixels = np.concatenate([edge.reshape(-1, images.shape[-1]) for edge in edges])
    found: NDArray[np.uint8] = np.median(pixels, axis=0).astype(np.uint8)
    return found


def _share_below(ordered: NDArray[np.float32], value: float) -> float:
    return float(np.searchsorted(ordered, value) / len(ordered))


def _real_images(path: Path, shape: tuple[int, int, int]) -> Images | None:
    """Read the images of a grid. None if it cannot be read, or if its images have alpha and lie on a checkerboard."""
    height, width, channels = shape
    if channels == 4:
        return None
    scale = grid_scale(height, width)
    try:
        with open_plain(path) as file, Image.open(file, formats=["PNG"]) as opened:
            if opened.width * opened.height > MAX_GRID_PIXELS:
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
