"""THE SWEEP: trains a recipe with several values of its settings, one run per trial, and ranks the runs.

sweep -> folder (new or existing) -> claim a trial -> train it -> judge it on the validation images -> next trial
Several processes with the same folder share the trials (see `sparring.sweeps.sharing`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from sparring.data.validation import LEAST_VALIDATION
from sparring.errors import DataError, RecipeError, RunError, TrainingDiverged
from sparring.evaluation.comparison import distance_words
from sparring.evaluation.features import ready_extractor
from sparring.recipes import DEFAULT, arguments, recipe_called
from sparring.recipes.recipe import Recipe
from sparring.runs.resume import new_folder
from sparring.runs.run import Run
from sparring.runs.run_images import place_of
from sparring.sweeps import ranking
from sparring.sweeps.folder import Setup, SweepFolder, changes
from sparring.sweeps.ranking import Place
from sparring.sweeps.sharing import Trials, at_work, exclusively, known_trials
from sparring.sweeps.space import Range, make_points, make_space, point_words, quiet_optuna
from sparring.system.numerics import fixed
from sparring.terminal.output import plain_console
from sparring.terminal.progress import duration
from sparring.training import live
from sparring.training import train as training
from sparring.training.reporter import Reporter
from sparring.training.score import judge_with_progress
from sparring.training.stopping import stop_requests
from sparring.training.train import CHECKPOINT_SECONDS, check_options, load_images


@dataclass(frozen=True)
class Sweep:
    """The state of a sweep."""

    path: Path
    places: tuple[Place, ...]
    """The ranking, best first."""
    stopped: bool
    """Whether it was stopped before its end."""

    @property
    def best(self) -> Run | None:
        """The best run of the best settings; None if no run is finished."""
        best = self.places[0].best
        return None if best is None else Run(best)

    def print(self, console: Console | None = None) -> None:
        """Print the ranking."""
        ranking.print_ranking(self.places, console or plain_console())


@fixed()
def sweep(
    recipe: Recipe | str = DEFAULT,
    space: Mapping[str, Sequence[Any] | Range] | None = None,
    *,
    trials: int | None = None,
    draw_seed: int = 0,
    out: str | Path | None = None,
    sweeps: str | Path = "sweeps",
    tensorboard: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    reporter: Reporter | None = None,
    **settings: Any,
) -> Sweep:
    """Train a recipe with several values of its settings and rank the runs, or continue a sweep that was stopped.

    `space` maps settings to the values to try: a list or a `Range`. All combinations are tried, or `trials` different
    random ones, drawn with `draw_seed`. `settings` are common to all trials. The sweep is written to `out`. By default
    that is a new folder in `sweeps`, unless the newest sweep of the recipe there has the same setup and is unfinished.

    A finished run is judged by 1,000 samples of its last state, compared with the validation images. A run that
    diverges or runs out of memory counts as failed, and the sweep continues.

    Ctrl-C stops the run and the sweep; the same call continues both. Processes that make the same call with the same
    `out` at the same time share the trials.

    Raises `RecipeError` for an invalid setting, `DataError` for unusable data, `ResumeError` if `out` holds another
    sweep, `MissingExtra` without Optuna.
    """
    base = recipe_called(recipe).replace(**settings)
    check_options(checkpoint_seconds, None, tensorboard=tensorboard)
    out, sweeps = None if out is None else arguments.path("out", out), arguments.folder("sweeps", sweeps)
    trials = None if trials is None else arguments.whole("trials", trials, -arguments.LARGEST)
    draw_seed = arguments.whole("draw_seed", draw_seed, 0)
    with quiet_optuna():
        setup, notice = _set_up(base, space or {}, trials, draw_seed)
        reporter = live.reporter(transient=True) if reporter is None else reporter
        if notice:
            reporter.print(notice)
        folder = SweepFolder(Path(out)) if out is not None else _choose_folder(Path(sweeps), setup)
        return _work(folder, setup, reporter, tensorboard, checkpoint_seconds)


def resume(path: str | Path, **options: Any) -> Sweep:
    """Continue the sweep in `path`, or take part in it. `options` are those of `sweep` that do not affect trials."""
    path = arguments.path("path", path)
    setup = SweepFolder(path).setup()
    recipe = setup.recipe.replace(data=place_of(setup.recipe.data, path))
    return sweep(recipe, setup.space, trials=setup.trials, draw_seed=setup.draw_seed, out=path, **options)


# ------------------------------------------------------------------------------------------------ one process's part


def _work(folder: SweepFolder, setup: Setup, reporter: Reporter, tensorboard: bool, checkpoint_seconds: float) -> Sweep:
    """Train trials that no other process trains, until there are none left or a stop is requested."""
    folder.refuse_other_content()
    folder.refuse_links()
    folder.path.mkdir(parents=True, exist_ok=True)
    with exclusively(folder):
        setup = folder.begin(setup)
    with stop_requests() as stop, at_work(folder) as worker:
        shared = Trials(folder, setup, worker)
        while not stop.requested and (number := shared.claim()) is not None:
            reporter.print(f"trial {number + 1} of {len(setup.points)}: {point_words(setup.points[number])}")
            run = folder.run(number)
            try:
                training.train(
                    setup.recipe_of(number),
                    out=run.path,
                    tensorboard=tensorboard,
                    checkpoint_seconds=checkpoint_seconds,
                    retries=0,  # a retry has other learning rates, so it would be another trial
                    reporter=reporter,
                    stop=stop,
                )
                if run.ended() == "finished":
                    found = _judge_finite(run, reporter)
                    words = distance_words(found["score"], found["error"], found)
                    reporter.print(f"{run.path.name}: distance {words}, trained for {duration(found['seconds'])}")
                    shared.finish(number, found.pop("score"), **found)
            except (TrainingDiverged, jax.errors.JaxRuntimeError) as error:
                reason = str(error).strip().partition("\n")[0]
                shared.fail(number, reason)
                reporter.print(f"{run.path.name} failed: {reason}")
            finally:
                shared.give_back(number)
        known = shared.all()
    places = ranking.rank(known, [folder.run(trial.number).path for trial in known])
    return Sweep(folder.path, tuple(places), stop.requested)


def _judge_finite(run: Run, reporter: Reporter) -> dict[str, Any]:
    found = judge_with_progress(run, reporter)
    if not math.isfinite(found["score"]):
        raise TrainingDiverged("its distance from real images is NaN or infinite")
    return found


# ------------------------------------------------------------------------------------------------ what is meant


def _set_up(
    base: Recipe, wanted: Mapping[str, Sequence[Any] | Range], trials: int | None, draw_seed: int
) -> tuple[Setup, str | None]:
    """Make the setup of a sweep, and a remark about the data. Raises an error if a trial is impossible."""
    space = make_space(base, wanted)
    points = make_points(base, space, trials, draw_seed)
    tried = [name for name, axis in space.items() if isinstance(axis, Range) or len(axis) > 1]
    first = base.replace(**points[0])
    images = load_images(first)
    if not images.can_judge:
        raise RecipeError(
            f"a sweep is ranked by validation images and needs {LEAST_VALIDATION} of them or more; "
            f"validation {first.validation:g} of {len(images.whole.images):,} images is {images.validation_count}"
        )
    ready_extractor(images.training)  # refuses images that it cannot judge
    largest = max(base.replace(**point).reals_per_step for point in points)
    if largest > len(images.training.images):
        raise DataError(
            f"{first.data} holds {len(images.training.images):,} images to train on, but a step takes {largest:,}"
        )
    setup = Setup(
        recipe=first,
        space={name: space[name] for name in tried},
        trials=trials,
        draw_seed=draw_seed,
        checksum=images.whole.checksum(),
        points=tuple({name: point[name] for name in tried} for point in points),
    )
    return setup, images.whole.notice


def _choose_folder(sweeps: Path, setup: Setup) -> SweepFolder:
    """The newest sweep of the recipe in `sweeps` if it has the same setup and is unfinished; else a new folder."""
    name = setup.recipe.name
    found = [folder for folder in map(SweepFolder, sorted(sweeps.glob(f"{name}-*"))) if folder.exists()]
    if found and _is_open(found[-1], setup):
        return found[-1]
    return SweepFolder(new_folder(sweeps, name))


def _is_open(folder: SweepFolder, setup: Setup) -> bool:
    try:
        begun = folder.setup()
        same = not changes(begun, setup)
        return same and any(trial.state in ("waiting", "running") for trial in known_trials(folder, begun))
    except RunError:  # an unreadable sweep is not continued
        return False
