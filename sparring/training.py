"""TRAINING: compiled chunks of steps, and between them log, sample, judge and save.

train -> the run (new, or where it stopped) -> first state or newest checkpoint
      -> chunk, chunk, chunk ... with events, grids, judgements and checkpoints between -> generator, plots, animation

Where several processes train together, all compute the chunks, and process 0 alone does what lies between.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from sparring import atomic, checkpoint, data, environment, processes, sampling, terminal
from sparring.alarms import Judged
from sparring.chunk import CAPACITY, Chunk, Rows, compile_chunk
from sparring.continuation import choose_run, refuse_changes
from sparring.data import ImageSet, batches
from sparring.data.holdout import hold_out
from sparring.devices import Asked, Devices, choose_devices
from sparring.errors import DataError, SparringError, TrainingDiverged
from sparring.game import Game, ImageShape, Latents, game_of
from sparring.images import Images, grid, grid_scale, save_picture, some_places, to_uint8
from sparring.metrics.glance import LEAST_HELD_OUT, Glance
from sparring.monitor import Monitor
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
BOARD = ("score", "floor", "variation", "confident", "diversity", "copies", "memorising")
"""What TensorBoard shows of a judgement."""


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

    def judged(self, values: Judged) -> None:
        """What a judgement found, as it is in the events."""

    def end(self) -> None:
        """Training is over, for whatever reason."""


class Silence:
    """The reporter that tells nobody."""

    def say(self, text: str) -> None: ...
    def begin(self, run: Run, recipe: Recipe, step: int, epoch: int) -> None: ...
    def progress(self, step: int, values: dict[str, float]) -> None: ...
    def grid(self, step: int, samples: Images) -> None: ...
    def judged(self, values: Judged) -> None: ...
    def end(self) -> None: ...


def train(
    recipe: Recipe | str = DEFAULT,
    *,
    out: str | Path | None = None,
    runs: str | Path = "runs",
    tensorboard: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    stop_when_flat: bool = False,
    devices: Asked = None,
    reporter: Reporter | None = None,
    stop: Stop | None = None,
    **changes: Any,
) -> Run:
    """Train a recipe, or go on with a run of it that was stopped, and return the run.

    `recipe` is a recipe or the name of one; `changes` are settings to change in it (`batch_size=64`). The run lies in
    `out`; without it in a new folder below `runs`, unless the newest run of this recipe there, with these settings,
    stopped before its end: then that one goes on. A checkpoint is written every `checkpoint_seconds` and at the end.
    Progress is shown on the terminal, or told to the `reporter` (`sparring.training.Silence()` shows nothing).

    While it trains it is judged now and then on the images that the recipe holds out; with `stop_when_flat` it stops
    where these judgements no longer get better (`sparring.alarms.flat`).

    `devices` is how many of JAX's devices share every batch, or "all"; by default one. What is trained is the same to
    rounding. Several processes that have met (`sparring.processes.join`) train together on all of their devices: each
    calls this function with the same arguments, and process 0 alone writes and tells its reporter.

    Ctrl-C (SIGINT) or SIGTERM, in any process, lets the chunk of steps finish, saves everything and returns; a second
    one interrupts. Who trains several runs listens once for all of them (`stop_requests`) and passes the `stop`.

    Raises `RecipeError` for an impossible setting, `DataError` for unusable data, `ResumeError` where the run in `out`
    was made with other settings or data, `RunError` where it is in use, `TrainingDiverged` where a loss is no number,
    `DeviceError` where there are not so many devices or they cannot share a batch evenly, `ProcessError` where another
    process failed, is gone, or was started with other settings or data.
    """
    resolved = (named_recipe(recipe) if isinstance(recipe, str) else recipe).replace(**changes)
    leads = processes.leads()
    told = Silence() if not leads else terminal.reporter() if reporter is None else reporter
    processes.refuse_different("settings", checkpoint.sha256(json.dumps(resolved.to_json()).encode()))
    with processes.together():
        used = _choose_devices(devices, resolved)
        image_set = _load_images(resolved)
    if image_set.notice:
        told.say(image_set.notice)
    surroundings = environment.describe(image_set, used.count, processes.count())
    processes.refuse_different("images", surroundings["data"]["checksum"])
    with ExitStack() as locked:
        run, nothing_to_do = Run(Path(out or runs)), None
        with processes.together():
            if leads:
                run = Run(Path(out)) if out is not None else choose_run(Path(runs), resolved, surroundings)
                refuse_changes(run, resolved, surroundings)
                run.path.mkdir(parents=True, exist_ok=True)
                locked.enter_context(run.lock())
                nothing_to_do = _nothing_to_do(run, resolved, stop_when_flat)
        if nothing_to_do:
            told.say(nothing_to_do)
        found = processes.exchange({"path": str(run.path), "done": nothing_to_do is not None})[0]
        run = Run(Path(found["path"]))
        if found["done"]:
            return run
        session = _open(run, resolved, image_set, surroundings, told, tensorboard, used)
        try:
            with processes.together(), stop_requests() if stop is None else nullcontext(stop) as asked:
                _train(session, asked, checkpoint_seconds, stop_when_flat)
        except SparringError as error:
            session.note("failed", reason=str(error))
            raise
        finally:
            told.end()
    return run


def _nothing_to_do(run: Run, recipe: Recipe, stop_when_flat: bool) -> str | None:
    """Why the run has come to its end already, in words."""
    if run.ended() == "finished" and run.reached() >= recipe.steps:
        return f"{run.path} is finished: it has done {run.reached():,} of {recipe.steps:,} steps"
    if stop_when_flat and run.ended() == "flat":
        return f"{run.path} was stopped after {run.reached():,} of {recipe.steps:,} steps, for it was flat"
    return None


def _choose_devices(asked: Asked, recipe: Recipe) -> Devices:
    chosen = choose_devices(asked)
    chosen.check(real_images=recipe.real_batch_size, latents=recipe.batch_size)
    return chosen


def resume(path: str | Path, **options: Any) -> Run:
    """Go on with the run in `path`, to the end of its recipe. `options` are those of `train`."""
    return train(recipe_of(path), out=path, **options)


def recipe_of(path: str | Path) -> Recipe:
    """The recipe of the run in `path`; where several processes train together, process 0 alone reads it."""
    word: processes.Word = {}
    with processes.together():
        if processes.leads():
            word = {"recipe": Run(Path(path)).recipe().to_json()}
    return Recipe.from_json(processes.exchange(word)[0]["recipe"])


def _train(session: _Session, stop: Stop, checkpoint_seconds: float, stop_when_flat: bool) -> None:
    """Train to the end, or until asked to stop; then leave everything in order."""
    plan = session.plan
    session.told.begin(session.run, session.recipe, session.step, session.epoch)
    if session.step == 0:
        session.sample_real()
        session.sample()
    chunk = compile_chunk(session.game, session.recipe, session.state, session.images, session.devices)
    wanted, saved, end = 1, time.monotonic(), "finished"
    while session.step < plan.steps:
        # Whatever depends on a clock or a signal has to be the same in all processes.
        words = processes.exchange({"wanted": wanted, "stop": stop.requested, "flat": session.flat})
        if any(word["stop"] for word in words):
            end = "stopped"
            break
        if stop_when_flat and words[0]["flat"]:
            end = "flat"
            break
        wanted = words[0]["wanted"]
        began = time.perf_counter()
        rows = session.advance(chunk, plan.chunk_end(session.step, wanted))
        rate = len(rows) / (time.perf_counter() - began)
        wanted = min(CAPACITY, int(CHUNK_SECONDS * rate))
        session.log(rows)
        if plan.is_grid(session.step):
            session.sample()
        session.judge(rate)
        if time.monotonic() - saved >= checkpoint_seconds:
            session.save()
            saved = time.monotonic()
    session.close(end)


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
    devices: Devices
    told: Reporter
    board: TensorBoard | None
    monitor: Monitor | None
    image_set: ImageSet
    """What is trained on."""
    images: Array
    """The same images on the devices, uint8 (count, H, W, C)."""
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

    @property
    def here(self) -> TrainState:
        """The state on the first device of this process."""
        state: TrainState = self.devices.local(self.state)
        return state

    @property
    def flat(self) -> bool:
        """Whether the judgements no longer get better."""
        return self.monitor is not None and self.monitor.flat is not None

    def note(self, event: str, **values: Any) -> None:
        """Write down an event."""
        self.run.add_event(event, **({"step": self.step} | values))

    def advance(self, chunk: Chunk, end: int) -> Rows:
        """Train up to step `end`, which lies in the same epoch."""
        began = time.perf_counter()
        permutation = self.permutation(self.plan.epoch(self.step))
        with processes.reaching_others():
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
            self.note("log", step=point, seconds=round(self.seconds, 3), **values)
            if self.board is not None:
                self.board.scalars(point, values)
            last = point
        self.step = end
        self.told.progress(end, _means(rows))

    def sample_real(self) -> None:
        """Put real images into a grid, to be looked at beside the others."""
        save_picture(self.run.real_grid, self.sheet(self.some_real()))

    def sample(self) -> None:
        """Put the images of the fixed noise into the grid of this step."""
        samples = to_uint8(np.asarray(self.draw_samples(self.here)))
        file = self.run.grid(self.step)
        save_picture(file, self.sheet(samples))
        self.note("grid", file=file.name)
        if self.board is not None:
            self.board.grids(self.step, self.sheet(samples), self.sheet(self.some_real()))
        self.told.grid(self.step, samples)

    def judge(self, rate: float) -> None:
        """Have the monitor look, where that is due; `rate` is in steps a second."""
        if self.monitor is None or not self.plan.is_judged(self.step):
            return
        if values := self.monitor.look(self.step, self.plan.steps, rate, self.here):
            if self.board is not None:
                self.board.scalars(self.step, {f"judge/{name}": values[name] for name in BOARD if name in values})
            self.told.judged(values)

    def some_real(self) -> Images:
        """As many real images as a grid has places, from all over the data."""
        count = self.recipe.grid_rows * self.recipe.grid_columns
        chosen: Images = self.image_set.images[some_places(len(self.image_set.images), count)]
        return chosen

    def sheet(self, images: Images) -> NDArray[np.uint8]:
        """These images as one grid."""
        return grid(images, self.recipe.grid_rows, self.recipe.grid_columns, grid_scale(*images.shape[1:3]))

    def save(self) -> None:
        """Write a checkpoint, unless this step's is there already."""
        if self.saved == self.step:
            return
        checkpoint.save(self.run.checkpoints, self.step, self.here)
        self.note("checkpoint")
        self.saved = self.step

    def close(self, event: str) -> None:
        """Save, and leave everything that a person wants to look at."""
        from sparring import plots  # here, for matplotlib takes its time to start

        self.save()
        about = {"recipe": self.recipe.name, "step": self.step, "data": self.image_set.name}
        sampling.save(self.run, self.recipe, _image_shape(self.image_set), self.here, about)
        plots.write_plots(self.run)
        if self.monitor is not None and (summary := self.monitor.summary()):
            self.told.say(summary)
        self.note(event, seconds=round(self.seconds, 3))
        if self.board is not None:
            self.board.close()


