"""WINDOWS: training images that a device has no room for, brought there in the order in which they are used.

the next steps -> which images they take -> these, read from the disk one after the other -> the devices

A thread prepares the next window while the training uses the last one. What is trained is the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from functools import lru_cache, partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from sparring.data import batches
from sparring.data.selection import ManyImages, aligned, select
from sparring.gan.batch import Examples
from sparring.gan.randomness import random_key, step_keys
from sparring.recipes.recipe import Recipe
from sparring.system.numerics import in_thread
from sparring.training import memory, processes
from sparring.training.devices import Devices

MIB = 1 << 20
WINDOW_BYTES = 256 * MIB
"""Both windows together, the one in use and the next, where nobody says how large they shall be."""
READ = 512
"""Images that are read at once: between two such, others of this program can go on."""


class Segment(NamedTuple):
    """Some steps of a chunk, and what they take their batches from."""

    data: Examples
    """All images (count, H, W, C), uint8, with labels (count,) or without; or a window of them: (steps, batch, ...), or
    of several replicas (steps, replicas, batch, ...)."""
    where: Array
    """The epoch's permutation (count,) or (replicas, count); of a window the step that it begins with ()."""
    steps: int


class Feed(Protocol):
    """What a training takes its images from."""

    streamed: bool
    """Whether by windows."""
    data: Examples
    """Such as those of the segments, or its shapes and types."""

    def segments(self, step: int, end: int) -> Iterator[Segment]:
        """What the steps after `step` up to `end` take, all of one epoch."""


# ------------------------------------------------------------------------------------------------ which images


class Order:
    """Which images each step takes: a function of seed and step, as in the compiled chunk."""

    def __init__(self, recipe: Recipe, count: int, seeds: Sequence[int] | None = None) -> None:
        """Of `count` images; of the recipe's seed, or of several replicas' seeds."""
        self._name, self._count, self._batch = recipe.data_order, count, recipe.reals_per_step
        self._replicas = seeds is not None
        self._seeds = [recipe.seed] if seeds is None else list(seeds)
        self._keys = [np.asarray(jax.random.key_data(random_key(seed, "steps"))) for seed in self._seeds]
        self._no_orders = np.zeros((len(self._seeds), 1), np.int32)
        self.permutation = lru_cache(maxsize=1)(self._permutation)  # sorting takes some 30 ms

    def epoch(self, step: int) -> int:
        """How often the images have been shuffled anew before the step that follows `step`."""
        return step // (self._count // self._batch) if self._name == "shuffle" else 0

    def _permutation(self, epoch: int) -> Array:
        """The epoch's (count,), or (replicas, count)."""
        keys = [random_key(seed, "permutations") for seed in self._seeds]
        found = [batches.permutation(key, epoch, self._count) for key in keys]
        return jnp.stack(found) if self._replicas else found[0]

    def shape(self, steps: int) -> tuple[int, ...]:
        """(steps, batch), or (steps, replicas, batch)."""
        return (steps, len(self._seeds), self._batch) if self._replicas else (steps, self._batch)

    def places(self, first: int, steps: int) -> NDArray[np.int32]:
        """Those of so many steps after step `first`, of that shape."""
        every = np.arange(first, first + steps)
        found = np.empty((steps, len(self._seeds), self._batch), np.int32)
        for epoch in range(self.epoch(first), self.epoch(first + steps - 1) + 1):
            orders = np.atleast_2d(self.permutation(epoch)) if self._name == "shuffle" else self._no_orders
            here = [self.epoch(int(step)) == epoch for step in every]
            for i, (key, order) in enumerate(zip(self._keys, orders, strict=True)):
                taken = _places(self._name, self._count, self._batch, steps, key, first, order)
                found[here, i] = np.asarray(taken)[here]
        return found if self._replicas else found[:, 0]


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _places(name: str, count: int, batch: int, steps: int, seed_key: Array, first: Array, permutation: Array) -> Array:
    """(steps, batch)."""

    def of_step(step: Array) -> Array:
        return batches.DRAWS[name](step_keys(seed_key, step)[0], step, permutation, count, batch)

    return jax.vmap(of_step)(first + jnp.arange(steps))


# ------------------------------------------------------------------------------------------------ the two feeds


class ResidentFeed:
    """All images stay on the devices."""

    streamed = False

    def __init__(self, data: Examples, order: Order, devices: Devices) -> None:
        self.data = data
        self._order = order
        self._permutation = lru_cache(maxsize=1)(lambda epoch: devices.place(order.permutation(epoch)))

    def segments(self, step: int, end: int) -> Iterator[Segment]:
        """All of them at once."""
        yield Segment(self.data, self._permutation(self._order.epoch(step)), end - step)


