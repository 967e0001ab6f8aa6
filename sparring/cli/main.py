"""THE COMMAND LINE: `sparring COMMAND`. A mistake of the user is one sentence and exit status 2.

Nothing here imports JAX before a command needs it: `--help` answers at once.
"""

from __future__ import annotations

if __name__ == "__main__":  # of `python -m sparring.cli.main`
    from sparring.system.isolation import leave_current_folder

    leave_current_folder()

import contextlib
import copy as copying
import dataclasses
import io
import itertools
import json
import math
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast

import tyro
from tyro.conf import AvoidSubcommands, FlagCreatePairsOff, Positional, arg
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from sparring import interrupts
from sparring.errors import DamageWarning, ProcessLost, SparringError, UsageError, without_addresses
from sparring.recipes import DEFAULT, RECIPES, named_recipe
from sparring.recipes.arguments import parse_whole
from sparring.recipes.recipe import Channels, Fit, Recipe
from sparring.runs.run import Run
from sparring.sweeps import space
from sparring.terminal.output import plain_console, print_block, print_line, printable, shell_quoted
from sparring.training.stopping import is_left_alone, stop_requests

if TYPE_CHECKING:
    from sparring.evaluation.verdict import Verdict
    from sparring.images import Images
    from sparring.runs.generator import Generator

Command = Callable[[list[str]], int]
Arguments = TypeVar("Arguments")
Flag = FlagCreatePairsOff[bool]

GRID_COLUMNS, MOST_COLUMNS = 8, 32
"""Of a grid with a class a row: usual ones, and the most."""
MOST_IMAGES = 1_000_000
"""Of one sampling."""
LAST_SECONDS = 3.0
"""Without a terminal, the page answers for so long after a training: open tabs ask each second."""
INTERRUPTED = 130
"""Exit status of a training that was stopped before its end, as shells have it for Ctrl-C."""
LONGEST_WORD, LONGEST_SENTENCE = 200, 580
"""Characters of what is said of a mistake. Of longer ones the beginning and the end are shown."""
NO_MEMORY = "RESOURCE_EXHAUSTED"
"""How the sentence begins that JAX says where the memory is too small."""


# ------------------------------------------------------------------------------------------------ train


@dataclass(frozen=True)
class Train:
    """Train a GAN. The words after `train` are a recipe's name, if any, and then options; `sparring recipes` lists the
    recipes, and every setting of the chosen one is an option. The same command again goes on where it was stopped."""

    recipe: Annotated[AvoidSubcommands[Recipe], arg(name="")]
    out: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Folder of the run; by default runs/RECIPE-TIME. If there is a run already, it goes on."""
    resume: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Go on with the run in this folder."""
    tensorboard: Flag = False
    """Write TensorBoard files too (needs the extra `tensorboard`)."""
    checkpoint_seconds: float = 15.0
    """Seconds from one checkpoint to the next; what a killed run can lose."""
    stop_when_flat: Flag = False
    """Stop where the judgements on held-out images no longer get better."""
    retries: int = 3
    """So often a training that diverges goes back to its newest checkpoint, and on with half the learning rates."""
    strict: Flag = False
    """Refuse to train where a picture cannot be read; else such pictures are left out and counted."""
    replicas: Annotated[int | None, arg(metavar="INT")] = None
    """Train so many seeds at once, the recipe's and those that follow; each leaves a run, and the mean is told."""
    devices: Annotated[int | Literal["all"] | None, arg(metavar="INT|all")] = None
    """Devices that share every batch; 1 by default, or all where several processes train together."""
    window: Annotated[int | None, arg(metavar="MIB")] = None
    """Most MiB of images on the devices; more are streamed there while it trains. By default half of what a GPU has, or
    of what is free here on a CPU. What is trained is the same."""
    coordinator: Annotated[str | None, arg(metavar="HOST:PORT")] = None
    """Train together with other processes, which meet at this port of process 0."""
    processes: Annotated[int | None, arg(metavar="INT")] = None
    """How many processes these are; goes with --coordinator."""
    process: Annotated[int | None, arg(metavar="INT")] = None
    """Which of them this one is, from 0; goes with --coordinator. Process 0 alone writes and shows how it goes."""
    distributed: Flag = False
    """Train together with the other processes that Slurm, Open MPI or Kubernetes has started."""
    watch: Flag = False
    """Show it in a browser while it trains and, in a terminal, afterwards until Ctrl-C (needs the extra `watch`); see
    `sparring watch --help`."""


def train(words: list[str]) -> int:
    """`sparring train [RECIPE] [OPTIONS]`."""
    name = words.pop(0) if words and not words[0].startswith("-") else None
    joined = _join(words)
    resumed = _option(words, "--resume")
    if resumed is not None:
        recipe = _joint_recipe(resumed) if joined else Run(Path(resumed)).recipe()
        if name not in (None, recipe.name):
            raise UsageError(f"{resumed} is a run of {recipe.name}, not of {name}")
    else:
        recipe = named_recipe(DEFAULT if name is None else name)
    given = _parse(Train, words, "sparring train [RECIPE]", default=Train(recipe))
    if given.resume is not None and given.out is not None:
        raise UsageError("--resume names the folder of the run, so --out has nothing to name")
    if not given.checkpoint_seconds >= 0:  # nan is refused, too
        raise UsageError(f"--checkpoint-seconds cannot be {given.checkpoint_seconds:g}; it should be 0 or more")

    _check_range("--retries", given.retries, 0, 20)

    with _watched(given) if given.watch else contextlib.nullcontext():
        return _train(given) if given.replicas is None else _train_replicas(given)


