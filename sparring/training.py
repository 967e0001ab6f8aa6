"""TRAINING: compiled chunks of steps, and between them log, sample and save.

train -> the run (new, or where it stopped) -> first state or newest checkpoint
      -> chunk, chunk, chunk ... with events, grids and checkpoints between -> generator, plots, animation
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from sparring import atomic, checkpoint, data, environment, sampling, terminal
from sparring.chunk import CAPACITY, Chunk, Rows, compile_chunk
from sparring.continuation import choose_run, refuse_changes
from sparring.data import ImageSet, batches
from sparring.errors import DataError, SparringError, TrainingDiverged
from sparring.game import Game, ImageShape, Latents, game_of
from sparring.images import Images, grid, grid_scale, save_picture, to_uint8
from sparring.plan import Plan
from sparring.randomness import random_key
from sparring.recipe import Recipe
from sparring.recipes import DEFAULT, named_recipe
from sparring.run import Run
from sparring.state import TrainState, first_state
from sparring.step import METRICS
from sparring.tensorboard import TensorBoard

CHUNK_SECONDS = 0.25
"""How often the terminal hears something."""
CHECKPOINT_SECONDS = 15.0
"""How often a checkpoint is written."""


class Reporter(Protocol):
    """Who is told how it goes: the terminal, or nobody."""

    def say(self, text: str) -> None:
        """One line for the user."""

    def begin(self, run: Run, recipe: Recipe, step: int, epoch: int) -> None:
        """Training starts after `step`; an epoch has `epoch` steps."""

    def progress(self, step: int, values: dict[str, float]) -> None:
        """So far has it come, with the means of what `METRICS` names since the last time."""

    def grid(self, step: int, samples: Images) -> None:
        """New images of the fixed noise (N, H, W, C)."""

    def end(self) -> None:
        """Training is over, for whatever reason."""


class Silence:
    """The reporter that tells nobody."""

    def say(self, text: str) -> None: ...
    def begin(self, run: Run, recipe: Recipe, step: int, epoch: int) -> None: ...
    def progress(self, step: int, values: dict[str, float]) -> None: ...
    def grid(self, step: int, samples: Images) -> None: ...
    def end(self) -> None: ...


def train(
    recipe: Recipe | str = DEFAULT,
    *,
    out: str | Path | None = None,
    runs: str | Path = "runs",
    tensorboard: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    reporter: Reporter | None = None,
    **changes: Any,
) -> Run:
    """Train a recipe, or go on with a run of it that was stopped, and return the run.

    `recipe` is a recipe or the name of one; `changes` are settings to change in it (`batch_size=64`). The run lies in
    `out`; without it in a new folder below `runs`, unless the newest run of this recipe there, with these settings,
    stopped before its end: then that one goes on. A checkpoint is written every `checkpoint_seconds` and at the end.
    Progress is shown on the terminal, or told to the `reporter` (`sparring.training.Silence()` shows nothing).

    Ctrl-C (SIGINT) or SIGTERM lets the chunk of steps finish, saves everything and returns; a second one interrupts.

    Raises `RecipeError` for an impossible setting, `DataError` for unusable data, `ResumeError` where the run in `out`
    was made with other settings or data, `RunError` where it is in use, `TrainingDiverged` where a loss is no number.
    """
    resolved = (named_recipe(recipe) if isinstance(recipe, str) else recipe).replace(**changes)
    told = terminal.reporter() if reporter is None else reporter
    image_set = _load_images(resolved)
    if image_set.notice:
        told.say(image_set.notice)
    surroundings = environment.describe(image_set)
    run = Run(Path(out)) if out is not None else choose_run(Path(runs), resolved, surroundings)
    refuse_changes(run, resolved, surroundings)
    run.path.mkdir(parents=True, exist_ok=True)
    with run.lock():
        if run.ended() == "finished" and run.reached() >= resolved.steps:
            told.say(f"{run.path} is finished: it has done {run.reached():,} of {resolved.steps:,} steps")
            return run
        session = _open(run, resolved, image_set, surroundings, told, tensorboard)
        try:
            with _stop_requests() as stop:
                _train(session, stop, checkpoint_seconds)
        except SparringError as error:
            run.add_event("failed", session.step, reason=str(error))
            raise
        finally:
            told.end()
    return run


def resume(path: str | Path, **options: Any) -> Run:
    """Go on with the run in `path`, to the end of its recipe. `options` are those of `train`."""
    return train(Run(Path(path)).recipe(), out=path, **options)


def _train(session: _Session, stop: _Stop, checkpoint_seconds: float) -> None:
    """Train to the end, or until asked to stop; then leave everything in order."""
    run, plan = session.run, session.plan
    session.told.begin(run, session.recipe, session.step, session.epoch)
    if session.step == 0:
        save_picture(run.real_grid, session.sheet(session.some_real()))
        session.sample()
    chunk = compile_chunk(session.game, session.recipe, session.state, session.images)
    wanted, saved = 1, time.monotonic()
    while session.step < plan.steps and not stop.requested:
        began = time.perf_counter()
        rows = session.advance(chunk, plan.chunk_end(session.step, wanted))
        wanted = min(CAPACITY, int(CHUNK_SECONDS * len(rows) / (time.perf_counter() - began)))
        session.log(rows)
        if plan.is_grid(session.step):
            session.sample()
        if time.monotonic() - saved >= checkpoint_seconds:
            session.save()
            saved = time.monotonic()
    session.close("finished" if session.step >= plan.steps else "stopped")


# ------------------------------------------------------------------------------------------------ the session


@dataclass
class _Session:
    """A run that is being trained: what it is made of, and how far it is."""

    run: Run
    recipe: Recipe
    plan: Plan
    epoch: int
    """Steps in which as many images are seen as there are, whole batches only."""
    game: Game
    told: Reporter
    board: TensorBoard | None
    image_set: ImageSet
    images: Array
    """The whole data set on the device, uint8 (count, H, W, C)."""
    permutation: Callable[[int], Array]
    """Epoch -> the order of its data (count,). Sorting takes some 30 ms, so the last one is kept."""
    draw_samples: Callable[[TrainState], Array]
    """State -> images of the fixed noise, (grid_rows * grid_columns, H, W, C) in [-1, 1]."""
    state: TrainState
    step: int
    saved: int | None
    """The step of the checkpoint that was last written or loaded."""
    seconds: float
    """How long it has trained, over all its stretches."""

    def advance(self, chunk: Chunk, end: int) -> Rows:
        """Train up to step `end`, which lies in the same epoch."""
        began = time.perf_counter()
        permutation = self.permutation(self.plan.epoch(self.step))
        self.state, rows = chunk(self.state, self.images, permutation, end - self.step)
        self.seconds += time.perf_counter() - began
        return rows

    def log(self, rows: Rows) -> None:
        """Write down the means of what was just trained. Raises `TrainingDiverged` where one is no longer a number."""
        start, end = self.step, self.step + len(rows)
        if not np.isfinite(rows).all():
            first = start + 1 + int(np.argmin(np.isfinite(rows).all(axis=1)))
            raise TrainingDiverged(
                f"the losses are no longer finite at step {first:,}: try a lower learning rate "
                f"(the checkpoints in {self.run.checkpoints} are from before)"
            )
        last = start
        for point in self.plan.log_points(start, end):
            values = _means(rows[last - start : point - start])
            self.run.add_event("log", point, seconds=round(self.seconds, 3), **values)
            if self.board is not None:
                self.board.scalars(point, values)
            last = point
        self.step = end
        self.told.progress(end, _means(rows))

    def sample(self) -> None:
        """Put the images of the fixed noise into the grid of this step."""
        samples = to_uint8(np.asarray(self.draw_samples(self.state)))
        file = self.run.grid(self.step)
        save_picture(file, self.sheet(samples))
        self.run.add_event("grid", self.step, file=file.name)
        if self.board is not None:
            self.board.grids(self.step, self.sheet(samples), self.sheet(self.some_real()))
        self.told.grid(self.step, samples)

    def some_real(self) -> Images:
        """As many real images as a grid has places, from all over the data."""
        count = self.recipe.grid_rows * self.recipe.grid_columns
        places = np.linspace(0, len(self.image_set.images) - 1, count).astype(int)
        chosen: Images = self.image_set.images[places]
        return chosen

    def sheet(self, images: Images) -> NDArray[np.uint8]:
        """These images as one grid."""
        return grid(images, self.recipe.grid_rows, self.recipe.grid_columns, grid_scale(*images.shape[1:3]))

    def save(self) -> None:
        """Write a checkpoint, unless this step's is there already."""
        if self.saved == self.step:
            return
        checkpoint.save(self.run.checkpoints, self.step, self.state)
        self.run.add_event("checkpoint", self.step)
        self.saved = self.step

    def close(self, event: str) -> None:
        """Save, and leave everything that a person wants to look at."""
        from sparring import report  # here, for matplotlib takes its time to start

        self.save()
        about = {"recipe": self.recipe.name, "step": self.step, "data": self.image_set.name}
        sampling.save(self.run, self.recipe, _image_shape(self.image_set), self.state, about)
        report.write_report(self.run)
        self.run.add_event(event, self.step, seconds=round(self.seconds, 3))
        if self.board is not None:
            self.board.close()


