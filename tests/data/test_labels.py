"""LABELS from folders: one level, nested, flat, mixed; splits by their usual names; shards; dataset.json."""

import json
from pathlib import Path

import pytest
from made_pictures import colourful, encoded, write_files, write_zip

from sparring.data import collect, load
from sparring.data.arrays.idx import Split
from sparring.data.pictures.labels import Arrangement, arrange
from sparring.data.splits import split_name
from sparring.errors import DataError


def classes_of(*folders: str, split: Split = "train") -> list[str | None]:
    """The class of each picture in these folders, in their order; None for those that have none, or are left out."""
    arranged = arrange([tuple(part for part in folder.split("/") if part) for folder in folders], split, "set")
    found: list[str | None] = [None] * len(folders)
    if arranged.labels is not None:
        for place, label in zip(arranged.places, arranged.labels, strict=True):
            found[place] = arranged.class_names[label]
    return found


def test_nested_folders_belong_to_the_first_one() -> None:
    assert classes_of("dog/small", "cat", "dog/large/brown") == ["dog", "cat", "dog"]


def test_a_flat_folder_has_no_labels() -> None:
    arranged = arrange([(), (), ()], "train", "set")
    assert (arranged.labels, arranged.class_names, arranged.notes) == (None, (), ())
    assert sorted(arranged.places) == [0, 1, 2]


def test_pictures_beside_folders_leave_all_without_labels() -> None:
    arranged = arrange([("cat",), ("dog",), ()], "train", "set")
    assert arranged.labels is None
    assert sorted(arranged.places) == [0, 1, 2]
    assert arranged.notes == ("1 pictures are beside the folders, so the folders are not read as classes",)


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


def test_the_order_is_mixed_but_always_the_same() -> None:
    folders = [(name,) for name in ("a", "b") for _ in range(50)]
    first, second = arrange(folders, "train", "set"), arrange(folders, "train", "set")
    assert first.places.tolist() == second.places.tolist()
    assert sorted(first.places) == list(range(100))
    assert first.labels is not None
    assert 10 < first.labels[:50].sum() < 40


# ------------------------------------------------------------------------------------------------ splits


def arranged(counts: dict[str, int], split: Split = "train") -> tuple[Arrangement, list[str]]:
    """(the arrangement of so many pictures in each folder, the folder of each that is kept)."""
    folders = [folder for folder, count in counts.items() for _ in range(count)]
    parts = [tuple(part for part in folder.split("/") if part) for folder in folders]
    made = arrange(parts, split, "set", [f"{i}.png" for i in range(len(parts))])
    return made, sorted({folders[place] for place in made.places})


AB = ("a", "b")
LAYOUTS: dict[str, tuple[dict[str, int], tuple[str, ...]]] = {
    "upper case": ({"Training/a": 9, "Training/b": 9, "Testing/a": 3}, AB),
    "Kaggle, flat test": ({"train/a": 9, "train/b": 9, "test": 5}, AB),
    "Kaggle, test1": ({"train/train": 9, "test1/test1": 5}, ()),
    "SVHN": ({"train": 9, "test": 5, "extra": 30}, ()),
    "fast.ai": ({"train/a": 9, "train/b": 9, "valid/a": 3, "valid/b": 3}, AB),
    "a logo": ({"": 1, "train/a": 9, "train/b": 9, "test/a": 3, "test/b": 3}, AB),
    "train_set": ({"train_set/a": 9, "train_set/b": 9, "test_set/a": 3}, AB),
    "the set's name": ({"mnist_train/a": 9, "mnist_train/b": 9, "mnist_test/a": 3}, AB),
    "CycleGAN": ({"trainA": 9, "trainB": 8, "testA": 3, "testB": 3}, ("A", "B")),
    "nested": ({"imgs/train/a": 9, "imgs/train/b": 9, "imgs/test/a": 3}, AB),
    "nested, a logo": ({"": 1, "imgs/train/a": 9, "imgs/train/b": 9, "imgs/test/a": 3}, AB),
    "years": ({"train2017": 9, "val2017": 3, "test2017": 4}, ()),
    "images in each": ({"train/images": 9, "valid/images": 3, "test/images": 4}, ()),
    "images, then classes": ({"train/images/a": 9, "train/images/b": 9, "test/images/a": 4}, AB),
    "splits in classes": ({"a/train": 9, "a/test": 2, "b/train": 9, "b/test": 2}, AB),
    "something else": ({"train/a": 9, "train/b": 9, "test/a": 4, "samples of mine": 3}, AB),
}
"""Pictures in each folder of a layout, and its classes. The folders of a split have its word in their names."""


@pytest.mark.parametrize("name", LAYOUTS)
def test_splits_by_their_usual_names(name: str) -> None:
    counts, classes = LAYOUTS[name]
    train, test = ([folder for folder in sorted(counts) if split in folder.lower()] for split in ("train", "test"))
    made, kept = arranged(counts)
    assert (kept, made.class_names) == (train, classes)
    assert (made.labels is not None) == bool(classes)
    if test:
        assert arranged(counts, "test")[1] == test
    else:
        with pytest.raises(DataError, match="no test split"):
            arranged(counts, "test")


