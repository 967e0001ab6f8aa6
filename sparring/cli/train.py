"""`sparring train`: train a GAN, or resume a run."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import AvoidSubcommands, arg

from sparring import interrupts
from sparring.cli.parsing import (
    Flag,
    check_range,
    check_seconds,
    optional,
    parse,
    parse_known,
    setting_options,
    split_recipe,
    wants_help,
)
from sparring.errors import UsageError
from sparring.recipes import DEFAULT, named_recipe
from sparring.recipes.recipe import Recipe
from sparring.runs.run import Run
from sparring.sweeps import space
from sparring.terminal.output import print_line, shell_quoted
from sparring.training.stopping import stop_requests

PROGRAM = "sparring train [RECIPE]"
LAST_SECONDS = 3.0
"""Without a terminal the page stays available for this long after the training: open tabs poll every second."""
MAX_PROCESSES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The options that are not settings of the recipe."""

    out: Annotated[Path | None, optional("FOLDER")] = None
    """Folder of the run. Default: runs/RECIPE-TIME. A run that is already there is resumed."""
    resume: Annotated[Path | None, optional("FOLDER")] = None
    """Resume the run in this folder."""
    tensorboard: Flag = False
    """Also write TensorBoard files (needs the extra `tensorboard`)."""
    checkpoint_seconds: float = 15.0
    """Seconds between checkpoints. A killed run loses at most this much work."""
    stop_when_flat: Flag = False
    """Stop when the scores on validation images no longer improve."""
    retries: int = 3
    """How often a diverged training goes back to its newest checkpoint and continues with half the learning rates."""
    strict: Flag = False
    """Refuse to train if a picture cannot be read. By default such pictures are skipped and counted."""
    replicas: Annotated[int | None, optional("INT")] = None
    """Train this many seeds at once, starting with the recipe's seed. Each seed gets a run."""
    devices: Annotated[int | Literal["all"] | None, optional("INT|all")] = None
    """Number of devices that share every batch. Default: 1, or all if several processes train together."""
    window: Annotated[int | None, optional("MIB")] = None
    """Most MiB of images to hold on the devices; more are streamed. Default: half of the memory there."""
    coordinator: Annotated[str | None, optional("HOST:PORT")] = None
    """Train together with other processes, which connect to this port of process 0."""
    processes: Annotated[int | None, optional("INT")] = None
    """Number of processes. Requires --coordinator."""
    process: Annotated[int | None, optional("INT")] = None
    """Index of this process, from 0. Requires --coordinator. Only process 0 writes files and shows progress."""
    distributed: Flag = False
    """Train together with the other processes that Slurm, Open MPI or Kubernetes has started."""
    watch: Flag = False
    """Show the training in a browser (needs the extra `watch`); see `sparring watch --help`."""


@dataclass(frozen=True, kw_only=True)
class TrainWithSettings(TrainOptions):
    """Train a GAN.

    The recipe's name comes first and may be left out; `sparring recipes` lists the recipes. The `recipe.json` of a run
    is a recipe, too. Every setting of the recipe
    is an option. Run the same command again to resume a training that was stopped."""

    recipe: Annotated[AvoidSubcommands[Recipe], arg(name="")]


def run(words: list[str]) -> int:
    """Run `sparring train [RECIPE] [OPTIONS]`."""
    name, words = split_recipe(words)
    options, rest = parse_known(TrainOptions, words, PROGRAM)
    check_seconds(options.checkpoint_seconds)
    check_range("--retries", options.retries, 0, 20)
    joined = not wants_help(rest) and _join(options)
    recipe = _recipe(name, options.resume, joined)
    default = TrainWithSettings(recipe=recipe, **vars(options))
    given = parse(TrainWithSettings, rest, PROGRAM, default, setting_options(space.settings(recipe)))
    if given.resume is not None and given.out is not None:
        raise UsageError("--resume already names the folder of the run; leave --out out")
    with _page(given) if given.watch else contextlib.nullcontext():
        return _train(given) if given.replicas is None else _train_replicas(given)


def _join(options: TrainOptions) -> bool:
    """Join the other processes, if the options name any. JAX requires this before anything else."""
    place = (options.coordinator, options.processes, options.process)
    if place == (None, None, None):
        if not options.distributed:
            return False
    elif options.distributed:
        raise UsageError("--distributed finds the other processes; leave --coordinator, --processes and --process out")
    check_range("--processes", options.processes, 0, MAX_PROCESSES)
    check_range("--process", options.process, 0, MAX_PROCESSES)

    from sparring.training import processes

    processes.join(*place)
    return True


