"""CHUNKS: many steps in one compiled call. The result does not depend on the length of the chunks."""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from sparring.data import batches
from sparring.errors import OutOfMemory
from sparring.gan.batch import Batch
from sparring.gan.gan import GAN
from sparring.gan.randomness import step_keys, steps_key
from sparring.gan.state import TrainState
from sparring.gan.step import METRICS, train_step
from sparring.images import from_uint8
from sparring.recipes.settings import LONGEST_LOG_INTERVAL
from sparring.training import memory
from sparring.training.devices import ONE_DEVICE, Devices

CAPACITY = 2 * LONGEST_LOG_INTERVAL
"""The most steps of one chunk."""
SPARE = 0.9
"""Share of the free memory that a recommended batch may take."""
MIRRORED = 0
"""Folded into the key of the data to choose which images are mirrored."""

Rows = NDArray[np.float32]
"""The `METRICS` of each step: (steps, 6), or with replicas (steps, replicas, 6)."""

Chunk = Callable[[TrainState, Batch, Array, int], tuple[TrainState, Rows]]
"""(state, data with images as bytes, the epoch's permutation (count,), steps) -> (state, metrics (steps, 6)).

The input state is donated. A chunk stays within one epoch. A streamed chunk takes a window of the data, and the step at
which the window begins instead of the permutation."""


def compile_chunk(
    gan: GAN,
    state: TrainState,
    data: Batch,
    seed: int | Sequence[int],
    devices: Devices = ONE_DEVICE,
    streamed: bool = False,
) -> Chunk:
    """Compile the loop over `data`. One compilation serves all lengths, because the trip count is traced.

    State, data and permutation are where `devices.place` puts them; each batch is shared by the devices.

    If `streamed`, the data come in windows (`sparring.training.feed`), and their shapes and types are enough.

    With several seeds, that many replicas are trained at once: states and permutations are stacked, one for each seed,
    and the metrics are (steps, seeds, 6).

    Raises `OutOfMemory`, with a batch size that fits, if the program needs more memory than is free.
    """
    # The key is an argument, not a constant, so that one compilation serves all seeds.
    replicas = None if isinstance(seed, int) else len(seed)
    seed_key = steps_key(seed) if isinstance(seed, int) else np.stack([steps_key(each) for each in seed])

    def compiled_for(size: int) -> jax.stages.Compiled:
        resized = dataclasses.replace(gan, batches=gan.batches.resized(size))
        chunk, where = _chunk(resized, len(data.images), devices, replicas, streamed)
        return jax.jit(chunk, donate_argnums=0).lower(state, data, where, seed_key, np.int32(1)).compile()

    compiled = compiled_for(gan.batches.size)
    if (free := memory.free_on(devices)) is not None and memory.needed(compiled) > free:
        raise OutOfMemory(_too_large(gan.batches.size, memory.needed(compiled), free, compiled_for))

    def run(state: TrainState, data: Batch, where: Array, steps: int) -> tuple[TrainState, Rows]:
        if not 1 <= steps <= CAPACITY:
            raise ValueError(f"a chunk has 1 to {CAPACITY} steps, not {steps}")
        state, metrics = compiled(state, data, where, seed_key, np.int32(steps))
        return state, np.asarray(metrics)[:steps]

    return run


def _too_large(batch: int, needed: int, free: int, compiled_for: Callable[[int], jax.stages.Compiled]) -> str:
    """The message of `OutOfMemory`, with the largest of some smaller batches that fits."""
    sizes = f"a step with batches of {batch:,} takes {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free"
    size = needed
    while batch > 2 and size > SPARE * free:
        batch = max(2, int(0.95 * batch * SPARE * free / size) // 2 * 2)  # even, because half of it may be real images
        size = memory.needed(compiled_for(batch))
    if size > free:
        return f"{sizes}; not even batches of {batch} would fit ({size / 1e6:,.0f} MB): take smaller networks or images"
    return f"{sizes}; --batch-size {batch} would fit ({size / 1e6:,.0f} MB)"


def _chunk(
    gan: GAN, count: int, devices: Devices, replicas: int | None, streamed: bool
) -> tuple[Callable[..., tuple[TrainState, Array]], Array]:
    """The loop as a function of (state, data, permutation, seeds, steps), and an example of the permutation."""
    plan, latents = gan.batches, gan.latents
    draw = batches.in_window if streamed else batches.DRAWS[plan.order]

    def one_step(state: TrainState, data: Batch, where: Array, seed_key: Array) -> tuple[TrainState, Array]:
        which, first, second, rest = step_keys(seed_key, state.step)
        indices = draw(which, state.step, where, count, plan.real)
        images, labels = jax.tree.map(lambda rows: devices.share(rows[indices]), data)
        if plan.mirror:
            turned = jax.random.bernoulli(jax.random.fold_in(which, MIRRORED), 0.5, (plan.real, 1, 1, 1))
            images = jnp.where(turned, images[:, :, ::-1], images)
        real = Batch(from_uint8(images), labels)
        noise = devices.share(latents.draw(first, plan.real))
        again = noise if plan.reuse_noise else devices.share(latents.draw(second, plan.size))
        trained: tuple[TrainState, Array] = devices.gather(train_step(gan, state, real, noise, again, rest))
        return trained

    several = (0, 1, None, 0) if streamed else (0, None, 0, 0)  # a permutation, or a part of the window, each
    step = one_step if replicas is None else jax.vmap(one_step, in_axes=several)
    rows = (CAPACITY, len(METRICS)) if replicas is None else (CAPACITY, replicas, len(METRICS))

    def chunk(state: TrainState, data: Batch, where: Array, seed_key: Array, steps: Array) -> tuple[TrainState, Array]:
        def body(i: Array, carry: tuple[TrainState, Array]) -> tuple[TrainState, Array]:
            state, metrics = carry
            state, row = step(state, data, where, seed_key)
            return state, metrics.at[i].set(row)

        trained: tuple[TrainState, Array] = jax.lax.fori_loop(0, steps, body, (state, jnp.zeros(rows)))
        return trained

    orders = (count,) if replicas is None else (replicas, count)
    return chunk, devices.place(np.zeros(() if streamed else orders, np.int32))
