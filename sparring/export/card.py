"""THE MODEL CARD: what a generator was trained on, how, how good it is, and how to load it.

Markdown, with a header such as model hubs read.
"""

from __future__ import annotations

from typing import Any

from sparring.comparison import judged_words, measure_words
from sparring.metrics.verdict import Verdict
from sparring.plain import printable
from sparring.recipe import Recipe
from sparring.sampling import Generator

UNKNOWN = "unknown"
"""The licence where nobody has named one: that of the images decides, and Sparring does not know it."""


def card(
    generator: Generator,
    recipe: Recipe | None = None,
    environment: dict[str, Any] | None = None,
    verdict: Verdict | None = None,
    licence: str = UNKNOWN,
) -> str:
    """The card. Without a recipe, an environment and a verdict it says what the generator's file says."""
    trained = generator.description["trained"]
    height, width, channels = generator.image_shape
    facts = [
        ("makes", f"images of {height} x {width} pixels and {channels} channel{'s' * (channels > 1)}"),
        ("from", f"{generator.latents.size} normal random numbers of standard deviation {generator.latents.std:g}"),
        ("classes", ", ".join(generator.classes)),
        ("trained on", _data_words(trained["data"], environment)),
        ("recipe", f"{trained['recipe']}, {trained['step']:,} steps"),
        ("source", recipe.source if recipe else ""),
        ("made with", _version_words(environment)),
        ("licence", licence),
    ]
    parts = [
        HEADER.format(licence=_text(licence)),
        f"# {_text(trained['recipe'])} on {_text(trained['data'])}",
        "\n".join(f"- {name}: {_text(words)}" for name, words in facts if words),
        "## How good it is",
        _scores(verdict) if verdict else "It was not measured. `sparring measure` would.",
        "## How to load it",
        f"```python\n{LOADING}```",
    ]
    return "\n\n".join(parts) + "\n"


HEADER = """\
---
license: {licence}
library_name: sparring
pipeline_tag: unconditional-image-generation
tags: [gan]
---"""
LOADING = """\
import sparring
from sparring.images import save_images

generator = sparring.load("generator.safetensors")
save_images("samples.png", generator.sample(64, seed=0), columns=8)
"""


def _text(words: str) -> str:
    """Words of others, on one line and without markup: names of classes and images may hold anything."""
    return printable(words).replace("<", "&lt;")


def _data_words(name: str, environment: dict[str, Any] | None) -> str:
    if environment is None:
        return name
    data = environment["data"]
    return f"{name}, {data['shape'][0]:,} images (SHA-256 {data['checksum'][:12]}...)"


def _version_words(environment: dict[str, Any] | None) -> str:
    if environment is None:
        return ""
    versions = environment["versions"]
    return f"Sparring {versions['sparring']}, JAX {versions['jax']}, on {environment['device']['kind']}"


def _scores(verdict: Verdict) -> str:
    """A table of what was measured, and what it was measured by."""
    rows = [["measure", "value", "± 95%", "real images", "better"], ["---"] * 5]
    rows += [[about.title, *numbers, about.better] for about, *numbers in measure_words(verdict)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    alarms = [f"Alarm: {alarm}" for alarm in verdict.alarms]
    return "\n\n".join([table, judged_words(verdict), *alarms, *verdict.notices])
