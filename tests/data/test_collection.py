"""PICTURES from files to images: folders and zips with every kind of trouble in them, decoded once."""

import io
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_pictures import bomb, colourful, encoded, gray, reasons, write_files, write_zip
from PIL import Image

from sparring.data import Shaping, collect, has_pictures, load
from sparring.data.pictures import collection as pictures
from sparring.data.pictures import decode as decoding
from sparring.data.pictures import index
from sparring.data.pictures.index import Found
from sparring.data.pictures.listing import File
from sparring.errors import DataError

pytestmark = pytest.mark.usefixtures("cache")
CLASSES = {f"{name}/{i}.{kind}": encoded(colourful(seed=seed + i), kind)
           for name, seed in (("cat", 0), ("dog", 100)) for i, kind in enumerate(["png", "gif", "bmp"])}  # fmt: skip


def as_zip(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder))


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_classes_from_sub_folders(packed: bool, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pets", CLASSES)
    source = as_zip(folder) if packed else folder
    images = load(str(source), shaping=Shaping(16))
    assert images.images.shape == (6, 16, 16, 3)
    assert isinstance(images.images, np.memmap)
    assert images.class_names == ("cat", "dog")
    assert images.labels is not None
    assert sorted(images.labels) == [0, 0, 0, 1, 1, 1]
    assert images.notice is None
    assert has_pictures(str(source))
    names = collect(str(source), shaping=Shaping(16)).names
    assert [name.partition("/")[0] for name in names] == [images.class_names[label] for label in images.labels]


def test_a_folder_and_a_zip_of_it_are_the_same(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pets", CLASSES)
    assert load(str(folder)).checksum() == load(str(as_zip(folder))).checksum()


def test_train_and_test_folders_are_the_splits(tmp_path: Path) -> None:
    files = {f"{split}/{name}": content for split in ("train", "test") for name, content in CLASSES.items()}
    folder = write_files(tmp_path / "pets", files | {"test/cat/more.png": encoded(colourful(seed=7))})
    assert len(load(str(folder)).images) == 6
    assert len(load(str(folder), "test").images) == 7
    assert load(str(folder), "test").class_names == ("cat", "dog")


def test_a_flat_folder_has_no_labels_and_no_test_split(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "flat", {f"{i}.png": encoded(colourful(seed=i)) for i in range(3)})
    assert load(str(folder)).labels is None
    with pytest.raises(DataError, match="has no test split"):
        load(str(folder), "test")


def test_gray_if_all_are_gray(tmp_path: Path) -> None:
    pale = {
        "a.png": encoded(gray()),
        "b.jpg": encoded(gray(seed=1).convert("RGB"), "JPEG"),
        "c.png": encoded(gray(seed=2)),
    }
    folder = write_files(tmp_path / "some", pale)
    images = load(str(folder), shaping=Shaping(8))
    assert images.images.shape == (3, 8, 8, 1)
    again = load(str(folder), shaping=Shaping(8, channels="color"))
    np.testing.assert_array_equal(again.images, np.asarray(images.images).repeat(3, axis=-1))
    write_files(folder, {"d.png": encoded(colourful())})
    assert load(str(folder), shaping=Shaping(8)).images.shape == (4, 8, 8, 3)
    assert load(str(folder), shaping=Shaping(8, channels="gray")).images.shape == (4, 8, 8, 1)
    assert load(str(folder), shaping=Shaping(8, channels="alpha")).images.shape == (4, 8, 8, 4)


def test_gray_is_found_in_a_file_larger_than_a_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "CHUNK_BYTES", 100)
    folder = write_files(tmp_path / "some", {f"{i}.png": encoded(gray(20, 20, i)) for i in range(5)})
    expected = load(str(folder), shaping=Shaping(channels="color")).images
    np.testing.assert_array_equal(load(str(folder)).images, expected[..., :1])


TROUBLE = {
    "empty.png": (b"", "it is empty"),
    "text.jpg": (b"this is no picture", "it is not a picture"),
    "phone.heic": (b"\0\0\0\x18ftypheic", "HEIC is not read"),
    "bomb.png": (bomb(), "it has more pixels than the limit of"),
    "cut.jpg": (encoded(colourful(200, 200), "JPEG")[:2000], "damaged: image file is truncated"),
    "cut.png": (encoded(colourful(200, 200))[:2000], "damaged: "),
    "head.png": (b"\x89PNG\r\n\x1a\nnothing more", "damaged: "),
}
JUNK = {"README.txt": b"hello", "notes": b"", ".DS_Store": b"\0", "Thumbs.db": b"\xd0\xcf", "inner.zip": b"PK\3\4...."}


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_bad_files_are_left_out_with_their_reasons(packed: bool, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "some", CLASSES | JUNK | {name: content for name, (content, _) in TROUBLE.items()})
    source = as_zip(folder) if packed else folder
    for _ in range(2):  # decoded, and then from the store
        collection = collect(str(source))
        found = {problem.name: problem.reason for problem in collection.problems}
        assert set(found) == set(TROUBLE)
        for name, (_, reason) in TROUBLE.items():
            assert found[name].startswith(reason), name
        assert collection.count == len(collection.names) == 6
        assert collection.ignored == 5
        images = load(str(source))
        assert images.notice == f"7 of 13 pictures could not be read: `sparring data check {source}` says why"
        assert images.labels is not None and len(images.labels) == 6
        with pytest.raises(
            DataError, match=r"holds 7 pictures, the first one that cannot be trained on: bomb\.png, it "
        ):
            load(str(source), strict=True)


def test_a_file_that_may_not_be_read_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_files(tmp_path / "some", CLASSES)

    def refuse(path: object, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("sparring.data.pictures.folder.open_plain", refuse)
    with pytest.raises(DataError, match=r"cat/0\.png, cannot be read: Permission denied"):
        load(str(folder))


def test_names_decide_nothing(tmp_path: Path) -> None:
    folder = write_files(
        tmp_path / "some", {"a.txt": encoded(gray()), "b.jpg": encoded(gray(seed=1)), "c": encoded(gray(seed=2))}
    )
    assert len(load(str(folder)).images) == 3


def test_sources_that_are_something_else(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match=r"empty holds no pictures$"):
        load(str(empty))
    with pytest.raises(DataError, match="junk holds no pictures, but 5 other files"):
        load(str(write_files(tmp_path / "junk", JUNK)))
    run = write_files(
        tmp_path / "run", {"recipe.json": b"{}", "environment.json": b"{}", "grids/1.png": encoded(gray())}
    )
    with pytest.raises(DataError, match="is a run of Sparring, not a folder of pictures"):
        load(str(run))
    (tmp_path / "one.png").write_bytes(encoded(gray()))
    with pytest.raises(DataError, match="is one picture; give the folder that holds all of them"):
        load(str(tmp_path / "one.png"))
    assert len(load(str(write_files(tmp_path / "single", {"a.png": encoded(gray())}))).images) == 1


def test_a_size_is_chosen_and_said(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "some", {f"{i}.png": encoded(colourful(50 + i, 40 + i, i)) for i in range(5)})
    images = load(str(folder))
    assert images.images.shape == (5, 32, 32, 3)
    assert images.notice == "the pictures have many sizes and are trained on at 32 x 32; --size sets another size"
    assert images.checksum() == load(str(folder), shaping=Shaping(32)).checksum()


# ------------------------------------------------------------------------------------------------ decoded once


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One item for each picture that is decoded."""
    calls: list[int] = []
    decode = decoding.decode

    def count(content: bytes, *how: Any) -> Image.Image:
        calls.append(len(content))
        return decode(content, *how)

    monkeypatch.setattr(pictures, "decode", count)
    return calls


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of each file that is read to see what it is."""
    names: list[str] = []
    examine = index._examine

    def note(file: File) -> tuple[Found, bool]:
        names.append(file.name)
        return examine(file)

    monkeypatch.setattr(index, "_examine", note)
    return names


def made_long_ago(folder: Path) -> None:
    for path in folder.rglob("*"):
        os.utime(path, ns=(10**18, 10**18))


def test_pictures_are_decoded_once_for_each_shaping(tmp_path: Path, decoded: list[int]) -> None:
    folder = write_files(tmp_path / "some", CLASSES)
    for _ in range(2):
        load(str(folder), shaping=Shaping(16))
    assert len(decoded) == 6
    load(str(folder), shaping=Shaping(16, "pad"))
    load(str(folder), shaping=Shaping(17))
    load(str(folder), shaping=Shaping(16, channels="alpha"))
    assert len(decoded) == 24


def test_content_decides_and_not_the_place(tmp_path: Path, decoded: list[int]) -> None:
    first = load(str(write_files(tmp_path / "some", CLASSES)))
    second = load(str(write_files(tmp_path / "elsewhere", CLASSES)))
    assert len(decoded) == 6
    assert first.checksum() == second.checksum()


def test_a_changed_file_is_seen_although_its_time_and_size_are_as_before(tmp_path: Path, decoded: list[int]) -> None:
    one, other = (encoded(colourful(seed=seed), "BMP") for seed in (1, 2))
    assert len(one) == len(other)
    folder = write_files(tmp_path / "some", CLASSES | {"cat/x.bmp": one})
    made_long_ago(folder)
    before = load(str(folder)).checksum()
    (folder / "cat" / "x.bmp").write_bytes(other)
    made_long_ago(folder)
    assert load(str(folder)).checksum() != before


def test_files_that_did_not_change_are_not_read_again(
    tmp_path: Path, examined: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "YOUNG_NANOSECONDS", -(10**10))  # for they were written just now
    folder = write_files(tmp_path / "some", CLASSES | {"bad.png": b"", "notes.txt": b"hello"})
    first = load(str(folder))
    assert len(examined) == 8
    assert load(str(folder)).checksum() == first.checksum()
    assert len(examined) == 8
    write_files(folder, {"cat/0.png": encoded(colourful(seed=9)), "dog/new.png": encoded(colourful(seed=10))})
    assert len(load(str(folder)).images) == 7
    assert examined[8:] == ["cat/0.png", "dog/new.png"]


def test_young_files_are_read_again(tmp_path: Path, examined: list[str]) -> None:
    folder = write_files(tmp_path / "some", CLASSES)
    for _ in range(2):
        load(str(folder))
    assert len(examined) == 12


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"version": 1, "files": {"cat/0.png": [[1], ["a", "b", 3, 4]]}}']
)
def test_a_damaged_index_is_made_anew(
    content: bytes, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "YOUNG_NANOSECONDS", -(10**10))
    folder = write_files(tmp_path / "some", CLASSES)
    expected = load(str(folder)).checksum()
    (path,) = (cache / "images" / "index").iterdir()
    whole = path.read_bytes()
    path.write_bytes(content)
    assert load(str(folder)).checksum() == expected
    assert path.read_bytes() == whole


