"""The model card: valid YAML front matter, escaped Markdown, and no paths."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_generators import made_generator

from sparring import export
from sparring.export.card import card, shown_name, without_paths
from sparring.files import checksummed
from sparring.images import save_images
from sparring.recipes.recipe import Recipe
from sparring.runs.run import Run
from sparring.training import train as training
from sparring.training.reporter import Silence

LICENCES = [
    "unknown", "cc-by-4.0", "CC BY: with a colon", 'a "quoted" one', "it's", "# no comment", "[a, list]", "yes", "null",
    "1.0", "two\nlines\n---\nx: y", "back\\slash", "\u2028\x85\x1b[31m", "- dash", "{a: b}", "&anchor", "!tag",
    "né 🙂", "", " ",
]  # fmt: skip
HOSTILE = ["![x](http://a/b.png)", "[link](http://evil)", "<img src=x>", "http://evil.com", "www.evil.com", "a|b",
           "`code`", "@everyone", "*bold* _it_", "&lt;b&gt;", "line\nbreak", "\x1b[31m", "$x$", "~~gone~~"]  # fmt: skip


def described(conditional: bool, **trained: Any) -> Any:
    generator = made_generator("mlp-128", (28, 28, 1), conditional)
    facts = {"recipe": "mlp-128", "step": 5, "data": "digits"} | trained
    return replace(generator, description=generator.description | {"trained": facts})


@pytest.mark.parametrize("licence", LICENCES)
@pytest.mark.parametrize("conditional", [False, True])
def test_the_front_matter_is_yaml(licence: str, conditional: bool) -> None:
    yaml = pytest.importorskip("yaml")
    _, header, _ = card(described(conditional), licence=licence).split("---\n", 2)
    found = yaml.safe_load(header)
    assert isinstance(found["license"], str) and found["library_name"] == "sparring" and "gan" in found["tags"]
    if licence.isprintable():
        assert found["license"] == licence
    assert ("pipeline_tag" in found) == (not conditional) and ("class-conditional" in found["tags"]) == conditional


def test_versions_that_are_not_recorded_are_said_to_be_unknown() -> None:
    data = {"shape": [60, 28, 28, 1], "checksum": "0" * 64}
    environment = {"versions": {"jax": "0.10"}, "device": {"kind": "cpu"}, "data": data}
    assert "Sparring of an unknown version, JAX 0.10, on cpu" in card(described(False), environment=environment)


def test_names_are_no_markup() -> None:
    generator = described(True, recipe=" ".join(HOSTILE), data=" ".join(HOSTILE))
    generator.description["classes"] = dict.fromkeys(HOSTILE, 3)
    text = card(generator, licence=" ".join(HOSTILE)).split("---\n", 2)[2].partition("```python")[0]
    assert "<" not in text and "\x1b" not in text and "line\\\\nbreak" in text
    for mark in ("![", "](", "`code", "*bold", "$x", "~~gone", "a|b", "@every", "http:", "www.", "_it"):
        assert not re.search(rf"(?<!\\){re.escape(mark)}", text) or mark == "](", mark
    assert not re.search(r"(?<!\\)\]\(", text)


@pytest.mark.parametrize(("name", "path", "shown"), [
    ("mnist", None, "mnist"), ("/me/pics", None, "pics"), ("../pics/ at 9 x 9 in gray", None, "pics at 9 x 9 in gray"),
    ("pics/", None, "pics"), (".", "/home/me/cats", "cats"), ("..", "/home/me/cats/..", "me"),
    (". at 28 x 28", "/home/me/cats/", "cats at 28 x 28"), (".", None, "a folder of pictures"),
    (".hidden", "/home/me/.hidden", ".hidden"), ("C:\\pics\\cats", None, "cats"), ("./a.zip", "/x/a.zip", "a.zip"),
])  # fmt: skip
def test_of_a_path_the_last_part_is_shown(name: str, path: str | None, shown: str) -> None:
    assert shown_name(name, path).strip() == shown.strip()


def test_only_whole_paths_are_shortened() -> None:
    words = "copies are of /home/me/pics, not of /home/me/pics2. See a/b."
    assert without_paths(words, "/home/me/pics", ".", "..", "b", None) == (
        "copies are of pics, not of /home/me/pics2. See a/b."
    )


def test_a_card_of_the_current_folder_is_whole(
    tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = tmp_path / "cats"
    save_images(pictures, np.random.default_rng(0).integers(0, 256, (100, 28, 28, 1), dtype=np.uint8), 8)
    monkeypatch.chdir(pictures)
    recipe = tiny_recipe.replace(data=".", validation=0.25, steps=2, batch_size=10, judge_every=0)
    run = training.train(recipe, out=tmp_path / "run", reporter=Silence())
    export.export(run.path, "safetensors", out=tmp_path / "card")
    text = (tmp_path / "card" / "README.md").read_text()
    assert "# mlp-256 on cats" in text and "75 images (25 more are validation images" in text
    assert "import sparring" in text and "generator.safetensors" in text and "pip install sparring" in text
    assert str(tmp_path) not in text
    assert checksummed.read(tmp_path / "card" / "generator.json")["trained"]["data"] == "cats"
    assert Run(run.path).exists()
