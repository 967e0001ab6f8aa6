"""CHUNKS: many steps in one compiled call. What is trained never depends on how long the chunks are."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from sparring.data import batches
from sparring.devices import ONE_DEVICE, Devices
from sparring.game import Game, Latents
from sparring.randomness import random_key
from sparring.recipe import LONGEST_LOG_INTERVAL, Recipe
from sparring.state import TrainState
from sparring.step import METRICS, train_step

CAPACITY = 2 * LONGEST_LOG_INTERVAL
"""The most steps of one chunk."""

Rows = NDArray[np.float32]
"""What `METRICS` names, for each step: (steps, 6)."""

Chunk = Callable[[TrainState, Array, Array, int], tuple[TrainState, Rows]]
"""(state, all images uint8 (count, H, W, C), the epoch's permutation (count,), steps) -> (state, metrics (steps, 6)).
The state that goes in is used up. A chunk stays within one epoch."""


def compile_chunk(game: Game, recipe: Recipe, state: TrainState, images: Array, devices: Devices = ONE_DEVICE) -> Chunk:
    """The compiled loop over `images`. One compilation serves every length, for the trip count is traced.

    State, images and permutation lie where `devices.place` puts them; each batch is shared by the devices.
    """
    draw = batches.DRAWS[recipe.data_order]
    latents = Latents(recipe.latent_size, recipe.latent_std)
    real_batch, fake_batch = recipe.real_batch_size, recipe.batch_size
    reuse = recipe.generator_noise == "reuse"
    steps_key = random_key(recipe.seed, "steps")

    def one_step(state: TrainState, images: Array, permutation: Array) -> tuple[TrainState, Array]:
        data, first, second = jax.random.split(jax.random.fold_in(steps_key, state.step), 3)
        indices = draw(data, state.step, permutation, len(images), real_batch)
        real = devices.share(images[indices].astype(jnp.float32) / 127.5 - 1)  # uint8 => [-1, 1]
        noise = devices.share(latents.draw(first, real_batch))
        again = noise if reuse else devices.share(latents.draw(second, fake_batch))
        trained: tuple[TrainState, Array] = devices.gather(train_step(game, state, real, noise, again))
        return trained

    def chunk(state: TrainState, images: Array, permutation: Array, steps: Array) -> tuple[TrainState, Array]:
        def body(i: Array, carry: tuple[TrainState, Array]) -> tuple[TrainState, Array]:
            state, metrics = carry
            state, row = one_step(state, images, permutation)
            return state, metrics.at[i].set(row)

        nothing = jnp.zeros((CAPACITY, len(METRICS)))
        trained: tuple[TrainState, Array] = jax.lax.fori_loop(0, steps, body, (state, nothing))
        return trained

    permutation = devices.place(batches.permutation(random_key(recipe.seed, "permutations"), 0, len(images)))
    compiled = jax.jit(chunk, donate_argnums=0).lower(state, images, permutation, np.int32(1)).compile()

    def run(state: TrainState, images: Array, permutation: Array, steps: int) -> tuple[TrainState, Rows]:
        if not 1 <= steps <= CAPACITY:
            raise ValueError(f"a chunk has 1 to {CAPACITY} steps, not {steps}")
        state, metrics = compiled(state, images, permutation, np.int32(steps))
        return state, np.asarray(metrics)[:steps]

    return run
