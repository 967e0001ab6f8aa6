"""`sparring recipes`: list the recipes, as a table or as JSON."""

from __future__ import annotations

import json as jsonlib
from dataclasses import dataclass
from typing import Any

from sparring.cli.parsing import Flag, parse
from sparring.recipes import DEFAULT, RECIPES
from sparring.recipes.recipe import Recipe
from sparring.terminal.output import plain_console, print_block


@dataclass(frozen=True)
class RecipesOptions:
    """List the recipes: their source, their networks, and the training time on two CPU cores."""

    json: Flag = False
    """Print JSON, with every setting."""


def run(words: list[str]) -> int:
    """Run `sparring recipes [--json]`."""
    given = parse(RecipesOptions, words, "sparring recipes")
    recipes = [make() for make in RECIPES.values()]
    if given.json:
        print_block(jsonlib.dumps([entry(recipe) for recipe in recipes], indent=2))
    else:
        print_table(recipes, DEFAULT)
    return 0


def entry(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as JSON values, with the number of parameters of its networks for MNIST's images."""
    from sparring import networks
    from sparring.gan.gan import MNIST_SHAPE, make_gan

    gan = make_gan(recipe.replace(conditional=False), MNIST_SHAPE)
    return recipe.to_json() | {
        "generator_parameters": networks.count(gan.generator),
        "discriminator_parameters": networks.count(gan.discriminator),
        "expected_seconds": recipe.expected_seconds,
    }


def print_table(recipes: list[Recipe], default: str) -> None:
    """Print a table of the recipes. A star marks the default."""
    from rich import box
    from rich.table import Table

    from sparring.terminal.progress import duration

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("recipe", no_wrap=True)
    table.add_column("source and networks", ratio=1)
    for heading in ("parameters", "steps", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for recipe in recipes:
        values = entry(recipe)
        table.add_row(
            recipe.name + (" *" if recipe.name == default else ""),
            f"{recipe.source}\nG {_sizes(values['generator'])}; D {_sizes(values['discriminator'])}",
            f"G {values['generator_parameters']:,}\nD {values['discriminator_parameters']:,}",
            f"{recipe.steps:,}",
            duration(recipe.expected_seconds),
            end_section=True,
        )
    console = plain_console()
    console.print(table)
    console.print("* the default of `sparring train`. Times are for two CPU cores, without start and compilation.")


def _sizes(network: dict[str, Any]) -> str:
    """A network's kind and sizes in short: "mlp 256-512"."""
    parts = [network[name] for name in network if name in ("hidden", "dense", "channels")]
    sizes = [size for part in parts for size in (part if isinstance(part, list) else [part])]
    return f"{network['kind']} {'-'.join(map(str, sizes))}"
