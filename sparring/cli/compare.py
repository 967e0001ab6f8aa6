"""`sparring compare`: show measured runs side by side."""

from __future__ import annotations

import json as jsonlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from sparring.cli.measure import verdicts_of
from sparring.cli.parsing import Flag, parse
from sparring.errors import UsageError
from sparring.terminal.output import plain_console, print_block


@dataclass(frozen=True)
class CompareOptions:
    """Show runs side by side, the best first. Runs without results are measured first. Results from different
    extractors or against different data cannot be compared."""

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN ...")]
    """Folders of two or more runs."""
    by_recipe: Flag = False
    """Show one line for all runs that differ only in their seed: mean and standard deviation."""
    json: Flag = False
    """Print JSON."""


def run(words: list[str]) -> int:
    """Run `sparring compare RUN RUN... [OPTIONS]`."""
    given = parse(CompareOptions, words, "sparring compare")
    if len(given.runs) < 2:
        raise UsageError("compare needs two runs or more")

    from sparring.evaluation import comparison

    verdicts = verdicts_of(given.runs)
    comparison.check_comparable(verdicts)
    rows = comparison.rows(verdicts, given.by_recipe)
    if given.json:
        print_block(jsonlib.dumps([row.to_json() for row in rows], indent=2))
    else:
        comparison.print_comparison(rows, plain_console())
    return 0
