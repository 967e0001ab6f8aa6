"""WHAT A DEVICE COSTS: milliseconds a step on 1, 2 and 4 virtual devices that share this machine's cores.

python benchmarks/devices.py [RECIPE ...]

Virtual devices add no cores, so a step can only get slower: the table tells what sharing a batch and adding up over the
devices costs. Chunks of steps alternate between the numbers of devices, in one process; medians and ratios are printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

COUNTS = (1, 2, 4)
SECONDS = 0.5
"""How long a chunk takes, about."""

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={max(COUNTS)}"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax  # noqa: E402 (it reads the two lines above)
import jax.numpy as jnp  # noqa: E402

from sparring import data  # noqa: E402
from sparring.data import batches  # noqa: E402
from sparring.gan.batch import Batch  # noqa: E402
from sparring.gan.gan import make_gan  # noqa: E402
from sparring.gan.randomness import random_key  # noqa: E402
from sparring.gan.state import init_state  # noqa: E402
from sparring.recipes import RECIPES, named_recipe  # noqa: E402
from sparring.training.chunks import CAPACITY, compile_chunk  # noqa: E402
from sparring.training.devices import choose_devices  # noqa: E402


def main() -> None:
    """Measure, and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", default=["mlp-128", "mlp-256", "dcgan-tanh"])
    parser.add_argument("--rounds", type=int, default=7, help="chunks of each number of devices")
    given = parser.parse_args()
    if unknown := set(given.recipes) - set(RECIPES):
        parser.error(f"there is no recipe {min(unknown)!r}")
    print("| recipe | batch | " + " | ".join(f"{count} device{'s'[: count > 1]}" for count in COUNTS) + " |")
    print("| --- | --- | " + " | ".join("---" for _ in COUNTS) + " |")
    for name in given.recipes:
        runs = {count: prepared(name, count) for count in COUNTS}
        milliseconds = measured(runs, given.rounds)
        cells = [f"{value:.2f} ms (x {value / milliseconds[1]:.2f})" for value in milliseconds.values()]
        print(f"| {name} | {named_recipe(name).batch_size} | {' | '.join(cells)} |", flush=True)


def prepared(name: str, count: int) -> Callable[[int], float]:
    """Steps -> the seconds that they took on so many devices."""
    recipe, devices = named_recipe(name), choose_devices(count)
    images = data.load(recipe.data).images
    gan = make_gan(recipe, (images.shape[1], images.shape[2], images.shape[3]))
    state = devices.place(jax.jit(lambda key: init_state(gan, key))(random_key(recipe.seed, "weights")))
    placed = Batch(jnp.asarray(devices.place(images)))
    permutation = devices.place(batches.permutation(random_key(recipe.seed, "permutations"), 0, len(images)))
    chunk = compile_chunk(gan, state, placed, recipe.seed, devices)

    def run(steps: int) -> float:
        nonlocal state
        began = time.perf_counter()
        state, _ = chunk(state, placed, permutation, steps)
        return time.perf_counter() - began

    return run


def measured(runs: dict[int, Callable[[int], float]], rounds: int) -> dict[int, float]:
    """Medians of milliseconds a step for each number of devices, chunks taken in turn."""
    lengths = {count: chunk_length(run) for count, run in runs.items()}
    seconds: dict[int, list[float]] = {count: [] for count in runs}
    for _ in range(rounds):
        for count, run in runs.items():
            seconds[count].append(run(lengths[count]) / lengths[count])
    return {count: 1000 * statistics.median(taken) for count, taken in seconds.items()}


def chunk_length(run: Callable[[int], float]) -> int:
    """Steps that take about `SECONDS`; the first call is not counted."""
    run(2)
    return max(2, min(CAPACITY, int(SECONDS / (run(3) / 3))))


if __name__ == "__main__":
    main()
