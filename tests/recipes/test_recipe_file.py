"""A RECIPE IN A FILE: the one that a run wrote is trained to the same bytes."""

import json
import os
from pathlib import Path

import pytest

import sparring
from sparring.cli.main import main
from sparring.errors import RecipeError
from sparring.files import checksummed
from sparring.recipes import named_recipe
from sparring.runs.run import Run

GOLDEN = Path(__file__).parent.parent / "golden"


def test_the_recipe_of_a_run_is_trained_to_the_same_bytes(tiny_run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "mine.json"
    copy.write_bytes(tiny_run.recipe_file.read_bytes())
    assert main(["train", str(copy), "--out", str(tmp_path / "run")]) == 0
    again = Run(tmp_path / "run")
    assert again.generator_weights.read_bytes() == tiny_run.generator_weights.read_bytes()
    assert again.id != tiny_run.id
    other = sparring.train(str(copy), out=tmp_path / "other", seed=1)
    assert other.generator_weights.read_bytes() != tiny_run.generator_weights.read_bytes()


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("format-*/*/recipe.json")), ids=lambda path: path.parent.name)
def test_recipes_of_older_versions_are_recipes(path: Path) -> None:
    assert named_recipe(str(path)) == Run(path.parent).recipe()


def test_what_holds_no_recipe_is_refused(tiny_run: Run, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"missing\.json cannot be read: No such file"):
        named_recipe("missing.json")
    changed = tmp_path / "changed.json"
    changed.write_text(tiny_run.recipe_file.read_text().replace('"steps": 30', '"steps": 40'))
    with pytest.raises(RecipeError, match=r'checksum.*remove "sealed" and "sha256"'):
        named_recipe(str(changed))
    value = checksummed.read(tiny_run.recipe_file)
    changed.write_text(json.dumps(value | {"steps": 40}))
    assert named_recipe(str(changed)).steps == 40
    for content in ('{"steps": 3}', "[]", "{", json.dumps(value | {"colour": 3})):
        changed.write_text(content)
        with pytest.raises(RecipeError, match=r"changed\.json"):
            named_recipe(str(changed))
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(RecipeError, match=r"pipe\.json"):
        named_recipe(str(tmp_path / "pipe.json"))
