"""A SOAK: one training for a long time, and what it takes of the machine at the start, meanwhile, and at the end.

python benchmarks/soak.py --minutes 30
python benchmarks/soak.py --minutes 600 --recipe quick

Grids and log events come so often that both are thinned many times. Ends with status 1 where memory, handles, threads
or the run's folder go on growing in the second half. Linux only.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from turns import training

from sparring.recipes import RECIPES
from sparring.runs.run import Run

FREQUENT = ["--grid-every", "20", "--log-every", "1", "--steps", "100000000", "--schedule-steps", "0"]
"""So that a minute writes what is otherwise written in an hour."""
WARM = 0.25
"""Share of the time after which nothing should grow any more."""
GROWTH = {"memory_mb": 0.05, "handles": 0.0, "threads": 0.0, "folder_mb": 0.10, "files": 0.05}
"""By what share of itself each may be larger in the last quarter than in the second."""


class Taken(NamedTuple):
    """What a training takes at one moment."""

    minute: float
    step: int
    memory_mb: float
    handles: int
    threads: int
    folder_mb: float
    files: int


def main() -> None:
    """Train, look, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--recipe", choices=RECIPES, default="mlp-256")
    parser.add_argument("--looks", type=int, default=60, help="how often, in all")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seen = soak(Run(Path(folder) / "run"), given.recipe, given.minutes, given.looks)
    print(f"{seen[0]}\n{seen[-1]}")
    if grown := growing(seen):
        sys.exit("these go on growing: " + ", ".join(grown))


def soak(run: Run, recipe: str, minutes: float, looks: int) -> list[Taken]:
    """What a training of that recipe takes, at so many moments after the first 5% of the time."""
    process = subprocess.Popen(training(recipe, run, *FREQUENT), stdout=subprocess.DEVNULL)
    began, seen = time.monotonic(), []
    try:
        for look in range(1, looks + 1):
            time.sleep(max(0.0, began + 60 * minutes * look / looks - time.monotonic()))
            if process.poll() is not None:
                sys.exit(f"it ended by itself, with {process.returncode}")
            if run.events_file.is_file():
                seen.append(taken(process.pid, run, (time.monotonic() - began) / 60))
                print(" ".join(f"{name}={value:g}" for name, value in seen[-1]._asdict().items()), flush=True)
    finally:
        process.terminate()
        process.wait()
    return seen


def taken(process: int, run: Run, minute: float) -> Taken:
    """What the process takes now, and its run."""
    about = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    sizes = [size for path in run.path.rglob("*") if (size := _size(path)) is not None]
    return Taken(
        minute=minute,
        step=run.reached(),
        memory_mb=int(about["VmRSS"].split()[0]) / 1e3,
        handles=len(list(Path(f"/proc/{process}/fd").iterdir())),
        threads=int(about["Threads"]),
        folder_mb=sum(sizes) / 1e6,
        files=len(sizes),
    )


def growing(seen: list[Taken]) -> list[str]:
    """What is larger in the last quarter than in the second, by more than it may be."""
    quarter = max(1, int(WARM * len(seen)))
    early, late = seen[quarter : 2 * quarter], seen[-quarter:]
    found = []
    for name, share in GROWTH.items():
        before, after = (max(getattr(one, name) for one in part) for part in (early, late))
        if after > before * (1 + share):
            found.append(f"{name}, from {before:g} to {after:g}")
    return found


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:  # it was just removed
        return None


if __name__ == "__main__":
    main()
