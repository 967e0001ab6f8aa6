"""FIRST MOMENTS: a run that was killed before its recipe was whole begins again; other folders are refused."""

import shutil
from pathlib import Path

import pytest

from sparring.errors import RunError
from sparring.recipes.recipe import Recipe
from sparring.runs.resume import choose_folder, refuse_changes
from sparring.runs.run import Run
from sparring.sweeps.folder import SweepFolder

BEGUN = ("lock", "environment.copy.json", "environment.json", "recipe.copy.json", ".partial-4711-recipe.json")
"""What a run leaves before it has a recipe, in this order."""


@pytest.fixture
def beginning(tiny_run: Run, tmp_path: Path) -> Run:
    """A run that was killed before the last of its first files was whole."""
    run = Run(tmp_path / "begun")
    run.grids.mkdir(parents=True)
    for name in BEGUN:
        if name.startswith(".partial"):
            (run.path / name).write_text('{"na')
        else:
            shutil.copy(tiny_run.path / name, run.path / name)
    return run


@pytest.mark.parametrize("count", range(len(BEGUN) + 1))
def test_a_run_that_was_killed_while_it_began_begins(
    count: int, beginning: Run, tiny_recipe: Recipe, tiny_run: Run
) -> None:
    for name in BEGUN[count:]:
        (beginning.path / name).unlink()
    (beginning.grids / ".partial-12-real.png").touch()
    refuse_changes(beginning, tiny_recipe, tiny_run.environment())


def test_an_empty_folder_and_one_that_is_not_there_are_begun(
    tiny_recipe: Recipe, tiny_run: Run, tmp_path: Path
) -> None:
    for path in (tmp_path, tmp_path / "new"):
        refuse_changes(Run(path), tiny_recipe, tiny_run.environment())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("thesis.txt", "mine"),
        ("environment.json", '{"name": "of a web site"}'),
        ("recipe.copy.json", "no JSON at all"),
        (".partial-x", "of another program"),
        (".partial-12", "of another program"),
        ("grids/holiday.png", "mine"),
        ("folder/", ""),
        (".partial-12-x/", ""),
    ],
)
def test_what_is_not_ours_is_refused_by_its_name_and_left_alone(
    name: str, content: str, beginning: Run, tiny_recipe: Recipe, tiny_run: Run
) -> None:
    path = beginning.path / name
    if name.endswith("/"):
        path.mkdir()
    else:
        path.write_text(content)
    with pytest.raises(RunError, match=rf"neither empty nor a run.*{name.split('/')[0]}.*choose another folder"):
        refuse_changes(beginning, tiny_recipe, tiny_run.environment())
    beginning.clear_partial()
    assert path.exists() and not list(beginning.path.glob(".partial-4711-*"))


def test_a_symlink_under_one_of_our_names_is_not_ours(
    beginning: Run, tiny_recipe: Recipe, tiny_run: Run, tmp_path: Path
) -> None:
    beginning.environment_file.unlink()
    beginning.environment_file.symlink_to(tiny_run.environment_file)
    with pytest.raises(RunError, match=r"environment\.json"):
        refuse_changes(beginning, tiny_recipe, tiny_run.environment())


def test_replicas_of_which_one_was_not_begun_are_found_again(
    tiny_recipe: Recipe, tiny_run: Run, beginning: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "x2-20260101-000000"
    shutil.copytree(tiny_run.path, folder / "seed-0")
    shutil.copytree(beginning.path, folder / "seed-1")
    recipes = {"seed-0": tiny_recipe, "seed-1": tiny_recipe.replace(seed=1)}
    assert choose_folder(folder.parent, "x2", recipes, tiny_run.environment(), print) == folder


def test_a_sweep_that_was_killed_while_it_began_begins(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    (tmp_path / ".partial-77-sweep.json").write_text("{")
    folder.refuse_other_content()
    (tmp_path / ".partial-x").write_text("of another program")
    with pytest.raises(RunError, match=r"\.partial-x"):
        folder.refuse_other_content()
