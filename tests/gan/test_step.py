"""The step's own rewritings change nothing; what a step should do is held against the originals in `parity`."""

import dataclasses
import itertools
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quickly
from jax import Array
from jax.flatten_util import ravel_pytree
from slow import later

from sparring.gan.augmentation import RAMP_IMAGES
from sparring.gan.batch import Batch
from sparring.gan.gan import GAN, make_gan
from sparring.gan.state import TrainState, init_state
from sparring.gan.step import METRICS, _adapt, _penalty, train_step
from sparring.recipes import RECIPES, named_recipe
from sparring.recipes.parts import SGD
from sparring.recipes.recipe import Recipe

IMAGE = (28, 28, 1)


def stepped(gan: GAN, recipe: Recipe) -> tuple[TrainState, Array]:
    """The state after one step of a recipe's gan, and what the step reports, in float64."""
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(1), 3)
        state = jax.tree.map(lambda x: x.astype("float64") if x.dtype.kind == "f" else x, init_state(gan, keys[0]))
        real = Batch(jax.random.uniform(keys[1], (recipe.real_batch_size, *IMAGE), "float64", -1, 1))
        noise = jax.random.normal(keys[2], (recipe.batch_size, recipe.latent_size), "float64")
        step = jax.jit(partial(train_step, gan))
        trained: tuple[TrainState, Array] = step(state, real, noise[: recipe.real_batch_size], noise, keys[0])
        return trained