def _recipe(name: str | None, resumed: Path | None, joined: bool) -> Recipe:
    """Return the recipe of the run to resume, or the named one."""
    if resumed is None:
        return named_recipe(DEFAULT if name is None else name)
    if joined:
        from sparring.training import train as training

        recipe = training.recipe_of(resumed)
    else:
        recipe = Run(resumed).recipe()
    if name not in (None, recipe.name):
        raise UsageError(f"{resumed} is a run of {recipe.name}, not of {name}")
    return recipe


def _train(given: TrainWithSettings) -> int:
    from sparring.training import processes
    from sparring.training import train as training

    run = training.train(
        given.recipe,
        out=given.resume or given.out,
        tensorboard=given.tensorboard,
        checkpoint_seconds=given.checkpoint_seconds,
        stop_when_flat=given.stop_when_flat,
        strict=given.strict,
        retries=given.retries,
        devices=given.devices,
        window=given.window,
    )
    ended = processes.exchange({"ended": run.ended()})[0]["ended"]  # only process 0 needs to see the folder
    if not processes.leads():
        return interrupts.EXIT_STATUS if ended == "stopped" else 0
    folder = shell_quoted(str(run.path))
    if ended == "stopped":
        print_line(f"stopped after step {run.reached():,}; everything is saved")
        print_line(f"Go on with: sparring train --resume {folder}")
        return interrupts.EXIT_STATUS
    end = "finished" if ended == "finished" else f"stopped after step {run.reached():,}, flat"
    drawn = [path for path in (run.animation, run.losses_plot, run.accuracy_plot) if path.is_file()]
    print_line(f"{end}: see {', '.join(map(str, drawn)) or run.path}")
    print_line(f"New images: sparring sample {folder}")
    return 0


def _train_replicas(given: TrainWithSettings) -> int:
    assert given.replicas is not None
    if given.resume is not None or given.devices is not None or given.stop_when_flat:
        raise UsageError("--replicas cannot be combined with --resume, --devices or --stop-when-flat; --out resumes")

    from sparring.training import replicas

    done = replicas.train_replicas(
        given.replicas,
        given.recipe,
        out=given.out,
        tensorboard=given.tensorboard,
        checkpoint_seconds=given.checkpoint_seconds,
        strict=given.strict,
        window=given.window,
    )
    folder = shell_quoted(str(done.path))
    if done.stopped:
        reached = [run.reached() for run in done.runs]
        steps = " to ".join(f"{step:,}" for step in sorted({min(reached), max(reached)}))
        print_line(f"stopped after step {steps}; everything is saved in {folder}")
        print_line("Go on with: the same command")
        return interrupts.EXIT_STATUS
    if done.scores:
        print_line(f"{done.measure} over {len(done.runs)} seeds, on validation images: {done.words()}")
    print_line(f"Against the test images: sparring compare --by-recipe {folder}/seed-*")
    return 0


@contextlib.contextmanager
def _page(given: TrainWithSettings) -> Iterator[None]:
    """Serve the page during the training. Of several processes only the first one serves it."""
    from sparring.training import processes
    from sparring.training.train import RUNS
    from sparring.web import server

    if not processes.leads():
        yield
        return
    folder = given.resume or given.out or Path(RUNS)
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with server.serve_in_background(folder) as address:
            print_line(f"watch the training: {address}", flush=True)
            yield
            _keep_page(address)
    except BaseException:
        if made:
            with contextlib.suppress(OSError):  # the folder is no longer empty
                folder.rmdir()
        raise
    print_line(f"Look at it again: sparring watch {shell_quoted(str(folder))}")


def _keep_page(address: str) -> None:
    """Keep the page open after the training: in a terminal until Ctrl-C, otherwise until open tabs show the end."""
    with stop_requests() as stop:
        end = time.monotonic() + LAST_SECONDS
        if sys.stdout.isatty() and not interrupts.end_requested():
            print_line(f"The page stays open: {address}")
            print_line("Ctrl-C ends it", flush=True)
            end = math.inf
        while not stop.requested and time.monotonic() < end:
            time.sleep(0.1)