def _train(given: Train) -> int:
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
        return INTERRUPTED if ended == "stopped" else 0
    folder = shell_quoted(str(run.path))
    if ended == "stopped":
        print_line(f"stopped after step {run.reached():,}; everything is saved")
        print_line(f"Go on with: sparring train --resume {folder}")
        return INTERRUPTED
    end = "finished" if ended == "finished" else f"stopped after step {run.reached():,}, flat"
    drawn = [path for path in (run.animation, run.losses_plot, run.accuracy_plot) if path.is_file()]
    print_line(f"{end}: see {', '.join(map(str, drawn)) or run.path}")
    print_line(f"New images: sparring sample {folder}")
    return 0


def _train_replicas(given: Train) -> int:
    assert given.replicas is not None
    if given.resume is not None or given.devices is not None or given.stop_when_flat:
        raise UsageError("--replicas goes with neither --resume, --devices nor --stop-when-flat; --out goes on")

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
        return INTERRUPTED
    if done.scores:
        print_line(f"{done.measure} over {len(done.runs)} seeds, on held-out images: {done.words()}")
    print_line(f"Against the test images: sparring compare --by-recipe {folder}/seed-*")
    return 0


@contextlib.contextmanager
def _watched(given: Train) -> Iterator[None]:
    """A page beside the training; of the processes that train together, beside the first one only."""
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
            print_line(f"watch it learn: {address}", flush=True)
            yield
            _keep_page(address)
    except BaseException:
        if made:
            with contextlib.suppress(OSError):  # there is something in it by now
                folder.rmdir()
        raise
    print_line(f"Look at it again: sparring watch {shell_quoted(str(folder))}")


def _keep_page(address: str) -> None:
    """Serve on after the training: in a terminal until Ctrl-C, else until open tabs have shown the end."""
    with stop_requests() as stop:
        end = time.monotonic() + LAST_SECONDS
        if sys.stdout.isatty() and not interrupts.asked_to_end():
            print_line(f"The page stays open: {address}")
            print_line("Ctrl-C ends it", flush=True)
            end = math.inf
        while not stop.requested and time.monotonic() < end:
            time.sleep(0.1)


def _join(words: list[str]) -> bool:
    """Meet the other processes, where the words say that there are any: before anything else, for JAX wants it so."""
    coordinator, count, place = (_option(words, name) for name in ("--coordinator", "--processes", "--process"))
    given = any(value is not None for value in (coordinator, count, place))
    if {"-h", "--help"} & set(words) or not (given or "--distributed" in words):
        return False
    if given and "--distributed" in words:
        raise UsageError("--distributed finds the others by itself; leave --coordinator, --processes and --process out")
    for name, value in (("--processes", count), ("--process", place)):
        if value is not None and not re.fullmatch("[0-9]{1,9}", value):
            raise UsageError(f"{name} should be a whole number, not {value!r}")

    from sparring.training import processes

    processes.join(coordinator, None if count is None else int(count), None if place is None else int(place))
    return True


def _joint_recipe(path: str) -> Recipe:
    from sparring.training import train as training

    return training.recipe_of(path)


# ------------------------------------------------------------------------------------------------ sweep


@dataclass(frozen=True)
class Sweep:
    """Try several values of a recipe's settings and rank the runs by the judge. The words after `sweep` are a recipe's
    name, if any, and then options. Every setting is an option, and takes one value, a list with commas (1e-4,3e-4;
    true,false; none,0.8; widths as 128,256-128) or, with --trials, a range (1e-5:1e-3). The same command again goes on
    where it was stopped; given at the same time by several processes, with the same --out, they share the trials."""

    recipe: Annotated[AvoidSubcommands[Recipe], arg(name="")]
    trials: Annotated[int | None, arg(metavar="INT")] = None
    """How many different trials to draw by chance; without it all combinations are tried."""
    draw_seed: int = 0
    """Decides which trials are drawn."""
    out: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Folder of the sweep; by default sweeps/RECIPE-TIME. If there is a sweep already, it goes on."""
    resume: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Go on with the sweep in this folder, or help the processes that are at it."""
    tensorboard: Flag = False
    """Write TensorBoard files too (needs the extra `tensorboard`)."""
    checkpoint_seconds: float = 15.0
    """Seconds from one checkpoint to the next; what a killed run can lose."""
    json: Flag = False
    """Print the ranking as JSON."""


def sweep(words: list[str]) -> int:
    """`sparring sweep [RECIPE] [OPTIONS]`."""
    name = words.pop(0) if words and not words[0].startswith("-") else None
    recipe = named_recipe(DEFAULT if name is None else name)
    rest, texts = _settings(words, recipe)
    given = _parse(Sweep, rest, "sparring sweep [RECIPE]", default=Sweep(recipe))
    if not given.checkpoint_seconds >= 0:  # nan is refused, too
        raise UsageError(f"--checkpoint-seconds cannot be {given.checkpoint_seconds:g}; it should be 0 or more")
    if given.resume is not None:
        options = {"--out": given.out, "--trials": given.trials, "--draw-seed": given.draw_seed or None}
        said = [name, *map(_as_option, texts), *(option for option, value in options.items() if value is not None)]
        if refused := [word for word in said if word]:
            raise UsageError(f"--resume goes on with a sweep as it is, so leave out {refused[0]}")
    wanted = {setting: space.parse_axis(recipe, setting, text) for setting, text in texts.items()}

    from sparring.sweeps import study as sweeping
    from sparring.training import live

    told = live.reporter(plain_console(stderr=given.json), transient=True)
    run = partial(sweeping.sweep, recipe, wanted, trials=given.trials, draw_seed=given.draw_seed, out=given.out)
    if given.resume is not None:
        run = partial(sweeping.resume, given.resume)
    done = run(tensorboard=given.tensorboard, checkpoint_seconds=given.checkpoint_seconds, reporter=told)
    if given.json:
        print_block(json.dumps([place.to_json() for place in done.places], indent=2))
    else:
        done.print(plain_console())
    if done.stopped:
        told.say(f"Go on with: sparring sweep --resume {shell_quoted(str(done.path))}")
        return INTERRUPTED
    return 0


