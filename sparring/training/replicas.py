"""REPLICAS: several seeds of one recipe, trained at once in one program; each leaves an ordinary run.

train_replicas -> a folder with the runs seed-0, seed-1, ... (new, or where they stopped) -> their states, stacked
               -> chunk, chunk, ... and between them each run's events, grids and checkpoints -> scores, mean and spread

Each replica learns what the run with its seed alone learns, to rounding. Finished replicas are left alone. The others
go on from where they are: those at the same step are one group and are trained at once, one group after the other.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np

from sparring.errors import CheckpointError, RecipeError, TrainingDiverged
from sparring.evaluation.comparison import distance_words
from sparring.gan.randomness import random_key
from sparring.gan.state import TrainState, stack_states
from sparring.images import Images
from sparring.recipes import DEFAULT, arguments, recipe_called
from sparring.recipes.recipe import Recipe
from sparring.runs import checkpoint, environment
from sparring.runs.checkpoint import all_checkpoints
from sparring.runs.resume import choose_folder, refuse_changes
from sparring.runs.run import Run
from sparring.runs.writer import Writer
from sparring.system.numerics import fixed
from sparring.training import live, processes
from sparring.training.devices import ONE_DEVICE
from sparring.training.feed import Feed
from sparring.training.loop import CAPACITY, Rows, compile_chunk
from sparring.training.operations import timed
from sparring.training.score import judge_aloud
from sparring.training.session import (
    Material,
    Reporter,
    Session,
    Silence,
    draw_plots,
    image_shape,
    load_newest,
    make_material,
    means,
    open_session,
    rate_of,
)
from sparring.training.stopping import Heard, Stop, stop_requests, unless_stopped
from sparring.training.train import CHECKPOINT_SECONDS, CHUNK_SECONDS, check_options, load_images

MOST = 64
"""Replicas of one training."""

Group = tuple[int, list[Run]]
"""Replicas that are trained at once, and the step of the checkpoints that they go on from; 0 where there are none."""


@dataclass(frozen=True)
class Replicas:
    """The runs of several seeds, and how good they are."""

    path: Path
    runs: tuple[Run, ...]
    scores: tuple[dict[str, Any], ...]
    """What `sparring.training.score.judge` finds; empty where they are not finished, or no images are held out."""
    stopped: bool
    """Whether somebody asked them to stop before their end."""

    @property
    def measure(self) -> str:
        """What the scores are."""
        return "distance / floor" if self.scores[0]["measure"] == "frechet" else "kernel distance"

    def words(self) -> str:
        """Mean and standard deviation (n - 1) of the score over the seeds."""
        scores = [about["score"] for about in self.scores]
        return distance_words(float(np.mean(scores)), float(np.std(scores, ddof=1)), self.scores[0])


@fixed()
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
    replicas there, as many and with these settings, stopped before their end: then those go on. Each goes on from where
    it is, a missing one begins, and a finished one is left alone. They are not judged while they train; at the end each
    is, on the images that the recipe holds out. Where one diverges, all that are trained with it stop.

    Raises what `sparring.train` raises, and `RecipeError` for an impossible number of replicas.
    """
    resolved, count = recipe_called(recipe).replace(**changes), arguments.whole("count", count, 0)
    out, runs = None if out is None else arguments.path("out", out), arguments.path("runs", runs)
    check_options(checkpoint_seconds, window, tensorboard=tensorboard, strict=strict)
    if not 2 <= count <= MOST:
        raise RecipeError(f"replicas must lie between 2 and {MOST}, not {count}")
    if processes.count() > 1:
        raise RecipeError("replicas are trained in one process; leave the others out")
    told = speaker = live.reporter() if reporter is None else reporter
    images = load_images(resolved, strict, None if out is None else _first_run(out))
    resolved = resolved.fitted(len(images.training.images))
    recipes = [resolved.replace(seed=resolved.seed + i) for i in range(count)]
    if images.whole.notice:
        told.say(images.whole.notice)
    surroundings = environment.describe(images.whole, 1, 1, resolved.data)
    by_name = {f"seed-{each.seed}": each for each in recipes}
    stem = f"{resolved.name}-x{count}"
    folder = choose_folder(runs, stem, by_name, surroundings) if out is None else out
    found = [Run(folder / name) for name in by_name]
    with ExitStack() as locked:
        for run, each in zip(found, recipes, strict=True):
            refuse_changes(run, each, surroundings)
        for run in sorted(found, key=lambda run: not run.path.exists()):  # so that nothing is made where one is in use
            run.path.mkdir(parents=True, exist_ok=True)
            notice = locked.enter_context(run.lock())
        if notice:
            told.say(notice)
        unfinished = {run: each for run, each in zip(found, recipes, strict=True) if not _is_finished(run, each)}
        if unfinished:
            material = make_material(images, resolved, ONE_DEVICE, told, window, len(unfinished))
            groups = _groups(unfinished, jax.eval_shape(material.begin, random_key(0, "weights")), told)
            _say_plan(found, groups, told)
            stop = locked.enter_context(stop_requests())
            told = cast(Reporter, Heard(told, stop))
            opening = partial(_open_group, material, surroundings, locked.enter_context(Writer()), told, tensorboard)
            _train_groups(groups, unfinished, opening, material, told, stop, checkpoint_seconds)
    finished = all(_is_finished(run, each) for run, each in zip(found, recipes, strict=True))
    scores = _scores(found, told, speaker) if finished and images.can_judge else ()
    return Replicas(folder, tuple(found), scores, not finished)


