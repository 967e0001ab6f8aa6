"""REPLICAS: several seeds of one recipe, trained at once in one program; each leaves an ordinary run.

train_replicas -> a folder with the runs seed-0, seed-1, ... (new, or where they stopped) -> groups of the same step
               -> one group after the other through `sparring.training.loop` -> scores, mean and spread

Each replica learns what the run with its seed alone learns, to rounding. Finished replicas are left alone. The others
resume from their own steps: those at the same step are one group.
"""

from __future__ import annotations

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
from sparring.images import Images
from sparring.recipes import DEFAULT, arguments, recipe_called
from sparring.recipes.recipe import Recipe
from sparring.runs import checkpoint
from sparring.runs.checkpoint import all_checkpoints
from sparring.runs.environment import describe
from sparring.runs.resume import choose_folder, refuse_changes
from sparring.runs.run import Run
from sparring.runs.writer import Writer
from sparring.system.numerics import fixed
from sparring.training import live, processes
from sparring.training.devices import ONE_DEVICE
from sparring.training.loop import train_sessions
from sparring.training.reporter import Reporter, Silence
from sparring.training.score import judge_with_progress
from sparring.training.session import Session, draw_plots
from sparring.training.setup import Setup, make_setup
from sparring.training.start import Replica, load_newest, open_session, rate_of
from sparring.training.stopping import SafeReporter, Stop, stop_requests
from sparring.training.train import CHECKPOINT_SECONDS, check_options, fitted, load_images, report_decisions

MOST = 64
"""Replicas of one training."""

Group = tuple[int, list[Run]]
"""The step that replicas resume from, 0 for new ones, and those that are trained at once from there."""


@dataclass(frozen=True)
class Replicas:
    """The runs of several seeds, and their scores."""

    path: Path
    runs: tuple[Run, ...]
    scores: tuple[dict[str, Any], ...]
    """What `sparring.training.score.judge` returns; empty if they are not finished or have no validation images."""
    stopped: bool
    """Whether a stop was requested before their end."""

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
    """Train `count` seeds of a recipe at once, from its own on, or resume such runs.

    The runs are `seed-0`, `seed-1`, ... in `out`. Without `out` they are in a new folder below `runs`, or in that of
    the newest replicas there, if they have the same number and settings and stopped before their end. Each resumes from
    its own step, a missing one begins, and a finished one is left alone. They are not judged while they train; at the
    end each is judged on the validation images. If one diverges, all that are trained with it stop.

    Raises what `sparring.train` raises, and `RecipeError` for an impossible number of replicas.
    """
    resolved, count = recipe_called(recipe).replace(**changes), arguments.whole("count", count, 0)
    out, runs = None if out is None else arguments.path("out", out), arguments.folder("runs", runs)
    check_options(checkpoint_seconds, window, tensorboard=tensorboard, strict=strict)
    if not 2 <= count <= MOST:
        raise RecipeError(f"replicas must lie between 2 and {MOST}, not {count}")
    if processes.count() > 1:
        raise RecipeError("replicas are trained in one process; leave the others out")
    reporter = terminal = live.reporter() if reporter is None else reporter
    images = load_images(resolved, strict, None if out is None else _first_run(out))
    asked, resolved = resolved, fitted(resolved, images)
    recipes = [resolved.replace(seed=resolved.seed + i) for i in range(count)]
    if images.whole.notice:
        reporter.print(images.whole.notice)
    environment = describe(images.whole, 1, 1, resolved.data)
    by_name = {f"seed-{each.seed}": each for each in recipes}
    stem = f"{resolved.name}-x{count}"
    folder = choose_folder(runs, stem, by_name, environment, reporter.print) if out is None else out
    all_runs = {Run(folder / name): each for name, each in by_name.items()}
    with ExitStack() as stack:
        _lock(all_runs, environment, reporter, stack)
        unfinished = {run: each for run, each in all_runs.items() if not _is_finished(run, each)}
        if unfinished:
            setup = make_setup(images, resolved, environment, ONE_DEVICE, reporter, window, len(unfinished))
            groups = _groups(unfinished, jax.eval_shape(setup.init, random_key(0, "weights")), reporter)
            report_decisions(asked, resolved, images, reporter)
            _report_plan(list(all_runs), groups, reporter)
            stop = stack.enter_context(stop_requests())
            reporter = cast(Reporter, SafeReporter(reporter, stop))
            open_group = partial(_open_group, unfinished, setup, stack.enter_context(Writer()), reporter, tensorboard)
            _train_groups(groups, open_group, reporter, stop, checkpoint_seconds)
    finished = all(_is_finished(run, each) for run, each in all_runs.items())
    scores = _scores(list(all_runs), reporter, terminal) if finished and images.can_judge else ()
    return Replicas(folder, tuple(all_runs), scores, not finished)


def _first_run(folder: Path) -> Run | None:
    """One of the replicas that are there already."""
    return next((run for run in map(Run, sorted(folder.glob("seed-*"))) if run.exists()), None)


