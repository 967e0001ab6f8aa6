"""READ-ONLY RUNS: results are printed first, and then what could not be written."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparring.cli import main as cli
from sparring.errors import DamageWarning
from sparring.evaluation.features import shipped_classifier
from sparring.recipes.recipe import Recipe
from sparring.reports import measure as measuring
from sparring.runs.run import Run
from sparring.training import train as training
from sparring.training.reporter import Silence

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def trained(tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with validation images to be judged by."""
    recipe = tiny_recipe.replace(validation=0.3, steps=10)
    return training.train(recipe, out=tmp_path_factory.mktemp("trained") / "run", reporter=Silence())


@pytest.fixture
def read_only(trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder: on a file system that cannot be written to, with two runs; only root can make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk], capture_output=True).returncode != 0:
        pytest.skip("a file system cannot be mounted here")
    for name in ("a", "b"):
        shutil.copytree(trained.path, disk / name)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    monkeypatch.chdir(disk)
    judge = shipped_classifier("mnist")  # to train one of their own takes its time
    monkeypatch.setattr(measuring, "choose_extractor", lambda images, onnx, tell: judge)
    yield disk
    monkeypatch.undo()
    subprocess.run(["umount", "-l", disk], check=True)


def check_said(capture: Capture, *names: str) -> str:
    """One line for each name says that it cannot be written, and why; what was printed besides."""
    out, err = capture.readouterr()
    lines = err.strip().splitlines()
    assert len(lines) == len(names), err
    for line, name in zip(lines, names, strict=True):
        assert name in line and "Read-only file system" in line and "free" not in line
    return out


def test_measure_and_compare_print_first(read_only: Path, capsys: Capture) -> None:
    assert cli.main(["measure", "a", "--count", "60"]) == 2
    out = check_said(capsys, "measures.json")
    assert "fréchet distance" in out.lower() or "frechet" in out.lower()
    assert "the report:" not in out
    assert cli.main(["measure", "a", "--count", "60", "--json"]) == 2
    assert json.loads(check_said(capsys, "measures.json"))["measures"]
    assert cli.main(["compare", "a", "b"]) == 0
    assert "a" in check_said(capsys, "measures.json", "measures.json")


def test_from_python_the_verdict_is_returned(read_only: Path) -> None:
    with pytest.warns(DamageWarning, match=r"could not be written: .*measures.json.*Read-only"):
        assert measuring.measure("a", count=60).measures


def test_what_cannot_be_written_is_one_sentence(read_only: Path, digits: Path, capsys: Capture) -> None:
    for words, name in (
        (["sample", "a"], "grid.png"),
        (["animate", "a"], "training.gif"),
        (["export", "a", "--format", "safetensors"], "export"),
    ):
        assert cli.main(words) == 2
        check_said(capsys, name)
    assert cli.main(["data", "check", str(digits)]) == 2
    out = check_said(capsys, "contact-sheet.png")
    assert "200 images" in out and "sparring train" in out
    assert cli.main(["train", "--resume", "a"]) == 2
    check_said(capsys, "lock")
