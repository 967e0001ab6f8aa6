"""THE JUDGE: it learns labels, always alike, from varied images; its file gives back the same weights."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

from sparring import data, networks
from sparring.data import ImageSet
from sparring.errors import CheckpointError, DataError
from sparring.evaluation.classifier import (
    Augmentation,
    Classifier,
    _first_weights,
    _vary,
    accuracy,
    pack_classifier,
    read_classifier,
    train_classifier,
)
from sparring.gan.randomness import random_key
from sparring.networks.layers import space_to_depth
from sparring.runs import checkpoint

STEPS = 40
SHAPE = (14, 14, 1)

Train = Callable[[int], Classifier]
"""A seed -> a judge of `labelled`, made once a session."""


@pytest.fixture(scope="session")
def labelled(digits: Path) -> ImageSet:
    """The made-up digits at half their size, for speed."""
    images = data.load(str(digits))
    return replace(
        images, images=np.asarray(images.images).reshape(-1, 14, 2, 14, 2, 1).mean(axis=(2, 4)).astype(np.uint8)
    )


def trained_on(images: ImageSet, seed: int = 0, **options: Any) -> Classifier:
    epochs = STEPS * 128 // len(images.images)
    return train_classifier(images, seed=seed, epochs=epochs, augmentation=Augmentation(pixels=0.06), **options)


@pytest.fixture(scope="session")
def judge_of_seed(labelled: ImageSet) -> Train:
    return cache(partial(trained_on, labelled))


def arrays(judge: Classifier) -> dict[str, NDArray[Any]]:
    return checkpoint.named_arrays(judge.weights)


# ---------------------------------------------------------------------------------------------------------- training


def test_a_judge_learns_the_labels(judge_of_seed: Train, labelled: ImageSet) -> None:
    assert accuracy(judge_of_seed(0), labelled) > 0.8


def test_accuracy_is_the_share_of_right_answers(judge_of_seed: Train, labelled: ImageSet) -> None:
    judge = judge_of_seed(0)
    answers = judge.logits(judge.features(jnp.asarray(labelled.images)))
    assert answers.shape == (200, 10)
    expected = np.mean(np.asarray(answers).argmax(axis=1) == labelled.labels)
    for batch in (7, 200, 500):
        assert accuracy(judge, labelled, batch) == expected


def test_the_same_seed_gives_the_same_bits_and_progress_is_told_up_to_the_last_step(
    judge_of_seed: Train, labelled: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparring.evaluation.classifier.CHUNK", 16)
    told: list[tuple[int, int]] = []
    again = arrays(trained_on(labelled, seed=0, progress=lambda step, steps: told.append((step, steps))))
    steps = -(-25 * 200 // 128)
    assert told == [(16, steps), (32, steps), (steps, steps)]
    for name, array in arrays(judge_of_seed(0)).items():
        np.testing.assert_array_equal(again[name], array, name)


def test_another_seed_gives_other_first_weights(judge_of_seed: Train, labelled: ImageSet) -> None:
    barely = train_classifier(labelled, seed=1, epochs=1, augmentation=Augmentation(pixels=0.06))
    ours, other = (arrays(judge)["network/dense/kernel"] for judge in (judge_of_seed(0), barely))
    assert abs(np.corrcoef(ours.ravel(), other.ravel())[0, 1]) < 0.2


@pytest.mark.ci
def test_another_seed_gives_another_order(
    judge_of_seed: Train, labelled: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_weights = partial(_first_weights, key=random_key(0, "weights"))
    monkeypatch.setattr(
        "sparring.evaluation.classifier._first_weights", lambda shape, classes, _: first_weights(shape, classes)
    )
    ours, other = (arrays(judge)["network/dense/kernel"] for judge in (judge_of_seed(0), trained_on(labelled, seed=1)))
    assert np.corrcoef(ours.ravel(), other.ravel())[0, 1] > 0.5
    assert np.abs(ours - other).mean() > 1e-4


def test_images_without_two_classes_are_refused(labelled: ImageSet) -> None:
    for labels, names in ((None, ()), (np.full(200, 3, np.int32), labelled.class_names)):
        with pytest.raises(DataError, match="has no labels of two or more classes"):
            trained_on(replace(labelled, labels=labels, class_names=names))


# ----------------------------------------------------------------------------------------------------------- its file


def test_a_judge_comes_back_from_its_file(judge_of_seed: Train, labelled: ImageSet, tmp_path: Path) -> None:
    judge = judge_of_seed(0)
    content, about = pack_classifier(judge)
    path = tmp_path / "judge.safetensors"
    path.write_bytes(content)
    assert about == {"bytes": len(content), "sha256": checkpoint.sha256(content)}
    found = read_classifier(path, about, SHAPE, 10)
    assert found.image_shape == SHAPE
    for name, array in arrays(judge).items():
        np.testing.assert_array_equal(arrays(found)[name], array, name)
    np.testing.assert_array_equal(
        found.features(jnp.asarray(labelled.images)), judge.features(jnp.asarray(labelled.images))
    )


@pytest.mark.parametrize(("shape", "classes"), [((28, 28, 1), 10), ((14, 14, 3), 10), (SHAPE, 9)])
def test_a_file_of_a_judge_of_other_images_is_refused(
    shape: tuple[int, int, int], classes: int, judge_of_seed: Train, tmp_path: Path
) -> None:
    content, about = pack_classifier(judge_of_seed(0))
    path = tmp_path / "judge.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"should be .* of shape|lacks|unexpected"):
        read_classifier(path, about, shape, classes)


# --------------------------------------------------------------------------------------------------------- its network


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 31, 3), (28, 28, 1)])
def test_any_image_has_128_features_whether_in_a_loop_or_not(shape: tuple[int, int, int]) -> None:
    outside, inside = networks.features(shape), networks.features(shape, in_loop=True)
    state = outside.init(random_key(0, "weights"))
    images = jax.random.uniform(random_key(0, "samples"), (5, *shape), minval=-1, maxval=1)
    found = outside.apply(*state, images, train=False)[0]
    assert found.shape == (5, 128)
    assert found.min() == 0
    assert found.std(axis=0).max() > 0.01
    np.testing.assert_allclose(inside.apply(*state, images, train=False)[0], found, rtol=1e-4, atol=1e-5)


def test_blocks_of_pixels_become_channels_and_nothing_is_lost() -> None:
    x = np.arange(2 * 4 * 6 * 3, dtype=np.float32).reshape(2, 4, 6, 3)
    found = np.asarray(space_to_depth(jnp.asarray(x)))
    assert found.shape == (2, 2, 3, 12)
    for row, column in np.ndindex(2, 3):
        block = x[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        np.testing.assert_array_equal(found[:, row, column], block.reshape(2, 12))


def test_an_odd_side_is_filled_up_with_zeros() -> None:
    x = np.arange(1, 16, dtype=np.float32).reshape(1, 3, 5, 1)
    expected = space_to_depth(jnp.asarray(np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))))
    assert expected.shape == (1, 2, 3, 4)
    np.testing.assert_array_equal(space_to_depth(jnp.asarray(x)), expected)


# -------------------------------------------------------------------------------------------------------- varied images


def varied(images: NDArray[np.float32], how: Augmentation) -> NDArray[np.float32]:
    return np.asarray(_vary(jax.random.key(0), jnp.asarray(images), how))


def noise(n: int, height: int = 8, width: int = 8) -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(-1, 1, (n, height, width, 2)).astype(np.float32)


def ramps(n: int, height: int, width: int) -> NDArray[np.float32]:
    """Images that show where each pixel is, (y, x), with the middle at (0, 0)."""
    y, x = np.mgrid[:height, :width]
    places = np.stack([y - (height - 1) / 2, x - (width - 1) / 2], axis=-1)
    return np.tile(places.astype(np.float32), (n, 1, 1, 1))


def inner(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without the edge, beyond which nothing is known."""
    height, width = images.shape[1:3]
    return images[:, height // 3 : -(height // 3), width // 3 : -(width // 3)]


def assert_spread_evenly(values: NDArray[np.floating[Any]], greatest: float) -> None:
    """Between -greatest and greatest, as often in each third of that."""
    assert np.abs(values).max() <= greatest * (1 + 1e-4)
    counts = np.histogram(values, bins=3, range=(-greatest * 1.001, greatest * 1.001))[0]
    assert counts.min() > 0.25 * len(values)


def test_no_augmentation_changes_nothing() -> None:
    images = noise(20)
    np.testing.assert_allclose(varied(images, Augmentation(pixels=0)), images, atol=1e-6)


def test_a_shift_by_one_pixel_moves_by_one_and_repeats_the_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    def greatest(key: Any, shape: tuple[int, ...], minval: float, maxval: float) -> jax.Array:
        return jnp.full(shape, maxval, jnp.float32)

    monkeypatch.setattr(jax.random, "uniform", greatest)
    images = noise(3, height=8, width=16)
    expected = np.pad(images[:, 1:, 2:], ((0, 0), (0, 1), (0, 2), (0, 0)), mode="edge")
    np.testing.assert_allclose(varied(images, Augmentation(pixels=1 / 8)), expected, atol=1e-5)


def test_a_shift_is_one_for_a_whole_image_and_up_to_the_greatest() -> None:
    images = ramps(600, 12, 24)
    moved = inner(varied(images, Augmentation(pixels=0.1))) - inner(images)
    assert np.ptp(moved, axis=(1, 2)).max() < 1e-4
    for axis, greatest in ((0, 1.2), (1, 2.4)):
        assert_spread_evenly(moved[:, 0, 0, axis], greatest)
    assert abs(np.corrcoef(moved[:, 0, 0], rowvar=False)[0, 1]) < 0.15


def test_a_turn_keeps_the_middle_and_all_distances() -> None:
    images = ramps(600, 15, 15)
    turned = inner(varied(images, Augmentation(pixels=0, degrees=30)))
    np.testing.assert_allclose(np.linalg.norm(turned, axis=-1), np.linalg.norm(inner(images), axis=-1), atol=1e-4)
    rightwards = turned[:, 2, 4]  # what comes to lie two pixels right of the middle
    assert_spread_evenly(np.degrees(np.arctan2(rightwards[:, 0], rightwards[:, 1])), 30)


def test_a_scale_of_a_fifth_enlarges_and_reduces_by_up_to_that() -> None:
    """Turned at the same time."""
    images = ramps(600, 16, 16)
    scaled = inner(varied(images, Augmentation(pixels=0, degrees=90, scale=0.2)))
    scales = np.linalg.norm(inner(images), axis=-1) / np.linalg.norm(scaled, axis=-1)
    assert np.ptp(scales, axis=(1, 2)).max() < 1e-4
    assert_spread_evenly(scales[:, 0, 0] - 1, 0.2)


def test_a_flip_mirrors_every_other_image() -> None:
    images = noise(200)
    found = varied(images, Augmentation(pixels=0, flip=True))
    same, mirrored = (np.abs(found - x).max(axis=(1, 2, 3)) < 1e-5 for x in (images, images[:, :, ::-1]))
    assert (same ^ mirrored).all()
    assert 70 < mirrored.sum() < 130
