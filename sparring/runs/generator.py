"""SAMPLING: a trained generator turns latents into images. The same seed gives the same images.

The generator's files hold its sizes, params and batch_stats: it can be rebuilt without the recipe.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array
from numpy.typing import NDArray

from sparring import networks
from sparring.data.classes import Labels, usual_labels
from sparring.errors import CheckpointError, DamageWarning, RecipeError, RunError, UsageError
from sparring.files import atomic, checksummed
from sparring.files.atomic import MayReplace
from sparring.gan.gan import Latents
from sparring.gan.randomness import random_key
from sparring.images import Images, to_uint8
from sparring.networks.batched import batched
from sparring.recipes import arguments
from sparring.recipes.recipe import Recipe
from sparring.runs import checkpoint, identity
from sparring.runs.run import Run, read_json
from sparring.runs.schemas import Description
from sparring.runs.trained import load_trained
from sparring.system.numerics import fixed

FORMAT = Description.FORMAT
MOST = 2**31 - 1
"""The largest count, because JAX counts in int32."""
BATCH = 64
"""Latents that go through the network at once."""


@dataclass(frozen=True, eq=False)
class Generator:
    """A trained generator. `description` is what `generator.json` holds."""

    description: dict[str, Any]
    weights: networks.Params
    statistics: networks.Params

    @property
    def latents(self) -> Latents:
        """The distribution of latents in the training."""
        latent = self.description["latent"]
        return Latents(latent["size"], float(latent["std"]))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        height, width, channels = self.description["image_shape"]
        return height, width, channels

    @property
    def classes(self) -> dict[str, int]:
        """The number of training images of each class, by its name; empty if it is not conditional."""
        known: dict[str, int] = self.description.get("classes", {})
        return known

    @fixed()
    def draw_latents(self, count: int, seed: int = 0, first: int = 0) -> NDArray[np.float32]:
        """`count` random latents (count, latent size), beginning at number `first` of an endless sequence.

        Raises `UsageError` for numbers that are not whole, too small or too large.
        """
        count, first = arguments.whole("count", count, 1, MOST), arguments.whole("first", first, 0, MOST)
        seed = arguments.seed(seed)
        return np.asarray(_latents(self.latents, random_key(seed, "samples"), first, count))

    def sample(self, count: int, seed: int = 0) -> Images:
        """`count` images (count, H, W, C), uint8. The same seed (0 to 2**32 - 1) gives the same images.

        Those of a conditional generator have the classes of `usual_labels`. Raises `UsageError` for other numbers.
        """
        count = arguments.whole("count", count, 1, MOST)
        return self.images(self.draw_latents(count, seed), self.usual_labels(count))

    def usual_labels(self, count: int) -> Labels | None:
        """`count` labels with the class frequencies of the training images; None if it is not conditional."""
        count = arguments.whole("count", count, 1, MOST)
        return usual_labels(count, self.classes) if self.classes else None

    def images(self, latents: NDArray[np.floating[Any]], labels: Labels | None = None) -> Images:
        """Images (N, H, W, C), uint8, of latents (N, latent size) and, for a conditional generator, labels (N,)."""
        made: Images = self._made(latents, labels, to_uint8)
        return made

    def values(self, latents: NDArray[np.floating[Any]], labels: Labels | None = None) -> NDArray[np.float32]:
        """The same images as float32 in [-1, 1]."""
        made: NDArray[np.float32] = self._made(latents, labels, lambda values: values)
        return made

    @fixed()
    def _made(self, latents: NDArray[np.floating[Any]], labels: Labels | None, finish: Callable[[Any], Any]) -> Any:
        latents = _array("latents", latents)
        labels = None if labels is None else _array("labels", labels)
        if latents.ndim != 2 or latents.shape[1] != self.latents.size or latents.dtype.kind not in "fiu":
            raise UsageError(f"latents should have the shape (N, {self.latents.size}), not {latents.shape}")
        if not np.isfinite(latents).all():
            raise UsageError("latents should be finite, but some are NaN or infinite")
        if (labels is None) == bool(self.classes):
            raise UsageError("a conditional generator needs labels, and no other one takes them")
        if labels is not None:
            if labels.shape != latents.shape[:1]:
                raise UsageError(f"labels should have the shape {latents.shape[:1]}, not {labels.shape}")
            if labels.dtype.kind not in "iu" or ((labels < 0) | (labels >= len(self.classes))).any():
                raise UsageError(f"labels should be whole numbers from 0 to {len(self.classes) - 1}")
        asked = (latents.astype(np.float32), labels)
        return batched(lambda part: finish(np.asarray(self._apply(*part))), asked, BATCH)

    def interpolate(
        self, stops: int, images: int, seed: int = 0, closed: bool = False, label: int | None = None
    ) -> Images:
        """A walk through `stops` random latents, `images` from each to the next: ((stops - 1) * images, H, W, C).

        A closed walk returns to the first stop: (stops * images, H, W, C). An open one ends at the last stop. The path
        between two stops is a great circle (Shoemake 1985), because latents on the straight line would be shorter than
        normal latents are. A conditional generator walks within the class `label`, by default the first one.

        `stops` and `images` are 2 or more. Raises `UsageError` for other numbers.
        """
        stops, images = arguments.whole("stops", stops, 2, MOST), arguments.whole("images", images, 2, MOST)
        if label is None and self.classes:
            label = 0
        label = None if label is None else arguments.whole("label", label, 0, max(0, len(self.classes) - 1))
        closed = arguments.flag("closed", closed)
        latents = walk(self.draw_latents(stops, seed), images, closed)
        return self.images(latents, None if label is None else np.full(len(latents), label, np.int32))

    @cached_property
    def _apply(self) -> Any:
        network = _network(self.description)
        return jax.jit(lambda z, labels: network.apply(self.weights, self.statistics, z, labels, train=False)[0])


def _array(name: str, value: Any) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except ValueError:
        raise UsageError(f"{name} should be an array, not {arguments.shown(value)}") from None


def walk(points: NDArray[np.float32], images: int, closed: bool) -> NDArray[np.float64]:
    """Latents on the path through `points` (stops, size), for `Generator.interpolate`."""
    ways = list(zip(points, np.roll(points, -1, axis=0), strict=True))[: len(points) if closed else len(points) - 1]
    return np.concatenate(
        [
            _great_circle(a, b, np.linspace(0, 1, images, endpoint=not closed and i == len(ways) - 1))
            for i, (a, b) in enumerate(ways)
        ]
    )


@fixed()
def load(path: str | Path | Run, best: bool = False) -> Generator:
    """Load the generator of a run, or a `generator.safetensors` with its JSON file. `path` may be a `Run`.

    For a run that was killed, the newest checkpoint is used; with `best`, the state that was judged best during the
    training. If the generator's files are damaged, the newest whole checkpoint is used, with a `DamageWarning`. Raises
    `RunError` if there is no generator.
    """
    path, best = arguments.path("path", path), arguments.flag("best", best)
    if path.is_file():
        if best:
            raise RunError(f"{path} is one generator; only a run has a best state")
        description = path.with_suffix(".json")
        if not description.is_file():
            raise RunError(f"{path} cannot be used without its description, {description.name}, beside it")
        return _load_files(description, path)
    run = Run(path)
    if not run.exists():
        raise RunError(f"{path} is no run of Sparring: it has no {run.recipe_file.name}")
    if best:
        return _from_checkpoint(run, best)
    newest, damage = checkpoint.newest_step(run.checkpoints, run.identity), None
    try:
        saved = _saved_step(run)
        if saved >= max(newest, 0):
            return _load_files(run.generator_description, run.generator_weights)
    except RunError as error:
        if newest < 0:
            raise
        damage = f"{error}; the newest checkpoint is used instead"
    if not checkpoint.all_checkpoints(run.checkpoints):
        raise RunError(f"{path} has no generator yet: nothing was saved before it stopped")
    generator = _from_checkpoint(run)
    if damage:
        warnings.warn(damage, DamageWarning, stacklevel=2)
    return generator


def save(
    run: Run,
    recipe: Recipe,
    image_shape: tuple[int, int, int],
    classes: dict[str, int],
    state: Any,
    trained: dict[str, Any],
) -> None:
    """Write the generator of a training state to the run."""
    description = describe(recipe, image_shape, classes, trained) | identity.mark(run.id)
    write(Generator(description, state.sampled, state.generator.batch_stats), run.generator_weights)


def restore(run: Run) -> str | None:
    """Write the generator of a finished run from its newest checkpoint, if its files are missing.

    Returns a line for the user: what was written, or what is wrong with the files and how to replace them.
    """
    files = (run.generator_description, run.generator_weights)
    missing = [path for path in files if not path.is_file()]
    try:
        if len(missing) == len(files):
            generator = _from_checkpoint(run)
            marked = replace(generator, description=generator.description | identity.mark(run.id))
            write(marked, run.generator_weights)
            return f"{run.generator_weights} was missing and is written again from the newest checkpoint"
        if missing:
            raise RunError(f"{missing[0]} is missing")
        _saved_step(run)
        _load_files(*files)
    except (RunError, CheckpointError) as error:
        names = " and ".join(path.name for path in files)
        return f"{error}; to have {names} written from the newest checkpoint, move both away and resume again"
    return None


def write(generator: Generator, path: Path, may_replace: MayReplace | None = None) -> None:
    """Write a `generator.safetensors`, and a JSON file that says how to rebuild it; `load` reads both."""
    content, about = checkpoint.pack(_tree(generator.weights, generator.statistics))
    atomic.write_bytes(path, content, may_replace)
    checksummed.write(path.with_suffix(".json"), generator.description | {"weights": about}, may_replace)


def describe(
    recipe: Recipe, image_shape: tuple[int, int, int], classes: dict[str, int], trained: dict[str, Any]
) -> dict[str, Any]:
    """What is needed to rebuild the generator of a recipe, except the arrays, and how it was `trained`.

    `classes` are the numbers of training images of each class.
    """
    conditional = {"classes": classes} if recipe.conditional else {}
    return conditional | {
        "format": FORMAT,
        "network": {"kind": recipe.generator.kind, "sizes": dataclasses.asdict(recipe.generator)},
        "latent": {"size": recipe.latent_size, "std": recipe.latent_std},
        "image_shape": list(image_shape),
        "image_range": [-1, 1],
        "trained": trained,
    }


def _latents(latents: Latents, key: Array, first: int, count: int) -> Array:
    return latents.std * jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(key, i), (latents.size,)))(
        np.arange(first, first + count)
    )


def _great_circle(a: NDArray[np.float32], b: NDArray[np.float32], t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points at fractions t of the great circle from a to b; their lengths go from |a| to |b|."""
    length_a, length_b = np.linalg.norm(a), np.linalg.norm(b)
    angle = np.arccos(np.clip(a @ b / (length_a * length_b), -1, 1))
    t = t[:, None]
    if np.sin(angle) < 1e-6:  # parallel, as latents of size 1 always are
        return (1 - t) * a + t * b
    direction = (np.sin((1 - t) * angle) * a / length_a + np.sin(t * angle) * b / length_b) / np.sin(angle)
    points: NDArray[np.float64] = direction * ((1 - t) * length_a + t * length_b)
    return points