class _Window(NamedTuple):
    data: Examples
    first: int
    end: int


class StreamedFeed:
    """The images of so many steps at a time."""

    streamed = True

    def __init__(self, data: Examples, order: Order, steps: int, last: int, devices: Devices) -> None:
        """StreamedFeed of `steps` steps; after step `last` none is needed."""
        self._all = data._replace(images=select(data.images, np.arange(len(data.images))))
        self._order, self._steps, self._last, self._devices = order, steps, last, devices
        self.data = _each(lambda rows: devices.divided((*order.shape(steps), *rows.shape[1:]), rows.dtype), data)
        self._thread = ThreadPoolExecutor(1, "window")
        self._now: _Window | None = None
        self._next: tuple[int, Future[_Window]] | None = None

    def segments(self, step: int, end: int) -> Iterator[Segment]:
        """One of each window."""
        while step < end:
            window = self._window(step)
            until = min(end, window.end)
            yield Segment(window.data, self._devices.place(np.int32(window.first)), until - step)
            step = until

    def prepare(self, first: int) -> None:
        """Begin with the window of the steps after `first`."""
        self._next = (first, self._thread.submit(in_thread(self._read), first)) if first < self._last else None

    def _window(self, step: int) -> _Window:
        if self._now is None or not self._now.first <= step < self._now.end:
            self._now = None  # makes room
            if self._next is None or self._next[0] != step:
                self.prepare(step)
            assert self._next is not None
            self._now = self._next[1].result()
            self.prepare(self._now.end)
        return self._now

    def _read(self, first: int) -> _Window:
        with _on_cpu():
            places = self._order.places(first, self._steps)
        steps = min(self._steps, self._last - first)

        def window(rows: Any, like: jax.ShapeDtypeStruct) -> Array:
            return self._devices.divide(like, partial(_read, rows, places, steps))

        data = _each(window, self._all, self.data)
        jax.block_until_ready(data)  # type: ignore[no-untyped-call]
        return _Window(data, first, first + self._steps)


def _each(function: Callable[..., Any], *examples: Examples) -> Examples:
    """The function of the images, and of the labels where there are any."""
    return Examples(*jax.tree.map(function, *map(tuple, examples)))


def _read(rows: Any, places: NDArray[np.int32], steps: int, index: tuple[slice, ...]) -> NDArray[Any]:
    """Part of a window: the rows of these places (steps, ..., batch), of which the first `steps` will be used."""
    wanted = places[index[: places.ndim]]
    window = aligned((*wanted.shape, *rows.shape[1:]), rows.dtype)
    into, flat = window.reshape(-1, *rows.shape[1:]), wanted[:steps].reshape(-1)
    for i in range(0, len(flat), READ):
        some = rows[flat[i : i + READ]]
        into[i : i + len(some)] = some
    into[len(flat) :] = 0
    return window


def _on_cpu() -> Any:
    """So that indices need not wait for what a GPU is busy with."""
    try:
        return jax.default_device(jax.local_devices(backend="cpu")[0])
    except RuntimeError:  # JAX was told to leave the CPU alone
        return nullcontext()


# ------------------------------------------------------------------------------------------------ which of the two


def steps_in_window(
    images: ManyImages, recipe: Recipe, used: Devices, mebibytes: int | None, replicas: int = 1
) -> int | None:
    """How many steps a window has; None where all images may stay on the devices.

    They may where they take no more than `mebibytes`, or, if that is None, than there is room for. The same in all
    processes.
    """
    bytes_allowed = memory.room(used) if mebibytes is None else mebibytes * MIB
    said = [word["room"] for word in processes.exchange({"room": bytes_allowed})]
    known: list[int] = [allowed for allowed in said if allowed is not None]
    if not known or images.size <= min(known):
        return None
    both = min(known) if mebibytes is not None else min(min(known), WINDOW_BYTES)
    step = replicas * recipe.reals_per_step * images.size // len(images)
    return max(1, min(both // 2 // step, recipe.steps))


def words(images: ManyImages, recipe: Recipe, steps: int, replicas: int = 1) -> str:
    """What is done, for the user."""
    window = steps * replicas * recipe.reals_per_step * images.size // len(images)
    return (
        f"the {images.size / MIB:,.0f} MiB of images do not stay on the device: they are streamed there in windows of "
        f"{steps:,} step{'s'[: steps > 1]}, {window / MIB:,.0f} MiB each"
    )
