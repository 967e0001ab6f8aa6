"""THE SHELF: the runs in a folder, each under an id. Who asks for a run names its id, never a path."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from sparring.runs.run import Run
from sparring.system.mounts import is_pseudo

DEPTH = 3
"""Folders below the one that is watched: runs/quick-1, sweeps/rates/trial-0000."""
MOST_RUNS = 2_000
MOST_FOLDERS = 20_000
FRESH_SECONDS, SHARE = 1.0, 0.1
"""So long nobody looks again; and looking takes at most this share of the time."""
MOST_SECONDS = 5.0
"""So long is searched at most: in what is found until then the runs lie that anybody wants to see."""


class RunIndex:
    """The runs in a folder, or the one run that the folder is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._runs: dict[str, Run] = {}
        self._fresh_until = float("-inf")
        self.complete = True
        """Whether all folders could be looked through."""

    def runs(self) -> dict[str, Run]:
        """The runs that there are now, by their ids, in the order of their paths; but for those behind a link."""
        began = time.monotonic()
        if began > self._fresh_until:
            found, self.complete = _found(self.folder)
            self._runs = {run_id(self.name(run)): run for run in found}
            ended = time.monotonic()
            self._fresh_until = ended + (FRESH_SECONDS if ended - began < SHARE else (ended - began) / SHARE)
        return self._runs

    def find(self, wanted: str) -> Run | None:
        """The run of that id, if there is one (still)."""
        run = self.runs().get(wanted)
        return run if run is not None and _is_run(run.path) else None

    def name(self, run: Run) -> str:
        """Where the run lies, seen from the folder; of the folder itself its own name."""
        return run.path.name if run.path == self.folder else run.path.relative_to(self.folder).as_posix()


def run_id(name: str) -> str:
    """The id of a run, from its place in the folder."""
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]


def _found(folder: Path) -> tuple[list[Run], bool]:
    """(every run, whether all was searched), breadth first so that a deep folder hides no shallow run."""
    found: list[Run] = []
    level, seen, until = [folder], 0, time.monotonic() + MOST_SECONDS
    for _ in range(DEPTH + 1):
        deeper: list[Path] = []
        for path in level:
            seen += 1
            if seen > MOST_FOLDERS or len(found) == MOST_RUNS or time.monotonic() > until:
                return found, False
            if _is_run(path):
                found.append(Run(path))
            else:
                deeper += _folders(path)
        level = deeper
    return found, True


def _is_run(path: Path) -> bool:
    try:
        return Run(path).exists()
    except OSError:  # not ours to read
        return False


def _folders(path: Path) -> list[Path]:
    try:
        with os.scandir(path) as entries:
            inside = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:  # gone meanwhile, or not ours to read
        return []
    folders = [path / name for name in sorted(inside) if not name.startswith(".")]
    return [folder for folder in folders if not is_pseudo(str(folder))]
