"""THE CATALOGUE of recipes, as a table for people and as JSON for programs."""

from typing import Any

from rich import box
from rich.table import Table

from sparring import networks
from sparring.gan.gan import MNIST_SHAPE, game_of
from sparring.recipes.recipe import Recipe
from sparring.terminal.output import plain_console
from sparring.terminal.progress import duration


def entry(recipe: Recipe) -> dict[str, Any]:
    """The recipe with the parameters of its networks for MNIST's images, as JSON values."""
    game = game_of(recipe.replace(conditional=False), MNIST_SHAPE)
    return recipe.to_json() | {
        "generator_parameters": networks.count(game.generator),
        "discriminator_parameters": networks.count(game.discriminator),
        "expected_seconds": recipe.expected_seconds,
    }


def print_table(recipes: list[Recipe], default: str) -> None:
    """Print the recipes, the default one marked."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("recipe", no_wrap=True)
    table.add_column("source and networks", ratio=1)
    for heading in ("parameters", "steps", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for recipe in recipes:
        about = entry(recipe)
        table.add_row(
            recipe.name + (" *" if recipe.name == default else ""),
            f"{recipe.source}\nG {_words(about['generator'])}; D {_words(about['discriminator'])}",
            f"G {about['generator_parameters']:,}\nD {about['discriminator_parameters']:,}",
            f"{recipe.steps:,}",
            duration(recipe.expected_seconds),
            end_section=True,
        )
    console = plain_console()
    console.print(table)
    console.print(
        "* what `sparring train` takes by itself. Times are of two CPU cores, start and compilation not counted."
    )


def _words(network: dict[str, Any]) -> str:
    """A network's sizes in short: "mlp 256-512"."""
    parts = [network[name] for name in network if name in ("hidden", "dense", "channels")]
    sizes = [size for part in parts for size in (part if isinstance(part, list) else [part])]
    return f"{network['kind']} {'-'.join(map(str, sizes))}"