def _first_run(folder: Path) -> Run | None:
    """One of the replicas that lie there already."""
    return next((run for run in map(Run, sorted(folder.glob("seed-*"))) if run.exists()), None)


def _is_finished(run: Run, recipe: Recipe) -> bool:
    return run.exists() and run.ended() == "finished" and run.reached() >= recipe.steps


def _open_group(
    material: Material,
    surroundings: dict[str, Any],
    writer: Writer,
    told: Reporter,
    tensorboard: bool,
    step: int,
    group: Mapping[Run, Recipe],
) -> list[Session]:
    """The sessions of replicas that are trained at once from that step on."""
    seeds = [recipe.seed for recipe in group.values()]
    return [
        open_session(
            run,
            recipe,
            material,
            surroundings,
            writer,
            _Voice(told, recipe.seed, first=recipe.seed == seeds[0]),
            tensorboard,
            ONE_DEVICE,
            judged=False,
            up_to=step,
            together=seeds,
        )
        for run, recipe in group.items()
    ]


def _train_groups(
    groups: Sequence[Group],
    recipes: Mapping[Run, Recipe],
    opening: Callable[[int, Mapping[Run, Recipe]], list[Session]],
    material: Material,
    told: Reporter,
    stop: Stop,
    checkpoint_seconds: float,
) -> None:
    """Train one group after the other to the end, or until asked to stop. Where one diverges, the next one begins."""
    diverged = []
    for step, group in groups:
        if stop.requested:
            break
        sessions = opening(step, {run: recipes[run] for run in group})
        first, seeds = sessions[0], [session.recipe.seed for session in sessions]
        expected = timed(first.recipe, image_shape(first.image_set))
        try:
            told.begin(Run(first.run.path.parent), expected, step, first.epoch, replicas=len(sessions))
            feed = material.feed(first.recipe, ONE_DEVICE, seeds)
            _train(sessions, feed, told, stop, checkpoint_seconds)
        except TrainingDiverged as error:
            diverged.append(error)
        finally:
            told.end()
    if diverged:
        raise diverged[0]


def _train(sessions: Sequence[Session], feed: Feed, told: Reporter, stop: Stop, checkpoint_seconds: float) -> None:
    """Train all to the end, or until asked to stop; then leave every run in order."""
    first = sessions[0]
    plan = first.plan
    if first.step == 0:
        for session in sessions:
            session.sample_real()
            session.sample()
    if first.step >= plan.steps:  # it was killed after everything was saved
        _close(sessions, "finished")
        return
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
    _close(sessions, "finished" if first.step >= plan.steps else "stopped")


