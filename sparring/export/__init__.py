"""EXPORT: a trained generator for use in other programs.

layers.py  a generator as a list of simple layers
onnx.py    an ONNX file
page.py    an HTML page that generates images in any browser
card.py    the model card of safetensors
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Literal, get_args

from sparring.errors import RunError, UsageError
from sparring.export import card, onnx, page
from sparring.files import atomic, marks
from sparring.files.atomic import MayReplace
from sparring.recipes import arguments
from sparring.reports import measure as measuring
from sparring.runs import generator as sampling
from sparring.runs.generator import Generator
from sparring.runs.run import Run
from sparring.system import extras
from sparring.system.numerics import fixed

Format = Literal["safetensors", "onnx", "html"]

WEIGHTS, DESCRIPTION, CARD = "generator.safetensors", "generator.json", "README.md"
"""The files of the format "safetensors"."""


@fixed()
def export(
    path: str | Path,
    format: Format,
    *,
    out: str | Path | None = None,
    best: bool = False,
    licence: str = card.UNKNOWN,
    force: bool = False,
) -> tuple[Path, str]:
    """Write the generator of a run, or of a `generator.safetensors`. Returns (path, a description of the result).

    By default the export goes into the folder `export` of the run: `generator.onnx`, `generator.html`, or three files
    for safetensors: `generator.safetensors`, `generator.json` and the model card `README.md`.

    Raises `RunError` if there is no generator, `OverwriteError` if a file exists that Sparring did not write (unless
    `force`), `ExportError` if the exported file generates other images, `MissingExtra` if a package is missing, and
    `UsageError` for an invalid argument.
    """
    if format not in get_args(Format):
        raise UsageError(f"format should be one of {', '.join(get_args(Format))}, not {arguments.shown(format)}")
    if not isinstance(licence, str):
        raise UsageError(f"licence should be a text, not {arguments.shown(licence)}")
    if format == "onnx":
        extras.require("onnx", "ONNX")
    path, out = arguments.path("path", path), None if out is None else arguments.path("out", out)
    best, force = arguments.flag("best", best), arguments.flag("force", force)
    folder = (path if path.is_dir() else path.parent) / "export"
    target = out if out is not None else folder if format == "safetensors" else folder / f"generator.{format}"
    if out is None and folder.is_symlink():
        raise RunError(f"{folder} is a symlink, and symlinks are not followed; choose another folder with --out")
    may_replace = _claim(target, format, force)
    generator = without_paths(sampling.load(path, best), _data_path(Run(path)))
    target.parent.mkdir(parents=True, exist_ok=True)
    trained = generator.description["trained"]
    if format == "onnx":
        difference = onnx.write(generator, target, may_replace)
        return target, f"{onnx.CHECKED} images of onnxruntime differ by at most {difference:.1e} from Sparring's"
    if format == "html":
        made = page.write(generator, target, f"{trained['recipe']} on {trained['data']}", may_replace)
        close = f"{made.close:.1%} of the pixels agree with Sparring's to one gray level"
        return target, f"{made.size / 1e6:.1f} MB; weights as {made.kind}, {close}"
    target.mkdir(exist_ok=True)
    text = _card(path, generator, licence).encode(errors="backslashreplace")
    sampling.write(generator, target / WEIGHTS, may_replace)
    atomic.write_bytes(target / CARD, marks.signed(text), may_replace)
    return target, "weights, description and model card"


def _claim(target: Path, format: Format, force: bool) -> MayReplace:
    """Check in advance that the export may be written to `target`."""
    if format != "safetensors":
        return marks.claim(target, force)
    if os.path.lexists(target) and not target.is_dir():
        raise UsageError(f"{target} is a file, but safetensors needs a folder; choose another --out")
    if Run(target).exists():
        raise UsageError(f"{target} is a run, and its generator would be replaced; choose another --out")
    *_, may_replace = (marks.claim(target / name, force) for name in (WEIGHTS, DESCRIPTION, CARD))
    return may_replace


def without_paths(generator: Generator, path: str | None = None) -> Generator:
    """Return the generator with only the last part of the path to its training images, for privacy.

    `path` is the full path of the images.
    """
    trained = dict(generator.description["trained"])
    trained["data"] = card.shown_name(str(trained.get("data", "unknown images")), path)
    return dataclasses.replace(generator, description=generator.description | {"trained": trained})


def _data_path(run: Run) -> str | None:
    """Return the path of a run's training images, or None if it is unknown."""
    try:
        found = run.environment()["data"].get("path") if run.exists() else None
    except (RunError, AttributeError):
        return None
    return found if isinstance(found, str) else None


def _card(path: Path, generator: Generator, licence: str) -> str:
    run = Run(path)
    if not run.exists():
        return card.card(generator, licence=licence)
    verdict = measuring.saved_verdict(run)
    if verdict is not None and verdict.subject["step"] != generator.description["trained"]["step"]:
        verdict = None  # it belongs to another checkpoint
    recipe, where = run.recipe(), _data_path(run)
    if verdict is not None:  # it contains paths of images
        name = str(verdict.data["name"])
        paths = (recipe.data, where, name, name.partition(" at ")[0])
        verdict = dataclasses.replace(
            verdict,
            data=verdict.data | {"name": card.shown_name(name, where)},
            notices=tuple(card.without_paths(notice, *paths) for notice in verdict.notices),
            alarms=tuple(card.without_paths(alarm, *paths) for alarm in verdict.alarms),
        )
    return card.card(generator, recipe, run.environment(), verdict, licence)
