"""THE RUN DIRECTORY: every file name in one place. The trainer writes it; everybody else only reads it.

recipe.json           the resolved recipe
environment.json      versions, device, threads, the data and their checksum, the command
*.copy.json           the same as both, to be read where they are damaged
events.jsonl          one line an event: started, log, grid, checkpoint, judged, alarm, resumed, flat, finished ...
grids/00001000.png    samples of the same noise every time, by step; grids/real.png beside them (of more than 400 every
                      second one is kept, of more than 800 every fourth, and so on)
losses.png            curves of the losses
accuracy.png          curves of D's accuracy and of D(x), D(G(z))
training.gif          the grids, one after the other
checkpoints/00001000  what `--resume` goes on from (see `sparring.runs.checkpoint`)
best/00001000         the state that was judged best while it trained, as a checkpoint
generator.safetensors the generator's weights, and generator.json, how to rebuild it
measures.json         what `sparring measure` found, and report.html, the same as a page
closest.png           samples, each beside its nearest training image, of the newest judgement while it trained
tensorboard/          scalars and grids for TensorBoard, if asked for
lock                  held by the process that trains
"""

from __future__ import annotations

import base64
import hashlib
import io
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

from sparring.errors import DamageWarning, RecipeError, RunError
from sparring.files import atomic, checksummed
from sparring.files.lock import lock
from sparring.files.untrusted import LARGEST_JSON, open_plain, read_plain
from sparring.recipes import arguments
from sparring.recipes.recipe import Recipe, digest_of
from sparring.runs import identity
from sparring.runs.identity import Identity
from sparring.terminal.output import html_escaped

LARGEST_EVENTS, LONGEST_LINE = 1 << 30, 1 << 24
"""Characters of the events that are read, and of one of them."""

Found = TypeVar("Found")


