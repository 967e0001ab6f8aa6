"""`sparring animate`: make an animation of a training, or of a walk through the latents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from sparring.cli.parsing import MAX_SEED, Flag, check_range, optional, parse
from sparring.errors import UsageError
from sparring.runs.run import Run
from sparring.terminal.output import print_line

SUFFIXES = (".gif", ".webp", ".png")


@dataclass(frozen=True)
class AnimateOptions:
    """Make an animation: of a run's samples during training, or of a grid whose images walk through the latents. For a
    conditional generator each row of the grid is one class."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """Folder of a run. For a walk also a generator.safetensors."""
    of: Literal["training", "walk"] = "training"
    """What to show."""
    out: Annotated[Path | None, optional("FILE")] = None
    """`.gif` (32 colours), `.webp` or `.png` (animated, all colours). Default: training.gif or walk.gif."""
    largest: int = 640
    """Maximum length of the longer side, in pixels."""
    seconds: Annotated[float | None, optional("FLOAT")] = None
    """Duration in seconds. Default: about 8 to 15."""
    seed: int = 0
    """Seed for the latents of a walk."""
    best: Flag = False
    """For a walk: use the state with the best score during training instead of the last one."""
    force: Flag = False
    """Replace an existing file even if Sparring did not make it."""


def run(words: list[str]) -> int:
    """Run `sparring animate RUN [OPTIONS]`."""
    given = parse(AnimateOptions, words, "sparring animate")
    out = given.out or Path(f"{given.of}.gif")
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{out} has an unknown ending; use .gif, .webp or .png")
    check_range("--largest", given.largest, 32, 4096)
    check_range("--seed", given.seed, 0, MAX_SEED)
    if given.seconds is not None and not 0.1 <= given.seconds <= 600:
        raise UsageError(f"--seconds must lie between 0.1 and 600, not {given.seconds:g}")
    if given.of == "training" and (given.best or given.seed):
        raise UsageError("--best and --seed need a walk: add --of walk")

    from sparring.files import marks

    may_replace = marks.claim(out, given.force)

    from sparring.reports import animation
    from sparring.runs import generator as generators

    sizes: dict[str, Any] = {"largest": given.largest, "seconds": given.seconds}
    if given.of == "walk":
        generator = generators.load(given.run, given.best)
        out.parent.mkdir(parents=True, exist_ok=True)
        count = animation.save_walk(generator, out, **sizes, seed=given.seed, may_replace=may_replace)
    else:
        run = Run(given.run)
        run.recipe()  # raises if this is not a run
        out.parent.mkdir(parents=True, exist_ok=True)
        count = animation.save_training(run, out, **sizes, may_replace=may_replace)
    print_line(f"{count} pictures in {out}, {out.stat().st_size / 1e6:.1f} MB")
    return 0
