"""Stacked MNIST: what an image is made of, that it is always the same, and where the digits may come from."""

import os
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from sparring import data
from sparring.data import ImageSet, Split
from sparring.data.named import stacked
from sparring.data.named.stacked import STACKED, stack
from sparring.errors import DataError


@pytest.fixture
def ten() -> ImageSet:
    """Ten images of 2 x 3, each full of its own digit times 20."""
    labels = np.arange(10, dtype=np.int32)
    images = np.tile((labels * 20).astype(np.uint8)[:, None, None, None], (1, 2, 3, 1))
    return ImageSet("ten", images, labels, tuple("0123456789"), "the test", "only ten")


def test_each_channel_is_the_digit_that_the_label_says(ten: ImageSet) -> None:
    made = stack(ten, 1500, seed=5)
    assert made.images.shape == (1500, 2, 3, 3) and made.images.dtype == np.uint8
    assert made.labels is not None
    for image, label in zip(made.images, made.labels, strict=True):
        name = made.class_names[label]
        assert name == f"{label:03d}"
        assert (image == [20 * int(digit) for digit in name]).all()


def test_the_channels_are_drawn_by_themselves_and_all_digits_alike(ten: ImageSet) -> None:
    labels = stack(ten, 20_000, seed=0).labels
    assert labels is not None
    digits = np.stack([labels // 100, labels // 10 % 10, labels % 10])
    for channel in digits:
        assert np.abs(np.bincount(channel) / len(channel) - 0.1).max() < 0.01
    assert np.abs(np.corrcoef(digits) - np.eye(3)).max() < 0.03
    assert len(np.unique(labels)) == 1000


def test_the_seed_decides_and_fewer_are_the_first_of_more(ten: ImageSet) -> None:
    first = stack(ten, 60, seed=3)
    assert first.checksum() == stack(ten, 60, seed=3).checksum() != stack(ten, 60, seed=4).checksum()
    np.testing.assert_array_equal(stack(ten, 40, seed=3).images, first.images[:40])
    assert first.labels is not None and first.labels[:4].tolist() == [18, 467, 212, 917]  # for ever


def test_the_size_of_the_blocks_does_not_matter(ten: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = stack(ten, 50, seed=0)
    monkeypatch.setattr(stacked, "BLOCK", 7)
    assert stack(ten, 50, seed=0).checksum() == whole.checksum()


def test_it_is_a_data_set_with_a_name_made_of_the_split_of_mnist(
    ten: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Split]] = []

    def load_named(name: str, split: Split) -> ImageSet:
        asked.append((name, split))
        return ten

    monkeypatch.setattr(stacked, "load_named", load_named)
    monkeypatch.setattr(stacked, "COUNTS", {"train": 30, "test": 20})
    training, test = data.load(STACKED), data.load(STACKED, "test")
    assert asked == [("mnist", "train"), ("mnist", "test")]
    assert (len(training.images), len(test.images)) == (30, 20)
    assert (training.images[:20] != test.images).any()
    assert training.name == "stacked-mnist" and len(training.class_names) == 1000
    assert training.notice == "only ten"
    assert "10 digits from the test, three an image, drawn with seed 0" in training.source


def test_without_mnist_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARRING_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="the test split of mnist is neither in"):
        data.load(STACKED, "test")


def test_a_mistyped_name_is_guessed() -> None:
    with pytest.raises(DataError, match="did you mean 'stacked-mnist'"):
        data.load("stacked-minst")


CHECKSUMS: dict[Split, tuple[int, str]] = {
    "train": (128_000, "7d230668bfd23f3e1a08f8d5adc2409b044236881bfc49976201c6907188ba90"),
    "test": (26_000, "3efbb1fd65f9e7fa84da70639b3c6883e5574c6eaa1f8af6aaac745b7334e516"),
}


@pytest.mark.skipif(not os.environ.get("SPARRING_DATA"), reason="SPARRING_DATA names no folder with the real MNIST")
@pytest.mark.parametrize("split", get_args(Split))
def test_the_real_one_is_always_the_same_and_made_of_digits_of_its_split(split: Split) -> None:
    found = data.load(STACKED, split)
    assert (len(found.images), found.checksum()) == CHECKSUMS[split]
    known = {image.tobytes() for image in data.load("mnist", split).images}
    for channel in range(3):
        assert all(image.tobytes() in known for image in found.images[:200, ..., channel])
