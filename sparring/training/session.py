"""THE SESSION: a run that is being trained, and all that is written down of it between two chunks of steps.

open_session -> the first state, or the newest checkpoint's -> advance, log, sample, judge, save, and again -> close
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np
from jax import Array
from numpy.typing import NDArray

from sparring.data import ImageSet
from sparring.data.classes import Labels, grid_labels
from sparring.data.validation import SplitImages
from sparring.errors import CheckpointError, TrainingDiverged, reason
from sparring.evaluation.alarms import Judged
from sparring.evaluation.monitor import Monitor
from sparring.evaluation.validation_judge import ValidationJudge
from sparring.gan.batch import Examples
from sparring.gan.gan import Game, ImageShape, Latents, game_of
from sparring.gan.randomness import random_key
from sparring.gan.state import TrainState, first_state, is_finite
from sparring.gan.step import METRICS
from sparring.images import Images, grid, grid_scale, save_picture, some_places, to_uint8
from sparring.recipes.recipe import Recipe
from sparring.reports import plots
from sparring.reports.tensorboard import TensorBoard
from sparring.runs import checkpoint, environment
from sparring.runs import generator as sampling
from sparring.runs.run import Run
from sparring.runs.writer import Writer
from sparring.training import memory, processes
from sparring.training.devices import Devices
from sparring.training.feed import Feed, Held, Order, Windows, steps_in_window, words
from sparring.training.loop import Chunk, Rows
from sparring.training.plan import Plan

SLOWER = 0.5
"""The learning rates after the networks diverged, of those before."""
DIVERGED = "diverged"
"""The kind of alarm that says so."""
BOARD = ("score", "floor", "variation", "modes", "confident", "diversity", "copies", "memorising")
"""What TensorBoard shows of a judgement."""


class Reporter(Protocol):
    """Who is told how it goes: the terminal, or nobody."""

    def say(self, text: str) -> None:
        """One line for the user."""

    def begin(self, run: Run, recipe: Recipe, step: int, epoch: int, replicas: int = 1) -> None:
        """Training starts after `step`; an epoch has `epoch` steps; so many seeds are trained at once."""

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
    def begin(self, run: Run, recipe: Recipe, step: int, epoch: int, replicas: int = 1) -> None: ...
    def progress(self, step: int, values: dict[str, float]) -> None: ...
    def grid(self, step: int, samples: Images) -> None: ...
    def judged(self, values: Judged) -> None: ...
    def end(self) -> None: ...


@dataclass
class Session:
    """A run that is being trained: what it is made of, and how far it is."""

    run: Run
    recipe: Recipe
    plan: Plan
    epoch: int
    """Steps in which as many images are seen as there are, whole batches only."""
    game: Game
    devices: Devices
    writer: Writer
    told: Reporter
    board: TensorBoard | None
    monitor: Monitor | None
    image_set: ImageSet
    """What is trained on."""
    feed: Feed
    """The same as the steps take it; labels where the networks are told them."""
    grid_labels: Labels | None
    """Of the images of a grid, where the networks are told them."""
    draw_samples: Callable[[TrainState], Array]
    """State -> images of the fixed noise, as many as a grid has, (N, H, W, C) in [-1, 1]."""
    state: TrainState
    step: int
    saved: int | None
    """The step of the checkpoint that was last written or loaded."""
    rate: float
    """How many times as high as in the recipe the learning rates are: less than 1 where it diverged before."""
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
        """Have an event written down."""
        self.writer.do(partial(self.run.add_event, event, **({"step": self.step} | values)))

    def advance(self, chunk: Chunk, end: int) -> Rows:
        """Train up to step `end`, which lies in the same epoch."""
        began = time.perf_counter()
        rows = []
        with processes.reaching_others():
            for piece in self.feed.pieces(self.step, end):
                self.state, some = chunk(self.state, *piece)
                rows.append(some)
        self.seconds += time.perf_counter() - began
        return np.concatenate(rows)

    def log(self, rows: Rows) -> None:
        """Write down the means of what was just trained. Raises `TrainingDiverged` where one is no longer a number."""
        start, end = self.step, self.step + len(rows)
        if not np.isfinite(rows).all():
            first = start + 1 + int(np.argmin(np.isfinite(rows).all(axis=1)))
            raise TrainingDiverged(f"the losses are no longer finite at step {first:,}")
        last = start
        for point in self.plan.log_points(start, end):
            values = means(rows[last - start : point - start])
            if self.plan.is_kept(point):
                self.note("log", step=point, seconds=round(self.seconds, 3), **values)
            if self.board is not None:
                self.writer.do(partial(self.board.scalars, point, values))
            if (spacing := self.plan.log_spacing(point)) != self.plan.log_spacing(last):
                self.writer.do(partial(self.run.thin_events, spacing))
            last = point
        self.step = end
        self.told.progress(end, means(rows))

    def verify(self) -> None:
        """Raise `TrainingDiverged` where the state holds what is no number: before anything is made of it or saved."""
        if not is_finite(self.state):
            raise TrainingDiverged(f"the networks are no longer finite at step {self.step:,}")

    def slow_down(self, why: str, retries: int) -> None:
        """Have the next session start from the newest checkpoint with lower rates; this one, which diverged, is over.

        Raises `TrainingDiverged` where that has been tried so many times.
        """
        back, tries = self.saved or 0, round(math.log(self.rate, SLOWER))
        if tries >= retries:
            also = f", also at {self.rate:g} of its learning rates" if tries else ""
            raise TrainingDiverged(
                f"{why}{also}: try a lower learning rate (what is saved in {self.run.checkpoints} is from before)"
            )
        text = f"{why}: back to step {back:,}, with {SLOWER * self.rate:g} of its learning rates from there"
        self.note("alarm", step=back, kind=DIVERGED, rate=SLOWER * self.rate, text=text)
        self.writer.finish()
        if self.board is not None:
            self.board.close()
        self.told.say(f"alarm: {text}")

    def sample_real(self) -> None:
        """Put real images into a grid, to be looked at beside the others."""
        save_picture(self.run.real_grid, self.sheet(self.some_real()))

    def sample(self) -> None:
        """Put the images of the fixed noise into the grid of this step."""
        samples = to_uint8(np.asarray(self.draw_samples(self.here)))
        file = self.run.grid(self.step)
        self.writer.do(partial(self._write_grid, self.step, file, samples))
        self.writer.do(partial(self.run.thin_grids, self.plan.grid_spacing(self.step)))
        if self.board is not None:
            write_grids = partial(self.board.grids, self.step)
            self.writer.do(lambda: write_grids(self.sheet(samples), self.sheet(self.some_real())))
        self.told.grid(self.step, samples)

    def _write_grid(self, step: int, file: Path, samples: Images) -> None:
        save_picture(file, self.sheet(samples))
        self.run.add_event("grid", step, file=file.name, sha256=checkpoint.sha256(file.read_bytes()))

    def judge(self, rate: float) -> None:
        """Have the monitor look, where that is due; `rate` is in steps a second."""
        if self.monitor is None or not self.plan.is_judged(self.step):
            return
        self.writer.finish()  # the monitor writes for itself
        if values := self.monitor.look(self.step, self.plan.steps, rate, self.here):
            if self.board is not None:
                self.board.scalars(self.step, {f"judge/{name}": values[name] for name in BOARD if name in values})
            self.told.judged(values)

    def some_real(self) -> Images:
        """As many real images as a grid has places, from all over the data; of the same classes where those count."""
        columns = self.recipe.grid_columns
        if self.grid_labels is None:
            places = some_places(len(self.image_set.images), self.recipe.grid_rows * columns)
        else:
            assert self.image_set.labels is not None
            classes = (np.flatnonzero(self.image_set.labels == label) for label in self.grid_labels[::columns])
            places = np.concatenate([np.resize(one[some_places(len(one), columns)], columns) for one in classes])
        chosen: Images = self.image_set.images[places]
        return chosen

    def sheet(self, images: Images) -> NDArray[np.uint8]:
        """These images as one grid."""
        columns = self.recipe.grid_columns
        return grid(images, len(images) // columns, columns, grid_scale(*images.shape[1:3]))

    def save(self) -> None:
        """Have a checkpoint written, unless this step's is there already."""
        if self.saved == self.step:
            return
        state = jax.tree.map(np.array, self.here)  # a copy: the next chunk uses up the state itself
        self.writer.do(partial(checkpoint.save, self.run.checkpoints, self.step, state, made_by=self.run.identity))
        self.note("checkpoint")
        self.saved = self.step

    def close(self, event: str) -> None:
        """Save everything, write down how it ended, and last of all draw what a person wants to look at."""
        self.save()
        self.finish(event)
        self.draw()

    def finish(self, event: str) -> None:
        """Leave the generator of the state that was saved, and write down how the training ended."""
        self.writer.finish()
        about = {"recipe": self.recipe.name, "step": self.step, "data": self.image_set.name}
        shape, classes = image_shape(self.image_set), self.image_set.class_counts
        sampling.save(self.run, self.recipe, shape, classes, self.here, about)
        if self.monitor is not None and (summary := self.monitor.summary()):
            self.told.say(summary)
        self.note(event, seconds=round(self.seconds, 3))
        self.writer.finish()
        if self.board is not None:
            self.board.close()
            if self.board.problem is not None:
                self.told.say(f"TensorBoard's files could not be written ({self.board.problem}); all else is saved")

    def draw(self) -> None:
        """Draw the plots and the animation, now that everything is saved."""
        draw_plots(self.run, self.told)


