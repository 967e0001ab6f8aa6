"""FAULTS IN A RUN'S FILES: stray, swapped, foreign, missing files, and JSON of the right checksum and the wrong kind.

    python benchmarks/fault_files.py --seconds 1500 --seed 1

Each fault is put into a copy of a small run that stopped at step 20 of 30; then commands are given it. A command has to
give what it gives of the undisturbed run, bit for bit, or to say in one sentence which file is wrong. A traceback, a
wait, or a third result is a finding, and the program then ends with 1.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from deadlines import TooLong, where, within
from faults import Fault, damaged, faults

from sparring.cli import main as cli
from sparring.errors import SparringError
from sparring.evaluation import monitor
from sparring.files import checksummed
from sparring.recipes import named_recipe
from sparring.recipes.recipe import Recipe
from sparring.reports import measure as measuring
from sparring.reports import plots
from sparring.runs.run import Run
from sparring.training import train as training
from sparring.training.reporter import Silence
from sparring.web.reader import RunReader

SECONDS = 60.0
"""Within these a command has to answer."""
TELL_SECONDS = 60.0
"""How often it says how far it is."""
STOPPED, STEPS = 20, 30
LONGEST = 1200
"""Characters of a sentence; one that gives a reason for each checkpoint is long."""


@dataclass
class Box:
    """A folder with the runs, and what the commands make of the undisturbed one."""

    folder: Path
    run: Path
    other: Path
    """Of the same shapes, with another seed."""
    right: dict[str, Any] = field(default_factory=dict)
    tried: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    findings: dict[str, str] = field(default_factory=dict)


def recipe(folder: Path) -> Recipe:
    """As small as it goes."""
    return named_recipe("mlp-256").replace(
        data=str(folder / "images.npz"), batch_size=20, steps=STEPS, grid_every=10, grid_rows=1, grid_columns=2,
        log_every=5, validation=0.3, judge_every=10, latent_size=3, **{"generator.hidden": (4,),
        "discriminator.hidden": (4,)},
    )  # fmt: skip


def make_box(folder: Path) -> Box:
    """Two runs that stopped, and what becomes of the first."""
    images = np.random.default_rng(0).integers(0, 256, (200, 12, 12, 1), np.uint8)
    np.savez(folder / "images.npz", images=images)
    for name, seed in (("run", 0), ("other", 1)):
        quiet = Silence()
        for steps in (10, STOPPED):
            changed = recipe(folder).replace(steps=steps, seed=seed)
            training.train(changed, out=folder / name, reporter=quiet)
        with Run(folder / name).lock():
            Run(folder / name).begin(changed.replace(steps=STEPS), Run(folder / name).environment())
        measuring.measure(folder / name, count=60)
    box = Box(folder, folder / "run", folder / "other")
    for command in COMMANDS:
        status, said, made = attempt(box, command, box.run)
        assert status == 0, (command, said)
        box.right[command] = made
    return box


# ------------------------------------------------------------------------------------------------ the commands


def attempt(box: Box, command: str, pristine: Path) -> tuple[Any, str, Any]:
    """(status or what went wrong, what was said, what was made) of a command, given a copy of a run."""
    work = box.folder / "work"
    shutil.rmtree(work / "made", ignore_errors=True)
    (work / "made").mkdir(parents=True)
    if pristine != work / "run":
        shutil.rmtree(work / "run", ignore_errors=True)
        shutil.copytree(pristine, work / "run", symlinks=True)
    words, result = COMMANDS[command]
    out, err = io.StringIO(), io.StringIO()
    try:
        with (
            within(SECONDS),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("always")
            status: Any = page(work / "run") if command == "page" else cli.main(words(work / "run", work / "made"))
        return status, out.getvalue() + err.getvalue(), result(work) if status == 0 else None
    except TooLong:
        return f"no answer within {SECONDS:g} s", "", None
    except BaseException as error:
        return f"{type(error).__name__} in {where(error)}: {str(error)[:200]}", out.getvalue() + err.getvalue(), None


def page(run: Path) -> int:
    """What the page tells of the run; it may say that it cannot be read."""
    told = json.loads(RunReader(run.parent).read_list())["runs"]
    with contextlib.suppress(SparringError):
        for card in told:
            with contextlib.suppress(Exception if card["words"] == "its files cannot be read" else ZeroDivisionError):
                RunReader(run.parent).read_run(card["id"])
    return 0


def _arrays(path: Path) -> dict[str, bytes]:
    with np.load(path) as found:
        return {name: found[name].tobytes() for name in found}


def _numbers(path: Path) -> Any:
    return {name: part for name, part in checksummed.read(path).items() if name not in ("subject", "sealed")}


Command = tuple[Callable[[Path, Path], list[str]], Callable[[Path], Any]]
COMMANDS: dict[str, Command] = {
    "sample": (
        lambda run, made: ["sample", str(run), "--count", "5", "--out", str(made / "x.npz")],
        lambda work: _arrays(work / "made" / "x.npz"),
    ),
    "animate": (
        lambda run, made: ["animate", str(run), "--out", str(made / "x.gif")],
        lambda work: (work / "made" / "x.gif").read_bytes(),
    ),
    "export": (
        lambda run, made: ["export", str(run), "--format", "safetensors", "--out", str(made / "x")],
        lambda work: (work / "made" / "x" / "generator.safetensors").read_bytes(),
    ),
    "page": (lambda run, made: [], lambda work: None),
    "compare": (
        lambda run, made: ["compare", str(run), str(run), "--json"],
        lambda work: None,
    ),
    "measure": (
        lambda run, made: ["measure", str(run), "--count", "60"],
        lambda work: _numbers(work / "run" / "measures.json"),
    ),
    "resume": (
        lambda run, made: ["train", "--resume", str(run)],
        lambda work: (work / "run" / "generator.safetensors").read_bytes(),
    ),
}
CHEAP = ("sample", "animate", "export", "page", "compare")


# ------------------------------------------------------------------------------------------------ what is wrong


def check(box: Box, fault: Fault, commands: tuple[str, ...], exact: bool) -> None:
    """Give a run with that fault to the commands, and note what they should not do. `exact`: no third result."""
    what, do = fault
    broken = box.folder / "broken"
    for command in commands:
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(box.run, broken, symlinks=True)
        if not do(broken):
            return
        status, said, made = attempt(box, command, broken)
        box.tried[command] += 1
        trouble = trouble_with(box, command, status, said, made, what if exact else None)
        box.ends["a finding" if trouble else "the right result" if status == 0 else "one sentence"] += 1
        if trouble and (kind := f"{command}: {trouble[:60]}") not in box.findings:
            box.findings[kind] = f"{what}: {command}: {trouble}"
            print(f"FINDING: {what}: {command}: {trouble}", flush=True)


def trouble_with(box: Box, command: str, status: Any, said: str, made: Any, what: str | None) -> str | None:
    """What is wrong with an answer; None if nothing is."""
    if isinstance(status, str):
        return status
    last = said.splitlines()[-1] if said.strip() else ""
    if status not in (0, 2) or "Traceback" in said:
        return f"status {status!r}: {said[-300:]!r}"
    if status == 2 and (not last.startswith("sparring: ") or len(last) > LONGEST):
        return f"no sentence: {said[-300:]!r}"
    if what is not None and status == 2 and not any(part in last for part in _names(what)):
        return f"the sentence does not name the file: {last!r}"
    if what is not None and what.startswith("missing grids/") and command == "animate":
        return None  # its user may remove grids
    if what is not None and status == 0 and made != box.right[command]:
        return None if any(part in said for part in _names(what)) else f"a third result; it said {said[-300:]!r}"
    return None


def _names(what: str) -> list[str]:
    """What a sentence about that fault may call the file."""
    files = [word for word in what.split() if "/" in word or "." in word or word.isdecimal()]
    return [part for word in files for part in Path(word).parts[-2:]] or what.split()


def main() -> int:
    """Try for that long; the exit status says whether something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("places", "json"), help="one of the two kinds of faults")
    given = parser.parse_args()
    chance, began = random.Random(given.seed), time.monotonic()
    plots.write_plots = lambda run: None
    monitor.SHARE = 1e9  # of the time that judging may take
    with tempfile.TemporaryDirectory() as folder:
        box = make_box(Path(folder).resolve())
        began, placed = time.monotonic(), list(faults(box.run, box.other)) if given.only != "json" else []
        chance.shuffle(placed)
        told = began
        while time.monotonic() - began < given.seconds and (placed or given.only != "places"):
            if placed and (given.only == "places" or chance.random() < 0.5):
                check(box, placed.pop(), tuple(COMMANDS), exact=True)
            else:
                commands = (*CHEAP, *(["resume", "measure"] if chance.random() < 0.15 else []))
                check(box, damaged(box.run, chance), commands, exact=False)
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                report(box, told - began)
        report(box, time.monotonic() - began)
        print(f"faults in place left: {len(placed)}")
    return 1 if box.findings else 0


def report(box: Box, seconds: float) -> None:
    """Print what was tried so far."""
    counts = "; ".join(f"{name} {count:,}" for name, count in [*box.tried.items(), *box.ends.items()])
    print(f"{box.tried.total():,} commands in {seconds:.0f} s: {counts}; findings: {len(box.findings)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