def _lock(recipes: Mapping[Run, Recipe], environment: dict[str, Any], reporter: Reporter, stack: ExitStack) -> None:
    """Refuse changed settings or images, and lock all runs. Makes no folder if a run is in use."""
    for run, recipe in recipes.items():
        refuse_changes(run, recipe, environment)
    notice = None
    for run in sorted(recipes, key=lambda run: not run.path.exists()):
        run.path.mkdir(parents=True, exist_ok=True)
        notice = stack.enter_context(run.lock())
    if notice:
        reporter.print(notice)


def _is_finished(run: Run, recipe: Recipe) -> bool:
    return run.exists() and run.ended() == "finished" and run.reached() >= recipe.steps


def _open_group(
    recipes: Mapping[Run, Recipe],
    setup: Setup,
    writer: Writer,
    reporter: Reporter,
    tensorboard: bool,
    step: int,
    runs: Sequence[Run],
) -> list[Session]:
    """The sessions of replicas that are trained at once from `step` on."""
    seeds = [recipes[run].seed for run in runs]
    return [
        open_session(
            run,
            recipes[run],
            setup,
            writer,
            _SeedReporter(reporter, recipes[run].seed, first=run == runs[0]),
            tensorboard,
            Replica(step, seeds),
        )
        for run in runs
    ]


def _train_groups(
    groups: Sequence[Group],
    open_group: Callable[[int, Sequence[Run]], list[Session]],
    reporter: Reporter,
    stop: Stop,
    checkpoint_seconds: float,
) -> None:
    """Train one group after the other to the end, or until a stop is requested. If one diverges, the next begins."""
    diverged = []
    for step, runs in groups:
        if stop.requested:
            break
        try:
            train_sessions(open_group(step, runs), reporter, stop, checkpoint_seconds, replicas=True)
        except TrainingDiverged as error:
            diverged.append(error)
        finally:
            reporter.end()
    if diverged:
        raise diverged[0]


def _scores(runs: Sequence[Run], reporter: Reporter, terminal: Reporter) -> tuple[dict[str, Any], ...]:
    """Judge finished runs. `reporter` shows the results; the kind of `terminal` decides whether progress is shown."""
    scores = []
    for run in runs:
        scores.append(judge_with_progress(run, terminal))
        words = distance_words(scores[-1]["score"], scores[-1]["error"], scores[-1])
        reporter.print(f"{run.path.name}: distance {words}")
    return tuple(scores)


# ------------------------------------------------------------------------------------------------ resuming


def _groups(unfinished: Mapping[Run, Recipe], template: Any, reporter: Reporter) -> list[Group]:
    """The replicas by the step that they resume from, the earliest step first.

    Those that were trained at once before resume from the newest checkpoint that all of them have: a kill may come
    between the checkpoints of two replicas, and the result is the same to the last bit only if the same ones are
    trained at once again. Any other resumes from its own newest checkpoint. Raises `CheckpointError` if a run has
    checkpoints and none is whole.
    """
    steps, trained_at_once = {}, defaultdict[tuple[int, ...], list[Run]](list)
    for run, recipe in unfinished.items():
        newest = load_newest(run, template)
        steps[run] = 0 if newest is None else newest[0]
        for problem in () if newest is None else newest[2]:
            reporter.print(f"{run.path.name}: {problem}")
        trained_at_once[_seeds_before(run) or (recipe.seed,)].append(run)
    for runs in trained_at_once.values():
        steps |= dict.fromkeys(runs, shared) if (shared := _newest_of_all(runs, steps, template)) is not None else {}
    groups = defaultdict[tuple[int, float], list[Run]](list)
    for run in unfinished:
        groups[steps[run], rate_of(run)].append(run)  # another learning rate needs another program
    return [(step, group) for (step, _), group in sorted(groups.items(), key=lambda item: item[0])]


def _seeds_before(run: Run) -> tuple[int, ...]:
    """The seeds of the group that the run was last trained in; empty if it was trained alone."""
    begun = [event for event in run.events() if event["event"] in ("started", "resumed")]
    return tuple(begun[-1].get("together", ())) if begun else ()


def _newest_of_all(runs: Sequence[Run], newest: Mapping[Run, int], template: Any) -> int | None:
    """The newest step of which each run has a whole checkpoint, or at which each begins; None if there is none."""

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


def _report_plan(runs: Sequence[Run], groups: Sequence[Group], reporter: Reporter) -> None:
    """Report what happens to each replica, if that is not the same for all."""
    unfinished = [run for _, group in groups for run in group]
    finished = [run for run in runs if run not in unfinished]
    for run in finished:
        reporter.print(f"{run.path.name} is finished and is left as it is")
        draw_plots(run, reporter, if_old=True)
    if len(groups) > 1 or finished:
        for step, group in groups:
            names = ", ".join(run.path.name for run in group)
            reporter.print(f"{names}: from step {step:,}" + (", at once" if len(group) > 1 else ""))


class _SeedReporter(Silence):
    """Reports on one of several replicas: lines with its seed, and samples if it is the first."""

    def __init__(self, reporter: Reporter, seed: int, first: bool) -> None:
        self._reporter, self._seed, self._first = reporter, seed, first

    def print(self, text: str) -> None:
        self._reporter.print(f"seed {self._seed}: {text}")

    def grid(self, step: int, samples: Images) -> None:
        if self._first:
            self._reporter.grid(step, samples)
