"""STREAMING: milliseconds a step with images in windows, beside the same with all images on the device, as Markdown.

    python benchmarks/streaming.py                   # random colour pictures of 64 x 64, 1,172 MiB; five minutes
    python benchmarks/streaming.py mlp-256 --images 20000 --window 16 --rounds 5

Both loops are compiled once and take turns, a chunk of each; the images lie in a file that is mapped from the disk. A
line has the medians of the rounds, and the median and the range of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from numpy.typing import NDArray

from sparring.gan.batch import Batch
from sparring.gan.gan import GAN, make_gan
from sparring.gan.randomness import random_key
from sparring.gan.state import init_state
from sparring.recipes import RECIPES, named_recipe
from sparring.recipes.recipe import Recipe
from sparring.training.chunks import CAPACITY, compile_chunk
from sparring.training.devices import ONE_DEVICE
from sparring.training.feed import Feed, Order, ResidentFeed, StreamedFeed, steps_in_window

RECIPES_TIMED = ["mlp-256", "mlp-128", "quick"]
SECONDS = 2.0
"""How long a chunk should take, about."""
SIDE, CHANNELS = 64, 3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", default=RECIPES_TIMED)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--window", type=int, default=64, help="MiB of images on the device")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    if unknown := set(given.recipes) - set(RECIPES):
        parser.error(f"there is no recipe {min(unknown)!r}")
    print("| recipe | steps a window | all on the device | in windows | ratio |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        images = random_file(Path(folder) / "pixels", given.images)
        for name in given.recipes:
            recipe = named_recipe(name).replace(steps=10**7)
            steps = steps_in_window(images, recipe.reals_per_step, recipe.steps, ONE_DEVICE, given.window)
            if steps is None:
                parser.error(f"{given.images:,} images fit into {given.window} MiB; take more, or a smaller --window")
            held, streamed = timed(recipe, images, steps, given.rounds)
            ratios = [b / a for a, b in zip(held, streamed, strict=True)]
            print(
                f"| {name} | {steps:,} | {statistics.median(held):.2f} ms | {statistics.median(streamed):.2f} ms | "
                f"x {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) |",
                flush=True,
            )


def random_file(path: Path, count: int) -> NDArray[np.uint8]:
    """So many random pictures, mapped from a file that is written here."""
    random = np.random.default_rng(0)
    with path.open("wb") as file:
        for _ in range(0, count, 1000):
            file.write(random.bytes(1000 * SIDE * SIDE * CHANNELS))
    return np.memmap(path, np.uint8, "r", shape=(count, SIDE, SIDE, CHANNELS))


def timed(recipe: Recipe, images: NDArray[np.uint8], steps: int, rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds a step of each round, (with all images on the device, with windows of so many steps)."""
    gan = make_gan(recipe, (SIDE, SIDE, CHANNELS))
    data, order = Batch(images), Order(gan.batches, len(images), recipe.seed)
    feeds = (
        ResidentFeed(ONE_DEVICE.put(data), order, ONE_DEVICE),
        StreamedFeed(data, order, steps, recipe.steps, ONE_DEVICE),
    )
    runs = [loop(gan, recipe.seed, feed) for feed in feeds]
    runs[1](1)
    length = max(2, min(CAPACITY, int(SECONDS / min(runs[0](3) / 3 for _ in range(3)))))
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for run, times in zip(runs, found, strict=True):
            times.append(1000 * run(length) / length)
    return found


def loop(gan: GAN, seed: int, feed: Feed) -> Callable[[int], float]:
    """Steps -> the seconds that they took, in chunks that end with the epochs."""
    state = jax.jit(lambda key: init_state(gan, key))(random_key(seed, "weights"))
    chunk = compile_chunk(gan, state, feed.data, seed, streamed=feed.streamed)
    step = 0

    def run(steps: int) -> float:
        nonlocal state, step
        began = time.perf_counter()
        for piece in feed.segments(step, step + steps):
            state, _ = chunk(state, *piece)
        step += steps
        return time.perf_counter() - began

    return run


if __name__ == "__main__":
    main()
