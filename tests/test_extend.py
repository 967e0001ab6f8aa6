"""HOW TO ADD SOMETHING: the patches of docs/extend.md fit the code, are short, and work."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "extend.md").read_text()
PATCHES = dict(zip(re.findall(r"^## (.*)$", TEXT, re.M), re.findall(r"```diff\n(.*?)```", TEXT, re.S), strict=True))


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with all four."""
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(ROOT / "sparring", folder / "sparring", ignore=shutil.ignore_patterns("__pycache__"))
    for patch in PATCHES.values():
        subprocess.run(["git", "apply", "-"], input=patch, text=True, cwd=folder, check=True)
    return folder


def run(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "sparring.cli.main", *words]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    ended = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("title", PATCHES)
def test_each_is_short(title: str) -> None:
    added = [line for line in PATCHES[title].splitlines() if line.startswith("+") and not line.startswith("+++")]
    assert 4 < len(added) < 40


def test_there_are_four() -> None:
    assert list(PATCHES) == ["A recipe", "A loss", "An architecture", "A data source"]


@pytest.mark.ci
def test_a_recipe_a_loss_an_architecture_and_a_data_source(extended: Path, digits: Path) -> None:
    assert "soft" in run(extended, "recipes")
    rows = np.random.default_rng(0).integers(0, 256, (60, 1 + 3 * 32 * 32), np.uint8)
    rows[:, 0] %= 10
    rows.tofile(extended / "batch.bin")
    options = ["--data", "batch.bin", "--steps", "3", "--batch-size", "8", "--validation", "0"]
    code = (
        "import sys, sparring\nfrom sparring.recipes.parts import WavesGenerator\n"
        "settings = dict(generator=WavesGenerator(waves=3), data='batch.bin', steps=3, batch_size=8)\n"
        "run = sparring.train('mlp-256', validation=0.0, out='waves', **settings)\n"
        "print(sparring.load(run.path).sample(2).shape)"
    )
    environment = os.environ | {"PYTHONPATH": str(extended)}
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=extended, env=environment, check=False
    )
    assert made.returncode == 0, made.stderr
    assert "(2, 32, 32, 3)" in made.stdout
    assert "finished" in run(extended, "train", "soft", *options, "--out", "soft")
