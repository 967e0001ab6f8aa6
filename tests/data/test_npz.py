"""ARRAYS in NPZ files: images of every usual form, labels, and headers that promise too much."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparring.data import Shaping, load
from sparring.data.arrays import npz as arrays
from sparring.errors import DataError

GRAY = np.random.default_rng(0).integers(0, 256, (6, 9, 8), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (6, 9, 8, 3), dtype=np.uint8)


def npz(folder: Path, **arrays: NDArray[Any]) -> str:
    np.savez(folder / "some.npz", **arrays)  # type: ignore[arg-type]
    return str(folder / "some.npz")


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (GRAY, GRAY[..., None]),
        (COLOUR, COLOUR),
        (np.moveaxis(COLOUR, -1, 1), COLOUR),
        (COLOUR / 255.0, COLOUR),
        ((COLOUR / 255.0).astype(np.float16), COLOUR),
        ((COLOUR / 127.5 - 1).astype(np.float32), COLOUR),
        (GRAY[..., None].repeat(3, axis=-1), GRAY[..., None]),
    ],
    ids=["gray", "colour", "channels first", "in [0, 1]", "half floats", "in [-1, 1]", "gray in three channels"],
)
def test_images_of_every_form(array: NDArray[Any], expected: NDArray[np.uint8], tmp_path: Path) -> None:
    images = load(npz(tmp_path, images=array))
    np.testing.assert_array_equal(images.images, expected)
    assert images.labels is None


@pytest.mark.parametrize("name", ["images", "anything"])
def test_the_only_array_of_images_is_taken(name: str, tmp_path: Path) -> None:
    images = load(npz(tmp_path, labels=np.arange(6) % 2, **{name: GRAY}))
    assert images.images.shape == (6, 9, 8, 1)
    assert images.labels is not None


@pytest.mark.parametrize(
    ("labels", "names", "indices"),
    [
        (np.array([7, 3, 3, 7, 9, 3]), ("3", "7", "9"), [1, 0, 0, 1, 2, 0]),
        (np.array([[1], [0], [0], [1], [0], [0]], np.uint8), ("0", "1"), [1, 0, 0, 1, 0, 0]),
        (np.array(["cat", "dog", "cat", "cat", "cat", "cat"]), ("cat", "dog"), [0, 1, 0, 0, 0, 0]),
        (np.array([b"cat", b"dog", b"cat", b"cat", b"cat", b"cat"]), ("cat", "dog"), [0, 1, 0, 0, 0, 0]),
        (np.array([7.0, 3, 3, 7, 9, 3]), ("3", "7", "9"), [1, 0, 0, 1, 2, 0]),
        (np.eye(3)[[1, 0, 0, 1, 2, 0]], ("0", "1", "2"), [1, 0, 0, 1, 2, 0]),
    ],
    ids=["numbers", "a column", "texts", "bytes", "whole floats", "rows with a one"],
)
def test_labels(labels: NDArray[Any], names: tuple[str, ...], indices: list[int], tmp_path: Path) -> None:
    images = load(npz(tmp_path, images=COLOUR, labels=labels))
    assert images.class_names == names
    assert images.labels is not None
    assert images.labels.tolist() == indices


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.arange(5), r"labels should have the shape \(6,\), one an image, not \(5,\)"),
        (np.eye(6) * 2, r"not \(6, 6\)"),
        (np.arange(6) / 2, "labels should be whole numbers or texts, not float64"),
        (np.array([None] * 6), "damaged or no archive of plain arrays"),
    ],
)
def test_other_labels_are_refused(labels: NDArray[Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        load(npz(tmp_path, images=COLOUR, labels=labels))


def test_an_npz_is_known_by_its_members_too(tmp_path: Path) -> None:
    path = Path(npz(tmp_path, images=COLOUR)).rename(tmp_path / "renamed.data")
    assert load(str(path)).images.shape == COLOUR.shape


def test_there_is_no_test_split(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no test split"):
        load(npz(tmp_path, images=COLOUR), "test")


def forged(folder: Path, shape: tuple[int, ...], kind: str, content: bytes) -> str:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": kind, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(folder / "some.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", header.getvalue() + content)
    return str(folder / "some.npz")


def test_a_header_that_promises_too_much_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="promises 100,000,000,000,000 bytes of images"):
        load(forged(tmp_path, (10**8, 10**3, 10**3), "|u1", b""))
    with pytest.raises(DataError, match="promises 4,000,000,000 bytes of images and holds fewer"):
        load(forged(tmp_path, (4000, 1000, 1000), "|u1", b"few"))
    with pytest.raises(DataError):
        load(forged(tmp_path, (-1, 10, 10), "|u1", b"few"))


def test_code_is_never_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no archive of plain arrays"):
        load(npz(tmp_path, images=np.array([[[print]]], object)))


def test_arrays_are_scaled_like_pictures(tmp_path: Path) -> None:
    images = load(npz(tmp_path, images=COLOUR, labels=np.arange(6)), shaping=Shaping(16))
    assert images.images.shape == (6, 16, 16, 3)
    assert images.labels is not None and images.labels.tolist() == list(range(6))
    assert load(npz(tmp_path, images=COLOUR), shaping=Shaping(16, channels="gray")).images.shape == (6, 16, 16, 1)
    assert load(npz(tmp_path, images=GRAY), shaping=Shaping(channels="alpha")).images[..., 3].min() == 255


def test_hidden_colours_of_an_array_leave_no_trace(tmp_path: Path) -> None:
    clear = np.full((2, 8, 8, 4), (255, 0, 255, 0), np.uint8)
    clear[0, 0, 0] = 255
    white = load(npz(tmp_path, images=clear))
    assert white.images.shape == (2, 8, 8, 1)
    assert np.all(np.asarray(white.images) == 255)
    kept = load(npz(tmp_path, images=clear), shaping=Shaping(channels="alpha"))
    assert not kept.images[1].any()
    assert kept.images[0, 0, 0].tolist() == [255] * 4


@settings(max_examples=80, deadline=None)
@given(places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=5), share=st.floats(0.2, 2))
def test_damage_is_a_data_error_or_does_no_harm(
    places: list[tuple[float, int]], share: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    content = bytearray(Path(npz(folder, images=COLOUR[:2], labels=np.arange(2))).read_bytes())
    for place, value in places:
        content[int(place * (len(content) - 1))] = value
    (folder / "some.npz").write_bytes(content[: int(share * len(content))] if share < 1 else content)
    try:
        images = load(str(folder / "some.npz"))
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert images.images.dtype == np.uint8


# ------------------------------------------------------------------------------------------------ mapped from the disk


@pytest.mark.parametrize("array", [GRAY, COLOUR, np.moveaxis(COLOUR, -1, 1)], ids=["gray", "colour", "channels first"])
def test_large_arrays_are_mapped_and_the_same(
    array: NDArray[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = npz(tmp_path, labels=np.arange(6), images=np.ascontiguousarray(array), zzz=np.arange(100))
    expected = load(path)
    assert not isinstance(expected.images, np.memmap)
    monkeypatch.setattr(arrays, "LARGE", 1)
    found = load(path)
    assert isinstance(found.images, np.memmap)
    np.testing.assert_array_equal(found.images, expected.images)
    assert found.checksum() == expected.checksum()


def test_what_cannot_be_mapped_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "LARGE", 1)
    np.savez_compressed(tmp_path / "packed.npz", images=COLOUR)
    for path in (str(tmp_path / "packed.npz"), npz(tmp_path, images=np.asfortranarray(COLOUR))):
        np.testing.assert_array_equal(load(path).images, COLOUR)
    np.testing.assert_array_equal(load(npz(tmp_path, images=COLOUR / 255.0)).images, COLOUR)


def test_damage_is_noticed_before_it_is_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "LARGE", 1)
    path = Path(npz(tmp_path, images=GRAY.repeat(400, axis=0)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="is damaged or no archive"):
        load(str(path))
