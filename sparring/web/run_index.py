"""The run index: the runs in a folder, each with an id. Clients identify a run by its id, never by a path."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from sparring.runs.run import Run
from sparring.system.mounts import is_pseudo

DEPTH = 3
"""Levels of subfolders that are searched: runs/quick-1, sweeps/rates/trial-0000."""
MAX_RUNS = 2_000
MAX_FOLDERS = 20_000
FRESH_SECONDS = 1.0
"""How long the result of a search is reused."""
MAX_SEARCH_SHARE = 0.1
"""Searching takes at most this share of the time."""
MAX_SEARCH_SECONDS = 5.0


class RunIndex:
    """The runs in a folder, or the one run that the folder is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._runs: dict[str, Run] = {}
        self._fresh_until = float("-inf")
        self.complete = True
        """Whether the last search covered all folders."""

    def runs(self) -> dict[str, Run]:
        """Return the current runs by id, ordered by path. Symlinks are not followed."""
        began = time.monotonic()
        if began > self._fresh_until:
            found, self.complete = _search(self.folder)
            self._runs = {run_id(self.name(run)): run for run in found}
            ended = time.monotonic()
            slow = ended - began >= MAX_SEARCH_SHARE
            self._fresh_until = ended + ((ended - began) / MAX_SEARCH_SHARE if slow else FRESH_SECONDS)
        return self._runs

    def find(self, wanted: str) -> Run | None:
        """Return the run with that id, or None if it does not exist (any more)."""
        run = self.runs().get(wanted)
        return run if run is not None and _is_run(run.path) else None

    def name(self, run: Run) -> str:
        """Return the path of the run relative to the folder, or the folder's own name if it is the run."""
        return run.path.name if run.path == self.folder else run.path.relative_to(self.folder).as_posix()


def run_id(name: str) -> str:
    """Return the id of a run, derived from its name in the index."""
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]


def _search(folder: Path) -> tuple[list[Run], bool]:
    """Return (runs, whether the search was complete). Breadth first: a deep folder hides no run above it."""
    found: list[Run] = []
    level, searched, until = [folder], 0, time.monotonic() + MAX_SEARCH_SECONDS
    for _ in range(DEPTH + 1):
        deeper: list[Path] = []
        for path in level:
            searched += 1
            if searched > MAX_FOLDERS or len(found) == MAX_RUNS or time.monotonic() > until:
                return found, False
            if _is_run(path):
                found.append(Run(path))
            else:
                deeper += _subfolders(path)
        level = deeper
    return found, True


def _is_run(path: Path) -> bool:
    try:
        return Run(path).exists()
    except OSError:  # no permission
        return False


def _subfolders(path: Path) -> list[Path]:
    try:
        with os.scandir(path) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:  # deleted meanwhile, or no permission
        return []
    folders = [path / name for name in sorted(names) if not name.startswith(".")]
    return [folder for folder in folders if not is_pseudo(str(folder))]
