"""THE DISCRIMINATOR: its memory is the area under the curve, its logits do not depend on the batches."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from sparring import networks
from sparring.evaluation.metrics.discriminator import BATCH, discrimination, logits_of
from sparring.gan.randomness import random_key
from sparring.images import Images
from sparring.networks import Labels, Network

Logits = NDArray[np.floating[Any]]

SHAPE = (12, 12, 1)


def drawn(n: int, seed: int, shift: float = 0.0) -> Logits:
    return np.random.default_rng(seed).normal(size=n) + shift


def pictures(n: int) -> Images:
    return np.random.default_rng(0).integers(0, 256, (n, *SHAPE), dtype=np.uint8)


# ------------------------------------------------------------------------------------------------------- what it says


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 30), (200, 300), (1000, 70)])
@pytest.mark.parametrize("decimals", [0, 1, 15])  # few decimals make many equal logits
def test_memorising_is_the_area_under_the_curve(n: int, m: int, decimals: int) -> None:
    training, unseen = drawn(n, 1, shift=0.4).round(decimals), drawn(m, 2).round(decimals)
    expected = roc_auc_score(np.repeat([1, 0], [n, m]), np.concatenate([training, unseen]))
    assert discrimination(training, unseen, drawn(5, 3)).memorising == pytest.approx(expected, rel=1e-12)


def test_equal_logits_count_half() -> None:
    assert discrimination(np.array([1.0, 2.0]), np.array([1.0]), np.array([0.0])).memorising == 0.75


def test_the_three_sets_are_told_apart() -> None:
    odds = np.array([1.0, 3.0])
    found = discrimination(np.log(odds), np.log([1 / 3, 9, 9, 9]), np.log([1 / 3, 1, 4]))
    assert found.d_training == pytest.approx((0.5 + 0.75) / 2)
    assert found.d_unseen == pytest.approx((0.25 + 3 * 0.9) / 4)
    assert found.d_fake == pytest.approx((0.25 + 0.5 + 0.8) / 3)
    assert found.right_unseen == 0.75
    assert found.right_fake == pytest.approx(2 / 3), "undecided is not real"


def test_far_logits_have_probabilities_of_zero_and_one() -> None:
    far = np.array([-1e4, 1e4])
    assert discrimination(far, far, far).d_training == 0.5


@pytest.mark.parametrize(("n", "m"), [(100, 100), (400, 50)])
def test_the_error_is_the_spread_over_many_draws_of_equal_sets(n: int, m: int) -> None:
    fake = drawn(3, 0)
    found = [discrimination(drawn(n, 2 * i), drawn(m, 2 * i + 1), fake) for i in range(1000)]
    assert np.mean([one.memorising for one in found]) == pytest.approx(0.5, abs=0.01)
    assert np.std([one.memorising for one in found]) / found[0].error == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("n", "shift", "raised"), [(500, 1.0, True), (5000, 0.5, True), (20, 0.6, False)])
def test_the_alarm_is_raised_where_training_images_are_known(n: int, shift: float, raised: bool) -> None:
    """A shift of .36 makes `memorising` .6; among twenty images no such difference is sure."""
    found = [discrimination(drawn(n, 2 * i, shift), drawn(n, 2 * i + 1), drawn(3, 0)).alarm for i in range(30)]
    assert found == [raised] * 30


@pytest.mark.parametrize(("n", "shift"), [(5000, 0.0), (5000, 0.25), (50, 0.0), (5, 0.0)])
def test_the_alarm_is_not_raised_by_chance_or_for_little(n: int, shift: float) -> None:
    raised = [discrimination(drawn(n, 2 * i, shift), drawn(n, 2 * i + 1), drawn(3, 0)).alarm for i in range(100)]
    assert not any(raised)


# -------------------------------------------------------------------------------------------------------- its logits


def mean_of_pixels(
    params: Any, batch_stats: Any, inputs: Array, labels: Labels | None = None, *, train: bool
) -> tuple[Array, Any]:
    assert not train
    return params["scale"] * inputs.mean(axis=(1, 2, 3)) + batch_stats["shift"], batch_stats


@pytest.mark.parametrize("count", [1, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH + 7])
def test_images_reach_the_discriminator_scaled_and_once_each(count: int) -> None:
    logits = logits_of(Network(mean_of_pixels, lambda key: ({}, {}), normalised=False))
    images = pictures(count)
    found = logits({"scale": jnp.float32(2)}, {"shift": jnp.float32(3)}, images, None)
    assert found.shape == (count,)
    np.testing.assert_allclose(found, 2 * (images.mean(axis=(1, 2, 3)) / 127.5 - 1) + 3, rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("mlp", {"hidden": (16,), "negative_slope": 0.2, "initialization": "glorot-uniform"}),
        ("dcgan-tanh", {"channels": (4, 8), "dense": 16}),
    ],
)
def test_logits_in_batches_are_those_of_all_images_at_once(kind: str, sizes: dict[str, Any]) -> None:
    network = networks.discriminator(kind, sizes, image_shape=SHAPE)
    state = network.init(random_key(0, "weights"))
    images = pictures(2 * BATCH + 7)
    logits = logits_of(network)
    found = logits(*state, images, None)
    whole = network.apply(*state, jnp.asarray(images, jnp.float32) / 127.5 - 1, train=False)[0]
    np.testing.assert_allclose(found, whole, rtol=1e-4, atol=1e-6)
    for part in (slice(3), slice(BATCH - 1), slice(BATCH + 1)):
        np.testing.assert_array_equal(logits(*state, images[part], None), found[part])
    for part in (slice(BATCH - 1, BATCH + 2), slice(None, None, -1)):  # other places in a batch: the last bits differ
        np.testing.assert_allclose(logits(*state, images[part], None), found[part], rtol=1e-4, atol=1e-6)