@pytest.mark.parametrize("name", later(["mlp-adam", "mlp-256"], "mlp-adam"))
def test_reals_and_fakes_in_one_batch_teach_what_two_batches_teach(name: str) -> None:
    recipe = named_recipe(name).replace(**{"generator.hidden": (16, 8), "discriminator.hidden": (8, 8)})
    gan = make_gan(recipe, IMAGE)
    assert gan.discriminator.one_batch
    in_two = dataclasses.replace(gan, discriminator=dataclasses.replace(gan.discriminator, one_batch=False))
    one, two = (jax.tree.leaves(stepped(each, recipe)) for each in (gan, in_two))
    for ours, theirs in zip(one, two, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_all_others_see_one_batch() -> None:
    """Of `dcgan-tanh` two are faster; with BatchNorm they are another system."""
    in_two = [name for name in RECIPES if not make_gan(named_recipe(name), IMAGE).discriminator.one_batch]
    assert in_two == ["dcgan", "lsgan", "dcgan-tanh"]


# ------------------------------------------------------------------------------------------------ what recipes add


def small(**changes: Any) -> Recipe:
    """A recipe of tiny dense networks with our own loss, penalties and average."""
    recipe = named_recipe("mlp-256").replace(
        batch_size=4,
        latent_size=3,
        generator_noise="fresh",
        loss="relativistic",
        **{"generator.hidden": (5,), "discriminator.hidden": (6,)},
    )
    return recipe.replace(**changes)


def compiled(gan: GAN) -> Any:
    return quickly.jit(partial(train_step, gan))


@cache
def gan_and_step(recipe: Recipe, classes: int = 0) -> tuple[GAN, Any]:
    """The gan of a recipe, and its compiled step."""
    gan = make_gan(recipe, (6, 5, 1), classes)
    return gan, compiled(gan)


@cache
def trained(recipe: Recipe, steps: int = 1) -> list[TrainState]:
    """The states after 0 to `steps` steps, on random images."""
    gan, step = gan_and_step(recipe)
    states = [init_state(gan, jax.random.key(0))]
    for i in range(steps):
        keys = jax.random.split(jax.random.key(i + 1), 4)
        real = Batch(jax.random.uniform(keys[0], (recipe.reals_per_step, 6, 5, 1), minval=-1))
        first, second = jax.random.normal(keys[1], (recipe.reals_per_step, 3)), jax.random.normal(keys[2], (4, 3))
        states.append(step(states[-1], real, first, second, keys[3])[0])
    return states


def mixed(share: float, old: Any, new: Any) -> Any:
    return jax.tree.map(lambda a, b: share * a + (1 - share) * b, old, new)


def moved(states: list[TrainState], network: str = "discriminator") -> Any:
    first, last = (getattr(states[i], network).params for i in (0, -1))
    return jax.tree.map(lambda a, b: np.asarray(b - a), first, last)


def test_the_ema_is_that_of_the_params_and_samples_come_from_it() -> None:
    states = trained(small(ema_half_life=7.0), 4)
    expected = states[0].generator.params
    for i, state in enumerate(states[1:]):
        expected = mixed(0.5 ** (1 / min(7.0, 0.05 * (i + 1))), expected, state.generator.params)
    assert_close(states[-1].ema, expected)
    assert states[-1].sampled is states[-1].ema
    assert states[-1].ema is not states[-1].generator.params


def test_without_an_ema_samples_come_from_the_params() -> None:
    state = trained(small())[-1]
    assert state.ema == {}
    assert state.sampled is state.generator.params


@pytest.mark.parametrize("name", ["r1", "r2", "gradient_penalty"])
def test_each_penalty_moves_the_discriminator_and_its_weight_counts(name: str) -> None:
    sgd = SGD(learning_rate=1.0)
    gans = [small(discriminator_optimizer=sgd, **{name: weight}) for weight in (0.0, 0.1, 0.2)]
    none, some, twice = (ravel_pytree(moved(trained(gan)))[0] for gan in gans)
    np.testing.assert_allclose(twice - none, 2 * (some - none), rtol=1e-2, atol=1e-6)
    assert np.abs(some - none).max() > 1e-4


def test_penalties_meant_for_half_as_many_values_count_twice() -> None:
    penalties = make_gan(small(r1=1.0, r2=0.5, penalty_values=15), (6, 5, 1)).penalties
    assert (penalties.real, penalties.fake) == (2.0, 1.0)
    assert make_gan(small(r1=1.0, penalty_values=30), (6, 5, 1)).penalties.real == 1.0


def test_penalties_on_one_image_in_two_are_those_of_every_second_image() -> None:
    gan = make_gan(small(r1=1.0, r2=0.5, penalty_one_in=2), (6, 5, 1))
    whole = make_gan(small(r1=1.0, r2=0.5), (6, 5, 1))
    state = init_state(gan, jax.random.key(0))
    real, fake = map(Batch, jax.random.uniform(jax.random.key(1), (2, 4, 6, 5, 1)))
    parts = (state.discriminator.params, state.discriminator.batch_stats)
    half = _penalty(gan, *parts, real, fake, state.step, jax.random.key(2))
    assert half == pytest.approx(
        float(_penalty(whole, *parts, real.one_in(2), fake.one_in(2), state.step, jax.random.key(2)))
    )
    assert half != pytest.approx(float(_penalty(whole, *parts, real, fake, state.step, jax.random.key(2))))


def test_two_discriminator_steps_are_two_updates_on_batches_of_their_own() -> None:
    recipe = small(discriminator_steps=2, discriminator_optimizer=SGD(learning_rate=0.1))
    (both, two_steps), (_, one_step) = (gan_and_step(recipe.replace(discriminator_steps=steps)) for steps in (2, 1))
    state, keys = init_state(both, jax.random.key(0)), jax.random.split(jax.random.key(1), 3)
    real, noise = Batch(jax.random.uniform(keys[0], (8, 6, 5, 1))), jax.random.normal(keys[1], (8, 3))
    last = jax.random.normal(keys[2], (4, 3))
    together, _ = two_steps(state, real, noise, last, keys[0])
    first, _ = one_step(state, real.part(0, 2), noise[::2], last, keys[0])
    kept = dataclasses.replace(first, generator=state.generator)
    second, _ = one_step(kept, real.part(1, 2), noise[1::2], last, keys[0])
    assert_close(together.discriminator, second.discriminator)
    assert_close(together.generator, second.generator)


def test_rates_and_penalties_follow_the_schedule() -> None:
    sgd = SGD(learning_rate=0.5)
    changes: dict[str, Any] = {"discriminator_optimizer": sgd, "generator_optimizer": sgd}
    plain = make_gan(small(**changes), (6, 5, 1))
    ended = make_gan(small(schedule_steps=10, learning_rate_end=0.1, **changes), (6, 5, 1))
    state = init_state(plain, jax.random.key(0))
    late = dataclasses.replace(state, step=jnp.int32(10))
    real = Batch(jax.random.uniform(jax.random.key(1), (4, 6, 5, 1)))
    noise = jax.random.normal(jax.random.key(2), (4, 3))
    moves = [
        ravel_pytree(moved([late, compiled(gan)(late, real, noise, noise, jax.random.key(0))[0]]))[0]
        for gan in (plain, ended)
    ]
    np.testing.assert_allclose(moves[1], 0.1 * moves[0], rtol=1e-3, atol=1e-7)


def with_params(state: TrainState, params: Any) -> TrainState:
    """The state with other params of the discriminator."""
    return dataclasses.replace(state, discriminator=dataclasses.replace(state.discriminator, params=params))


def test_where_only_differences_count_the_middle_is_the_border() -> None:
    gan, step = gan_and_step(small())
    state = init_state(gan, jax.random.key(0))
    real = Batch(jax.random.uniform(jax.random.key(1), (4, 6, 5, 1)))
    noise = jax.random.normal(jax.random.key(2), (4, 3))
    shifted = jax.tree.map(lambda leaf: leaf, state.discriminator.params)
    shifted["output"]["bias"] = shifted["output"]["bias"] + 100.0
    rows = [
        step(with_params(state, params), real, noise, noise, jax.random.key(0))[1]
        for params in (state.discriminator.params, shifted)
    ]
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-4)
    assert rows[0][METRICS.index("d_real")] + rows[0][METRICS.index("d_fake")] == pytest.approx(1, abs=0.01)


