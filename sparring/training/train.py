"""TRAINING: `train` and `resume`.

train -> images and recipe -> the run, new or where it stopped -> a session at its first state or newest checkpoint
      -> the loop (`sparring.training.loop`); after a divergence a session with lower learning rates, and the loop again

If several processes train together, all compute the chunks, and process 0 alone writes files.
"""

from __future__ import annotations

import json
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

from sparring import data
from sparring.data.image_set import ImageSet
from sparring.data.validation import SplitImages, split_images
from sparring.errors import DataError, SparringError, TrainingDiverged, UsageError
from sparring.recipes import DEFAULT, arguments, recipe_called
from sparring.recipes.recipe import Recipe
from sparring.recipes.settings import (
    FEW_IMAGES,
    FEW_IN_CLASS,
    MANY_CLASSES,
    STRONG_PENALTY,
    STRONG_PENALTY_BELOW,
    WEAK_PENALTY,
)
from sparring.runs import checkpoint
from sparring.runs import generator as sampling
from sparring.runs.environment import describe
from sparring.runs.resume import choose_run, refuse_changes
from sparring.runs.run import Run
from sparring.runs.run_images import load_split
from sparring.runs.writer import Writer
from sparring.system import extras
from sparring.system.numerics import fixed
from sparring.training import live, processes
from sparring.training.devices import Asked, choose_devices
from sparring.training.loop import train_sessions
from sparring.training.reporter import Reporter, Silence
from sparring.training.session import Session, draw_plots
from sparring.training.setup import make_setup
from sparring.training.start import open_session
from sparring.training.stopping import SafeReporter, Stop, stop_requests

RUNS = "runs"
"""Default folder of runs."""
CHECKPOINT_SECONDS = 15.0
"""Seconds from one checkpoint to the next."""
RETRIES = 3
"""Attempts after a training diverges, each from the newest checkpoint and with half the learning rates."""