def draw_plots(run: Run, told: Reporter, if_old: bool = False) -> None:
    """Draw the plots and the animation of a run, where a failure is no more than a notice; with `if_old` only where
    the run has gone on since, as where a process was killed while it drew them."""
    try:
        drawn = run.losses_plot.stat().st_mtime_ns if run.losses_plot.is_file() else 0
        if not if_old or drawn < run.events_file.stat().st_mtime_ns:
            plots.write_plots(run)
    except Exception as error:
        told.say(f"the plots in {run.path} could not be drawn ({reason(error)}); all else is saved")


class Follower(Session):
    """The session of a process that does not lead: it trains, and leaves nothing behind."""

    def note(self, event: str, **values: Any) -> None: ...
    def sample_real(self) -> None: ...
    def sample(self) -> None: ...
    def save(self) -> None: ...
    def finish(self, event: str) -> None: ...
    def draw(self) -> None: ...


@dataclass(frozen=True)
class Material:
    """What runs that differ in nothing but the seed have in common: the game, and what they learn from."""

    game: Game
    begin: jax.stages.Wrapped
    """Key -> first state, compiled."""
    draw: Callable[[TrainState, Array, Labels | None], Array]
    """State, latents (N, latent_size), labels (N,) if any -> images (N, H, W, C) in [-1, 1], compiled."""
    images: SplitImages
    data: Examples | None
    """What to train on, on the devices, images as bytes; labels where the networks are told them. None where it is
    streamed."""
    window: int | None
    """The steps of a window, where it is."""

    def feed(self, recipe: Recipe, used: Devices, seeds: Sequence[int] | None = None) -> Feed:
        """What a run takes its images from, or several replicas at once."""
        order = Order(recipe, len(self.images.training.images), seeds)
        if self.data is not None:
            return Held(self.data, order, used)
        assert self.window is not None
        return Windows(_examples(self.images.training, self.game), order, self.window, recipe.steps, used)


