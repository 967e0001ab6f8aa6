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
import tempfile
import time
from pathlib import Path

from turns import SETTLING_SECONDS, Stretch, in_turn, print_price, processor_seconds, training, wait_until_it_trains

from sparring.recipes import RECIPES
from sparring.runs.run import Run
from sparring.web import server

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
        command = training(given.recipe, run, "--steps", "10000000", "--schedule-steps", "0")
        with server.serve_in_background(Path(folder)) as address:
            trainer = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            try:
                stretches = watched_and_not(address, run, given.rounds, given.seconds)
            finally:
                trainer.terminate()
                trainer.wait()
            print_price(stretches, run)


def watched_and_not(address: str, run: Run, rounds: int, seconds: float) -> list[Stretch]:
    """The stretches with the page open, and those with it closed."""
    from playwright.sync_api import sync_playwright

    wait_until_it_trains(run)
    shares: dict[bool, list[float]] = {True: [], False: []}
    """Of all processors, that server and browser took."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        tab = browser.new_page(viewport={"width": 1200, "height": 900})
        tab.goto(address)

        def stretch(is_open: bool) -> Stretch:
            tab.goto(address if is_open else "about:blank")
            time.sleep(SETTLING_SECONDS)
            began, taken = time.time(), watchers_seconds()
            time.sleep(seconds)
            ended = time.time()
            share = (watchers_seconds() - taken) / (ended - began) / (os.cpu_count() or 1)
            shares[is_open].append(share)
            shown = tab.locator("h1").inner_text() if is_open else ""
            print(f"{'open, ' + shown if is_open else 'closed'}: {share:.2%} of the processors", flush=True)
            return Stretch(is_open, began, ended)

        stretches = in_turn(rounds, stretch)
        browser.close()
    opened, closed = statistics.mean(shares[True]), statistics.mean(shares[False])
    print(f"server and browser took {opened:.2%} of the processors with the page open, {closed:.2%} closed")
    return stretches


def watchers_seconds() -> float:
    """What server and browser have taken of the processors so far (Linux)."""
    total = 0.0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if WATCHERS & set((process / "cmdline").read_bytes().replace(b"/", b"\0").split(b"\0")):
                total += processor_seconds(process.name)
    return total


if __name__ == "__main__":
    main()
