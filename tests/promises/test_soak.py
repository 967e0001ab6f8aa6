"""A LONG RUN takes no more at its end than soon after its start: grids and events are thinned by a stated rule."""

from pathlib import Path

import pytest
import soak

import sparring
from sparring.recipes.recipe import Recipe
from sparring.runs.run import Run
from sparring.training import plan
from sparring.training.plan import Plan
from sparring.training.reporter import Silence


def test_however_far_it_goes_no_more_are_kept_than_the_rule_says() -> None:
    made = Plan(steps=10**9, grid_every=7, log_every=3, judge_every=0, shuffle_every=None)
    for step in (1, 7, 400 * 7, 400 * 7 + 7, 10**5, 10**9):
        spacing = made.grid_spacing(step)
        assert spacing % 7 == 0 and step // spacing <= plan.MOST_GRIDS
        assert spacing == 7 or step // (spacing // 2) > plan.MOST_GRIDS / 2
    assert made.log_spacing(3 * plan.MOST_LOGGED) == 3 and made.log_spacing(3 * plan.MOST_LOGGED + 3) == 6


def test_grids_and_events_are_thinned_alike_whether_it_was_stopped_or_not(
    tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "MOST_GRIDS", 4)
    monkeypatch.setattr(plan, "MOST_LOGGED", 6)
    recipe = tiny_recipe.replace(steps=100, grid_every=10, log_every=5)
    whole = sparring.train(recipe, out=tmp_path / "whole", reporter=Silence(), checkpoint_seconds=0)
    sparring.train(recipe.replace(steps=45), out=tmp_path / "run", reporter=Silence())
    run = sparring.resume(tmp_path / "run", steps=100, reporter=Silence())
    for one in (whole, run):
        assert [step for step, _ in one.all_grids()] == [0, 40, 80, 100]

    def logged(run: Run) -> list[int]:
        return [event["step"] for event in run.events() if event["event"] == "log"]

    assert logged(run) == logged(whole) and len(logged(whole)) <= plan.MOST_LOGGED + 1
    assert run.generator_weights.read_bytes() == whole.generator_weights.read_bytes()


@pytest.mark.long
def test_for_half_an_hour_nothing_grows(tmp_path: Path) -> None:
    assert soak.growing(soak.soak(Run(tmp_path / "run"), "mlp-256", minutes=30, looks=60)) == []


def test_what_grows_is_named() -> None:
    seen = [soak.Taken(i, i, memory_mb=100 + i, handles=5, threads=9, folder_mb=3, files=4) for i in range(40)]
    assert soak.growing(seen) == ["memory_mb, from 119 to 139"]
    assert soak.growing([one._replace(memory_mb=100) for one in seen]) == []