def _network(description: dict[str, Any]) -> networks.Network:
    Recipe.check_generator(description["network"]["kind"], description["network"]["sizes"])
    sizes = {k: tuple(v) if isinstance(v, list) else v for k, v in description["network"]["sizes"].items()}
    height, width, channels = description["image_shape"]
    return networks.generator(
        description["network"]["kind"],
        sizes,
        latent_size=description["latent"]["size"],
        image_shape=(height, width, channels),
        classes=len(description.get("classes", {})),
    )


def _tree(weights: networks.Params, statistics: networks.Params) -> Any:
    return {"weights": weights, "statistics": statistics}


def _saved_step(run: Run) -> int:
    if not (run.generator_description.is_file() and run.generator_weights.is_file()):
        return -1
    description = read_json(run.generator_description, run.path, Description)
    if description.get(identity.KEY) != run.id:
        raise RunError(f"{run.generator_description} belongs to another run")
    return int(description["trained"]["step"])


def _load_files(description_file: Path, weights_file: Path) -> Generator:
    description = read_json(description_file, description_file.parent, Description)
    try:
        template = _tree(*jax.eval_shape(_network(description).init, jax.random.key(0)))
        tree = checkpoint.read(weights_file, description["weights"], template)
    except (RecipeError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RunError(f"{description_file} does not describe a generator that is known here ({error!r})") from error
    except CheckpointError as error:
        raise RunError(f"{weights_file} does not fit {description_file.name}: {error}") from error
    return Generator(description, tree["weights"], tree["statistics"])


def _from_checkpoint(run: Run, best: bool = False) -> Generator:
    trained = load_trained(run, best)
    recipe = run.recipe()
    about = {"recipe": recipe.name, "step": trained.step, "data": run.environment()["data"].get("name", recipe.data)}
    description = describe(recipe, trained.image_shape, trained.classes, about)
    return Generator(description, trained.state.sampled, trained.state.generator.batch_stats)