def make_material(
    images: SplitImages, recipe: Recipe, used: Devices, told: Reporter, window: int | None = None, replicas: int = 1
) -> Material:
    """The game of a recipe, and its images, those to train on placed on the devices, where these have room.

    `window` is how many MiB of images may be there; None is what they have room for. Raises `OutOfMemory` where the
    networks have none.
    """
    training = images.training
    game = game_of(recipe, image_shape(training), len(training.class_names))
    memory.refuse_to_compile()
    begin = jax.jit(partial(first_state, game))
    memory.refuse_too_large(jax.eval_shape(begin, random_key(recipe.seed, "weights")), used, replicas)

    def draw(state: TrainState, noise: Array, labels: Labels | None) -> Array:
        return game.generator.apply(state.sampled, state.generator_statistics, noise, labels, train=False)[0]

    steps = steps_in_window(training.images, recipe, used, window, replicas)
    if steps is not None:
        told.say(words(training.images, recipe, steps, replicas))
    return Material(
        game=game,
        begin=begin,
        draw=jax.jit(draw),
        images=images,
        data=used.put(_examples(training, game)) if steps is None else None,
        window=steps,
    )


def _examples(training: ImageSet, game: Game) -> Examples:
    """What is trained on, with labels where the networks are told them."""
    return Examples(training.images, training.labels if game.classes else None)


