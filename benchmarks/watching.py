"""THE PRICE of being watched: one training, with its page open in a browser and closed in turn, on the same machine.

python benchmarks/watching.py --recipe good --rounds 10 --seconds 20

Prints how much longer a step takes with the page open, for each pair of neighbouring stretches of time, their median,
and how much processor time server and browser took. Needs the extra `watch`, Playwright and Chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sparring.recipes import RECIPES
from sparring.runs.run import Run
from sparring.web import server

SETTLING_SECONDS = 3.0
"""After the page was opened or closed, which is not what is measured."""
FLAGS = ["--no-sandbox", "--disable-gpu"]
WATCHERS = {b"chromium", b"sparring.web.server"}
"""Part of the command lines of server and browser."""


def main() -> None:
    """Train, open and close, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", choices=RECIPES, default="good")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=20.0, help="of a stretch of time")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder) / "run")
        command = [sys.executable, "-P", "-m", "sparring.cli.main", "train", given.recipe, "--out", str(run.path)]
        with server.serve_in_background(Path(folder)) as address:
            trainer = subprocess.Popen(
                [*command, "--steps", "10000000", "--schedule-steps", "0"], stdout=subprocess.DEVNULL
            )
            try:
                stretches = watched_and_not(address, run, given.rounds, given.seconds)
            finally:
                trainer.terminate()
                trainer.wait()
            print_price(stretches, run)


class Stretch(NamedTuple):
    """Some seconds of training, with the page open or closed."""

    is_open: bool
    began: float
    ended: float
    """In the time of day."""
    share: float
    """Of all processors, that server and browser took."""


def watched_and_not(address: str, run: Run, rounds: int, seconds: float) -> list[Stretch]:
    """The stretches: closed, open, open, closed, and so on, two a round."""
    from playwright.sync_api import sync_playwright

    while run.reached() < 200:
        time.sleep(1)
    stretches = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        tab = browser.new_page(viewport={"width": 1200, "height": 900})
        tab.goto(address)
        for i in range(2 * rounds):
            is_open = i % 4 in (1, 2)  # closed, open, open, closed: a machine that becomes slower favours neither
            tab.goto(address if is_open else "about:blank")
            time.sleep(SETTLING_SECONDS)
            began, taken = time.time(), processor_seconds()
            time.sleep(seconds)
            ended = time.time()
            share = (processor_seconds() - taken) / (ended - began) / (os.cpu_count() or 1)
            stretches.append(Stretch(is_open, began, ended, share))
            shown = tab.locator("h1").inner_text() if is_open else ""
            print(f"{'open, ' + shown if is_open else 'closed'}: {share:.2%} of the processors", flush=True)
        browser.close()
    return stretches


def processor_seconds() -> float:
    """What server and browser have taken of the processors so far (Linux)."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if WATCHERS & set((process / "cmdline").read_bytes().replace(b"/", b"\0").split(b"\0")):
                total += sum(map(int, (process / "stat").read_text().rpartition(")")[2].split()[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


def print_price(stretches: list[Stretch], run: Run) -> None:
    """The ratio of each pair, and the median."""
    logged = [[event["time"], event["step"], event["seconds"]] for event in run.events() if event["event"] == "log"]
    times, *counts = np.array(logged).T
    rates = []
    for stretch in stretches:
        steps, seconds = (np.diff(np.interp([stretch.began, stretch.ended], times, count))[0] for count in counts)
        rates.append(float(steps / seconds))  # of training: what it judges and writes now and then is not compared
    ratios = []
    for first, a, b in zip(stretches[::2], rates[::2], rates[1::2], strict=True):
        closed, opened = (b, a) if first.is_open else (a, b)
        ratios.append(closed / opened)
        print(f"{closed:.2f} steps/s with the page closed, {opened:.2f} open: a step takes {ratios[-1]:.4f} as long")
    middle, spread = statistics.median(ratios), np.std(ratios, ddof=1) / np.sqrt(len(ratios))
    print(f"median {middle:.4f}, standard error of the mean {spread:.4f}, {min(ratios):.4f} to {max(ratios):.4f}")
    shares = [statistics.mean(s.share for s in stretches if s.is_open is wanted) for wanted in (True, False)]
    print(f"server and browser took {shares[0]:.2%} of the processors with the page open, {shares[1]:.2%} closed")


if __name__ == "__main__":
    main()
