"""AGREEMENT: our training step beside a reference's, from equal weights, on equal images and noise, in float64.

What is compared is how far an iteration moves each array, not where the array stands. The relative difference of an
array is max|ours - theirs| / max|theirs|, both being changes in one iteration: far stricter than comparing weights,
whose change in one iteration is small. A change below `ROUNDING` of the largest one in the same network (a bias before
BatchNorm, whose gradient is zero but for rounding) is measured against that limit instead.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import quickly
from numpy.typing import NDArray

from sparring.gan import optimizers
from sparring.gan.batch import Batch as Images
from sparring.gan.gan import GAN, make_gan
from sparring.gan.state import NetworkState, TrainState, init_state
from sparring.gan.step import METRICS, train_step
from sparring.recipes import RECIPES
from sparring.recipes.parts import Optimizer

TOLERANCE = 1e-5
"""The largest relative difference that counts as agreement."""
ROUNDING = 1e-9
"""Changes smaller than this share of their network's largest one are rounding errors."""
IMAGE_SHAPE = (28, 28, 1)
PARTS = {
    "generator": ("generator", "params"),
    "generator_statistics": ("generator", "batch_stats"),
    "discriminator": ("discriminator", "params"),
    "discriminator_statistics": ("discriminator", "batch_stats"),
}
"""What is compared of a `TrainState`, by the first piece of an array's name: the network, and the part of its state."""

Array = NDArray[np.float64]
Arrays = dict[str, Array]
"""Weights and moving statistics by name: {"generator.hidden.0.kernel": (100, 128), ...}."""
Report = dict[str, float]
"""What an iteration says of itself: d_loss, g_loss, accuracy."""


@dataclass(frozen=True)
class Batch:
    """What one iteration is given."""

    real: Array
    """(N, 28, 28, 1)"""
    discriminator_noise: Array
    """(N, latent_size)"""
    generator_noise: Array
    """(M, latent_size)"""


@dataclass(frozen=True)
class Record:
    """A few consecutive iterations of one trainer."""

    batches: Sequence[Batch]
    reports: Sequence[Report]
    """One for each batch."""
    snapshots: Sequence[Arrays]
    """The arrays before the first batch and after each."""


@dataclass(frozen=True)
class Difference:
    """A relative difference, and of what."""

    value: float
    where: str


# ------------------------------------------------------------------------------------------------ what goes in


def make_batch(seed: int, *, real: int, fakes: int, latent_size: int, latent_std: float) -> Batch:
    """So many digit-like images, with noise for as many fakes, and noise for the generator's own batch."""
    rng = np.random.default_rng(seed)
    return Batch(
        real=digit_like(rng, real),
        discriminator_noise=latent_std * rng.normal(size=(real, latent_size)),
        generator_noise=latent_std * rng.normal(size=(fakes, latent_size)),
    )


def digit_like(rng: np.random.Generator, count: int) -> Array:
    """Images (count, 28, 28, 1) in [-1, 1] of which, as in MNIST, four pixels of five are black."""
    shape = (count, *IMAGE_SHAPE)
    return np.where(rng.random(shape) < 0.2, rng.uniform(-1, 1, shape), -1.0)


# ------------------------------------------------------------------------------------------------ our side


def our_gan(name: str, **changes: Any) -> GAN:
    """The gan of the recipe of that name, with these settings changed."""
    return make_gan(RECIPES[name]().replace(**changes), IMAGE_SHAPE)


def our_record(gan: GAN, batches: Sequence[Batch], start: Arrays) -> Record:
    """Our iterations of the gan on those batches, from those arrays."""
    step = quickly.jit(partial(train_step, gan))
    state = state_from(gan, start)
    reports, snapshots = [], [start]
    for batch in batches:
        noise = (batch.discriminator_noise, batch.generator_noise)
        state, row = step(state, Images(batch.real), *noise, jax.random.key(0))
        reports.append(_report(dict(zip(METRICS, row.tolist(), strict=True))))
        snapshots.append(arrays_of(state))
    return Record(batches, reports, snapshots)


