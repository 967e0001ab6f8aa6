"""THE FEED: the images of each chunk. They are resident on the device, or streamed to it in windows.

the next steps -> the places of their images -> a window, read from the disk in that order -> the devices

A thread prepares the next window while the training uses the last one. The result is the same, bit for bit.
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
from sparring.gan.batch import Batch
from sparring.gan.gan import BatchPlan
from sparring.gan.randomness import random_key, step_keys, steps_key
from sparring.system.numerics import in_thread
from sparring.training import memory, processes
from sparring.training.devices import Devices

MIB = 1 << 20
WINDOW_BYTES = 256 * MIB
"""Default size of both windows together: the one in use and the next."""
READ = 512
"""Images that are read at once; other threads run in between."""


class Segment(NamedTuple):
    """Some steps of a chunk, and the data that they take their batches from."""

    data: Batch
    """All images (count, H, W, C), uint8, with labels (count,) or None; or a window of them: (steps, batch, ...), with
    replicas (steps, replicas, batch, ...)."""
    where: Array
    """The epoch's permutation (count,) or (replicas, count); for a window, the step at which it begins ()."""
    steps: int


class Feed(Protocol):
    """Gives a training its images."""

    streamed: bool
    """Whether the segments hold windows."""
    data: Batch
    """An example of the segments' data, or its shapes and types."""

    def segments(self, step: int, end: int) -> Iterator[Segment]:
        """The segments of the steps after `step` up to `end`, all in one epoch."""


# ------------------------------------------------------------------------------------------------ which images


class Order:
    """The places of the images in each batch: a function of seed and step, as in the compiled chunk."""

    def __init__(self, plan: BatchPlan, count: int, seed: int | Sequence[int]) -> None:
        """For `count` images, and the seed of a run or those of several replicas."""
        self._name, self._count, self._batch = plan.order, count, plan.real
        self._replicas = not isinstance(seed, int)
        self._seeds = [seed] if isinstance(seed, int) else list(seed)
        self._keys = [steps_key(seed) for seed in self._seeds]
        self._no_orders = np.zeros((len(self._seeds), 1), np.int32)
        self.permutation = lru_cache(maxsize=1)(self._permutation)  # sorting takes about 30 ms

    def epoch(self, step: int) -> int:
        """The epoch of the step that follows `step`; 0 for an order that is not shuffled."""
        return step // (self._count // self._batch) if self._name == "shuffle" else 0

    def _permutation(self, epoch: int) -> Array:
        """The permutation of an epoch (count,), or (replicas, count)."""
        keys = [random_key(seed, "permutations") for seed in self._seeds]
        found = [batches.permutation(key, epoch, self._count) for key in keys]
        return jnp.stack(found) if self._replicas else found[0]

    def shape(self, steps: int) -> tuple[int, ...]:
        """(steps, batch), or (steps, replicas, batch)."""
        return (steps, len(self._seeds), self._batch) if self._replicas else (steps, self._batch)

    def places(self, first: int, steps: int) -> NDArray[np.int32]:
        """The places of `steps` steps after step `first`, with the shape of `shape`."""
        every = np.arange(first, first + steps)
        found = np.empty((steps, len(self._seeds), self._batch), np.int32)
        for epoch in range(self.epoch(first), self.epoch(first + steps - 1) + 1):
            orders = np.atleast_2d(self.permutation(epoch)) if self._name == "shuffle" else self._no_orders
            in_epoch = [self.epoch(int(step)) == epoch for step in every]
            for i, (key, order) in enumerate(zip(self._keys, orders, strict=True)):
                taken = _places(self._name, self._count, self._batch, steps, key, first, order)
                found[in_epoch, i] = np.asarray(taken)[in_epoch]
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

    def __init__(self, data: Batch, order: Order, devices: Devices) -> None:
        self.data = data
        self._order = order
        self._permutation = lru_cache(maxsize=1)(lambda epoch: devices.place(order.permutation(epoch)))

    def segments(self, step: int, end: int) -> Iterator[Segment]:
        """All images, and all steps at once."""
        yield Segment(self.data, self._permutation(self._order.epoch(step)), end - step)


class _Window(NamedTuple):
    data: Batch
    first: int
    end: int


class StreamedFeed:
    """Windows of the images are on the devices, each for some steps."""

    streamed = True

    def __init__(self, data: Batch, order: Order, steps: int, last: int, devices: Devices) -> None:
        """StreamedFeed of `steps` steps; after step `last` none is needed."""
        self._all = data._replace(images=select(data.images, np.arange(len(data.images))))
        self._order, self._steps, self._last, self._devices = order, steps, last, devices
        self.data = _each(lambda rows: devices.divided((*order.shape(steps), *rows.shape[1:]), rows.dtype), data)
        self._thread = ThreadPoolExecutor(1, "window")
        self._now: _Window | None = None
        self._next: tuple[int, Future[_Window]] | None = None

    def segments(self, step: int, end: int) -> Iterator[Segment]:
        """One segment for each window."""
        while step < end:
            window = self._window(step)
            until = min(end, window.end)
            yield Segment(window.data, self._devices.place(np.int32(window.first)), until - step)
            step = until

    def prepare(self, first: int) -> None:
        """Start to read the window of the steps after `first`."""
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


def _each(function: Callable[..., Any], *examples: Batch) -> Batch:
    """The function applied to the images, and to the labels if there are any."""
    return Batch(*jax.tree.map(function, *map(tuple, examples)))


def _read(rows: Any, places: NDArray[np.int32], steps: int, index: tuple[slice, ...]) -> NDArray[Any]:
    """Part of a window: the rows at these places (steps, ..., batch), of which the first `steps` are used."""
    wanted = places[index[: places.ndim]]
    window = aligned((*wanted.shape, *rows.shape[1:]), rows.dtype)
    into, flat = window.reshape(-1, *rows.shape[1:]), wanted[:steps].reshape(-1)
    for i in range(0, len(flat), READ):
        some = rows[flat[i : i + READ]]
        into[i : i + len(some)] = some
    into[len(flat) :] = 0
    return window


def _on_cpu() -> Any:
    """Compute on the CPU, so that places do not wait for the GPU."""
    try:
        return jax.default_device(jax.local_devices(backend="cpu")[0])
    except RuntimeError:  # JAX may be configured without the CPU
        return nullcontext()


# ------------------------------------------------------------------------------------------------ which of the two


def steps_in_window(images: ManyImages, batch: int, steps: int, used: Devices, mebibytes: int | None) -> int | None:
    """The steps of one window; None if all images may stay on the devices. The same in all processes.

    `batch` is the number of real images of a step, of all replicas together, `steps` the length of the training.

    They may stay if they take at most `mebibytes`, or, if that is None, at most `memory.room`.
    """
    bytes_allowed = memory.room(used) if mebibytes is None else mebibytes * MIB
    rooms = [message["room"] for message in processes.exchange({"room": bytes_allowed})]
    known: list[int] = [room for room in rooms if room is not None]
    if not known or images.size <= min(known):
        return None
    both = min(known) if mebibytes is not None else min(min(known), WINDOW_BYTES)
    step = batch * images.size // len(images)
    return max(1, min(both // 2 // step, steps))


def words(images: ManyImages, batch: int, steps: int) -> str:
    """A line for the user."""
    window = steps * batch * images.size // len(images)
    return (
        f"the {images.size / MIB:,.0f} MiB of images do not stay on the device: they are streamed there in windows of "
        f"{steps:,} step{'s'[: steps > 1]}, {window / MIB:,.0f} MiB each"
    )
