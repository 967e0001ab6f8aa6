"""COMPARISON: tables of verdicts, with the mean and spread over training seeds.

Numbers of different extractors, data or sample sizes are never compared.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from sparring.errors import ComparisonError
from sparring.evaluation.features import Z_95
from sparring.evaluation.metrics.asked import Asked
from sparring.evaluation.metrics.modes import protocol_words
from sparring.evaluation.verdict import MEASURES, MetricInfo, Verdict
from sparring.runs.run import Run
from sparring.terminal.tables import numbers_table, print_text, print_whole

MOST_CLASSES, WORST_CLASSES = 20, 10
"""With more classes than the first number, only the worst ones are shown."""
NAMES_WIDTH, COLUMN_WIDTH = 42, 18
"""Characters for the measures' names and the real images, and for each run."""
LEAST_WIDTH = 66
"""Characters for the names, one run and the real images."""


@dataclass(frozen=True)
class Row:
    """One column of a comparison: one verdict, or those of several seeds of a recipe."""

    name: str
    verdicts: tuple[Verdict, ...]

    def mean(self, measure: str) -> float | None:
        """The mean over the seeds; None if the measure is missing in one."""
        values = self._values(measure)
        return None if values is None else float(np.mean(values))

    def spread(self, measure: str) -> float | None:
        """Standard deviation over the seeds (n - 1), or the standard error of a single verdict; None if unknown."""
        values = self._values(measure)
        if values is None:
            return None
        return float(np.std(values, ddof=1)) if len(values) > 1 else self.verdicts[0].measures[measure].error

    def seconds(self) -> float | None:
        """Mean training time; None if unknown."""
        values = [verdict.subject.get("seconds") for verdict in self.verdicts]
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if len(known) == len(values) else None

    def _values(self, measure: str) -> list[float] | None:
        if any(measure not in verdict.measures for verdict in self.verdicts):
            return None
        return [verdict.measures[measure].value for verdict in self.verdicts]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        measures = {
            name: {"mean": self.mean(name), "spread": self.spread(name)}
            for name in MEASURES
            if self.mean(name) is not None
        }
        return {"name": self.name, "runs": len(self.verdicts), "seconds": self.seconds(), "measures": measures}


def check_comparable(verdicts: Sequence[Verdict]) -> None:
    """Raise `ComparisonError` unless all have the same extractor, data and number of samples."""
    first = verdicts[0]
    for other in verdicts[1:]:
        for what, ours, theirs, same in (
            ("judged by", _extractor(first), _extractor(other), _same(first.extractor, other.extractor, "sha256")),
            ("judged against", _data(first), _data(other), _same(first.data, other.data, "checksum", "split")),
            (
                "judged by the number of",
                f"{first.samples:,} samples",
                f"{other.samples:,} samples",
                first.samples == other.samples,
            ),
        ):
            if not same:
                raise ComparisonError(
                    f"{first.subject['path']} was {what} {ours}, but {other.subject['path']} was {what} {theirs}; "
                    "their numbers cannot be compared"
                )


def rows(verdicts: Sequence[Verdict], by_recipe: bool) -> list[Row]:
    """One row per verdict, or with `by_recipe` one for all seeds of a recipe; the best first."""
    groups: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        groups.setdefault(_group(verdict) if by_recipe else str(len(groups)), []).append(verdict)
    made = [Row(_name(group, by_recipe), tuple(group)) for group in groups.values()]
    return sorted(made, key=lambda row: row.mean("frechet_ratio") or 0.0)


def floor_of(verdict: Verdict) -> dict[str, float]:
    """The floor of each measure."""
    return {name: measure.real for name, measure in verdict.measures.items() if measure.real is not None}


def print_verdict(verdict: Verdict, console: Console) -> None:
    """Print a verdict as a table with its alarms and notices. Wide terminals show what each measure means."""
    roomy, tight = console.width >= 120, console.width < 70
    table = numbers_table("measure", "value", "± 95%", "real images")
    if not tight:
        table.add_column("better", no_wrap=True)
    if roomy:
        table.add_column("meaning", ratio=1)
    for about, *numbers in measure_words(verdict):
        extra = ([] if tight else [about.better]) + ([about.meaning] if roomy else [])
        table.add_row(about.title, *numbers, *extra)
    print_whole(console, table, None if tight else 70)
    if verdict.balance is not None:
        band = verdict.balance.variation_band
        print_text(console, f"class variation of perfectly balanced samples: below {band:.1%} in 95 of 100 cases")
    if verdict.modes is not None:
        print_text(console, f"the modes: {protocol_words(verdict.modes)}")
    print_text(console, judged_words(verdict))
    if verdict.asked is not None:
        _print_asked(verdict.asked, console)
    for notice in verdict.notices:
        print_text(console, f"note: {notice}")
    for alarm in verdict.alarms:
        print_text(console, f"alarm: {alarm}")


def measure_words(verdict: Verdict) -> Iterator[tuple[MetricInfo, str, str, str]]:
    """Yield (info, value, half of the 95% confidence interval, floor) of each measure."""
    for name, about in MEASURES.items():
        if name in verdict.measures:
            measure = verdict.measures[name]
            error = "" if measure.error is None else shown(Z_95 * measure.error, about, measure.value)
            real = "" if measure.real is None else shown(measure.real, about)
            yield about, shown(measure.value, about), error, real


