"""THE SPACE: what people write, what is refused and in which words, which trials follow."""

import json
import math
from typing import Any

import pytest

from sparring.errors import RecipeError
from sparring.recipes import RECIPES, named_recipe
from sparring.sweeps import space
from sparring.sweeps.space import Range, make_points, make_space, parse_axis

RATE, MOMENTUM = "generator_optimizer.learning_rate", "generator_optimizer.momentum"
NORM, HIDDEN = "generator.batch_norm_momentum", "generator.hidden"


@pytest.mark.parametrize(
    ("name", "text", "axis"),
    [
        (RATE, "1e-4", (1e-4,)),
        (RATE, "1e-4,3e-4, 1", (1e-4, 3e-4, 1.0)),
        (RATE, "1e-5:1e-3", Range(1e-5, 1e-3)),
        ("seed", "0,1,2", (0, 1, 2)),
        ("latent_size", "16:64", Range(16, 64)),
        (HIDDEN, "128", ((128,),)),
        (HIDDEN, "128,256-64", ((128,), (256, 64))),
        (NORM, "none,0.8", (None, 0.8)),
        ("data_order", "shuffle,slice", ("shuffle", "slice")),
        ("generator_optimizer.epsilon_hat", "true,False", (True, False)),
        ("data", "a,b:c", ("a,b:c",)),
    ],
)
def test_what_people_write(name: str, text: str, axis: space.Axis) -> None:
    read = parse_axis(named_recipe("mlp-256"), name, text)
    assert read == axis
    assert repr(read) == repr(axis), "of the same types"
    if name != "data":
        assert parse_axis(named_recipe("mlp-256"), name, space.axis_words(axis)) == axis
    assert space.axis_from_json(json.loads(json.dumps(space.axis_to_json(axis)))) == axis


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("batch_sise", "1", "mlp-256 has no setting 'batch_sise'; did you mean 'batch_size'?"),
        ("name", "a", "has no setting 'name'"),
        ("generator.kind", "mlp", "has no setting 'generator.kind'"),
        (MOMENTUM, "0.1", f"has no setting '{MOMENTUM}'"),
        ("batch_size", "32,x", "batch_size cannot be 'x'; it should be a whole number"),
        ("batch_size", "32,", "batch_size cannot be ''; it should be a whole number"),
        (RATE, "1e-4;1", "cannot be '1e-4;1'; it should be a number"),
        (HIDDEN, "8-x", "cannot be '8-x'; it should be whole numbers, joined"),
        (NORM, "nothing", "cannot be 'nothing'; it should be a number"),
        ("data_order", "shuffle,sorted", "cannot be 'sorted'; it should be one of replacement, slice"),
        ("generator_optimizer.epsilon_hat", "yes", "cannot be 'yes'; it should be true or false"),
        ("generator_optimizer.epsilon_hat", "false:true", "takes no numbers, so it has no ranges"),
        (HIDDEN, "8:16", "takes no numbers, so it has no ranges"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(name: str, text: str, sentence: str) -> None:
    with pytest.raises(RecipeError) as error:
        parse_axis(named_recipe("mlp-256"), name, text)
    assert sentence in str(error.value)


@pytest.mark.parametrize("name", RECIPES)
def test_every_setting_can_be_read_back_as_it_is_written(name: str) -> None:
    recipe = named_recipe(name)
    for setting, value in space.settings(recipe).items():
        read = parse_axis(recipe, setting, space.value_words(value))
        assert not isinstance(read, Range)
        assert recipe.replace(**{setting: read[0]}) == recipe, setting


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({}, "there is nothing to try"),
        ({"seed": (3,)}, "there is nothing to try"),
        ({"seed": ()}, "seed needs a list of values to try"),
        ({"data": ("mnist", "fashion-mnist")}, "data cannot be swept: runs judged by different images"),
        ({"validation": Range(0.1, 0.2)}, "validation cannot be swept"),
        ({RATE: (0.1, 1, 1.0)}, f"{RATE} has 1.0 twice"),
        ({RATE: Range(1e-3, 1e-5)}, f"the range of {RATE} should go up, not from 0.001 to 1e-05"),
        ({RATE: Range(1.0, math.inf)}, "should go up"),
        ({RATE: (math.nan, 1.0)}, f"{RATE} cannot be nan; it should be a finite number"),
        ({RATE: (1.0, math.inf)}, f"{RATE} cannot be inf; it should be a finite number"),
        ({RATE: Range(0.0, 1.0)}, "learning_rate must be a number above 0, not 0"),
        ({"batch_size": Range(0, 4)}, "batch_size must be a whole number of 1 or more"),
        ({"batch_size": Range(1.5, 4.0)}, "batch_size cannot be 1.5"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(wanted: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RecipeError) as error:
        make_space(named_recipe("mlp-256"), wanted)
    assert sentence in str(error.value)


def points(wanted: dict[str, Any], trials: int | None = None, seed: int = 0, name: str = "mlp-256") -> list[Any]:
    recipe = named_recipe(name)
    return make_points(recipe, make_space(recipe, wanted), trials, seed)


def test_a_grid_is_every_combination_in_order() -> None:
    made = points({"batch_size": (64, 32), "seed": (0, 1, 2), "steps": (7,)})
    assert [tuple(point.values()) for point in made] == [(b, s, 7) for b in (64, 32) for s in (0, 1, 2)]


def test_draws_are_different_ones_of_the_grid_and_follow_from_the_seed() -> None:
    wanted = {HIDDEN: ((8,), (8, 16), (32,)), NORM: (None, 0.8), "seed": Range(0, 3)}
    drawn = points(wanted, trials=10, seed=1)
    assert drawn == points(wanted, trials=10, seed=1) != points(wanted, trials=10, seed=2)
    grid = points(wanted, trials=24)
    assert len(grid) == 24 and points(wanted, trials=500) == grid, "no more than there are"
    assert all(point in grid for point in drawn)
    assert all(drawn.count(point) == 1 for point in drawn)
    assert {type(point["seed"]) for point in drawn} == {int}


def test_draws_from_ranges() -> None:
    wanted = {RATE: Range(1e-5, 1e-1), "latent_std": Range(1.0, 9.0), "latent_size": Range(10, 20)}
    drawn = points(wanted, trials=200)
    rates = [point[RATE] for point in drawn]
    assert min(rates) >= 1e-5 and max(rates) <= 1e-1
    assert 0.4 < sum(rate < 1e-3 for rate in rates) / 200 < 0.6, "evenly in the logarithm"
    assert 0.4 < sum(point["latent_std"] < 5 for point in drawn) / 200 < 0.6, "evenly"
    assert {point["latent_size"] for point in drawn} == set(range(10, 21))
    assert all(float(f"{rate:.4g}") == rate for rate in rates), "what a table shows is what was trained with"


def test_a_whole_grid_needs_no_draws_and_a_range_needs_their_number() -> None:
    with pytest.raises(
        RecipeError, match=r"seed has a range to draw from, so it needs a number of trials.* --trials 20"
    ):
        points({"seed": Range(0, 9)})
    with pytest.raises(RecipeError, match=r"this grid has 1,001 trials, more than 1,000; --trials 20"):
        points({"seed": tuple(range(1001))})
    for trials in (0, 1001):
        with pytest.raises(RecipeError, match=r"must lie between 1 and 1,000"):
            points({"seed": (0, 1)}, trials=trials)


def test_an_impossible_combination_is_refused_before_anything_is_trained() -> None:
    nesterov = "generator_optimizer.nesterov"
    with pytest.raises(RecipeError, match=r"momentum 0.0, .*nesterov true is impossible: nesterov needs a momentum"):
        points({MOMENTUM: (0.0, 0.5), nesterov: (True,)}, name="mlp-sgd")
    assert len(points({MOMENTUM: (0.3, 0.5), nesterov: (True,)}, name="mlp-sgd")) == 2