def _settings(words: list[str], recipe: Recipe) -> tuple[list[str], dict[str, str]]:
    """(the other words, what is written of each setting of the recipe by its dotted name)."""
    known, left = space.settings(recipe), list(words)
    rest: list[str] = []
    texts: dict[str, str] = {}
    while left:
        word = left.pop(0)
        option, equals, joined = word.partition("=")
        name = option.removeprefix("--").replace("-", "_") if option.startswith("--") else ""
        denied = re.sub(r"(^|\.)no_(\w+)$", r"\1\2", name)
        if name not in known and isinstance(known.get(denied), bool):
            name, taken = denied, ["false"]
        elif name in known:
            taken = [joined] if equals else _values_of(known[name], left)
        else:
            taken = []
        if not taken:
            rest.append(word)  # an option of another kind, or one that lacks its value
        elif name in texts:
            raise UsageError(f"{_as_option(name)} is given twice; values to try are one word, with commas between")
        elif len(taken) > 1 and any("," in value for value in taken):
            raise UsageError(f"{_as_option(name)}: widths to try are one word, such as 128,256-128")
        else:
            texts[name] = "-".join(taken)
    return rest, texts


def _values_of(usual: Any, left: list[str]) -> list[str]:
    """Take the values of a setting off the words that follow it; `usual` is one of its values."""
    if isinstance(usual, bool) and not (left and re.fullmatch("(true|false)(,(true|false))*", left[0].lower())):
        return ["true"]
    most = len(left) if isinstance(usual, list) else 1
    taken = list(itertools.takewhile(lambda word: not re.match("-[^0-9.]", word), left[:most]))
    del left[: len(taken)]
    return taken


def _as_option(name: str) -> str:
    return "--" + name.replace("_", "-")


# ------------------------------------------------------------------------------------------------ sample


@dataclass(frozen=True)
class Sample:
    """Draw images from a trained generator. The same seed gives the same images.

    Classes can be asked for. A conditional generator is told them; from others, images are drawn until the judge has
    found enough of each class, and it is said how many that took."""

    run: Positional[Path]
    """Folder of a run, or a generator.safetensors with its generator.json beside it."""
    count: Annotated[int | None, arg(metavar="INT")] = None
    """How many images, 64 by default, of a conditional generator 8 of each class; with --interpolate how many random
    latents the walk visits, 2 by default."""
    seed: int = 0
    """Decides which images."""
    label: Annotated[tuple[str, ...], arg(metavar="CLASS ...")] = ()
    """Only images of these classes, as many of each."""
    balance: Annotated[Literal["training", "uniform"] | None, arg(metavar="training|uniform")] = None
    """Each class as often as the training images have it (of a conditional generator the default), or equally often."""
    counts: Annotated[tuple[str, ...], arg(metavar="CLASS=INT ...")] = ()
    """So many images of each of these classes."""
    interpolate: Annotated[int | None, arg(metavar="INT")] = None
    """Walk through random latents, with this many images from one to the next; a .gif goes round and round."""
    best: Flag = False
    """Draw from the state that was judged best while it trained, not from the last one."""
    out: Path = Path("grid.png")
    """`.png`: one grid; `.npz`: key `images`, uint8, N x H x W x C; `.gif`: an animation; else a folder of PNGs, which
    replace those that were drawn there before."""
    force: Flag = False
    """Replace what is there already, also where Sparring did not make it."""


def sample(words: list[str]) -> int:
    """`sparring sample RUN [OPTIONS]`."""
    given = _parse(Sample, words, "sparring sample")
    kind = given.out.suffix.lower()
    if kind not in ("", ".png", ".npz", ".gif"):
        raise UsageError(f"{given.out} has an unknown ending; known are .png, .npz, .gif, and none for a folder")
    if kind == ".gif" and given.interpolate is None:
        raise UsageError("a .gif shows a walk: add --interpolate 8, say, for 8 images from one latent to the next")
    _check_range("--count", given.count, 1 if given.interpolate is None else 2, MOST_IMAGES)
    _check_range("--interpolate", given.interpolate, 2, 10_000)
    _check_range("--seed", given.seed, 0, 2**32 - 1)

    asked = [given.label, given.balance, given.counts]
    if sum(bool(one) for one in asked) > 1 or (given.counts and given.count is not None):
        raise UsageError("say of the classes one of --label, --balance and --counts; --counts needs no --count")

    from sparring import images

    images.claim(given.out, given.force)

    from sparring.runs import generator as sampling

    generator = sampling.load(given.run, given.best)
    if given.interpolate is not None:
        _check_room(given, generator, (given.count or 2) * given.interpolate, given.interpolate)
        made = generator.interpolate(
            given.count or 2,
            given.interpolate,
            given.seed,
            closed=kind == ".gif",
            label=_walked_class(given, generator),
        )
        images.save_images(given.out, made, given.interpolate, force=given.force)
    elif generator.classes or any(asked):
        made, classes, columns = _sample_classes(given, generator)
        images.save_images(given.out, made, columns, classes, given.force)
    else:
        columns = images.square_columns(given.count or 64)
        _check_room(given, generator, given.count or 64, columns)
        made = generator.sample(given.count or 64, given.seed)
        images.save_images(given.out, made, columns, force=given.force)
    print_line(f"{len(made)} images in {given.out}")
    return 0


