"""THE RUN FOLDER: every file name in one place. Training writes it, and everything else only reads it.

recipe.json           the resolved recipe
environment.json      versions, device, threads, the data and their checksum, the command
*.copy.json           copies of both, read if the originals are damaged
events.jsonl          one event a line: started, log, grid, checkpoint, judged, alarm, resumed, flat, finished ...
grids/00001000.png    samples of the same noise every time, by step, and grids/real.png (of more than 400 grids every
                      second one is kept, of more than 800 every fourth, and so on)
losses.png            curves of the losses
accuracy.png          curves of D's accuracy and of D(x), D(G(z))
training.gif          the grids, one after the other
checkpoints/00001000  checkpoints that a run resumes from (see `sparring.runs.checkpoint`)
best/00001000         a checkpoint of the state that was judged best during the training
generator.safetensors params and batch_stats of the generator; generator.json says how to rebuild it
measures.json         results of `sparring measure`, and report.html, the same as a page
closest.png           samples of the newest judgement, each beside its nearest training image
tensorboard/          scalars and grids for TensorBoard, if requested
lock                  held by the process that trains
"""

from __future__ import annotations

import base64
import hashlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sparring.errors import DamageWarning, RecipeError, RunError
from sparring.files import atomic, checksummed
from sparring.files.lock import lock
from sparring.files.untrusted import LARGEST_JSON, read_plain
from sparring.recipes import arguments
from sparring.recipes.digest import digest_of
from sparring.recipes.recipe import Recipe
from sparring.runs import identity
from sparring.runs.events import EventLog
from sparring.runs.identity import Identity
from sparring.terminal.output import html_escaped

Found = TypeVar("Found")


