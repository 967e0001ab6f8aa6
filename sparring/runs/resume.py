"""RESUMING: which run a command means, and whether it may resume. Changes to what is learnt are refused."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sparring.errors import CheckpointError, ResumeError, RunError
from sparring.recipes.recipe import Recipe, differences
from sparring.recipes.roles import Role, names_of
from sparring.runs.checkpoint import newest_step
from sparring.runs.run import Run

Report = Callable[[str], object]


def choose_run(runs: Path, recipe: Recipe, environment: dict[str, Any], report: Report) -> Run:
    """The newest run of a recipe below `runs` if it stopped before its end and nothing changed; else a new one."""
    return Run(choose_folder(runs, recipe.name, {".": recipe}, environment, report))


def choose_folder(
    parent: Path, stem: str, recipes: Mapping[str, Recipe], environment: dict[str, Any], report: Report
) -> Path:
    """The newest folder STEM-TIME below `parent` if its runs stopped before their end and nothing changed; else a new
    one. `recipes` are those of its runs, by their places in it; "." is the folder itself.

    Reports a newest run that cannot be read.
    """

    def runs_in(folder: Path) -> list[Run]:
        return [Run(folder / place) for place in recipes]

    found = [path for path in sorted(parent.glob(f"{stem}-*")) if any(run.exists() for run in runs_in(path))]
    if found:
        pairs = list(zip(runs_in(found[-1]), recipes.values(), strict=True))
        try:
            the_same = all(_is_the_same(run, recipe, environment) for run, recipe in pairs if run.exists())
            if the_same and any(newest_step(run.checkpoints, run.identity) < recipe.steps for run, recipe in pairs):
                return found[-1]
        except (RunError, CheckpointError) as error:
            report(f"{found[-1]} cannot be resumed, so a new run begins: {error}")
    return new_folder(parent, stem)


def new_folder(parent: Path, stem: str) -> Path:
    """A folder STEM-TIME below `parent` that does not exist yet."""
    name = f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
    candidates = (parent / f"{name}{suffix}" for suffix in ("", *(f"-{i}" for i in range(2, 1000))))
    return next(folder for folder in candidates if not folder.exists())


def refuse_changes(run: Run, recipe: Recipe, environment: dict[str, Any]) -> None:
    """Raise `ResumeError` if the run was made with other images, or with other settings that decide what is learnt.

    `steps` may differ, but not be less than what is done. Settings of the display may differ (`display_changes`), and
    so may the place of the images: their checksum says whether they are the same.
    """
    if not run.exists():
        if run.path.exists() and not run.path.is_dir():
            raise RunError(f"{run.path} is a file; a run needs a folder")
        if run.path.exists() and (foreign := run.foreign()):
            raise RunError(
                f"{run.path} is neither empty nor a run of Sparring: it holds {foreign[0]!r}; choose another folder"
            )
        return
    if changed := differences(run.recipe(), recipe):
        named = "; ".join(f"{name} was {old!r} and is now {new!r}" for name, old, new in changed)
        raise ResumeError(f"{run.path} cannot resume with other settings: {named}; begin a new run with another --out")
    done = newest_step(run.checkpoints, run.identity)
    if done > recipe.steps:
        raise ResumeError(f"{run.path} has already done {done:,} steps, more than the {recipe.steps:,} asked for")
    before, now = run.environment()["data"], environment["data"]
    if before["checksum"] != now["checksum"]:
        raise ResumeError(
            f"{run.path} cannot resume with other images: they were {_data_words(before)} and are now "
            f"{_data_words(now)}; give the place of the former with --data, or begin a new run with another --out "
            "(an earlier version may have read the same files in another way; `sparring data check` shows how they are "
            "read now)"
        )


def display_changes(before: Recipe, now: Recipe) -> tuple[Recipe, str | None]:
    """(the recipe to write into a run that resumes, a line that names the changed settings of the display).

    The run keeps the display settings that it began with, because the digest in its checkpoints counts them.
    """
    kept = now.replace(**{name: getattr(before, name) for name in names_of(before, Role.DISPLAY)})
    changed = differences(kept, now, (Role.DISPLAY,))
    words = ", ".join(f"{name} is {new!r} instead of {old!r}" for name, old, new in changed)
    return kept, f"until this training ends, {words}" if changed else None


def _is_the_same(run: Run, recipe: Recipe, environment: dict[str, Any]) -> bool:
    before = run.recipe()
    same_data = run.environment()["data"]["checksum"] == environment["data"]["checksum"]
    return same_data and before.steps == recipe.steps and not differences(before, recipe)


def _data_words(data: dict[str, Any]) -> str:
    return f"{data['source']} (checksum {data['checksum'][:12]})"
