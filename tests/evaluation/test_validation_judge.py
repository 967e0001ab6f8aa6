"""The glance: what a run is judged by while it trains; the same state gets the same numbers."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from sparring import data
from sparring.data import ImageSet
from sparring.data.named.stacked import stack
from sparring.data.validation import split_images
from sparring.evaluation import validation_judge
from sparring.evaluation.features import general_features, shipped_classifier, stacked_classifier
from sparring.evaluation.validation_judge import FRECHET_LEAST, SAMPLES, ValidationJudge
from sparring.gan.gan import make_gan
from sparring.gan.randomness import random_key
from sparring.gan.state import TrainState, init_state
from sparring.recipes.recipe import Recipe

MakeJudge = Callable[[ImageSet], tuple[ValidationJudge, TrainState]]


@pytest.fixture
def make_judge(tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> MakeJudge:
    """The instrument for a set of images, by the shipped judge, and the first state of the tiny recipe."""
    judge = shipped_classifier("mnist")
    monkeypatch.setattr(validation_judge, "ready_extractor", lambda images: judge)

    def make(images: ImageSet) -> tuple[ValidationJudge, TrainState]:
        gan = make_gan(tiny_recipe, (28, 28, 1))
        judging = ValidationJudge(gan, 0, split_images(images, 0.5))
        return judging, init_state(gan, random_key(0, "weights"))

    return make


def test_the_same_state_gets_the_same_numbers_and_another_one_others(make_judge: MakeJudge, digits: Path) -> None:
    """The first state is far away, alike, and no copy."""
    made, state = make_judge(data.load(str(digits)))
    values = made.judge(state)
    assert made.judge(state) == values
    shifted = jax.tree.map(lambda weights: weights + 0.05, state.generator.params)
    other = replace(state, generator=replace(state.generator, params=shifted))
    assert made.judge(other)["score"] != values["score"]
    assert values["score"] > 20 * abs(values["floor"])
    assert values["diversity"] < 0.2 and values["copies"] == 0 and not values["copies_alarm"]
    assert sum(values["histogram"]) == SAMPLES
    assert values["top_share"] == max(values["histogram"]) / SAMPLES
    assert values["measure"] == "kernel" and 0 < made.error(state) < 0.2 * values["score"]


def test_many_validation_images_are_judged_by_the_frechet_distance(make_judge: MakeJudge, digits: Path) -> None:
    images = ImageSet("many", np.tile(data.load(str(digits)).images, (6, 1, 1, 1)), None, (), "the test")
    made, state = make_judge(images)
    values = made.judge(state)
    assert len(split_images(images, 0.5).training.images) >= FRECHET_LEAST
    assert values["measure"] == "frechet" and 0 < made.error(state) < 0.2 * values["score"]
    assert "histogram" not in values  # without labels there is nothing to hold the classes against


def test_of_a_thousand_classes_the_modes_are_counted(
    make_judge: MakeJudge, tiny_recipe: Recipe, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,000 samples of 1,000 classes say nothing of the balance: even real ones would be off by 37%."""
    monkeypatch.setattr(validation_judge, "ready_extractor", lambda images: stacked_classifier())
    images = stack(data.load(str(digits)), 400, seed=0)
    gan = make_gan(tiny_recipe, (28, 28, 3))
    made = ValidationJudge(gan, 0, split_images(images, 0.5))
    values = made.judge(init_state(gan, random_key(0, "weights")))
    assert values["modes"] < 10 < 100 < values["modes_real"] <= 200
    assert "variation" not in values and "histogram" not in values
    assert 0 <= values["confident"] <= 1 and values["top_share"] > 0.1


def test_images_without_labels_are_judged_by_general_features(
    make_judge: MakeJudge, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation_judge, "ready_extractor", lambda images: general_features((28, 28, 1)))
    made, state = make_judge(data.load(str(digits)))
    values = made.judge(state)
    assert "variation" not in values and values["score"] > abs(values["floor"])
