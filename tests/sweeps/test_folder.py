"""THE SWEEP FOLDER: what a sweep is can be written and read, and only the same one goes on."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from sparring.errors import RecipeError, ResumeError, RunError
from sparring.recipes import named_recipe
from sparring.runs.run_images import place_of
from sparring.sweeps.folder import Setup, SweepFolder, changes
from sparring.sweeps.space import Range

RATE = "generator_optimizer.learning_rate"


@pytest.fixture
def setup() -> Setup:
    return Setup(
        recipe=named_recipe("mlp-256"),
        space={
            "generator.hidden": ((8,), (8, 16)),
            RATE: Range(1e-4, 1e-2),
            "generator.batch_norm_momentum": (None, 0.5),
        },
        trials=2,
        draw_seed=0,
        checksum="c" * 64,
        points=tuple(
            {"generator.hidden": hidden, RATE: rate, "generator.batch_norm_momentum": momentum}
            for hidden, rate, momentum in (((8,), 2e-4, None), ((8, 16), 1e-3, 0.5))
        ),
    )


def test_a_setup_is_read_as_it_was_written(setup: Setup, tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    assert folder.begin(setup) == setup
    assert folder.setup() == setup
    assert folder.setup().recipe_of(1).generator.hidden == (8, 16)  # type: ignore[union-attr]
    assert folder.begin(setup) == setup


def test_images_that_moved_are_the_same_by_their_checksum(
    setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SweepFolder(tmp_path / "sweeps" / "s")
    folder.path.mkdir(parents=True)
    setup = dataclasses.replace(setup, recipe=setup.recipe.replace(data="pics"))
    folder.begin(setup)
    (tmp_path / "pics").mkdir()
    monkeypatch.chdir("/")
    moved = dataclasses.replace(setup, recipe=setup.recipe.replace(data=place_of("pics", folder.path)))
    assert moved.recipe.data == str(tmp_path / "pics")
    assert folder.begin(moved).recipe_of(0).data == moved.recipe.data


def test_other_sweeps_are_refused_and_the_difference_named(setup: Setup, tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    folder.begin(setup)
    others = {
        f"{RATE} was 0.0001:0.01 and is now 0.0001:0.1": {"space": setup.space | {RATE: Range(1e-4, 1e-1)}},
        "seed was 0 and is now 1,2": {"space": setup.space | {"seed": (1, 2)}},
        "generator.hidden was 8,8-16 and is now 8": {"space": setup.space | {"generator.hidden": ((8,),)}},
        "batch_size was 32 and is now 64": {"recipe": setup.recipe.replace(batch_size=64)},
        "steps was 90000 and is now 5": {"recipe": setup.recipe.replace(steps=5)},
        "name was mlp-256 and is now other": {"recipe": dataclasses.replace(setup.recipe, name="other")},
        "the number of trials was 2 and is now 3": {"trials": 3},
        "draw seed was 0 and is now 1": {"draw_seed": 1},
        f"the checksum of the images was {'c' * 12} and is now {'d' * 12}": {"checksum": "d" * 64},
    }
    for words, change in others.items():
        with pytest.raises(ResumeError) as error:
            folder.begin(dataclasses.replace(setup, **change))  # type: ignore[arg-type]
        assert str(error.value) == f"{tmp_path} cannot continue with another setup: {words}"
    same = dataclasses.replace(setup, recipe=setup.recipe.replace(source="elsewhere", judge_every=1))
    assert changes(setup, same) == [], "what changes no trial"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is damaged"),
        ('{"format": 2}', "has a format that this version cannot read"),
        ('{"format": 1, "recipe": {}}', "lacks the setting"),
    ],
)
def test_what_cannot_be_read_is_said(content: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(Exception, match=sentence):
        SweepFolder(tmp_path).setup()


def test_a_setup_that_lacks_something_is_damaged(setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text(json.dumps({k: v for k, v in setup.to_json().items() if k != "points"}))
    with pytest.raises(RunError, match="is damaged"):
        SweepFolder(tmp_path).setup()


@pytest.mark.parametrize(
    "value", [None, 0, -1, 1.5, True, "x", [], {}, [0], {"x": 0}, [[[]]], [{}], [{"seed": 3}], 1e30]
)
@pytest.mark.parametrize("name", ["recipe", "space", "trials", "draw_seed", "checksum", "points"])
def test_a_setup_with_a_value_of_another_kind_is_damaged(name: str, value: Any, setup: Setup, tmp_path: Path) -> None:
    content = setup.to_json()
    if (name, repr(value)) in {("draw_seed", "0"), ("trials", "None"), ("checksum", "'x'")}:
        return
    (tmp_path / "sweep.json").write_text(json.dumps(content | {name: value}))
    with pytest.raises((RunError, RecipeError)):
        SweepFolder(tmp_path).setup()


def test_no_sweep_begins_among_other_files(setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("")
    with pytest.raises(RunError, match="is neither empty nor a sweep of Sparring"):
        SweepFolder(tmp_path).begin(setup)
    with pytest.raises(RunError, match="is a file; a sweep needs a folder"):
        SweepFolder(tmp_path / "notes").begin(setup)