def assert_close(found: Any, expected: Any) -> None:
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


# ------------------------------------------------------------------------------------------------ labels


def conditional_step(labels: list[int], **changes: Any) -> TrainState:
    """The state after one step on the same images and noise, the images said to be of these classes."""
    gan, step = gan_and_step(small(conditional=True, **changes), classes=3)
    keys = jax.random.split(jax.random.key(1), 3)
    images = jax.random.uniform(keys[0], (len(labels), 6, 5, 1), minval=-1)
    noise = [jax.random.normal(key, (count, 3)) for key, count in zip(keys[1:], (len(labels), 4), strict=True)]
    state = init_state(gan, jax.random.key(0))
    after: TrainState = step(state, Batch(images, jnp.array(labels, jnp.int32)), *noise, keys[0])[0]
    return after


def test_only_classes_that_a_batch_has_are_learnt() -> None:
    sgd = SGD(learning_rate=0.1)
    recipe: dict[str, Any] = {"discriminator_optimizer": sgd, "generator_optimizer": sgd, "r1": 1.0, "r2": 1.0}
    before = init_state(make_gan(small(conditional=True, **recipe), (6, 5, 1), classes=3), jax.random.key(0))
    after = conditional_step([0, 2, 2, 0], **recipe)
    for old, new in (
        (before.generator.params, after.generator.params),
        (before.discriminator.params, after.discriminator.params),
    ):
        moved = np.abs(np.asarray(new["embedding"]["embedding"] - old["embedding"]["embedding"])).max(axis=1)
        assert moved[1] == 0 and moved[0] > 0 and moved[2] > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"discriminator_steps": 2},
        {"gradient_penalty": 1.0, "loss": "wasserstein"},
        {"discriminator_batch": "half", "loss": "hinge"},
        {"discriminator_updates": "separate", "loss": "cross-entropy", "discriminator_batch": "half"},
    ],
)
def test_labels_go_wherever_images_go(changes: dict[str, Any]) -> None:
    count = {"full": 4, "half": 2}[changes.get("discriminator_batch", "full")] * changes.get("discriminator_steps", 1)
    sgd = SGD(learning_rate=0.1)
    changes = changes | {"discriminator_optimizer": sgd, "generator_optimizer": sgd}
    same, other = conditional_step([0] * count, **changes), conditional_step([0] * (count - 1) + [1], **changes)
    for network in ("generator", "discriminator"):
        one, two = (np.asarray(getattr(state, network).params["embedding"]["embedding"]) for state in (same, other))
        assert (one[0] != two[0]).any() and (one[1] != two[1]).any() and (one[2] == two[2]).all()


# ------------------------------------------------------------------------------------------------ augmentation


def test_what_is_augmented_teaches_other_things() -> None:
    never, always = trained(small())[-1], trained(small(augment="always"))[-1]
    assert never.augmentation == {} and float(always.augmentation) == 1
    for network in ("generator", "discriminator"):
        assert np.abs(ravel_pytree(moved([never, always], network))[0]).max() > 1e-5


def test_the_strength_adapts_step_by_step() -> None:
    states = trained(small(augment="adaptive"), steps=6)
    strengths = [float(state.augmentation) for state in states]
    assert strengths[0] == 0
    steps = {round((b - a) * RAMP_IMAGES / 4) for a, b in itertools.pairwise(strengths)}
    assert steps <= {-1, 0, 1}
    sure = dataclasses.replace(states[0], augmentation=jnp.float32(0.5))
    assert float(_adapt(make_gan(small(augment="adaptive"), (6, 5, 1)), sure.augmentation, jnp.float32(1), 8)) > 0.5
