"""Every command and every line of Python in the README works, on few digits and cut short."""

import dataclasses
import re
import shlex
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from sparring import data
from sparring.cli.main import main
from sparring.evaluation import rejection_sampling
from sparring.evaluation.features import shipped_classifier
from sparring.images import save_images
from sparring.recipes import RECIPES
from sparring.reports import measure as measuring
from sparring.training import benchmark as speed
from sparring.web import server

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def shell(text: str) -> list[str]:
    """The blocks of shell in a text."""
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


SHELL = shell(README)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def commands(block: str) -> list[list[str]]:
    """The commands of a block of shell as words, without their comments."""
    return [shlex.split(line, comments=True) for line in block.splitlines() if line.strip()]


@pytest.fixture
def elsewhere(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; both named data sets are the few digits of the tests."""
    monkeypatch.chdir(tmp_path)
    load = data.load
    judge = shipped_classifier("mnist")
    monkeypatch.setattr(data, "load", lambda source, split="train", *_, **__: load(str(digits), split))
    monkeypatch.setattr(measuring, "choose_extractor", lambda images, onnx, tell: judge)
    monkeypatch.setattr(speed, "measure", partial(speed.measure, rounds=1, seconds=0.01, images=100))
    return tmp_path


def test_the_first_screen_has_the_two_commands() -> None:
    first, second = commands(SHELL[0]), commands(SHELL[1])
    assert first == [["pip", "install", ".[all]", "&&", "sparring", "train"]]
    assert second == [["pip", "install", "-e", ".[all,dev,parity]", "&&", "pytest", "-n", "2"]]
    assert README[: README.index(SHELL[1])].count("\n") < 25


@pytest.mark.ci
def test_the_commands(elsewhere: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    served = list[Path]()
    monkeypatch.setattr(server, "serve", lambda folder, **_: served.append(folder))  # else it goes on until Ctrl-C
    used = commands(SHELL[2])
    assert len(used) >= 8
    for program, *words in used:
        assert program == "sparring"
        short = ["--steps", "4", "--grid-every", "2"] if words[0] in ("train", "sweep") else []
        short += ["--validation", "0.4"] if words[0] == "sweep" else []  # of so few digits
        assert main([*words, *short]) == 0, capsys.readouterr().err
    assert {path.name for path in (elsewhere / "runs").iterdir()} == {"first", "second"}
    assert {"grid.png", "contact-sheet.png"} <= {path.name for path in elsewhere.iterdir()}
    assert (elsewhere / "runs" / "first" / "report.html").is_file()
    assert served == [Path("runs")]


@pytest.mark.ci
def test_the_commands_for_classes(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_sum = dataclasses.replace(
        shipped_classifier("mnist"),
        apply=lambda images: (images[:, 0, 0], np.eye(10)[images.astype(int).sum(axis=(1, 2, 3)) % 10]),
    )
    monkeypatch.setattr(rejection_sampling, "choose_extractor", lambda images, onnx, tell: by_sum)
    used = commands(shell((ROOT / "docs" / "classes.md").read_text())[0])
    assert [words[1] for words in used] == ["train", "sample", "sample", "sample", "train", "sample"]
    for _, *words in used:
        assert main([*words, *(["--steps", "2", "--grid-every", "2"] if words[0] == "train" else [])]) == 0
    assert {path.name: len(list(path.iterdir())) for path in Path("made").iterdir()} == {"3": 50, "7": 100}


def test_the_commands_for_pictures_of_your_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_images(Path("pictures"), np.random.default_rng(0).integers(0, 256, (40, 9, 12, 3), dtype=np.uint8), 8)
    check, train = commands(shell((ROOT / "docs" / "pictures.md").read_text())[0])
    assert main(check[1:]) == 0
    assert main([*train[1:], "--steps", "2", "--grid-every", "2"]) == 0
    assert Path("contact-sheet.png").is_file()
    assert Path("runs/own/generator.safetensors").is_file()


def test_the_python(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = PYTHON
    assert code.count("steps=2000") == 1
    names: dict[str, object] = {}
    exec(compile(code.replace("steps=2000", "steps=4"), "README.md", "exec"), names)
    images = names["images"]
    assert getattr(images, "shape", None) == (64, 28, 28, 1)
    assert float(capsys.readouterr().out.splitlines()[-1]) > 1


def test_every_recipe_is_described() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text()
    for name in RECIPES:
        assert f"| `{name}` |" in text


def test_it_is_short_and_leads_to_every_document() -> None:
    assert README.count("\n") <= 160
    for path in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{path.name})" in README or path.name == "faults.md"