def test_an_index_of_another_version_is_not_believed(
    tmp_path: Path, examined: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "YOUNG_NANOSECONDS", -(10**10))
    folder = write_files(tmp_path / "some", CLASSES)
    for version in (index.VERSION, index.VERSION + 1, index.VERSION + 1):
        monkeypatch.setattr(index, "VERSION", version)
        load(str(folder))
    assert len(examined) == 12


def test_a_file_that_changes_while_it_is_decoded_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_files(tmp_path / "some", CLASSES)
    find = index.find_pictures

    def change(files: list[File], source: Path) -> list[Found]:
        found = find(files, source)
        write_files(folder, {"cat/0.png": encoded(colourful(seed=99))})
        return found

    monkeypatch.setattr(pictures, "find_pictures", change)
    assert reasons(folder) == {"cat/0.png": "it changed while it was read"}


# ------------------------------------------------------------------------------------------------ any damage


@settings(max_examples=60, deadline=None)
@given(
    places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8),
    share=st.floats(0.2, 2),
    name=st.sampled_from(["archive", "cat/0.png", "dog/1.gif"]),
)
def test_damage_is_a_problem_or_a_data_error_and_nothing_is_unpacked(
    places: list[tuple[float, int]], share: float, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damaged")

    def damaged(content: bytes) -> bytes:
        changed = bytearray(content)
        for place, value in places:
            changed[int(place * (len(changed) - 1))] = value
        return bytes(changed[: int(share * len(changed))] if share < 1 else changed)

    files = {one: damaged(content) if one == name else content for one, content in CLASSES.items()}
    write_zip(folder / "a.zip", files)
    if name == "archive":
        (folder / "a.zip").write_bytes(damaged((folder / "a.zip").read_bytes()))
    try:
        images = load(str(folder / "a.zip"), shaping=Shaping(8))
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert images.images.shape[1:3] == (8, 8)
    assert [path.name for path in folder.iterdir()] == ["a.zip"]


def test_a_zip_with_a_name_that_is_no_text(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("caf\u00e9.png", encoded(gray()))
    (tmp_path / "a.zip").write_bytes(file.getvalue().replace("\u00e9".encode(), b"\xff\xfe"))
    with pytest.raises(DataError, match="is a damaged zip file"):
        load(str(tmp_path / "a.zip"))
