"""THE MODEL CARD: what a generator was trained on, how, how good it is, and how to load it.

Markdown, with a header such as model hubs read.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from sparring.data.validation import validation_count
from sparring.evaluation.comparison import judged_words, measure_words
from sparring.evaluation.verdict import Verdict
from sparring.recipes.recipe import Recipe
from sparring.runs.generator import Generator
from sparring.terminal.output import printable

IDENTIFIER, YAML_WORDS = re.compile(r"[a-z][a-z0-9.+-]*"), {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
"""What YAML reads as the text that it is, and what it reads as something else."""
MARKUP, WWW = re.compile(r"[\\`*_\[\]!|~#$:@]"), re.compile(r"(?i)\b(www)\.")
"""What Markdown may take for markup, or for the beginning of a link."""
SHAPED = re.compile(r"( at \d+ x \d+)?( in gray| in color| with alpha)?$")
"""What the name of images says of how they were shaped, behind where they come from."""
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
        ("trained on", _data_words(trained["data"], recipe, environment)),
        ("recipe", f"{trained['recipe']}, {trained['step']:,} steps"),
        ("source", recipe.source if recipe else ""),
        ("made with", _version_words(environment)),
        ("licence", licence),
    ]
    parts = [
        _header(licence, bool(generator.classes)),
        f"# {_text(trained['recipe'])} on {_text(trained['data'])}",
        "\n".join(f"- {name}: {_text(words)}" for name, words in facts if words),
        "## How good it is",
        _scores(verdict) if verdict else "It was not measured. `sparring measure` would.",
        "## How to load it",
        "With `pip install sparring`:",
        f"```python\n{LOADING}```",
    ]
    return "\n\n".join(parts) + "\n"


LOADING = """\
import sparring
from sparring.images import save_images

generator = sparring.load("generator.safetensors")
save_images("samples.png", generator.sample(64, seed=0), columns=8)
"""


def _header(licence: str, conditional: bool) -> str:
    """The front matter, in YAML. Hubs have no task for generators that are told a class, so these name none."""
    task = [] if conditional else ["pipeline_tag: unconditional-image-generation"]
    tags = "[gan, image-generation, class-conditional]" if conditional else "[gan, image-generation]"
    lines = [f"license: {_yaml(licence)}", "library_name: sparring", *task, f"tags: {tags}"]
    return "\n".join(["---", *lines, "---"])


def _yaml(words: str) -> str:
    """A text as YAML has it: as it is where that can be nothing else, or as a JSON string, which is YAML, too."""
    if IDENTIFIER.fullmatch(words) and words not in YAML_WORDS:
        return words
    return json.dumps(printable(words), ensure_ascii=False)


def _text(words: str) -> str:
    """Words of others, on one line and without markup: names of classes and images may hold anything."""
    line = printable(words).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return WWW.sub(r"\1\\.", MARKUP.sub(r"\\\g<0>", line))


def shown_name(name: str, path: str | None = None) -> str:
    """The name of images as others may see it: of a path the last part. Of "." it is the name of the folder, which
    `path` leads to."""
    given, shaped = name, ""
    if found := SHAPED.search(name):
        given, shaped = name[: found.start()], found[0]
    last = re.split(r"[/\\]", given.rstrip("/\\"))[-1]
    if last in ("", ".", ".."):
        folder = "" if path is None else Path(os.path.normpath(path)).name
        last = folder or "a folder of pictures"
    return last + shaped


def without_paths(words: str, *paths: str | None) -> str:
    """A sentence in which each of these paths is only its last part."""
    for path in sorted({path for path in paths if path and shown_name(path) != path}, key=len, reverse=True):
        if re.search(r"[^./\\]", path):
            words = re.sub(rf"(?<![\w./\\-]){re.escape(path)}(?![\w/\\-])", lambda found: shown_name(found[0]), words)
    return words


def _data_words(name: str, recipe: Recipe | None, environment: dict[str, Any] | None) -> str:
    if environment is None:
        return name
    data = environment["data"]
    count = int(data["shape"][0])
    held_out = 0 if recipe is None else validation_count(count, recipe.held_out)
    kept = f" ({held_out:,} more are validation images, which were not trained on)" if held_out else ""
    return f"{name}, {count - held_out:,} images{kept}, SHA-256 of all {data['checksum'][:12]}..."


def _version_words(environment: dict[str, Any] | None) -> str:
    if environment is None:
        return ""
    sparring, jax = (environment["versions"].get(name, "of an unknown version") for name in ("sparring", "jax"))
    return f"Sparring {sparring}, JAX {jax}, on {environment['device']['kind']}"


def _scores(verdict: Verdict) -> str:
    """A table of what was measured, and what it was measured by."""
    rows = [["measure", "value", "± 95%", "real images", "better"], ["---"] * 5]
    rows += [[about.title, *numbers, about.better] for about, *numbers in measure_words(verdict)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    alarms = [f"Alarm: {alarm}" for alarm in verdict.alarms]
    return "\n\n".join([table, *map(_text, [judged_words(verdict), *alarms, *verdict.notices])])
