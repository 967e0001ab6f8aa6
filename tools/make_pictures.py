"""The pictures that the README opens with: what `quick` makes, and how it learns to.

python tools/make_pictures.py RUN

RUN is a finished run of quick; the pictures are written into docs/results.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sparring.images import save_images
from sparring.reports import animation
from sparring.runs import generator as sampling
from sparring.runs.run import Run

FOLDER = Path(__file__).parent.parent / "docs" / "results"
ROWS, COLUMNS = 6, 16
LEARNING = 233
"""Pixels of the animation, one for each of a digit."""


def main() -> None:
    """Write both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=FOLDER)
    given = parser.parse_args()
    save_images(given.out / "first-sight.png", sampling.load(given.run).sample(ROWS * COLUMNS), COLUMNS, force=True)
    animation.save_training(Run(given.run), given.out / "learning.gif", largest=LEARNING, seconds=8)


if __name__ == "__main__":
    main()
