"""WINDOWS: what is streamed is trained bit for bit as if all images stayed on the device; memory does not grow."""

from pathlib import Path

import pytest
from test_training import StopAt, assert_same_run, curves, small

import sparring
from sparring import replicas, windows
from sparring.data import batches
from sparring.recipe import Recipe
from sparring.session import Silence

KIB = 1 << 10
ROOM = 100
"""KiB: two windows of 3 steps of 20 digits (784 bytes each); an epoch of 200 digits has 10 steps."""


@pytest.fixture(autouse=True)
def kib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows are asked for in KiB, for the test's images are few."""
    monkeypatch.setattr(windows, "MIB", KIB)


@pytest.fixture(scope="module", params=list(batches.DRAWS))
def recipe(request: pytest.FixtureRequest, tiny_recipe: Recipe) -> Recipe:
    """30 steps in each order of the data."""
    return tiny_recipe.replace(data_order=request.param, seed=5)


@pytest.fixture(scope="module")
def held(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> sparring.Run:
    return sparring.train(recipe, out=tmp_path_factory.mktemp("held") / "run", reporter=Silence())


class Listener(StopAt):
    """Hears what is said, and stops nothing unless told to."""

    def __init__(self, step: int = 10**9) -> None:
        super().__init__(step)


# ------------------------------------------------------------------------------------------------ bit for bit


@pytest.mark.parametrize("room", [1, ROOM])
def test_the_same_is_trained_in_every_order_across_epochs(
    room: int, recipe: Recipe, held: sparring.Run, tmp_path: Path
) -> None:
    told = Listener()
    run = sparring.train(recipe, out=tmp_path / "run", window=room, reporter=told)
    steps = {1: 1, ROOM: 3}[room]
    (said,) = told.said
    assert f"in windows of {steps} step" in said
    assert_same_run(run, held)


def test_a_streamed_run_goes_on_bit_for_bit_in_the_middle_of_a_window(
    recipe: Recipe, held: sparring.Run, tmp_path: Path
) -> None:
    run = sparring.train(recipe, out=tmp_path / "run", window=ROOM, steps=13, reporter=Silence())
    assert run.reached() == 13
    sparring.train(recipe, out=run.path, window=ROOM + 32, steps=17, reporter=Silence())
    sparring.train(recipe, out=run.path, reporter=Silence())
    for name in ("generator_weights",):
        assert getattr(run, name).read_bytes() == getattr(held, name).read_bytes()


@pytest.mark.parametrize("name", ["mlp-adam", "quick"])
def test_so_is_what_takes_other_batches(name: str, digits: Path, tmp_path: Path) -> None:
    recipe = small(name, digits)
    whole = sparring.train(recipe, out=tmp_path / "whole", reporter=Silence())
    assert_same_run(sparring.train(recipe, out=tmp_path / "run", window=ROOM, reporter=Silence()), whole)


def test_each_replica_has_an_order_of_its_own(recipe: Recipe, tmp_path: Path) -> None:
    whole = replicas.train_replicas(3, recipe, out=tmp_path / "whole", reporter=Silence())
    told = Listener()
    streamed = replicas.train_replicas(3, recipe, out=tmp_path / "streamed", window=ROOM, reporter=told)
    assert sum("windows of 1 step," in said for said in told.said) == 1
    for ours, theirs in zip(streamed.runs, whole.runs, strict=True):
        assert_same_run(ours, theirs)
    assert curves(whole.runs[0]) != curves(whole.runs[1])