class _Follower(_Session):
    """The session of a process that does not lead: it trains, and leaves nothing behind."""

    def note(self, event: str, **values: Any) -> None: ...
    def sample_real(self) -> None: ...
    def sample(self) -> None: ...
    def save(self) -> None: ...
    def close(self, event: str) -> None: ...


def _open(
    run: Run,
    recipe: Recipe,
    image_set: ImageSet,
    surroundings: dict[str, Any],
    told: Reporter,
    tensorboard: bool,
    used: Devices,
) -> _Session:
    """The session at the newest whole checkpoint, or at step 0 where there is none."""
    leads = processes.leads()
    game = game_of(recipe, _image_shape(image_set))
    training, held_out = hold_out(image_set, recipe.held_out)
    latents = Latents(recipe.latent_size, recipe.latent_std)
    noise = latents.draw(random_key(recipe.seed, "grid"), recipe.grid_rows * recipe.grid_columns)
    shuffles = random_key(recipe.seed, "permutations")
    epoch = len(training.images) // recipe.real_batch_size
    begin, key = partial(first_state, game), random_key(recipe.seed, "weights")
    state, saved, seconds, board, monitor = jax.eval_shape(begin, key), None, 0.0, None, None
    with processes.together():
        if leads:
            state, saved = _first_or_newest(run, begin, key, told)
            board = TensorBoard(run.tensorboard, saved or 0) if tensorboard else None
            _begin_or_go_on(run, recipe, surroundings, saved or 0, told)
            seconds = max((event.get("seconds", 0.0) for event in run.events()), default=0.0)
            if held_out is not None and len(held_out.images) >= LEAST_HELD_OUT:
                make_glance = partial(Glance, game, latents, recipe.seed, training, held_out)
                monitor = Monitor(run, make_glance, recipe.judge_every, told.say)
    state = processes.from_leader(state)
    make_session = _Session if leads else _Follower
    return make_session(
        run=run,
        recipe=recipe,
        plan=Plan(
            steps=recipe.steps,
            grid_every=recipe.grid_every,
            log_every=recipe.log_every,
            judge_every=recipe.judge_every,
            shuffle_every=epoch if recipe.data_order == "shuffle" else None,
        ),
        epoch=epoch,
        game=game,
        devices=used,
        told=told,
        board=board,
        monitor=monitor,
        image_set=training,
        images=jnp.asarray(used.place(training.images)),
        permutation=lru_cache(maxsize=1)(
            lambda epoch: used.place(batches.permutation(shuffles, epoch, len(training.images)))
        ),
        draw_samples=jax.jit(
            lambda state: game.generator.apply(state.generator, state.generator_statistics, noise, train=False)[0]
        ),
        state=used.place(state),
        step=int(state.step),
        saved=saved,
        seconds=seconds,
    )


