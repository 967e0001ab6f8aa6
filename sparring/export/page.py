"""One HTML file that generates images in any browser, offline and without a server.

`page.js` computes the layers. The file contains the weights as float16, or as int8 with a float32 factor for each
output if float16 would be too large. Biases are float32.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, Literal

import jax
import numpy as np
from numpy.typing import NDArray

from sparring.export.layers import Layer, Residual, layers_of
from sparring.files import atomic, marks
from sparring.files.atomic import MayReplace
from sparring.runs.generator import Generator
from sparring.terminal.output import html_escaped as escape
from sparring.terminal.output import printable

MAX_FLOAT16_BYTES = 3_000_000
"""A larger file uses int8."""
MIN_CLOSE = 0.95
"""Share of the pixels that must agree to one gray level for int8 to be used."""
COMPARED = 100
"""Images that are compared."""
Kind = Literal["float16", "int8"]


@dataclass(frozen=True)
class Page:
    """A written page."""

    kind: Kind
    """The type of the weights."""
    size: int
    """Bytes."""
    close: float
    """Share of the pixels that rounding the weights changes by at most one gray level."""


def write(generator: Generator, path: Path, title: str, may_replace: MayReplace | None = None) -> Page:
    """Write the page of a generator with that title."""
    content = marks.signed(to_html(generator, title, "float16"))
    kind: Kind = "float16"
    close = share_close(generator, "int8") if len(content) > MAX_FLOAT16_BYTES else 0.0
    if close >= MIN_CLOSE:
        kind, content = "int8", marks.signed(to_html(generator, title, "int8"))
    else:
        close = share_close(generator, kind)
    atomic.write_bytes(path, content, may_replace)
    return Page(kind, len(content), close)


def share_close(generator: Generator, kind: Kind) -> float:
    """Return the share of pixels that agree to one gray level after rounding the weights to `kind`."""

    def rounded(weights: Any) -> Any:
        if weights.ndim == 1:
            return weights
        if kind == "float16":
            return np.asarray(weights, np.float16).astype(np.float32)
        whole, factors = quantised(np.asarray(weights))
        return whole * factors

    coarse = dataclasses.replace(generator, weights=jax.tree.map(rounded, generator.weights))
    latents, labels = generator.draw_latents(COMPARED), generator.usual_labels(COMPARED)
    ours, theirs = (each.images(latents, labels).astype(int) for each in (generator, coarse))
    return float(np.mean(np.abs(ours - theirs) <= 1))


def to_html(generator: Generator, title: str, kind: Kind) -> bytes:
    """Return the page as bytes."""
    description, store = generator.description, _Store(kind)
    model = {
        "latent": description["latent"],
        "image_shape": description["image_shape"],
        "classes": list(map(printable, generator.classes)),
        "layers": [store.layer(layer) for layer in layers_of(generator)],
        "bytes": base64.b64encode(store.content).decode(),
    }
    folder = resources.files(__package__)
    latents, script = ((folder / name).read_text("utf-8") for name in ("latents.js", "page.js"))
    script = '"use strict";\n' + latents.replace("export ", "") + script
    page = Template((folder / "page.html").read_text("utf-8")).substitute(
        title=escape(title),
        about=escape(f"Your browser generates each image from {description['latent']['size']} random numbers."),
        model=json.dumps(model).replace("<", "\\u003c"),
        script=script,
        hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return page.encode(errors="backslashreplace")  # file names may contain lone surrogates


class _Store:
    """The layers as JSON, and their arrays as one block of bytes."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.content = bytearray()

    def layer(self, layer: Layer) -> dict[str, Any]:
        if isinstance(layer, Residual):
            return {"kind": "Residual", "layers": [self.layer(inner) for inner in layer.layers]}
        parts = {field.name: getattr(layer, field.name) for field in dataclasses.fields(layer)}
        values = {name: self.array(part) if isinstance(part, np.ndarray) else part for name, part in parts.items()}
        return {"kind": type(layer).__name__} | values

    def array(self, array: NDArray[np.float32]) -> dict[str, Any]:
        if array.ndim == 1:
            return self.put(array.astype("<f4"), "float32", array.shape)
        if self.kind == "float16":
            return self.put(array.astype("<f2"), "float16", array.shape)
        whole, factors = quantised(array)
        return self.put(whole, "int8", array.shape) | {"factors": self.array(factors)}

    def put(self, array: NDArray[Any], kind: str, shape: tuple[int, ...]) -> dict[str, Any]:
        at = len(self.content)
        self.content += np.ascontiguousarray(array).tobytes()
        return {"type": kind, "at": at, "shape": list(shape)}


def quantised(array: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return integers from -127 to 127 and a factor for each index of the last axis (outputs,)."""
    largest = np.abs(array).reshape(-1, array.shape[-1]).max(axis=0)
    factors = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    return np.rint(array / factors).astype(np.int8), factors
