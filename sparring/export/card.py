"""The model card: the training data, the recipe, the measures, and how to load the generator.

It is Markdown with the YAML front matter of model hubs.
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
"""Text that YAML reads as a string without quotes, and the exceptions."""
MARKUP, WWW = re.compile(r"[\\`*_\[\]!|~#$:@]"), re.compile(r"(?i)\b(www)\.")
"""What Markdown may interpret as markup, or as the beginning of a link."""
SHAPED = re.compile(r"( at \d+ x \d+)?( in gray| in color| with alpha)?$")
"""The suffix of a data set's name that describes its shaping."""
UNKNOWN = "unknown"
"""The default licence. The licence of the training images decides, and Sparring cannot determine it."""


def card(
    generator: Generator,
    recipe: Recipe | None = None,
    environment: dict[str, Any] | None = None,
    verdict: Verdict | None = None,
    licence: str = UNKNOWN,
) -> str:
    """Return the card. Without a recipe, an environment and a verdict it contains only the generator's own metadata."""
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
        _scores(verdict) if verdict else "Not measured yet; use `sparring measure`.",
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
    """Return the YAML front matter. Hubs have no task for conditional generators, so these get none."""
    task = [] if conditional else ["pipeline_tag: unconditional-image-generation"]
    tags = "[gan, image-generation, class-conditional]" if conditional else "[gan, image-generation]"
    lines = [f"license: {_yaml(licence)}", "library_name: sparring", *task, f"tags: {tags}"]
    return "\n".join(["---", *lines, "---"])


def _yaml(words: str) -> str:
    """Return a text as YAML: unquoted if that is unambiguous, else as a JSON string, which is valid YAML."""
    if IDENTIFIER.fullmatch(words) and words not in YAML_WORDS:
        return words
    return json.dumps(printable(words), ensure_ascii=False)


def _text(words: str) -> str:
    """Return untrusted text on one line with its markup escaped."""
    line = printable(words).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return WWW.sub(r"\1\\.", MARKUP.sub(r"\\\g<0>", line))


def shown_name(name: str, path: str | None = None) -> str:
    """Return the name of a data set without its folders. For ".", the name is taken from `path`."""
    given, shaped = name, ""
    if found := SHAPED.search(name):
        given, shaped = name[: found.start()], found[0]
    last = re.split(r"[/\\]", given.rstrip("/\\"))[-1]
    if last in ("", ".", ".."):
        folder = "" if path is None else Path(os.path.normpath(path)).name
        last = folder or "a folder of pictures"
    return last + shaped


def without_paths(words: str, *paths: str | None) -> str:
    """Shorten each of these paths in a text to its last part."""
    for path in sorted({path for path in paths if path and shown_name(path) != path}, key=len, reverse=True):
        if re.search(r"[^./\\]", path):
            words = re.sub(rf"(?<![\w./\\-]){re.escape(path)}(?![\w/\\-])", lambda found: shown_name(found[0]), words)
    return words


def _data_words(name: str, recipe: Recipe | None, environment: dict[str, Any] | None) -> str:
    if environment is None:
        return name
    data = environment["data"]
    count = int(data["shape"][0])
    unseen = 0 if recipe is None else validation_count(count, recipe.validation)
    kept = f" ({unseen:,} more are validation images, which were not trained on)" if unseen else ""
    return f"{name}, {count - unseen:,} images{kept}, SHA-256 of all {data['checksum'][:12]}..."


def _version_words(environment: dict[str, Any] | None) -> str:
    if environment is None:
        return ""
    sparring, jax = (environment["versions"].get(name, "of an unknown version") for name in ("sparring", "jax"))
    return f"Sparring {sparring}, JAX {jax}, on {environment['device']['kind']}"


def _scores(verdict: Verdict) -> str:
    """Return a table of the measures, and how they were measured."""
    rows = [["measure", "value", "± 95%", "real images", "better"], ["---"] * 5]
    rows += [[about.title, *numbers, about.better] for about, *numbers in measure_words(verdict)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    alarms = [f"Alarm: {alarm}" for alarm in verdict.alarms]
    return "\n\n".join([table, *map(_text, [judged_words(verdict), *alarms, *verdict.notices])])
