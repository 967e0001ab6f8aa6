"""WHAT A DEVICE COSTS: milliseconds a step on 1, 2 and 4 virtual devices that share this machine's cores.

python benchmarks/devices.py [RECIPE ...]

Virtual devices add no cores, so a step can only get slower: the table tells what sharing a batch and adding up over the
devices costs. Chunks of steps alternate between the numbers of devices, in one process; medians and ratios are printed.
"""

from __future__ import annotations

import argparse
import os
import statistics

COUNTS = (1, 2, 4)
SECONDS = 0.5
"""How long a chunk takes, about."""

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={max(COUNTS)}"
os.environ["JAX_PLATFORMS"] = "cpu"

from sparring import data  # noqa: E402 (it reads the two lines above)
from sparring.recipes import RECIPES, named_recipe  # noqa: E402
from sparring.training.benchmark import Loop  # noqa: E402
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
        milliseconds = measured({count: prepared(name, count) for count in COUNTS}, given.rounds)
        cells = [f"{value:.2f} ms (x {value / milliseconds[1]:.2f})" for value in milliseconds.values()]
        print(f"| {name} | {named_recipe(name).batch_size} | {' | '.join(cells)} |", flush=True)


def prepared(name: str, count: int) -> Loop:
    """The loop of a recipe on so many devices."""
    recipe = named_recipe(name)
    return Loop(recipe, data.load(recipe.data).images[:], devices=choose_devices(count))


def measured(loops: dict[int, Loop], rounds: int) -> dict[int, float]:
    """Medians of milliseconds a step for each number of devices, chunks taken in turn."""
    lengths = {count: loop.steps_in(SECONDS) for count, loop in loops.items()}
    seconds: dict[int, list[float]] = {count: [] for count in loops}
    for _ in range(rounds):
        for count, loop in loops.items():
            seconds[count].append(loop.seconds(lengths[count]) / lengths[count])
    return {count: 1000 * statistics.median(taken) for count, taken in seconds.items()}


if __name__ == "__main__":
    main()
