"""THE SHELF: the runs in a folder, each under an id. Who asks for a run names its id, never a path."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from sparring.run import Run

DEPTH = 3
"""Folders below the one that is watched: runs/quick-1, sweeps/rates/trial-0000."""
MOST_RUNS = 2_000
MOST_FOLDERS = 20_000
FRESH_SECONDS = 1.0
"""So long nobody looks again."""


class Shelf:
    """The runs in a folder, or the one run that the folder is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._runs: dict[str, Run] = {}
        self._looked = float("-inf")

    def runs(self) -> dict[str, Run]:
        """The runs that there are now, by their ids, in the order of their paths; but for those behind a link."""
        if time.monotonic() - self._looked > FRESH_SECONDS:
            self._runs = {run_id(self.name(run)): run for run in _found(self.folder)}
            self._looked = time.monotonic()
        return self._runs

    def find(self, wanted: str) -> Run | None:
        """The run of that id, if there is one (still)."""
        run = self.runs().get(wanted)
        return run if run is not None and run.exists() else None

    def name(self, run: Run) -> str:
        """Where the run lies, seen from the folder; of the folder itself its own name."""
        return run.path.name if run.path == self.folder else run.path.relative_to(self.folder).as_posix()


def run_id(name: str) -> str:
    """The id of a run, from its place in the folder."""
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]


def _found(folder: Path) -> list[Run]:
    """Every run, searched breadth first so that a deep folder hides no shallow run."""
    found: list[Run] = []
    level, seen = [folder], 0
    for _ in range(DEPTH + 1):
        deeper: list[Path] = []
        for path in level:
            seen += 1
            if seen > MOST_FOLDERS or len(found) == MOST_RUNS:
                return found
            if Run(path).exists():
                found.append(Run(path))
            else:
                deeper += _folders(path)
        level = deeper
    return found


def _folders(path: Path) -> list[Path]:
    try:
        with os.scandir(path) as entries:
            inside = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:  # gone meanwhile, or not ours to read
        return []
    return [path / name for name in sorted(inside) if not name.startswith(".")]
