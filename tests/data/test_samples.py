"""Samples made elsewhere: every usual form is read as it is meant, everything else is refused in one sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sparring.data.samples import read_samples
from sparring.errors import DataError

GRAY = np.arange(3 * 8 * 6, dtype=np.uint8).reshape(3, 8, 6, 1)
COLOUR = np.arange(2 * 8 * 6 * 3, dtype=np.uint8).reshape(2, 8, 6, 3)


def npz(folder: Path, **arrays: NDArray[Any]) -> Path:
    np.savez(folder / "samples.npz", **arrays)  # type: ignore[arg-type]
    return folder / "samples.npz"


@pytest.mark.parametrize("key", ["images", "samples", "x", "anything"])
def test_the_array_is_found_under_any_usual_name(key: str, tmp_path: Path) -> None:
    assert np.array_equal(read_samples(npz(tmp_path, **{key: GRAY}))[0], GRAY)


def test_images_come_before_other_arrays(tmp_path: Path) -> None:
    assert np.array_equal(read_samples(npz(tmp_path, labels=np.zeros(3), images=GRAY))[0], GRAY)


def test_what_sparring_writes_is_read_back(tmp_path: Path) -> None:
    from sparring.images import save_images

    many = np.tile(GRAY, (4, 1, 1, 1))
    for name in ("samples.npz", "folder"):
        save_images(tmp_path / name, many, 4)
        assert np.array_equal(read_samples(tmp_path / name)[0], many)


def test_a_folder_of_pictures_in_the_order_of_their_names(tmp_path: Path) -> None:
    for i, name in enumerate(["b.png", "a.PNG", "c.jpg"]):
        Image.fromarray(np.full((8, 6), 60 * i, np.uint8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")
    read = read_samples(tmp_path)[0]
    assert read.shape == (3, 8, 6, 1)
    assert [int(image.mean()) for image in read] == [60, 0, 120]


@pytest.mark.parametrize(
    ("mode", "channels"), [("1", 1), ("L", 1), ("LA", 4), ("P", 3), ("RGB", 3), ("RGBA", 4), ("CMYK", 3)]
)
def test_pictures_of_every_mode(mode: str, channels: int, tmp_path: Path) -> None:
    ending = "jpg" if mode == "CMYK" else "png"
    Image.fromarray(COLOUR[0]).convert(mode).save(tmp_path / f"picture.{ending}")
    assert read_samples(tmp_path)[0].shape == (1, 8, 6, channels)


def file(name: str, content: bytes) -> Any:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def folder_with(*pictures: tuple[str, tuple[int, int]], broken: str | None = None) -> Any:
    def make(folder: Path) -> Path:
        for name, size in pictures:
            Image.new("L", size).save(folder / name)
        if broken:
            (folder / broken).write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
        return folder

    return make


def nan(folder: Path) -> Path:
    array = (GRAY / 255).astype(np.float32)
    array[1, 2:4, 3] = np.nan
    return npz(folder, images=array)


BAD: dict[str, tuple[Any, str]] = {
    "missing": (lambda folder: folder / "none.npz", "does not exist; expected a run, an .npz or .npy file or a folder"),
    "another file": (
        file("samples.txt", b"hello"),
        "is neither a run, nor an .npz or .npy file, nor a folder of pictures",
    ),
    "no archive": (file("samples.npz", b"hello"), "samples.npz is damaged or no archive of plain arrays"),
    "code": (lambda folder: npz(folder, images=np.array([print], object)), "is damaged or no archive of plain arrays"),
    "no key": (lambda folder: npz(folder, a=GRAY, b=GRAY), "under the key 'images'; it holds a, b"),
    "no images": (lambda folder: npz(folder, images=GRAY[:0]), "holds no images: its shape is (0, 8, 6, 1)"),
    "flat": (lambda folder: npz(folder, images=np.zeros((3, 784))), "N x H x W or N x H x W x C, not (3, 784)"),
    "five channels": (lambda folder: npz(folder, images=np.zeros((3, 8, 6, 5))), "1, 3 or 4 channels"),
    "integers": (
        lambda folder: npz(folder, images=GRAY.astype(int) * 1000),
        "--range LOW,HIGH, for example --range 0,",
    ),
    "complex": (lambda folder: npz(folder, images=GRAY.astype(complex)), "should be whole numbers or floats"),
    "not finite": (nan, "2 values are NaN or infinite"),
    "range": (
        lambda folder: npz(folder, images=GRAY.astype(float) / 10),
        "run from 0 to 14.3, and floats should lie in [0, 1], [-1, 1] or [0, 255]",
    ),
    "empty folder": (lambda folder: folder, "is neither a run nor a folder of pictures"),
    "broken picture": (folder_with(("a.png", (6, 8)), broken="b.png"), "b.png cannot be read as a picture"),
    "two sizes": (folder_with(("a.png", (6, 8)), ("b.png", (6, 9))), "b.png is 9 x 6 x 1, but a.png is 8 x 6 x 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    make, words = BAD[name]
    with pytest.raises(DataError) as refused:
        read_samples(make(tmp_path))[0]
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_picture_that_claims_to_be_huge_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    folder_with(("a.png", (100, 100)))(tmp_path)
    with pytest.raises(DataError, match=r"a\.png cannot be read as a picture"):
        read_samples(tmp_path)[0]