def _report(metrics: Mapping[str, float]) -> Report:
    accuracy = (metrics["accuracy_real"] + metrics["accuracy_fake"]) / 2
    return {"d_loss": metrics["d_loss"], "g_loss": metrics["g_loss"], "accuracy": accuracy}


def state_from(gan: GAN, arrays: Arrays) -> TrainState:
    """A state before its first step that holds those arrays, each of which must have its place."""
    shapes = jax.eval_shape(partial(init_state, gan), jax.random.key(0))
    places = {name: leaf.shape for name, leaf in _leaves(shapes)}
    assert places == {name: array.shape for name, array in arrays.items()}, "the networks have other arrays"
    parts = {name: _filled(_part(shapes, name), arrays, name) for name in PARTS}
    generator, g_stats, discriminator, d_stats = parts.values()
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        generator=NetworkState(generator, g_stats, gan.generator_optimizer.init(generator)),
        discriminator=NetworkState(discriminator, d_stats, gan.discriminator_optimizer.init(discriminator)),
        ema={},
        augmentation={},
    )


def arrays_of(state: TrainState) -> Arrays:
    """The state's weights and statistics by name, all of them in float64."""
    assert {leaf.dtype.name for _, leaf in _leaves(state)} == {"float64"}, "something forces another precision"
    return {name: np.asarray(leaf) for name, leaf in _leaves(state)}


def _leaves(state: TrainState) -> Iterable[tuple[str, Any]]:
    for name in PARTS:
        for path, leaf in jax.tree_util.tree_leaves_with_path(_part(state, name)):
            yield _name(name, path), leaf


def _part(state: TrainState, name: str) -> Any:
    network, part = PARTS[name]
    return getattr(getattr(state, network), part)


def _filled(tree: Any, arrays: Arrays, network: str) -> Any:
    return jax.tree_util.tree_map_with_path(lambda path, _: jnp.asarray(arrays[_name(network, path)]), tree)


def _name(network: str, path: Any) -> str:
    return f"{network}.{jax.tree_util.keystr(path, simple=True, separator='.')}"


def outputs(gan: GAN, state: TrainState, batch: Batch, *, train: bool) -> tuple[Array, Array]:
    """The generator's images (M, 28, 28, 1) and how probably real the real ones are (N,), in that mode."""

    def apply(state: TrainState, noise: Any, real: Any) -> tuple[Any, Any]:
        images, _ = gan.generator.apply(state.generator.params, state.generator.batch_stats, noise, train=train)
        d = state.discriminator
        logits, _ = gan.discriminator.apply(d.params, d.batch_stats, real, train=train)
        return images, jax.nn.sigmoid(logits)

    images, probabilities = quickly.jit(apply)(state, batch.generator_noise, batch.real)
    return np.asarray(images), np.asarray(probabilities)


def first_arrays(gan: GAN, draws: int) -> Arrays:
    """Our first weights and statistics by name, drawn so many times: (draws, ...) each."""
    draw = quickly.jit(jax.vmap(partial(init_state, gan)))
    states = draw(jax.random.split(jax.random.key(0), draws))
    return {name: np.asarray(leaf, np.float64) for name, leaf in _leaves(states)}


def our_updates(settings: Optimizer, gradients: Sequence[Array], *, updates_before: int = 0) -> list[Array]:
    """What our optimiser adds to the weights for each gradient in turn; it believes in that many updates before."""
    optimizer = optimizers.optimizer(settings)
    state = optimizer.init(jnp.zeros_like(gradients[0]))
    if updates_before:
        state = optax.tree.set(state, count=jnp.asarray(updates_before, jnp.int32))
    updates = []
    for gradient in gradients:
        update, state = optimizer.update(jnp.asarray(gradient), state)
        updates.append(np.asarray(update))
    return updates


