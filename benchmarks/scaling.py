"""THE SCALING: milliseconds a step against batch size, width, image size and number of replicas, as Markdown.

    python benchmarks/scaling.py                      # all tables, some six minutes on two cores
    python benchmarks/scaling.py --tables batch width --json scaling.json

Each line is `sparring.training.benchmark.measure`: the compiled loop timed in turn with a matrix product, on random
pixels. A table is an entry of `TABLES`: what changes from line to line, and the recipe of each.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sparring.gan.gan import MNIST_SHAPE, ImageShape
from sparring.recipes import named_recipe
from sparring.recipes.recipe import Recipe
from sparring.training import benchmark as speed
from sparring.training.benchmark import Speed

IMAGES = 20_000
"""Images that batches are drawn from."""


@dataclass(frozen=True)
class Case:
    """One line of a table."""

    recipe: Recipe
    changed: str
    """What is special in it, in words."""
    image_shape: ImageShape = MNIST_SHAPE
    replicas: int = 1


def batch() -> Iterator[Case]:
    """Images in a batch, 16 to 4,096."""
    for name in ("mlp-256", "mlp-128"):
        for size in (16, 32, 64, 128, 256, 512, 1024, 2048, 4096):
            yield Case(named_recipe(name).replace(batch_size=size), f"batch {size:,}")


def width() -> Iterator[Case]:
    """Neurons of both networks' hidden layers."""
    for neurons in (64, 128, 256, 512, 1024, 2048, 4096):
        hidden = {"generator.hidden": (neurons,), "discriminator.hidden": (neurons,)}
        yield Case(named_recipe("mlp-256").replace(**hidden), f"{neurons:,} neurons")


def size() -> Iterator[Case]:
    """Sides of square images. dcgan-tanh's batches are small here, so that it does not take minutes."""
    for recipe in (named_recipe("mlp-256"), named_recipe("dcgan-tanh").replace(batch_size=16)):
        for side in (28, 32, 64):
            yield Case(recipe, f"{side} x {side}, batch {recipe.batch_size}", (side, side, 1))


def replicas() -> Iterator[Case]:
    """Seeds trained at once in one program; a step is one of all of them."""
    for name in ("mlp-256", "mlp-128", "mlp-sgd"):
        for count in (1, 2, 4, 8, 16):
            yield Case(named_recipe(name), f"{count} replica{'s' if count > 1 else ''}", replicas=count)


TABLES: dict[str, Callable[[], Iterator[Case]]] = {"batch": batch, "width": width, "size": size, "replicas": replicas}

HEADINGS = [
    "recipe",
    "",
    "ms a step",
    "lowest to highest",
    "us an image",
    "MFLOP a step",
    "GFLOP/s",
    "of the product's",
]


def row(case: Case, measured: Speed) -> list[str]:
    """A line of a table."""
    return [
        measured.recipe,
        case.changed,
        f"{measured.milliseconds:.3g}",
        f"{min(measured.times):.3g} to {max(measured.times):.3g}",
        f"{1000 * measured.milliseconds / measured.images:.3g}",
        f"{measured.operations / 1e6:,.0f}",
        f"{measured.rate:,.0f}",
        f"{measured.share:.0%}",
    ]


def markdown(rows: list[list[str]]) -> str:
    """The lines as a Markdown table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [HEADINGS, ["---"] * len(HEADINGS), *rows])


def main() -> None:
    """Measure what is asked for; print each table when it is whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES), metavar="TABLE")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each round, about")
    parser.add_argument("--json", type=Path, help="write every round to this file")
    given = parser.parse_args()
    found = []
    for name in given.tables:
        rows = []
        for case in TABLES[name]():
            print(f"{name}: {case.recipe.name}, {case.changed}", file=sys.stderr)
            measured = speed.measure(
                case.recipe,
                case.image_shape,
                rounds=given.rounds,
                seconds=given.seconds,
                images=IMAGES,
                replicas=case.replicas,
            )
            rows.append(row(case, measured))
            found.append({"table": name, "changed": case.changed} | measured.to_json())
        print(f"\n{TABLES[name].__doc__}\n\n{markdown(rows)}", flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