def _check_room(given: Sample, generator: Generator, count: int, columns: int) -> None:
    """Refuse so many images before they are drawn, where there is no room for them."""
    from sparring import images
    from sparring.training import memory

    _check_range("the number of images", count, 1, MOST_IMAGES)
    size, free = count * math.prod(generator.image_shape), memory.free_here()
    if free is not None and size > free:
        raise UsageError(f"{count:,} images take {size / 1e6:,.0f} MB of memory, and {free / 1e6:,.0f} MB are free")
    images.refuse_huge(given.out, count, generator.image_shape, columns)


def _walked_class(given: Sample, generator: Generator) -> int | None:
    from sparring.data.classes import place_of

    if not generator.classes and (given.label or given.balance or given.counts):
        raise UsageError("this generator is not conditional, so a walk cannot stay within a class")
    if not generator.classes:
        return None
    if len(given.label) != 1:
        example = shell_quoted(next(iter(generator.classes)))
        raise UsageError(f"a walk stays within one class: say which, for instance --label {example}")
    return place_of(list(generator.classes), given.label[0])


def _sample_classes(given: Sample, generator: Generator) -> tuple[Images, list[str], int]:
    """(images, the class of each, columns of a grid): a class a row where there are as many of each."""
    from sparring import images
    from sparring.data import classes
    from sparring.evaluation import rejection_sampling

    training = None if generator.classes else rejection_sampling.training_images(Run(given.run))
    frequencies = generator.classes if training is None else training.class_counts
    names = tuple(frequencies)
    a_row_each = not (given.label or given.count) and len(names) <= classes.GRID_CLASSES
    count = GRID_COLUMNS * len(names) if a_row_each else given.count or 64
    if given.counts:
        for number in (word.rpartition("=")[2] for word in given.counts):
            if number.isdecimal() and (len(number) > len(str(MOST_IMAGES)) or int(number) > MOST_IMAGES):
                raise UsageError(f"--counts takes numbers up to {MOST_IMAGES:,}, not {number}")
        counts = classes.counted(names, given.counts)
    elif given.label:
        counts = classes.of_classes(count, names, given.label)
    else:
        counts = classes.balanced(count, frequencies, given.balance or ("uniform" if a_row_each else "training"))
    each = set(counts[counts > 0].tolist())
    columns = each.pop() if len(each) == 1 and max(each) <= MOST_COLUMNS and (counts > 0).sum() > 1 else 0
    total = int(counts.sum())
    columns = columns or images.square_columns(total)
    _check_room(given, generator, total, columns)
    if training is None:
        labels = classes.labels_of(counts)
        made = generator.images(generator.draw_latents(len(labels), given.seed), labels)
    else:
        from sparring.terminal import progress

        with progress.shown(str(given.run)) as tell:
            judge = rejection_sampling.class_judge(training, tell)
        chosen = rejection_sampling.choose(generator, counts, names, judge, given.seed)
        made, labels = chosen.images, chosen.labels
        print_line(
            f"this generator is not told classes: of {chosen.drawn:,} images, {len(made):,} were kept by what the "
            f"judge takes them for ({judge.name})"
        )
    return made, [names[label] for label in labels], columns


# ------------------------------------------------------------------------------------------------ export


@dataclass(frozen=True)
class Export:
    """Write a trained generator for use elsewhere: its weights with a model card, an ONNX file, or a page that makes
    pictures in any browser."""

    run: Positional[Path]
    """Folder of a run, or a generator.safetensors with its generator.json beside it."""
    format: Literal["safetensors", "onnx", "html"]
    """`safetensors`: a folder with the weights, how to rebuild the network, and a model card; `onnx`: a file for ONNX
    runtimes (needs the extra `onnx`); `html`: one file to open, without a network or a server."""
    out: Path | None = None
    """Where to write it; without, in the folder `export` of the run."""
    best: Flag = False
    """Write the state that was judged best while it trained, not the last one."""
    licence: str = "unknown"
    """What the model card names as the licence."""
    force: Flag = False
    """Replace what is there already, also where Sparring did not make it."""


def export(words: list[str]) -> int:
    """`sparring export RUN --format FORMAT [OPTIONS]`."""
    given = _parse(Export, words, "sparring export")

    from sparring import export as exports

    path, words_of_it = exports.export(
        given.run, given.format, out=given.out, best=given.best, licence=given.licence, force=given.force
    )
    print_line(f"{path}: {words_of_it}")
    return 0


# ------------------------------------------------------------------------------------------------ animate


@dataclass(frozen=True)
class Animate:
    """Make an animation: how the samples of a run came about, or a grid whose images walk through the latents, of a
    conditional generator a class a row."""

    run: Positional[Path]
    """Folder of a run; for a walk also a generator.safetensors."""
    of: Literal["training", "walk"] = "training"
    """What it shows."""
    out: Annotated[Path | None, arg(metavar="FILE")] = None
    """`.gif` (32 colours), `.webp` or `.png` (animated, all colours); training.gif or walk.gif by default."""
    largest: int = 640
    """Pixels of the longer side, at most."""
    seconds: Annotated[float | None, arg(metavar="FLOAT")] = None
    """How long it takes, all told; by default some eight to fifteen."""
    seed: int = 0
    """Of a walk: decides which latents."""
    best: Flag = False
    """Walk with the state that was judged best while it trained, not with the last one."""
    force: Flag = False
    """Replace what is there already, also where Sparring did not make it."""


