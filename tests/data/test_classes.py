import numpy as np
import pytest

from sparring.data.classes import (
    GRID_CLASSES,
    balanced,
    counted,
    grid_labels,
    labels_of,
    of_classes,
    place_of,
    usual_labels,
)
from sparring.errors import ClassError

PETS = {"cat": 60, "dog": 30, "emu": 10}
NAMES = tuple(PETS)


@pytest.mark.parametrize(
    ("count", "balance", "counts"),
    [
        (100, "training", [60, 30, 10]),
        (30, "uniform", [10, 10, 10]),
        (10, "training", [6, 3, 1]),
        (5, "training", [3, 2, 0]),  # 3, 1.5 and .5: the one that is left goes to one of two equal remainders
    ],
)
def test_what_is_asked_for_is_shared_out(count: int, balance: str, counts: list[int]) -> None:
    found = balanced(count, PETS, balance)  # type: ignore[arg-type]
    if count == 5:
        assert found.sum() == 5 and found[0] == 3
    else:
        assert found.tolist() == counts


@pytest.mark.parametrize("count", [1, 7, 64, 9_999])
def test_no_image_is_lost_or_added(count: int) -> None:
    many = {str(i): i for i in range(1, 334)}
    for balance in ("training", "uniform"):
        counts = balanced(count, many, balance)
        exact = count * (np.array(list(many.values())) / sum(many.values()) if balance == "training" else 1 / 333)
        assert counts.sum() == count and np.abs(counts - exact).max() < 1


def test_of_many_classes_a_few_images_are_not_of_the_first_ones() -> None:
    assert np.flatnonzero(balanced(50, {str(i): 1 for i in range(1000)}, "uniform")).max() > 900


def test_usual_labels_are_mixed_and_always_the_same() -> None:
    labels = usual_labels(100, PETS)
    assert np.bincount(labels).tolist() == [60, 30, 10]
    assert 0 < (labels[:50] == 0).sum() < 50
    np.testing.assert_array_equal(labels, usual_labels(100, PETS))
    assert labels.dtype == np.int32


def test_images_of_some_classes() -> None:
    assert of_classes(7, NAMES, ["emu", "cat"]).tolist() == [3, 0, 4]
    assert counted(NAMES, ["dog=2", "cat=1", "dog=1"]).tolist() == [1, 3, 0]
    assert counted(("a=b", "c"), ["a=b=4"]).tolist() == [4, 0]
    assert labels_of(np.array([2, 0, 1])).tolist() == [0, 0, 2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dog"], "'dog' should be a class and a number of images, such as cat=100"),
        (["dog=²"], "'dog=²' should be a class and a number of images, such as cat=100"),
        (["dog=99999999999999999999"], "should be a class and a number of images, such as cat=100"),
        (["dog=many"], "'dog=many' should be a class and a number of images, such as cat=100"),
        (["dgo=3"], r"there is no class 'dgo'; did you mean 'dog'\? \(known are cat, dog, emu\)"),
        (["dog=0"], "the counts add up to no image"),
    ],
)
def test_impossible_counts_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(ClassError, match=message):
        counted(NAMES, words)


def test_many_classes_are_not_all_named() -> None:
    with pytest.raises(ClassError, match=r"no class 'x' \(known are 30 others, from 0 to 29\)"):
        place_of([str(i) for i in range(30)], "x")


def test_a_grid_has_a_class_a_row() -> None:
    assert grid_labels(3, 2).tolist() == [0, 0, 1, 1, 2, 2]
    of_many = grid_labels(1000, 4).reshape(-1, 4)
    assert len(of_many) == GRID_CLASSES and of_many[0, 0] == 0 and of_many[-1, 0] == 999
    assert (of_many == of_many[:, :1]).all() and (np.diff(of_many[:, 0]) > 0).all()