def gradients_like(seed: int, scale: float) -> list[Array]:
    """Five gradients in a row of an array of 100 weights, of about that size."""
    return list(scale * np.random.default_rng(seed).normal(size=(5, 100)))


# ------------------------------------------------------------------------------------------------ the comparison


def assert_agrees(gan: GAN, theirs: Record) -> None:
    """Our iterations of the gan, from the reference's start and on its batches, do what the reference did."""
    _check(worst_difference(our_record(gan, theirs.batches, theirs.snapshots[0]), theirs))


def assert_close(ours: Sequence[Array], theirs: Sequence[Array]) -> None:
    """Each array agrees with its counterpart, relative to the counterpart's largest number."""
    pairs = enumerate(zip(ours, theirs, strict=True))
    _check(max((_relative(a, b, 0.0, f"array {i}") for i, (a, b) in pairs), key=_size))


@contextmanager
def seen_to_differ() -> Iterator[None]:
    """What runs inside must fail for a difference above the tolerance, and for nothing else."""
    with pytest.raises(AssertionError, match=r"differs by \d"):
        yield


def _check(worst: Difference) -> None:
    """The numbers are printed, passed or failed: `pytest -s tests/parity` shows them all."""
    print(f"\n    {worst.where} differs by {worst.value:.1e}")
    assert worst.value <= TOLERANCE, f"{worst.where} differs by {worst.value:.1e}"


def worst_difference(ours: Record, theirs: Record) -> Difference:
    """The largest relative difference of all reports and of all arrays' changes."""
    found: list[Difference] = []
    for i in range(len(theirs.batches)):
        found += _report_differences(ours.reports[i], theirs.reports[i], f"iteration {i}")
        found += _change_differences(_changes(ours, i), _changes(theirs, i), f"iteration {i}")
    return max(found, key=_size)


def _report_differences(ours: Report, theirs: Report, where: str) -> list[Difference]:
    return [_relative(np.array(ours[name]), np.array(theirs[name]), 0.0, f"{where}, {name}") for name in theirs]


def _changes(record: Record, iteration: int) -> Arrays:
    before, after = record.snapshots[iteration : iteration + 2]
    return {name: after[name] - before[name] for name in before}


def _change_differences(ours: Arrays, theirs: Arrays, where: str) -> list[Difference]:
    largest: dict[str, float] = {}
    for name, change in theirs.items():
        network = name.partition(".")[0]
        largest[network] = max(largest.get(network, 0.0), float(np.max(np.abs(change))))
    return [
        _relative(ours[name], theirs[name], ROUNDING * largest[name.partition(".")[0]], f"{where}, {name}")
        for name in theirs
    ]


def _relative(ours: Array, theirs: Array, floor: float, where: str) -> Difference:
    assert ours.shape == theirs.shape
    distance = float(np.max(np.abs(ours - theirs)))
    scale = max(float(np.max(np.abs(theirs))), floor)
    return Difference(distance / scale if distance else 0.0, where)


def _size(difference: Difference) -> float:
    """Not a number counts as the largest of all."""
    return np.inf if np.isnan(difference.value) else difference.value


def assert_same_distribution(name: str, ours: Array, theirs: Array) -> None:
    """Two samples of a uniform distribution around zero have the same bound and the same spread.

    The largest of n numbers lies within 20 / n of the bound but for one case in 10^8; the standard deviation of n
    numbers has a relative error of .45 / sqrt(n), the quotient of two .63 / sqrt(n), of which four are allowed.
    """
    assert ours.shape == theirs.shape
    bound = np.max(np.abs(ours)) / np.max(np.abs(theirs))
    spread = np.std(ours) / np.std(theirs)
    assert abs(bound - 1) <= 20 / ours.size, f"{name}: the bound is {bound:.4f} of theirs"
    assert abs(spread - 1) <= 2.5 / np.sqrt(ours.size), f"{name}: the standard deviation is {spread:.4f} of theirs"
