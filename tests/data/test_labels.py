"""LABELS from folders: one level, nested, flat, mixed; and folders called train and test."""

import pytest

from sparring.data.idx import Split
from sparring.data.labels import arrange
from sparring.errors import DataError


def classes_of(*folders: str, split: Split = "train") -> list[str | None]:
    """The class of each picture in these folders, in their order; None for those that have none, or are left out."""
    arranged = arrange([tuple(part for part in folder.split("/") if part) for folder in folders], split, "set")
    found: list[str | None] = [None] * len(folders)
    if arranged.labels is not None:
        for place, label in zip(arranged.places, arranged.labels, strict=True):
            found[place] = arranged.class_names[label]
    return found


def test_sub_folders_are_classes() -> None:
    assert classes_of("dog", "cat", "dog") == ["dog", "cat", "dog"]


def test_nested_folders_belong_to_the_first_one() -> None:
    assert classes_of("dog/small", "cat", "dog/large/brown") == ["dog", "cat", "dog"]


def test_a_flat_folder_has_no_labels() -> None:
    arranged = arrange([(), (), ()], "train", "set")
    assert (arranged.labels, arranged.class_names, arranged.notice) == (None, (), None)
    assert sorted(arranged.places) == [0, 1, 2]


def test_pictures_beside_folders_leave_all_without_labels() -> None:
    arranged = arrange([("cat",), ("dog",), ()], "train", "set")
    assert arranged.labels is None
    assert sorted(arranged.places) == [0, 1, 2]
    assert arranged.notice == "1 pictures lie beside the folders, so these are not taken for classes"


def test_one_folder_around_all_others_is_no_class() -> None:
    assert classes_of("photos/cat", "photos/dog") == ["cat", "dog"]
    assert classes_of("photos/all", "photos/all") == [None, None]
    assert classes_of("photos/cat", "photos/dog", "photos") == [None, None, None]


def test_train_and_test_are_splits() -> None:
    folders = ("Train/cat", "train/dog", "test/dog", "val/cat")
    assert classes_of(*folders) == ["cat", "dog", None, None]
    assert classes_of(*folders, split="test") == [None, None, "dog", None]
    assert len(arrange([("train",), ("train",), ("test",)], "test", "set").places) == 1


def test_train_alone_has_no_test_split() -> None:
    assert classes_of("train/cat", "train/dog") == ["cat", "dog"]
    for folders in ([("train", "cat")], [("cat",), ("dog",)], [()]):
        with pytest.raises(DataError, match="set has no test split"):
            arrange(folders, "test", "set")


def test_other_folders_beside_train_are_classes() -> None:
    assert classes_of("train", "bus") == ["train", "bus"]


def test_the_order_is_mixed_but_always_the_same() -> None:
    folders = [(name,) for name in ("a", "b") for _ in range(50)]
    first, second = arrange(folders, "train", "set"), arrange(folders, "train", "set")
    assert first.places.tolist() == second.places.tolist()
    assert sorted(first.places) == list(range(100))
    assert first.labels is not None
    assert 10 < first.labels[:50].sum() < 40
