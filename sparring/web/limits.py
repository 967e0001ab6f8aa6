"""The largest files of a run that the page reads. Anyone may have written a run."""

from __future__ import annotations

from pathlib import Path

from sparring.files.untrusted import open_plain
from sparring.runs.run import Run

MAX_METADATA_BYTES = 16 << 20
"""Of a recipe, an environment or a manifest."""
MAX_CHECKPOINT_BYTES = 4 << 30


def check_metadata(run: Run) -> None:
    """Raise `OSError` if the recipe or the environment is not a regular file, or is too large."""
    for path in (run.recipe_file, run.environment_file):
        _check(path, MAX_METADATA_BYTES)
        _check(path.with_suffix(".copy.json"), MAX_METADATA_BYTES)


def check_run(run: Run) -> None:
    """Raise `OSError` if one of these files or a checkpoint is not a regular file, or is too large."""
    from sparring.runs import checkpoint  # imports JAX, which most views do not need

    check_metadata(run)
    for folder in checkpoint.all_checkpoints(run.checkpoints):
        _check(folder / checkpoint.MANIFEST, MAX_METADATA_BYTES)
        _check(folder / checkpoint.STATE, MAX_CHECKPOINT_BYTES)


def _check(path: Path, limit: int) -> None:
    if path.exists() or path.is_symlink():
        open_plain(path, limit).close()