def _first_or_newest(
    run: Run, begin: Callable[[Array], TrainState], key: Array, told: Reporter
) -> tuple[Any, int | None]:
    """(the state of the newest whole checkpoint, its step), or (the first state, None) where there is none."""
    newest = checkpoint.load_newest(run.checkpoints, jax.eval_shape(begin, key))
    if newest is None:
        return jax.jit(begin)(key), None
    step, state, damaged = newest
    for problem in damaged:
        told.say(f"passed over a damaged checkpoint: {problem}")
    return state, step


def _begin_or_go_on(run: Run, recipe: Recipe, surroundings: dict[str, Any], step: int, told: Reporter) -> None:
    """Leave in the run what it is, or what is another than before, and that it starts after `step`."""
    run.grids.mkdir(exist_ok=True)
    if run.exists():
        told.say(f"going on with {run.path} after step {step:,}")
        for change in environment.changes(run.environment(), surroundings):
            told.say(f"the result may differ in its last bits: {change}")
        run.forget_events_after(step)
    else:
        atomic.write_json(run.environment_file, surroundings)
    atomic.write_json(run.recipe_file, recipe.to_json())  # last: from now on there is a run
    run.add_event("resumed" if step else "started", step, steps=recipe.steps)


def _load_images(recipe: Recipe) -> ImageSet:
    image_set = data.load(recipe.data)
    left = len(hold_out(image_set, recipe.held_out)[0].images)
    if left < recipe.real_batch_size:
        held = f" ({len(image_set.images) - left} more are held out)" if left < len(image_set.images) else ""
        raise DataError(f"{recipe.data} holds {left} images{held}, but a batch takes {recipe.real_batch_size}")
    return image_set


def _image_shape(image_set: ImageSet) -> ImageShape:
    _, height, width, channels = image_set.images.shape
    return height, width, channels


def _means(rows: Rows) -> dict[str, float]:
    return {name: float(mean) for name, mean in zip(METRICS, rows.mean(axis=0, dtype=np.float64), strict=True)}


# ------------------------------------------------------------------------------------------------ being stopped


class Stop:
    """Whether somebody asked the training to stop."""

    requested = False


@contextmanager
def stop_requests() -> Iterator[Stop]:
    """Turn the first SIGINT or SIGTERM into a request to stop; the second does what it always did."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread hears signals
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: it is not Python's

    def request(number: int, frame: object) -> None:
        stop.requested = True
        restore()

    for number in before:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        restore()
