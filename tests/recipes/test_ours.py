"""Our own recipes: one system in three lengths, and that it learns."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recorder import Lines

import sparring
from sparring.data.image_set import ImageSet
from sparring.data.validation import split_images
from sparring.evaluation import features
from sparring.images import Images
from sparring.recipes import DEFAULT, named_recipe
from sparring.recipes.recipe import Recipe, differences
from sparring.training.train import fitted, report_decisions

LENGTH = {"name", "schedule_steps"}


def test_good_and_best_are_one_system_and_quick_has_a_higher_rate_no_leaps_smaller_batches_and_weaker_penalties() -> (
    None
):
    quick, good, best = (named_recipe(name) for name in ("quick", "good", "best"))
    assert {name for name, *_ in differences(good, best)} <= LENGTH
    networks, settings = ("generator", "discriminator"), ("learning_rate", "largest_update")
    steps = {f"{network}_optimizer.{setting}" for network in networks for setting in settings}
    assert {name for name, *_ in differences(quick, good)} - LENGTH == steps | {"batch_size", "r1", "r2"}
    assert quick.steps < good.steps < best.steps


@pytest.mark.parametrize("name", ["quick", "good", "best"])
def test_the_schedule_ends_with_the_run(name: str) -> None:
    recipe = named_recipe(name)
    assert recipe.schedule_steps == recipe.steps
    assert recipe.steps % recipe.grid_every == 0


def test_quick_is_the_default() -> None:
    assert DEFAULT == "quick"


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([20, 20], True),
        ([20, 19], False),
        ([500], False),
        ([], False),
        ([20] * 1000, True),
        ([20] * 1001, False),
    ],
)
def test_they_are_conditional_where_the_data_have_enough_of_each_class(counts: list[int], expected: bool) -> None:
    named = {str(i): count for i, count in enumerate(counts)}
    for name in ("quick", "good", "best"):
        assert named_recipe(name).fitted(10_000, named).conditional is expected
    for asked in (True, False):
        assert named_recipe("quick").replace(conditional=asked).fitted(10_000, named).conditional is asked


def test_a_run_says_that_it_is_conditional_and_keeps_it(tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = tiny_recipe.replace(steps=2, grid_every=2)
    for asked, expected in ((None, True), (False, False)):
        reporter = Lines()
        run = sparring.train(recipe.replace(conditional=asked), out=tmp_path / str(expected), reporter=reporter)
        said = [line for line in reporter.lines if "10 classes" in line]
        assert len(said) == expected and all("--no-conditional" in line for line in said)
        assert run.recipe().conditional is expected
        assert set(sparring.load(run.path).classes) == (set("0123456789") if expected else set())


def test_a_run_says_which_class_is_too_small_to_be_conditional() -> None:
    labels = np.array([0] * 25 + [1] * 5, np.int32)
    images = split_images(ImageSet("pets", np.zeros((30, 8, 8, 1), np.uint8), labels, ("cats", "dogs"), ""), 0.0)
    asked, reporter = named_recipe("quick"), Lines()
    report_decisions(asked, fitted(asked, images), images, reporter)
    (line,) = [line for line in reporter.lines if "classes" in line]
    assert "'dogs' with 5 images" in line and "--conditional" in line


@pytest.mark.ci
def test_a_hundred_steps_bring_the_samples_nearer(digits: Path, tmp_path: Path) -> None:
    """The distance of the features' means falls to less than half, of that between noise and the data."""
    narrow = {"generator.channels": 24, "discriminator.channels": 24}
    recipe = named_recipe("quick").replace(data=str(digits), steps=100, grid_every=100, validation=0.0, **narrow)
    run = sparring.train(recipe, out=tmp_path / "run")
    images = sparring.load(run.path).sample(60, seed=0)
    first = sparring.train(replace(recipe, steps=1), out=tmp_path / "first")
    noise = sparring.load(first.path).sample(60, seed=0)
    data = sparring.data.load(str(digits))
    real = features.ready_extractor(data)
    target = real(data.images[:60]).values.mean(axis=0)
    near, far = (float(np.linalg.norm(real(x).values.mean(axis=0) - target)) for x in (images, noise))
    assert near < far / 2


@pytest.mark.long
def test_large_images_in_colour_do_not_become_noise(tmp_path: Path) -> None:
    """As they did with the penalties of small gray ones, where G's pixels were black or white by turns."""
    images = np.stack([disc(np.random.default_rng(seed)) for seed in range(500)])
    np.savez(tmp_path / "discs.npz", images=images)
    recipe = named_recipe("quick").replace(data=str(tmp_path / "discs.npz"), steps=600, grid_every=600)
    samples = sparring.load(sparring.train(recipe, out=tmp_path / "run").path).sample(200, seed=0)
    rough, smooth = (np.abs(np.diff(x.astype(float), axis=2)).mean() for x in (samples, images))
    assert rough < 6 * smooth  # 4.1 times, and 10.5 as it was


def disc(random: np.random.Generator) -> Images:
    """A disc of some colour on white, 64 x 64."""
    rows, columns = np.mgrid[:64, :64]
    (row, column), radius = random.uniform(20, 44, 2), random.uniform(8, 20)
    inside = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
    return np.where(inside[..., None], random.integers(0, 200, 3), 255).astype(np.uint8)