@dataclass(frozen=True)
class Run:
    """A run on the disk. Reading it needs no JAX and disturbs no training.

    `path` may be a text. Raises `UsageError` for what is no path.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", arguments.path("path", self.path))

    @property
    def recipe_file(self) -> Path:
        return self.path / "recipe.json"

    @property
    def environment_file(self) -> Path:
        return self.path / "environment.json"

    @property
    def events_file(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def grids(self) -> Path:
        return self.path / "grids"

    @property
    def real_grid(self) -> Path:
        return self.grids / "real.png"

    @property
    def losses_plot(self) -> Path:
        return self.path / "losses.png"

    @property
    def accuracy_plot(self) -> Path:
        return self.path / "accuracy.png"

    @property
    def animation(self) -> Path:
        return self.path / "training.gif"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        return self.path / "best"

    @property
    def measures(self) -> Path:
        return self.path / "measures.json"

    @property
    def closest(self) -> Path:
        return self.path / "closest.png"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def generator_weights(self) -> Path:
        return self.path / "generator.safetensors"

    @property
    def generator_description(self) -> Path:
        return self.path / "generator.json"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def lock_file(self) -> Path:
        return self.path / "lock"

    def grid(self, step: int) -> Path:
        """The grid of that step."""
        return self.grids / f"{step:08d}.png"

    def all_grids(self) -> list[tuple[int, Path]]:
        """(step, file) of every sample grid, the first step first."""
        return sorted(
            (int(path.stem), path) for path in self.grids.glob("*.png") if path.stem.isascii() and path.stem.isdecimal()
        )

    def own_grids(self) -> list[tuple[int, Path]]:
        """The same up to the step that the run reached; a `DamageWarning` names those that are not as written."""
        events, grids = list(self.events()), self.all_grids()
        if grids and not events:
            warnings.warn(
                f"{self.events_file} tells nothing of this run: all grids are used", DamageWarning, stacklevel=2
            )
            return grids
        reached = max((event["step"] for event in events), default=0)
        written = {event["step"]: event.get("sha256") for event in events if event["event"] == "grid"}
        return [(step, path) for step, path in grids if step <= reached and _is_as_written(path, written.get(step))]

    def exists(self) -> bool:
        """Whether a run was ever begun here."""
        return self.recipe_file.is_file()

    def recipe(self) -> Recipe:
        """The recipe that the run was made with. Raises `RunError` if there is none to read."""
        found = self._whole(self.recipe_file, _recipe)
        if len(found) > 1:
            identity.refuse_different_recipes(self.recipe_file, _copy(self.recipe_file), found, self.checkpoints)
        return found[0]

    def environment(self) -> dict[str, Any]:
        """What the run was made on. Raises `RunError` if there is none to read."""
        found = self._whole(self.environment_file, _environment)
        if len(found) > 1:
            identity.refuse_different_environments(self.environment_file, _copy(self.environment_file), found)
        return {name: value for name, value in found[0].items() if name != identity.KEY}

    @property
    def id(self) -> str | None:
        """What all files of this run carry, and no other's; None where there is no run, or it is older than ids are.

        Raises `RunError` where the files that say what the run is are of different runs.
        """
        files = (self.recipe_file, self.environment_file)
        return identity.id_of([*files, *map(_copy, files)]) if self.exists() else None

    @property
    def identity(self) -> Identity | None:
        """What the run's checkpoints must say of themselves; None where there is no run. Raises `RunError`."""
        return Identity(self.id, digest_of(self.recipe())) if self.exists() else None

    def begin(self, recipe: Recipe, environment: dict[str, Any]) -> None:
        """Write down what the run is. From then on it is one, with an id of its own."""
        own = self.id if self.exists() else identity.new_id()
        mark = identity.mark(own)
        for path, value in ((self.environment_file, environment), (self.recipe_file, recipe.to_json())):
            checksummed.write(_copy(path), value | mark)
            checksummed.write(path, value | mark)

    def clear_partial(self) -> None:
        """Remove what a killed process had begun to write; for the one that holds the lock."""
        for folder in (self.path, self.grids):
            for path in filter(atomic.is_partial, folder.glob(".partial-*")):
                with suppress(OSError):
                    path.unlink()

    def foreign(self) -> list[str]:
        """The names of what lies here and is not of a run that was killed before `recipe.json` was whole."""
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
        """What that file and its copy hold, where they are whole. Raises `RunError` where neither is."""
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
        """What is not as it was written, but was made up for, a sentence each."""
        readers: tuple[tuple[Path, Callable[[Path, Path], Any]], ...]
        readers = ((self.environment_file, _environment), (self.recipe_file, _recipe))
        for path, read in readers:
            for one, other in ((path, _copy(path)), (_copy(path), path)):
                try:
                    if one.exists():
                        read(one, self.path)
                except RunError as error:
                    yield f"{error}; {other.name} is read instead"
        lost = foreign = 0
        own = self.id
        for event in self._lines():
            lost += not is_event(event)
            foreign += is_event(event) and event.get(identity.KEY) != own
        if lost:
            yield (
                f"of {self.events_file} {lost} line{'s' if lost > 1 else ''} cannot be read: left out, for it was cut "
                "short, as by a kill, or damaged since"
            )
        if foreign:
            yield f"of {self.events_file} {foreign} line{'s' if foreign > 1 else ''} belong to another run: left out"

    def _lines(self) -> Iterator[dict[str, Any] | None]:
        read, left = checksummed.Lines().read, LARGEST_EVENTS
        try:
            file = open_plain(self.events_file)
        except FileNotFoundError:
            return
        except OSError as error:
            raise RunError(f"{self.events_file} cannot be read: {error.strerror}") from error
        with io.TextIOWrapper(file, encoding="utf-8", errors="replace") as lines:
            while left > 0 and (line := lines.readline(LONGEST_LINE)):
                left -= len(line)
                yield read(line)

    def events(self) -> Iterator[dict[str, Any]]:
        """The events so far; a line that is being written, was cut short, damaged, or is another run's is left out."""
        own = self.id
        return (event for event in self._lines() if is_event(event) and event.get(identity.KEY) == own)

    def add_event(self, event: str, step: int, **values: Any) -> None:
        """Append one event, with the time of day."""
        about = {"event": event, "step": step, "time": round(time.time(), 3)}
        line = checksummed.line(about | values | identity.mark(self.id))
        atomic.append(self.events_file, line.encode())

    def thin_grids(self, spacing: int) -> None:
        """Keep the grids of the steps that are multiples of it, and the newest one."""
        for step, path in self.all_grids()[:-1]:
            if step % spacing:
                path.unlink(missing_ok=True)

    def thin_events(self, spacing: int) -> None:
        """Of what comes often keep the log of the steps that are multiples of it, and the grids that are there;
        of checkpoints, which come by the clock, nothing."""
        grids = {step for step, _ in self.all_grids()}

        def is_kept(event: dict[str, Any]) -> bool:
            step = event["step"]
            return bool(
                {"log": step % spacing == 0, "grid": step in grids, "checkpoint": False}.get(event["event"], True)
            )

        self._rewrite(filter(is_kept, self.events()))

    def forget_events_after(self, step: int) -> None:
        """Drop what was logged beyond the checkpoint that the run goes on from: it will happen again."""
        self._rewrite(event for event in self.events() if event["step"] <= step)

    def _rewrite(self, events: Iterable[dict[str, Any]]) -> None:
        atomic.write_bytes(self.events_file, "".join(map(checksummed.line, events)).encode())

    def reached(self) -> int:
        """The last step that anything is known of."""
        return max((event["step"] for event in self.events()), default=0)

    def ended(self) -> str | None:
        """How its last stretch ended: "finished", "stopped", "flat" (stopped because it was) or "failed"; None while it
        runs, or if it was killed."""
        last = next((event["event"] for event in reversed(list(self.events()))), None)
        return last if last in ("finished", "stopped", "flat", "failed") else None

    def refuse_links(self) -> None:
        """Raise `RunError` where a folder in which files are written and removed is a link to another one."""
        inside = (
            self.tensorboard / "fake",
            self.tensorboard / "real",
            *self.checkpoints.glob("*"),
            *self.best.glob("*"),
        )
        for folder in (self.checkpoints, self.best, self.grids, self.tensorboard, *inside):
            if folder.is_symlink():
                raise RunError(f"{folder} is a link to another folder, and nothing is written or removed behind links")

    @contextmanager
    def lock(self) -> Iterator[str | None]:
        """Be the only process that trains this run; what the user should know where the file system has no locks.

        Raises `RunError` if another process trains it, or where this one would write behind a link.
        """
        self.refuse_links()
        with lock(self.lock_file) as notice:
            yield notice

    def is_held(self) -> bool:
        """Whether a process is seen to hold the lock. Only looks: a lock taken for a look might keep a trainer out.

        False where the system doesn't tell (Linux does), and where the process is on another machine.
        """
        try:
            place, held = self.lock_file.stat().st_ino, Path("/proc/locks").read_text()
        except OSError:
            return False
        return any(" FLOCK " in line and f":{place} " in line for line in held.splitlines())

    def _repr_html_(self) -> str:
        """How a notebook shows the run: its name, how far it is, the newest grid, the real images, the curves."""
        newest = [path for _, path in self.all_grids()][-1:]
        pictures = [*newest, self.real_grid, self.losses_plot]
        images = "".join(_inline_image(path) for path in pictures if path.is_file() and not path.is_symlink())
        recipe = self.recipe()
        title = f"{html_escaped(recipe.name)}, step {self.reached():,} of {recipe.steps:,}"
        return f"<div><strong>{title}</strong><br><code>{html_escaped(str(self.path))}</code><br>{images}</div>"


def is_event(value: dict[str, Any] | None) -> TypeGuard[dict[str, Any]]:
    """Whether that is an event as runs have them."""
    from sparring.runs import schemas  # here, for it takes its time to load

    return schemas.is_event(value)


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
    warnings.warn(f"{path} is not as it was written: left out", DamageWarning, stacklevel=3)
    return False


def _copy(path: Path) -> Path:
    return path.with_suffix(".copy.json")


def read_json(path: Path, run: Path, schema: type | None = None) -> dict[str, Any]:
    """The JSON object in a file of a run, as the schema has it. Raises `RunError` if it is missing or damaged."""
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
