"""GOING ON: which run a command means, and whether it may go on. The same command goes on; a changed one is refused."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sparring.errors import ResumeError, RunError
from sparring.recipes.recipe import Recipe, differences
from sparring.runs.checkpoint import newest_step
from sparring.runs.run import Run


def choose_run(runs: Path, recipe: Recipe, surroundings: dict[str, Any]) -> Run:
    """The newest run of that recipe below `runs` if it stopped before its end and nothing changed; else a new one."""
    return Run(choose_folder(runs, recipe.name, {".": recipe}, surroundings))


def choose_folder(parent: Path, stem: str, recipes: Mapping[str, Recipe], surroundings: dict[str, Any]) -> Path:
    """The newest folder STEM-TIME below `parent` if its runs stopped before their end and nothing changed; else a new
    one. `recipes` are those of its runs, by their places in it; "." is the folder itself."""

    def runs_in(folder: Path) -> list[Run]:
        return [Run(folder / place) for place in recipes]

    found = [path for path in sorted(parent.glob(f"{stem}-*")) if any(run.exists() for run in runs_in(path))]
    if found:
        pairs = list(zip(runs_in(found[-1]), recipes.values(), strict=True))
        the_same = all(_is_the_same(run, recipe, surroundings) for run, recipe in pairs if run.exists())
        if the_same and any(newest_step(run.checkpoints, run.identity) < recipe.steps for run, recipe in pairs):
            return found[-1]
    name = f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
    candidates = (parent / f"{name}{suffix}" for suffix in ("", *(f"-{i}" for i in range(2, 1000))))
    return next(folder for folder in candidates if not folder.exists())


def refuse_changes(run: Run, recipe: Recipe, surroundings: dict[str, Any]) -> None:
    """Raise `ResumeError` where the run was made with other settings or data than are given now.

    Only `steps`, how far to go, may differ, for what a step does is the same; but not lie behind what is done. So may
    the place of the data: their checksum says whether they are the same.
    """
    if not run.exists():
        if run.path.exists() and not run.path.is_dir():
            raise RunError(f"{run.path} is a file; a run needs a folder")
        if run.path.exists() and (foreign := run.foreign()):
            raise RunError(
                f"{run.path} is neither empty nor a run of Sparring: it holds {foreign[0]!r}; choose another folder"
            )
        return
    if changed := _changes(run.recipe(), recipe):
        named = "; ".join(f"{name} was {old!r} and is now {new!r}" for name, old, new in changed)
        raise ResumeError(f"{run.path} cannot go on with other settings: {named}")
    done = newest_step(run.checkpoints, run.identity)
    if done > recipe.steps:
        raise ResumeError(f"{run.path} has already done {done:,} steps, more than the {recipe.steps:,} asked for")
    before, now = run.environment()["data"], surroundings["data"]
    if before["checksum"] != now["checksum"]:
        raise ResumeError(
            f"{run.path} cannot go on with other data: the images were {_data_words(before)} and are now "
            f"{_data_words(now)}; say with --data where the former are, or begin a new run with another --out "
            "(an earlier version may have read the same files in another way; `sparring data check` shows how they are "
            "read now)"
        )


def _is_the_same(run: Run, recipe: Recipe, surroundings: dict[str, Any]) -> bool:
    try:
        before = run.recipe()
        same_data = run.environment()["data"]["checksum"] == surroundings["data"]["checksum"]
        return same_data and before.steps == recipe.steps and not _changes(before, recipe)
    except (RunError, KeyError):  # a run that cannot be read is not the one that is meant
        return False


def _changes(before: Recipe, now: Recipe) -> list[tuple[str, Any, Any]]:
    return [changed for changed in differences(before, now) if changed[0] != "data"]


def _data_words(data: dict[str, Any]) -> str:
    return f"{data['source']} (checksum {data['checksum'][:12]})"
