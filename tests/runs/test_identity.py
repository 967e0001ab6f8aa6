"""IDENTITY: files of another run or place are named and skipped; contradictions stop."""

import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorder import Lines

import sparring
from sparring.cli.main import main
from sparring.errors import CheckpointError, DamageWarning, RunError
from sparring.files import checksummed
from sparring.recipes.digest import digest_of
from sparring.recipes.recipe import Recipe
from sparring.runs import checkpoint
from sparring.runs import generator as sampling
from sparring.runs.identity import new_id
from sparring.runs.run import Run
from sparring.training import train as training
from sparring.training.reporter import Silence


@pytest.fixture(scope="module")
def stopped(tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of 30 steps that has come to 20, with checkpoints of 10 and 20."""
    run = training.train(tiny_recipe, steps=10, out=tmp_path_factory.mktemp("stopped") / "run", reporter=Silence())
    return training.train(tiny_recipe, steps=20, out=run.path, reporter=Silence())


@pytest.fixture(scope="module")
def other(tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of the same shapes, with another seed."""
    return training.train(tiny_recipe, seed=1, out=tmp_path_factory.mktemp("other") / "run", reporter=Silence())


@pytest.fixture
def run(stopped: Run, tmp_path: Path) -> Run:
    """A copy of `stopped` that may be changed."""
    return Run(Path(shutil.copytree(stopped.path, tmp_path / "run")))


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    value = checksummed.read(path)
    edit(value)
    checksummed.write(path, value)


def finish(run: Run) -> list[str]:
    """Go on to the end; what was said."""
    reporter = Lines()
    sparring.resume(run.path, steps=30, reporter=reporter)
    return reporter.lines


def ends_like(run: Run, whole: Run) -> bool:
    return run.generator_weights.read_bytes() == whole.generator_weights.read_bytes()


# ------------------------------------------------------------------------------------------------ what carries the id


def test_everything_of_a_run_carries_its_id_and_no_other_run_has_it(stopped: Run, other: Run) -> None:
    own = stopped.id
    assert own is not None and re.fullmatch("[0-9a-f]{32}", own) and other.id not in (own, None)
    for name in ("recipe", "recipe.copy", "environment", "environment.copy", "generator"):
        assert checksummed.read(stopped.path / f"{name}.json")["run"] == own, name
    for path in checkpoint.all_checkpoints(stopped.checkpoints):
        manifest = checkpoint.read_manifest(path)
        assert (manifest.run, manifest.recipe) == (own, digest_of(stopped.recipe()))
    assert {event["run"] for event in stopped.events()} == {own}
    assert "run" not in stopped.environment()


def test_a_run_that_is_moved_or_goes_on_keeps_its_id(run: Run, stopped: Run, tiny_run: Run) -> None:
    said = finish(run)
    assert run.id == stopped.id and ends_like(run, tiny_run)
    assert not any("skipped" in text or "left out" in text for text in said)


# ------------------------------------------------------------------------------------------------ checkpoints


def test_an_older_checkpoint_under_a_newer_name_is_passed_over(run: Run, tiny_run: Run) -> None:
    shutil.copytree(run.checkpoints / "00000010", run.checkpoints / "00000025")
    shutil.rmtree(run.checkpoints / "00000020")
    shutil.copytree(run.checkpoints / "00000010", run.checkpoints / "00000020")
    said = finish(run)
    assert any("00000025" in text and "of step 10" in text for text in said)
    assert f"resuming {run.path} after step 10" in said and ends_like(run, tiny_run)


def test_another_runs_checkpoint_is_passed_over_and_left_alone(run: Run, other: Run, tiny_run: Run) -> None:
    for name in ("00000020", "00000030"):
        shutil.rmtree(run.checkpoints / name, ignore_errors=True)
        shutil.copytree(other.checkpoints / "00000030", run.checkpoints / name)
    change(run.checkpoints / "00000020" / checkpoint.MANIFEST, lambda manifest: manifest.update(step=20))
    assert np.array_equal(sampling.load(run.path).sample(3), sampling.load(run.path).sample(3))
    reporter = Lines()
    sparring.resume(run.path, steps=25, reporter=reporter)
    assert sum("another run" in text for text in reporter.lines) == 2
    assert checkpoint.read_manifest(run.checkpoints / "00000030").run == other.id, "it may be the only copy"
    finish(run)
    assert ends_like(run, tiny_run)


def test_checkpoints_of_another_recipe_are_none(run: Run) -> None:
    for copy in ("", ".copy"):
        change(run.path / f"recipe{copy}.json", lambda recipe: recipe.update(batch_size=10))
    with pytest.raises(CheckpointError, match="another recipe") as refused:
        finish(run)
    assert "00000010" in str(refused.value) and "00000020" in str(refused.value)


def test_what_may_change_does_not_change_the_digest(tiny_recipe: Recipe) -> None:
    same: tuple[dict[str, Any], ...] = ({"steps": 99}, {"data": "x"}, {"judge_every": 7}, {"r1": 0}, {"latent_std": 1})
    for changes in same:
        assert digest_of(tiny_recipe.replace(**changes)) == digest_of(tiny_recipe), changes
    others: tuple[dict[str, Any], ...] = ({"seed": 5}, {"r1": 1.0}, {"generator.hidden": (9,)}, {"conditional": True})
    for changes in others:
        assert digest_of(tiny_recipe.replace(**changes)) != digest_of(tiny_recipe), changes


# ------------------------------------------------------------------------------------------------ generator, events


def test_another_runs_generator_gives_way_to_the_checkpoint(run: Run, other: Run) -> None:
    expected = sampling.load(run.path).sample(3)
    for path in (run.generator_weights, run.generator_description):
        shutil.copy(other.path / path.name, path)
    with pytest.warns(DamageWarning, match=r"generator\.json belongs to another run; the newest checkpoint"):
        assert np.array_equal(sampling.load(run.path).sample(3), expected)


def test_a_finished_run_names_another_runs_generator_and_writes_its_own_again(copied_run: Run, other: Run) -> None:
    own = copied_run.generator_weights.read_bytes(), copied_run.generator_description.read_bytes()
    for path in (copied_run.generator_weights, copied_run.generator_description):
        shutil.copy(other.path / path.name, path)
    (line,) = [text for text in finish(copied_run) if "another run" in text]
    assert f"{copied_run.generator_description} belongs to another run" in line and "move both away" in line
    assert copied_run.generator_weights.read_bytes() == other.generator_weights.read_bytes()
    for path in (copied_run.generator_weights, copied_run.generator_description):
        path.unlink()
    assert any(f"{copied_run.generator_weights} was missing" in text for text in finish(copied_run))
    assert (copied_run.generator_weights.read_bytes(), copied_run.generator_description.read_bytes()) == own
    assert len(finish(copied_run)) == 1


def test_another_runs_events_are_left_out_and_finish_nothing(run: Run, other: Run, tiny_run: Run) -> None:
    shutil.copy(other.events_file, run.events_file)
    assert list(run.events()) == [] and run.ended() is None
    lines = len(other.events_file.read_text().splitlines())
    assert any(f"{lines} lines belong to another run" in damage for damage in run.damages())
    assert any("belong to another run" in text for text in finish(run)) and ends_like(run, tiny_run)


# ------------------------------------------------------------------------------------------------ recipe, environment


@pytest.mark.parametrize("name", ["recipe.json", "recipe.copy.json"])
@pytest.mark.parametrize("command", [["sample"], ["train", "--resume"], ["export", "--format", "html"], ["measure"]])
def test_a_recipe_that_differs_from_its_copy_stops(
    command: list[str], name: str, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.path.parent)
    change(run.path / name, lambda recipe: recipe["generator_optimizer"].update(learning_rate=0.5))
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    assert main([*command, str(run.path)]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "generator_optimizer.learning_rate" in said and "0.5" in said and "0.0003" in said
    right = "recipe.json" if name == "recipe.copy.json" else "recipe.copy.json"
    assert f"was trained with {right}" in said and "copy the right one" in said
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


def test_a_kill_between_the_two_writings_of_more_steps_is_no_difference(run: Run, tiny_run: Run) -> None:
    change(run.path / "recipe.copy.json", lambda recipe: recipe.update(steps=99, data="moved"))
    finish(run)
    assert ends_like(run, tiny_run)


def test_an_environment_that_differs_from_its_copy_stops(run: Run) -> None:
    change(run.environment_file, lambda environment: environment["data"].update(checksum="0" * 64))
    with pytest.raises(RunError, match=r"environment\.copy\.json differ.*data\.checksum"):
        finish(run)


@pytest.mark.parametrize("kind", ["recipe", "environment"])
@pytest.mark.parametrize("twice", [False, True])
def test_files_of_two_runs_are_not_one_run(kind: str, twice: bool, run: Run, other: Run) -> None:
    for name in (f"{kind}.json", f"{kind}.copy.json") if twice else (f"{kind}.json",):
        shutil.copy(other.path / name, run.path / name)
    with pytest.raises(RunError, match=kind):
        finish(run)
    with pytest.raises(RunError, match=kind):
        list(run.events())


# ------------------------------------------------------------------------------------------------ older runs


def test_an_older_run_has_no_id_and_what_it_leaves_has_none(run: Run, tiny_run: Run) -> None:
    def without_id(value: dict[str, Any]) -> None:
        value.pop("run")
        value.pop("recipe", None) if "format" in value else None

    events = [{name: value for name, value in event.items() if name != "run"} for event in run.events()]
    for path in run.path.rglob("*.json"):
        change(path, without_id)
    run.events_file.write_text("".join(map(checksummed.line, events)))
    finish(run)
    assert run.id is None and ends_like(run, tiny_run) and not list(run.damages())
    assert checkpoint.read_manifest(checkpoint.all_checkpoints(run.checkpoints)[-1]).run is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampling.load(run.path)


def test_ids_are_random() -> None:
    assert len({new_id() for _ in range(1000)}) == 1000