def animate(words: list[str]) -> int:
    """`sparring animate RUN [OPTIONS]`."""
    given = _parse(Animate, words, "sparring animate")
    out = given.out or Path(f"{given.of}.gif")
    if out.suffix.lower() not in (".gif", ".webp", ".png"):
        raise UsageError(f"{out} has an unknown ending; known are .gif, .webp and .png")
    _check_range("--largest", given.largest, 32, 4096)
    _check_range("--seed", given.seed, 0, 2**32 - 1)
    if given.seconds is not None and not 0.1 <= given.seconds <= 600:
        raise UsageError(f"--seconds must lie between 0.1 and 600, not {given.seconds:g}")
    if given.of == "training" and (given.best or given.seed):
        raise UsageError("--best and --seed are for a walk: add --of walk")

    from sparring.files import marks

    may_replace = marks.claim(out, given.force)

    from sparring.reports import animation
    from sparring.runs import generator as sampling

    sizes: dict[str, Any] = {"largest": given.largest, "seconds": given.seconds}
    if given.of == "walk":
        generator = sampling.load(given.run, given.best)
        out.parent.mkdir(parents=True, exist_ok=True)
        count = animation.save_walk(generator, out, **sizes, seed=given.seed, may_replace=may_replace)
    else:
        run = Run(given.run)
        run.recipe()  # says what is missing where this is no run
        out.parent.mkdir(parents=True, exist_ok=True)
        count = animation.save_training(run, out, **sizes, may_replace=may_replace)
    print_line(f"{count} pictures in {out}, {out.stat().st_size / 1e6:.1f} MB")
    return 0


# ------------------------------------------------------------------------------------------------ watch


@dataclass(frozen=True)
class Watch:
    """Show runs in a browser, while they train and afterwards: their pictures, curves and alarms, side by side; and
    play with their networks. Nothing is written, and no training is slowed. Ctrl-C ends it.

    The address that is printed has a token in it: who does not have it sees nothing."""

    folder: Annotated[Positional[Path], arg(metavar="RUNS|RUN")] = Path("runs")
    """A folder of runs, or one run."""
    port: Annotated[int | None, arg(metavar="INT")] = None
    """By default the first free one from 8765 on."""
    host: str = "127.0.0.1"
    """Where to listen; anything but this machine itself needs --i-know, for what is sent there is not encrypted."""
    i_know: Flag = False
    """Let other machines ask, too. They need the token as well."""


def watch(words: list[str]) -> int:
    """`sparring watch [RUNS|RUN] [OPTIONS]`."""
    given = _parse(Watch, words, "sparring watch")
    _check_range("--port", given.port, 1, 65_535)
    if not given.folder.is_dir():
        raise UsageError(f"{given.folder} is no folder; sparring train makes runs in the folder runs")
    try:
        given.host.encode("idna")
    except UnicodeError:
        raise UsageError(f"--host should be the name or the address of a machine, not {given.host!r}") from None

    from sparring.web import server

    server.require()
    if not given.i_know and not server.is_loopback(given.host):
        raise UsageError(f"on {given.host} other machines can ask, and nothing is encrypted: add --i-know if they may")

    from sparring.web.run_index import RunIndex

    index = RunIndex(given.folder)
    if not index.runs() and not index.complete:
        print_line(f"no runs were found in the first folders of {given.folder}, and no more are searched: give theirs")
    elif not index.complete:
        print_line(f"{len(index.runs()):,} runs were found, and {given.folder} has more folders than are searched")

    def show(address: str) -> None:
        print_line(f"the page of {given.folder}: {address}")
        print_line("Ctrl-C ends it", flush=True)

    server.serve(given.folder, host=given.host, port=given.port, report=show)
    return 0


# ------------------------------------------------------------------------------------------------ measure, compare


@dataclass(frozen=True)
class Measure:
    """Judge a run, or samples made elsewhere: how good, how varied, how balanced, and are they copies? The numbers and
    a page (report.html) are left in the run, or beside the samples."""

    subject: Annotated[Positional[Path], arg(metavar="RUN|SAMPLES")]
    """Folder of a run; or an .npz or .npy file or a folder of pictures with samples made elsewhere."""
    against: Annotated[tuple[Path, ...], arg(metavar="RUN ...")] = ()
    """Other runs to put beside it; those that were never measured are measured, too."""
    data: Annotated[str | None, arg(metavar="DATA")] = None
    """The real images: a name or a path. By default what the run was trained on; for samples, mnist."""
    count: int = 10_000
    """Samples to draw from a run (10,000 means 26,000 where the modes of stacked MNIST are counted)."""
    seed: int = 0
    """Decides which samples."""
    best: Flag = False
    """Judge the state that was best while it trained, not the last one."""
    extractor: Annotated[Path | None, arg(metavar="FILE")] = None
    """An ONNX network to take the features from, instead of the judge (needs the extra `onnx`)."""
    force: Flag = False
    """Replace what is there already, also where Sparring did not make it."""
    range: Annotated[str | None, arg(metavar="LOW,HIGH")] = None
    """Of samples: the numbers in the files that are black and white, as for `sparring train`."""
    follow_links: Flag = False
    """Of samples: follow symbolic links that lead out of their folder."""
    json: Flag = False
    """Print JSON."""


