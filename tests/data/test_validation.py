"""The validation images: never trained on, the same for every seed, and a fair part of every class."""

import numpy as np
import pytest

from sparring.data import ImageSet
from sparring.data.validation import split_images, validation_count


def numbered(count: int, labels: bool = True) -> ImageSet:
    """Images that each show their own number; sorted by class, as folders of own images are."""
    images = np.arange(count, dtype=np.uint32).view(np.uint8).reshape(count, 2, 2, 1)
    classes = (np.arange(count) * 10 // count).astype(np.int32)
    names = tuple("abcdefghij")
    return ImageSet("numbers", images, classes if labels else None, names if labels else (), "the test")


def numbers(images: ImageSet) -> list[int]:
    return np.ascontiguousarray(images.images).reshape(-1, 4).view(np.uint32).ravel().tolist()


@pytest.mark.parametrize("share", [0.04, 0.25, 0.5])
def test_every_image_is_in_one_part_and_both_keep_the_order(share: float) -> None:
    split = split_images(numbered(1000), share)
    assert split.validation is not None
    training, validation = numbers(split.training), numbers(split.validation)
    assert len(validation) == split.validation_count == validation_count(1000, share) == 1000 * share
    assert sorted(training + validation) == list(range(1000))
    assert training == sorted(training) and validation == sorted(validation)


def test_labels_stay_with_their_images() -> None:
    split = split_images(numbered(1000), 0.2)
    for part in (split.training, split.validation):
        assert part is not None and part.labels is not None
        assert [n // 100 for n in numbers(part)] == part.labels.tolist()
        assert part.class_names == numbered(1000).class_names


def test_sorted_data_leave_some_of_every_class() -> None:
    part = split_images(numbered(5000), 0.04).validation
    assert part is not None and part.labels is not None
    counts = np.bincount(part.labels, minlength=10)
    assert counts.sum() == 200 and counts.min() >= 8 and counts.max() <= 36


def test_it_is_the_same_every_time() -> None:
    first, second = (split_images(numbered(300), 0.1).validation for _ in range(2))
    assert first is not None and second is not None
    assert numbers(first) == numbers(second)


def test_mnist_leaves_2400() -> None:
    from sparring.recipes.settings import VALIDATION_SHARE

    split = split_images(numbered(60_000), VALIDATION_SHARE)
    assert (len(split.training.images), split.validation_count) == (57_600, 2_400)


@pytest.mark.parametrize("share", [0.0, 0.001])
def test_where_the_share_comes_to_none_all_are_trained_on(share: float) -> None:
    whole = numbered(100, labels=False)
    split = split_images(whole, share)
    assert split.training is whole and split.validation is None and not split.can_judge


def test_one_image_is_always_left_to_train_on() -> None:
    assert len(split_images(numbered(1), 0.99).training.images) == 1


@pytest.mark.parametrize(("count", "enough"), [(245, False), (250, True)])
def test_a_run_is_judged_by_50_validation_images_or_more(count: int, enough: bool) -> None:
    assert split_images(numbered(count), 0.2).can_judge is enough
