"""STACKED MNIST: how many of its 1,000 modes each recipe captures, by the protocol of Lin et al. 2018 (PacGAN).

python benchmarks/stacked.py --out stacked
python benchmarks/stacked.py --out stacked --recipes mlp-128,mlp-256 --steps 20000 --seeds 0,1,2

Runs lie in the folder `--out`, one a recipe, number of steps and seed, and the table in `stacked.md`. What is there
already is not done again, so the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from quality import judged, parser_of, table

from sparring.data.named import stacked
from sparring.evaluation import comparison
from sparring.evaluation.metrics.modes import SAMPLES, protocol_words
from sparring.evaluation.protocol import TRAINING_SEEDS
from sparring.evaluation.verdict import Verdict
from sparring.recipes import RECIPES, named_recipe

SHOWN = ("modes", "mode_divergence", "confident", "frechet_ratio")


def main() -> None:
    """Train what is missing, measure what is missing, print the table as Markdown."""
    parser = parser_of(__doc__, type=names, metavar="A,B")
    parser.add_argument("--seeds", type=numbers, default=list(TRAINING_SEEDS), metavar="0,1", help="of the trainings")
    given = parser.parse_args()
    verdicts = [verdict_on(given.out, name, given.steps, seed) for name in given.recipes for seed in given.seeds]
    comparison.check_comparable(verdicts)
    rows = comparison.rows(verdicts, by_recipe=True)
    rows.sort(key=lambda row: (-(row.mean("modes") or 0), row.mean("mode_divergence") or 0))  # most modes first
    text = f"{table(rows, SHOWN)}\n\n{protocol(verdicts[0])}"
    (given.out / "stacked.md").write_text(text + "\n")
    print(text)


def names(text: str) -> list[str]:
    """The names of recipes, with commas between them."""
    found = text.split(",")
    if unknown := [name for name in found if name not in RECIPES]:
        raise argparse.ArgumentTypeError(f"there is no recipe {unknown[0]!r}, only {', '.join(RECIPES)}")
    return found


def numbers(text: str) -> list[int]:
    """Whole numbers with commas between them."""
    return [int(part) for part in text.split(",")]


def verdict_on(out: Path, name: str, steps: int | None, seed: int) -> Verdict:
    """The verdict on one training."""
    wanted = steps or named_recipe(name).steps
    plain: dict[str, Any] = {"data": stacked.STACKED, "conditional": False}  # published numbers are without classes
    return judged(out / f"{name}-{wanted}-{seed}", name, steps=wanted, seed=seed, **plain)


def protocol(verdict: Verdict) -> str:
    """Every figure that decides these numbers, in a few sentences."""
    assert verdict.modes is not None
    usual = "" if sum(verdict.modes.histogram) == SAMPLES else f" (the protocol has {SAMPLES:,})"
    return (
        f"Data: {verdict.data['training']:,} of {stacked.COUNTS['train']:,} stacked images to train on (the others are "
        f"validation images). Modes: {protocol_words(verdict.modes)}{usual}. The judge is {verdict.extractor['name']}. "
        f"{verdict.extractor['caveat']} Distance and clear pictures: {verdict.samples:,} samples against "
        f"{verdict.data['unseen']:,} {verdict.data['split']} images. ± is the standard deviation over training seeds, "
        "or of one run its standard error."
    )


if __name__ == "__main__":
    main()
