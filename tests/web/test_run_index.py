"""The run index: all runs in the folder are found, and nothing outside of it."""

import shutil
from pathlib import Path

import pytest

from sparring.runs.run import Run
from sparring.web import run_index
from sparring.web.run_index import RunIndex, run_id


@pytest.fixture(autouse=True)
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_index, "FRESH_SECONDS", -1.0)


def made_run(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "recipe.json").write_text("{}")
    return path


def names(made: RunIndex) -> list[str]:
    return [made.name(run) for run in made.runs().values()]


def test_runs_are_found_at_every_depth_but_not_within_runs(tmp_path: Path) -> None:
    for name in ("a", "sweeps/rates/trial-0000", "replicas/seed-0", "a/inside", ".hidden/run", "one/two/three/four"):
        made_run(tmp_path / name)
    assert names(RunIndex(tmp_path)) == ["a", "replicas/seed-0", "sweeps/rates/trial-0000"]


def test_a_folder_that_is_a_run_is_the_only_one(tmp_path: Path) -> None:
    made = RunIndex(made_run(tmp_path / "only"))
    assert names(made) == ["only"]
    (key,) = made.runs()
    assert made.find(key) == Run(tmp_path / "only")


def test_what_lies_behind_a_link_is_not_shown(tmp_path: Path) -> None:
    made_run(tmp_path / "elsewhere" / "secret")
    watched = tmp_path / "watched"
    made_run(watched / "open")
    (watched / "link").symlink_to(tmp_path / "elsewhere" / "secret")
    (watched / "links").symlink_to(tmp_path / "elsewhere")
    assert names(RunIndex(watched)) == ["open"]


def test_runs_come_and_go(tmp_path: Path) -> None:
    made = RunIndex(tmp_path)
    assert made.runs() == {}
    run = made_run(tmp_path / "new")
    (key,) = made.runs()
    shutil.rmtree(run)
    assert made.find(key) is None and made.runs() == {}
    made_run(run)
    assert made.find(key) == Run(run), "the same place keeps its id"


def test_a_run_that_vanished_since_the_last_look_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, made = made_run(tmp_path / "run"), RunIndex(tmp_path)
    (key,) = made.runs()
    monkeypatch.setattr(run_index, "FRESH_SECONDS", 1e9)
    shutil.rmtree(run)
    assert made.find(key) is None


@pytest.mark.parametrize("wanted", ["", "..", "../run", "run", "0" * 16, "%2e%2e"])
def test_a_path_is_not_an_id(wanted: str, tmp_path: Path) -> None:
    made_run(tmp_path / "run")
    assert RunIndex(tmp_path).find(wanted) is None


def test_a_folder_without_an_end_is_not_searched_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_index, "MAX_FOLDERS", 5)
    for i in range(10):
        (tmp_path / f"empty-{i}").mkdir()
    made_run(tmp_path / "zz")
    assert names(RunIndex(tmp_path)) == []
    monkeypatch.setattr(run_index, "MAX_FOLDERS", 100)
    assert names(RunIndex(tmp_path)) == ["zz"]


def test_a_folder_that_is_not_there_has_no_runs(tmp_path: Path) -> None:
    assert RunIndex(tmp_path / "missing").runs() == {}


def test_a_folder_that_may_not_be_read_hides_no_other(
    tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`Path.is_file` raises without permission for the parent folder."""
    for name in ("a", "b"):
        shutil.copytree(tiny_run.path, tmp_path / name)
    is_file = Path.is_file

    def refused(path: Path) -> bool:
        if path.parent.name == "a":
            raise PermissionError
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refused)
    assert list(RunIndex(tmp_path).runs()) == [run_id("b")]