class Inside:
    """The path of a file or a folder, by its place in the folder that holds it."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __get__(self, holder: Any, kind: type) -> Path:
        """The whole path; of the class itself, the place in any such folder."""
        return Path(self._place) if holder is None else Path(holder.path) / self._place


@dataclass(frozen=True)
class Run:
    """A run on the disk. Reading it needs no JAX and is safe while it trains.

    `path` may be a string. Raises `UsageError` if it is neither a string nor a path.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", arguments.path("path", self.path))

    recipe_file = Inside("recipe.json")
    environment_file = Inside("environment.json")
    events_file = Inside("events.jsonl")
    grids = Inside("grids")
    real_grid = Inside("grids/real.png")
    losses_plot = Inside("losses.png")
    accuracy_plot = Inside("accuracy.png")
    animation = Inside("training.gif")
    checkpoints = Inside("checkpoints")
    best = Inside("best")
    measures = Inside("measures.json")
    closest = Inside("closest.png")
    report = Inside("report.html")
    generator_weights = Inside("generator.safetensors")
    generator_description = Inside("generator.json")
    tensorboard = Inside("tensorboard")
    lock_file = Inside("lock")

    def grid(self, step: int) -> Path:
        """The grid of a step."""
        return self.grids / f"{step:08d}.png"

    def all_grids(self) -> list[tuple[int, Path]]:
        """(step, file) of every sample grid, in the order of the steps."""
        return sorted(
            (int(path.stem), path) for path in self.grids.glob("*.png") if path.stem.isascii() and path.stem.isdecimal()
        )

    def own_grids(self) -> list[tuple[int, Path]]:
        """`all_grids` up to the step that the run reached. A `DamageWarning` names each one that was changed."""
        events, grids = list(self.events()), self.all_grids()
        if grids and not events:
            warnings.warn(
                f"{self.events_file} has no event of this run: all grids are used", DamageWarning, stacklevel=2
            )
            return grids
        reached = max((event["step"] for event in events), default=0)
        written = {event["step"]: event.get("sha256") for event in events if event["event"] == "grid"}
        return [(step, path) for step, path in grids if step <= reached and _is_as_written(path, written.get(step))]

    def exists(self) -> bool:
        """Whether the folder holds a run."""
        return self.recipe_file.is_file()

    def recipe(self) -> Recipe:
        """The recipe of the run. Raises `RunError` if it cannot be read."""
        found = self._whole(self.recipe_file, _recipe)
        if len(found) > 1:
            identity.refuse_different_recipes(self.recipe_file, _copy(self.recipe_file), found, self.checkpoints)
        return found[0]

    def environment(self) -> dict[str, Any]:
        """The environment of the run. Raises `RunError` if it cannot be read."""
        found = self._whole(self.environment_file, _environment)
        if len(found) > 1:
            identity.refuse_different_environments(self.environment_file, _copy(self.environment_file), found)
        return {name: value for name, value in found[0].items() if name != identity.KEY}

    @property
    def id(self) -> str | None:
        """The id in all files of this run; None without a run, or for one of a version without ids.

        Raises `RunError` if the recipe and the environment belong to different runs.
        """
        files = (self.recipe_file, self.environment_file)
        return identity.id_of([*files, *map(_copy, files)]) if self.exists() else None

    @property
    def identity(self) -> Identity | None:
        """What the manifests of the run's checkpoints must hold; None without a run. Raises `RunError`."""
        return Identity(self.id, digest_of(self.recipe())) if self.exists() else None

    def begin(self, recipe: Recipe, environment: dict[str, Any]) -> None:
        """Write the environment and the recipe, with the run's id, or a new one."""
        own = self.id if self.exists() else identity.new_id()
        mark = identity.mark(own)
        for path, value in ((self.environment_file, environment), (self.recipe_file, recipe.to_json())):
            checksummed.write(_copy(path), value | mark)
            checksummed.write(path, value | mark)

    def clear_partial(self) -> None:
        """Remove files that a killed process left half written. Only the holder of the lock may call this."""
        for folder in (self.path, self.grids):
            for path in filter(atomic.is_partial, folder.glob(".partial-*")):
                with suppress(OSError):
                    path.unlink()

    def foreign(self) -> list[str]:
        """Names of files that do not belong to a run, or to one that was killed before it wrote `recipe.json`."""
        return sorted(path.name for path in self.path.iterdir() if not self._is_of_a_beginning(path))

    def _is_of_a_beginning(self, path: Path) -> bool:
        if path == self.grids and path.is_dir() and not path.is_symlink():
            return all(map(atomic.is_partial, path.iterdir()))
        if path in (self.environment_file, _copy(self.environment_file), _copy(self.recipe_file)):
            try:
                return not path.is_symlink() and bool(checksummed.read(path, always=True))
            except (OSError, ValueError):
                return False
        return path == self.lock_file or atomic.is_partial(path)

    def _whole(self, path: Path, read: Callable[[Path, Path], Found]) -> list[Found]:
        """The contents of a file and of its copy, as far as they are whole. Raises `RunError` if neither is."""
        found, errors = [], []
        for place in (path, _copy(path)):
            try:
                found.append(read(place, self.path))
            except RunError as error:
                errors.append(error)
        if not found or not path.is_file():
            raise errors[0]
        return found

    def damages(self) -> Iterator[str]:
        """One sentence for each damage that does not keep the run from being read."""
        readers: tuple[tuple[Path, Callable[[Path, Path], Any]], ...]
        readers = ((self.environment_file, _environment), (self.recipe_file, _recipe))
        for path, read in readers:
            for one, other in ((path, _copy(path)), (_copy(path), path)):
                try:
                    if one.exists():
                        read(one, self.path)
                except RunError as error:
                    yield f"{error}; {other.name} is read instead"
        yield from self._event_log.damages()

    @property
    def _event_log(self) -> EventLog:
        return EventLog(self.events_file, self.id)

    def events(self) -> Iterator[dict[str, Any]]:
        """The events so far. Lines that are incomplete, damaged, or of another run are left out."""
        return self._event_log.read()

    def add_event(self, event: str, step: int, **values: Any) -> None:
        """Append one event, with the time of day."""
        self._event_log.add(event, step, **values)

    def thin_grids(self, spacing: int) -> None:
        """Remove all grids but the newest whose step is no multiple of `spacing`."""
        for step, path in self.all_grids()[:-1]:
            if step % spacing:
                path.unlink(missing_ok=True)

    def thin_events(self, spacing: int) -> None:
        """Remove events: logs at other steps than multiples of `spacing`, removed grids, and all checkpoints."""
        grids = {step for step, _ in self.all_grids()}

        def is_kept(event: dict[str, Any]) -> bool:
            step = event["step"]
            return bool(
                {"log": step % spacing == 0, "grid": step in grids, "checkpoint": False}.get(event["event"], True)
            )

        self._event_log.keep(is_kept)

    def forget_events_after(self, step: int) -> None:
        """Remove events after the step that the run resumes from: they will happen again."""
        self._event_log.keep(lambda event: event["step"] <= step)

    def reached(self) -> int:
        """The last step of any event."""
        return max((event["step"] for event in self.events()), default=0)

    def ended(self) -> str | None:
        """How the run ended: "finished", "stopped", "flat" (judgements got no better) or "failed".

        None while it trains, or if it was killed.
        """
        last = next((event["event"] for event in reversed(list(self.events()))), None)
        return last if last in ("finished", "stopped", "flat", "failed") else None

    def refuse_links(self) -> None:
        """Raise `RunError` if a folder in which files are written and removed is a symlink."""
        inside = (
            self.tensorboard / "fake",
            self.tensorboard / "real",
            *self.checkpoints.glob("*"),
            *self.best.glob("*"),
        )
        for folder in (self.checkpoints, self.best, self.grids, self.tensorboard, *inside):
            if folder.is_symlink():
                raise RunError(f"{folder} is a symlink; files are not written or removed through symlinks")

    @contextmanager
    def lock(self) -> Iterator[str | None]:
        """Hold the lock of the run; yields a notice for the user if the file system has no locks.

        Raises `RunError` if another process trains the run, or if a folder in it is a symlink.
        """
        self.refuse_links()
        with lock(self.lock_file) as notice:
            yield notice

    def is_held(self) -> bool:
        """Whether a process on this machine holds the lock. Does not take the lock, which could stop a training.

        Always False on systems other than Linux.
        """
        try:
            place, held = self.lock_file.stat().st_ino, Path("/proc/locks").read_text()
        except OSError:
            return False
        return any(" FLOCK " in line and f":{place} " in line for line in held.splitlines())

    def _repr_html_(self) -> str:
        """A notebook's view of the run: name, step, newest grid, real images, losses."""
        newest = [path for _, path in self.all_grids()][-1:]
        pictures = [*newest, self.real_grid, self.losses_plot]
        images = "".join(_inline_image(path) for path in pictures if path.is_file() and not path.is_symlink())
        recipe = self.recipe()
        title = f"{html_escaped(recipe.name)}, step {self.reached():,} of {recipe.steps:,}"
        return f"<div><strong>{title}</strong><br><code>{html_escaped(str(self.path))}</code><br>{images}</div>"


