"""NO FOREIGN CODE: no command imports a module from the current folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from planted import plant

from sparring.runs.run import Run
from sparring.system import isolation

PROGRAM = shutil.which("sparring", path=str(Path(sys.executable).parent))
installed = pytest.mark.skipif(PROGRAM is None, reason="the command is not installed beside this Python")
MODULE = [sys.executable, "-m", "sparring"]
SECONDS = 300


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


@pytest.fixture
def here(tmp_path: Path, canary: Path) -> Path:
    """The current folder of somebody who was sent modules of all names, the package's own among them."""
    folder = tmp_path / "here"
    assert {"jax", "uvicorn", "numpy", "json", "sparring"} < plant(folder, canary)
    return folder


def run(folder: Path, *command: str, **environment: str) -> str:
    """What a command prints in that folder."""
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_canary_is_heard(here: Path, canary: Path) -> None:
    run(here, sys.executable, "-c", "import uvicorn, jax_plugins.planted")
    assert canary.read_text().split() == ["uvicorn", "jax_plugins", "jax_plugins.planted"]


@installed
def test_the_page_beside_a_training_runs_nothing_from_here(here: Path, canary: Path, digits: Path) -> None:
    assert PROGRAM is not None
    small = "--steps 2 --batch-size 10 --validation 0 --generator.hidden 8 --discriminator.hidden 8 --judge-every 0"
    words = ["train", "mlp-256", "--watch", *small.split(), "--data", str(digits), "--out", "run"]
    said = run(here, PROGRAM, *words)
    assert "http://127.0.0.1:" in said and Run(here / "run").ended() == "finished"
    assert not canary.exists()


def test_the_module_runs_nothing_from_here(tiny_run: Run, tmp_path: Path, canary: Path) -> None:
    plant(tmp_path / "here", canary, leave_out={"sparring"})  # Python itself looks for that one here
    assert "64 images" in run(tmp_path / "here", *MODULE, "sample", str(tiny_run.path))
    assert not canary.exists()


@installed
def test_an_entry_of_pythonpath_that_is_not_absolute_leads_nowhere(tiny_run: Run, tmp_path: Path, canary: Path) -> None:
    assert PROGRAM is not None
    before_us = {"sparring", "sitecustomize", "usercustomize", "_distutils_hack"}  # Python's own start looks for these
    plant(tmp_path / "here", canary, leave_out=before_us | sys.stdlib_module_names)
    assert "64 images" in run(tmp_path / "here", PROGRAM, "sample", str(tiny_run.path), PYTHONPATH=":./../here:nothing")
    assert not canary.exists()


def test_what_is_named_by_an_absolute_path_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), "", ".", "lib", "/else/where"]))
    monkeypatch.setattr(
        sys, "path", ["/script", str(tmp_path), str(tmp_path / "lib"), "/else/where", "", "/site", "hook"]
    )
    isolation.leave_current_folder()
    assert sys.path[:4] == [str(tmp_path), "/else/where", "/site", "hook"]
    assert isolation.environment()["PYTHONPATH"] == os.pathsep.join([str(tmp_path), "/else/where"])
    monkeypatch.setenv("PYTHONPATH", ":")
    assert "PYTHONPATH" not in isolation.environment()


def test_the_folder_of_the_package_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    home = str(Path(isolation.__file__).parents[2])
    monkeypatch.setattr(sys, "path", [home, "/site"])
    isolation.leave_current_folder()
    assert sys.path == ["/site", home]


@installed
@pytest.mark.ci
def test_no_command_runs_anything_from_here(here: Path, canary: Path, tiny_run: Run, digits: Path) -> None:
    assert PROGRAM is not None
    shutil.copytree(tiny_run.path, here / "run")
    shutil.copy(digits / "train-images-idx3-ubyte", here / "unlabelled")  # no classifier of labels is to be trained
    small = ["--batch-size", "10", "--validation", "0.3", "--data", "unlabelled", "--grid-rows", "2", "--steps", "4"]
    for words in (
        ["--help"],
        ["recipes"],
        ["data", "check", str(digits)],
        ["train", "mlp-256", *small, "--out", "new"],
        ["train", "mlp-256", *small, "--replicas", "2", "--out", "replicas"],
        ["sweep", "mlp-256", *small, "--seed", "0,1", "--out", "sweep"],
        ["sample", "run"],
        ["export", "run", "--format", "onnx"],
        ["animate", "run"],
        ["measure", "new"],
        ["compare", "new", "replicas/seed-0"],
    ):
        done = subprocess.run([PROGRAM, *words], cwd=here, capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0 and not canary.exists(), (words, done.stderr)
        assert "Traceback" not in done.stderr
