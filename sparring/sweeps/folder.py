"""THE SWEEP FOLDER: its file names, and the setup of a sweep, so that only the same sweep continues there.

sweep.json            the setup: recipe, space, checksum of the images, and all trials
trial-0000            the run of the first trial, as made by `sparring train`
journal.log           Optuna's storage: the states of the trials
workers/              a locked file for each working process (see `sparring.sweeps.sharing`)
"""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparring.errors import ResumeError, RunError
from sparring.files import atomic, checksummed
from sparring.files.untrusted import special_kind
from sparring.recipes.recipe import Recipe, settings_of
from sparring.recipes.renamed import with_new_names
from sparring.recipes.roles import Role, names_of
from sparring.runs.run import Inside, Run, read_json
from sparring.sweeps import space
from sparring.sweeps.space import MOST_TRIALS, Point, Space

FORMAT = 1
TRIAL = "trial"
FREE = names_of(Recipe, Role.PLACE, Role.DISPLAY)
"""Settings that a sweep which is resumed takes anew."""
IGNORED = FREE | names_of(Recipe, Role.DESCRIPTION, Role.JUDGEMENT)
"""Settings that do not change the result of a trial."""


@dataclass(frozen=True)
class Setup:
    """The setup of a sweep, which is the same in all its processes."""

    recipe: Recipe
    """The recipe with the settings common to all trials."""
    space: Space
    trials: int | None
    """Number of random trials; None for the whole grid."""
    draw_seed: int
    """Seed of the random trials."""
    checksum: str
    """Checksum of the images."""
    points: tuple[Point, ...]
    """The trials, in order of their numbers."""

    def recipe_of(self, number: int) -> Recipe:
        """The recipe of that trial."""
        return self.recipe.replace(**self.points[number])

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "format": FORMAT,
            "recipe": self.recipe.to_json(),
            "space": {name: space.axis_to_json(axis) for name, axis in self.space.items()},
            "trials": self.trials,
            "draw_seed": self.draw_seed,
            "checksum": self.checksum,
            "points": [space.point_to_json(point) for point in self.points],
        }

    @classmethod
    def from_json(cls, value: Any) -> Setup:
        """Read what `to_json` wrote. Raises `KeyError`, `TypeError` or `ValueError` for anything else."""
        recipe = Recipe.from_json(value["recipe"])
        tried = {name: space.axis_from_json(axis) for name, axis in with_new_names(value["space"]).items()}
        match value:
            case {
                "trials": int() | None as trials,
                "draw_seed": int(seed),
                "checksum": str(checksum),
                "points": [*some],
            }:
                numbers = (
                    (1 if trials is None else trials, 1, MOST_TRIALS),
                    (seed, 0, 2**32 - 1),
                    (len(some), 1, MOST_TRIALS),
                )
                if any(isinstance(number, bool) or not least <= number <= most for number, least, most in numbers):
                    raise ValueError("the number of trials, or the seed that draws them, is out of range")
                points = tuple(space.point_from_json(with_new_names(point), tried) for point in some)
                return cls(recipe, tried, trials, seed, checksum, points)
        raise TypeError("the list of trials is missing")


@dataclass(frozen=True)
class SweepFolder:
    """A sweep on disk."""

    path: Path

    setup_file = Inside("sweep.json")
    journal = Inside("journal.log")
    workers = Inside("workers")
    lock_name = Inside("sweep")
    """Optuna's lock appends ".lock"."""

    def run(self, number: int) -> Run:
        """The run of that trial."""
        return Run(self.path / f"{TRIAL}-{number:04d}")

    def exists(self) -> bool:
        """Whether there is a sweep in this folder."""
        return self.setup_file.is_file()

    def setup(self) -> Setup:
        """Read the setup. Raises `RunError` if there is none or it is damaged."""
        if not self.exists():
            raise RunError(f"{self.path} is not a sweep of Sparring: it has no {self.setup_file.name}")
        content = read_json(self.setup_file, self.path)
        if content.get("format") != FORMAT:
            raise RunError(f"{self.setup_file} has a format that this version cannot read")
        try:
            return Setup.from_json(content)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise RunError(f"{self.setup_file} is damaged: {what}") from error

    def refuse_other_content(self) -> None:
        """Raise `RunError` if the folder holds anything except a sweep."""
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file; a sweep needs a folder")
        if self.exists() or not self.path.exists():
            return
        own = {self.workers.name, f"{self.lock_name.name}.lock"}
        foreign = [item.name for item in self.path.iterdir() if item.name not in own and not atomic.is_partial(item)]
        if foreign:
            raise RunError(
                f"{self.path} is neither empty nor a sweep of Sparring: it holds {min(foreign)!r}; "
                "choose another folder"
            )

    def refuse_links(self) -> None:
        """Raise `RunError` if a file of the sweep is a link, a pipe, a device, or of the wrong kind."""
        files = [self.setup_file, self.journal, self.lock_name.with_name(f"{self.lock_name.name}.lock")]
        for path in [*files, self.workers, *self.path.glob(f"{TRIAL}-*")]:
            with suppress(FileNotFoundError):
                found, is_file = path.lstat(), path in files
                kind = special_kind(found.st_mode)
                if kind != (None if is_file else "folder") or (is_file and found.st_nlink > 1):
                    raise RunError(
                        f"{path} should be a {'file' if is_file else 'folder'}, not a link or a device, because a "
                        "sweep writes only inside its folder: remove it, or choose another folder"
                    )

    def begin(self, wanted: Setup) -> Setup:
        """Write the setup of a new sweep, or return that of the existing one.

        The images may have another path now if their checksum is the same. Raises `ResumeError` if the setup differs.
        """
        self.refuse_other_content()
        if not self.exists():
            checksummed.write(self.setup_file, wanted.to_json())
            return wanted
        begun = self.setup()
        if changed := changes(begun, wanted):
            raise ResumeError(f"{self.path} cannot continue with another setup: {'; '.join(changed)}")
        given = {name: getattr(wanted.recipe, name) for name in FREE}
        return dataclasses.replace(begun, recipe=dataclasses.replace(begun.recipe, **given))


def changes(begun: Setup, wanted: Setup) -> list[str]:
    """Describe the differences between two setups."""
    before, after = _everything(begun), _everything(wanted)
    return [
        f"{name} was {before.get(name, 'not set')} and is now {after.get(name, 'not set')}"
        for name in before | after
        if before.get(name) != after.get(name)
    ]


def _everything(setup: Setup) -> dict[str, str]:
    """Everything that affects the results of a sweep, as text."""
    settings = {name: value for name, value in settings_of(setup.recipe).items() if name not in IGNORED}
    drawn = {"draw seed": str(setup.draw_seed)} if setup.trials is not None else {}
    return (
        {name: space.value_words(value) for name, value in settings.items()}
        | {name: space.axis_words(axis) for name, axis in setup.space.items()}
        | {"the number of trials": str(setup.trials or "that of the grid")}
        | drawn
        | {"the checksum of the images": setup.checksum[:12]}
    )