def open_session(
    run: Run,
    recipe: Recipe,
    material: Material,
    surroundings: dict[str, Any],
    writer: Writer,
    told: Reporter,
    tensorboard: bool,
    used: Devices,
    judged: bool = True,
    up_to: int | None = None,
    together: Sequence[int] = (),
) -> Session:
    """The session at the newest whole checkpoint, or at step 0 where there is none; `judged` while it trains?

    A replica starts from its newest checkpoint `up_to` a step; `together` are the seeds that are trained with it.
    """
    leads = processes.leads()
    game, training = material.game, material.images.training
    latents = Latents(recipe.latent_size, recipe.latent_std)
    labels = grid_labels(game.classes, recipe.grid_columns) if game.classes else None
    places = recipe.grid_rows * recipe.grid_columns if labels is None else len(labels)
    noise = latents.draw(random_key(recipe.seed, "grid"), places)
    epoch = len(training.images) // recipe.reals_per_step
    key = random_key(recipe.seed, "weights")
    state, saved, seconds, rate, board, monitor = jax.eval_shape(material.begin, key), None, 0.0, 1.0, None, None
    with processes.together():
        if leads:
            state, saved = _first_or_newest(run, material.begin, key, used, told, up_to)
            _begin_or_go_on(run, recipe, surroundings, saved or 0, told, together)
            board = TensorBoard(run.tensorboard, saved or 0) if tensorboard else None
            seconds = max((event.get("seconds", 0.0) for event in run.events()), default=0.0)
            rate = rate_of(run)
            if judged and material.images.can_judge:
                make_judge = partial(ValidationJudge, game, latents, recipe.seed, material.images)
                monitor = Monitor(run, make_judge, recipe.judge_every, told.say, training.images.size)
    state = processes.from_leader(state)
    rate = processes.exchange({"rate": rate})[0]["rate"]
    if rate < 1:
        told.say(f"it trains with {rate:g} of its learning rates, because it diverged before")
    make_session = Session if leads else Follower
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
        game=game if rate == 1 else game.slowed(rate),
        devices=used,
        writer=writer,
        told=told,
        board=board,
        monitor=monitor,
        image_set=training,
        feed=material.feed(recipe, used),
        grid_labels=labels,
        draw_samples=lambda state: material.draw(state, noise, labels),
        state=used.place(state),
        step=int(state.step),
        saved=saved,
        rate=rate,
        seconds=seconds,
    )


def rate_of(run: Run) -> float:
    """How many times as high as in the recipe the learning rates are; less than 1 after the training diverged."""
    alarms = (event for event in run.events() if event["event"] == "alarm")
    return min((alarm["rate"] for alarm in alarms if alarm["kind"] == DIVERGED), default=1.0)


def load_newest(run: Run, template: Any, up_to: int | None = None) -> tuple[int, Any, list[str]] | None:
    """As `sparring.runs.checkpoint.load_newest`, for a run that goes on: the error says how to begin anew."""
    try:
        return checkpoint.load_newest(run.checkpoints, template, up_to, run.identity)
    except CheckpointError as error:
        raise CheckpointError(
            f"{error}. Put a whole checkpoint there; or, to begin anew at step 0, choose another --out or remove "
            f"{run.checkpoints}"
        ) from error


def _first_or_newest(
    run: Run, begin: jax.stages.Wrapped, key: Array, used: Devices, told: Reporter, up_to: int | None
) -> tuple[Any, int | None]:
    """(the state of the newest whole checkpoint, its step), or (the first state, None) where there is none."""
    newest = load_newest(run, jax.eval_shape(begin, key), up_to)
    if newest is None:
        memory.refuse_to_begin(begin.lower(key).compile(), used)
        return begin(key), None
    step, state, damaged = newest
    for problem in damaged:
        told.say(f"passed over {problem}")
    return state, step


def _begin_or_go_on(
    run: Run, recipe: Recipe, surroundings: dict[str, Any], step: int, told: Reporter, together: Sequence[int]
) -> None:
    """Leave in the run what it is, or what is another than before, and that it starts after `step`."""
    run.grids.mkdir(exist_ok=True)
    run.clear_partial()
    if run.exists():
        told.say(f"going on with {run.path} after step {step:,}")
        for damage in run.damages():
            told.say(damage)
        before = run.environment()
        for change in environment.changes(before, surroundings):
            told.say(f"the result may differ in its last bits: {change}")
        run.forget_events_after(step)
        run.begin(recipe, before)
    else:
        run.begin(recipe, surroundings)
    seeds = {"together": list(together)} if together else {}
    run.add_event("resumed" if step else "started", step, steps=recipe.steps, **seeds)


def image_shape(image_set: ImageSet) -> ImageShape:
    """Height, width and channels."""
    _, height, width, channels = image_set.images.shape
    return height, width, channels


def means(rows: Rows) -> dict[str, float]:
    """The mean of each of the `METRICS` over these steps (steps, 6)."""
    return {name: float(mean) for name, mean in zip(METRICS, rows.mean(axis=0, dtype=np.float64), strict=True)}