def _open(
    run: Run, recipe: Recipe, image_set: ImageSet, surroundings: dict[str, Any], told: Reporter, tensorboard: bool
) -> _Session:
    """The session at the newest whole checkpoint, or at step 0 where there is none."""
    game = game_of(recipe, _image_shape(image_set))
    noise = Latents(recipe.latent_size, recipe.latent_std).draw(
        random_key(recipe.seed, "grid"), recipe.grid_rows * recipe.grid_columns
    )
    begin, key = partial(first_state, game), random_key(recipe.seed, "weights")
    if newest := checkpoint.load_newest(run.checkpoints, jax.eval_shape(begin, key)):
        step, state, damaged = newest
        for problem in damaged:
            told.say(f"passed over a damaged checkpoint: {problem}")
    else:
        step, state = 0, jax.jit(begin)(key)
    run.grids.mkdir(exist_ok=True)
    board = TensorBoard(run.tensorboard, step) if tensorboard else None
    if run.exists():
        told.say(f"going on with {run.path} after step {step:,}")
        for change in environment.changes(run.environment(), surroundings):
            told.say(f"the result may differ in its last bits: {change}")
        run.forget_events_after(step)
    else:
        atomic.write_json(run.environment_file, surroundings)
    atomic.write_json(run.recipe_file, recipe.to_json())  # last: from now on there is a run
    epoch = len(image_set.images) // recipe.real_batch_size
    shuffles = random_key(recipe.seed, "permutations")
    seconds = max((event.get("seconds", 0.0) for event in run.events()), default=0.0)
    run.add_event("resumed" if step else "started", step, steps=recipe.steps)
    return _Session(
        run=run,
        recipe=recipe,
        plan=Plan(recipe.steps, recipe.grid_every, recipe.log_every, epoch if recipe.data_order == "shuffle" else None),
        epoch=epoch,
        game=game,
        told=told,
        board=board,
        image_set=image_set,
        images=jnp.asarray(image_set.images),
        permutation=lru_cache(maxsize=1)(lambda epoch: batches.permutation(shuffles, epoch, len(image_set.images))),
        draw_samples=jax.jit(
            lambda state: game.generator.apply(state.generator, state.generator_statistics, noise, train=False)[0]
        ),
        state=state,
        step=step,
        saved=step if newest else None,
        seconds=seconds,
    )


def _load_images(recipe: Recipe) -> ImageSet:
    image_set = data.load(recipe.data)
    if len(image_set.images) < recipe.real_batch_size:
        raise DataError(
            f"{recipe.data} holds {len(image_set.images)} images, but a batch takes {recipe.real_batch_size}"
        )
    return image_set


def _image_shape(image_set: ImageSet) -> ImageShape:
    _, height, width, channels = image_set.images.shape
    return height, width, channels


def _means(rows: Rows) -> dict[str, float]:
    return {name: float(mean) for name, mean in zip(METRICS, rows.mean(axis=0, dtype=np.float64), strict=True)}


# ------------------------------------------------------------------------------------------------ being stopped


class _Stop:
    """Whether somebody asked the training to stop."""

    requested = False


@contextmanager
def _stop_requests() -> Iterator[_Stop]:
    """Turn the first SIGINT or SIGTERM into a request to stop; the second does what it always did."""
    stop = _Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread hears signals
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request(number: int, frame: object) -> None:
        stop.requested = True
        restore()

    for number in before:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        restore()
