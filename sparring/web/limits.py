"""SIZES: how much of a run that anybody may have made the page reads."""

from __future__ import annotations

from pathlib import Path

from sparring.files.untrusted import open_plain
from sparring.runs.run import Run

LARGEST_ABOUT = 16 << 20
"""Bytes of a recipe, or of what else is said about a run."""
LARGEST_STATE = 4 << 30
"""Bytes of a checkpoint."""


def check_about(run: Run) -> None:
    """Raise `OSError` where the files that say what the run is are not plain, or too large."""
    for path in (run.recipe_file, run.environment_file):
        _check(path, LARGEST_ABOUT)
        _check(path.with_suffix(".copy.json"), LARGEST_ABOUT)


def check_whole(run: Run) -> None:
    """Raise `OSError` where that is so of them or of a checkpoint."""
    from sparring.runs import checkpoint  # it brings JAX, which nobody needs who only looks

    check_about(run)
    for folder in checkpoint.all_checkpoints(run.checkpoints):
        _check(folder / checkpoint.MANIFEST, LARGEST_ABOUT)
        _check(folder / checkpoint.STATE, LARGEST_STATE)


def _check(path: Path, most: int) -> None:
    if path.exists() or path.is_symlink():
        open_plain(path, most).close()
