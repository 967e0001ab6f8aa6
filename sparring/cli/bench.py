"""`sparring bench`: time the training steps of recipes."""

from __future__ import annotations

import json as jsonlib
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from sparring.cli.parsing import Flag, optional, parse
from sparring.recipes import RECIPES, named_recipe
from sparring.terminal.output import print_block, print_line


@dataclass(frozen=True)
class BenchOptions:
    """Time the training steps of recipes on random pixels, and a matrix product as the limit of the same machine.
    Without names this takes about three minutes on two CPU cores.

    Prints milliseconds per step, images per second, floating-point operations per step, and their rate as a share of
    the product's rate. Operations are counted by formula: 2 N in out for a dense layer and 2 N H W kh kw C_in C_out for
    a convolution, for the forward pass and for each gradient that a step needs."""

    recipes: Annotated[Positional[tuple[str, ...]], optional("RECIPE ...")] = ()
    """Names of recipes. Default: all, but only the first of those whose steps do the same work."""
    json: Flag = False
    """Print JSON, with every round."""


def run(words: list[str]) -> int:
    """Run `sparring bench [RECIPE ...] [--json]`."""
    given = parse(BenchOptions, words, "sparring bench")
    named = [named_recipe(name) for name in given.recipes]

    from sparring.terminal import progress
    from sparring.training import benchmark

    groups = benchmark.alike(make() for make in RECIPES.values())
    chosen = named or [first for first, *_ in groups]
    speeds: list[benchmark.Speed] = []
    with progress.shown() as report:
        for recipe in chosen:
            report(f"timing {recipe.name}, {len(speeds) + 1} of {len(chosen)}")
            speeds.append(benchmark.measure(recipe))
    if given.json:
        print_block(jsonlib.dumps(benchmark.to_json(speeds), indent=2))
    else:
        benchmark.print_table(speeds)
        others = [f"{other.name} (as {first.name})" for first, *rest in groups for other in rest]
        if others and not named:
            print_line(f"Not timed, because their steps do the same work: {', '.join(others)}.")
    return 0