@pytest.mark.parametrize(
    ("counts", "left_out"),
    [
        ({"train": 9, "val": 4}, ["4 pictures in val"]),
        ({"train": 9, "test": 3, "extra": 30}, ["30 pictures in extra"]),
        ({"": 1, "train": 9, "test": 3}, ["1 picture beside", "0.png"]),
        ({"train": 9, "test": 3, "demo": 2}, ["2 pictures in demo"]),
        ({"": 1, "a": 9, "b": 9}, ["1 picture beside", "0.png"]),
    ],
)
def test_what_is_not_used_is_said(counts: dict[str, int], left_out: list[str]) -> None:
    notes = " ".join(arranged(counts)[0].notes)
    assert all(words in notes for words in left_out)


def test_a_stray_picture_costs_no_classes() -> None:
    made, kept = arranged({"": 1, "a": 9, "b": 9})
    assert (kept, made.class_names) == (["a", "b"], ("a", "b"))


@pytest.mark.parametrize(
    ("counts", "classes"),
    [
        ({"cats": 9, "test": 9}, ("cats", "test")),
        ({"train": 9, "bus": 9}, ("bus", "train")),
        ({"train": 9, "test": 9, "bus": 9, "car": 9, "tram": 9}, ("bus", "car", "test", "train", "tram")),
    ],
)
def test_classes_may_be_called_as_splits_are(counts: dict[str, int], classes: tuple[str, ...]) -> None:
    made, _ = arranged(counts)
    assert made.class_names == classes
    assert "read as classes, not as splits" in made.notes[0]


def test_splits_without_training_images_are_no_classes() -> None:
    made, kept = arranged({"val/a": 5, "val/b": 5, "test/a": 5})
    assert (kept, made.class_names) == (["test/a", "val/a", "val/b"], ("a", "b"))
    assert "there is no folder called train" in made.notes[0]


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("TRAIN", "train"),
        ("trainset", "train"),
        ("x_train", "train"),
        ("t10k-images", "test"),
        ("testImages", "test"),
        ("validation_data", "validation"),
        ("Dev", "validation"),
        ("unlabeled", "extra"),
        ("station", None),
        ("contest", None),
        ("train_test", None),
        ("strain", None),
        ("cats", None),
        ("", None),
    ],
)
def test_names_of_splits(name: str, role: str | None) -> None:
    found = split_name(name)
    assert (found and found.role) == role


# ------------------------------------------------------------------------------------------------ shards

PICTURES = [encoded(colourful(8, 8, seed=i)) for i in range(24)]


def shards(labels: object = ..., size: int = 6) -> dict[str, bytes]:
    files = {f"{i // size:05}/img{i:08}.png": picture for i, picture in enumerate(PICTURES)}
    if labels is not ...:
        files["dataset.json"] = labels if isinstance(labels, bytes) else json.dumps(labels).encode()
    return files


KNOWN = {name: i % 3 for i, name in enumerate(shards())}
LABELS = {"labels": [[name, label] for name, label in KNOWN.items()]}


@pytest.mark.parametrize("packed", [False, True])
def test_shards_are_no_classes_and_dataset_json_has_the_labels(tmp_path: Path, packed: bool) -> None:
    def written(name: str, files: dict[str, bytes]) -> str:
        return str(write_zip(tmp_path / f"{name}.zip", files) if packed else write_files(tmp_path / name, files))

    plain = collect(written("plain", shards()))
    assert plain.images is not None and plain.images.labels is None
    assert "parts of one numbering" in plain.notes[0] and "00000" in plain.notes[0]
    labelled = collect(written("labelled", shards(LABELS)))
    assert labelled.images is not None and labelled.images.labels is not None
    assert labelled.images.class_names == ("0", "1", "2")
    assert [KNOWN[name] for name in labelled.names] == labelled.images.labels.tolist()
    assert load(written("null", shards({"labels": None}))).labels is None


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[" * 100_000,
        b'{"labels": [["a", ' + b"9" * 5000 + b"]]}",
        b"\xff\xfe",
        {"labels": 3},
        {"labels": [3]},
        {"labels": [["a", "b"]]},
        {"labels": [["a", -1]]},
        {"labels": [["a", True]]},
        {"labels": [["a", 1e30]]},
        {"labels": [["a", 10**30]]},
        {"labels": [["a", [0, 1]]]},
        {"labels": [["00000/img00000000.png", 1]]},
        {"labels": [["../../../etc/passwd", 1]]},
        {"labels": []},
    ],
)
def test_a_dataset_json_that_does_not_fit_is_not_used_and_that_is_said(content: object, tmp_path: Path) -> None:
    collection = collect(str(write_files(tmp_path / "some", shards(content))))
    assert collection.images is not None and collection.images.labels is None
    assert any("dataset.json" in note and "parts of one numbering" not in note for note in collection.notes)
    assert not any("sys." in note for note in collection.notes)


@pytest.mark.parametrize("content", [{}, [], 3, {"name": "my data"}])
def test_a_dataset_json_of_another_program_says_nothing(content: object, tmp_path: Path) -> None:
    files = {f"{name}/{i}.png": picture for i, picture in enumerate(PICTURES) for name in ["cat", "dog"][i % 2 :][:1]}
    folder = write_files(tmp_path / "some", files | {"dataset.json": json.dumps(content).encode()})
    assert load(str(folder)).class_names == ("cat", "dog")
