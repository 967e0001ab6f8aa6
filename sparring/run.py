"""THE RUN DIRECTORY: every file name in one place. The trainer writes it; everybody else only reads it.

recipe.json           the resolved recipe
environment.json      versions, device, threads, the data and their checksum, the command
events.jsonl          one line an event: started, log, grid, checkpoint, judged, alarm, resumed, flat, finished ...
grids/00001000.png    samples of the same noise every time, by step; grids/real.png beside them
losses.png            curves of the losses
accuracy.png          curves of D's accuracy and of D(x), D(G(z))
training.gif          the grids, one after the other
checkpoints/00001000  what `--resume` goes on from (see `sparring.checkpoint`)
best/00001000         the state that was judged best while it trained, as a checkpoint
generator.safetensors the generator's weights, and generator.json, how to rebuild it
measures.json         what `sparring measure` found, and report.html, the same as a page
closest.png           samples, each beside its nearest training image, of the newest judgement while it trained
tensorboard/          scalars and grids for TensorBoard, if asked for
lock                  held by the process that trains
"""

from __future__ import annotations

import base64
import html
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparring import atomic
from sparring.errors import RunError
from sparring.recipe import Recipe

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Run:
    """A run on the disk. Reading it needs no JAX and disturbs no training."""

    path: Path

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
        return sorted((int(path.stem), path) for path in self.grids.glob("*.png") if path.stem.isdigit())

    def exists(self) -> bool:
        """Whether a run was ever begun here."""
        return self.recipe_file.is_file()

    def recipe(self) -> Recipe:
        """The recipe that the run was made with. Raises `RunError` if there is none to read."""
        return Recipe.from_json(read_json(self.recipe_file, self.path))

    def environment(self) -> dict[str, Any]:
        """What the run was made on. Raises `RunError` if there is none to read."""
        environment = read_json(self.environment_file, self.path)
        if missing := {"versions", "device", "threads", "xla_flags", "data"} - set(environment):
            raise RunError(f"{self.environment_file} is damaged: it lacks {min(missing)!r}")
        return environment

    def events(self) -> Iterator[dict[str, Any]]:
        """The events so far; a line that is being written, or was cut short by a crash, is left out."""
        if not self.events_file.is_file():
            return
        with self.events_file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if isinstance(event, dict) and "event" in event:
                    yield event

    def add_event(self, event: str, step: int, **values: Any) -> None:
        """Append one event, with the time of day."""
        line = json.dumps({"event": event, "step": step, "time": round(time.time(), 3), **values})
        with self.events_file.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def forget_events_after(self, step: int) -> None:
        """Drop what was logged beyond the checkpoint that the run goes on from: it will happen again."""
        kept = [json.dumps(event) + "\n" for event in self.events() if event["step"] <= step]
        atomic.write_bytes(self.events_file, "".join(kept).encode())

    def reached(self) -> int:
        """The last step that anything is known of."""
        return max((event["step"] for event in self.events()), default=0)

    def ended(self) -> str | None:
        """How its last stretch ended: "finished", "stopped", "flat" (stopped because it was) or "failed"; None while it
        runs, or if it was killed."""
        last = next((event["event"] for event in reversed(list(self.events()))), None)
        return last if last in ("finished", "stopped", "flat", "failed") else None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only process that trains this run. Raises `RunError` if another one does.

        The operating system lets go of the lock when the process ends, however it ends. Windows has no such lock here.
        """
        with self.lock_file.open("a") as file:
            if fcntl is not None:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as error:
                    raise RunError(f"another process is training {self.path}") from error
            yield

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
        images = "".join(_inline_image(path) for path in pictures if path.is_file())
        recipe = self.recipe()
        title = f"{html.escape(recipe.name)}, step {self.reached():,} of {recipe.steps:,}"
        return f"<div><strong>{title}</strong><br><code>{html.escape(str(self.path))}</code><br>{images}</div>"


def read_json(path: Path, run: Path) -> dict[str, Any]:
    """The JSON object in a file of a run. Raises `RunError` if it is missing or damaged."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise RunError(f"{run} is no run of Sparring: it has no {path.name}") from error
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} is damaged: it should hold an object")
    return value


def _inline_image(path: Path) -> str:
    content = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{path.stem}" style="max-height: 18em; margin: 4px" src="data:image/png;base64,{content}">'