def measure(words: list[str]) -> int:
    """`sparring measure RUN|SAMPLES [OPTIONS]`."""
    given = _parse(Measure, words, "sparring measure")
    _check_range("--count", given.count, 20, 10_000)
    _check_range("--seed", given.seed, 0, 2**32 - 1)

    from sparring.evaluation import comparison
    from sparring.reports import measure as measuring
    from sparring.terminal import progress

    not_kept: list[str] = []
    with progress.shown(str(given.subject)) as tell:
        verdict = measuring.measure(
            given.subject,
            data=given.data,
            count=given.count,
            seed=given.seed,
            best=given.best,
            extractor=given.extractor,
            force=given.force,
            range=given.range,
            follow_links=given.follow_links,
            tell=tell,
            not_kept=not_kept.append,
        )
    console = plain_console()
    if not given.json:
        comparison.print_verdict(verdict, console)
    verdicts = [verdict, *_verdicts(given.against)]
    comparison.check_comparable(verdicts)
    if given.json:
        print_block(json.dumps([v.to_json() for v in verdicts] if given.against else verdict.to_json(), indent=2))
    elif given.against:
        comparison.print_comparison(comparison.rows(verdicts, by_recipe=False), console)
    if not_kept:
        _say_not_kept(not_kept[0])
        return 2
    if not given.json:
        print_line(f"the report: {measuring.report_of(verdict)}")
    return 0


@dataclass(frozen=True)
class Compare:
    """Put runs side by side, the best first; runs that were never measured are measured first. What was judged by
    different extractors or against different data is refused."""

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN ...")]
    """Folders of two or more runs."""
    by_recipe: Flag = False
    """One line for all runs that differ in nothing but the seed: mean and standard deviation."""
    json: Flag = False
    """Print JSON."""


def compare(words: list[str]) -> int:
    """`sparring compare RUN... [OPTIONS]`."""
    given = _parse(Compare, words, "sparring compare")
    if len(given.runs) < 2:
        raise UsageError("compare needs two runs or more")

    from sparring.evaluation import comparison

    verdicts = _verdicts(given.runs)
    comparison.check_comparable(verdicts)
    compared = comparison.rows(verdicts, given.by_recipe)
    if given.json:
        print_block(json.dumps([row.to_json() for row in compared], indent=2))
    else:
        comparison.print_comparison(compared, plain_console())
    return 0


def _verdicts(runs: tuple[Path, ...]) -> list[Verdict]:
    """What was last measured of each; measured now where that is nothing, or of an earlier step."""
    from sparring.reports import measure as measuring
    from sparring.terminal import progress

    verdicts = []
    for path in runs:
        verdict = measuring.saved_verdict(Run(path))
        if verdict is None:
            with progress.shown(str(path)) as tell:
                verdict = measuring.measure(path, tell=tell, not_kept=_say_not_kept)
        verdicts.append(verdict)
    return verdicts


def _say_not_kept(text: str) -> None:
    """That what was printed, or is about to be, could not be written: on a read-only run, say."""
    print_line(f"sparring: {text}", stderr=True)


# ------------------------------------------------------------------------------------------------ data


@dataclass(frozen=True)
class Check:
    """Look at images before they are trained on: how many, how large, of which classes, which of them cannot be read
    and why; with a contact sheet of how they will look, and the command to train on them."""

    source: Annotated[Positional[str], arg(metavar="SOURCE")]
    """A folder or a zip of pictures or IDX files, an NPZ, NPY or IDX file, or the name of a data set."""
    size: Annotated[int | None, arg(metavar="INT")] = None
    """As for `sparring train`."""
    fit: Fit = "crop"
    """As for `sparring train`."""
    channels: Channels = "auto"
    """As for `sparring train`."""
    range: Annotated[str | None, arg(metavar="LOW,HIGH")] = None
    """As for `sparring train`."""
    follow_links: Flag = False
    """As for `sparring train`."""
    strict: Flag = False
    """Fail where any picture cannot be read."""
    sheet: Annotated[Path, arg(metavar="FILE")] = Path("contact-sheet.png")
    """Where the contact sheet is written, a PNG."""
    force: Flag = False
    """Replace what is there already, also where Sparring did not make it."""
    json: Flag = False
    """Print JSON, with every file that is left out."""


def data(words: list[str]) -> int:
    """`sparring data check SOURCE [OPTIONS]`."""
    if words and words[0] in ("-h", "--help"):
        words = ["check", "--help"]
    if not words or words[0] != "check":
        raise UsageError("after `data` comes what to do with it: sparring data check SOURCE")
    given = _parse(Check, words[1:], "sparring data check")
    if given.sheet.suffix.lower() != ".png":
        raise UsageError(f"{given.sheet} should end in .png")
    recipe = named_recipe().replace(
        data=given.source,
        size=given.size,
        fit=given.fit,
        channels=given.channels,
        range=given.range,
        follow_links=given.follow_links,
    )

    from sparring.files import marks

    may_replace = marks.claim(given.sheet, given.force)

    from sparring.data import check, collect, collect_test, shaping_of, whole_set

    shaping = shaping_of(recipe)
    collection = collect(given.source, shaping=shaping)
    found = check.report(collection, shaping, recipe, collect_test(given.source, shaping))
    problem = None
    if collection.images is not None:
        try:
            check.save_sheet(given.sheet, collection.images, may_replace)
            found["sheet"] = str(given.sheet)
        except OSError as error:
            problem = error
    if given.json:
        print_block(json.dumps(found, indent=2))
    else:
        check.print_report(found, plain_console())
    check.refuse_untrainable(collection)
    whole_set(collection, given.strict)
    if not given.json:
        if problem is None:
            print_line(f"the contact sheet: {given.sheet}")
        print_line(f"Train on them: {found['command']}")
    if problem is not None:
        raise problem
    return 0


