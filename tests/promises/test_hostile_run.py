"""A HOSTILE RUN from elsewhere: no other file is touched, no command blocks, and no code in it runs."""

import io
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sparring
from sparring.cli.main import main
from sparring.errors import RunError
from sparring.export import export
from sparring.files import checksummed
from sparring.files.untrusted import LARGEST_JSON
from sparring.images import save_images
from sparring.reports.plots import write_plots
from sparring.runs import generator as sampling
from sparring.runs.run import Run
from sparring.training.live import Plain
from sparring.training.reporter import Silence


def change(path: Path, **values: Any) -> None:
    checksummed.write(path, checksummed.read(path) | values)


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A folder of somebody's own with names such as ours."""
    folder = tmp_path / "precious"
    for name in ("00000001", ".partial-1-x"):
        (folder / name).mkdir(parents=True)
        (folder / name / "thesis.tex").write_text("years of work")
    (folder / "README.md").write_text("mine")
    return folder


def kept(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["checkpoints", "best", "grids", "tensorboard"])
def test_nothing_is_written_or_removed_behind_a_link(name: str, precious: Path, copied_run: Run) -> None:
    before = kept(precious)
    shutil.rmtree(copied_run.path / name, ignore_errors=True)
    (copied_run.path / name).symlink_to(precious)
    with pytest.raises(RunError, match=f"{name} is a symlink"):
        sparring.resume(copied_run.path, steps=40, reporter=Silence())
    assert kept(precious) == before


def test_a_folder_with_other_files_is_no_checkpoint(precious: Path, copied_run: Run) -> None:
    shutil.copytree(precious / "00000001", copied_run.checkpoints / "00000001")
    sparring.resume(copied_run.path, steps=40, reporter=Silence(), checkpoint_seconds=0)
    assert (copied_run.checkpoints / "00000001" / "thesis.tex").read_text() == "years of work"


def test_no_export_is_written_behind_a_link(precious: Path, copied_run: Run) -> None:
    before = kept(precious)
    (copied_run.path / "export").symlink_to(precious)
    with pytest.raises(RunError, match="export is a symlink"):
        export(copied_run.path, "safetensors")
    assert kept(precious) == before


def bomb() -> bytes:
    content = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(content, "PNG")
    return content.getvalue()


def postscript() -> bytes:
    return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) (w) file\n"


@pytest.mark.parametrize("make", [bomb, postscript])
def test_a_grid_that_is_none_of_ours_is_not_opened(
    make: Any, copied_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*given: object, **named: object) -> None:
        raise AssertionError("Ghostscript was looked for")

    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", never)
    copied_run.grid(10).write_bytes(make())
    assert main(["animate", str(copied_run.path), "--out", str(tmp_path / "made.gif")]) == 0  # of the other grids
    assert f"{copied_run.grid(10)} was changed since it was written" in (said := capsys.readouterr().err)
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["grids/00000010.png", "generator.safetensors", "recipe.json", "events.jsonl"])
@pytest.mark.parametrize("kind", ["pipe", "endless"])
def test_nothing_is_waited_for(
    kind: str, name: str, copied_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(copied_run.checkpoints)
    path = copied_run.path / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    for words in (["sample", str(copied_run.path)], ["animate", str(copied_run.path)]):
        main([*words, "--out", str(tmp_path / ("made.png" if words[0] == "sample" else "made.gif"))])
        assert capsys.readouterr().err.count("\n") <= 1


def test_a_file_larger_than_the_memory_is_not_read(copied_run: Run) -> None:
    with copied_run.recipe_file.open("wb") as file:
        file.truncate(LARGEST_JSON + 1)
    copied_run.recipe_file.with_suffix(".copy.json").unlink()
    with pytest.raises(RunError, match="too large"):
        copied_run.recipe()


def test_what_a_terminal_obeys_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    Plain(Console()).print("a \x1b]0;pwned\x07 name\nand another")
    assert capsys.readouterr().out == "a \\x1b]0;pwned\\x07 name\\nand another\n"


def test_a_model_card_says_names_without_markup(copied_run: Run, tmp_path: Path) -> None:
    hostile = {"recipe": "<script>\n---\nlicense: mit", "data": "\x1b[31m", "step": 30}
    change(copied_run.generator_description, trained=hostile)
    shutil.rmtree(copied_run.checkpoints)
    target, _ = export(copied_run.generator_weights, "safetensors", out=tmp_path / "card")
    text = (target / "README.md").read_text()
    assert "<script>" not in text and "\x1b" not in text and "\nlicense: mit" not in text


@pytest.mark.parametrize(
    "data", [{"shape": "large"}, {"shape": [1, 2]}, {"shape": None}, {"classes": []}, {"classes": {"a": "many"}}]
)
def test_odd_facts_are_one_sentence(data: dict[str, Any], copied_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    environment = copied_run.environment()
    change(copied_run.environment_file, data=environment["data"] | data)
    copied_run.environment_file.with_suffix(".copy.json").unlink()
    copied_run.generator_weights.unlink()
    assert main(["sample", str(copied_run.path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_odd_names_are_no_steps_and_odd_sizes_no_networks(copied_run: Run) -> None:
    (copied_run.grids / "²³.png").write_bytes(b"")
    assert [step for step, _ in copied_run.all_grids()] == [0, 10, 20, 30]
    (copied_run.checkpoints / "²³").mkdir()
    description = checksummed.read(copied_run.generator_description)
    shutil.rmtree(copied_run.checkpoints)
    for latent in ({"size": 100, "std": float("nan")}, {"size": 100, "std": "wide"}):
        checksummed.write(copied_run.generator_description, description | {"latent": latent})
        with pytest.raises(RunError, match=r"generator\.json is damaged"):
            sampling.load(copied_run.path)
    network = description["network"] | {"sizes": description["network"]["sizes"] | {"hidden": [8] * 3000}}
    checksummed.write(copied_run.generator_description, description | {"network": network})
    with pytest.raises(RunError, match="more than 100 layers"):
        sampling.load(copied_run.path)


def test_names_that_look_like_markup_are_printed_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("[bold]cats", ":dog:"):
        save_images(tmp_path / "images" / name, np.zeros((3, 8, 8, 1), np.uint8), 8)
    main(["data", "check", str(tmp_path / "images"), "--sheet", str(tmp_path / "sheet.png")])
    told = capsys.readouterr().out
    assert "[bold]cats" in told and ":dog:" in told


def test_a_name_that_looks_like_a_formula_spoils_no_plot(copied_run: Run) -> None:
    for path in (copied_run.recipe_file, copied_run.recipe_file.with_suffix(".copy.json")):
        change(path, name=r"$\frac$")
    write_plots(copied_run)
