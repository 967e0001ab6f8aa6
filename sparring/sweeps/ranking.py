"""THE RANKING of a sweep: its trials, best first. Trials that differ only in the seed share a place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from sparring.evaluation.comparison import distance_words
from sparring.sweeps.sharing import Trial
from sparring.sweeps.space import Point, point_to_json, value_words
from sparring.terminal.output import shell_quoted
from sparring.terminal.progress import duration
from sparring.terminal.tables import print_text

SEED = "seed"
NARROW = 72
"""Terminals with fewer columns do not show the training time."""
NEXT_LINE = "\n  "


@dataclass(frozen=True)
class Place:
    """One line of the ranking: a trial, or several that differ only in the seed."""

    rank: int | None
    """1 is the best; None without a score."""
    settings: Point
    """Without the seed."""
    trials: tuple[Trial, ...]
    paths: tuple[Path, ...]
    """The trials' runs."""

    @property
    def finished(self) -> list[Trial]:
        """The trials that have a score."""
        return [trial for trial in self.trials if trial.state == "finished"]

    @property
    def has_failed(self) -> bool:
        """Whether a trial failed, in which case the mean of the others is too good."""
        return any(trial.state == "failed" for trial in self.trials)

    @property
    def score(self) -> float | None:
        """The mean distance from the validation images."""
        scores = [trial.about["value"] for trial in self.finished]
        return float(np.mean(scores)) if scores else None

    @property
    def spread(self) -> float | None:
        """Standard deviation of the score over the seeds (n - 1), or the standard error of a single trial."""
        finished = self.finished
        if not finished:
            return None
        scores = [trial.about["value"] for trial in finished]
        return float(np.std(scores, ddof=1)) if len(scores) > 1 else float(finished[0].about["error"])

    @property
    def seconds(self) -> float | None:
        """Mean training time."""
        finished = self.finished
        return float(np.mean([trial.about["seconds"] for trial in finished])) if finished else None

    @property
    def best(self) -> Path | None:
        """The run with the lowest score."""
        places = zip(self.trials, self.paths, strict=True)
        scored = [(trial.about["value"], path) for trial, path in places if trial.state == "finished"]
        return min(scored)[1] if scored else None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "rank": self.rank,
            "settings": point_to_json(self.settings),
            "score": self.score,
            "spread": self.spread,
            "floor": self.finished[0].about["floor"] if self.finished else None,
            "measure": self.finished[0].about["measure"] if self.finished else None,
            "seconds": self.seconds,
            "trials": [
                {"number": trial.number, "run": str(path), "state": trial.state}
                | ({SEED: trial.point[SEED]} if SEED in trial.point else {})
                | ({"score": trial.about["value"]} if trial.state == "finished" else {})
                | ({"reason": trial.about.get("reason")} if trial.state == "failed" else {})
                for trial, path in zip(self.trials, self.paths, strict=True)
            ],
        }


def rank(trials: Sequence[Trial], paths: Sequence[Path]) -> list[Place]:
    """Rank the trials by score: first places without failed seeds, then places with failed seeds, then the rest."""
    groups: dict[str, list[tuple[Trial, Path]]] = {}
    for trial, path in zip(trials, paths, strict=True):
        groups.setdefault(repr(_settings(trial)), []).append((trial, path))
    places = [
        Place(None, _settings(group[0][0]), tuple(trial for trial, _ in group), tuple(path for _, path in group))
        for group in groups.values()
    ]
    scored = sorted((place for place in places if place.score is not None), key=_order)
    ranked = [Place(i, place.settings, place.trials, place.paths) for i, place in enumerate(scored, 1)]
    return ranked + [place for place in places if place.score is None]


def print_ranking(places: Sequence[Place], console: Console) -> None:
    """The ranking as a table: a column a setting where there is room for these, else all settings in one."""
    with_seeds = any(SEED in trial.point for place in places for trial in place.trials)
    names = list(places[0].settings)
    table = _table(places, names, with_seeds, True)
    if Measurement.get(console, console.options.update(max_width=10_000), table).maximum > console.width:
        table = _table(places, None, with_seeds, console.width >= NARROW)
    console.print(table)
    if finished := [trial for place in places for trial in place.finished]:
        print_text(console, _footnote(finished, over_seeds=any(len(place.finished) > 1 for place in places)))
    for place in places:
        for trial, path in zip(place.trials, place.paths, strict=True):
            if trial.state == "failed":
                print_text(console, f"{path.name} failed: {trial.about.get('reason')}")
    known = [trial for place in places for trial in place.trials]
    for state, words in (("running", "being trained by other processes"), ("waiting", "not finished")):
        if count := sum(trial.state == state for trial in known):
            print_text(console, f"{words}: {count} of {len(known)} trials")
    if places[0].best is not None:
        print_text(
            console, f"Judge the best against the test images: sparring measure {shell_quoted(str(places[0].best))}"
        )


def _footnote(finished: Sequence[Trial], over_seeds: bool) -> str:
    """Explain the distances."""
    if finished[0].about["measure"] == "frechet":
        words = "Frechet distance from validation images, as a multiple of what other real images have"
    else:
        words = "kernel distance from validation images"
    spread = "standard deviation over the seeds, of a single one its standard error" if over_seeds else "standard error"
    return f"{words}; ± is its {spread}. Test images were not used."


def _table(places: Sequence[Place], names: list[str] | None, with_seeds: bool, with_times: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("rank", justify="right", no_wrap=True)
    for name in names if names is not None else ["settings"]:
        table.add_column(name.replace(".", "\n."), overflow="fold", no_wrap=names is not None)
    if with_seeds:
        table.add_column("seeds", overflow="fold")
    table.add_column("distance", justify="right", no_wrap=True)
    if with_times:
        table.add_column("training", justify="right", no_wrap=True)
    table.add_column("run", overflow="fold", no_wrap=not with_seeds)
    for place in places:
        values = [value_words(value) for value in place.settings.values()]
        if names is None:
            pairs = zip(place.settings, values, strict=True)
            values = ["\n".join(f"{name.replace('.', f'{NEXT_LINE}.')} {value}" for name, value in pairs)]
        seeds = [", ".join(str(trial.point[SEED]) for trial in place.trials)] if with_seeds else []
        times = ["" if place.seconds is None else duration(place.seconds)] if with_times else []
        runs = ", ".join(path.name for path in place.paths)
        table.add_row("" if place.rank is None else str(place.rank), *values, *seeds, _score(place), *times, runs)
    return table


def _score(place: Place) -> str:
    """Format the distance and its spread, and the number of trials."""
    if place.score is None or place.spread is None:
        return "failed" if place.has_failed else place.trials[0].state
    words = distance_words(place.score, place.spread, place.finished[0].about)
    missing = len(place.trials) - len(place.finished)
    return f"{words} ({len(place.finished)} of {len(place.trials)})" if missing else words


def _order(place: Place) -> tuple[bool, float]:
    assert place.score is not None
    return place.has_failed, place.score


def _settings(trial: Trial) -> Point:
    return {name: value for name, value in trial.point.items() if name != SEED}