# ------------------------------------------------------------------------------------------------ recipes


@dataclass(frozen=True)
class Recipes:
    """List the recipes: where they come from, their networks, how long they take on two CPU cores."""

    json: Flag = False
    """Print JSON, with every setting."""


def recipes(words: list[str]) -> int:
    """`sparring recipes [--json]`."""
    given = _parse(Recipes, words, "sparring recipes")

    from sparring.cli import catalogue

    if given.json:
        print_block(json.dumps([catalogue.entry(make()) for make in RECIPES.values()], indent=2))
    else:
        catalogue.print_table([make() for make in RECIPES.values()], DEFAULT)
    return 0


# ------------------------------------------------------------------------------------------------ bench


@dataclass(frozen=True)
class Bench:
    """Time the steps of recipes on random pixels, and a matrix product beside them, the limit of the same machine.
    Without names that takes some three minutes on two CPU cores.

    Prints milliseconds a step, images a second, and floating-point operations a step, counted by formulas: a dense
    layer 2 N in out, a convolution 2 N H W kh kw C_in C_out, for the forward pass and for each gradient that a step
    needs. Their rate is a share of the product's."""

    recipes: Annotated[Positional[tuple[str, ...]], arg(metavar="RECIPE ...")] = ()
    """Names of recipes. By default all, but of those whose steps do the same work, such as good and best, the first."""
    json: Flag = False
    """Print JSON, with every round."""


def bench(words: list[str]) -> int:
    """`sparring bench [RECIPE ...] [--json]`."""
    given = _parse(Bench, words, "sparring bench")
    named = [named_recipe(name) for name in given.recipes]

    from sparring.terminal import progress
    from sparring.training import benchmark as speed

    groups = speed.alike(make() for make in RECIPES.values())
    chosen = named or [first for first, *_ in groups]
    speeds: list[speed.Speed] = []
    with progress.shown() as tell:
        for recipe in chosen:
            tell(f"timing {recipe.name}, {len(speeds) + 1} of {len(chosen)}")
            speeds.append(speed.measure(recipe))
    if given.json:
        print_block(json.dumps(speed.to_json(speeds), indent=2))
    else:
        speed.print_table(speeds)
        others = [f"{other.name} (as {first.name})" for first, *rest in groups for other in rest]
        if others and not named:
            print_line(f"Not timed, for a step of theirs does the same work: {', '.join(others)}.")
    return 0


# ------------------------------------------------------------------------------------------------ the program

COMMANDS: dict[str, Command] = {
    "train": train,
    "sweep": sweep,
    "sample": sample,
    "export": export,
    "animate": animate,
    "watch": watch,
    "measure": measure,
    "compare": compare,
    "data": data,
    "recipes": recipes,
    "bench": bench,
}

COMPILING = {"train", "sample", "export", "animate", "measure", "compare", "sweep", "bench"}
"""Commands that run networks."""

HELP = """\
usage: sparring [--help] [--version] [--debug] COMMAND ...

Trains generative adversarial networks fast.

commands:
  train     train a GAN: sparring train, or sparring train RECIPE [OPTIONS]
  sweep     try several values of settings: sparring sweep RECIPE --seed 0,1,2
  sample    draw images from a trained generator: sparring sample RUN
  export    write a generator for ONNX, a browser, or others: sparring export RUN --format html
  animate   how a run came to its samples, or a walk: sparring animate RUN --of walk
  watch     see runs learn in a browser, and play with them: sparring watch [RUNS]
  measure   judge a run, or samples made elsewhere: sparring measure RUN
  compare   put measured runs side by side: sparring compare RUN RUN...
  data      look at images before training on them: sparring data check FOLDER
  recipes   list the recipes
  bench     time the recipes beside a matrix product: sparring bench [RECIPE ...]

options:
  --debug   show where an error came from

`sparring COMMAND --help` tells more about a command."""


def main(words: list[str] | None = None) -> int:
    """Run the command line. Returns the exit status: 0, 2 for a mistake, 130 for a training stopped before its end."""
    return _main(list(sys.argv[1:] if words is None else words))


def program() -> int:
    """The same as the whole of a process, which is ended by signals."""
    interrupts.listen()
    sys.excepthook = _show_traceback
    try:
        status = main()
        if is_left_alone():  # Python would wait for it at its end
            interrupts.leave(status)
        return status
    finally:
        interrupts.finish()


def _main(words: list[str]) -> int:
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files may hold what the terminal cannot show
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", DamageWarning)
            warnings.showwarning = _show_warning
            return _dispatch(words)
    except BrokenPipeError:
        # Nobody reads on, as in `sparring train | head`: end quietly, also when Python closes its output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERRUPTED
    except (SparringError, OSError, MemoryError, RuntimeError) as error:
        if debug or (isinstance(error, RuntimeError) and not str(error).startswith(NO_MEMORY)):
            raise
        interrupts.hold_if_ending()
        print_line(f"sparring: {_sentence(error)}", stderr=True)
        if isinstance(error, ProcessLost):
            interrupts.leave(2)  # JAX would wait for the one that is gone, and then abort
        return 2
    except KeyboardInterrupt:
        if debug:
            raise
        print_line("sparring: interrupted", stderr=True)
        return INTERRUPTED


