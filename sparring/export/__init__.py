"""EXPORT: a trained generator for the world outside, as weights with a model card, an ONNX file, or a page."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

from sparring import atomic, measuring, sampling
from sparring.errors import RunError
from sparring.export import card, onnx, page
from sparring.run import Run
from sparring.sampling import Generator

Format = Literal["safetensors", "onnx", "html"]


def export(
    path: str | Path, format: Format, *, out: str | Path | None = None, best: bool = False, licence: str = card.UNKNOWN
) -> tuple[Path, str]:
    """Write the generator of a run, or of a `generator.safetensors`: (where, what there is to say of it).

    Without `out` it goes into the folder `export` of the run: `generator.onnx`, `generator.html`, or for safetensors
    three files, `generator.safetensors`, `generator.json` and the model card `README.md`.

    Raises `RunError` where there is no generator, `ExportError` where what was made makes other images, `MissingExtra`
    where a package is missing.
    """
    path = Path(path)
    generator = without_paths(sampling.load(path, best))
    folder = (path if path.is_dir() else path.parent) / "export"
    target = Path(out) if out is not None else folder if format == "safetensors" else folder / f"generator.{format}"
    if out is None and folder.is_symlink():
        raise RunError(f"{folder} is a link, and nothing is written behind links; say with --out where")
    target.parent.mkdir(parents=True, exist_ok=True)
    trained = generator.description["trained"]
    if format == "onnx":
        difference = onnx.write(generator, target)
        return target, f"onnxruntime's {onnx.CHECKED} images differ from ours by {difference:.1e} at most"
    if format == "html":
        made = page.write(generator, target, f"{trained['recipe']} on {trained['data']}")
        close = f"{made.close:.1%} of the pixels as ours, to one gray level"
        return target, f"{made.size / 1e6:.1f} MB; weights as {made.kind}, {close}"
    target.mkdir(exist_ok=True)
    sampling.write(generator, target / "generator.safetensors")
    atomic.write_bytes(target / "README.md", _card(path, generator, licence).encode(errors="backslashreplace"))
    return target, "weights, description and model card"


def without_paths(generator: Generator) -> Generator:
    """The same, but of a folder or file with its images it knows only the name: where it lies is nobody's business."""
    trained = dict(generator.description["trained"])
    trained["data"] = Path(trained.get("data", "unknown images")).name
    return dataclasses.replace(generator, description=generator.description | {"trained": trained})


def _card(path: Path, generator: Generator, licence: str) -> str:
    run = Run(path)
    if not run.exists():
        return card.card(generator, licence=licence)
    verdict = measuring.saved_verdict(run)
    if verdict is not None and verdict.subject["step"] != generator.description["trained"]["step"]:
        verdict = None  # of another state
    recipe = run.recipe()
    text = card.card(generator, recipe, run.environment(), verdict, licence)
    return text.replace(recipe.data, Path(recipe.data).name)  # what was measured names the images' place, too
