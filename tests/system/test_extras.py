"""A missing optional package: one sentence says how to install it, before long work begins."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sparring import export
from sparring.cli.main import main
from sparring.errors import MissingExtra
from sparring.recipes.recipe import Recipe
from sparring.runs.run import Run
from sparring.sweeps import study as sweeping
from sparring.system import extras
from sparring.training import replicas
from sparring.training import train as training
from sparring.web import server

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]

COMMANDS = {
    "starlette": ["watch {folder}", "train --watch --data {digits} --out {folder}/new"],
    "uvicorn": ["watch {folder}", "train --watch --data {digits} --out {folder}/new"],
    "plotly": ["watch {folder}", "train --watch --data {digits} --out {folder}/new"],
    "tensorboardX": [
        "train --tensorboard --data {missing} --out {folder}/new",
        "train --replicas 2 --tensorboard --data {missing} --out {folder}/new",
        "sweep --seed 0,1 --tensorboard --data {missing} --out {folder}/new",
    ],
    "optuna": ["sweep --seed 0,1 --data {missing} --out {folder}/new"],
    "onnx": ["export {missing} --format onnx"],
    "onnxruntime": ["export {missing} --format onnx", "measure {missing} --extractor network.onnx"],
}
"""The commands that need each package. The data and the run are missing too, but are checked later."""


@pytest.mark.parametrize(("package", "command"), [(name, one) for name, some in COMMANDS.items() for one in some])
def test_a_command_names_the_missing_package(
    package: str,
    command: str,
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    extra = next(extra for extra, names in extras.PACKAGES.items() if package in names)
    assert main(command.format(folder=tmp_path, digits=digits, missing=tmp_path / "none").split()) == 2
    error = capsys.readouterr().err
    assert f"the package {package}" in error and f"pip install 'sparring[{extra}]'" in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_functions_raise_the_same(
    tiny_recipe: Recipe, tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for names in extras.PACKAGES.values():
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)
    for call in (
        lambda: training.train(tiny_recipe, out=tmp_path / "run", tensorboard=True),
        lambda: replicas.train_replicas(2, tiny_recipe, out=tmp_path / "run", tensorboard=True),
        lambda: sweeping.sweep(tiny_recipe, {"seed": [0, 1]}, out=tmp_path / "run"),
        lambda: export.export(tiny_run.path, "onnx", out=tmp_path / "run"),
        lambda: server.serve(tmp_path),
    ):
        with pytest.raises(MissingExtra, match="pip install"):
            call()
    assert list(tmp_path.iterdir()) == []


def test_a_new_process_says_it_too(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['starlette'] = None; from sparring.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", code, "watch", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 2 and "the package starlette" in done.stderr and done.stderr.count("\n") == 1


def test_every_extra_is_known() -> None:
    brought = PROJECT["optional-dependencies"]
    for extra, names in extras.PACKAGES.items():
        assert {requirement.partition(">")[0] for requirement in brought[extra]} == set(names)
    assert {"all", "dev", "parity", "sample"} >= set(brought) - set(extras.PACKAGES)
