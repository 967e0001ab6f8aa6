"""Renamed settings: the old names work in files, as options and in Python, and name the new ones."""

from pathlib import Path

import pytest

from sparring import Recipe
from sparring.cli.main import main
from sparring.errors import RecipeError
from sparring.recipes import named_recipe
from sparring.recipes.digest import digest_of
from sparring.recipes.renamed import RENAMED, accept_old_options, with_new_names, with_old_names
from sparring.sweeps.space import make_space

QUICK = named_recipe("quick")


def test_an_older_recipe_is_read() -> None:
    older = with_old_names(QUICK.to_json())
    assert {"average_half_life", "held_out"} <= set(older)
    assert Recipe.from_json(older) == QUICK
    with pytest.raises(RecipeError, match="unknown setting 'held_out'"):
        Recipe.from_json(QUICK.to_json() | {"held_out": 0.5})


def test_python_is_told_the_new_name() -> None:
    with pytest.warns(FutureWarning, match="held_out is now called validation") as found:
        assert QUICK.replace(held_out=0.5).validation == 0.5
    assert found[0].filename == __file__
    with pytest.warns(FutureWarning, match="average_half_life is now called ema_half_life"):
        assert make_space(QUICK, {"average_half_life": (0.0, 10.0)}) == {"ema_half_life": (0.0, 10.0)}


def test_the_command_line_is_told_the_new_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--held-out", "2", "--out", str(tmp_path / "run")]) == 2
    shown = capsys.readouterr().err
    assert "--held-out is now called --validation" in shown
    assert "validation must be 0 or more and below 1, not 2" in shown
    words, notices = accept_old_options(["quick", "--average_half_life=3", "--held-out-not", "--average-half-life"])
    assert words == ["quick", "--ema-half-life=3", "--held-out-not", "--ema-half-life"]
    assert len(notices) == 2


def test_a_checkpoint_of_an_older_version_has_the_same_digest() -> None:
    """The digest that the version before the renaming computed."""
    as_it_was = QUICK.replace(conditional=False, r1=1.0, r2=1.0, **{"generator.checkerboard_free": False})
    assert digest_of(as_it_was) == "f0dc806438902c9fd5eb1ed1527dd17a93176ab2564905a09333040292cb8242"


def test_each_new_name_is_a_setting() -> None:
    settings = QUICK.to_json()
    assert set(RENAMED.values()) <= set(settings) and not set(RENAMED) & set(settings)
    assert with_new_names(with_old_names(settings)) == settings