@fixed()
def train(
    recipe: Recipe | str = DEFAULT,
    *,
    out: str | Path | None = None,
    runs: str | Path = RUNS,
    tensorboard: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    stop_when_flat: bool = False,
    strict: bool = False,
    retries: int = RETRIES,
    devices: Asked = None,
    window: int | None = None,
    reporter: Reporter | None = None,
    stop: Stop | None = None,
    **changes: Any,
) -> Run:
    """Train a recipe, or resume a run of it that was stopped, and return the run.

    `recipe` is a recipe or the name of one; `changes` are settings to change in it (`batch_size=64`). The run is
    written to `out`. Without `out`, the newest run of this recipe and these settings below `runs` is resumed if it
    stopped before its end; otherwise a new folder is made there. A checkpoint is written every `checkpoint_seconds` and
    at the end. Progress goes to the terminal, or to the `reporter` (`sparring.training.session.Silence()` shows
    nothing).

    While it trains, the run is judged on its validation images; with `stop_when_flat` it stops when these judgements no
    longer get better (`sparring.evaluation.alarms.flat`).

    Images that cannot be read are left out, and a notice counts them; with `strict` they are a `DataError`.

    If a loss or a parameter becomes NaN or infinite, the training resumes from the newest checkpoint with half the
    learning rates, up to `retries` times in a run.

    `devices` is how many of JAX's devices share every batch, or "all"; by default one. The result is the same to
    rounding. Several processes that have met (`sparring.training.processes.join`) train together on all of their
    devices: each calls this function with the same arguments, and process 0 alone writes and reports.

    `window` is how many MiB of images may be on the devices. More are streamed there during the training, with the same
    result. None is half of a GPU's memory, or half of the free memory on a CPU.

    Ctrl-C (SIGINT), SIGTERM or a closed terminal (SIGHUP), in any process, lets the chunk of steps finish, saves
    everything and returns; a second one interrupts. A caller that trains several runs makes one `stop` for all of them
    (`stop_requests`), passes it, and reports the notice about the images itself.

    Raises `UsageError` for an argument of the wrong kind, `RecipeError` for an impossible setting, `DataError` for
    unusable images, `ResumeError` if the run in `out` was made with other settings or images, `RunError` if it is in
    use, `TrainingDiverged` if the training diverges in all attempts, `DiskError` if a file cannot be written,
    `DeviceError` if there are too few devices or they cannot share a batch evenly, `ProcessError` if another process
    failed, is gone, or was started with other settings or images.
    """
    if "run" in changes:
        raise UsageError("train begins a run; to resume one, call sparring.resume(run)")
    resolved = recipe_called(recipe).replace(**changes)
    out, runs = None if out is None else arguments.path("out", out), arguments.folder("runs", runs)
    check_options(checkpoint_seconds, window, tensorboard=tensorboard, strict=strict, stop_when_flat=stop_when_flat)
    retries = arguments.whole("retries", retries, 0)
    leads = processes.leads()
    reporter = Silence() if not leads else live.reporter() if reporter is None else reporter
    processes.refuse_different("settings", checkpoint.sha256(json.dumps(resolved.to_json()).encode()))
    with processes.together():
        used = choose_devices(devices)
        used.check(real_images=resolved.real_batch_size, latents=resolved.batch_size)
        images = load_images(resolved, strict, None if out is None else Run(Path(out)))
    asked, resolved = resolved, fitted(resolved, images)
    if images.whole.notice and stop is None:
        reporter.print(images.whole.notice)
    environment = describe(images.whole, used.count, processes.count(), resolved.data)
    processes.refuse_different("images", environment["data"]["checksum"])
    with ExitStack() as stack:
        run, is_done = _lock(out, runs, resolved, environment, stop_when_flat, reporter, stack)
        if is_done:
            return run
        report_decisions(asked, resolved, images, reporter)
        setup = make_setup(images, resolved, environment, used, reporter, window)
        writer = stack.enter_context(Writer())
        stop = stack.enter_context(stop_requests()) if stop is None else stop
        reporter = cast(Reporter, SafeReporter(reporter, stop))
        open_next = partial(open_session, run, resolved, setup, writer, reporter, tensorboard)
        try:
            while not _train(open_next(), retries, stop, checkpoint_seconds, stop_when_flat):
                pass
        except SparringError as error:
            with suppress(Exception):  # the same full disk, for example, that the error reports
                writer.finish()
                if leads:
                    run.add_event("failed", run.reached(), reason=str(error))
            raise
        finally:
            reporter.end()
    return run


def _train(session: Session, retries: int, stop: Stop, checkpoint_seconds: float, stop_when_flat: bool) -> bool:
    """Train to the end and return True; if the training diverges, lower the learning rates and return False."""
    with processes.together():
        try:
            train_sessions([session], session.reporter, stop, checkpoint_seconds, stop_when_flat)
        except TrainingDiverged as error:
            session.reporter.end()
            session.slow_down(str(error), retries)
            return False
    return True


def _lock(
    out: Path | None,
    runs: Path,
    recipe: Recipe,
    environment: dict[str, Any],
    stop_when_flat: bool,
    reporter: Reporter,
    stack: ExitStack,
) -> tuple[Run, bool]:
    """Choose the run and lock it until `stack` is left: (run, whether it has nothing left to train).

    Process 0 alone reads the folders.
    """
    run, done = Run(out or runs), None
    with processes.together():
        if processes.leads():
            run = Run(out) if out is not None else choose_run(runs, recipe, environment, reporter.print)
            refuse_changes(run, recipe, environment)
            run.path.mkdir(parents=True, exist_ok=True)
            if notice := stack.enter_context(run.lock()):
                reporter.print(notice)
            done = _nothing_to_do(run, recipe, stop_when_flat)
    if done:
        reporter.print(done)
        if damage := sampling.restore(run):
            reporter.print(damage)
        draw_plots(run, reporter, if_old=True)
    found = processes.exchange({"path": str(run.path), "done": done is not None})[0]
    return Run(Path(found["path"])), found["done"]


