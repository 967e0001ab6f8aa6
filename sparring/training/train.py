"""TRAINING: compiled chunks of steps, and between them log, sample, judge and save.

train -> the run (new, or where it stopped) -> first state or newest checkpoint
      -> chunk, chunk, chunk ... with events, grids, judgements and checkpoints between -> generator, plots, animation

Where several processes train together, all compute the chunks, and process 0 alone does what lies between.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

from sparring import data
from sparring.data.validation import SplitImages, split_images
from sparring.errors import DataError, SparringError, TrainingDiverged, UsageError
from sparring.recipes import DEFAULT, arguments, recipe_called
from sparring.recipes.recipe import FEW_IMAGES, Recipe
from sparring.runs import checkpoint, environment
from sparring.runs.resume import choose_run, refuse_changes
from sparring.runs.run import Run
from sparring.runs.run_images import load_split
from sparring.runs.writer import Writer
from sparring.system import extras
from sparring.system.numerics import fixed
from sparring.training import live, processes
from sparring.training.devices import Asked, Devices, choose_devices
from sparring.training.loop import CAPACITY, Chunk, compile_chunk
from sparring.training.operations import timed
from sparring.training.session import Reporter, Session, Silence, draw_plots, image_shape, make_material, open_session
from sparring.training.stopping import Heard, Stop, stop_requests, unless_stopped

RUNS = "runs"
"""Where runs lie, if nobody says where."""
CHUNK_SECONDS = 0.25
"""How often the terminal hears something."""
CHECKPOINT_SECONDS = 15.0
"""How often a checkpoint is written."""
RETRIES = 3
"""So often a run that diverges is tried again from its newest checkpoint, each time with half the learning rates."""


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
    """Train a recipe, or go on with a run of it that was stopped, and return the run.

    `recipe` is a recipe or the name of one; `changes` are settings to change in it (`batch_size=64`). The run lies in
    `out`; without it in a new folder below `runs`, unless the newest run of this recipe there, with these settings,
    stopped before its end: then that one goes on. A checkpoint is written every `checkpoint_seconds` and at the end.
    Progress is shown on the terminal, or told to the `reporter` (`sparring.training.session.Silence()` shows nothing).

    While it trains it is judged now and then on the images that the recipe holds out; with `stop_when_flat` it stops
    where these judgements no longer get better (`sparring.evaluation.alarms.flat`).

    Pictures that cannot be read are left out, and a notice counts them; with `strict` they are a `DataError`.

    Where a loss or a weight is no longer a finite number, it goes back to the newest checkpoint and on from there with
    half the learning rates, up to `retries` times in a run.

    `devices` is how many of JAX's devices share every batch, or "all"; by default one. What is trained is the same to
    rounding. Several processes that have met (`sparring.training.processes.join`) train together on all of their
    devices: each calls this function with the same arguments, and process 0 alone writes and reports.

    `window` is how many MiB of images may be on the devices; if they take more, they are streamed there while it
    trains, and what is trained is the same. None is half of what a GPU has, or of what is free here on a CPU.

    Ctrl-C (SIGINT), SIGTERM or a closed terminal (SIGHUP), in any process, lets the chunk of steps finish, saves
    everything and returns; a second one interrupts. Who trains several runs listens once for all of them
    (`stop_requests`) and passes the `stop`, and says once for all of them what there is to say of the data.

    Raises `UsageError` for an argument of the wrong kind, `RecipeError` for an impossible setting, `DataError` for
    unusable data, `ResumeError` where the run in `out` was made with other settings or data, `RunError` where it is in
    use, `TrainingDiverged` where a loss is no number even so, `DiskError` where something cannot be written,
    `DeviceError` where there are not so many devices or they cannot share a batch evenly, `ProcessError` where another
    process failed, is gone, or was started with other settings or data.
    """
    if "run" in changes:
        raise UsageError("train begins a run; to go on with one, call sparring.resume(run)")
    resolved = recipe_called(recipe).replace(**changes)
    out, runs = None if out is None else arguments.path("out", out), arguments.path("runs", runs)
    check_options(checkpoint_seconds, window, tensorboard=tensorboard, strict=strict, stop_when_flat=stop_when_flat)
    retries = arguments.whole("retries", retries, 0)
    leads = processes.leads()
    told = Silence() if not leads else live.reporter() if reporter is None else reporter
    processes.refuse_different("settings", checkpoint.sha256(json.dumps(resolved.to_json()).encode()))
    with processes.together():
        used = _choose_devices(devices, resolved)
        images = load_images(resolved, strict, None if out is None else Run(Path(out)))
    left_open = resolved.augment == "auto"
    resolved = resolved.fitted(len(images.training.images))
    if images.whole.notice and stop is None:
        told.say(images.whole.notice)
    surroundings = environment.describe(images.whole, used.count, processes.count(), resolved.data)
    processes.refuse_different("images", surroundings["data"]["checksum"])
    with ExitStack() as locked:
        run, nothing_to_do = Run(Path(out or runs)), None
        with processes.together():
            if leads:
                run = Run(Path(out)) if out is not None else choose_run(Path(runs), resolved, surroundings)
                refuse_changes(run, resolved, surroundings)
                run.path.mkdir(parents=True, exist_ok=True)
                if notice := locked.enter_context(run.lock()):
                    told.say(notice)
                nothing_to_do = _nothing_to_do(run, resolved, stop_when_flat)
        if nothing_to_do:
            told.say(nothing_to_do)
            draw_plots(run, told, if_old=True)
        found = processes.exchange({"path": str(run.path), "done": nothing_to_do is not None})[0]
        run = Run(Path(found["path"]))
        if found["done"]:
            return run
        if left_open and resolved.augment == "adaptive":
            told.say(f"fewer than {FEW_IMAGES:,} images: D sees them changed, as much as it learns them by heart")
        material = make_material(images, resolved, used, told, window)
        writer = locked.enter_context(Writer())
        asked = locked.enter_context(stop_requests()) if stop is None else stop
        told = cast(Reporter, Heard(told, asked))
        ended = False
        try:
            while not ended:
                session = open_session(run, resolved, material, surroundings, writer, told, tensorboard, used)
                with processes.together():
                    ended = _train_or_slow_down(session, asked, checkpoint_seconds, stop_when_flat, retries)
        except SparringError as error:
            with suppress(Exception):  # the disk is full, say, which is what the error says
                writer.finish()
                if leads:
                    run.add_event("failed", run.reached(), reason=str(error))
            raise
        finally:
            told.end()
    return run


def check_options(checkpoint_seconds: Any, window: Any, **flags: Any) -> None:
    """Raise `UsageError` where one of these options of a training is of the wrong kind, `MissingExtra` where one needs
    a package that is not there."""
    arguments.not_negative("checkpoint_seconds", checkpoint_seconds)
    if window is not None:
        arguments.whole("window, in MiB,", window, 1)
    for name, value in flags.items():
        arguments.flag(name, value)
    if flags["tensorboard"]:
        extras.require("tensorboard", "--tensorboard")


def _train_or_slow_down(
    session: Session, stop: Stop, checkpoint_seconds: float, stop_when_flat: bool, retries: int
) -> bool:
    """Train to the end; or, where the networks diverge, make them slower for the next time. Whether it has ended."""
    try:
        _train(session, stop, checkpoint_seconds, stop_when_flat)
    except TrainingDiverged as error:
        session.told.end()
        session.slow_down(str(error), retries)
        return False
    return True


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


def resume(path: str | Path | Run, **options: Any) -> Run:
    """Go on with a run, or the one in `path`, to the end of its recipe. `options` are those of `train`.

    Raises what `train` raises.
    """
    path = arguments.path("path", path)
    return train(recipe_of(path), out=path, **options)


def recipe_of(path: str | Path) -> Recipe:
    """The recipe of the run in `path`; where several processes train together, process 0 alone reads it."""
    word: processes.Word = {}
    with processes.together():
        if processes.leads():
            word = {"recipe": Run(Path(path)).recipe().to_json()}
    return Recipe.from_json(processes.exchange(word)[0]["recipe"])


def _train(session: Session, stop: Stop, checkpoint_seconds: float, stop_when_flat: bool) -> None:
    """Train to the end, or until asked to stop; then leave everything in order."""
    plan = session.plan
    expected = timed(session.recipe, image_shape(session.image_set))
    session.told.begin(session.run, expected, session.step, session.epoch)
    chunk = _first_grid_and_chunk(session, stop)
    if chunk is None:
        session.note("stopped")  # nothing is new, so that there is nothing to save
        return
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
        session.verify()
        if plan.is_grid(session.step):
            session.sample()
        session.judge(rate)
        if time.monotonic() - saved >= checkpoint_seconds:
            session.save()
            saved = time.monotonic()
    session.close(end)


def _first_grid_and_chunk(session: Session, stop: Stop) -> Chunk | None:
    """Compile what is needed, and show the noise that all begins with; None where somebody asks to stop meanwhile."""
    listened = Stop() if processes.count() > 1 else stop  # what the others do, one process cannot leave out
    if session.step == 0:
        if unless_stopped(listened, partial(session.draw_samples, session.here)) is None:
            return None
        session.sample_real()
        session.sample()
    data, streamed = session.feed.data, session.feed.streamed
    return unless_stopped(
        listened,
        partial(compile_chunk, session.game, session.recipe, session.state, data, session.devices, streamed=streamed),
    )


def load_images(recipe: Recipe, strict: bool = False, run: Run | None = None) -> SplitImages:
    """The images that a recipe names; of a `run` that goes on, those that it was trained on, wherever they are now.

    Raises `DataError` where they do not fill a batch, are all the same, or, if `strict`, where one cannot be read.
    """
    if run is not None and run.exists():
        images = load_split(run, recipe, strict)
    else:
        whole = data.load(recipe.data, shaping=data.shaping_of(recipe), strict=strict)
        images = split_images(whole, recipe.held_out)
    images.whole.refuse_alike()
    if recipe.conditional and len(images.whole.class_names) < 2:
        raise DataError(f"{recipe.data} has no classes, so networks cannot be conditional on them")
    left = len(images.training.images)
    if left < recipe.reals_per_step:
        held = f" ({images.validation_count} more are validation images)" if images.validation_count else ""
        raise DataError(f"{recipe.data} holds {left} images{held}, but a step takes {recipe.reals_per_step}")
    return images
