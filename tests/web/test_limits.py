"""Untrusted runs: no file of a run makes the page wait or fill the memory."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sparring.files import checksummed
from sparring.files.untrusted import open_plain
from sparring.runs.run import Run
from sparring.web import tail, view
from sparring.web.limits import check_metadata, check_run
from sparring.web.reader import RunReader
from sparring.web.tail import Tail


def huge(path: Path) -> None:
    """Make a sparse file of 30 GB."""
    os.truncate(path, 30 << 30)


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [huge, pipe, endless])
def test_what_is_not_plain_is_not_opened(make: Callable[[Path], None], copied_run: Run) -> None:
    check_run(copied_run)
    make(copied_run.checkpoints / "00000030" / "state.safetensors")
    check_metadata(copied_run)
    with pytest.raises(OSError):
        check_run(copied_run)
    make(copied_run.recipe_file)
    with pytest.raises(OSError):
        check_metadata(copied_run)
    with pytest.raises(OSError):
        open_plain(copied_run.recipe_file, 1000)


def test_a_run_with_a_recipe_of_30_gigabytes_hides_no_other(copied_run: Run, tmp_path: Path) -> None:
    shutil.copytree(copied_run.path, tmp_path / "runs" / "good")
    odd = Run(Path(shutil.copytree(copied_run.path, tmp_path / "runs" / "odd")))
    huge(odd.recipe_file)
    cards = json.loads(RunReader(tmp_path / "runs").read_list())["runs"]
    assert {card["name"]: card["words"] for card in cards} == {"good": "", "odd": "its files cannot be read"}


def test_lone_surrogates_are_encoded_as_json(copied_run: Run) -> None:
    about = json.loads(copied_run.environment_file.read_text())
    about = {name: value for name, value in about.items() if name not in ("sealed", "sha256")}
    about["data"]["name"] = "\ud800\x1b[31m<script>"
    copied_run.environment_file.write_text(json.dumps(about))
    told = json.loads(RunReader(copied_run.path).read_list())["runs"]
    assert told[0]["data"] == "\ud800\x1b[31m<script>"


def test_a_line_without_an_end_is_passed_over(copied_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "MAX_READ_BYTES", 1000)
    copied_run.events_file.write_bytes(b"x" * 2500 + b'\n{"event": "log", "step": 3}\n')
    made = Tail(copied_run.events_file)
    assert [event["step"] for _ in range(3) for event in made.read()][-1:] == [3]
    monkeypatch.setattr(tail, "MAX_FILE_BYTES", 2600)
    copied_run.add_event("log", 4)
    assert [event["step"] for event in made.read()] == [3]


def test_the_balance_of_very_many_classes_is_not_drawn(copied_run: Run) -> None:
    about = checksummed.read(copied_run.environment_file)
    classes = {f"c{i}": 1 for i in range(200_000)}
    checksummed.write(copied_run.environment_file, about | {"data": about["data"] | {"classes": classes}})
    copied_run.environment_file.with_suffix(".copy.json").unlink()
    copied_run.add_event("judged", 30, histogram=[1] * 200_000)
    assert view.details("name", "key", copied_run, Tail(copied_run.events_file).read())["classes"] is None