def judged_words(verdict: Verdict) -> str:
    """Which samples were compared with which images, by which extractor."""
    return (
        f"{verdict.samples:,} samples against {verdict.data['unseen']:,} {verdict.data['split']} images of "
        f"{verdict.data['name']}, by {_extractor(verdict)}. {verdict.extractor['caveat']}"
    )


def _print_asked(asked: Asked, console: Console) -> None:
    """Print one line per class; of many classes only those that are recognised least."""
    table = numbers_table("asked for", "recognised", "distance", "floor", "ratio")
    places, notice = shown_classes(asked)
    for i in places:
        table.add_row(asked.names[i], *class_words(asked, i))
    print_whole(console, table)
    if notice:
        print_text(console, notice)


def shown_classes(asked: Asked) -> tuple[list[int], str]:
    """The classes to show, and a remark about the others."""
    known = [i for i, share in enumerate(asked.shares) if share is not None]
    if len(known) <= MOST_CLASSES:
        return known, ""
    worst = sorted(known, key=lambda i: asked.shares[i] or 0.0)[:WORST_CLASSES]
    return worst, f"These {WORST_CLASSES} of {len(known):,} classes are recognised least."


def class_words(asked: Asked, i: int) -> tuple[str, str, str, str]:
    """Recognised share, distance, floor and their ratio of the i-th class; empty if unknown."""
    share, distance, floor = asked.shares[i], asked.distances[i], asked.floors[i]
    recognised = "" if share is None else shown(share, MEASURES["recognised"])
    if distance is None or floor is None:
        return recognised, "", "", ""
    about = MEASURES["frechet"]
    return recognised, shown(distance, about), shown(floor, about), shown(distance / floor, MEASURES["frechet_ratio"])


def print_comparison(compared: Sequence[Row], console: Console) -> None:
    """Print the rows as columns of a table, or of several tables if they do not fit."""
    known = [name for name in MEASURES if any(row.mean(name) is not None for row in compared)]
    fitting = max(1, (console.width - NAMES_WIDTH) // COLUMN_WIDTH)
    floor = floor_of(compared[0].verdicts[0])
    for start in range(0, len(compared), fitting):
        part = compared[start : start + fitting]
        table = numbers_table("measure")
        for row in part:
            table.add_column(row.name, justify="right", overflow="fold", min_width=COLUMN_WIDTH - 2)
        table.add_column("real images", justify="right", no_wrap=True)
        for name in known:
            real = shown(floor[name], MEASURES[name]) if name in floor else ""
            table.add_row(MEASURES[name].title, *(cell(row, name) for row in part), real)
        table.add_row("training", *(time_words(row) for row in part), "")
        print_whole(console, table, LEAST_WIDTH)
    verdict = compared[0].verdicts[0]
    print_text(console, f"{verdict.samples:,} samples each, against {_data(verdict)}, by {_extractor(verdict)}")
    print_text(console, "± is the standard deviation over training seeds, or of one run its standard error")


def shown(value: float, about: MetricInfo, beside: float | None = None) -> str:
    """Format a value of a measure."""
    return f"{value:,.0f}" if about.count else number(value, about.share, beside)


def number(value: float, share: bool, beside: float | None = None) -> str:
    """Format a value with the significant digits, or with those of the value it is shown `beside`."""
    if share:
        return f"{value:.1%}"
    size = abs(value if beside is None else beside)
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 0.1 else f"{value:.4f}"


def cell(row: Row, name: str) -> str:
    """Mean and spread of a measure."""
    mean, spread, about = row.mean(name), row.spread(name), MEASURES[name]
    if mean is None:
        return ""
    return shown(mean, about) if spread is None else f"{shown(mean, about)} ± {shown(spread, about, mean)}"


def time_words(row: Row) -> str:
    """The mean training time."""
    seconds = row.seconds()
    return "" if seconds is None else f"{seconds:,.0f} s"


def _extractor(verdict: Verdict) -> str:
    return f"{verdict.extractor['name']} ({verdict.extractor['sha256'][:12]})"


def _data(verdict: Verdict) -> str:
    return f"the {verdict.data['split']} images of {verdict.data['name']} (checksum {verdict.data['checksum'][:12]})"


def _same(first: dict[str, Any], other: dict[str, Any], *names: str) -> bool:
    """Whether these values agree."""
    return all(first[name] == other[name] for name in names)


def _group(verdict: Verdict) -> str:
    """A key that is the same for all seeds of a recipe."""
    if verdict.subject["kind"] != "run":
        return str(verdict.subject["path"])
    recipe = Run(Path(verdict.subject["path"])).recipe()
    alike = dataclasses.replace(recipe, seed=0, data=verdict.data["checksum"]).to_json()
    return json.dumps([alike, verdict.subject["step"], verdict.subject["best"]])


def _name(group: Sequence[Verdict], by_recipe: bool) -> str:
    subject = group[0].subject
    if not by_recipe or subject["kind"] != "run":
        return str(subject["path"])
    seeds = ", ".join(str(verdict.subject["seed"]) for verdict in group)
    return f"{subject['recipe']}, {subject['step']:,} steps (seed{'s' if len(group) > 1 else ''} {seeds})"


def distance_words(score: float, spread: float, about: dict[str, Any]) -> str:
    """Format a distance and its spread; a Frechet distance as a multiple of the floor."""
    if about["measure"] == "frechet":
        score, spread = score / about["floor"], spread / about["floor"]
        return f"{number(score, share=False)} ± {number(spread, share=False, beside=score)}"
    return f"{score:.3g} ± {spread:.0f}" if spread >= 1 else f"{score:.3g} ± {spread:.1g}"