def _close(sessions: Sequence[Session], event: str) -> None:
    """Save all of them, before anything else is done for one; draw last."""
    for session in sessions:
        session.save()
    for session in sessions:
        session.finish(event)
    for session in sessions:
        session.draw()


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


def _scores(runs: Sequence[Run], told: Reporter, speaker: Reporter) -> tuple[dict[str, Any], ...]:
    """`told` hears the result; `speaker`, the reporter itself, decides whether progress is shown."""
    scores = []
    for run in runs:
        scores.append(judge_aloud(run, speaker))
        told.say(f"{run.path.name}: distance {distance_words(scores[-1]['score'], scores[-1]['error'], scores[-1])}")
    return tuple(scores)


# ------------------------------------------------------------------------------------------------ going on


def _groups(unfinished: Mapping[Run, Recipe], template: Any, told: Reporter) -> list[Group]:
    """The replicas by the step that they go on from, the furthest behind first.

    Those that were trained at once before go on from the newest checkpoint that all of them have: a kill may come
    between the savings of two replicas, and a result is the same to the last bit only if the same ones are trained at
    once again. Any other one goes on from its own newest checkpoint. Raises `CheckpointError` where a run has
    checkpoints, but not one whole.
    """
    steps, companies = {}, defaultdict[tuple[int, ...], list[Run]](list)
    for run, recipe in unfinished.items():
        newest = load_newest(run, template)
        steps[run] = 0 if newest is None else newest[0]
        for problem in () if newest is None else newest[2]:
            told.say(f"{run.path.name}: passed over {problem}")
        companies[_company(run) or (recipe.seed,)].append(run)
    for runs in companies.values():
        steps |= dict.fromkeys(runs, shared) if (shared := _newest_of_all(runs, steps, template)) is not None else {}
    groups = defaultdict[tuple[int, float], list[Run]](list)
    for run in unfinished:
        groups[steps[run], rate_of(run)].append(run)  # one that is trained with lower rates is trained apart
    return [(step, group) for (step, _), group in sorted(groups.items(), key=lambda item: item[0])]


def _company(run: Run) -> tuple[int, ...]:
    """The seeds that were trained at once when the run was last trained; empty where it was trained alone."""
    begun = [event for event in run.events() if event["event"] in ("started", "resumed")]
    return tuple(begun[-1].get("together", ())) if begun else ()


def _newest_of_all(runs: Sequence[Run], newest: Mapping[Run, int], template: Any) -> int | None:
    """The newest step of which each of the runs has a whole checkpoint, or at which each begins; else None."""

    def is_whole(run: Run, step: int) -> bool:
        try:
            found = checkpoint.load_newest(run.checkpoints, template, step, run.identity)
        except CheckpointError:
            return False
        return found is not None and found[0] == step

    earliest = min(newest[run] for run in runs)
    if all(newest[run] == earliest for run in runs):
        return earliest
    saved = [{int(path.name) for path in all_checkpoints(run.checkpoints)} for run in runs]
    steps = sorted((step for step in set.intersection(*saved) if step <= earliest), reverse=True)
    return next((step for step in steps if all(is_whole(run, step) for run in runs)), None)


def _say_plan(runs: Sequence[Run], groups: Sequence[Group], told: Reporter) -> None:
    """Say what happens to which replica, where that is not the same for all."""
    going = [run for _, group in groups for run in group]
    finished = [run for run in runs if run not in going]
    for run in finished:
        told.say(f"{run.path.name} is finished and is left as it is")
        draw_plots(run, told, if_old=True)
    if len(groups) > 1 or finished:
        for step, group in groups:
            names = ", ".join(run.path.name for run in group)
            told.say(f"{names}: from step {step:,}" + (", at once" if len(group) > 1 else ""))


class _Voice(Silence):
    """Tells of one of several replicas: what it says is said with its seed; the samples are those of the first one."""

    def __init__(self, told: Reporter, seed: int, first: bool) -> None:
        self._told, self._seed, self._first = told, seed, first

    def say(self, text: str) -> None:
        self._told.say(f"seed {self._seed}: {text}")

    def grid(self, step: int, samples: Images) -> None:
        if self._first:
            self._told.grid(step, samples)