def _show_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """As Python shows it, but names in it cannot send codes to the terminal."""
    import traceback

    print_block("".join(traceback.format_exception(kind, error, trace)).rstrip("\n"), stderr=True)


def _show_warning(message: Warning | str, category: type[Warning], *place: Any, **named: Any) -> None:
    """Our own as one line; those of libraries are not for the user of a command."""
    if issubclass(category, DamageWarning):
        print_line(f"sparring: {message}", stderr=True)


def _dispatch(words: list[str]) -> int:
    if any("\0" in word for word in words):
        raise UsageError("no word may hold the character NUL")
    if not words or words[0] in ("-h", "--help"):
        print_block(HELP)
        return 0 if words else 2
    if words[0] == "--version":
        from importlib.metadata import version

        print_line(f"sparring {version('sparring')}")
        return 0
    if words[0] not in COMMANDS:
        import difflib  # here and elsewhere below: what `--help` does not need is imported where it is needed

        near = difflib.get_close_matches(words[0], [*COMMANDS, "--help", "--version"], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(COMMANDS)}"
        raise UsageError(f"there is no command {words[0]!r}; {hint}")
    if {"-h", "--help"} & set(words):
        return COMMANDS[words[0]](words[1:])
    from sparring.system import numerics

    for setting in numerics.leave_environment():
        what = "is not used, so that the same seed gives the same images everywhere"
        print_line(f"sparring: {setting} {what}", stderr=True)
    if words[0] in COMPILING:
        numerics.check_environment()
        from sparring.system.compilation_cache import keep_compiled

        keep_compiled()
    return COMMANDS[words[0]](words[1:])


WORDS = ConstructorRegistry()
"""How words become values, where not as tyro has it."""


@WORDS.primitive_rule
def _whole_number(about: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[int] | None:
    if about.type is not int:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT",
        instance_from_str=lambda words: parse_whole(words[0]),
        is_instance=lambda value: isinstance(value, int),
        str_from_instance=lambda value: [str(value)],
    )


class _Captured(io.StringIO):
    """What tyro writes instead of the terminal. It draws its boxes with lines where the encoding is this one."""

    encoding = "utf-8"


def _parse(kind: type[Arguments], words: list[str], program: str, default: Arguments | None = None) -> Arguments:
    """The words as that dataclass. Raises `UsageError` with one sentence where tyro would draw a box and exit."""
    if own := next((word for word in words if word.startswith("--tyro-")), None):
        raise UsageError(f"unrecognized options: {own}; see {program.removesuffix(' [RECIPE]')} --help")
    asks = "-h" in words or "--help" in words
    given_default = {} if default is None else {"default": _printable_settings(default) if asks else default}
    parse = partial(tyro.cli, kind, args=words, prog=program, registry=WORDS, **given_default)
    if asks:
        return cast(Arguments, parse())
    output = _Captured()
    try:
        with contextlib.redirect_stderr(output), contextlib.redirect_stdout(output):
            return cast(Arguments, parse())
    except SystemExit:
        raise UsageError(_unboxed(output.getvalue(), program)) from None


def _printable_settings(value: Any) -> Any:
    """The same dataclass, with texts that can be printed: the recipe of a run may be anybody's."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        copy = copying.copy(value)  # not `replace`, which checks what no recipe may be called
        for field in dataclasses.fields(value):
            object.__setattr__(copy, field.name, _printable_settings(getattr(value, field.name)))
        return copy
    return printable(value) if isinstance(value, str) else value


def _unboxed(box: str, program: str) -> str:
    """The message in a box that tyro drew, as one sentence."""
    lines = [line.strip("│╭╮╰╯ ") for line in box.splitlines()[1:-1]]
    rules = [i for i, line in enumerate(lines) if set(line) == {"─"}] or [len(lines)]
    message = " ".join(lines[: rules[0]]).strip().rstrip(".")
    message = re.sub(
        r"no type matching (?:{None}\|)?(.*?) could be instantiated from \[(.*?)\]\. .*", r"\2 should be \1", message
    )
    message = message.replace("should be INT|{all}", "should be a whole number or all")
    message = re.sub(r"should be INT\b", "should be a whole number, such as 3000 or 3e3", message)
    meant = re.search(r"Perhaps you meant:\s+(--[\w.-]+)", "\n".join(lines))
    hint = f"did you mean {meant[1]}?" if meant else f"see {program.removesuffix(' [RECIPE]')} --help"
    return f"{message[:1].lower()}{message[1:]}; {hint}"


def _option(words: list[str], name: str) -> str | None:
    """The value that follows an option, or is joined to it by "="; None where the option is not given."""
    for i, word in enumerate(words):
        if word == name and i + 1 < len(words):
            return words[i + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def _check_range(name: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise UsageError(f"{name} must lie between {least:,} and {most:,}, not {value:,}")


def _sentence(error: Exception) -> str:
    """What an error says, on one line that can be printed anywhere and be read at once."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror is not None:
        text = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError) or text.startswith(NO_MEMORY):
        text = f"there is not enough memory for this: {text or 'no more is to be had'}"
    line = " ".join(_shortened(word, LONGEST_WORD) for word in without_addresses(text).split())
    return _shortened(printable(line), LONGEST_SENTENCE)


def _shortened(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    end = most // 4
    return f"{text[: most - end - 5]} ... {text[-end:]}"


if __name__ == "__main__":
    sys.exit(program())
