"""`sparring export`: write a trained generator for use elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from sparring.cli.parsing import Flag, optional, parse
from sparring.terminal.output import print_line


@dataclass(frozen=True)
class ExportOptions:
    """Write a trained generator for use elsewhere: its params with a model card, an ONNX file, or a page that makes
    pictures in any browser."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """Folder of a run, or a generator.safetensors with its generator.json beside it."""
    format: Literal["safetensors", "onnx", "html"]
    """`safetensors`: params and a model card. `onnx`: an ONNX file (extra `onnx`). `html`: an offline page."""
    out: Annotated[Path | None, optional("PATH")] = None
    """Where to write it. Default: the folder `export` of the run."""
    best: Flag = False
    """Use the state with the best score during training instead of the last one."""
    licence: str = "unknown"
    """Licence to name on the model card."""
    force: Flag = False
    """Replace an existing file even if Sparring did not make it."""


def run(words: list[str]) -> int:
    """Run `sparring export RUN --format FORMAT [OPTIONS]`."""
    given = parse(ExportOptions, words, "sparring export")

    from sparring import export as exports

    path, description = exports.export(
        given.run, given.format, out=given.out, best=given.best, licence=given.licence, force=given.force
    )
    print_line(f"{path}: {description}")
    return 0
