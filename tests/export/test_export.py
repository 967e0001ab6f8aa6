"""`export`: the files are written to the right place, and the code of the model card loads them."""

import sys
from pathlib import Path

import numpy as np
import pytest

import sparring
from sparring import export
from sparring.cli.main import main
from sparring.evaluation.features import shipped_classifier
from sparring.recipes.recipe import Recipe
from sparring.reports import measure as measuring
from sparring.runs.run import Run
from sparring.training import train as training
from sparring.training.reporter import Silence

Printed = pytest.CaptureFixture[str]


@pytest.mark.parametrize(("format", "names"), [
    ("safetensors", {"generator.safetensors", "generator.json", "README.md"}),
    ("onnx", {"generator.onnx"}),
    ("html", {"generator.html"}),
])  # fmt: skip
def test_the_command_writes_into_the_run(format: str, names: set[str], copied_run: Run, capsys: Printed) -> None:
    assert main(["export", str(copied_run.path), "--format", format]) == 0
    assert {path.name for path in (copied_run.path / "export").iterdir()} == names
    assert str(copied_run.path / "export") in capsys.readouterr().out


def test_what_is_written_makes_the_same_images(tiny_run: Run, tmp_path: Path) -> None:
    path, _ = export.export(tiny_run.path, "safetensors", out=tmp_path / "new" / "mine")
    again, _ = export.export(path / "generator.safetensors", "safetensors", out=tmp_path / "again")
    first, *others = (sparring.load(p).sample(9, seed=1) for p in (tiny_run.path, path / "generator.safetensors",
                                                                   again / "generator.safetensors"))  # fmt: skip
    for other in others:
        np.testing.assert_array_equal(first, other)


def test_the_card_says_what_is_known_and_its_lines_load_it(
    copied_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export.export(copied_run.path, "safetensors", out=tmp_path, licence="cc-by-4.0")
    card = (tmp_path / "README.md").read_text()
    checksum = copied_run.environment()["data"]["checksum"]
    for words in ("license: cc-by-4.0", "# mlp-256 on digits", "30 steps", "200 images", checksum[:12], "28 x 28",
                  "Not measured yet"):  # fmt: skip
        assert words in card
    for name in ("README.md", "generator.json"):
        assert str(Path(copied_run.recipe().data).parent) not in (tmp_path / name).read_text()
    code = card[card.index("```python\n") + 10 : card.rindex("```")]
    assert 4 <= len([line for line in code.splitlines() if line]) <= 5
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert Path("samples.png").is_file()


def test_measured_scores_are_on_the_card_while_they_hold(
    tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "choose_extractor", lambda images, onnx, tell: shipped_classifier("mnist"))
    recipe = tiny_recipe.replace(validation=0.4, steps=4, batch_size=10)
    run = training.train(recipe, out=tmp_path / "run", reporter=Silence())
    measuring.measure(run.path, count=20)
    cards = [tmp_path / "measured", tmp_path / "trained on"]
    export.export(run.path, "safetensors", out=cards[0])
    training.train(recipe, out=run.path, steps=6, reporter=Silence())
    export.export(run.path, "safetensors", out=cards[1])
    texts = [(card / "README.md").read_text() for card in cards]
    assert ["| precision |" in text for text in texts] == [True, False]
    assert not any(str(Path(recipe.data).parent) in text for text in texts)


@pytest.mark.parametrize(("words", "sentence"), [
    (["nowhere", "--format", "html"], "nowhere is no run"),
    (["nowhere"], "--format"),
    (["nowhere", "--format", "pdf"], "pdf"),
])  # fmt: skip
def test_mistakes_are_one_sentence(words: list[str], sentence: str, capsys: Printed) -> None:
    assert main(["export", *words]) == 2
    assert sentence in capsys.readouterr().err


def test_onnx_without_its_package_is_one_sentence(
    copied_run: Run, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["export", str(copied_run.path), "--format", "onnx"]) == 2
    assert "pip install 'sparring[onnx]'" in capsys.readouterr().err
    assert not (copied_run.path / "export" / "generator.onnx").exists()