def check_options(checkpoint_seconds: Any, window: Any, **flags: Any) -> None:
    """Raise `UsageError` for an option of the wrong kind, `MissingExtra` if one needs a package that is missing."""
    arguments.not_negative("checkpoint_seconds", checkpoint_seconds)
    if window is not None:
        arguments.whole("window, in MiB,", window, 1)
    for name, value in flags.items():
        arguments.flag(name, value)
    if flags["tensorboard"]:
        extras.require("tensorboard", "--tensorboard")


def _nothing_to_do(run: Run, recipe: Recipe, stop_when_flat: bool) -> str | None:
    """Why the run has nothing left to train; None if it has."""
    if run.ended() == "finished" and run.reached() >= recipe.steps:
        return f"{run.path} is finished: it has done {run.reached():,} of {recipe.steps:,} steps"
    if stop_when_flat and run.ended() == "flat":
        done = f"{run.reached():,} of {recipe.steps:,} steps"
        return f"{run.path} was stopped after {done}, because its judgements got no better"
    return None


def resume(path: str | Path | Run, **options: Any) -> Run:
    """Resume a run, or the one in `path`, to the end of its recipe. `options` are those of `train`.

    Raises what `train` raises.
    """
    path = arguments.path("path", path)
    return train(recipe_of(path), out=path, **options)


def recipe_of(path: str | Path) -> Recipe:
    """The recipe of the run in `path`; of several processes, process 0 alone reads it."""
    message: processes.Message = {}
    with processes.together():
        if processes.leads():
            message = {"recipe": Run(Path(path)).recipe().to_json()}
    return Recipe.from_json(processes.exchange(message)[0]["recipe"])


def fitted(recipe: Recipe, images: SplitImages) -> Recipe:
    """The recipe with all decided that depends on its images."""
    return recipe.fitted(len(images.training.images), images.whole.class_counts)


def report_decisions(asked: Recipe, decided: Recipe, images: SplitImages, reporter: Reporter) -> None:
    """Say what a recipe left open and its images decided."""
    if asked.augment == "auto" and decided.augment == "adaptive":
        reporter.print(
            f"fewer than {FEW_IMAGES:,} training images: D sees them augmented, the more the more it overfits"
        )
    if (None, STRONG_PENALTY) in ((asked.r1, decided.r1), (asked.r2, decided.r2)):
        reporter.print(
            f"fewer than {STRONG_PENALTY_BELOW:,} training images: the gradient penalties have a weight of "
            f"{STRONG_PENALTY:g} instead of {WEAK_PENALTY:g} (--r1 and --r2 set it)"
        )
    if asked.conditional is None and len(images.whole.class_names) > 1:
        reporter.print(_about_classes(bool(decided.conditional), images.whole))


def _about_classes(used: bool, images: ImageSet) -> str:
    count = len(images.class_names)
    if used:
        return f"{count:,} classes: both networks are given the class of each image (--no-conditional trains without)"
    smallest = min(images.class_counts, key=images.class_counts.__getitem__)
    return (
        f"{count:,} classes, the smallest {smallest!r} with {images.class_counts[smallest]:,} images: the networks are "
        f"not given them, for which 2 to {MANY_CLASSES:,} classes of {FEW_IN_CLASS} images are needed "
        "(--conditional trains with them)"
    )


def load_images(recipe: Recipe, strict: bool = False, run: Run | None = None) -> SplitImages:
    """Load the images of a recipe, or of a `run` that resumes, whose images may have been moved.

    Raises `DataError` if they do not fill a batch or are all the same; with `strict` also if one cannot be read.
    """
    if run is not None and run.exists():
        images = load_split(run, recipe, strict)
    else:
        whole = data.load(recipe.data, shaping=data.shaping_of(recipe), strict=strict)
        images = split_images(whole, recipe.validation)
    images.whole.refuse_alike()
    if recipe.conditional and len(images.whole.class_names) < 2:
        raise DataError(f"{recipe.data} has no classes, which a conditional recipe needs")
    left = len(images.training.images)
    if left < recipe.reals_per_step:
        held = f" ({images.validation_count} more are validation images)" if images.validation_count else ""
        raise DataError(f"{recipe.data} holds {left} images{held}, but a step takes {recipe.reals_per_step}")
    return images
