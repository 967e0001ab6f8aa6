"""REPLICAS: several seeds of one recipe, trained at once in one program; each leaves an ordinary run.

train_replicas -> a folder with the runs seed-0, seed-1, ... (new, or where they stopped) -> their states, stacked
               -> chunk, chunk, ... and between them each run's events, grids and checkpoints -> scores, mean and spread

Each replica learns what the run with its seed alone learns, to rounding.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sparring import environment, processes, terminal
from sparring.checkpoint import all_checkpoints, newest_step
from sparring.chunk import CAPACITY, Rows, compile_chunk
from sparring.continuation import choose_folder, refuse_changes
from sparring.data.holdout import hold_out
from sparring.devices import ONE_DEVICE
from sparring.errors import RecipeError, ResumeError, TrainingDiverged
from sparring.images import Images
from sparring.metrics.glance import LEAST_HELD_OUT
from sparring.operations import timed
from sparring.recipe import Recipe
from sparring.recipes import DEFAULT, named_recipe
from sparring.run import Run
from sparring.scoring import judge
from sparring.session import Reporter, Session, Silence, image_shape, make_material, means, open_session
from sparring.state import TrainState, stack_states
from sparring.stopping import Stop, stop_requests, unless_stopped
from sparring.sweeps.ranking import distance_words
from sparring.training import CHECKPOINT_SECONDS, CHUNK_SECONDS, load_images, training_count
from sparring.windows import Feed, check
from sparring.writer import Writer

MOST = 64
"""Replicas of one training."""


@dataclass(frozen=True)
class Replicas:
    """The runs of several seeds, and how good they are."""

    path: Path
    runs: tuple[Run, ...]
    scores: tuple[dict[str, Any], ...]
    """What `sparring.scoring.judge` says of each; empty where they are not finished, or no images are held out."""

    @property
    def stopped(self) -> bool:
        """Whether somebody asked them to stop before their end."""
        return any(run.ended() == "stopped" for run in self.runs)

    @property
    def measure(self) -> str:
        """What the scores are."""
        return "distance / floor" if self.scores[0]["measure"] == "frechet" else "kernel distance"

    def words(self) -> str:
        """Mean and standard deviation (n - 1) of the score over the seeds."""
        scores = [about["score"] for about in self.scores]
        return distance_words(float(np.mean(scores)), float(np.std(scores, ddof=1)), self.scores[0])


def train_replicas(
    count: int,
    recipe: Recipe | str = DEFAULT,
    *,
    out: str | Path | None = None,
    runs: str | Path = "runs",
    tensorboard: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    strict: bool = False,
    window: int | None = None,
    reporter: Reporter | None = None,
    **changes: Any,
) -> Replicas:
    """Train `count` seeds of a recipe at once, its own and those that follow, or go on with such runs.

    The runs lie in `out` as `seed-0`, `seed-1`, ...; without it in a new folder below `runs`, unless the newest
    replicas there, as many and with these settings, stopped before their end: then those go on. They are not judged
    while they train; at the end each is, on the images that the recipe holds out. Where one diverges, all stop.

    Raises what `sparring.train` raises, and `RecipeError` for an impossible number of replicas.
    """
    resolved = (named_recipe(recipe) if isinstance(recipe, str) else recipe).replace(**changes)
    if not 2 <= count <= MOST:
        raise RecipeError(f"replicas must lie between 2 and {MOST}, not {count}")
    if processes.count() > 1:
        raise RecipeError("replicas are trained in one process; leave the others out")
    check(window)
    told = terminal.reporter() if reporter is None else reporter
    image_set = load_images(resolved, strict)
    resolved = resolved.fitted(training_count(image_set, resolved))
    recipes = [resolved.replace(seed=resolved.seed + i) for i in range(count)]
    if image_set.notice:
        told.say(image_set.notice)
    surroundings = environment.describe(image_set, 1, 1)
    by_name = {f"seed-{each.seed}": each for each in recipes}
    stem = f"{resolved.name}-x{count}"
    folder = choose_folder(Path(runs), stem, by_name, surroundings) if out is None else Path(out)
    found = [Run(folder / name) for name in by_name]
    with ExitStack() as locked:
        for run, each in zip(found, recipes, strict=True):
            refuse_changes(run, each, surroundings)
        for run in found:
            run.path.mkdir(parents=True, exist_ok=True)
            locked.enter_context(run.lock())
        if any(run.ended() != "finished" or run.reached() < resolved.steps for run in found):
            writer = locked.enter_context(Writer())
            material = make_material(image_set, resolved, ONE_DEVICE, told, window, count)

            def open_one(run: Run, each: Recipe) -> Session:
                voice = _Voice(told, each.seed, first=each is recipes[0])
                return open_session(
                    run, each, material, surroundings, writer, voice, tensorboard, ONE_DEVICE, judged=False
                )

            sessions = _open_together(found, recipes, open_one)
            try:
                with stop_requests() as stop:
                    expected = timed(resolved, image_shape(image_set))
                    told.begin(Run(folder), expected, sessions[0].step, sessions[0].epoch, replicas=count)
                    feed = material.feed(resolved, ONE_DEVICE, [each.seed for each in recipes])
                    _train(sessions, feed, told, stop, checkpoint_seconds)
            finally:
                told.end()
    held_out = hold_out(image_set, resolved.held_out)[1]
    finished = all(run.ended() == "finished" for run in found)
    can_judge = finished and held_out is not None and len(held_out.images) >= LEAST_HELD_OUT
    return Replicas(folder, tuple(found), _scores(found, told) if can_judge else ())


def _train(sessions: Sequence[Session], feed: Feed, told: Reporter, stop: Stop, checkpoint_seconds: float) -> None:
    """Train all to the end, or until asked to stop; then leave every run in order."""
    first = sessions[0]
    plan = first.plan
    if first.step == 0:
        for session in sessions:
            session.sample_real()
            session.sample()
    state = stack_states([session.state for session in sessions])
    seeds = [session.recipe.seed for session in sessions]
    make_chunk = partial(compile_chunk, first.game, first.recipe, state, feed.data, seeds=seeds, streamed=feed.streamed)
    chunk = unless_stopped(stop, make_chunk)
    if chunk is None:
        for session in sessions:
            session.note("stopped")  # nothing is new, so that there is nothing to save
        return
    wanted, saved = 1, time.monotonic()
    while first.step < plan.steps and not stop.requested:
        began = time.perf_counter()
        parts = []
        for piece in feed.pieces(first.step, plan.chunk_end(first.step, wanted)):
            state, some = chunk(state, *piece)
            parts.append(some)
        rows = np.concatenate(parts)
        seconds = time.perf_counter() - began
        wanted = min(CAPACITY, int(CHUNK_SECONDS * len(rows) / seconds))
        _take(sessions, rows, seconds)
        told.progress(first.step, means(rows.mean(axis=1)))
        due = time.monotonic() - saved >= checkpoint_seconds
        if plan.is_grid(first.step) or due:
            _hand_out(sessions, state)
        if plan.is_grid(first.step):
            for session in sessions:
                session.sample()
        if due:
            for session in sessions:
                session.save()
            saved = time.monotonic()
    _hand_out(sessions, state)
    for session in sessions:
        session.close("finished" if session.step >= plan.steps else "stopped")


def _take(sessions: Sequence[Session], rows: Rows, seconds: float) -> None:
    """Write down in every run what was just trained (steps, replicas, 6). Raises `TrainingDiverged` naming the seed."""
    for i, session in enumerate(sessions):
        session.seconds += seconds
        try:
            session.log(rows[:, i])
        except TrainingDiverged as error:
            session.note("failed", reason=str(error))
            raise TrainingDiverged(f"seed {session.recipe.seed}: {error}") from error


def _hand_out(sessions: Sequence[Session], state: TrainState) -> None:
    """Give every session its own state out of the stacked one."""
    for i, session in enumerate(sessions):
        session.state = jax.tree.map(lambda leaf, i=i: leaf[i], state)
        session.verify()


def _scores(runs: Sequence[Run], told: Reporter) -> tuple[dict[str, Any], ...]:
    scores = []
    for run in runs:
        scores.append(judge(run))
        told.say(f"{run.path.name}: distance {distance_words(scores[-1]['score'], scores[-1]['error'], scores[-1])}")
    return tuple(scores)


# ------------------------------------------------------------------------------------------------ going on together


def _open_together(
    runs: Sequence[Run], recipes: Sequence[Recipe], open_one: Callable[[Run, Recipe], Session]
) -> list[Session]:
    """Open all at the newest step that each of them has saved whole: a kill may come between two savings."""
    step = min(newest_step(run.checkpoints) for run in runs)
    while True:
        _forget_after(runs, step)
        sessions = [open_one(run, recipe) for run, recipe in zip(runs, recipes, strict=True)]
        if len({session.step for session in sessions}) == 1:
            return sessions
        step = min(session.step for session in sessions)  # a damaged checkpoint was passed over


def _forget_after(runs: Sequence[Run], step: int) -> None:
    for run in runs:
        for saved in all_checkpoints(run.checkpoints):
            if int(saved.name) > step:
                shutil.rmtree(saved)
    if len({newest_step(run.checkpoints) for run in runs}) > 1:
        raise ResumeError(
            f"the runs in {runs[0].path.parent} have no checkpoint of the same step; train them one by one"
        )


class _Voice(Silence):
    """Tells of one of several replicas: what it says is said with its seed; the samples are those of the first one."""

    def __init__(self, told: Reporter, seed: int, first: bool) -> None:
        self._told, self._seed, self._first = told, seed, first

    def say(self, text: str) -> None:
        self._told.say(f"seed {self._seed}: {text}")

    def grid(self, step: int, samples: Images) -> None:
        if self._first:
            self._told.grid(step, samples)
