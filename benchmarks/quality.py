"""THE LEADERBOARD: recipes, three training seeds each, trained and judged by the protocol; mean and spread.

python benchmarks/quality.py --out leaderboard
python benchmarks/quality.py --out leaderboard --recipes good dcgan
python benchmarks/quality.py --out plain --recipes good --no-conditional
python benchmarks/quality.py --out clothes --recipes good --data fashion-mnist

Runs lie in the folder `--out` (another one for other data, or classes), one a recipe and seed, and the table in
`leaderboard.md`. What is there already is not done again, so the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sparring.evaluation import comparison
from sparring.evaluation.comparison import Row
from sparring.evaluation.protocol import TRAINING_SEEDS
from sparring.evaluation.verdict import MEASURES, Verdict
from sparring.recipes import RECIPES, named_recipe
from sparring.reports import measure as measuring
from sparring.terminal.progress import duration
from sparring.training import train as training

AFFORDABLE = 100
"""Seconds on two cores: what takes longer is trained only where it is named."""


def main() -> None:
    """Train what is missing, measure what is missing, print the table as Markdown."""
    parser = parser_of(__doc__, nargs="+", choices=RECIPES, metavar="RECIPE")
    parser.add_argument("--data", help="what they are trained on and judged by; each recipe's own, if not said")
    parser.add_argument("--conditional", action=argparse.BooleanOptionalAction, help="each recipe's own, if not said")
    given = parser.parse_args()
    other = ({"data": given.data} if given.data else {}) | (
        {} if given.conditional is None else {"conditional": given.conditional}
    )
    verdicts = [
        judged(given.out / f"{name}-{seed}", name, steps=given.steps or named_recipe(name).steps, seed=seed, **other)
        for name in given.recipes
        for seed in TRAINING_SEEDS
    ]
    comparison.check_comparable(verdicts)
    rows = comparison.rows(verdicts, by_recipe=True)
    text = table(rows, [name for name in MEASURES if all(row.mean(name) is not None for row in rows)])
    (given.out / "leaderboard.md").write_text(text + "\n")
    print(text)


def parser_of(about: str, **recipes: Any) -> argparse.ArgumentParser:
    """The options that leaderboards share; `recipes` are the form of the option that names those."""
    parser = argparse.ArgumentParser(
        description=about, epilog=times(), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    default = f"those that take less than {AFFORDABLE} seconds, if none is named"
    parser.add_argument("--recipes", default=affordable(), help=default, **recipes)
    parser.add_argument("--steps", type=int, help="of each recipe; its own number, if not said")
    return parser


def affordable() -> list[str]:
    """The names of the recipes that take less than `AFFORDABLE` seconds."""
    return [name for name in RECIPES if named_recipe(name).expected_seconds < AFFORDABLE]


def times() -> str:
    """How long each recipe takes, in lines of text."""
    lines = [f"  {name:<12}{duration(named_recipe(name).expected_seconds)}" for name in RECIPES]
    return "\n".join([f"one training on two CPU cores; by default there are {len(TRAINING_SEEDS)} of each:", *lines])


def judged(out: Path, recipe: str, **changes: Any) -> Verdict:
    """The verdict on the training of a recipe with these settings, in the folder `out`; what is there is not redone."""
    run = training.train(recipe, out=out, **changes)
    saved = measuring.saved_verdict(run)
    if saved is None:
        print(f"measuring {run.path}", file=sys.stderr)
        saved = measuring.measure(run.path)
    return saved


def table(rows: list[Row], names: Sequence[str]) -> str:
    """The rows as a Markdown table with these measures in columns, real images last."""
    floor = comparison.floor_of(rows[0].verdicts[0])
    lines = [
        ["recipe", "training", *(MEASURES[name].title for name in names)],
        ["---"] * (2 + len(names)),
        *([row.name, comparison.time_words(row), *(comparison.cell(row, name) for name in names)] for row in rows),
        ["real images", "", *(comparison.shown(floor[name], MEASURES[name]) for name in names)],
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
