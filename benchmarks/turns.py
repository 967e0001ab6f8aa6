"""TURNS of a training with something and without it, so that its price is known; and processors' time (Linux)."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sparring.runs.run import Run

SETTLING_SECONDS = 3.0
"""After a change, which is not what is measured."""


class Stretch(NamedTuple):
    """Some seconds of training, with it or without."""

    is_with: bool
    began: float
    ended: float
    """In the time of day."""


def training(recipe: str, run: Run, *options: str) -> list[str]:
    """The command that trains it."""
    return [sys.executable, "-P", "-m", "sparring.cli.main", "train", recipe, "--out", str(run.path), *options]


def wait_until_it_trains(run: Run) -> None:
    """Wait for the first steps."""
    while run.reached() < 200:
        time.sleep(1)


def in_turn(rounds: int, stretch: Callable[[bool], Stretch]) -> list[Stretch]:
    """Two stretches a round: without, with, with, without, and so on. A machine that becomes slower favours neither."""
    return [stretch(i % 4 in (1, 2)) for i in range(2 * rounds)]


def print_price(stretches: list[Stretch], run: Run) -> None:
    """How many times as long a step takes with it, for each pair of neighbours, and the median.

    The time is that of the training: what it judges and writes now and then is not compared.
    """
    logged = [[event["time"], event["step"], event["seconds"]] for event in run.events() if event["event"] == "log"]
    times, *counts = np.array(logged).T
    rates = []
    for stretch in stretches:
        steps, seconds = (np.diff(np.interp([stretch.began, stretch.ended], times, count))[0] for count in counts)
        rates.append(float(steps / seconds))
    ratios = []
    for first, a, b in zip(stretches[::2], rates[::2], rates[1::2], strict=True):
        without, with_it = (b, a) if first.is_with else (a, b)
        ratios.append(without / with_it)
        print(f"{without:.2f} steps/s without, {with_it:.2f} with it: a step takes {ratios[-1]:.4f} as long")
    middle, spread = statistics.median(ratios), np.std(ratios, ddof=1) / np.sqrt(len(ratios))
    print(f"median {middle:.4f}, standard error of the mean {spread:.4f}, {min(ratios):.4f} to {max(ratios):.4f}")


def processor_seconds(process: int | str) -> float:
    """What a process has taken of the processors so far; 0 of one that is gone."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