def _recipe(path: Path, run: Path) -> Recipe:
    value = {name: part for name, part in read_json(path, run).items() if name != identity.KEY}
    try:
        return Recipe.from_json(value)
    except RecipeError as error:
        raise RunError(f"{path} is damaged: {checksummed.shortened(str(error))}") from error


def _environment(path: Path, run: Path) -> dict[str, Any]:
    from sparring.runs import schemas

    return read_json(path, run, schemas.Environment)


def _is_as_written(path: Path, sha256: str | None) -> bool:
    try:
        if sha256 is None or hashlib.sha256(read_plain(path, LARGEST_JSON)).hexdigest() == sha256:
            return True
    except OSError:
        pass
    warnings.warn(f"{path} was changed since it was written, and is left out", DamageWarning, stacklevel=3)
    return False


def _copy(path: Path) -> Path:
    return path.with_suffix(".copy.json")


def read_json(path: Path, run: Path, schema: type | None = None) -> dict[str, Any]:
    """The JSON object in a file of a run, checked by a schema. Raises `RunError` if it is missing or damaged."""
    try:
        value = checksummed.read(path)
        if schema is not None:
            from sparring.runs import schemas

            schemas.check(value, schema)
        return value
    except FileNotFoundError as error:
        raise RunError(f"{run} is no run of Sparring: it has no {path.name}") from error
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RunError(checksummed.damaged(path, error)) from error


def _inline_image(path: Path) -> str:
    content = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{path.stem}" style="max-height: 18em; margin: 4px" src="data:image/png;base64,{content}">'
